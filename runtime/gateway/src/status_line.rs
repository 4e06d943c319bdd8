//! The live status line of `gwp run`, on standard error.

use gwp_engine::EngineStatus;
use std::io::{IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

/// Redraws one line each second, or prints a line every ten seconds where nobody watches.
pub async fn show(status: Arc<EngineStatus>, quiet: bool) {
    if quiet {
        return std::future::pending().await;
    }
    let live = std::io::stderr().is_terminal();
    let period = Duration::from_secs(if live { 1 } else { 10 });
    let started = Instant::now();
    let mut last = 0;
    loop {
        tokio::time::sleep(period).await;
        let samples = status.writer.samples.load(Relaxed);
        let rate = (samples - last) as f64 / period.as_secs_f64();
        last = samples;
        let line = line(&status, started.elapsed(), rate);
        let mut err = std::io::stderr().lock();
        let _ = if live { write!(err, "\r\x1b[K{line}") } else { writeln!(err, "{line}") };
        let _ = err.flush();
    }
}

/// `00:01:05  100 values/s  sources 2/2  mqtt ok  db 1 200 waiting`
fn line(status: &EngineStatus, up: Duration, rate: f64) -> String {
    let graph = status.graph();
    let connected = graph.sources.iter().filter(|source| source.meter.connected.load(Relaxed) == 1).count();
    let seconds = up.as_secs();
    let mut line = format!(
        "{:02}:{:02}:{:02}  {} values/s  sources {connected}/{}",
        seconds / 3600,
        seconds / 60 % 60,
        seconds % 60,
        grouped(rate as u64),
        graph.sources.len(),
    );
    for sink in &graph.sinks {
        let waiting = sink.journal.pending_samples.load(Relaxed);
        let dropped = sink.journal.dropped_samples.load(Relaxed);
        let well = sink.meter.connected.load(Relaxed) == 1;
        line.push_str(&format!("  {} ", sink.name));
        line.push_str(match (sink.leaving, well) {
            (true, _) => "leaving",
            (false, true) => "ok",
            (false, false) => "DOWN",
        });
        if waiting > 0 {
            line.push_str(&format!(" {} waiting", grouped(waiting)));
        }
        if dropped > 0 {
            line.push_str(&format!(" {} dropped", grouped(dropped)));
        }
    }
    if let Some(notice) = status.notice() {
        line.push_str(&format!("  NOT IN FORCE: {}", notice.lines().next().unwrap_or_default()));
    }
    if status.writer.low_space.load(Relaxed) {
        line.push_str("  DISK FULL: nothing new is stored");
    }
    line
}

/// `12 431`
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() * 4 / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(' ');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::grouped;

    #[test]
    fn numbers_are_grouped_by_thousands() {
        assert_eq!([0, 999, 1000, 12431, 1000000].map(grouped), ["0", "999", "1 000", "12 431", "1 000 000"]);
    }
}
