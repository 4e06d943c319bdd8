//! W6 and N7: what is allowed but worth a look.

use super::Code;

pub(super) const CODES: &[Code] = &[
    Code {
        code: "W601",
        title: "`block` cannot hold back a polled source",
        explanation: "With `full = block` a sink stops when its journal is full, and sources that can keep samples are \
                      paused. A polled device keeps nothing: when the input log is at its bound too, new samples of this \
                      sink are lost and counted. `drop_oldest` says so openly.",
        wrong: "source s : simulator {\n  tag x at \"constant 5\" : real\n}\nsink out : console { journal { full = block } }\nflow f = s -> out",
        right: "source s : simulator {\n  tag x at \"constant 5\" : real\n}\nsink out : console { journal { full = drop_oldest } }\nflow f = s -> out",
    },
    Code {
        code: "W602",
        title: "this looks like a rename",
        explanation: "A sink or device disappears and another one with the same settings appears. Names are identities: to \
                      keep state and journal write `moved old -> new`. `gwp plan` raises it, when it compares two programs.",
        wrong: "",
        right: "",
    },
    Code {
        code: "W603",
        title: "a source starts cold",
        explanation: "On the standby node a cold source is not connected. After a takeover its tags are bad until it has \
                      connected, which can take longer than the takeover promised in `gateway`. `standby = warm` keeps \
                      the connection.",
        wrong: "gateway g { takeover = 2 s }\nsource s : simulator {\n  standby = cold\n}",
        right: "gateway g { takeover = 2 s }\nsource s : simulator {\n  standby = warm\n}",
    },
    Code {
        code: "W604",
        title: "nothing flows into a sink",
        explanation: "The sink is declared and connected, but no flow ends in it and no other sink names it as its dead \
                      letter.",
        wrong: "sink out : console { }",
        right: "sink out : console { }\nsource s : simulator {\n  tag x at \"constant 5\" : real\n}\nflow f = s -> out",
    },
    Code {
        code: "W605",
        title: "two writes set one tag",
        explanation: "Each write has limits and an audit of its own. Where two of them set the same tag, the device has what \
                      came last, and the `limit` of neither holds for both together.",
        wrong: "source scada : reporter { }\nsource plc : modbus_tcp {\n  address = \"10.0.0.5:502\"\n  tag limit at \"40001\" : real kW range 0..500 kW writable\n}\nsink out : console { journal { full = drop_oldest } }\nflow f = plc, set_limit, again -> out\nwrite set_limit to plc.limit from scada at \"plc/limit/set\" { allow = 50 kW..400 kW }\nwrite again to plc.limit from scada at \"plc/limit/again\" { allow = 1 kW..2 kW }",
        right: "source scada : reporter { }\nsource plc : modbus_tcp {\n  address = \"10.0.0.5:502\"\n  tag limit at \"40001\" : real kW range 0..500 kW writable\n}\nsink out : console { journal { full = drop_oldest } }\nflow f = plc, set_limit -> out\nwrite set_limit to plc.limit from scada at \"plc/limit/set\" { allow = 50 kW..400 kW }",
    },
    Code {
        code: "W606",
        title: "a unit that is easily taken for a temperature",
        explanation: "`C` is the coulomb and `F` the farad, as in the SI; degrees are written `degC` and `degF`. If a charge or a \
                      capacity is meant, `A.s` and `s/Ohm` say the same without a doubt, and units with a prefix (`mC`, `uF`) are \
                      never asked about.",
        wrong: "source s : simulator {\n  tag oil at \"constant 5\" : real C\n}\nsink out : console { journal { full = drop_oldest } }\nflow f = s -> out",
        right: "source s : simulator {\n  tag oil at \"constant 5\" : real degC\n}\nsink out : console { journal { full = drop_oldest } }\nflow f = s -> out",
    },
    Code {
        code: "W607",
        title: "a percentage is multiplied by 100",
        explanation: "`%` is a unit of the size 0.01: a ratio that is declared as `real %` is converted by itself, so 1 becomes 100 %. \
                      Times 100 it becomes 10000 %.",
        wrong: "source s : simulator {\n  tag made at \"constant 5\" : real\n  tag all at \"constant 10\" : real\n  calc share : real % = made / all * 100\n}\nsink out : console { journal { full = drop_oldest } }\nflow f = s -> out",
        right: "source s : simulator {\n  tag made at \"constant 5\" : real\n  tag all at \"constant 10\" : real\n  calc share : real % = made / all\n}\nsink out : console { journal { full = drop_oldest } }\nflow f = s -> out",
    },
    Code {
        code: "N701",
        title: "a journal drops its oldest samples when it is full",
        explanation: "Nothing says what the journal of this sink does at its bound, so the default holds: 1 GB, 7 d, the \
                      oldest samples go first. Write it out, so that a reader of the program knows.",
        wrong: "source s : simulator {\n  tag x at \"constant 5\" : real\n}\nsink out : console { }\nflow f = s -> out",
        right: "source s : simulator {\n  tag x at \"constant 5\" : real\n}\nsink out : console { journal { full = drop_oldest } }\nflow f = s -> out",
    },
    Code {
        code: "N702",
        title: "outcomes of a write reach no sink",
        explanation: "What becomes of each command (done, confirmed, refused, failed) is a text under the name of the write. \
                      A flow such as `flow audit = set_limit -> sink` delivers it; without one only the log of the gateway has it.",
        wrong: "source scada : reporter { }\nsource plc : modbus_tcp {\n  address = \"10.0.0.5:502\"\n  tag limit at \"40001\" : real kW range 0..500 kW writable\n}\nsink out : console { journal { full = drop_oldest } }\nflow f = plc -> out\nwrite set_limit to plc.limit from scada at \"plc/limit/set\" { allow = 50 kW..400 kW }",
        right: "source scada : reporter { }\nsource plc : modbus_tcp {\n  address = \"10.0.0.5:502\"\n  tag limit at \"40001\" : real kW range 0..500 kW writable\n}\nsink out : console { journal { full = drop_oldest } }\nflow f = plc, set_limit -> out\nwrite set_limit to plc.limit from scada at \"plc/limit/set\" { allow = 50 kW..400 kW }",
    },
];
