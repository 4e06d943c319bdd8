//! Logins, users, tokens, and what is recorded of them.

mod common;

use common::{LOOPBACK, PASSWORD, bench, read};
use gwp_console::live::LiveValue;
use gwp_core::Timestamp;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use std::net::IpAddr;
use std::time::Instant;

const FAR: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 7));

#[tokio::test]
async fn a_login_lasts_until_logout_another_password_or_removal() {
    let bench = bench();
    let login = async |password: &str| {
        let (status, answer) = bench.login("anna", password, FAR).await;
        assert_eq!((status.as_u16(), &answer["role"]), (200, &json!("engineer")));
        answer["token"].as_str().unwrap().to_owned()
    };
    let admitted =
        async |token: &str| bench.ask("GET", "/v1/status", Some(token), FAR, None).await.status() == 200;
    let (one, other) = (login(PASSWORD).await, login(PASSWORD).await);
    assert!(admitted(&one).await && admitted(&other).await);
    assert_eq!(bench.json("POST", "/v1/logout", &one, None).await.0, 200);
    assert!(!admitted(&one).await && admitted(&other).await);

    let change = Some(r#"{"password": "battery staple", "role": "viewer"}"#);
    assert_eq!(bench.json("POST", "/v1/users/anna", "admin", change).await.0, 200);
    assert!(!admitted(&other).await, "the password is another one");
    assert_eq!(bench.login("anna", PASSWORD, FAR).await.0, 401);
    let (status, answer) = bench.login("anna", "battery staple", FAR).await;
    assert_eq!((status.as_u16(), &answer["role"]), (200, &json!("viewer")));
    let last = answer["token"].as_str().unwrap();
    assert!(admitted(last).await);
    assert_eq!(bench.json("DELETE", "/v1/users/anna", "admin", None).await.0, 200);
    assert!(!admitted(last).await);
    assert_eq!(
        bench.audited(),
        [
            "admin user_remove anna 200",
            "anna login  200",
            "anna login  401",
            "admin user_change anna 200",
            "anna logout  200",
            "anna login  200",
            "anna login  200"
        ]
    );
}

#[tokio::test]
async fn an_unknown_user_and_a_wrong_password_are_told_the_same() {
    let bench = bench();
    let (status, wrong) = bench.login("anna", "wrong password", FAR).await;
    let (other, unknown) = bench.login("nobody", "wrong password", FAR).await;
    assert_eq!((status, &wrong), (other, &unknown));
    assert_eq!(status, 401);
}

#[tokio::test]
async fn who_guesses_has_to_wait() {
    let bench = bench();
    let guess = |user: Option<&str>, from: IpAddr| {
        for _ in 0..100 {
            bench.console.records.attempts().wrong(user, from, Instant::now());
        }
    };
    guess(Some("anna"), IpAddr::from([10, 0, 1, 1]));
    let body = json!({ "user": "anna", "password": PASSWORD }).to_string();
    let response = bench.ask("POST", "/v1/login", None, FAR, Some(&body)).await;
    assert_eq!(response.status(), 429);
    let wait: u32 = response.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=60).contains(&wait), "{wait}");
    let (_, told) = read(response).await;
    assert!(told["error"].as_str().unwrap().contains("try again"));
    // Guessing tokens, too; but a right one is let in at once.
    let status =
        async |token: &str| bench.ask("POST", "/v1/confirm", Some(token), FAR, None).await.status().as_u16();
    assert_eq!(status("guess").await, 401);
    guess(None, FAR);
    assert_eq!(status("guess").await, 429);
    assert_eq!(status("engineer").await, 200);
    // What was only kept waiting is not recorded one by one.
    assert_eq!(bench.audited(), ["engineer confirm  200", " confirm  401"]);
}

#[tokio::test]
async fn users_and_tokens_are_added_listed_and_removed() {
    let bench = bench();
    let user = r#"{"name": "bert", "role": "operator", "password": "long enough"}"#;
    assert_eq!(bench.json("POST", "/v1/users", "admin", Some(user)).await.0, 201);
    assert_eq!(bench.json("POST", "/v1/users", "admin", Some(user)).await.0, 409);
    for wrong in [
        r#"{"name": "local", "role": "operator", "password": "long enough"}"#,
        r#"{"name": "Carl", "role": "operator", "password": "long enough"}"#,
        r#"{"name": "carl", "role": "root", "password": "long enough"}"#,
        r#"{"name": "carl", "role": "operator", "password": "short"}"#,
    ] {
        assert_eq!(bench.json("POST", "/v1/users", "admin", Some(wrong)).await.0, 400, "{wrong}");
    }
    let (_, listed) = bench.json("GET", "/v1/users", "admin", None).await;
    let names: Vec<&Value> = listed["users"].as_array().unwrap().iter().map(|user| &user["name"]).collect();
    assert_eq!(names, ["anna", "bert"]);
    assert!(!listed.to_string().contains("argon2"));
    assert_eq!(bench.json("DELETE", "/v1/users/carl", "admin", None).await.0, 404);

    let token = Some(r#"{"name": "scada", "role": "operator", "expires_in_s": 3600}"#);
    let (status, made) = bench.json("POST", "/v1/tokens", "admin", token).await;
    assert_eq!(status, 201);
    let secret = made["token"].as_str().unwrap();
    let write = Some(r#"{"value": 5}"#);
    assert_eq!(bench.json("POST", "/v1/tags/press.speed", secret, write).await.0, 200);
    let (_, listed) = bench.json("GET", "/v1/tokens", "admin", None).await;
    assert!(listed.to_string().contains("scada") && !listed.to_string().contains(secret));
    assert_eq!(bench.json("DELETE", "/v1/tokens/scada", "admin", None).await.0, 200);
    assert_eq!(bench.json("POST", "/v1/tags/press.speed", secret, write).await.0, 401);
    assert_eq!(*bench.gateway.asked.lock().unwrap(), ["write 5 to press.speed by scada"]);
    let files = std::fs::read_to_string(bench.folder.path().join("users.json")).unwrap();
    assert!(!files.contains("long enough") && !files.contains(secret));
}

#[tokio::test]
async fn changes_are_recorded_with_who_and_what_also_when_they_are_refused() {
    let bench = bench();
    let files = r#"{"files": [{"name": "p.gwp", "text": "x"}], "message": "why", "removed": "keep"}"#;
    assert_eq!(bench.json("POST", "/v1/apply", "engineer", Some(files)).await.0, 200);
    assert_eq!(bench.json("POST", "/v1/apply", "viewer", Some(files)).await.0, 403);
    assert_eq!(bench.json("POST", "/v1/apply", "engineer", Some("{}")).await.0, 400);
    assert_eq!(bench.json("POST", "/v1/stop", "admin", None).await.0, 200);
    let wrong = r#"{"files": [{"name": "p.gwp", "text": "wrong"}]}"#;
    let (status, answer) = bench.json("POST", "/v1/plan", "engineer", Some(wrong)).await;
    assert_eq!((status.as_u16(), &answer["diagnostics"][0]["code"]), (422, &json!("E001")));
    assert_eq!(bench.json("GET", "/v1/history/8", "viewer", None).await.0, 404);
    assert_eq!(*bench.gateway.asked.lock().unwrap(), ["apply 1 files, Keep, by engineer", "stop by admin"]);
    assert_eq!(
        bench.audited(),
        ["admin stop  200", "engineer apply  400", "viewer apply  403", "engineer apply  200"]
    );
    let (_, told) = bench.json("GET", "/v1/audit?limit=1&before=2", "admin", None).await;
    let line = &told["lines"][0];
    assert_eq!(
        (&line["number"], &line["by"], &line["outcome"]),
        (&json!(1), &json!("engineer"), &json!("done"))
    );
    assert_eq!((&line["detail"]["message"], &line["detail"]["names"]), (&json!("why"), &json!(["p.gwp"])));
    assert_eq!(line["from"], "127.0.0.1:4711");
    let verified = gwp_console::audit::verify(bench.folder.path()).unwrap();
    assert_eq!((verified.lines, verified.problems.len()), (4, 0));
}

#[tokio::test]
async fn live_values_come_as_events_until_the_token_is_removed() {
    let bench = bench();
    let (_, tags) = bench.json("GET", "/v1/tags", "viewer", None).await;
    assert_eq!(tags["tags"][0]["latest"]["value"], 70.5);
    assert_eq!(bench.json("GET", "/v1/live?tags=nothing", "viewer", None).await.0, 404);
    let response =
        bench.ask("GET", "/v1/live?tags=press.oil,press.speed", Some("viewer"), LOOPBACK, None).await;
    assert_eq!(
        (response.status().as_u16(), &response.headers()["content-type"]),
        (200, &"text/event-stream".parse().unwrap())
    );
    let sender = bench.gateway.watchers.lock().unwrap().pop().unwrap();
    let send = |number: i64| {
        let value = number.into();
        sender.send(LiveValue { path: "press.oil".into(), time: Timestamp(0), value, quality: "good".into() })
    };
    assert!(send(1) && send(2));
    let mut body = response.into_body();
    let mut next = async || body.frame().await.map(|frame| frame.unwrap().into_data().unwrap());
    let text = String::from_utf8(next().await.unwrap().to_vec()).unwrap();
    let data = text.strip_prefix("event: value\ndata: ").and_then(|rest| rest.strip_suffix("\n\n")).unwrap();
    let value: Value = serde_json::from_str(data).unwrap();
    assert_eq!((&value["path"], &value["value"]), (&json!("press.oil"), &json!(2)));
    assert_eq!(bench.json("DELETE", "/v1/tokens/viewer", "admin", None).await.0, 200);
    assert!(send(3));
    assert!(next().await.is_none());
}
