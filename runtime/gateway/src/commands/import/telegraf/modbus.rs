//! `[[inputs.modbus]]` in its three styles: per register type, per request, per metric.
//!
//! Byte orders say in which order the bytes of a value arrive, A being the highest: `ABCD` is the order of the
//! standard, `CDAB` has the low register first, `BADC` the low byte of each register, `DCBA` both.

use super::section::Section;
use super::{Import, address_or_node};
use crate::commands::import::draft::{Entry, Group, Source, Tag};
use crate::commands::import::report::Report;
use crate::commands::import::text::{self, Names, line};
use gwp_core::manifest::written_duration;

/// A field of any style.
#[derive(Clone, Debug)]
struct Field {
    line: u64,
    name: String,
    measurement: Option<String>,
    slave: i64,
    /// Word of the table: `co`, `di`, `ir`, `hr`.
    table: &'static str,
    start: i64,
    /// Type as written, in capitals.
    kind: String,
    /// Registers, where the list of addresses gives them.
    registers: Option<usize>,
    order: Order,
    scale: Option<f64>,
    bit: Option<i64>,
    /// Registers of a text.
    length: Option<i64>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Order {
    low_word_first: bool,
    low_byte_first: bool,
}

/// A byte order by its letters.
fn order(text: &str) -> Option<Order> {
    let (low_word_first, low_byte_first) = match text {
        "" | "AB" | "ABCD" | "ABCDEFGH" => (false, false),
        "BA" | "DCBA" | "HGFEDCBA" => (true, true),
        "BADC" | "BADCFEHG" => (false, true),
        "CDAB" | "GHEFCDAB" => (true, false),
        _ => return None,
    };
    Some(Order { low_word_first, low_byte_first })
}

/// One input as a source.
pub fn input(import: &mut Import, section: &Section<'_>) {
    let wanted = section.text("name").unwrap_or("modbus").to_owned();
    let name = import.items.take(&wanted);
    let mut source = Source { name, ..Source::default() };
    connection(&mut source, section, &mut import.report);
    let interval = section.milliseconds("interval").unwrap_or(import.interval);
    source
        .settings
        .push((format!("scan = {}", text::milliseconds(interval.clamp(1, 86_400_000))), String::new()));
    let style = section.text("configuration_type").unwrap_or("register");
    let mut fields = Vec::new();
    match style {
        "request" => requests(section, &mut fields, &mut import.report),
        "metric" => metrics(section, &mut fields, &mut import.report),
        _ => registers(section, &mut fields, &mut import.report),
    }
    section.ignore(&[
        "optimization",
        "optimization_max_register_fill",
        "debug_connection",
        "log_level",
        "slave_id",
    ]);
    section.ignore(&[
        "discrete_inputs",
        "coils",
        "holding_registers",
        "input_registers",
        "request",
        "metric",
    ]);
    section.rest("inputs.modbus", &mut import.report);
    groups(import, &mut source, fields);
    join(import, source, section.line);
}

/// Inputs on one serial port are one source here, which asks one unit after the other: the later ones become devices.
fn join(import: &mut Import, source: Source, at: u64) {
    let port = source.settings.first().cloned();
    let same = |other: &&mut Source| other.driver == "modbus_rtu" && other.settings.first() == port.as_ref();
    let first = match import.sources.iter_mut().find(same) {
        Some(first) if source.driver == "modbus_rtu" => first,
        _ => return import.sources.push(source),
    };
    let of_device = |setting: &&(String, String)| {
        ["unit_id", "bytes", "scan", "registers_max", "coils_max", "gap_max"]
            .iter()
            .any(|name| setting.0.starts_with(&format!("{name} =")))
    };
    let has_low = |source: &Source| source.settings.iter().any(|(setting, _)| setting == "words = low_first");
    let words = match (has_low(first), has_low(&source)) {
        (true, false) => Some("words = high_first".to_owned()),
        (false, true) => Some("words = low_first".to_owned()),
        _ => None,
    };
    for mut group in source.groups {
        let own: Vec<String> =
            source.settings.iter().filter(of_device).map(|(setting, _)| setting.clone()).collect();
        if group.device.is_none() {
            group.template = import.items.take(&format!("{}_tags", source.name));
            group.device = Some(source.name.clone());
        }
        let given = |setting: &String| {
            group.settings.iter().any(|other| other.split(" =").next() == setting.split(" =").next())
        };
        let more: Vec<String> =
            own.into_iter().chain(words.clone()).filter(|setting| !given(setting)).collect();
        group.settings.extend(more);
        first.groups.push(group);
    }
    import.report.lost(at, format!("it is read as a device of `{}`, which has the serial port; baud rate and timeout are those of that one", first.name));
}

/// Driver and settings of the connection.
fn connection(source: &mut Source, section: &Section<'_>, report: &mut Report) {
    let controller = section.text("controller").unwrap_or_default();
    let mode = section.text("transmission_mode").unwrap_or("auto");
    let serial = !controller.contains("://") || controller.starts_with("file://");
    let ascii = mode.to_ascii_lowercase().starts_with("ascii");
    source.driver = match (ascii, serial, mode) {
        (true, ..) => "modbus_ascii",
        (_, true, _) => "modbus_rtu",
        (_, false, "RTUoverTCP") => "modbus_rtu_tcp",
        _ => "modbus_tcp",
    }
    .to_owned();
    let place = controller.trim_start_matches("file://").trim_start_matches("tcp://").trim_end_matches('/');
    let key = if serial { "port" } else { "address" };
    let mut set = |setting: String| source.settings.push((setting, String::new()));
    set(format!("{key} = {}", address_or_node(place, &source.name, report)));
    if serial {
        section
            .int("baud_rate")
            .filter(|baud| (300..=4_000_000).contains(baud))
            .into_iter()
            .for_each(|baud| set(format!("baud = {baud}")));
        let parity = section.text("parity").map(|parity| parity.to_ascii_uppercase());
        let word = match parity.as_deref() {
            Some("N") => Some("none"),
            Some("E") => Some("even"),
            Some("O") => Some("odd"),
            _ => None,
        };
        word.into_iter().for_each(|word| set(format!("parity = {word}")));
        for key in ["stop_bits", "data_bits"] {
            let fits = if key == "stop_bits" { 1..=2 } else { 8..=8 };
            match section.int(key) {
                Some(bits) if fits.contains(&bits) => set(format!("{key} = {bits}")),
                Some(bits) => {
                    report.lost(section.line_of(key), format!("`{key} = {bits}` is nothing RTU has"))
                }
                None => {}
            }
        }
    } else {
        section.ignore(&["baud_rate", "parity", "stop_bits", "data_bits"]);
    }
    let mut time = |section: &Section<'_>, from: &'static str, to: &str, from_ms: u64, to_ms: u64| {
        if let Some(ms) = section.milliseconds(from).filter(|ms| *ms > 0) {
            let ms = ms.clamp(from_ms, to_ms);
            set(format!("{to} = {}", written_duration(i64::try_from(ms).unwrap_or(1) * 1_000_000)));
        }
    };
    time(section, "timeout", "timeout", 10, 60_000);
    if let Some(around) = section.section("workarounds") {
        time(&around, "pause_between_requests", "delay", 0, 10_000);
        bounded(&mut set, &around, "max_word_registers_per_request", "registers_max", 1..=125);
        bounded(&mut set, &around, "max_bit_registers_per_request", "coils_max", 1..=2_000);
        if around.flag("one_request_per_field") {
            report.lost(around.line_of("one_request_per_field"), "`one_request_per_field`: tags next to each other are read together here; `gap_max = 0` is set");
            set("gap_max = 0".into());
        }
        around.rest("inputs.modbus.workarounds", report);
    }
    bounded(&mut set, section, "busy_retries", "retries", 0..=5);
}

fn bounded(
    set: &mut impl FnMut(String),
    section: &Section<'_>,
    from: &'static str,
    to: &str,
    range: std::ops::RangeInclusive<i64>,
) {
    if let Some(number) = section.int(from).filter(|number| *number > 0) {
        set(format!("{to} = {}", number.clamp(*range.start(), *range.end())));
    }
}

/// A byte order that stands there; a wrong one is told and taken as that of the standard.
fn order_of(section: &Section<'_>, report: &mut Report) -> Order {
    let text = section.text("byte_order").unwrap_or_default();
    order(text).unwrap_or_else(|| {
        report
            .lost(section.line_of("byte_order"), format!("`{}` is no byte order; taken as ABCD", line(text)));
        Order { low_word_first: false, low_byte_first: false }
    })
}

fn registers(section: &Section<'_>, fields: &mut Vec<Field>, report: &mut Report) {
    let slave = section.int("slave_id").unwrap_or(1);
    for (key, table) in
        [("discrete_inputs", "di"), ("coils", "co"), ("holding_registers", "hr"), ("input_registers", "ir")]
    {
        for field in section.sections(key) {
            let places = field.ints("address");
            let kind = field.text("data_type").unwrap_or_default().to_ascii_uppercase();
            fields.push(Field {
                line: field.line,
                name: field.text("name").unwrap_or_default().to_owned(),
                measurement: field.text("measurement").map(str::to_owned),
                slave,
                table,
                start: places.first().copied().unwrap_or(-1),
                kind: fixed(&kind, places.len()).unwrap_or(kind),
                registers: (!places.is_empty()).then_some(places.len()),
                order: order_of(&field, report),
                scale: field.float("scale"),
                bit: field.int("bit"),
                length: field.int("length").or_else(|| i64::try_from(places.len()).ok()),
            });
            field.rest("a field", report);
        }
    }
}

/// Whole numbers with a decimal point in them; `FLOAT32` is an old word for `UFIXED`.
fn fixed(kind: &str, registers: usize) -> Option<String> {
    let signed = match kind {
        "FIXED" | "FLOAT" => "INT",
        "UFIXED" | "UFLOAT" | "FLOAT32" => "UINT",
        _ => return kind.strip_suffix("-IEEE").map(str::to_owned),
    };
    Some(format!("{signed}{}", registers * 16))
}

fn table_of(text: &str) -> Option<&'static str> {
    Some(match text {
        "coil" => "co",
        "discrete" => "di",
        "input" => "ir",
        "holding" | "" => "hr",
        _ => return None,
    })
}

fn requests(section: &Section<'_>, fields: &mut Vec<Field>, report: &mut Report) {
    for request in section.sections("request") {
        request.ignore(&["optimization", "optimization_max_register_fill"]);
        let register = request.text("register").unwrap_or_default();
        let Some(table) = table_of(register) else {
            report.lost(request.line, format!("`{}` is no type of register", line(register)));
            continue;
        };
        several(&request, "inputs.modbus.request", fields, report, |_| Some(table));
    }
}

fn metrics(section: &Section<'_>, fields: &mut Vec<Field>, report: &mut Report) {
    for metric in section.sections("metric") {
        several(&metric, "inputs.modbus.metric", fields, report, |field| {
            table_of(field.text("register").unwrap_or_default())
        });
    }
}

/// The fields of one request or metric.
fn several(
    owner: &Section<'_>,
    name: &str,
    fields: &mut Vec<Field>,
    report: &mut Report,
    table: impl Fn(&Section<'_>) -> Option<&'static str>,
) {
    let order = order_of(owner, report);
    let slave = owner.int("slave_id").unwrap_or(0);
    let measurement = owner.text("measurement");
    for field in owner.sections("fields") {
        if field.flag("omit") {
            continue;
        }
        let Some(table) = table(&field) else {
            report.lost(field.line, "its register is none of coil, discrete, holding, input");
            continue;
        };
        field.ignore(&["output"]);
        fields.push(Field {
            line: field.line,
            name: field.text("name").unwrap_or_default().to_owned(),
            measurement: field.text("measurement").or(measurement).map(str::to_owned),
            slave,
            table,
            start: field.int("address").unwrap_or(-1),
            kind: field.text("type").unwrap_or_default().to_ascii_uppercase(),
            registers: None,
            order,
            scale: field.float("scale"),
            bit: field.int("bit"),
            length: field.int("length"),
        });
        field.rest("a field", report);
    }
    owner.rest(name, report);
}

/// What a field is here.
struct Place {
    plc_type: &'static str,
    /// Behind the number of the register.
    behind: String,
    registers: i64,
}

fn place(field: &Field) -> Result<Place, String> {
    let bits = matches!(field.table, "co" | "di");
    let of = |plc_type, behind: &str, registers| Ok(Place { plc_type, behind: behind.to_owned(), registers });
    let text = || {
        let length = field
            .length
            .filter(|length| (1..=125).contains(length))
            .ok_or("a text has from 1 to 125 registers")?;
        if field.order.low_word_first {
            return Err("a text whose last register comes first is not known here".to_owned());
        }
        Ok(Place { plc_type: "string", behind: format!(" len {}", length * 2), registers: length })
    };
    let place = match field.kind.as_str() {
        _ if bits => of("bool", "", 1),
        "INT16" => of("int", "", 1),
        "UINT16" => of("uint", "", 1),
        "INT32" => of("dint", "", 2),
        "UINT32" => of("udint", "", 2),
        "INT64" => of("lint", "", 4),
        "UINT64" => of("ulint", "", 4),
        "FLOAT32" => of("real", "", 2),
        "FLOAT64" => of("lreal", "", 4),
        "INT8L" => of("sint", ".0", 1),
        "INT8H" => of("sint", ".8", 1),
        "UINT8L" => of("usint", ".0", 1),
        "UINT8H" => of("usint", ".8", 1),
        "BIT" => match field.bit.unwrap_or(0) {
            bit @ 0..=15 => of("bool", &format!(".{bit}"), 1),
            bit => Err(format!("a register has no bit {bit}")),
        },
        "STRING" => text(),
        "" => Err("it has no type".to_owned()),
        "FLOAT16" => Err("numbers of 16 bits with a floating point are not known here".to_owned()),
        other => Err(format!("{} is no type here", line(other))),
    }?;
    if field.name.is_empty() {
        return Err("it has no name".to_owned());
    }
    let given = field.registers.and_then(|count| i64::try_from(count).ok());
    if given.is_some_and(|count| count != place.registers) {
        return Err(format!(
            "{} has {} registers, the list has another number",
            line(&field.kind),
            place.registers
        ));
    }
    if field.start < 0 || field.start + place.registers > 65_536 {
        return Err("its address is not from 0 to 65535".to_owned());
    }
    Ok(place)
}

/// Fields of one unit with one order of bytes are one group; the only group stands in the source itself.
fn groups(import: &mut Import, source: &mut Source, fields: Vec<Field>) {
    let key = |field: &Field| {
        let bits = matches!(field.table, "co" | "di");
        (field.slave, field.order.low_byte_first && !bits)
    };
    let wide =
        |field: &&Field| place(field).is_ok_and(|place| place.registers > 1 && place.plc_type != "string");
    let low_first = fields.iter().filter(wide).filter(|field| field.order.low_word_first).count();
    let low_first = low_first * 2 > fields.iter().filter(wide).count();
    if low_first {
        source.settings.push(("words = low_first".into(), String::new()));
    }
    let mut keys: Vec<(i64, bool)> = fields.iter().map(key).collect();
    keys.sort_unstable();
    keys.dedup();
    // Bits have no order of bytes: they go where the registers of their unit are.
    let home = |found: (i64, bool)| if keys.contains(&(found.0, false)) { found } else { (found.0, true) };
    let alone = keys.len() == 1;
    for own in keys.iter().copied() {
        let (slave, swapped) = own;
        let swap = swapped.then(|| "bytes = low_first".to_owned());
        let settings: Vec<String> =
            std::iter::once(format!("unit_id = {}", slave.clamp(0, 255))).chain(swap).collect();
        let mut group = Group::default();
        if alone {
            source.settings.extend(settings.into_iter().map(|setting| (setting, String::new())));
        } else {
            let swapped = if swapped && keys.contains(&(slave, false)) { "_swapped" } else { "" };
            let device = import.items.take(&format!("{}_{slave}{swapped}", source.name));
            group.template = import.items.take(&format!("{device}_tags"));
            (group.device, group.settings) = (Some(device), settings);
        }
        let mut names = Names::with(&["connected", "alarms"]);
        for field in fields.iter().filter(|field| home(key(field)) == own) {
            entry(import, field, low_first, &mut names, &mut group);
        }
        source.groups.push(group);
    }
}

fn entry(import: &mut Import, field: &Field, low_first: bool, names: &mut Names, group: &mut Group) {
    let found = match place(field) {
        Ok(found) if import.tags < super::TAGS_MAX => found,
        Ok(_) => {
            return import.report.lost(field.line, format!("there are more than {} tags", super::TAGS_MAX));
        }
        Err(why) => {
            let name = line(&field.name);
            import.report.comments += 1;
            import.report.lost(field.line, format!("{name} is no tag here: {why}"));
            let text = format!("{name}: {} at {} {}: {why}", line(&field.kind), field.table, field.start);
            group.entries.push(Entry::Comment(text));
            return;
        }
    };
    import.tags += 1;
    let mut address = format!("{} {}{}", field.table, field.start, found.behind);
    if found.registers > 1 && found.plc_type != "string" && field.order.low_word_first != low_first {
        address.push_str(if low_first { " high_first" } else { " low_first" });
    }
    let measurement = field.measurement.as_deref().filter(|measurement| *measurement != "modbus");
    let wanted = if names.is_free(&field.name) {
        field.name.clone()
    } else {
        measurement.map_or(field.name.clone(), |measurement| format!("{measurement}_{}", field.name))
    };
    let name = names.take(&wanted);
    if name != field.name {
        import.report.lost(field.line, format!("`{}` is called `{name}` here", line(&field.name)));
    }
    let number = !matches!(found.plc_type, "bool" | "string");
    let scale = field.scale.filter(|scale| number && *scale != 0.0 && *scale != 1.0).map(text::number);
    let note = measurement.map(|measurement| format!("measurement {measurement}")).unwrap_or_default();
    group.entries.push(Entry::Tag(Tag {
        name,
        address,
        plc_type: found.plc_type,
        scale,
        note,
        ..Tag::default()
    }));
}
