//! E4 and E5: settings, addresses and writes.

use super::Code;

const ELSEWHERE: &str = "";

pub(super) const CODES: &[Code] = &[
    Code {
        code: "E401",
        title: "the address is not understood by the driver",
        explanation: "Every driver has its own form of addresses, which its reference page lists. For Modbus a bare number \
                      such as `100` is ambiguous: `\"40101\"` counts from 1 as in the manual of the device, `\"hr 100\"` \
                      from 0 as on the wire.",
        wrong: ELSEWHERE,
        right: ELSEWHERE,
    },
    Code {
        code: "E402",
        title: "there is no such setting",
        explanation: "Settings are checked against the table of the driver or sink, so that a misspelt name is not silently \
                      ignored.",
        wrong: "source s : simulator {\n  sed = 5\n}",
        right: "source s : simulator {\n  seed = 5\n}",
    },
    Code {
        code: "E403",
        title: "the sink cannot carry quality",
        explanation: "A destination without a place for quality needs to know what a bad value becomes: `bad = null`, \
                      `skip` or `last`. All sinks of this version carry quality, so this is not raised yet.",
        wrong: ELSEWHERE,
        right: ELSEWHERE,
    },
    Code {
        code: "E404",
        title: "a secret stands in a shared file",
        explanation: "Programs are kept in version control and read by many. Passwords and keys are named with \
                      `secret(\"name\")`; their values stand in node.toml of each node.",
        wrong: "sink out : csv { path = \"a.csv\", password = \"1234\" }\nsource s : simulator {\n  tag x at \"constant 5\" : real\n}\nflow f = s -> out",
        right: "sink out : csv { path = \"a.csv\", password = secret(\"csv\") }\nsource s : simulator {\n  tag x at \"constant 5\" : real\n}\nflow f = s -> out",
    },
    Code {
        code: "E405",
        title: "`revise` needs a key at the sink",
        explanation: "A window with `revise` sends corrected rows under the same key. A destination that replaces what it has \
                      (a database) needs a key that is the same for both: `[flow, device, start]`, which rows have \
                      without any `key`. With `seq` in it the correction would stand beside the earlier row.",
        wrong: "source s : simulator {\n  tag x at \"constant 5\" : real\n}\nsink out : sqlite { path = \"a.db\", key = [path, time, seq] }\nflow f = s -> every 1 h revise 1 d { a = avg(x) } -> out",
        right: "source s : simulator {\n  tag x at \"constant 5\" : real\n}\nsink out : sqlite { path = \"a.db\" }\nflow f = s -> every 1 h revise 1 d { a = avg(x) } -> out",
    },
    Code {
        code: "E406",
        title: "a setting is missing",
        explanation: "The driver or sink cannot work without this setting, and there is no value that would usually be \
                      right.",
        wrong: "sink out : csv { }\nsource s : simulator {\n  tag x at \"constant 5\" : real\n}\nflow f = s -> out",
        right: "sink out : csv { path = \"a.csv\" }\nsource s : simulator {\n  tag x at \"constant 5\" : real\n}\nflow f = s -> out",
    },
    Code {
        code: "E407",
        title: "the value does not fit the setting",
        explanation: "Every setting has a type and bounds: a time such as `5 s`, an amount of data such as `20 GB`, a word \
                      out of a list (without quotes), text (in double quotes), or a number.",
        wrong: "source s : simulator {\n  standby = hott\n}",
        right: "source s : simulator {\n  standby = hot\n}",
    },
    Code {
        code: "E408",
        title: "there is no such driver",
        explanation: "The word behind the colon names the driver of a source, or the kind of a sink. Which ones exist \
                      depends on how the program was built; `gwp drivers` lists them.",
        wrong: "source s : simulatr {\n}",
        right: "source s : simulator {\n}",
    },
    Code {
        code: "E409",
        title: "something is given twice",
        explanation: "A setting, attribute or argument stands once. The second would silently win over the first, or the \
                      other way round.",
        wrong: "source s : simulator {\n  seed = 5\n  seed = 6\n}",
        right: "source s : simulator {\n  seed = 5\n}",
    },
    Code {
        code: "E410",
        title: "`secret()` and `node()` are allowed in settings only",
        explanation: "What differs from node to node must not change results, or the two nodes of a pair would disagree. \
                      Values that expressions use are constants of the program.",
        wrong: "device d {\n  calc a = node(\"limit\")\n}",
        right: "const limit = 5\ndevice d {\n  calc a = limit\n}",
    },
    Code {
        code: "E411",
        title: "a tag cannot be read from anywhere",
        explanation: "A tag is read from a source at an address. It stands in a source, or in a device `on` a source, and \
                      has `at \"address\"`. What is computed is a `calc`.",
        wrong: "device d {\n  tag x at \"constant 5\" : real\n}",
        right: "source s : simulator { }\ndevice d on s {\n  tag x at \"constant 5\" : real\n}",
    },
    Code {
        code: "E412",
        title: "`hold` needs a device that keeps its samples",
        explanation: "With `on_disconnect = hold(4 h)` windows and alarms wait after a break until the device has delivered what \
                      it kept meanwhile. A device that is polled, such as one of Modbus, keeps nothing: everything would \
                      wait the whole time for samples that never come. The reference of each driver says whether its \
                      devices keep samples; with `mark_bad` tags are bad from the break on.",
        wrong: "source s : simulator {\n  on_disconnect = hold(4 h)\n}",
        right: "source s : reporter {\n  on_disconnect = hold(4 h)\n}",
    },
    Code {
        code: "E413",
        title: "two sources or sinks would have the same thing",
        explanation: "Some things have one owner: a file that is written, a serial port, a client id at a broker. Two sinks \
                      on one file would write into each other's lines, two clients with one id throw each other out. Let \
                      two flows end in one sink, or give each its own. Paths are compared as they are written; `{sink}` \
                      in a path stands for the name of each sink.",
        wrong: "source s : simulator {\n  tag x at \"constant 5\" : real\n}\nsink a : csv { path = \"out/x.csv\" }\nsink b : csv { path = \"out/x.csv\" }\nflow f = s -> a, b",
        right: "source s : simulator {\n  tag x at \"constant 5\" : real\n}\nsink a : csv { path = \"out/x.csv\" }\nflow f = s -> a\nflow g = s -> where x > 1 -> a",
    },
    Code {
        code: "E490",
        title: "node.toml is wrong",
        explanation: "What is particular to one machine stands in its node.toml: sections node, listen, tls, disk, log, \
                      secrets, vars, and pair on a node of a pair; that of a witness has node and witness. A word that is not known there is refused, so that a setting with a slip of \
                      the pen is not lost in silence. Every mistake of the file is reported in one run.",
        wrong: ELSEWHERE,
        right: ELSEWHERE,
    },
    Code {
        code: "E501",
        title: "the tag may not be written",
        explanation: "Only a tag with `writable` can be the target of a `write`: whoever reads the tag sees that the device \
                      may be changed from outside. Calcs and columns are computed, and some drivers only read.",
        wrong: "source scada : reporter { }\nsource plc : modbus_tcp {\n  address = \"10.0.0.5:502\"\n  tag limit at \"40001\" : real kW range 0..500 kW\n}\nsink out : console { journal { full = drop_oldest } }\nflow f = plc, set_limit -> out\nwrite set_limit to plc.limit from scada at \"plc/limit/set\" { allow = 50 kW..400 kW }",
        right: "source scada : reporter { }\nsource plc : modbus_tcp {\n  address = \"10.0.0.5:502\"\n  tag limit at \"40001\" : real kW range 0..500 kW writable\n}\nsink out : console { journal { full = drop_oldest } }\nflow f = plc, set_limit -> out\nwrite set_limit to plc.limit from scada at \"plc/limit/set\" { allow = 50 kW..400 kW }",
    },
    Code {
        code: "E502",
        title: "a write without limits",
        explanation: "A `write` needs `allow = low..high` within the `range` of the tag; for texts, enums and bools a list of \
                      what may be written: `allow = [\"stopped\"]`. Anything else is refused and the refusal is told.",
        wrong: "source scada : reporter { }\nsource plc : modbus_tcp {\n  address = \"10.0.0.5:502\"\n  tag limit at \"40001\" : real kW range 0..500 kW writable\n}\nsink out : console { journal { full = drop_oldest } }\nflow f = plc, set_limit -> out\nwrite set_limit to plc.limit from scada at \"plc/limit/set\" { expire = 10 s }",
        right: "source scada : reporter { }\nsource plc : modbus_tcp {\n  address = \"10.0.0.5:502\"\n  tag limit at \"40001\" : real kW range 0..500 kW writable\n}\nsink out : console { journal { full = drop_oldest } }\nflow f = plc, set_limit -> out\nwrite set_limit to plc.limit from scada at \"plc/limit/set\" { allow = 50 kW..400 kW }",
    },
    Code {
        code: "E503",
        title: "the source gives no commands",
        explanation: "The commands of a `write` come from a source that receives messages, such as `mqtt`. A source that is \
                      asked for values in scan slots has none: its values would be written again in every slot.",
        wrong: "source scada : reporter { }\nsource plc : modbus_tcp {\n  address = \"10.0.0.5:502\"\n  tag limit at \"40001\" : real kW range 0..500 kW writable\n}\nsink out : console { journal { full = drop_oldest } }\nflow f = plc, set_limit -> out\nwrite set_limit to plc.limit from plc at \"plc/limit/set\" { allow = 50 kW..400 kW }",
        right: "source scada : reporter { }\nsource plc : modbus_tcp {\n  address = \"10.0.0.5:502\"\n  tag limit at \"40001\" : real kW range 0..500 kW writable\n}\nsink out : console { journal { full = drop_oldest } }\nflow f = plc, set_limit -> out\nwrite set_limit to plc.limit from scada at \"plc/limit/set\" { allow = 50 kW..400 kW }",
    },
];
