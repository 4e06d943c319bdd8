//! E2: types, units and values.

use super::Code;

pub(super) const CODES: &[Code] = &[
    Code {
        code: "E201",
        title: "the unit is not known",
        explanation: "Units are those of the SI with their prefixes and the usual ones of plants (bar, kWh, m3/h, t/h, \
                      degC, %, rpm, psi). Capital letters matter: `kW` is a power, `Kw` is nothing. A new unit is \
                      declared with `unit pcs`, a multiple with `unit pallet = 48 pcs`.",
        wrong: "const limit = 5 Kw",
        right: "const limit = 5 kW",
    },
    Code {
        code: "E202",
        title: "quantities of different kinds",
        explanation: "Comparing and adding need the same quantity on both sides; the factor between W and kW is then \
                      taken care of. A number without unit is a quantity of its own, so `power > 400` does not say what \
                      it means.",
        wrong: "source s : simulator {\n  tag power at \"constant 5\" : real kW\n  calc high = power > 400\n}",
        right: "source s : simulator {\n  tag power at \"constant 5\" : real kW\n  calc high = power > 400 kW\n}",
    },
    Code {
        code: "E203",
        title: "types that do not mix",
        explanation: "Numbers, text, true/false and points in time are not converted into each other by themselves. Text \
                      takes any value with an insert: `\"{x}\"`; true/false becomes a number with `if x then 1 else 0`.",
        wrong: "source s : simulator {\n  tag state at \"constant 5\" : string\n  calc active = state > 5\n}",
        right: "source s : simulator {\n  tag state at \"constant 5\" : string\n  calc active = state == \"5\"\n}",
    },
    Code {
        code: "E204",
        title: "a point on a scale is used like an amount",
        explanation: "20 degC is a place on a scale, not twice 10 degC. Points can be compared, subtracted from each \
                      other (which gives a difference in K) and moved by a difference; they cannot be multiplied, \
                      divided or added. The same holds for points in time.",
        wrong: "source s : simulator {\n  tag temp at \"constant 5\" : real degC\n  calc twice = temp * 2\n}",
        right: "source s : simulator {\n  tag temp at \"constant 5\" : real degC\n  calc twice = (temp - 20 degC) * 2\n}",
    },
    Code {
        code: "E205",
        title: "a condition is needed",
        explanation: "`where`, `when`, `if`, `and`, `or` and `not` work on true and false. A number becomes a condition by \
                      a comparison.",
        wrong: "source s : simulator {\n  tag power at \"constant 5\" : real kW\n  calc x = if power then 1 else 2\n}",
        right: "source s : simulator {\n  tag power at \"constant 5\" : real kW\n  calc x = if power > 1 kW then 1 else 2\n}",
    },
    Code {
        code: "E206",
        title: "another unit than declared or needed",
        explanation: "The declaration and the expression must measure the same quantity; the factor between them is then \
                      converted (a ratio of 0.85 is 85 %). A power becomes an energy by integrating over time.",
        wrong: "source s : simulator {\n  tag power at \"constant 5\" : real kW\n  calc used : real kWh = power\n}",
        right: "source s : simulator {\n  tag power at \"constant 5\" : real kW\n  calc used : real kWh = power * 1 h\n}",
    },
    Code {
        code: "E207",
        title: "another type than declared or needed",
        explanation: "The value has another type than the declaration says or the place needs. A real number only becomes \
                      an integer with `round`, `floor` or `ceil`, so that nobody has to guess how it is rounded.",
        wrong: "source s : simulator {\n  tag x at \"constant 5\" : real\n  calc n : int = x\n}",
        right: "source s : simulator {\n  tag x at \"constant 5\" : real\n  calc n : int = round(x)\n}",
    },
    Code {
        code: "E208",
        title: "a value that cannot be",
        explanation: "The value has the right type but makes no sense here: a range whose low end is above the high end, a \
                      label given twice, a number too large to be kept.",
        wrong: "source s : simulator {\n  tag x at \"constant 5\" : real kW range 10..5 kW\n}",
        right: "source s : simulator {\n  tag x at \"constant 5\" : real kW range 5..10 kW\n}",
    },
    Code {
        code: "E209",
        title: "the attribute does not fit the type",
        explanation: "`scale`, `range`, `deadband` and `counter` belong to numbers, `enum` to integers without a unit; a \
                      calc has neither `scan` nor `scale` because it is not read from a device. Only numbers have units.",
        wrong: "source s : simulator {\n  tag x at \"constant true\" : bool range 0..1\n}",
        right: "source s : simulator {\n  tag x at \"constant true\" : bool\n}",
    },
    Code {
        code: "E210",
        title: "a fixed value is needed",
        explanation: "Settings, attributes, constants and arguments of templates are computed once, before the gateway \
                      runs. They cannot depend on tags, on the time or on a division by zero.",
        wrong: "source s : simulator {\n  tag x at \"constant 5\" : real kW\n  tag y at \"constant 5\" : real kW range 0 kW..x\n}",
        right: "source s : simulator {\n  tag x at \"constant 5\" : real kW\n  tag y at \"constant 5\" : real kW range 0..5 kW\n}",
    },
    Code {
        code: "E211",
        title: "a schedule is not understood",
        explanation: "A schedule names days and times of day in the time zone of the gateway: `Mon-Fri 06:00-22:00`, \
                      `Sat,Sun 08:00-12:00`, `22:00-06:00`; several are separated by `;`. A night shift belongs to the \
                      day on which it starts.",
        wrong: "device d {\n  calc work = within(\"Mon-Fry 06:00-22:00\")\n}",
        right: "device d {\n  calc work = within(\"Mon-Fri 06:00-22:00\")\n}",
    },
    Code {
        code: "E212",
        title: "the enum has no such label",
        explanation: "An enum is compared with one of its labels, which are text in double quotes. The labels stand behind \
                      `enum` at the tag.",
        wrong: "source s : simulator {\n  tag state at \"constant 1\" : int enum { 0 = \"stopped\", 1 = \"running\" }\n  calc active = state == \"runing\"\n}",
        right: "source s : simulator {\n  tag state at \"constant 1\" : int enum { 0 = \"stopped\", 1 = \"running\" }\n  calc active = state == \"running\"\n}",
    },
    Code {
        code: "E213",
        title: "a unit cannot be declared like this",
        explanation: "A new unit has a name of letters that no built-in unit has. It is either a base of its own (`unit \
                      pcs`) or a positive number of another unit (`unit pallet = 48 pcs`).",
        wrong: "unit kg",
        right: "unit pcs",
    },
    Code {
        code: "E214",
        title: "a percentage of what?",
        explanation: "A deadband in % is a share of the range of each tag. A tag without `range` has nothing it could be a \
                      share of.",
        wrong: "source s : simulator {\n  tag x at \"constant 5\" : real kW\n}\nsink out : console { }\nflow f = s -> changes(deadband = 1 %) -> out",
        right: "source s : simulator {\n  tag x at \"constant 5\" : real kW range 0..100 kW\n}\nsink out : console { }\nflow f = s -> changes(deadband = 1 %) -> out",
    },
];
