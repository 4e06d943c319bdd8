//! Programs that the benches compile and run.
#![allow(dead_code)]

use gwp_compile::{Catalog, Compiled, Project, compile};
use gwp_core::sink::SinkDriver as _;
use gwp_core::source::Driver as _;
use gwp_driver_simulator::Simulator;
use gwp_sink_file::Csv;
use std::fmt::Write as _;

/// Compiles a program with simulator sources and CSV sinks; panics if it is wrong.
pub fn compiled(text: &str) -> Compiled {
    let catalog = Catalog::new([Simulator.manifest(), Csv.manifest()]);
    let compiled = compile(&Project::single("bench.gwp", text), &catalog);
    assert!(compiled.plan.is_some(), "{:?}", compiled.diagnostics.first());
    compiled
}

/// A family of `devices` with `tags` each, calcs over all and over two of them, an alarm, a window of 15 min with four
/// aggregates per device, and a test over so many hours.
pub fn day(devices: usize, tags: usize, hours: usize) -> String {
    let width = devices.to_string().len();
    let first = format!("meter{:0width$}", 1);
    let tag = |number: usize| format!("p{:03}", number % tags);
    let mut text = String::from("gateway day { timezone = \"Europe/Berlin\" }\ntemplate EnergyMeter() {\n");
    for number in 0..tags {
        let _ = writeln!(text, "  tag {} at \"constant 5\" : real kW range 0..500 kW", tag(number));
    }
    let _ = write!(
        text,
        r#"}}
source sim : simulator {{ scan = 1 s }}
device meter[{one:0width$}..{devices}] : EnergyMeter() on sim
device site {{
  calc total : real kW = sum_of(meter[*].p000)
  calc load : real % = total / ({devices} * 400 kW)
  calc energy = integral(total)
  calc pair : real kW = {first}.{a} + {first}.{b}
  alarm busy when load > 80 % for 10 s {{ clear = load < 70 % }}
}}
sink out : csv {{ path = "day.csv" }}
flow raw = meter[*], site -> out
flow events = *.alarms -> out
flow quarter = meter[*] -> every 15 min by device {{
  mean_kw = avg({a}), low = min({b}), high = max({c}), used = integral({d})
}} -> out
test "a day" {{
  at 0 s: {first}.p000 = 100 kW
  at 1 min to {hours} h every 7 min: {last}.{d} = 200 kW
  at {half} min: {first}.p000 = 300 kW
  at {hours} h: expect {first}.p000 = 300 kW
  at {hours} h: expect quarter {{ device = "{first}", mean_kw = 300 kW }}
}}
"#,
        one = 1,
        last = if devices > 1 { format!("meter{devices}") } else { first.clone() },
        half = hours * 30,
        a = tag(0),
        b = tag(1),
        c = tag(2),
        d = tag(3),
    );
    text
}

/// A window of 1 min per device, with four aggregates of each tag.
pub fn windows(devices: usize, tags: usize) -> String {
    let mut text = String::from("source sim : simulator { scan = 1 s }\ntemplate T() {\n");
    for tag in 0..tags {
        let _ = writeln!(text, "  tag t{tag} at \"constant 5\" : real");
    }
    let columns = (0..tags)
        .map(|t| format!("  a{t} = avg(t{t}), b{t} = min(t{t}), c{t} = max(t{t}), d{t} = count(t{t})"));
    let columns = columns.collect::<Vec<_>>().join(",\n");
    let _ = write!(
        text,
        "}}\ndevice m[1..{devices}] : T() on sim\nsink out : csv {{ path = \"rows.csv\" }}\n\
         flow minutes = m[*] -> every 1 min by device {{\n{columns}\n}} -> out\n"
    );
    text
}
