//! Every route of the table: who may call it, and what it does with what it should not be given.

mod common;

use axum::body::Body;
use axum::http::{Request, header};
use common::{Bench, LOOPBACK, bench, read};
use gwp_console::role::ROLES;
use gwp_console::routes::{ROUTES, Route};
use std::net::IpAddr;

/// The path of a route with something in its parts.
fn path(route: &Route) -> String {
    let mut path = route.path.to_owned();
    for part in route.parts() {
        path = path.replace(&format!("{{{part}}}"), "7");
    }
    path
}

/// An address that nobody had before, so that no bucket runs dry.
fn fresh(count: &mut u32) -> IpAddr {
    *count += 1;
    IpAddr::from((0x0a00_0000 + *count).to_be_bytes())
}

#[tokio::test]
async fn nobody_gets_past_the_table() {
    let bench = bench();
    let mut count = 0;
    for route in ROUTES {
        let path = path(route);
        let verb = route.verb.word();
        let body = route.body.map(|_| "{}");
        let what = format!("{verb} {path}");
        let mut status = async |token: Option<&str>, from: Option<IpAddr>| {
            let from = from.unwrap_or_else(|| fresh(&mut count));
            bench.ask(verb, &path, token, from, body).await.status().as_u16()
        };
        let Some(least) = route.role else {
            assert!(![401, 403].contains(&status(None, None).await), "{what}");
            continue;
        };
        assert_eq!(status(None, None).await, 401, "{what} without a token");
        assert_eq!(status(Some("wrong"), None).await, 401, "{what} with a wrong token");
        assert_eq!(status(Some("expired"), None).await, 401, "{what} with an expired token");
        assert_eq!(status(Some(""), None).await, 401, "{what} with an empty token");
        let local = bench.local.clone();
        assert_eq!(status(Some(&local), None).await, 401, "{what} with the local token from elsewhere");
        for role in ROLES.into_iter().filter(|role| *role < least) {
            assert_eq!(status(Some(role.word()), None).await, 403, "{what} as {role}");
        }
        for role in ROLES.into_iter().filter(|role| *role >= least) {
            let got = status(Some(role.word()), None).await;
            assert!(
                ![401, 403, 404, 405].contains(&got) || (got == 404 && path.contains('7')),
                "{what}: {got}"
            );
        }
        let got = status(Some(&local), Some(LOOPBACK)).await;
        assert!(![401, 403].contains(&got), "{what} with the local token: {got}");
    }
}

#[tokio::test]
async fn the_router_answers_to_the_table_only() {
    let bench = bench();
    for route in ROUTES {
        let path = path(route);
        for verb in ["GET", "POST", "DELETE", "PUT", "PATCH"] {
            let is_there = ROUTES.iter().any(|known| known.path == route.path && known.verb.word() == verb);
            let response = bench.ask(verb, &path, Some(&bench.local), LOOPBACK, None).await;
            assert_eq!(response.status() != 405, is_there, "{verb} {path}");
            if !is_there {
                let allow = response.headers().get(header::ALLOW).unwrap().to_str().unwrap().to_owned();
                assert!(allow.contains(route.verb.word()), "{allow}");
                assert!(read(response).await.1["error"].is_string());
            }
        }
    }
    for unknown in ["/", "/v1", "/v1/", "/v1/nothing", "/v1/status/", "/v2/status", "/v1/history/7/more"] {
        let (status, body) = read(bench.ask("GET", unknown, None, LOOPBACK, None).await).await;
        assert_eq!(status, 404, "{unknown}");
        assert!(body["error"].is_string());
    }
}

async fn refused(bench: &Bench, request: Request<Body>, expected: u16) {
    let what = format!("{} {}", request.method(), request.uri());
    let (status, body) = read(bench.send(request, LOOPBACK).await).await;
    assert_eq!(status, expected, "{what}: {body}");
    let error = body["error"].as_str().unwrap_or_default();
    assert!(error.len() > 10, "{what} should say what is wrong: {body}");
}

#[tokio::test]
async fn bodies_that_are_none_are_refused_with_a_reason() {
    let bench = bench();
    for route in ROUTES {
        let request = |kind: Option<&str>, body: Vec<u8>| {
            let mut request = Request::builder().method(route.verb.word()).uri(path(route));
            request = request.header(header::AUTHORIZATION, format!("bearer {}", bench.local));
            if let Some(kind) = kind {
                request = request.header(header::CONTENT_TYPE, kind);
            }
            request.body(Body::from(body)).unwrap()
        };
        let json = Some("application/json; charset=utf-8");
        let Some(body) = route.body else {
            let needs_query = route.query.iter().any(|parameter| parameter.is_needed);
            refused(&bench, request(None, b"{}".to_vec()), if needs_query { 400 } else { 413 }).await;
            continue;
        };
        for wrong in [
            &b""[..],
            b"{",
            b"[]",
            b"[\"carl\", \"admin\", \"long enough\"]",
            b"{\"files\": [[\"p.gwp\", \"\"]]}",
            b"null",
            b"{\"unknown\": 1}",
            b"\xff\xfe",
            b"{\"user\": 5, \"name\": [], \"files\": {}, \"device\": null, \"id\": {}}",
        ] {
            refused(&bench, request(json, wrong.to_vec()), 400).await;
        }
        let deep = [vec![b'['; 10_000], vec![b']'; 10_000]].concat();
        refused(&bench, request(json, deep), 400).await;
        refused(&bench, request(None, b"{}".to_vec()), 415).await;
        refused(&bench, request(Some("text/plain"), b"{}".to_vec()), 415).await;
        refused(&bench, request(json, vec![b' '; body.bytes_max + 1]), 413).await;
    }
}

#[tokio::test]
async fn queries_and_paths_are_checked() {
    let bench = bench();
    for (path, part) in [
        ("/v1/status?x=1", "`x`"),
        ("/v1/audit?limit=0", "`limit`"),
        ("/v1/audit?limit=1001", "`limit`"),
        ("/v1/audit?after=-1", "`after`"),
        ("/v1/audit?after=1&after=2", "twice"),
        ("/v1/audit?after=%ff", "UTF-8"),
        ("/v1/live", "`tags`"),
        ("/v1/live?tags=,,", "`tags`"),
        ("/v1/history/%ff", "path"),
    ] {
        let (status, body) = bench.json("GET", path, &bench.local, None).await;
        assert_eq!(status, 400, "{path}");
        assert!(body["error"].as_str().unwrap().contains(part), "{path}: {body}");
    }
}

#[tokio::test]
async fn files_have_names_that_stay_where_they_belong() {
    let bench = bench();
    for name in ["/etc/passwd", "../up.gwp", "a/../../b", "a//b", "", "c:\\x", "a\0b"] {
        let body = serde_json::json!({ "files": [{ "name": name, "text": "" }] }).to_string();
        let (status, answer) = bench.json("POST", "/v1/apply", &bench.local, Some(&body)).await;
        assert_eq!(status, 400, "{name}: {answer}");
    }
    let body = r#"{"files": [{"name": "a.gwp", "text": ""}, {"name": "a.gwp", "text": ""}]}"#;
    let (status, answer) = bench.json("POST", "/v1/plan", &bench.local, Some(body)).await;
    assert_eq!(status, 400, "{answer}");
    assert!(bench.gateway.asked.lock().unwrap().is_empty());
}
