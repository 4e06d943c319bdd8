//! A Modbus TCP device, as a process of its own, that writes down what it served to whom. Each read gives another
//! value, so a value that was never served, belongs to another register or is of another time is seen.
//!
//! ```text
//! value of register pair r:  device (3 bits) | r (4 bits) | number of the read (24 bits)
//! line of the truth:         boot_ns utc_ns device number reader
//! ```

use crate::clock;
use std::collections::HashMap;
use std::fs::File;
use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// The largest device number and the bound of a read's number.
const DEVICE_MAX: u32 = 7;
const NUMBERS: u32 = 1 << 24;

#[derive(clap::Args, Debug)]
pub struct DeviceArgs {
    #[arg(long)]
    listen: SocketAddr,
    #[arg(long)]
    device: u32,
    #[arg(long)]
    truth: PathBuf,
}

/// What a value says of itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Encoded {
    pub device: u32,
    pub register: u32,
    pub number: u32,
}

impl Encoded {
    pub fn value(self) -> u32 {
        ((self.device & DEVICE_MAX) << 28) | ((self.register & 15) << 24) | (self.number % NUMBERS)
    }

    pub fn of(value: i64) -> Option<Encoded> {
        let value = u32::try_from(value).ok()?;
        Some(Encoded { device: value >> 28, register: (value >> 24) & 15, number: value % NUMBERS })
    }
}

/// One read that a device has answered.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Served {
    pub boot: u64,
    pub utc: i64,
    pub reader: String,
}

/// By device and number of the read.
pub type Truth = HashMap<(u32, u32), Served>;

/// Reads what devices have written down.
pub fn read_truth(files: &[PathBuf]) -> Truth {
    let mut truth = Truth::new();
    for file in files {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        for line in text.lines() {
            let fields: Vec<&str> = line.split(' ').collect();
            let [boot, utc, device, number, reader] = fields[..] else { continue };
            let numbers = (boot.parse(), utc.parse(), device.parse(), number.parse());
            if let (Ok(boot), Ok(utc), Ok(device), Ok(number)) = numbers {
                truth.insert((device, number), Served { boot, utc, reader: reader.to_owned() });
            }
        }
    }
    truth
}

struct Log {
    next: u32,
    file: File,
}

/// Serves until the process is ended.
pub fn run(args: &DeviceArgs) -> Result<(), String> {
    let file = open(&args.truth)?;
    let listener = TcpListener::bind(args.listen).map_err(|error| format!("{}: {error}", args.listen))?;
    let log = Arc::new(Mutex::new(Log { next: 0, file }));
    for stream in listener.incoming().map_while(Result::ok) {
        let (log, device) = (log.clone(), args.device);
        std::thread::spawn(move || serve(stream, device, &log));
    }
    Ok(())
}

fn open(path: &Path) -> Result<File, String> {
    File::options()
        .create(true)
        .append(true)
        .open(path)
        .map_err(|error| format!("{}: {error}", path.display()))
}

/// Answers reads of holding registers (function 3).
fn serve(mut stream: TcpStream, device: u32, log: &Mutex<Log>) {
    let reader: Option<IpAddr> = stream.peer_addr().ok().map(|address| address.ip());
    let _ = stream.set_nodelay(true);
    let mut head = [0; 12];
    while stream.read_exact(&mut head).is_ok() {
        let first = u32::from(u16::from_be_bytes([head[8], head[9]]));
        let count = u32::from(u16::from_be_bytes([head[10], head[11]])).min(125);
        let number = {
            let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
            let number = log.next % NUMBERS;
            log.next += 1;
            let reader = reader.map_or("-".to_owned(), |reader| reader.to_string());
            let line = format!("{} {} {device} {number} {reader}\n", clock::boot(), clock::utc());
            let _ = log.file.write_all(line.as_bytes());
            number
        };
        let registers = (first..first + count).flat_map(|register| {
            let bytes = Encoded { device, register: register / 2, number }.value().to_be_bytes();
            let half = usize::from(register % 2 == 1) * 2;
            [bytes[half], bytes[half + 1]]
        });
        let registers: Vec<u8> = registers.collect();
        let mut answer = head[..4].to_vec();
        answer.extend((registers.len() as u16 + 3).to_be_bytes());
        answer.extend([head[6], 3, registers.len() as u8]);
        answer.extend(registers);
        if stream.write_all(&answer).is_err() {
            return;
        }
    }
}
