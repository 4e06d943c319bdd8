//! From deliveries to transactions: whatever waits goes into one.

use crate::settings::Options;
use crate::store::{Store, StoreError};
use gwp_core::sink::{Delivery, Inlet, SinkContext, SinkError, SinkMeter, with_causes};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

/// Runs the sink until its inlet ends or the file cannot be written.
///
/// # Errors
/// Whatever ended it; what was committed is not written again.
pub async fn run(options: &Options, cx: SinkContext) -> Result<(), SinkError> {
    let SinkContext { mut inlet, mut stop, identity, meter } = cx;
    let opening = options.clone();
    let (store, resume) = blocking(move || Store::open(&opening, identity)).await?;
    // Absent when the file holds nothing of this gateway yet.
    let resume_after = resume.as_ref().map(tracing::field::display);
    tracing::info!(path = %options.path.display(), resume_after, "the database is open");
    inlet.ready(resume);
    let result = tokio::select! {
        result = serve(store, &mut inlet, &meter) => result,
        // A transaction under way ends by itself; its deliveries are found done at the next start.
        () = stop.stopped() => Ok(()),
    };
    meter.connected.store(0, Relaxed);
    result
}

async fn serve(mut store: Store, inlet: &mut Inlet, meter: &SinkMeter) -> Result<(), SinkError> {
    while let Some(first) = inlet.next().await {
        // One wait for the disk serves all that are here: at most `in_flight` of them.
        let mut deliveries: Vec<Arc<Delivery>> = vec![first];
        deliveries.extend(std::iter::from_fn(|| inlet.try_next()));
        let upto = deliveries.last().map(|delivery| delivery.upto).unwrap_or_default();
        let samples;
        (store, samples) = blocking(move || {
            let samples = store.write(&deliveries)?;
            Ok((store, samples))
        })
        .await?;
        meter.samples.fetch_add(samples as u64, Relaxed);
        meter.requests.fetch_add(1, Relaxed);
        inlet.ack(upto);
    }
    Ok(())
}

/// Runs what blocks on a thread that may.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, SinkError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(error @ StoreError::Fenced { found, .. })) => {
            Err(SinkError::superseded(Some(found), with_causes(&error)))
        }
        Ok(Err(error)) if error.needs_a_person() => Err(SinkError::halt(with_causes(&error))),
        Ok(Err(error)) => Err(SinkError::retry(with_causes(&error))),
        Err(error) => Err(SinkError::retry(format!("writing ended abruptly: {error}"))),
    }
}

#[cfg(test)]
#[path = "run_tests.rs"]
mod tests;
