//! From deliveries to the terminal, at most ten pictures a second.

use crate::screen::{self, Screen};
use crate::table::Table;
use crate::{Mode, text};
use gwp_core::sink::{Delivery, Inlet, SinkContext, SinkError, SinkMeter};
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tokio::time::MissedTickBehavior;

/// Time between two pictures at least.
const PICTURE: Duration = Duration::from_millis(100);

/// Size of a terminal that does not tell.
const SIZE: (u16, u16) = (80, 24);

/// Where the bytes go: the standard output, or a test's memory.
pub type Out = Arc<dyn Fn(&[u8]) -> std::io::Result<()> + Send + Sync>;

/// The standard output.
pub fn stdout() -> Out {
    Arc::new(|bytes| {
        let mut out = std::io::stdout().lock();
        out.write_all(bytes)?;
        out.flush()
    })
}

/// Runs the sink until its inlet ends or nobody reads the output any more.
///
/// # Errors
/// When the output is closed, or another table stands on the terminal.
pub async fn run(mode: Mode, out: Out, cx: SinkContext) -> Result<(), SinkError> {
    let SinkContext { mut inlet, mut stop, meter, .. } = cx;
    inlet.ready(None);
    let serve = async {
        match mode {
            Mode::Table => draw(&out, &mut inlet, &meter).await,
            Mode::Lines => print(text::lines, &out, &mut inlet, &meter).await,
            Mode::Json => print(text::json, &out, &mut inlet, &meter).await,
        }
    };
    let result = tokio::select! {
        result = serve => result,
        () = stop.stopped() => Ok(()),
    };
    meter.connected.store(0, Relaxed);
    result
}

async fn print(
    format: fn(&gwp_core::sink::Part, &mut Vec<u8>),
    out: &Out,
    inlet: &mut Inlet,
    meter: &SinkMeter,
) -> Result<(), SinkError> {
    while let Some(delivery) = inlet.next().await {
        let mut bytes = Vec::new();
        delivery.parts.iter().for_each(|part| format(part, &mut bytes));
        meter.bytes.fetch_add(bytes.len() as u64, Relaxed);
        let out = out.clone();
        blocking(move || out(&bytes)).await?;
        done(&delivery, inlet, meter);
    }
    Ok(())
}

async fn draw(out: &Out, inlet: &mut Inlet, meter: &SinkMeter) -> Result<(), SinkError> {
    let _screen = Screen::take().ok_or_else(|| {
        SinkError::halt("another console sink draws its table already: lead both flows into one sink, or set `format = lines`")
    })?;
    let mut table = Table::default();
    let mut changed = false;
    let mut pictures = tokio::time::interval(PICTURE);
    pictures.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let more = tokio::select! {
            delivery = inlet.next() => match delivery {
                Some(delivery) => {
                    delivery.parts.iter().for_each(|part| table.update(part));
                    changed = true;
                    done(&delivery, inlet, meter);
                    continue;
                }
                None => false,
            },
            _ = pictures.tick(), if changed => true,
        };
        let size = crossterm::terminal::size().unwrap_or(SIZE);
        let lines = table.draw(size.0.into(), size.1.into());
        let out = out.clone();
        blocking(move || screen::draw(&lines, size, |bytes| out(bytes))).await?;
        if !more {
            return Ok(());
        }
        changed = false;
    }
}

fn done(delivery: &Delivery, inlet: &Inlet, meter: &SinkMeter) {
    meter.samples.fetch_add(delivery.samples() as u64, Relaxed);
    meter.requests.fetch_add(1, Relaxed);
    inlet.ack(delivery.upto);
}

/// Writes on a thread that may block: a terminal can be halted, a pipe be full.
async fn blocking(write: impl FnOnce() -> std::io::Result<()> + Send + 'static) -> Result<(), SinkError> {
    match tokio::task::spawn_blocking(write).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => {
            Err(SinkError::halt("nobody reads the standard output any more"))
        }
        Ok(Err(error)) => Err(SinkError::retry(format!("cannot write to the standard output: {error}"))),
        Err(error) => Err(SinkError::retry(format!("writing ended abruptly: {error}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::one;
    use gwp_core::SinkId;
    use gwp_core::sink::*;
    use gwp_core::stop::stop_pair;
    use std::sync::Mutex;

    /// Runs the sink over deliveries; gives its result, what it wrote, and the number of acknowledgements.
    async fn deliver(mode: Mode, count: u64, broken: bool) -> (Result<(), SinkError>, String, usize) {
        let written: Arc<Mutex<Vec<u8>>> = Arc::default();
        let memory = written.clone();
        let out: Out = Arc::new(move |bytes| {
            if broken {
                return Err(std::io::ErrorKind::BrokenPipe.into());
            }
            memory.lock().unwrap().extend_from_slice(bytes);
            Ok(())
        });
        let meter: Arc<SinkMeter> = Arc::default();
        let (mut handle, inlet) = inlet_pair(4, meter.clone());
        let (_stop, stop) = stop_pair();
        let identity = SinkIdentity { incarnation: [1; 16], sink: SinkId(4), epoch: 3 };
        let feed = async {
            for seq in 1..=count {
                let _ = handle.deliveries.send(one(seq)).await;
            }
            drop(handle.deliveries);
            assert!(matches!(handle.reports.recv().await, Some(SinkReport::Ready { resume: None })));
            let mut acks = 0;
            while let Some(report) = handle.reports.recv().await {
                acks += 1;
                assert!(matches!(report, SinkReport::Ack { upto } if upto.position.seq == acks));
            }
            acks as usize
        };
        let run = run(mode, out, SinkContext { inlet, stop, identity, meter });
        let (result, acks) = tokio::join!(run, feed);
        let text = String::from_utf8(written.lock().unwrap().clone()).unwrap();
        (result, text, acks)
    }

    #[tokio::test]
    async fn every_sample_is_a_line() {
        let (result, text, acks) = deliver(Mode::Lines, 20, false).await;
        result.unwrap();
        assert_eq!(acks, 20);
        assert_eq!(text.lines().count(), 20);
        assert_eq!(text.lines().last(), Some("1970-01-01T00:00:00.020Z m.t0 20 kW good"));
        let (result, text, _) = deliver(Mode::Json, 3, false).await;
        result.unwrap();
        assert!(text.lines().all(|line| line.starts_with('{') && line.ends_with('}')));
    }

    #[tokio::test]
    async fn a_table_ends_with_the_last_picture_and_is_drawn_by_one_sink_only() {
        let (result, text, acks) = deliver(Mode::Table, 500, false).await;
        result.unwrap();
        assert_eq!(acks, 500);
        assert!(text.contains("500 kW"));
        let pictures = text.matches("\x1b[?25l").count();
        assert!(pictures < 250, "{pictures} pictures of 500 deliveries");

        let taken = Screen::take().unwrap();
        let (result, _, _) = deliver(Mode::Table, 1, false).await;
        assert_eq!(result.unwrap_err().disposition, Disposition::Halt);
        drop(taken);
        deliver(Mode::Table, 1, false).await.0.unwrap();
    }

    #[tokio::test]
    async fn a_closed_output_halts() {
        let (result, _, acks) = deliver(Mode::Lines, 1, true).await;
        assert_eq!(result.unwrap_err().disposition, Disposition::Halt);
        assert_eq!(acks, 0);
    }
}
