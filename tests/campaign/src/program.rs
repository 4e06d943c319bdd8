//! What the nodes of a campaign run, and which slots of which streams it must deliver.

use crate::net::{LinkPlan, Net};
use std::fmt::Write as _;
use std::path::Path;

/// Register pairs that are read of each device.
const PAIRS: u32 = 4;
const DEVICES: u32 = 2;
const SIMULATED: u32 = 3;
/// More simulated tags, for load.
const LOAD: u32 = 100;

pub const DEVICE_PERIOD_NS: i64 = 100_000_000;
pub const COUNTER_PERIOD_NS: i64 = 100_000_000;

/// What the values of a stream say.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// See [`crate::device::Encoded`].
    Device { device: u32, register: u32 },
    /// Counts slots of simulated time.
    Counter,
}

/// A tag that is read at each slot.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Stream {
    pub name: String,
    pub period_ns: i64,
    pub kind: Kind,
}

pub fn streams(load: bool) -> Vec<Stream> {
    let devices = (1..=DEVICES).flat_map(|device| {
        (0..PAIRS).map(move |register| Stream {
            name: format!("plc{device}.r{register}"),
            period_ns: DEVICE_PERIOD_NS,
            kind: Kind::Device { device, register },
        })
    });
    let counter = |device: &str, number: u32| Stream {
        name: format!("{device}{number}.x"),
        period_ns: COUNTER_PERIOD_NS,
        kind: Kind::Counter,
    };
    let simulated = (1..=SIMULATED).map(|number| counter("m", number));
    let more = (1..=if load { LOAD } else { 0 }).map(|number| counter("l", number));
    devices.chain(simulated).chain(more).collect()
}

/// The text of `plant.gwp`.
pub fn text(database: &Path, load: bool, mqtt: bool, hot: bool) -> String {
    let standby = if hot { ", standby = hot" } else { "" };
    let mut text = "gateway plant {}\n".to_owned();
    for device in 1..=DEVICES {
        let _ = writeln!(
            text,
            "source plc{device} : modbus_tcp {{\n  address = node(\"plc{device}\"), unit_id = 1, scan = 100 ms, timeout = 300 ms{standby}"
        );
        for register in 0..PAIRS {
            let _ = writeln!(text, "  tag r{register} at \"hr {}\" : dint", 2 * register);
        }
        text += "}\n";
    }
    let counter = "{ tag x at \"counter 0..1000000000 step 1\" : dint }";
    let _ = writeln!(
        text,
        "source sim : simulator {{ scan = 100 ms{standby} }}\ndevice m[1..{SIMULATED}] on sim {counter}"
    );
    let mut heads = "m[*]".to_owned();
    for device in 1..=DEVICES {
        let _ = write!(heads, ", plc{device}.r*");
    }
    let _ = writeln!(text, "sink db : sqlite {{ path = \"{}\" }}", database.display());
    if load {
        let _ = writeln!(text, "device l[1..{LOAD}] on sim {counter}\nflow more = l[*] -> db");
    }
    let _ = writeln!(text, "flow rows = {heads} -> db");
    if mqtt {
        text += "sink broker : mqtt { broker = node(\"broker\"), topic = \"gwp/{device}\" }\n";
        let _ = writeln!(text, "flow live = {heads} -> broker");
    }
    text
}

/// The text of a node's `node.toml`.
pub fn node_toml(name: &str, data: &Path, net: &Net, links: [LinkPlan; 2], is_small: bool) -> String {
    let mut text = format!("[node]\nid = \"{name}\"\ndata = \"{}\"\n", data.display());
    if is_small {
        text += "[disk]\nreserve = \"96 MB\"\nballast = \"16 MB\"\n";
    }
    let _ = write!(text, "[pair]\nme = \"{name}\"\nkey = \"pair.key\"\nlinks = [");
    for LinkPlan { here, peer, witness } in links {
        let witness = witness.map_or(String::new(), |witness| format!(", witness = \"{witness}\""));
        let _ = write!(text, "{{ here = \"{here}\", peer = \"{peer}\"{witness} }}, ");
    }
    let _ = write!(text, "]\n[vars]\nbroker = \"mqtt://{}\"\n", net.server(0));
    for device in 1..=DEVICES {
        let _ = writeln!(text, "plc{device} = \"{}\"", net.server(device as u16));
    }
    text
}
