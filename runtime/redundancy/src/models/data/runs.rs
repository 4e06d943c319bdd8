//! The configurations that are checked, and which of them finds which broken rule.

use super::Pair;
use crate::mirror::MirrorMode;
use crate::models::runs::{
    Mutant, Run, find, large, list, long, long_hold, mutant, promise_less, short, short_hold,
};

const FINE: Pair = Pair { slots: 2, ..Pair::HOT };
const FEW: Pair = Pair { slots: 2, ..Pair::FEW };
const WARM: Pair = Pair { hot: false, ..FEW };

/// In a name: k slots, c crashes, f failed reads, n cuts of the link.
const RUNS: &[Run<Pair>] = &[
    short("fine-k3", Pair { slots: 3, ..FINE }),
    short("fine-k2-c1", Pair { crashes_max: 1, ..FINE }),
    short("fine-k2-n1-f1", Pair { cuts_max: 1, fails_max: 1, ..FINE }),
    short("fine-warm-k2-c1", Pair { crashes_max: 1, hot: false, ..FINE }),
    short("fine-memory-k2-c1", Pair { crashes_max: 1, mode: MirrorMode::Memory, ..FINE }),
    short("hot-k3-c1-f1", Pair { slots: 3, crashes_max: 1, fails_max: 1, ..FEW }),
    short("hot-k2-c1-n1-f1", Pair { crashes_max: 1, cuts_max: 1, fails_max: 1, ..FEW }),
    short("hot-k2-c2", Pair { crashes_max: 2, ..FEW }),
    short("hot-k2-c2-n1", Pair { crashes_max: 2, cuts_max: 1, ..FEW }),
    short("hot-k2-n2", Pair { cuts_max: 2, ..FEW }),
    short("hot-2tags-k1-c1-f2", Pair { slots: 1, tags: 2, crashes_max: 1, fails_max: 2, ..FEW }),
    short("hot-slow-k2-c1", Pair { crashes_max: 1, slow_peer: true, ..FEW }),
    short("hot-destroyed-k2-c2", Pair { crashes_max: 2, destroy: true, ..FEW }),
    short("hot-replaced-k2-c2", Pair { crashes_max: 2, destroy: true, replace: true, ..FEW }),
    short("hot-damaged-k2-c1", Pair { crashes_max: 1, damage: true, ..FEW }),
    short("hot-shadow-in-memory-k2-c2", Pair { crashes_max: 2, shadow_survives: false, ..FEW }),
    short("warm-k2-c2", Pair { crashes_max: 2, ..WARM }),
    long("hot-k3-c2-n1", Pair { slots: 3, crashes_max: 2, cuts_max: 1, ..FEW }),
    long("hot-k2-c2-n1-f1", Pair { crashes_max: 2, cuts_max: 1, fails_max: 1, ..FEW }),
    long("hot-k2-c2-n2", Pair { crashes_max: 2, cuts_max: 2, ..FEW }),
    long("hot-k3-c2-f1", Pair { slots: 3, crashes_max: 2, fails_max: 1, ..FEW }),
    large("hot-k2-c3-f1", Pair { crashes_max: 3, fails_max: 1, ..FEW }),
    long("hot-damaged-k2-c2-f1", Pair { crashes_max: 2, fails_max: 1, damage: true, ..FEW }),
    long("hot-k3-destroyed-c2", Pair { slots: 3, crashes_max: 2, destroy: true, ..FEW }),
    long("warm-k3-c2-n1", Pair { slots: 3, crashes_max: 2, cuts_max: 1, ..WARM }),
    long("fine-k3-c1-f1", Pair { slots: 3, crashes_max: 1, fails_max: 1, ..FINE }),
    long("fine-k2-c2", Pair { crashes_max: 2, ..FINE }),
];

/// Configurations that promise less, and the property they break.
const WEAKER: &[(Run<Pair>, &str)] = &[
    (short("local-k2-c1-f1", Pair { crashes_max: 1, fails_max: 1, mode: MirrorMode::Local, ..FEW }), "D2"),
    (short("no-fill-k2-f1", Pair { fails_max: 1, fill: false, ..FEW }), "D1"),
];

/// Found inside, by an invariant, and most of them from outside, by what is delivered, too.
const MUTANTS: &[Mutant] = &[
    mutant("trim_beyond_arrived", "fine-k2-c1", "I11"),
    mutant("trim_beyond_arrived", "hot-k2-c1-n1-f1", "D1"),
    mutant("trim_on_delivered", "fine-k2-c1", "I11"),
    mutant("trim_on_delivered", "hot-k2-c1-n1-f1", "D1"),
    mutant("cursor_before_acknowledgement", "fine-k2-c1", "I14"),
    mutant("cursor_before_acknowledgement", "hot-k2-c1-n1-f1", "D1"),
    mutant("delivered_beyond_log", "fine-k2-c1", "I14"),
    mutant("takeover_drops_shadow", "fine-k2-c1", "I11"),
    mutant("takeover_drops_shadow", "hot-k2-c1-n1-f1", "D1"),
    mutant("takeover_drops_tails", "hot-k2-c2", "I11"),
    mutant("takeover_drops_tails", "hot-destroyed-k2-c2", "D1"),
    mutant("rejoin_truncates", "fine-k2-c1", "I11"),
    mutant("rejoin_truncates", "hot-k2-c1-n1-f1", "D1"),
    mutant("rejoin_truncates", "fine-warm-k2-c1", "D1"),
    mutant("tail_removed_before_durable", "fine-k2-c1", "I11"),
    mutant("tail_removed_before_durable", "hot-k2-c1-n1-f1", "D1"),
    mutant("stale_not_flagged", "hot-k2-c1-n1-f1", "D2"),
    mutant("mark_ignored", "hot-k2-c1-n1-f1", "D2"),
    mutant("mark_cleared_before_paired", "fine-k2-n1-f1", "I13"),
    mutant("gate_open_while_clearing", "fine-k2-n1-f1", "I13"),
    mutant("gate_open_while_clearing", "hot-k2-c1-n1-f1", "D2"),
    mutant("unreplicated_without_mark", "fine-k2-c1", "I13"),
    mutant("unreplicated_without_mark", "hot-k2-c1-n1-f1", "D2"),
    mutant("deliver_before_replicate", "fine-k3", "I13"),
    mutant("deliver_before_replicate", "hot-k2-c1-n1-f1", "D2"),
    mutant("received_counts_as_durable", "fine-k3", "I13"),
    mutant("no_peer_fill", "fine-k2-n1-f1", "D1"),
    mutant("fill_not_flagged", "fine-k2-n1-f1", "D2"),
    mutant("fill_overwrites_canonical", "hot-2tags-k1-c1-f2", "I21"),
    mutant("hash_not_checked", "hot-damaged-k2-c1", "I12"),
    mutant("hash_not_checked", "hot-damaged-k2-c1", "D1"),
    mutant("unfinished_copy_not_flagged", "hot-damaged-k2-c2-f1", "D2"),
];

pub fn names() -> impl Iterator<Item = &'static str> {
    RUNS.iter().map(|run| run.name)
}

#[test]
fn short_models_hold() {
    short_hold(RUNS);
}

#[test]
fn long_models_hold() {
    long_hold(RUNS);
}

#[test]
fn what_promises_less_breaks_what_it_does_not_promise() {
    promise_less(WEAKER);
}

#[test]
fn mutants_are_listed() {
    list(MUTANTS, RUNS);
}

#[test]
fn mutant_is_found() {
    let looking = |mutant: &Mutant, pair| Pair { from_outside: mutant.property.starts_with('D'), ..pair };
    find(MUTANTS, RUNS, looking);
}
