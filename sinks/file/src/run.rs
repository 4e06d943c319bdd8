//! From deliveries to files: whatever waits shares one wait for the disk.

use crate::files::{FileError, Files, probe};
use crate::gzip;
use crate::settings::Options;
use gwp_core::sink::{Delivery, Inlet, SinkContext, SinkError, SinkMeter, with_causes};
use std::path::PathBuf;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;
use tokio::time::MissedTickBehavior;

/// How often files of past dates and hours are looked at.
const RETIRE: Duration = Duration::from_secs(60);

/// The file at which a run failed.
pub type FailedFile = Mutex<Option<PathBuf>>;

/// Runs the sink until its inlet ends or a file cannot be written. After a failure it is ready when that file can be
/// written again, and not at each try before.
///
/// # Errors
/// Whatever ended it.
pub async fn run(options: &Options, failed: &FailedFile, cx: SinkContext) -> Result<(), SinkError> {
    let SinkContext { mut inlet, mut stop, meter, .. } = cx;
    let last = failed.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(path) = last {
        blocking((), failed, move |()| probe(&path)).await?;
    }
    inlet.ready(None);
    let result = tokio::select! {
        result = serve(Files::new(options.clone()), failed, &mut inlet, &meter) => result,
        // A write under way ends by itself; its deliveries come again.
        () = stop.stopped() => Ok(()),
    };
    meter.connected.store(0, Relaxed);
    result
}

async fn serve(
    mut files: Files,
    failed: &FailedFile,
    inlet: &mut Inlet,
    meter: &SinkMeter,
) -> Result<(), SinkError> {
    let mut retire = tokio::time::interval(RETIRE);
    retire.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut packing: Option<Packing> = None;
    loop {
        if packing.is_none() {
            packing = files.take_finished().map(Packing::start);
        }
        tokio::select! {
            first = inlet.next() => {
                let Some(first) = first else { return Ok(()) };
                let mut deliveries: Vec<Arc<Delivery>> = vec![first];
                deliveries.extend(std::iter::from_fn(|| inlet.try_next()));
                let (upto, samples) = summary(&deliveries);
                let bytes;
                (files, bytes) = blocking(files, failed, move |files| files.write(&deliveries, Instant::now())).await?;
                meter.samples.fetch_add(samples, Relaxed);
                meter.bytes.fetch_add(bytes, Relaxed);
                meter.requests.fetch_add(1, Relaxed);
                inlet.ack(upto);
            }
            _ = retire.tick() => {
                (files, ()) = blocking(files, failed, |files| files.retire(Instant::now())).await?;
            }
            () = Packing::done(&mut packing) => packing = None,
        }
    }
}

/// Last cursor and number of samples.
fn summary(deliveries: &[Arc<Delivery>]) -> (gwp_core::Cursor, u64) {
    let upto = deliveries.last().map(|delivery| delivery.upto).unwrap_or_default();
    (upto, deliveries.iter().map(|delivery| delivery.samples() as u64).sum())
}

/// Lends the files to a thread that may block, and remembers at which it failed.
async fn blocking<F: Send + 'static, T: Send + 'static>(
    mut files: F,
    failed: &FailedFile,
    work: impl FnOnce(&mut F) -> Result<T, FileError> + Send + 'static,
) -> Result<(F, T), SinkError> {
    let done = tokio::task::spawn_blocking(move || work(&mut files).map(|done| (files, done))).await;
    if let Ok(Err(error)) = &done {
        *failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(error.path().to_owned());
    }
    match done {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(error)) if error.needs_a_person() => Err(SinkError::halt(with_causes(&error))),
        Ok(Err(error)) => Err(SinkError::retry(with_causes(&error))),
        Err(error) => Err(SinkError::retry(format!("writing ended abruptly: {error}"))),
    }
}

/// One file being compressed beside the writing, by a thread that nobody waits for: a
/// gateway that ends leaves it to its next start.
struct Packing {
    file: PathBuf,
    done: oneshot::Receiver<std::io::Result<()>>,
}

impl Packing {
    fn start(file: PathBuf) -> Packing {
        let (told, done) = oneshot::channel();
        let part = file.clone();
        std::thread::spawn(move || told.send(gzip::pack(&part)));
        Packing { file, done }
    }

    /// Completes when the file is compressed, or could not be; never when there is none.
    async fn done(packing: &mut Option<Packing>) {
        let Some(packing) = packing else { return std::future::pending().await };
        if let Ok(Err(error)) = (&mut packing.done).await {
            let file = packing.file.display();
            tracing::warn!(%file, %error, "a finished file stays uncompressed until the sink starts anew");
        }
    }
}

#[cfg(test)]
#[path = "run_tests.rs"]
mod tests;
