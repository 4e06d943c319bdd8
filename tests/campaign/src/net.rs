//! The network of a plant and what can be broken in it, whoever carries it: namespaces of the kernel (root) or
//! proxies on loopback.
//!
//! ```text
//!   link 0: the plant's network        A  B  W  P          A, B nodes; W witness; P devices and broker
//!   link 1: a cable of the nodes       A  B
//! ```

use crate::proxy::Proxies;
use crate::spaces::Spaces;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::process::Command;

/// Who is on the network.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum End {
    A,
    B,
    Witness,
    /// Devices and broker.
    Plant,
}

impl End {
    pub const ALL: [End; 4] = [End::A, End::B, End::Witness, End::Plant];

    /// The node with this number.
    pub fn node(number: usize) -> End {
        [End::A, End::B][number]
    }

    pub fn index(self) -> usize {
        self as usize
    }
}

/// One direction between two ends over one link.
pub type Way = (End, End, usize);

/// What happens to packets on a way.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Trouble {
    pub is_cut: bool,
    pub loss_percent: u8,
    /// Datagrams that come twice; proxies only.
    pub twice_percent: u8,
    /// Each datagram is late by up to so much, so they overtake each other; proxies only.
    pub late_ms: u16,
}

/// Ways with trouble; others are sound.
pub type Troubles = BTreeMap<Way, Trouble>;

/// Addresses of a node on one link.
#[derive(Clone, Copy, Debug)]
pub struct LinkPlan {
    pub here: SocketAddr,
    pub peer: SocketAddr,
    pub witness: Option<SocketAddr>,
}

/// Who carries packets.
pub enum Net {
    Spaces(Spaces),
    Proxies(Box<Proxies>),
}

impl Net {
    pub fn links(&self, node: usize) -> [LinkPlan; 2] {
        match self {
            Net::Spaces(spaces) => spaces.links(node),
            Net::Proxies(proxies) => proxies.links(node),
        }
    }

    /// Where the witness listens.
    pub fn witness(&self) -> SocketAddr {
        match self {
            Net::Spaces(_) => Spaces::witness(),
            Net::Proxies(proxies) => proxies.witness,
        }
    }

    /// An address for a server of the plant: devices, broker.
    pub fn server(&self, number: u16) -> SocketAddr {
        match self {
            Net::Spaces(_) => Spaces::server(number),
            Net::Proxies(proxies) => proxies.servers[usize::from(number)],
        }
    }

    /// A command that runs at an end, and dies with this process.
    pub fn command(&self, end: End, program: &std::ffi::OsStr) -> Command {
        let mut command = match self {
            Net::Spaces(_) => {
                let mut command = Command::new("nsenter");
                command.arg(format!("--net=/run/netns/{}", Spaces::name(end)));
                command.arg("setpriv");
                command
            }
            Net::Proxies(_) => Command::new("setpriv"),
        };
        command.args(["--pdeathsig", "KILL", "--"]).arg(program);
        command
    }

    /// From now on these ways have trouble, and all others none.
    pub fn apply(&mut self, troubles: &Troubles) -> Result<(), String> {
        match self {
            Net::Spaces(spaces) => spaces.apply(troubles),
            Net::Proxies(proxies) => {
                proxies.apply(troubles);
                Ok(())
            }
        }
    }
}
