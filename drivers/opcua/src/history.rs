//! What a server has kept of a node: raw values between two times, piece by piece.

use gwp_core::Timestamp;
use opcua::client::{HistoryReadAction, Session};
use opcua::types::{
    ByteString, DataValue, DateTime, ExtensionObject, HistoryData, HistoryReadValueId, NodeId,
    ReadRawModifiedDetails, StatusCode, TimestampsToReturn,
};

/// Values that one answer may have.
const VALUES_PER_ANSWER: usize = 1_000;
/// Answers without a value, in a row, after which the server is taken to be confused.
const EMPTY_ANSWERS_MAX: usize = 3;

/// Why there is no history.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    #[error("the server keeps no history of the node ({0}), or lets this user not read it")]
    None(StatusCode),
    #[error("the server ended reading history with {0}")]
    Refused(StatusCode),
    #[error("the server answers with something else than values")]
    Answer,
}

/// Values of a node.
#[derive(Debug, Default)]
pub struct History {
    /// Oldest first, as the server has them; each with its own status.
    pub values: Vec<DataValue>,
    /// There is more: it begins at the time of the last value.
    pub cut: bool,
}

/// The values of `node` from `from` until before `upto`, `count` at most.
///
/// # Errors
/// The server keeps none, or refuses.
pub async fn read(
    session: &Session,
    node: &NodeId,
    from: Timestamp,
    upto: Timestamp,
    count: usize,
) -> Result<History, HistoryError> {
    let mut history = History::default();
    let mut point = ByteString::null();
    let (mut from, mut seen, mut empty) = (from, None, 0);
    // One more than wanted shows whether there is more.
    while history.values.len() <= count && empty < EMPTY_ANSWERS_MAX {
        let asked = VALUES_PER_ANSWER.min(count + 1 - history.values.len());
        let answer = ask(session, wanted(node, &point), (from, upto), asked, false).await?;
        point = answer.continuation_point;
        let mut values = match answer.status_code {
            status if status.is_bad() => return Err(refusal(status)),
            StatusCode::GoodNoData => Vec::new(),
            _ => values(&answer.history_data)?,
        };
        let is_full = values.len() >= asked;
        if let Some(seen) = seen {
            values.retain(|value| moment(value) > Some(seen));
        }
        empty = if values.is_empty() { empty + 1 } else { 0 };
        let last = values.iter().filter_map(moment).max();
        history.values.extend(values);
        if !point.is_null_or_empty() {
            continue;
        }
        // Some servers cut at the number that was asked for without saying so: they are asked from the last value
        // on. Its time comes again then, so of several values with that time the first ones are kept.
        match last {
            Some(last) if is_full && last < upto => (from, seen) = (last, Some(last)),
            _ => break,
        }
    }
    if !point.is_null_or_empty() {
        // The server may forget the rest; if it cannot, it does so by itself.
        let _ = ask(session, wanted(node, &point), (from, upto), 1, true).await;
    }
    history.cut = history.values.len() > count;
    history.values.truncate(count);
    Ok(history)
}

fn moment(value: &DataValue) -> Option<Timestamp> {
    value.source_timestamp.as_ref()?.as_chrono().timestamp_nanos_opt().map(Timestamp)
}

fn wanted(node: &NodeId, point: &ByteString) -> HistoryReadValueId {
    HistoryReadValueId { node_id: node.clone(), continuation_point: point.clone(), ..Default::default() }
}

fn values(data: &ExtensionObject) -> Result<Vec<DataValue>, HistoryError> {
    let data = data.inner_as::<HistoryData>().ok_or(HistoryError::Answer)?;
    Ok(data.data_values.clone().unwrap_or_default())
}

async fn ask(
    session: &Session,
    wanted: HistoryReadValueId,
    (from, upto): (Timestamp, Timestamp),
    count: usize,
    release: bool,
) -> Result<opcua::types::HistoryReadResult, HistoryError> {
    let details = ReadRawModifiedDetails {
        is_read_modified: false,
        start_time: date(from),
        end_time: date(upto),
        num_values_per_node: u32::try_from(count).unwrap_or(u32::MAX),
        return_bounds: false,
    };
    let action = HistoryReadAction::ReadRawModifiedDetails(details);
    let answers = session.history_read(action, TimestampsToReturn::Both, release, &[wanted]).await;
    let answers = answers.map_err(|error| refusal(error.status()))?;
    answers.into_iter().next().ok_or(HistoryError::Answer)
}

fn refusal(status: StatusCode) -> HistoryError {
    match status {
        StatusCode::BadHistoryOperationUnsupported
        | StatusCode::BadHistoryOperationInvalid
        | StatusCode::BadNotSupported
        | StatusCode::BadServiceUnsupported
        | StatusCode::BadUserAccessDenied
        | StatusCode::BadNotReadable => HistoryError::None(status),
        other => HistoryError::Refused(other),
    }
}

/// 100 ns steps since 1601, as the protocol counts.
fn date(time: Timestamp) -> DateTime {
    const TICKS_TO_1970: i64 = 116_444_736_000_000_000;
    DateTime::from(time.0.div_euclid(100) + TICKS_TO_1970)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_counted_from_1601() {
        assert_eq!(date(Timestamp(0)).to_rfc3339(), "1970-01-01T00:00:00.000Z");
        assert_eq!(date(Timestamp(1_704_067_200_500_000_000)).to_rfc3339(), "2024-01-01T00:00:00.500Z");
    }
}
