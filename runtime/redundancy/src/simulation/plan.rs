//! What a seed stands for: the kind of pair, its clocks, and which faults befall it when.

use super::random::Random;
use crate::failback::FailbackMode;
use crate::member::{Member, NodeId};
use crate::mirror::MirrorMode;
use crate::node::StalePolicy;
use crate::policy::{PairPolicy, Quorum};
use crate::timing::Timing;

pub const MS: u64 = 1_000_000;
pub const S: u64 = 1_000 * MS;
/// Longest delay of a message where times are looked at, as a part of a lease.
pub const CLEAN_DELAY: u64 = 24;

const MEMBERS: [Member; 3] = [Member::Node(NodeId::Primary), Member::Node(NodeId::Backup), Member::Witness];

/// Something that happens to the world. Durations are in nanoseconds of true time.
#[derive(Clone, Copy, Debug)]
pub enum Fault {
    /// From now on; permille, permille, longest delay.
    Network {
        loss: u64,
        doubled: u64,
        delay: u64,
    },
    /// One direction.
    Cut {
        from: Member,
        to: Member,
    },
    Mend {
        from: Member,
        to: Member,
    },
    Pause {
        of: NodeId,
        lasts: u64,
    },
    /// The machine sleeps: nothing reaches it, its boot clock counts on, and is `ahead` of it
    /// when it wakes.
    Suspend {
        of: Member,
        lasts: u64,
        ahead: u64,
    },
    /// The machine and its clock stand still, as for a snapshot of a virtual one. What is sent to
    /// it meanwhile waits.
    Freeze {
        of: NodeId,
        lasts: u64,
    },
    Crash {
        of: Member,
        back: u64,
        reboot: bool,
    },
    /// As soon as a delivery is past the gate and not yet on its way.
    PauseAtGate {
        of: NodeId,
        lasts: u64,
    },
    /// Whoever is active then. Its standby takes over within the failover bound.
    CrashActive {
        back: u64,
    },
    /// As [`Fault::Switchover`], and the gap is that of a vote that is handed over.
    SmoothSwitchover,
    SuperblockFails(Member),
    SyncFails(NodeId),
    Hang {
        of: NodeId,
        lasts: u64,
    },
    ReadsFail {
        of: NodeId,
        permille: u64,
    },
    SinkDown {
        sink: usize,
        lasts: u64,
    },
    Configure,
    Switchover,
    Maintenance {
        of: NodeId,
        lasts: u64,
    },
    Health {
        of: NodeId,
        score: u8,
    },
    Ready {
        of: NodeId,
        ready: bool,
    },
    Force(NodeId),
    /// The machine burns down, and an empty one is put in its place.
    Destroy {
        of: NodeId,
        back: u64,
    },
}

pub struct Plan {
    pub timing: Timing,
    pub mode: MirrorMode,
    pub stale: StalePolicy,
    pub quorum: Quorum,
    pub failback: FailbackMode,
    /// Clock rates of primary, backup and witness, in permille of the true one.
    pub rates: [u64; 3],
    /// The shadow is on disk and survives a crash.
    pub shadow_on_disk: bool,
    pub shadow_bytes: usize,
    /// Newest records that are never trimmed, and that are kept for a peer that is away; none if
    /// nothing is trimmed.
    pub trims: Option<(usize, usize)>,
    /// Nothing but loss of up to 10 %: nobody may switch.
    pub healthy: bool,
    pub forced: bool,
    pub faults: Vec<(u64, Fault)>,
    pub calm_at: u64,
}

/// When a pair that starts together has an active that somebody follows, if all goes well.
fn up(timing: &Timing) -> u64 {
    timing.start_hold + 2 * timing.promise + S / 2
}

impl Plan {
    pub fn draw(random: &mut Random) -> Plan {
        let quorum = match random.between(0, 10) {
            0 => Quorum::Pair(PairPolicy::Availability),
            1 => Quorum::Pair(PairPolicy::Safety),
            _ => Quorum::Witnessed,
        };
        let failback = match random.between(0, 3) {
            0 => FailbackMode::After { hold: random.between(3, 15) * S },
            _ => FailbackMode::Manual,
        };
        let healthy = random.chance(40);
        // One crash or switchover of a pair that lacks nothing: how long it takes is looked at.
        let clean = !healthy && random.chance(100);
        let quorum = if clean { Quorum::Witnessed } else { quorum };
        let timing = match random.between(0, 10) {
            0 => Timing::FAST,
            1 => Timing::WAN,
            _ => Timing::DEFAULT,
        };
        let mode = match random.between(0, 10) {
            0 => MirrorMode::Memory,
            1 => MirrorMode::Local,
            _ => MirrorMode::BeforeSend,
        };
        // Nobody has to ask for a healthy one.
        let stale = match random.between(0, 10) {
            0 if !healthy && !clean => StalePolicy::Ask,
            _ => StalePolicy::Allow,
        };
        let mut plan = Plan {
            timing,
            mode,
            stale,
            quorum,
            failback: if healthy || clean { FailbackMode::Manual } else { failback },
            rates: [0; 3].map(|_| random.between(980, 1_021)),
            shadow_on_disk: random.chance(500),
            shadow_bytes: if random.chance(100) { 32 * 20 } else { 1 << 20 },
            trims: None,
            healthy,
            forced: false,
            faults: Vec::new(),
            calm_at: up(&timing) + random.between(12, 52) * S,
        };
        plan.network(random);
        if clean {
            let most = timing.lease / CLEAN_DELAY;
            let delay = random.pick(&[most / 10, most / 3, most]);
            plan.faults = vec![(0, Fault::Network { loss: 0, doubled: 0, delay })];
            let at = up(&timing) + random.between(6 * S, 11 * S);
            let back = random.between(S, 8 * S);
            plan.at(at, random.pick(&[Fault::CrashActive { back }, Fault::SmoothSwitchover]));
        } else if !healthy {
            let most = if random.chance(200) { 25 } else { 9 };
            let count = random.between(0, most);
            (0..count).for_each(|_| plan.one(random));
            plan.clocks(random);
            plan.disks(random);
        }
        if random.chance(600) {
            let keep = random.between(20, 60) as usize;
            plan.trims = Some((keep, keep + random.between(0, 100) as usize));
        }
        plan.faults.retain(|(at, _)| *at < plan.calm_at);
        plan
    }

    fn at(&mut self, at: u64, fault: Fault) {
        self.faults.push((at, fault));
    }

    fn network(&mut self, random: &mut Random) {
        let most = if self.healthy { 100 } else { 300 };
        let loss = if random.chance(400) { 0 } else { random.between(0, most + 1) };
        let doubled = if random.chance(500) { 0 } else { random.between(0, 300) };
        let delay = random.pick(&[2 * MS, 10 * MS, 50 * MS, 50 * MS, 150 * MS]);
        // What a profile is not made for makes leases end without a fault.
        let delay = if self.healthy { delay.min(self.timing.lease / 8) } else { delay };
        self.at(0, Fault::Network { loss, doubled, delay });
    }

    fn one(&mut self, random: &mut Random) {
        // Mostly when the pair is up, and sometimes close together.
        let up = up(&self.timing);
        let at = if random.chance(100) { random.between(0, up) } else { random.between(up, self.calm_at) };
        let node = random.pick(&NodeId::BOTH);
        let lasts = random.between(50 * MS, 12 * S);
        match random.between(0, 21) {
            3 | 20 => {
                let lasts = lasts.min(self.calm_at.saturating_sub(at));
                let pause = Fault::Pause { of: node, lasts };
                let at_gate = Fault::PauseAtGate { of: node, lasts };
                self.at(at, random.pick(&[pause, at_gate]));
            }
            0..3 => self.crash(random, at, node),
            4..7 => self.cut(random, at, lasts),
            7 => self.swizzle(random, at, lasts),
            8 => self.at(at, Fault::SyncFails(node)),
            9 => self.at(at, Fault::SuperblockFails(random.pick(&MEMBERS))),
            10 => self.at(at, Fault::Hang { of: node, lasts }),
            11 => {
                self.at(at, Fault::ReadsFail { of: node, permille: random.between(100, 1_001) });
                self.at(at + lasts, Fault::ReadsFail { of: node, permille: 0 });
            }
            12 => self.at(at, Fault::SinkDown { sink: random.between(0, 2) as usize, lasts }),
            13 => self.at(at, Fault::Configure),
            14..17 => self.at(at, Fault::Switchover),
            17 => self.at(at, Fault::Maintenance { of: node, lasts }),
            18 => self.at(at, Fault::Health { of: node, score: random.pick(&[0, 50, 79, 100]) }),
            _ => self.rare(random, at, node, lasts),
        }
    }

    fn disks(&mut self, random: &mut Random) {
        for _ in 0..random.pick(&[0, 0, 0, 0, 1, 1, 2]) {
            let at = random.between(up(&self.timing), self.calm_at);
            // Nobody exchanges a disk within a promise.
            let back = 2 * self.timing.promise + random.between(S, 8 * S);
            self.at(at, Fault::Destroy { of: random.pick(&NodeId::BOTH), back });
        }
    }

    /// What clocks do beyond what the votes allow for, in some seeds.
    fn clocks(&mut self, random: &mut Random) {
        for _ in 0..random.pick(&[0, 0, 0, 0, 0, 1, 1, 2, 3]) {
            let at = random.between(6 * S, self.calm_at);
            let left = self.calm_at - at;
            let lasts = random.pick(&[300 * MS, 2 * S, 12 * S]);
            let lasts = random.between(50 * MS, lasts).min(left);
            if random.chance(500) {
                self.at(at, Fault::Freeze { of: random.pick(&NodeId::BOTH), lasts });
                continue;
            }
            // Real time clocks tell whole seconds; some are wrong by far.
            let ahead = random.pick(&[0, 0, S, 10 * S]);
            let ahead = random.between(0, ahead + 1);
            self.at(at, Fault::Suspend { of: random.pick(&MEMBERS), lasts, ahead });
        }
    }

    fn rare(&mut self, random: &mut Random, at: u64, node: NodeId, lasts: u64) {
        match random.between(0, 4) {
            0 => {
                self.forced = true;
                self.at(at, Fault::Force(node));
            }
            1 => {
                self.at(at, Fault::Ready { of: node, ready: false });
                self.at(at + lasts, Fault::Ready { of: node, ready: true });
            }
            _ => {
                let doubled = random.between(0, 300);
                self.at(at, Fault::Network { loss: random.between(0, 301), doubled, delay: 500 * MS });
            }
        }
    }

    fn crash(&mut self, random: &mut Random, at: u64, node: NodeId) {
        let of = if random.chance(200) { Member::Witness } else { Member::Node(node) };
        let reboot = random.chance(300);
        let back = if reboot { random.between(3 * S, 10 * S) } else { random.between(50 * MS, 8 * S) };
        self.at(at, Fault::Crash { of, back, reboot });
        if random.chance(150) {
            let of = Member::Node(node.peer());
            self.at(at + random.between(0, 3 * S), Fault::Crash { of, back, reboot });
        }
    }

    fn cut(&mut self, random: &mut Random, at: u64, lasts: u64) {
        let from = random.pick(&MEMBERS);
        let to = random.pick(&MEMBERS);
        let pairs: Vec<(Member, Member)> = match random.between(0, 4) {
            // One-way.
            0 => vec![(from, to)],
            // One member from all others.
            1 => MEMBERS.iter().flat_map(|other| [(from, *other), (*other, from)]).collect(),
            _ => vec![(from, to), (to, from)],
        };
        for (from, to) in pairs {
            self.at(at, Fault::Cut { from, to });
            self.at(at + lasts, Fault::Mend { from, to });
        }
    }

    /// All directions go down one after the other, and come back in another order.
    fn swizzle(&mut self, random: &mut Random, at: u64, lasts: u64) {
        for from in MEMBERS {
            for to in MEMBERS {
                let down = at + random.between(0, lasts);
                self.at(down, Fault::Cut { from, to });
                self.at(down + random.between(10 * MS, lasts + 20 * MS), Fault::Mend { from, to });
            }
        }
    }
}
