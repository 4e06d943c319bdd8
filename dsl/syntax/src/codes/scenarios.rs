//! E8: `test` blocks.

use super::Code;

pub(super) const CODES: &[Code] = &[
    Code {
        code: "E801",
        title: "a test that proves nothing",
        explanation: "A test needs at least one expectation, and what it expects must depend on something it feeds: \
                      otherwise it passes or fails whatever the program does.",
        wrong: "source s : simulator {\n  tag x at \"constant 5\" : real kW\n}\nsink out : console { journal { full = drop_oldest } }\nflow f = s -> out\ntest \"t\" {\n  at 0 s: s.x = 3 kW\n}",
        right: "source s : simulator {\n  tag x at \"constant 5\" : real kW\n}\nsink out : console { journal { full = drop_oldest } }\nflow f = s -> out\ntest \"t\" {\n  at 0 s: s.x = 3 kW\n  at 1 s: expect s.x = 3 kW\n}",
    },
    Code {
        code: "E802",
        title: "a test can only feed what is read from a device",
        explanation: "Calcs, alarms and rows are computed by the program; a test feeds the tags they are computed from \
                      and expects the result.",
        wrong: "source s : simulator {\n  tag x at \"constant 5\" : real kW\n  calc twice : real kW = x * 2\n}\nsink out : console { journal { full = drop_oldest } }\nflow f = s -> out\ntest \"t\" {\n  at 0 s: s.twice = 6 kW\n  at 1 s: expect s.twice = 6 kW\n}",
        right: "source s : simulator {\n  tag x at \"constant 5\" : real kW\n  calc twice : real kW = x * 2\n}\nsink out : console { journal { full = drop_oldest } }\nflow f = s -> out\ntest \"t\" {\n  at 0 s: s.x = 3 kW\n  at 1 s: expect s.twice = 6 kW\n}",
    },
    Code {
        code: "E803",
        title: "the time line of a test is wrong",
        explanation: "Times are counted from the start of the test: not negative, at most ten years. `at a to b every c` \
                      needs a before b and a positive c, and gives at most 100,000 steps.",
        wrong: "source s : simulator {\n  tag x at \"constant 5\" : real kW\n}\nsink out : console { journal { full = drop_oldest } }\nflow f = s -> out\ntest \"t\" {\n  at 9 s to 5 s every 1 s: s.x = 3 kW\n  at 10 s: expect s.x = 3 kW\n}",
        right: "source s : simulator {\n  tag x at \"constant 5\" : real kW\n}\nsink out : console { journal { full = drop_oldest } }\nflow f = s -> out\ntest \"t\" {\n  at 5 s to 9 s every 1 s: s.x = 3 kW\n  at 10 s: expect s.x = 3 kW\n}",
    },
];
