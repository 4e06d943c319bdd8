//! A destination that says that somebody newer writes to it: the node steps down.

use crate::pair_plant::{PROGRAM, Plant};
use gwp_tests::{PATIENCE, until};
use rusqlite::Connection;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

#[test]
fn a_node_steps_down_when_the_database_has_a_newer_epoch() {
    let plant = Plant::redundant("default");
    let active = plant.wait_until_redundant();
    let epoch = plant.epoch(active);
    let database = Connection::open(plant.database()).unwrap();
    database.busy_timeout(PATIENCE).unwrap();
    database.execute("update gwp_cursor set epoch = ?1", [epoch as i64 + 1]).unwrap();
    until("the node to step down", PATIENCE, || {
        plant.log(active).contains(&format!("has another writer than epoch {epoch}"))
    });
    // The other one as a rule; this one again where a disk was slow to keep the other's vote.
    until("a takeover", PATIENCE, || [0, 1].iter().any(|node| plant.epoch(*node) > epoch));
    plant.wait_for_rows();
    let active = plant.wait_until_redundant();
    plant.finish(active);
}

/// A broker that only acknowledges, and tells who loses its session so (mosquitto 2.0.11 just closes).
struct Broker {
    port: u16,
    sessions: Arc<Mutex<Vec<TcpStream>>>,
}

impl Broker {
    fn start() -> Broker {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let broker = Broker { port: listener.local_addr().unwrap().port(), sessions: Arc::default() };
        let sessions = broker.sessions.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                sessions.lock().unwrap().push(stream.try_clone().unwrap());
                std::thread::spawn(move || serve(stream));
            }
        });
        broker
    }

    /// Somebody else has come with the client id of whoever is here.
    fn give_sessions_away(&self) {
        for mut stream in self.sessions.lock().unwrap().drain(..) {
            // DISCONNECT, Session taken over (MQTT 5.0, 3.14.2.1), no properties.
            let _ = stream.write_all(&[0xE0, 2, 0x8E, 0]);
        }
    }
}

/// Answers CONNECT, PUBLISH with QoS 1 and PINGREQ, until the stream ends.
fn serve(mut stream: TcpStream) -> Option<()> {
    loop {
        let [header] = bytes(&mut stream)?;
        let (mut length, mut shift) = (0, 0);
        loop {
            let [byte] = bytes(&mut stream)?;
            length |= usize::from(byte & 0x7F) << shift;
            shift += 7;
            if byte < 0x80 {
                break;
            }
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body).ok()?;
        match header >> 4 {
            // CONNACK: no session, success, no properties.
            1 => stream.write_all(&[0x20, 3, 0, 0, 0]).ok()?,
            3 if header & 0b110 == 0b010 => {
                let topic = usize::from(u16::from_be_bytes([body[0], body[1]]));
                stream.write_all(&[0x40, 2, body[2 + topic], body[3 + topic]]).ok()?;
            }
            12 => stream.write_all(&[0xD0, 0]).ok()?,
            _ => {}
        }
    }
}

fn bytes<const N: usize>(stream: &mut TcpStream) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    stream.read_exact(&mut bytes).ok().map(|()| bytes)
}

#[test]
fn a_node_steps_down_when_a_broker_gives_its_session_away_and_its_peer_is_silent() {
    let broker = Broker::start();
    let sink = format!(
        "sink live : mqtt {{\n  broker = \"mqtt://127.0.0.1:{}\", client_id = \"plant\"\n  retry {{ max = 1 s }}\n}}\nflow more = m[*] -> live\n",
        broker.port
    );
    let mut plant = Plant::redundant_with("default", &format!("{PROGRAM}{sink}"), ["", ""]);
    let active = plant.wait_until_redundant();
    let (standby, epoch) = (1 - active, plant.epoch(active));
    let connections = |plant: &Plant| plant.log(active).matches("INFO connected broker").count();

    // A peer that is heard does not write there: it is a stranger.
    until("a session", PATIENCE, || connections(&plant) == 1);
    broker.give_sessions_away();
    until("the loss of the session", PATIENCE, || {
        plant.log(active).contains("another client has taken a session, and it is not the peer")
    });
    until("the session to be back", PATIENCE, || connections(&plant) == 2);
    plant.wait_for_rows();
    assert_eq!((plant.wait_until_redundant(), plant.epoch(active)), (active, epoch));

    // One that is not heard may be active by force.
    plant.kill(standby);
    plant.wait_for_state(active, "active, alone");
    broker.give_sessions_away();
    until("the node to step down", PATIENCE, || {
        plant.log(active).contains(&format!("has another writer than epoch {epoch}"))
    });
    // The witness knows of nobody else.
    plant.wait_for_takeover(active, epoch);
    plant.wait_for_rows();
    plant.start(standby);
    assert_eq!(plant.wait_until_redundant(), active);
    plant.finish(active);
}
