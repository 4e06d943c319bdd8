//! Live values of the running engine for the control interface: all tags at once, a stream, and writes.

use super::operations::Gateway;
use gwp_console::live::{LiveReceiver, LiveSender, LiveTag, LiveValue, LiveView, channel};
use gwp_console::{Outcome, Refusal};
use gwp_core::{BoxFuture, Value};
use gwp_engine::operator::kind_word;
use gwp_engine::{Engine, LiveSample, LiveWatch, WriteRefused};
use gwp_plan::plan::Origin;
use gwp_plan::{Plan, plan::Tag};
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long a look at all tags waits for values: lanes compute at least once a second.
const LOOK_TIME: Duration = Duration::from_millis(1_200);

/// How often it is noticed that who watches tags that do not change is gone.
const GONE_LOOK: Duration = Duration::from_secs(1);

/// The last look at all tags. Only one is under way at a time; who came before it began shares what it gives.
#[derive(Default)]
pub struct Looks(tokio::sync::Mutex<Option<(Instant, Arc<[LiveTag]>)>>);

/// Samples of a tag have a path of their own; columns of rows and orders to alarms are no values.
fn is_shown(tag: &Tag) -> bool {
    !matches!(tag.origin, Origin::Column | Origin::Orders)
}

fn plan(engine: &Engine) -> Result<Arc<Plan>, Refusal> {
    engine.plan().map_err(Refusal::Unavailable)
}

/// A value as JSON has it: null for none and for what is no number, bytes as hex, times as text.
fn json_of(value: &Value) -> serde_json::Value {
    match value {
        Value::Nothing => serde_json::Value::Null,
        Value::Bool(value) => json!(value),
        Value::Int(value) => json!(value),
        Value::UInt(value) => json!(value),
        Value::Float(value) => json!(value),
        Value::Text(_) | Value::Bytes(_) | Value::Time(_) => json!(value.to_string()),
    }
}

fn live_value(sample: LiveSample) -> LiveValue {
    LiveValue {
        value: json_of(&sample.value),
        path: sample.path,
        time: sample.time,
        quality: sample.quality.to_string(),
    }
}

async fn look(engine: &Engine) -> Result<Arc<[LiveTag]>, Refusal> {
    let plan = plan(engine)?;
    let shown = || plan.tags.iter().filter(|tag| is_shown(tag));
    let mut watch = engine.live().watch(shown().map(|tag| tag.info.path.clone()));
    let count = shown().count();
    let mut latest: BTreeMap<Arc<str>, LiveSample> = BTreeMap::new();
    let gather = async {
        while latest.len() < count {
            let news = watch.next().await;
            latest.extend(news.into_iter().map(|sample| (sample.path.clone(), sample)));
        }
    };
    // Tags that nobody has read yet have no value.
    let _ = tokio::time::timeout(LOOK_TIME, gather).await;
    let tag = |tag: &Tag| LiveTag {
        path: tag.info.path.clone(),
        kind: kind_word(tag.kind).to_owned(),
        unit: (!tag.info.unit.is_empty()).then(|| tag.info.unit.to_string()),
        latest: latest.remove(&tag.info.path).map(live_value),
    };
    Ok(shown().map(tag).collect())
}

async fn forward(mut watch: LiveWatch, sender: LiveSender) {
    loop {
        let news = tokio::time::timeout(GONE_LOOK, watch.next()).await.unwrap_or_default();
        if !sender.is_heard() {
            return;
        }
        news.into_iter().for_each(|sample| {
            sender.send(live_value(sample));
        });
    }
}

/// A JSON value as a tag may take it.
fn value_of(value: &serde_json::Value) -> Option<Value> {
    Some(match value {
        serde_json::Value::Bool(value) => Value::Bool(*value),
        serde_json::Value::String(text) => Value::Text(text.as_str().into()),
        serde_json::Value::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(number), _) => Value::Int(number),
            (None, Some(number)) => Value::UInt(number),
            (None, None) => Value::Float(number.as_f64()?),
        },
        _ => return None,
    })
}

fn refusal(refused: WriteRefused) -> Refusal {
    let why = refused.to_string();
    match refused {
        WriteRefused::NoTag(_) | WriteRefused::NoWrite(_) => Refusal::NotFound(why),
        WriteRefused::Kind { .. } => Refusal::Conflict(why),
        WriteRefused::TooMany | WriteRefused::Stopping | WriteRefused::NoOutcome { .. } => {
            Refusal::Unavailable(why)
        }
    }
}

impl LiveView for Gateway {
    fn tags(&self) -> BoxFuture<'_, Result<Arc<[LiveTag]>, Refusal>> {
        Box::pin(async {
            let asked = Instant::now();
            let mut last = self.looks.0.lock().await;
            if let Some((_, tags)) = last.as_ref().filter(|(began, _)| *began >= asked) {
                return Ok(tags.clone());
            }
            let began = Instant::now();
            let tags = look(&self.desk.engine).await?;
            *last = Some((began, tags.clone()));
            Ok(tags)
        })
    }

    fn watch(&self, paths: Vec<Arc<str>>) -> Result<LiveReceiver, Refusal> {
        let engine = &self.desk.engine;
        let plan = plan(engine)?;
        let is_tag = |path: &str| plan.tag_at(path).and_then(|tag| plan.tag(tag)).is_some_and(is_shown);
        if let Some(path) = paths.iter().find(|path| !is_tag(path)) {
            return Err(Refusal::NotFound(format!("there is no tag `{path}`; `gwp tags ls` has them all")));
        }
        let (sender, receiver) = channel(paths.iter().cloned());
        tokio::spawn(forward(engine.live().watch(paths), sender));
        Ok(receiver)
    }

    fn write<'a>(
        &'a self,
        path: &'a str,
        value: &'a serde_json::Value,
        by: &'a str,
    ) -> BoxFuture<'a, Outcome> {
        let engine = self.desk.engine.clone();
        let (path, by, value) = (path.to_owned(), by.to_owned(), value_of(value));
        Box::pin(super::operations::whole(async move {
            let wrong = || Refusal::Conflict("a value is a bool, a number or a text".to_owned());
            let value = value.ok_or_else(wrong)?;
            tracing::info!(tag = path, %value, by, "an operator writes");
            let outcome = engine.write(&path, value).await.map_err(refusal)?;
            if outcome.starts_with("refused") {
                return Err(Refusal::Conflict(outcome));
            }
            let done = outcome.starts_with("done") || outcome.starts_with("confirmed");
            Ok(json!({ "path": path, "done": done, "outcome": outcome }))
        }))
    }
}
