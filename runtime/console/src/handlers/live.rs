//! Tags: what they are, live values as server-sent events, and writes.

use crate::answer::{Answer, Call, Handled, Refused, of_outcome, ok};
use crate::bodies::{self, Write};
use crate::console::Console;
use crate::limits::{LIVE_BEAT, LIVE_PERIOD, WATCHED_TAGS_MAX};
use crate::live::{LiveReceiver, LiveTag, LiveValue};
use crate::role::Caller;
use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, header};
use axum::response::IntoResponse;
use futures_util::stream;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::convert::Infallible;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::Instant;

fn value_json(value: &LiveValue) -> Value {
    json!({
        "path": &*value.path,
        "time": value.time.to_string(),
        "value": value.value,
        "quality": value.quality,
    })
}

fn tag_json(tag: &LiveTag) -> Value {
    let latest = tag.latest.as_ref().map(value_json);
    json!({ "path": &*tag.path, "kind": tag.kind, "unit": tag.unit, "latest": latest })
}

pub async fn tags(console: Arc<Console>, _: Call) -> Handled {
    let tags = console.live.tags().await?;
    ok(json!({ "tags": tags.iter().map(tag_json).collect::<Vec<_>>() }))
}

pub async fn write(console: Arc<Console>, call: Call) -> Handled {
    let body: Write = bodies::read(&call.body).map_err(Refused::bad)?;
    let path = call.part("path").to_owned();
    call.note.edit(|note| (note.target, note.detail) = (path.clone(), json!({ "value": body.value })));
    of_outcome(console.live.write(&path, &body.value, call.by()).await)
}

/// A stream of `event: value` with the JSON of a value, and comments while nothing changes.
pub async fn live(console: Arc<Console>, call: Call) -> Handled {
    let tags = call.query.get("tags").map_or("", String::as_str);
    let paths: BTreeSet<&str> = tags.split(',').map(str::trim).filter(|path| !path.is_empty()).collect();
    if paths.is_empty() || paths.len() > WATCHED_TAGS_MAX {
        return Err(Refused::bad(format!(
            "`tags` lists 1 to {WATCHED_TAGS_MAX} tags: `?tags=press.oil,press.speed`"
        )));
    }
    let permit = console.watchers.clone().try_acquire_owned();
    let permit = permit.map_err(|_| Refused::busy("too many watch live values; try again later"))?;
    let receiver = console.live.watch(paths.into_iter().map(Arc::from).collect())?;
    let watcher = Watcher {
        receiver,
        stopping: console.stopping.subscribe(),
        caller: call.caller,
        next: Instant::now(),
        _permit: permit,
        console,
    };
    let events = stream::unfold(watcher, |mut watcher| async move {
        let chunk = watcher.chunk().await?;
        Some((Ok::<_, Infallible>(chunk), watcher))
    });
    let kind = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    Ok(Answer::Other((kind, Body::from_stream(events)).into_response()))
}

struct Watcher {
    receiver: LiveReceiver,
    stopping: watch::Receiver<bool>,
    caller: Option<Caller>,
    /// When the next event may go out.
    next: Instant,
    console: Arc<Console>,
    _permit: OwnedSemaphorePermit,
}

impl Watcher {
    /// The next piece of the stream; none when the gateway stops or the caller may no longer watch.
    async fn chunk(&mut self) -> Option<Bytes> {
        let changed = async {
            tokio::time::sleep_until(self.next).await;
            tokio::time::timeout(LIVE_BEAT, self.receiver.next()).await
        };
        let changed = tokio::select! {
            changed = changed => changed,
            _ = self.stopping.wait_for(|stopping| *stopping) => return None,
        };
        if self.caller.as_ref().is_some_and(|caller| !self.console.still_admits(caller)) {
            return None;
        }
        self.next = Instant::now() + LIVE_PERIOD;
        let Ok(values) = changed else { return Some(Bytes::from_static(b": nothing changed\n\n")) };
        let mut text = String::new();
        for value in values? {
            text.push_str(&format!("event: value\ndata: {}\n\n", value_json(&value)));
        }
        Some(text.into())
    }
}
