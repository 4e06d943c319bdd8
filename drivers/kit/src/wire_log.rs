//! The wire log: what one source sends and gets, for people who look for a fault.
//!
//! Lines of the log at INFO, with the target `wire` and the name of the source:
//!
//! ```text
//! INFO -> unit 1: read 2 holding registers from 0, 12 bytes: 00 01 00 00 00 06 01 03 00 00 00 02 source=press
//! INFO <- unit 1: answered, 13 bytes: 00 01 00 00 00 07 01 03 04 04 d2 00 00 source=press
//! INFO 1200 lines left out, as more than 200 came in a second source=press
//! ```
//! Never secrets: a driver whose protocol carries some hands over what it does ([`WireLog::call`]), not bytes.

use gwp_core::manifest::{Need, Setting, SettingKind, Settings};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Bytes of a frame that are shown and kept.
pub const BYTES_MAX: usize = 256;

/// Lines of one source in a second; further ones are counted.
pub const LINES_PER_SECOND: u32 = 200;

/// The setting of a source.
pub const WIRE_LOG: Setting = Setting {
    name: "wire_log",
    kind: SettingKind::Choice(&["off", "frames", "bytes"]),
    need: Need::Default("off"),
    doc: "Writes what goes over the connection into the log, to look for a fault: `frames` a line for each frame with \
          what it says, `bytes` also its first 256 bytes (of OPC UA service calls only, without bytes). At most 200 \
          lines a second; how many were left out is told.",
};

/// Which way a frame went.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Way {
    Sent,
    Came,
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if *self == Way::Sent { "->" } else { "<-" })
    }
}

/// The wire log of one source. Clones share its bound.
#[derive(Clone, Debug, Default)]
pub struct WireLog(Option<Arc<Shared>>);

#[derive(Debug)]
struct Shared {
    source: Arc<str>,
    bytes: bool,
    budget: Mutex<Budget>,
}

impl WireLog {
    /// As the settings of a source say.
    pub fn new(source: &Arc<str>, settings: &Settings) -> WireLog {
        let bytes = match settings.text(WIRE_LOG.name) {
            Some("frames") => false,
            Some("bytes") => true,
            _ => return WireLog::default(),
        };
        let budget = Mutex::new(Budget::new(Instant::now()));
        WireLog(Some(Arc::new(Shared { source: source.clone(), bytes, budget })))
    }

    pub fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// A frame of `length` bytes, of which `first` are at hand, and what it says in a few words.
    pub fn frame(&self, way: Way, first: &[u8], length: usize, says: impl FnOnce() -> String) {
        self.line(|shared| {
            let bytes = if shared.bytes { hexadecimal(first, length) } else { String::new() };
            format!("{way} {}, {length} bytes{bytes}", says())
        });
    }

    /// A service call whose bytes are not seen here, and what came of it.
    pub fn call(&self, says: impl FnOnce() -> String) {
        self.line(|_| says());
    }

    fn line(&self, text: impl FnOnce(&Shared) -> String) {
        let Some(shared) = &self.0 else { return };
        let allowed = shared.budget.lock().unwrap_or_else(PoisonError::into_inner).take(Instant::now());
        let Some(left_out) = allowed else { return };
        let source = &shared.source;
        if left_out > 0 {
            tracing::info!(target: "wire", %source, "{left_out} lines left out, as more than {LINES_PER_SECOND} came in a second");
        }
        tracing::info!(target: "wire", %source, "{}", text(shared));
    }
}

/// Wire logs of a connection with several devices on it, by their numbers: a device may have a level of its own.
#[derive(Clone, Debug, Default)]
pub struct WireLogs {
    source: WireLog,
    of_devices: BTreeMap<u8, WireLog>,
}

impl WireLogs {
    /// As the settings of the source say, and those of its devices where they say something.
    pub fn new<'a>(
        source: &Arc<str>,
        settings: &Settings,
        devices: impl IntoIterator<Item = (u8, &'a Settings)>,
    ) -> WireLogs {
        let own = devices.into_iter().filter(|(_, settings)| settings.get(WIRE_LOG.name).is_some());
        let of_devices = own.map(|(device, settings)| (device, WireLog::new(source, settings))).collect();
        WireLogs { source: WireLog::new(source, settings), of_devices }
    }

    /// That of a device.
    pub fn of(&self, device: u8) -> &WireLog {
        self.of_devices.get(&device).unwrap_or(&self.source)
    }

    /// That of what belongs to no device.
    pub fn of_source(&self) -> &WireLog {
        &self.source
    }

    /// Whether any is on.
    pub fn is_on(&self) -> bool {
        self.source.is_on() || self.of_devices.values().any(WireLog::is_on)
    }
}

/// The first bytes of a frame.
fn hexadecimal(first: &[u8], length: usize) -> String {
    let shown = first.get(..BYTES_MAX).unwrap_or(first);
    let mut text = String::with_capacity(3 * shown.len() + 8);
    for (index, byte) in shown.iter().enumerate() {
        text.push_str(if index == 0 { ": " } else { " " });
        text.push_str(&format!("{byte:02x}"));
    }
    if length > shown.len() {
        text.push_str(" ..");
    }
    text
}

/// Lines of the current second.
#[derive(Debug)]
struct Budget {
    since: Instant,
    lines: u32,
    left_out: u64,
}

impl Budget {
    fn new(now: Instant) -> Budget {
        Budget { since: now, lines: 0, left_out: 0 }
    }

    /// Whether one more line may be written, and how many were left out before it.
    fn take(&mut self, now: Instant) -> Option<u64> {
        if now.duration_since(self.since) >= Duration::from_secs(1) {
            (self.since, self.lines) = (now, 0);
        }
        if self.lines >= LINES_PER_SECOND {
            self.left_out = self.left_out.saturating_add(1);
            return None;
        }
        self.lines += 1;
        Some(std::mem::take(&mut self.left_out))
    }
}

/// Bytes that went over a wire one way: the first of them, and how many they were.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Passed {
    pub first: Vec<u8>,
    pub length: usize,
}

impl Passed {
    pub fn add(&mut self, bytes: &[u8]) {
        let room = BYTES_MAX.saturating_sub(self.first.len());
        self.first.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
        self.length = self.length.saturating_add(bytes.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gwp_core::manifest::SettingValue;
    use gwp_driver_contract::log::Log;

    fn log(word: &str) -> WireLog {
        let mut settings = Settings::default();
        settings.set("wire_log", SettingValue::Text(word.into()));
        WireLog::new(&"press".into(), &settings)
    }

    #[test]
    fn long_frames_are_cut() {
        assert_eq!(hexadecimal(&[0x00, 0xff], 2), ": 00 ff");
        assert_eq!(hexadecimal(&[], 0), "");
        let long = hexadecimal(&[7; 1_000], 1_000);
        assert_eq!(long.matches("07").count(), BYTES_MAX);
        assert!(long.ends_with("07 .."), "{long}");
        let mut passed = Passed::default();
        for _ in 0..3 {
            passed.add(&[1; 100]);
        }
        assert_eq!((passed.first.len(), passed.length), (BYTES_MAX, 300));
        assert!(hexadecimal(&passed.first, passed.length).ends_with("01 .."));
    }

    #[test]
    fn lines_of_a_second_are_bounded_and_the_others_counted() {
        let begin = Instant::now();
        let mut budget = Budget::new(begin);
        let taken = (0..1_000).filter(|_| budget.take(begin).is_some()).count();
        assert_eq!(taken, LINES_PER_SECOND as usize);
        let later = begin + Duration::from_millis(999);
        assert_eq!(budget.take(later), None);
        let next = begin + Duration::from_secs(1);
        assert_eq!(budget.take(next), Some(1_000 - u64::from(LINES_PER_SECOND) + 1));
        assert_eq!(budget.take(next), Some(0));
    }

    #[test]
    fn each_level_says_as_much_as_it_should() {
        let written = Log::capture();
        log("bytes").frame(Way::Sent, &[1, 2], 2, || "read".into());
        log("frames").frame(Way::Came, &[3, 4], 2, || "answered".into());
        log("frames").call(|| "Read of 3 nodes: Good".into());
        log("off").frame(Way::Sent, &[5], 1, || panic!("nobody asked"));
        let lines = written.lines();
        let said = ["-> read, 2 bytes: 01 02", "<- answered, 2 bytes", "Read of 3 nodes: Good"];
        assert_eq!(lines.len(), said.len(), "{lines:?}");
        for (line, said) in lines.iter().zip(said) {
            assert!(line.contains("INFO wire: ") && line.contains(&format!("{said} source=press")), "{line}");
        }
    }

    #[test]
    fn a_device_has_a_level_of_its_own() {
        let settings = |word: Option<&str>| {
            let mut settings = Settings::default();
            word.into_iter().for_each(|word| settings.set("wire_log", SettingValue::Text(word.into())));
            settings
        };
        let [off, frames, none] = [settings(Some("off")), settings(Some("frames")), settings(None)];
        let logs = WireLogs::new(&"line".into(), &off, [(7, &frames), (8, &none)]);
        assert!(logs.is_on() && logs.of(7).is_on());
        assert!(!logs.of(8).is_on() && !logs.of(9).is_on() && !logs.of_source().is_on());
        let logs = WireLogs::new(&"line".into(), &frames, [(7, &off)]);
        assert!(!logs.of(7).is_on() && logs.of(8).is_on() && logs.of_source().is_on());
        assert!(!WireLogs::new(&"line".into(), &off, [(7, &off)]).is_on());
    }

    #[test]
    fn what_is_left_out_is_told_once() {
        let (written, log) = (Log::capture(), log("frames"));
        for _ in 0..LINES_PER_SECOND + 5 {
            log.call(|| "Publish".into());
        }
        if let Some(shared) = &log.0 {
            shared.budget.lock().expect("no panic").since -= Duration::from_secs(2);
        }
        log.call(|| "Publish".into());
        log.call(|| "Publish".into());
        let lines = written.lines();
        let told: Vec<&String> = lines.iter().filter(|line| line.contains("left out")).collect();
        assert_eq!(told.len(), 1, "{lines:?}");
        assert!(told[0].contains("5 lines left out"), "{told:?}");
        assert_eq!(lines.len(), LINES_PER_SECOND as usize + 3);
    }
}
