//! E3: flows and stages.

use super::Code;

const NOT_YET: &str = "";

pub(super) const CODES: &[Code] = &[
    Code {
        code: "E301",
        title: "samples that match no branch would vanish",
        explanation: "The last branch of a `split` is `else`, so that nothing is lost unseen. `else -> drop` says that the \
                      rest is not wanted.",
        wrong: "source s : simulator {\n  tag x at \"constant 5\" : real\n}\nsink out : console { }\nflow f = s -> split {\n  when value > 1 -> out\n}",
        right: "source s : simulator {\n  tag x at \"constant 5\" : real\n}\nsink out : console { }\nflow f = s -> split {\n  when value > 1 -> out\n  else -> drop\n}",
    },
    Code {
        code: "E302",
        title: "a flow goes nowhere",
        explanation: "A flow ends at sinks, or is taken by name at the head of another flow.",
        wrong: "source s : simulator {\n  tag x at \"constant 5\" : real\n}\nflow f = s -> where value > 1",
        right: "source s : simulator {\n  tag x at \"constant 5\" : real\n}\nsink out : console { }\nflow f = s -> where value > 1 -> out",
    },
    Code {
        code: "E303",
        title: "an aggregate needs a window",
        explanation: "`avg`, `max(x)`, `sum` and their relatives fold the samples of a window into one value. Outside of a \
                      window there is nothing to fold. `min(a, b)` and `max(a, b)` compare values of the same moment.",
        wrong: "source s : simulator {\n  tag x at \"constant 5\" : real\n  calc m = avg(x)\n}",
        right: "source s : simulator {\n  tag x at \"constant 5\" : real\n  calc m = max(x, 1)\n}",
    },
    Code {
        code: "E304",
        title: "two windows of one kind in one flow",
        explanation: "Windows keep state under their name. Two of a kind need names of their own (`as fine`, `as coarse`) \
                      so that the state survives an edit. This version refuses windows as a whole (E390).",
        wrong: NOT_YET,
        right: NOT_YET,
    },
    Code {
        code: "E305",
        title: "the result would differ between the two nodes",
        explanation: "Results depend on the samples and their time stamps only, so that both nodes of a pair, a restart and \
                      a replay agree. There is no clock and no random number; `time` is the time stamp of the sample.",
        wrong: "device d {\n  calc t = now()\n}",
        right: "source s : simulator {\n  tag x at \"constant 5\" : real\n  calc t = x.time\n}",
    },
    Code {
        code: "E306",
        title: "a stage needs parentheses",
        explanation: "Behind `->` a bare name is a sink. A stage is written with parentheses, also without arguments.",
        wrong: "source s : simulator {\n  tag x at \"constant 5\" : real\n}\nsink out : console { }\nflow f = s -> changes -> out",
        right: "source s : simulator {\n  tag x at \"constant 5\" : real\n}\nsink out : console { }\nflow f = s -> changes() -> out",
    },
    Code {
        code: "E307",
        title: "names given by `rename` do not work",
        explanation: "`rename` builds a name for every tag from `{device}`, `{tag}`, `{path}`, `{index}` and `{flow}`. Two \
                      tags of one flow must not get the same name, or the destination would mix them up.",
        wrong: "source s : simulator { }\ntemplate T() {\n  tag x at \"constant 5\" : real\n}\ndevice m[1..2] : T() on s\nsink out : console { }\nflow f = m[*] -> rename(\"{tag}\") -> out",
        right: "source s : simulator { }\ntemplate T() {\n  tag x at \"constant 5\" : real\n}\ndevice m[1..2] : T() on s\nsink out : console { }\nflow f = m[*] -> rename(\"{device}_{tag}\") -> out",
    },
    Code {
        code: "E308",
        title: "a selection takes no tag",
        explanation: "The selection is understood, but nothing fits it, or `except` removes all of it. A source means the \
                      tags that stand in the source itself; devices on it are selected by their own names.",
        wrong: "source s : simulator {\n  tag x at \"constant 5\" : real\n}\nsink out : console { }\nflow f = s.y* -> out",
        right: "source s : simulator {\n  tag x at \"constant 5\" : real\n}\nsink out : console { }\nflow f = s.x* -> out",
    },
    Code {
        code: "E310",
        title: "something stands behind the end of a flow",
        explanation: "Sinks and `split` end a flow. What should happen to samples on the way to a sink stands before it.",
        wrong: "source s : simulator {\n  tag x at \"constant 5\" : real\n}\nsink out : console { }\nflow f = s -> out -> changes()",
        right: "source s : simulator {\n  tag x at \"constant 5\" : real\n}\nsink out : console { }\nflow f = s -> changes() -> out",
    },
    Code {
        code: "E311",
        title: "there is no such stage",
        explanation: "The stages are `where`, `changes`, `sample`, `rename` and `split`.",
        wrong: "source s : simulator {\n  tag x at \"constant 5\" : real\n}\nsink out : console { }\nflow f = s -> chnages() -> out",
        right: "source s : simulator {\n  tag x at \"constant 5\" : real\n}\nsink out : console { }\nflow f = s -> changes() -> out",
    },
    Code {
        code: "E390",
        title: "this part of the language is not available in this version yet",
        explanation: "The program is right, but this version cannot run that part: windows, alarms and their events, \
                      functions that remember earlier samples, writes to devices, `test` blocks, `moved`, `path` of a \
                      device, and `index` in a flow. Nothing is silently left out: take the part out to run the rest.",
        wrong: "source s : simulator {\n  tag x at \"constant 5\" : real\n  alarm high when x > 5\n}",
        right: "source s : simulator {\n  tag x at \"constant 5\" : real\n  calc high = x > 5\n}",
    },
];
