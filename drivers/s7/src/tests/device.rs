//! A PLC in memory: it understands requests by its own reading of the bytes and answers at will.
//!
//! What byte `a` of data block `b` holds is `memory(b, a)`, in other areas as in block 0; a timer or
//! counter holds its number in decimal digits.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// What a byte holds.
pub fn memory(block: u16, address: u32) -> u8 {
    (address.wrapping_mul(7) ^ u32::from(block).wrapping_mul(13) ^ address >> 8) as u8
}

/// One request as a PLC sees it.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Counts the reads and writes of all connections, from 0.
    pub number: usize,
    pub reference: [u8; 2],
    /// 4 read, 5 write.
    pub function: u8,
    pub items: Vec<AskedItem>,
    /// Values of a write, without their head.
    pub data: Vec<u8>,
}

/// One item of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AskedItem {
    pub size: u8,
    pub count: u16,
    pub block: u16,
    pub area: u8,
    /// In bits; of timers and counters their number.
    pub address: u32,
}

impl AskedItem {
    /// First byte.
    pub fn start(&self) -> u32 {
        self.address / 8
    }

    /// What it holds.
    pub fn values(&self) -> Vec<u8> {
        if matches!(self.area, 0x1C | 0x1D) {
            let number = |at: u16| self.address as u16 + at;
            let digits =
                |number: u16| [(number / 100 % 10) as u8, (number / 10 % 10 * 16 + number % 10) as u8];
            return (0..self.count).flat_map(|at| digits(number(at))).collect();
        }
        (self.start()..).take(usize::from(self.count)).map(|address| memory(self.block, address)).collect()
    }
}

/// A packet around a telegram.
pub fn packet(telegram: &[u8]) -> Vec<u8> {
    let length = (telegram.len() + 7) as u16;
    let [high, low] = length.to_be_bytes();
    [&[3, 0, high, low, 2, 0xF0, 0x80][..], telegram].concat()
}

impl Asked {
    fn of(number: usize, telegram: &[u8]) -> Asked {
        let count = usize::from(telegram[11]);
        let items = telegram[12..12 + count * 12].chunks(12).map(|item| AskedItem {
            size: item[3],
            count: u16::from_be_bytes([item[4], item[5]]),
            block: u16::from_be_bytes([item[6], item[7]]),
            area: item[8],
            address: u32::from_be_bytes([0, item[9], item[10], item[11]]),
        });
        Asked {
            number,
            reference: [telegram[4], telegram[5]],
            function: telegram[10],
            items: items.collect(),
            data: telegram.get(12 + count * 12 + 4..).unwrap_or_default().to_vec(),
        }
    }

    /// An answer with these parts.
    pub fn frame(&self, error: [u8; 2], parameters: &[u8], data: &[u8]) -> Vec<u8> {
        let ([a, b], [c, d]) = ((parameters.len() as u16).to_be_bytes(), (data.len() as u16).to_be_bytes());
        let [high, low] = self.reference;
        let head = [0x32, 3, 0, 0, high, low, a, b, c, d, error[0], error[1]];
        packet(&[&head[..], parameters, data].concat())
    }

    /// The right answer, except where `refuse` gives a return code.
    pub fn answer_but(&self, refuse: impl Fn(&AskedItem) -> Option<u8>) -> Vec<u8> {
        let mut data: Vec<u8> = Vec::new();
        for item in &self.items {
            match (refuse(item), self.function) {
                (Some(code), 4) => data.extend([code, 0, 0, 0]),
                (Some(code), _) => data.push(code),
                (None, 4) => {
                    let mut values = item.values();
                    let bits = (values.len() as u16 * 8).to_be_bytes();
                    let bytes = (values.len() as u16).to_be_bytes();
                    let head = if matches!(item.area, 0x1C | 0x1D) {
                        [9, bytes[0], bytes[1]]
                    } else {
                        [4, bits[0], bits[1]]
                    };
                    if values.len() % 2 == 1 {
                        values.push(0);
                    }
                    data.push(0xFF);
                    data.extend(head);
                    data.extend(values);
                }
                (None, _) => data.push(0xFF),
            }
        }
        self.frame([0, 0], &[self.function, self.items.len() as u8], &data)
    }

    /// The right answer.
    pub fn answer(&self) -> Vec<u8> {
        self.answer_but(|_| None)
    }

    /// The request refused as a whole.
    pub fn refusal(&self, class: u8, code: u8) -> Vec<u8> {
        self.frame([class, code], &[self.function, 0], &[])
    }
}

/// What a device does about a request.
#[derive(Clone, Debug)]
pub enum Act {
    Send(Vec<u8>),
    Wait(Duration),
    Close,
}

pub type Behaviour = dyn FnMut(&Asked) -> Vec<Act> + Send;

/// A PLC: serves every connection with one behaviour and remembers what it was asked.
#[derive(Clone)]
pub struct Device {
    behaviour: Arc<Mutex<Behaviour>>,
    /// Bytes of the PDU it agrees to at most.
    pub pdu: u16,
    /// Requests it takes at a time.
    pub jobs: u8,
    pub asked: Arc<Mutex<Vec<Asked>>>,
    pub connections: Arc<AtomicUsize>,
}

impl std::fmt::Debug for Device {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Device")
    }
}

impl Device {
    pub fn new(pdu: u16, behaviour: impl FnMut(&Asked) -> Vec<Act> + Send + 'static) -> Device {
        Device {
            behaviour: Arc::new(Mutex::new(behaviour)),
            pdu,
            jobs: 1,
            asked: Arc::default(),
            connections: Arc::default(),
        }
    }

    /// A device that answers everything rightly at once.
    pub fn good(pdu: u16) -> Device {
        Device::new(pdu, |asked| vec![Act::Send(asked.answer())])
    }

    pub fn requests(&self) -> usize {
        self.asked.lock().unwrap().len()
    }

    /// The writes it has seen: first bytes of the items and values.
    pub fn writes(&self) -> Vec<(u32, Vec<u8>)> {
        let asked = self.asked.lock().unwrap();
        let writes = asked.iter().filter(|asked| asked.function == 5);
        writes.map(|asked| (asked.items[0].start(), asked.data.clone())).collect()
    }

    /// Serves one connection until either side ends it.
    pub async fn serve(self, mut stream: impl AsyncRead + AsyncWrite + Unpin) {
        self.connections.fetch_add(1, Relaxed);
        while let Ok(unit) = read_packet(&mut stream).await {
            let acts = match unit[1] {
                0xE0 => vec![Act::Send(vec![3, 0, 0, 11, 6, 0xD0, unit[4], unit[5], 0, 7, 0])],
                _ if unit[13] == 0xF0 => {
                    let asked = u16::from_be_bytes([unit[19], unit[20]]);
                    let [high, low] = asked.min(self.pdu).to_be_bytes();
                    let head = [0x32, 3, 0, 0, unit[7], unit[8], 0, 8, 0, 0, 0, 0];
                    vec![Act::Send(packet(
                        &[&head[..], &[0xF0, 0, 0, self.jobs, 0, self.jobs, high, low]].concat(),
                    ))]
                }
                _ => {
                    let asked = {
                        let mut all = self.asked.lock().unwrap();
                        let asked = Asked::of(all.len(), &unit[3..]);
                        all.push(asked.clone());
                        asked
                    };
                    (self.behaviour.lock().unwrap())(&asked)
                }
            };
            for act in acts {
                match act {
                    Act::Send(bytes) if stream.write_all(&bytes).await.is_err() => return,
                    Act::Send(_) => {}
                    Act::Wait(time) => tokio::time::sleep(time).await,
                    Act::Close => return,
                }
            }
        }
    }
}

/// A packet from its COTP header on.
async fn read_packet(stream: &mut (impl AsyncRead + Unpin)) -> std::io::Result<Vec<u8>> {
    let mut header = [0; 4];
    stream.read_exact(&mut header).await?;
    let mut unit = vec![0; usize::from(u16::from_be_bytes([header[2], header[3]])) - 4];
    stream.read_exact(&mut unit).await?;
    Ok(unit)
}
