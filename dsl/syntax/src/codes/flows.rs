//! E3: flows and stages.

use super::Code;

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
                      window (`-> every 1 min { }`) there is nothing to fold. `min(a, b)` and `max(a, b)` compare values of the same moment.",
        wrong: "source s : simulator {\n  tag x at \"constant 5\" : real\n  calc m = avg(x)\n}",
        right: "source s : simulator {\n  tag x at \"constant 5\" : real\n  calc m = max(x, 1)\n}",
    },
    Code {
        code: "E304",
        title: "two windows make rows of one name",
        explanation: "Windows keep state under their name, which is that of the flow. Two need names of their own (`as fine`, `as coarse`) \
                      so that the state survives an edit and their columns have tags of their own: \
                      `device.coarse.a`. The same holds for windows of two flows.",
        wrong: "source s : simulator {\n  tag x at \"constant 5\" : real\n  tag n at \"constant 5\" : udint counter\n}\nsink out : console { }\nflow f = s.x -> split {\n  when value > 1 -> every 1 min { a = avg(x) } -> out\n  else -> every 1 min { a = avg(x) } -> out\n}",
        right: "source s : simulator {\n  tag x at \"constant 5\" : real\n  tag n at \"constant 5\" : udint counter\n}\nsink out : console { }\nflow f = s.x -> split {\n  when value > 1 -> every 1 min as high { a = avg(x) } -> out\n  else -> every 1 min as low { a = avg(x) } -> out\n}",
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
        explanation: "The stages are `where`, `changes`, `sample`, `rename`, `split` and the windows `every`, `on` and `while`.",
        wrong: "source s : simulator {\n  tag x at \"constant 5\" : real\n}\nsink out : console { }\nflow f = s -> chnages() -> out",
        right: "source s : simulator {\n  tag x at \"constant 5\" : real\n}\nsink out : console { }\nflow f = s -> changes() -> out",
    },
    Code {
        code: "E312",
        title: "a function that remembers stands where nothing is remembered",
        explanation: "`rate`, `on_delay`, `previous` and their relatives keep something of earlier samples. They stand in calcs, alarms and \
                      windows, whose state has a name and survives a restart; `where` and `split` look at one sample. Make \
                      a calc of it and use the calc in the stage.",
        wrong: "source s : simulator {\n  tag x at \"constant 5\" : real\n  tag n at \"constant 5\" : udint counter\n}\nsink out : console { }\nflow f = s -> where rising(x > 1) -> out",
        right: "source s : simulator {\n  tag x at \"constant 5\" : real\n  calc rises = rising(x > 1)\n}\nsink out : console { }\nflow f = s.x -> where s.rises -> out",
    },
    Code {
        code: "E313",
        title: "a value per window stands where samples are needed",
        explanation: "Aggregates fold samples, and functions that remember follow samples. Another aggregate, or a column, has one value \
                      per window: give it a column of its own and compute with the columns.",
        wrong: "source s : simulator {\n  tag x at \"constant 5\" : real\n  tag n at \"constant 5\" : udint counter\n}\nsink out : console { }\nflow f = s -> every 1 min { a = avg(max(x)) } -> out",
        right: "source s : simulator {\n  tag x at \"constant 5\" : real\n  tag n at \"constant 5\" : udint counter\n}\nsink out : console { }\nflow f = s -> every 1 min { a = avg(x), b = max(x) - a } -> out",
    },
    Code {
        code: "E314",
        title: "a window cannot stand here",
        explanation: "A window takes samples. Rows, which an earlier window or an alarm makes, cannot be folded again. And all samples of a \
                      row pass the same stages: tags that come on different ways get a flow each, or windows by device.",
        wrong: "source s : simulator {\n  tag x at \"constant 5\" : real\n  tag n at \"constant 5\" : udint counter\n}\nsink out : console { }\nflow f = s -> every 1 min { a = avg(x) } -> every 1 h { b = max(a) } -> out",
        right: "source s : simulator {\n  tag x at \"constant 5\" : real\n  tag n at \"constant 5\" : udint counter\n}\nsink out : console { }\nflow f = s -> every 1 h { a = avg(x) } -> out",
    },
    Code {
        code: "E315",
        title: "`increase` needs a counter",
        explanation: "`increase` adds up what a counter gains: a fall means that it was reset or has wrapped. Of a value that rises and \
                      falls the result would be wrong without any sign of it, so the tag has to say that it counts: \
                      `counter`, or `counter 0..65535` if it wraps.",
        wrong: "source s : simulator {\n  tag x at \"constant 5\" : real\n  tag n at \"constant 5\" : udint counter\n}\nsink out : console { }\nflow f = s -> every 1 min { a = increase(x) } -> out",
        right: "source s : simulator {\n  tag x at \"constant 5\" : real\n  tag n at \"constant 5\" : udint counter\n}\nsink out : console { }\nflow f = s -> every 1 min { a = increase(n) } -> out",
    },
    Code {
        code: "E316",
        title: "a window is not put together like this",
        explanation: "Windows of `every` follow the calendar: their length divides a day, or is whole days (7 d begin on Monday) or months \
                      (`every 1 month`). `at`, `in`, `over` and `revise` belong to `every`; `by device` is the only way to \
                      divide a window; `as` gives its rows a name.",
        wrong: "source s : simulator {\n  tag x at \"constant 5\" : real\n  tag n at \"constant 5\" : udint counter\n}\nsink out : console { }\nflow f = s -> every 7 h { a = avg(x) } -> out",
        right: "source s : simulator {\n  tag x at \"constant 5\" : real\n  tag n at \"constant 5\" : udint counter\n}\nsink out : console { }\nflow f = s -> every 8 h at 06:00 { a = avg(x) } -> out",
    },
];
