//! What a scenario is: a name, steps, and what is allowed. Data alone; [`crate::runner`] does it, `table.rs` lists all.

use crate::plant::Disk;

/// Who a step is about, as roles are when the step begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Who {
    Active,
    Standby,
    Both,
}

/// A part of the network.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Part {
    /// Both links between the nodes.
    Links,
    /// One of them, by the seed.
    OneLink,
    ActiveToStandby,
    StandbyToActive,
    /// Everything of a node: links, witness, devices, broker. What proxies do not carry stays.
    Active,
    Standby,
    Witness,
    WitnessAndLinks,
}

/// One thing that is done. Times are milliseconds; a pair of them is drawn from.
#[derive(Clone, Debug)]
pub enum Step {
    Pause(u64, u64),
    Kill(Who),
    /// Kills the worker of a node that has a guard, which starts another.
    KillWorker(Who),
    KillWitness,
    /// Starts all members that do not run.
    StartAll,
    /// Stops a node where it stands, for so long.
    Freeze(Who, u64),
    /// A node gets so many percent of its time.
    Starve {
        who: Who,
        percent: u64,
        ms: u64,
    },
    Cut(Part),
    Lose {
        percent: u8,
    },
    /// Datagrams come twice and late; through proxies only.
    Mangle {
        twice_percent: u8,
        late_ms: u16,
    },
    Heal,
    /// Both links go and come once a second.
    Flap {
        seconds: u64,
    },
    /// All ways are cut in random order and healed in random order.
    Swizzle,
    /// A node's clock goes ahead or back by so much, by the seed.
    Clock {
        who: Who,
        hours: i64,
    },
    Fill(Who),
    Empty(Who),
    /// The next sync of a node's files fails.
    FailSync(Who),
    /// A node is gone with all that its disk was not told to keep.
    PowerCut(Who),
    /// An operator moves the graph, so often.
    Switchover {
        times: u32,
    },
    /// Crashes at random moments while the graph moves, so often.
    CrashInMove {
        times: u32,
    },
    /// From now on neither destination takes anything.
    Hold,
    /// They take again.
    Release,
    /// The database forgets how far it has everything; a control.
    ForgetCursor,
    /// A node loses its store while it is down.
    Wipe(Who),
    /// Datagrams of somebody else, so many.
    Forge {
        datagrams: usize,
    },
    /// The program changes, and at a random moment of that the active dies.
    ApplyAndKill,
    /// New samples arrive at all destinations.
    Delivered,
    /// One is active, the other in step.
    Redundant,
}

/// Whether slots may be absent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Missing {
    Never,
    /// Never with a standby that reads; else while things are disturbed.
    IfCold,
    /// While things are disturbed: nobody could read or store.
    Disturbed,
}

/// What is allowed.
#[derive(Clone, Debug)]
pub struct Expect {
    pub missing: Missing,
    pub switches: (u64, u64),
    /// Longest gap of a stream and longest failover, in milliseconds on a quiet machine, by profile: fast, default.
    pub gap_ms: (u64, u64),
    /// Its time until new samples is a failover.
    pub is_failover: bool,
    /// Exit codes of nodes that end by themselves.
    pub exits: &'static [i32],
}

/// What a scenario needs of the machine.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Needs {
    Nothing,
    /// Namespaces or mounts.
    Root,
    Faketime,
    Strace,
    /// Proxies, whatever the others run in.
    Proxies,
}

#[derive(Clone, Debug)]
pub struct Scenario {
    pub id: &'static str,
    pub what: &'static str,
    pub steps: Vec<Step>,
    pub expect: Expect,
    pub needs: Needs,
    pub disk: Disk,
    pub load: bool,
    /// Nodes run below a guard.
    pub is_guarded: bool,
    /// So long that it is run only when it is named.
    pub on_demand: bool,
}

impl Scenario {
    pub fn new(id: &'static str, what: &'static str, steps: Vec<Step>, expect: Expect) -> Scenario {
        Scenario {
            id,
            what,
            steps,
            expect,
            needs: Needs::Nothing,
            disk: Disk::Plain,
            load: false,
            is_guarded: false,
            on_demand: false,
        }
    }

    /// Its steps so often, one after the other.
    pub fn times(self, times: u64) -> Scenario {
        let (least, most) = self.expect.switches;
        Scenario { expect: self.expect.switches(least * times, most * times), ..self }
    }

    pub fn needs(self, needs: Needs) -> Scenario {
        Scenario { needs, ..self }
    }

    pub fn on(self, disk: Disk) -> Scenario {
        Scenario { disk, needs: Needs::Root, ..self }
    }

    pub fn on_demand(self) -> Scenario {
        Scenario { on_demand: true, ..self }
    }

    pub fn guarded(self) -> Scenario {
        Scenario { is_guarded: true, ..self }
    }

    pub fn loaded(self) -> Scenario {
        Scenario { load: true, ..self }
    }
}

impl Expect {
    /// Nothing is to be seen of the fault.
    pub fn calm() -> Expect {
        Expect {
            missing: Missing::Never,
            switches: (0, 0),
            gap_ms: (1_000, 2_500),
            is_failover: false,
            exits: &[],
        }
    }

    /// The peer takes over, once.
    pub fn failover() -> Expect {
        Expect {
            missing: Missing::IfCold,
            switches: (1, 1),
            gap_ms: (1_500, 3_000),
            is_failover: true,
            exits: &[],
        }
    }

    pub fn missing(self, missing: Missing) -> Expect {
        Expect { missing, ..self }
    }

    pub fn switches(self, least: u64, most: u64) -> Expect {
        Expect { switches: (least, most), ..self }
    }

    /// Nobody need take over at once: the time until new samples says nothing.
    pub fn unmeasured(self) -> Expect {
        Expect { is_failover: false, ..self }
    }

    /// Longer gaps by so much.
    pub fn longer(self, ms: u64) -> Expect {
        Expect { gap_ms: (self.gap_ms.0 + ms, self.gap_ms.1 + ms), ..self }
    }

    pub fn exits(self, exits: &'static [i32]) -> Expect {
        Expect { exits, ..self }
    }
}
