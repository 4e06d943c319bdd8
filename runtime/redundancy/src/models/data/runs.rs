//! The configurations that are checked, and which of them finds which broken rule.

use super::Pair;
use crate::mirror::MirrorMode;
use crate::models::explore::explore;

#[cfg(not(mutant))]
#[test]
fn try_it() {
    let of = |name: &str, pair| {
        let e = explore(name, pair);
        for v in &e.violated {
            println!("  {}", v.property);
            for s in &v.steps {
                println!("    {s}");
            }
        }
    };
    of("nothing fails", Pair::HOT);
    of("hot 1 crash", Pair { crashes_max: 1, ..Pair::HOT });
    of("warm 1 crash", Pair { crashes_max: 1, ..Pair::WARM });
    of("hot 1 cut 1 fail", Pair { cuts_max: 1, fails_max: 1, ..Pair::HOT });
    of("hot 1 crash 1 fail", Pair { crashes_max: 1, fails_max: 1, slots: 2, ..Pair::HOT });
    let c = Pair { fine: false, ..Pair::HOT };
    of("coarse hot 1 crash", Pair { crashes_max: 1, ..c });
    of("coarse hot 1 cut 1 fail", Pair { cuts_max: 1, fails_max: 1, ..c });
    of("coarse hot 1 crash 1 fail", Pair { crashes_max: 1, fails_max: 1, ..c });
    of("coarse hot 2 crash", Pair { crashes_max: 2, slots: 2, ..c });
    let _ = MirrorMode::Local;
}
