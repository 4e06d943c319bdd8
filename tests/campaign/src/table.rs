//! All scenarios. Numbers are kept for good, as figures of former campaigns name them.

use crate::plant::Disk;
use crate::scenario::{Expect, Missing, Needs, Part, Scenario, Step, Who};
use Step::{
    ApplyAndKill, Clock, CrashInMove, Cut, Delivered, Empty, FailSync, Fill, Flap, Forge, Freeze, Heal, Hold,
    Kill, KillWitness, KillWorker, Lose, Mangle, Pause, PowerCut, Redundant, Release, StartAll, Starve,
    Switchover, Swizzle, Wipe,
};

/// How long a network stays broken: longer than any lease of the profiles `fast` and `default`.
const BROKEN_MS: u64 = 5_000;

pub fn all() -> Vec<Scenario> {
    let mut all = processes();
    all.extend(networks());
    all.extend(clocks_and_disks());
    all.extend(operations());
    all
}

fn processes() -> Vec<Scenario> {
    let frozen = |id, what, ms: u64, most| {
        let least = u64::from(ms >= 2_000);
        let expect = Expect::failover().switches(least, most).longer(ms.min(5_000));
        Scenario::new(id, what, vec![Freeze(Who::Active, ms), Delivered], expect)
    };
    vec![
        Scenario::new(
            "S01",
            "kill -9 of the active",
            vec![Kill(Who::Active), Delivered, Pause(0, 1_000), StartAll],
            Expect::failover(),
        ),
        Scenario::new(
            "S01g",
            "kill -9 of the active's worker, below its guard",
            vec![KillWorker(Who::Active), Delivered],
            Expect::failover(),
        )
        .guarded(),
        Scenario::new(
            "S02",
            "kill -9 of the standby",
            vec![Kill(Who::Standby), Delivered, Pause(0, 1_000), StartAll],
            Expect::calm(),
        ),
        Scenario::new(
            "S03",
            "kill -9 of the witness",
            vec![KillWitness, Pause(3_000, 4_000), StartAll],
            Expect::calm(),
        ),
        Scenario::new(
            "S04",
            "kill -9 of both nodes",
            vec![Kill(Who::Both), Pause(0, 1_000), StartAll, Delivered],
            Expect::failover().missing(Missing::Disturbed).switches(1, 2).longer(8_000),
        ),
        frozen("S05a", "active stopped for 0.3 s", 300, 0),
        frozen("S05b", "active stopped for 1 s", 1_000, 1),
        frozen("S05c", "active stopped for 5 s", 5_000, 1),
        frozen("S05d", "active stopped for 60 s", 60_000, 1),
        Scenario::new(
            "S06",
            "active with 5 % of its time for 10 s",
            vec![Starve { who: Who::Active, percent: 5, ms: 10_000 }, Delivered],
            Expect::failover().switches(0, 4).longer(10_000).unmeasured(),
        ),
    ]
}

fn cut(id: &'static str, what: &'static str, part: Part, expect: Expect) -> Scenario {
    let steps = vec![Cut(part), Pause(BROKEN_MS, BROKEN_MS + 1_000), Heal, Delivered];
    Scenario::new(id, what, steps, expect)
}

fn networks() -> Vec<Scenario> {
    let calm = Expect::calm;
    let noise = |step| vec![step, Pause(8_000, 9_000), Heal, Delivered];
    vec![
        cut("S07", "both links cut", Part::Links, calm()),
        cut("S08", "one link cut", Part::OneLink, calm()),
        cut("S09", "links cut from active to standby", Part::ActiveToStandby, calm()),
        cut("S10", "links cut from standby to active", Part::StandbyToActive, calm()),
        cut("S11", "active isolated", Part::Active, Expect::failover()),
        cut("S12", "standby isolated", Part::Standby, calm()),
        cut("S13", "witness isolated", Part::Witness, calm()),
        cut(
            "S14",
            "witness and both links cut",
            Part::WitnessAndLinks,
            Expect::failover().switches(1, 2).longer(BROKEN_MS + 2_000),
        ),
        Scenario::new("S15", "30 % loss on both links", noise(Lose { percent: 30 }), calm()),
        Scenario::new(
            "S15l",
            "30 % loss on both links for ten minutes",
            vec![Lose { percent: 30 }, Pause(600_000, 600_000), Heal, Delivered],
            calm(),
        )
        .on_demand(),
        Scenario::new(
            "S16",
            "20 % of datagrams twice, all late by up to 150 ms",
            noise(Mangle { twice_percent: 20, late_ms: 150 }),
            calm(),
        )
        .needs(Needs::Proxies),
        Scenario::new("S17", "both links flap once a second", vec![Flap { seconds: 10 }, Delivered], calm()),
        Scenario::new(
            "S18",
            "all ways cut and healed in random order",
            vec![Swizzle, Heal, Delivered],
            Expect::failover().switches(0, 4).longer(15_000).unmeasured(),
        ),
    ]
}

fn clocks_and_disks() -> Vec<Scenario> {
    let full = |id, what, who, expect| {
        let steps = vec![Fill(who), Pause(4_000, 5_000), Empty(who), Delivered];
        Scenario::new(id, what, steps, expect).on(Disk::Small)
    };
    let waits = || Expect::failover().missing(Missing::Disturbed).switches(0, 2).longer(12_000).unmeasured();
    let clock = |id, what, who| {
        let steps = vec![Clock { who, hours: 3 }, Pause(3_000, 4_000), Delivered];
        Scenario::new(id, what, steps, Expect::calm()).needs(Needs::Faketime)
    };
    vec![
        clock("S19a", "the active's clock jumps by three hours", Who::Active),
        clock("S19b", "the standby's clock jumps by three hours", Who::Standby),
        // The active waits for room; moving the graph away for that is not there yet.
        full("S20a", "disk of the active full", Who::Active, waits()),
        full("S20b", "disk of the standby full", Who::Standby, waits()),
        full("S20c", "disks of both full", Who::Both, waits()),
        Scenario::new(
            "S21a",
            "a sync of the active's files fails",
            vec![FailSync(Who::Active), Delivered],
            Expect::failover().switches(1, 2).exits(&[3]).longer(2_000).unmeasured(),
        )
        .needs(Needs::Strace),
        Scenario::new(
            "S21b",
            "a sync of the standby's files fails",
            vec![FailSync(Who::Standby), Delivered],
            Expect::calm().exits(&[3]).longer(2_000),
        )
        .needs(Needs::Strace),
        Scenario::new(
            "S22a",
            "power cut at the active",
            vec![PowerCut(Who::Active), Delivered, StartAll],
            Expect::failover(),
        )
        .on(Disk::Image),
        Scenario::new(
            "S22b",
            "power cut at both, with a backlog",
            vec![Hold, Pause(3_000, 4_000), PowerCut(Who::Both), StartAll, Release, Delivered],
            Expect::failover().missing(Missing::Disturbed).switches(1, 2).longer(9_000),
        )
        .on(Disk::Image),
    ]
}

fn operations() -> Vec<Scenario> {
    vec![
        Scenario::new(
            "S29",
            "ten switchovers under load",
            vec![Switchover { times: 10 }],
            Expect::failover().switches(10, 10),
        )
        .loaded(),
        Scenario::new(
            "S31",
            "the active dies in a change of the program",
            vec![ApplyAndKill],
            Expect::failover(),
        ),
        Scenario::new(
            "S34",
            "a standby without a store comes to a backlog",
            vec![
                Kill(Who::Standby),
                Wipe(Who::Standby),
                Hold,
                Pause(12_000, 15_000),
                StartAll,
                Redundant,
                Release,
                Delivered,
            ],
            Expect::calm(),
        )
        .loaded(),
        Scenario::new(
            "S36",
            "datagrams forged, repeated, cut short; noise",
            vec![Forge { datagrams: 20_000 }, Delivered],
            Expect::calm(),
        )
        .needs(Needs::Proxies),
        Scenario::new(
            "S38",
            "crashes at random moments of a move",
            vec![CrashInMove { times: 4 }],
            // Now and then both are down.
            Expect::failover().missing(Missing::Disturbed).switches(4, 12).longer(8_000),
        ),
    ]
}
