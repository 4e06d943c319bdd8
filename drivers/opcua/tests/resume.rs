//! Subscriptions that outlive the gateway: the next run, here or on the other node of a pair, goes on where the one
//! before stood; against the servers of node-opcua and asyncua.

#[path = "security/peer.rs"]
#[expect(dead_code, reason = "shared with the tests of security, which use more of it")]
mod peer;
#[path = "asyncua/rig.rs"]
#[expect(dead_code, reason = "shared with the tests of servers, which use more of it")]
mod rig;

use gwp_core::manifest::{SettingValue, Settings};
use gwp_core::source::{Bookmarks, Driver, Emission, PlcType, Source};
use gwp_core::{Quality, TagId, Timestamp, Value};
use gwp_driver_contract::rig::{Point, Running, declare, ms};
use gwp_driver_opcua::OpcUa;
use peer::{Folder, Peer, enabled};
use rig::Relay;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const COUNTER: &str = "nsu=urn:gwp:plant;s=Counter";
/// It stays what it is.
const SPEED: &str = "nsu=urn:gwp:plant;s=Line.Speed";

fn text(text: &str) -> SettingValue {
    SettingValue::Text(text.into())
}

/// A source of the counter of a server.
fn source(url: &str, folder: &Folder, more: &[(&'static str, SettingValue)]) -> Box<dyn Source> {
    source_of(&[(COUNTER, PlcType::Udint, false)], url, folder, more)
}

fn source_of(
    points: &[Point<'_>],
    url: &str,
    folder: &Folder,
    more: &[(&'static str, SettingValue)],
) -> Box<dyn Source> {
    let pauses = [("first", ms(50)), ("max", ms(500))].map(|(name, value)| (name.into(), value));
    let mut settings = vec![
        ("address", text(url)),
        ("publishing", ms(100)),
        ("sampling", ms(0)),
        ("reconnect", SettingValue::Block(Settings(pauses.into()))),
        ("pki", text(&folder.0.join("gateway").display().to_string())),
    ];
    settings.extend_from_slice(more);
    let mut declaration = declare(&settings, &[(0, points)]);
    declaration.device_time = true;
    OpcUa.prepare(declaration).unwrap_or_else(|errors| panic!("{errors:?}"))
}

/// A sample of the counter.
#[derive(Clone, Copy, PartialEq, Debug)]
struct Count {
    number: i64,
    time: Timestamp,
}

/// Good samples until there are so many, and how many bad ones came among them.
async fn counts(running: &mut Running, count: usize) -> (Vec<Count>, usize) {
    let (mut counts, mut bad) = (Vec::new(), 0);
    while counts.len() < count {
        bad += add(running.next().await, &mut counts);
    }
    (counts, bad)
}

/// Adds what is good; how much is not.
fn add(said: Emission, counts: &mut Vec<Count>) -> usize {
    let Emission::Samples { batch, .. } = said else { return 0 };
    let mut bad = 0;
    for index in 0..batch.len() {
        match (batch.values.get(index), batch.qualities.get(index)) {
            (Value::Int(number), Quality::GOOD) => {
                counts.push(Count { number, time: batch.times.get(index) });
            }
            _ => bad += 1,
        }
    }
    bad
}

/// Each number follows on the one before, and the times rise with them.
fn assert_whole(counts: &[Count]) {
    for pair in counts.windows(2) {
        assert_eq!(pair[1].number, pair[0].number + 1, "{pair:?} of {counts:?}");
        assert!(pair[1].time > pair[0].time, "{pair:?}");
    }
}

fn now() -> Timestamp {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970");
    Timestamp(now.as_nanos() as i64)
}

/// Time in which nobody listens.
const AWAY: Duration = Duration::from_secs(3);

/// Crashes, stays away, comes back: all that was counted meanwhile is there, once, with its own time.
async fn survives_its_death(url: &str, folder: &Folder, more: &[(&'static str, SettingValue)]) {
    let mut first = Running::going_on(source(url, folder, more), Bookmarks::new());
    let (mut all, _) = counts(&mut first, 10).await;
    let (bookmarks, said) = first.crash().await;
    said.into_iter().for_each(|said| assert_eq!(add(said, &mut all), 0));
    let died = now();
    // What is to be shown is that the server counts on while nobody listens.
    tokio::time::sleep(AWAY).await;
    let back = now();
    let mut second = Running::going_on(source(url, folder, more), bookmarks);
    let (rest, bad) = counts(&mut second, 45).await;
    second.stop().await;
    let meanwhile = rest.iter().filter(|count| count.time > died && count.time < back).count();
    assert!(meanwhile > 20, "{meanwhile} of about 30: {rest:?}");
    all.extend(&rest);
    assert_whole(&all);
    assert_eq!(bad, 0, "nothing is unknown: {rest:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_node_opcua_kept_while_the_gateway_was_dead_comes_once_with_its_own_time() {
    if !enabled() {
        return;
    }
    let folder = Folder::new("resume-node");
    let server = Peer::node(&folder.0, &[]);
    let user = [("security", text("none")), ("user", text("anna")), ("password", text("secret"))];
    survives_its_death(&server.url, &folder, &user).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_what_asyncua_hands_over_is_mute_its_history_has_it() {
    if !enabled() {
        return;
    }
    let folder = Folder::new("resume-asyncua");
    let server = Peer::asyncua(&folder.0, &[]);
    // It hands subscriptions over and goes on answering the session before: the data watchdog finds that.
    let quick = [("security", text("none")), ("keep_alive", ms(500)), ("timeout", ms(1_000))];
    survives_its_death(&server.url, &folder, &quick).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_end_in_order_leaves_the_subscription_to_the_next_run() {
    if !enabled() {
        return;
    }
    let folder = Folder::new("resume-order");
    let server = Peer::node(&folder.0, &[]);
    let user = [("security", text("none")), ("user", text("anna")), ("password", text("secret"))];
    let mut first = Running::going_on(source(&server.url, &folder, &user), Bookmarks::new());
    let (before, _) = counts(&mut first, 10).await;
    let bookmarks = first.end().await;
    tokio::time::sleep(AWAY).await;
    let mut second = Running::going_on(source(&server.url, &folder, &user), bookmarks);
    let (rest, _) = counts(&mut second, 40).await;
    second.stop().await;
    assert_whole(&rest);
    let skipped = rest[0].number - before.last().expect("ten came").number;
    assert!((1..10).contains(&skipped), "what the first run had, and was not asked for: {skipped}");
}

/// What is told of the two tags: good samples of the counter, and whether the other one is good.
#[derive(Default)]
struct Told {
    counts: Vec<Count>,
    is_good: Option<bool>,
}

impl Told {
    fn add(&mut self, said: Emission) {
        let Emission::Samples { batch, .. } = said else { return };
        for index in 0..batch.len() {
            let (value, is_good) = (batch.values.get(index), batch.qualities.get(index).is_good());
            match (batch.tags[index], value) {
                (TagId(0), Value::Int(number)) if is_good => {
                    self.counts.push(Count { number, time: batch.times.get(index) });
                }
                (TagId(1), _) => self.is_good = Some(is_good),
                _ => {}
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn queued_changes_keep_their_times_and_what_did_not_change_is_good_again_after_a_failed_attempt() {
    if !enabled() {
        return;
    }
    let folder = Folder::new("resume-late");
    let server = Peer::node(&folder.0, &[]);
    let relay = Relay::start(server.port).await;
    let url = format!("opc.tcp://127.0.0.1:{}/plant/", relay.port());
    let points = [(COUNTER, PlcType::Udint, false), (SPEED, PlcType::Lreal, false)];
    let start = |bookmarks| {
        Running::going_on(source_of(&points, &url, &folder, &[("security", text("none"))]), bookmarks)
    };
    let mut told = Told::default();
    let mut first = start(Bookmarks::new());
    while told.counts.len() < 10 || told.is_good != Some(true) {
        told.add(first.next().await);
    }
    // Its connection is lost, and said to be, before it dies.
    relay.refuse();
    relay.cut();
    loop {
        match first.next().await {
            Emission::Connected { up: false, .. } => break,
            said => told.add(said),
        }
    }
    // From here on the log has it as bad.
    told.is_good = None;
    let (bookmarks, said) = first.crash().await;
    said.into_iter().for_each(|said| told.add(said));

    let mut second = start(bookmarks);
    assert!(!second.connected().await, "the first attempt fails");
    // What is to be shown is that the server counts on while nobody listens.
    tokio::time::sleep(AWAY).await;
    relay.pass();
    let before = told.counts.len();
    while told.counts.len() < before + 60 || told.is_good != Some(true) {
        told.add(second.next().await);
    }
    second.stop().await;
    assert_whole(&told.counts);
}
