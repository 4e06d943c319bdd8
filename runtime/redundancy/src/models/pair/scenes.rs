//! A few ways that a pair can go, one order of events each: what comes of it in the end.

use super::{Act, NOW, Pair, World, led};
use crate::member::{Member, NodeId};
use crate::node::{Command, Input, SwitchObstacle};
use stateright::Model;

impl Pair {
    /// An operator wants a switchover, and the other one who looks after the backup was a moment earlier. What the
    /// primary says to that within two beats.
    pub(in crate::models) fn switched_to_who_is_in_maintenance(&self) -> (bool, bool) {
        let mut world = self.init_states().remove(0);
        self.feed(&mut world, NodeId::Backup, Input::Operator(Command::Maintenance(true)));
        let node = |world: &World| world.sides[0].node.clone().expect("it runs");
        self.feed(&mut world, NodeId::Primary, Input::Operator(Command::Switchover));
        let begun = node(&world).may_switch(NOW) == Err(SwitchObstacle::UnderWay);
        for _ in 0..2 {
            self.tick(&mut world, 0);
            while let Some(entry) = world.net.pop() {
                self.deliver(&mut world, entry);
            }
        }
        let given_up = node(&world).may_switch(NOW) == Err(SwitchObstacle::PeerNotReady);
        (begun, given_up)
    }

    /// The active dies in the middle of a switchover, after so many messages of it have arrived. Whether the backup is
    /// active soon after.
    pub(in crate::models) fn takes_over_from_a_switchover(&self, messages: usize) -> bool {
        let mut world = self.init_states().remove(0);
        self.feed(&mut world, NodeId::Primary, Input::Operator(Command::Switchover));
        let mut left = messages;
        while left > 0 {
            match world.net.pop() {
                Some(entry) => self.deliver(&mut world, entry),
                None => self.tick(&mut world, 0),
            }
            left -= 1;
        }
        self.act(&mut world, Act::Crash(Member::Node(NodeId::Primary)));
        world.net.retain(|(from, to, _)| ![*from, *to].contains(&Member::Node(NodeId::Primary)));
        for _ in 0..4 * self.timing.promise {
            self.tick(&mut world, 0);
            while let Some(entry) = world.net.pop() {
                self.deliver(&mut world, entry);
            }
        }
        led(&world, NodeId::Backup, 2)
    }
}
