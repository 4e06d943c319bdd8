//! The language on a large program: 20 devices with 1,000 tag lines each. `plain` cuts the same
//! lines into name, address and type and keeps them, with no check, no places and no errors.

mod support;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use gwp_compile::{Catalog, Project, compile};
use gwp_core::source::Driver;
use gwp_plan::Plan;
use gwp_syntax::{FileId, parse};
use std::fmt::Write as _;
use std::hint::black_box;
use std::time::Duration;
use support::*;

const DEVICES: usize = 20;
const TAGS: usize = 1_000;
const LINES: usize = DEVICES * TAGS;

/// The driver `modbus_tcp`.
static MODBUS: &gwp_driver_modbus::Modbus = &gwp_driver_modbus::DRIVERS[0];

fn program() -> String {
    let mut text = String::new();
    for device in 0..DEVICES {
        let _ = writeln!(
            text,
            "source d{device} : modbus_tcp {{\n  address = \"10.0.0.{device}:502\", scan = 100 ms"
        );
        for tag in 0..TAGS {
            // Every tenth one has attributes, as in a plant.
            let attributes = if tag % 10 == 0 { " degC scale 0.1 range 0..120 degC" } else { "" };
            let _ = writeln!(text, "  tag t{tag:04} at \"hr {tag}\" : uint{attributes}");
        }
        text.push_str("}\n");
    }
    let sources: Vec<String> = (0..DEVICES).map(|device| format!("d{device}")).collect();
    let _ = writeln!(text, "sink broker : mqtt {{ broker = \"mqtt://10.0.0.200\" }}");
    let _ = writeln!(text, "flow all = {} -> broker", sources.join(", "));
    text
}

/// Name, address and type of each tag line.
fn cut(text: &str) -> Vec<(String, String, String)> {
    let cut = |line: &str| {
        let (name, rest) = line.trim_start().strip_prefix("tag ")?.split_once(" at \"")?;
        let (address, rest) = rest.split_once('"')?;
        let kind = rest.trim_start_matches([' ', ':']).split(' ').next()?;
        Some((name.to_owned(), address.to_owned(), kind.to_owned()))
    };
    text.lines().filter_map(cut).collect()
}

fn catalog() -> Catalog {
    Catalog::new([MODBUS.manifest(), &gwp_sink_mqtt::MANIFEST])
}

fn compiled(text: &str, catalog: &Catalog) -> Plan {
    let compiled = compile(&Project::single("bench.gwp", text), catalog);
    compiled.plan.unwrap_or_else(|| panic!("{:?}", compiled.diagnostics.first()))
}

fn language(c: &mut Criterion) {
    let text = program();
    let catalog = catalog();
    let mut group = c.benchmark_group("language/20,000 tag lines");
    group
        .throughput(Throughput::Elements(LINES as u64))
        .sample_size(10)
        .measurement_time(Duration::from_secs(1));

    let parsed = parse(FileId(0), &text);
    assert!(parsed.diagnostics.is_empty(), "{:?}", parsed.diagnostics.first());
    group.bench_function("parse", |b| b.iter(|| parse(FileId(0), black_box(&text))));

    let plan = compiled(&text, &catalog);
    assert_eq!(plan.groups.len(), DEVICES);
    group.bench_function("parse and compile", |b| b.iter(|| compiled(black_box(&text), &catalog)));
    group.bench_function("check by the driver", |b| {
        b.iter(|| {
            for index in 0..DEVICES {
                let declaration = plan.source_declaration(index).expect("a source of the plan");
                assert_eq!(MODBUS.check(&declaration), []);
            }
        })
    });
    group.bench_function("bytes and id of the plan", |b| b.iter(|| black_box(&plan).id()));

    assert_eq!(cut(&text).len(), LINES);
    group.bench_function("plain", |b| b.iter(|| cut(black_box(&text))));
    group.finish();
}

criterion_group! {
    name = benches;
    config = short();
    targets = language
}
criterion_main!(benches);
