//! What people and programs are shown of a pair, and what one without a witness may do by itself.

use crate::pair_plant::{PROGRAM, Plant, port};
use crate::said;
use gwp_tests::{PATIENCE, until};
use std::io::{Read, Write};
use std::net::TcpStream;

const NAMES: [&str; 2] = ["primary", "backup"];

/// The metrics of a node.
fn page(port: u16) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("metrics");
    stream.write_all(b"GET /metrics HTTP/1.1\r\nhost: gwp\r\nconnection: close\r\n\r\n").expect("a request");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("a page");
    text
}

#[test]
fn both_nodes_show_figures_of_the_pair() {
    let ports = [port(), port()];
    let plant = Plant::new("default");
    for (name, port) in NAMES.iter().zip(ports) {
        let name = format!("{name}.toml");
        plant.write(&name, &format!("{}[listen]\nmetrics = \"127.0.0.1:{port}\"\n", plant.read(&name)));
    }
    let plant = plant.started(&[]);
    let active = plant.wait_until_redundant();
    let [first, second] = [active, 1 - active].map(|node| page(ports[node]));
    let epoch = format!("gwp_pair_epoch {}\n", plant.epoch(active));
    for line in [
        "gwp_pair_active 1\n",
        "gwp_pair_in_step 1\n",
        "gwp_pair_redundant 1\n",
        &epoch,
        "gwp_pair_state{state=\"active, paired\"} 1\n",
        "gwp_pair_silent_seconds{member=\"witness\"} ",
        "gwp_pair_link_silent_seconds{link=\"1\"} ",
        "gwp_pair_lag_bytes ",
        "gwp_pair_given_bytes_total ",
        "gwp_pair_asides 0\n",
        "gwp_pair_aside_records_left 0\n",
    ] {
        assert!(first.contains(line), "{line}{first}");
    }
    for line in ["gwp_pair_active 0\n", "gwp_pair_in_step 1\n", "gwp_pair_state{state=\"standby\"} 1\n"] {
        assert!(second.contains(line), "{line}{second}");
    }
    assert!(!second.contains("gwp_pair_lag_bytes "), "only the active knows");
    let status = |node: usize| {
        let out = plant.ask(&["status", "--data", &format!("data-{}", NAMES[node])]);
        String::from_utf8_lossy(&out.stdout).into_owned()
    };
    let text = status(active);
    assert!(
        text.contains(&format!("pair: the {} is active", NAMES[active])) && text.contains("lacks"),
        "{text}"
    );
    let text = status(1 - active);
    assert!(text.contains(&format!("pair: the {} is standby", NAMES[1 - active])), "{text}");
    plant.finish(active);
}

#[test]
fn without_a_witness_the_program_says_what_a_standby_may() {
    let mut plant = Plant::new("default");
    for name in NAMES {
        let (name, text) = (format!("{name}.toml"), plant.read(&format!("{name}.toml")));
        let (before, after) = text.split_once(", witness = \"").expect("a witness");
        let (_, after) = after.split_once('"').expect("its address");
        plant.write(&name, &format!("{before}{after}"));
    }
    plant.tell_pair("policy = \"availability\"\n");
    plant = plant.started(&[]);
    let active = plant.wait_until_redundant();
    let (_, text) = plant.shown(active);
    assert!(text.contains("availability: the standby takes over"), "{text}");
    let epoch = plant.epoch(active);
    plant.wait_for_rows();
    plant.kill(active);
    plant.wait_for_takeover(1 - active, epoch);
    plant.wait_for_rows();

    // With a destination that would get everything twice it may not, whatever is wanted.
    let program = format!("{}.gwp", NAMES[active]);
    plant.write(
        &program,
        &format!("{PROGRAM}sink files : csv {{ path = \"a.csv\" }}\nflow more = m[*] -> files\n"),
    );
    plant.start(active);
    until("the program to be refused", PATIENCE, || {
        plant.log(active).contains("is not allowed with this program")
    });
    plant.kill(active);
    let log = plant.log(active);
    assert!(log.contains("sink `files`") && !log.contains("sink `out`"), "{log}");
    let text = said(&plant.ask(&["plan", &program]));
    assert!(text.contains("in a pair without a witness: safety"), "{text}");
    plant.finish(1 - active);
}
