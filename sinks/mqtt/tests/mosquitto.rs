//! The sink against a real mosquitto: `GWP_PEER_TESTS=1 cargo test -p gwp-sink-mqtt --test mosquitto`.

mod peer;

use gwp_core::manifest::SettingValue;
use gwp_core::sink::Disposition;
use peer::*;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::Ordering::Relaxed;

fn text(text: impl AsRef<str>) -> SettingValue {
    SettingValue::Text(text.as_ref().into())
}

fn broker_at(port: u16) -> (&'static str, SettingValue) {
    ("broker", text(format!("mqtt://127.0.0.1:{port}")))
}

/// First occurrences rise: what comes again after a fault never overtakes what was not there before.
fn assert_order(values: &[i64]) {
    let mut newest = 0;
    for value in values {
        assert!(*value <= newest + 1, "{value} arrived before {}", newest + 1);
        newest = newest.max(*value);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_version_and_qos_delivers_all_in_order() {
    if !wanted() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let broker = Broker::start(dir.path(), "");
    for version in ["v5", "v311"] {
        for qos in 0..=2 {
            for window in [1, 3, 100] {
                let mut subscriber = Subscriber::start(broker.port, None, None).await;
                let settings = [
                    broker_at(broker.port),
                    ("version", text(version)),
                    ("qos", SettingValue::Int(qos)),
                    ("in_flight", SettingValue::Int(window)),
                ];
                let mut engine = Engine::new(&settings, stream(300, 3));
                let ran = engine.run(|_| {}).await;
                assert!(ran.is_ok(), "{version} qos {qos} window {window}: {ran:?}\n{}", broker.log());
                assert_eq!(engine.done, 300);
                let arrived = subscriber.wait("all arrive", |all| all.len() >= 300).await;
                let expected: Vec<i64> = (1..=300).collect();
                assert_eq!(first_values(&arrived), expected, "{version} qos {qos} window {window}");
                assert_eq!(arrived[0].topic, "gwp/press");
                assert_eq!(arrived[299].payload["values"]["press.t2"], 302);
                assert_eq!(engine.meter.samples.load(Relaxed), 900);
                assert_eq!(engine.meter.requests.load(Relaxed), 300);
                assert_eq!(engine.meter.connected.load(Relaxed), 0);
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_messages_of_one_delivery_fill_the_window() {
    if !wanted() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let broker = Broker::start(dir.path(), "");
    for window in [1, 2, 100] {
        let mut subscriber = Subscriber::start(broker.port, None, None).await;
        let settings =
            [broker_at(broker.port), ("message", text("tag")), ("in_flight", SettingValue::Int(window))];
        let mut engine = Engine::new(&settings, stream(5, 60));
        engine.run(|_| {}).await.unwrap();
        let arrived = subscriber.wait("all arrive", |all| all.len() >= 300).await;
        let seen: Vec<(String, i64)> =
            arrived.iter().map(|one| (one.topic.clone(), one.payload["value"].as_i64().unwrap())).collect();
        let expected: Vec<(String, i64)> = (1..=5)
            .flat_map(|seq| (0..60).map(move |tag| (format!("gwp/press/t{tag}"), seq + tag)))
            .collect();
        assert_eq!(seen, expected);
    }
}

/// Stops the broker in the middle of a stream, several times; `stop` says how.
async fn survive_restarts(version: &str, qos: i64, kept: Option<&str>, stop: fn(&mut Broker)) {
    const COUNT: u64 = 4_000;
    const ROUNDS: usize = 4;
    let dir = tempfile::tempdir().unwrap();
    // Everything goes on to the subscriber at once, so what a killed broker had taken is on its way.
    let mut broker = Broker::start(dir.path(), "max_inflight_messages 0\n");
    let mut subscriber = Subscriber::start(broker.port, kept, None).await;
    let settings = [broker_at(broker.port), ("version", text(version)), ("qos", SettingValue::Int(qos))];
    let mut engine = Engine::new(&settings, stream(COUNT, 10));
    for round in 1..=ROUNDS {
        let until = round * COUNT as usize / (ROUNDS + 1);
        let mut stopped = false;
        let result = engine
            .run(|done| {
                if done >= until && !stopped {
                    stopped = true;
                    stop(&mut broker);
                }
            })
            .await;
        let error = result.expect_err("the broker went away in the middle");
        assert!(matches!(error.disposition, Disposition::Retry { .. }), "{error}");
        assert!(engine.done >= until && engine.done < COUNT as usize);
        // While it is away, connecting fails and is worth another try.
        let error = engine.run(|_| {}).await.expect_err("nobody listens");
        assert!(matches!(error.disposition, Disposition::Retry { .. }), "{error}");
        subscriber.wait_lost().await;
        broker.launch();
        subscriber.wait_subscribed().await;
        let acked = engine.done as i64;
        subscriber.wait("what was acknowledged arrives", |all| reached(all, acked)).await;
        let values = first_values(&subscriber.arrivals());
        for value in 1..=acked {
            assert!(values.contains(&value), "{value} was acknowledged and did not arrive");
        }
    }
    engine.run(|_| {}).await.unwrap();
    assert_eq!(engine.done, COUNT as usize);
    let all = subscriber.wait("all arrive", |all| reached(all, COUNT as i64)).await;
    let values = first_values(&all);
    let unique: std::collections::BTreeSet<i64> = values.iter().copied().collect();
    assert!(unique.into_iter().eq(1..=COUNT as i64));
    assert_order(&values);
    let duplicates = values.len() - COUNT as usize;
    // A broker that keeps a subscriber's session sends again to it as well.
    let bound = if kept.is_none() { ROUNDS * engine.in_flight } else { usize::MAX };
    assert!(duplicates <= bound, "{duplicates} arrived twice");
    println!("{version} qos {qos}: {duplicates} of {COUNT} arrived twice over {ROUNDS} restarts");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_broker_that_forgets_everything_loses_nothing_acknowledged() {
    if !wanted() {
        return;
    }
    let kill = |broker: &mut Broker| {
        broker.kill();
        broker.forget();
    };
    for (version, qos) in [("v5", 1), ("v5", 2), ("v311", 1), ("v311", 2)] {
        survive_restarts(version, qos, None, kill).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_comes_back_with_its_sessions_loses_nothing_acknowledged() {
    if !wanted() {
        return;
    }
    for (version, qos) in [("v5", 1), ("v5", 2), ("v311", 1), ("v311", 2)] {
        survive_restarts(version, qos, Some("keeper"), Broker::terminate).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn user_and_password_are_given_and_a_wrong_one_needs_a_person() {
    if !wanted() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let users = dir.path().join("users");
    let made = Command::new("mosquitto_passwd").args(["-b", "-c"]).arg(&users).args(["gw", "right"]).status();
    assert!(made.unwrap().success());
    let extra = format!("allow_anonymous false\npassword_file {}\n", users.display());
    let broker = Broker::start(dir.path(), &extra);
    let mut subscriber = Subscriber::start(broker.port, None, Some(("gw", "right"))).await;
    for version in ["v5", "v311"] {
        let settings = |password: &str| {
            [
                broker_at(broker.port),
                ("version", text(version)),
                ("user", text("gw")),
                ("password", text(password)),
            ]
        };
        let error = Engine::new(&settings("wrong"), stream(1, 1)).run(|_| {}).await.unwrap_err();
        assert_eq!(error.disposition, Disposition::Halt, "{error}");
        assert!(error.message.contains("`password`"), "{error}");
        let before = subscriber.arrivals().len();
        Engine::new(&settings("right"), stream(1, 1)).run(|_| {}).await.unwrap();
        subscriber.wait("it arrives", |all| all.len() > before).await;
    }
}

/// An authority, a certificate of `localhost` and 127.0.0.1, and one of a client, by the openssl tool.
fn make_certificates(dir: &Path) {
    let openssl = |args: &str| {
        let run = Command::new("openssl").args(args.split(' ')).current_dir(dir).output().unwrap();
        assert!(run.status.success(), "{args}: {}", String::from_utf8_lossy(&run.stderr));
    };
    std::fs::write(dir.join("server.ext"), "subjectAltName=DNS:localhost,IP:127.0.0.1\n").unwrap();
    std::fs::write(dir.join("client.ext"), "extendedKeyUsage=clientAuth\n").unwrap();
    for ca in ["ca", "other"] {
        openssl(&format!(
            "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout {ca}.key -out {ca}.pem -days 2 -subj /CN={ca}"
        ));
    }
    for leaf in ["server", "client"] {
        openssl(&format!(
            "req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout {leaf}.key -out {leaf}.csr -subj /CN={leaf}"
        ));
        openssl(&format!(
            "x509 -req -in {leaf}.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile {leaf}.ext -out {leaf}.pem"
        ));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_trusts_the_named_authority_only_and_shows_a_certificate() {
    if !wanted() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    make_certificates(dir.path());
    let file = |name: &str| dir.path().join(name).to_string_lossy().into_owned();
    let tls = format!(
        "cafile {}\ncertfile {}\nkeyfile {}\n",
        file("ca.pem"),
        file("server.pem"),
        file("server.key")
    );
    for (version, mutual) in [("v5", false), ("v311", true)] {
        let extra = format!("{tls}{}", if mutual { "require_certificate true\n" } else { "" });
        let broker = Broker::start(&dir.path().join(version), &extra);
        let mut settings = vec![
            ("broker", text(format!("ssl://localhost:{}", broker.port))),
            ("version", text(version)),
            ("ca", text(file("ca.pem"))),
        ];
        if mutual {
            let error = Engine::new(&settings, stream(1, 1)).run(|_| {}).await.unwrap_err();
            println!("without a certificate: {error} ({:?})", error.disposition);
            settings.push(("cert", text(file("client.pem"))));
            settings.push(("cert_key", text(file("client.key"))));
        }
        let mut engine = Engine::new(&settings, stream(200, 3));
        engine.run(|_| {}).await.unwrap();
        assert_eq!(engine.done, 200);

        settings[2] = ("ca", text(file("other.pem")));
        let error = Engine::new(&settings, stream(1, 1)).run(|_| {}).await.unwrap_err();
        assert_eq!(error.disposition, Disposition::Halt, "{error}");
        assert!(error.message.contains("not trusted") && error.message.contains("`ca`"), "{error}");

        settings[2] = ("ca", text(file("missing.pem")));
        let error = Engine::new(&settings, stream(1, 1)).run(|_| {}).await.unwrap_err();
        assert_eq!(error.disposition, Disposition::Halt, "{error}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn retained_messages_wait_for_later_subscribers() {
    if !wanted() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let broker = Broker::start(dir.path(), "");
    for (version, retain) in [("v5", true), ("v311", false)] {
        let settings = [
            broker_at(broker.port),
            ("version", text(version)),
            ("topic", text(format!("{version}/{{device}}"))),
            ("retain", SettingValue::Bool(retain)),
        ];
        Engine::new(&settings, stream(5, 1)).run(|_| {}).await.unwrap();
    }
    let mut late = Subscriber::start(broker.port, None, None).await;
    let arrived = late.wait("the last one was kept", |all| !all.is_empty()).await;
    assert_eq!(arrived.len(), 1);
    assert_eq!((arrived[0].topic.as_str(), arrived[0].retain), ("v5/press", true));
    assert_eq!(arrived[0].payload["values"]["press.t0"], 5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_topic_goes_to_the_dead_letter_and_the_rest_goes_on() {
    if !wanted() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let list = dir.path().join("list");
    // Nobody may write to t3.
    std::fs::write(&list, "topic read #\ntopic write gwp/press/t0\ntopic write gwp/press/t1\n").unwrap();
    let broker = Broker::start(dir.path(), &format!("acl_file {}\n", list.display()));
    for qos in [1, 2] {
        let names = names(4);
        let mut deliveries = stream(20, 1);
        // Delivery 11 holds a tag nobody may publish.
        deliveries[10] = delivery(&names, 11, 4);
        let settings = [broker_at(broker.port), ("message", text("tag")), ("qos", SettingValue::Int(qos))];
        let mut engine = Engine::new(&settings, deliveries);
        // mosquitto 2.0.11 says why and closes the connection nevertheless.
        let mut lost = 0;
        while let Err(error) = engine.run(|_| {}).await {
            lost += 1;
            assert!(lost < 5, "{error}");
        }
        println!("qos {qos}: {lost} connections lost over one refused delivery");
        assert_eq!(engine.done, 20);
        assert_eq!(engine.rejected.len(), 1, "{:?}", engine.rejected);
        assert_eq!(engine.rejected[0].0, 10);
        assert!(engine.rejected[0].1.contains("not authorized"), "{:?}", engine.rejected);
        assert_eq!(engine.meter.rejected.load(Relaxed), 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_are_made_as_small_as_the_broker_wants_them() {
    if !wanted() {
        return;
    }
    for extra in ["max_packet_size 1000\n", "message_size_limit 1000\n"] {
        let dir = tempfile::tempdir().unwrap();
        let broker = Broker::start(dir.path(), extra);
        let mut subscriber = Subscriber::start(broker.port, None, None).await;
        let mut engine = Engine::new(&[broker_at(broker.port)], stream(3, 1_000));
        let mut tries = 0;
        while let Err(error) = engine.run(|_| {}).await {
            // A bound that the broker does not tell is found by halving.
            assert!(extra.starts_with("message_size") && tries < 8, "{error}");
            tries += 1;
        }
        println!("{} {tries} tries", extra.trim());
        let count = |all: &[Arrival]| -> usize {
            all.iter().filter_map(|one| one.payload["values"].as_object()).map(|values| values.len()).sum()
        };
        let arrived = subscriber.wait("every value arrives", |all| count(all) >= 3_000).await;
        assert!(arrived.iter().all(|one| one.payload.to_string().len() <= 1_000));
        assert!(engine.rejected.is_empty());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sample_too_large_for_the_broker_is_rejected_with_the_reason() {
    if !wanted() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let broker = Broker::start(dir.path(), "max_packet_size 300\n");
    let names = names(1);
    let mut deliveries = stream(3, 1);
    let mut large = (*delivery(&names, 2, 1)).clone();
    let mut batch = (*large.parts[0].batch).clone();
    batch.values = gwp_core::Column::new();
    batch.values.push(gwp_core::Value::Text("x".repeat(1_000).into()));
    large.parts[0].batch = batch.into();
    deliveries[1] = large.into();
    let mut engine = Engine::new(&[broker_at(broker.port)], deliveries);
    engine.run(|_| {}).await.unwrap();
    assert_eq!(engine.done, 3);
    assert_eq!(engine.rejected.len(), 1);
    assert!(engine.rejected[0].1.starts_with("packet too large"), "{:?}", engine.rejected);
}
