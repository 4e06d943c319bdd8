//! E1: names, files, families and bounds.

use super::Code;

pub(super) const CODES: &[Code] = &[
    Code {
        code: "E101",
        title: "nothing has this name here",
        explanation: "A bare name in an expression means a parameter, a member of the same device, or a constant. A \
                      member of another device is written `device.member`. Capital letters matter.",
        wrong: "source s : simulator {\n  tag power at \"constant 5\" : real kW\n  calc half = powr / 2\n}",
        right: "source s : simulator {\n  tag power at \"constant 5\" : real kW\n  calc half = power / 2\n}",
    },
    Code {
        code: "E102",
        title: "the device has no such member",
        explanation: "The device exists, but no tag, calc or alarm of that name in it. Of a tag, `.quality` and \
                      `.time` can be read, nothing else.",
        wrong: "source press : simulator {\n  tag oil_temp at \"constant 5\" : real degC\n}\ndevice d {\n  calc t = press.oil_tmp\n}",
        right: "source press : simulator {\n  tag oil_temp at \"constant 5\" : real degC\n}\ndevice d {\n  calc t = press.oil_temp\n}",
    },
    Code {
        code: "E103",
        title: "a name is declared twice",
        explanation: "All files of a project share one name space for sources, devices, templates, constants, sinks \
                      and flows, whatever their kind; members share that of their device. Names identify state and \
                      journals, so each is given once.",
        wrong: "const a = 1\nconst a = 2",
        right: "const a = 1\nconst b = 2",
    },
    Code {
        code: "E104",
        title: "something depends on itself",
        explanation: "A calc cannot read its own result, not even through others; the same holds for constants, units, \
                      flows and dead letters. The label shows the ring. Among calcs `previous(x)` breaks it, if `x` has a \
                      type: it reads the result from before.",
        wrong: "device d {\n  calc a : real = b + 1\n  calc b : real = a + 1\n}",
        right: "device d {\n  calc a : real = 1\n  calc b : real = a + 1\n}",
    },
    Code {
        code: "E105",
        title: "the name exists in several devices",
        explanation: "It has to be said which of the devices is meant: by name, by its number in the family, or all of \
                      them joined by a function such as `sum_of`. In a window `by device` makes a row for each of them.",
        wrong: "source s : simulator { }\ntemplate T() {\n  tag energy at \"constant 5\" : real kWh\n}\ndevice meter[1..3] : T() on s\ndevice site {\n  calc e = energy\n}",
        right: "source s : simulator { }\ntemplate T() {\n  tag energy at \"constant 5\" : real kWh\n}\ndevice meter[1..3] : T() on s\ndevice site {\n  calc e = meter[2].energy\n}",
    },
    Code {
        code: "E106",
        title: "names differ in capital letters only",
        explanation: "Capital letters matter, but names that differ in nothing else are mistaken for each other in \
                      files, databases and conversations. Only a template may be called like a device but for capitals: \
                      `device meter : Meter()`.",
        wrong: "const Limit = 1\nconst limit = 2",
        right: "const Limit = 1\nconst low_limit = 2",
    },
    Code {
        code: "E107",
        title: "a file cannot be read",
        explanation: "A path behind `use` is relative to the file in which it stands, and is fixed text. The label says \
                      what the system answered.",
        wrong: "use \"missing.gwp\"",
        right: "",
    },
    Code {
        code: "E108",
        title: "a file uses itself",
        explanation: "The files named with `use` lead back to this one. Since all files share one name space, a file \
                      does not have to use those whose names it mentions; the entry file names them all.",
        wrong: "",
        right: "",
    },
    Code {
        code: "E109",
        title: "a file is used twice",
        explanation: "One `use` makes a file part of the whole project. Twice would declare all its names twice.",
        wrong: "",
        right: "",
    },
    Code {
        code: "E110",
        title: "the name stands for something else",
        explanation: "The name exists, but what it stands for cannot be used here: a flow ends at sinks, a template is \
                      used behind `:`, a device is no value, brackets belong to families.",
        wrong: "source s : simulator {\n  tag x at \"constant 5\" : real\n}\nflow f = s -> s",
        right: "source s : simulator {\n  tag x at \"constant 5\" : real\n}\nsink out : console { }\nflow f = s -> out",
    },
    Code {
        code: "E111",
        title: "the family has no device of that number",
        explanation: "The numbers of a family stand in brackets at its declaration, those after `except` are left out. \
                      Leading zeros do not matter here: `meter[7]` and `meter[07]` are the same device.",
        wrong: "source s : simulator { }\ntemplate T() {\n  tag x at \"constant 5\" : real\n}\ndevice m[1..3] : T() on s\ndevice d {\n  calc y = m[4].x\n}",
        right: "source s : simulator { }\ntemplate T() {\n  tag x at \"constant 5\" : real\n}\ndevice m[1..3] : T() on s\ndevice d {\n  calc y = m[3].x\n}",
    },
    Code {
        code: "E112",
        title: "the arguments do not fit",
        explanation: "A function, template or stage was given too many or too few arguments, or one it does not have. \
                      Parameters with a default may be left out.",
        wrong: "device d {\n  calc a = sqrt(4, 2)\n}",
        right: "device d {\n  calc a = sqrt(4)\n}",
    },
    Code {
        code: "E113",
        title: "there is no such function",
        explanation: "The functions of this version are listed in the reference. Programs cannot define functions; a \
                      template or a calc gives a formula a name.",
        wrong: "device d {\n  calc a = squareroot(4)\n}",
        right: "device d {\n  calc a = sqrt(4)\n}",
    },
    Code {
        code: "E116",
        title: "the numbers of a family are wrong",
        explanation: "`[first..last]` runs upwards and includes both ends; every number after `except` lies between them.",
        wrong: "source s : simulator { }\ntemplate T() {\n  tag x at \"constant 5\" : real\n}\ndevice m[3..1] : T() on s",
        right: "source s : simulator { }\ntemplate T() {\n  tag x at \"constant 5\" : real\n}\ndevice m[1..3] : T() on s",
    },
    Code {
        code: "E117",
        title: "`index` needs devices of a family",
        explanation: "`index` is the number of a device in its family: 7 for `meter07` of `meter[01..40]`. In a flow it is that \
                      of the sample's device, and at least one device at the head must be of a family. It is bad for \
                      devices beside them, so that a condition on it does not let these pass.",
        wrong: "source s : simulator {\n  tag x at \"constant 5\" : real\n}\nsink out : console { }\nflow f = s -> where index > 5 -> out",
        right: "template T() {\n  tag x at \"constant 5\" : real\n}\nsource s : simulator { }\ndevice d[1..9] : T() on s\nsink out : console { }\nflow f = d[*] -> where index > 5 -> out",
    },
    Code {
        code: "E118",
        title: "two lines of `moved` contradict each other",
        explanation: "One name becomes one other name, and no two names become the same: state and journals cannot be \
                      divided or mixed. Chains are right (`moved a -> b`, later `moved b -> c`); rings are not.",
        wrong: "source s : simulator {\n  tag x at \"constant 5\" : real\n}\nsink out : console { }\nflow f = s -> out\nmoved a -> out\nmoved b -> out",
        right: "source s : simulator {\n  tag x at \"constant 5\" : real\n}\nsink out : console { }\nflow f = s -> out\nmoved a -> b\nmoved b -> out",
    },
    Code {
        code: "E119",
        title: "the two names of `moved` do not fit together",
        explanation: "An item becomes an item: a device, a family (without brackets), a source, sink, flow or write. \
                      A member of a device becomes a member (`press.temp -> press.oil_temp`), and one of all devices \
                      of a family one of all devices of a family (`meter[*].p -> meter[*].power`). One device of a \
                      family goes by its full name: `meter07`.",
        wrong: "source s : simulator {\n  tag x at \"constant 5\" : real\n}\nsink out : console { }\nflow f = s -> out\nmoved y -> s.x",
        right: "source s : simulator {\n  tag x at \"constant 5\" : real\n}\nsink out : console { }\nflow f = s -> out\nmoved s.y -> s.x",
    },
    Code {
        code: "E120",
        title: "what `moved` calls the old name still exists",
        explanation: "`moved old -> new` says that something has another name now. While the old name is still \
                      declared, or is declared again, it would mean two things: remove the line, or the old item.",
        wrong: "source s : simulator {\n  tag x at \"constant 5\" : real\n}\nsink out : console { }\nflow f = s -> out\nmoved s -> out",
        right: "source s : simulator {\n  tag x at \"constant 5\" : real\n}\nsink out : console { }\nflow f = s -> out\nmoved s_before -> s",
    },
    Code {
        code: "E199",
        title: "the project is larger than a bound",
        explanation: "Families, templates, named streams and functions over devices unfold a short text into a large \
                      plan. The bounds keep that from using up the memory of the node: 10,000 devices in a family, \
                      100,000 in a project, 1,000,000 tags, 10,000 ways through flows.",
        wrong: "source s : simulator { }\ntemplate T() {\n  tag x at \"constant 5\" : real\n}\ndevice m[1..20000] : T() on s",
        right: "source s : simulator { }\ntemplate T() {\n  tag x at \"constant 5\" : real\n}\ndevice m[1..200] : T() on s",
    },
];
