//! A plant's network in namespaces. The process that makes it must be alone in its own network, mount and process
//! namespace (`unshare`, see [`crate::campaign`]): so names are free, and the kernel removes all when it ends, however.

use crate::net::{End, LinkPlan, Trouble, Troubles};
use std::fmt::Write as _;
use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::{Command, Stdio};

const PORT: u16 = 9470;

/// Namespaces `a`, `b`, `w`, `p` with a bridge per link.
pub struct Spaces {
    /// What each end refuses now, as rules.
    rules: [String; 4],
}

fn on_link(end: End, link: usize) -> IpAddr {
    let host = u8::try_from(end.index() + 1).unwrap_or(u8::MAX);
    IpAddr::V4(Ipv4Addr::new(10, 77, link as u8 + 1, host))
}

fn sh(script: &str) -> Result<(), String> {
    let out = Command::new("sh").args(["-ec", script]).stdin(Stdio::null()).output();
    let out = out.map_err(|error| format!("sh: {error}"))?;
    let said = String::from_utf8_lossy(&out.stderr);
    if out.status.success() { Ok(()) } else { Err(format!("{script}: {said}")) }
}

impl Spaces {
    pub fn make() -> Result<Spaces, String> {
        let mut script =
            "mkdir -p /run/netns; mount -t tmpfs tmpfs /run/netns; ip link set lo up\n".to_owned();
        for link in 0..2 {
            let _ = writeln!(script, "ip link add br{link} type bridge; ip link set br{link} up");
        }
        for end in End::ALL {
            let name = Spaces::name(end);
            let _ = writeln!(script, "ip netns add {name}; ip -n {name} link set lo up");
            let links = if matches!(end, End::A | End::B) { 2 } else { 1 };
            for link in 0..links {
                let address = on_link(end, link);
                let _ = writeln!(
                    script,
                    "ip link add {name}{link} type veth peer name l{link} netns {name}; \
                     ip link set {name}{link} master br{link} up; \
                     ip -n {name} addr add {address}/24 dev l{link}; ip -n {name} link set l{link} up"
                );
            }
        }
        sh(&script)?;
        let spaces = Spaces { rules: Default::default() };
        for end in End::ALL {
            let hook = "{ type filter hook input priority 0; }";
            spaces.nft(end, &format!("add table inet f\nadd chain inet f in {hook}\n"))?;
        }
        Ok(spaces)
    }

    pub fn name(end: End) -> &'static str {
        ["a", "b", "w", "p"][end.index()]
    }

    pub fn links(&self, node: usize) -> [LinkPlan; 2] {
        let (me, peer) = (End::node(node), End::node(1 - node));
        [0, 1].map(|link| LinkPlan {
            here: SocketAddr::new(on_link(me, link), PORT),
            peer: SocketAddr::new(on_link(peer, link), PORT),
            witness: (link == 0).then(Spaces::witness),
        })
    }

    pub fn witness() -> SocketAddr {
        SocketAddr::new(on_link(End::Witness, 0), PORT)
    }

    pub fn server(number: u16) -> SocketAddr {
        SocketAddr::new(on_link(End::Plant, 0), 5020 + number)
    }

    /// Each end drops what it must not get, so one direction of one link can be broken alone.
    pub fn apply(&mut self, troubles: &Troubles) -> Result<(), String> {
        for to in End::ALL {
            let mut rules = String::new();
            for ((from, end, link), trouble) in troubles {
                if *end != to || (*link == 1 && !matches!((from, to), (End::A | End::B, End::A | End::B))) {
                    continue;
                }
                let Trouble { is_cut, loss_percent, .. } = trouble;
                let from = on_link(*from, *link);
                if *is_cut {
                    let _ = writeln!(rules, "add rule inet f in ip saddr {from} drop");
                } else if *loss_percent > 0 {
                    let dice = format!("numgen random mod 100 < {loss_percent}");
                    let _ = writeln!(rules, "add rule inet f in ip saddr {from} {dice} drop");
                }
            }
            if rules != self.rules[to.index()] {
                self.nft(to, &format!("flush chain inet f in\n{rules}"))?;
                self.rules[to.index()] = rules;
            }
        }
        Ok(())
    }

    fn nft(&self, end: End, script: &str) -> Result<(), String> {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net=/run/netns/{}", Spaces::name(end))).args(["nft", "-f", "-"]);
        let mut child = command.stdin(Stdio::piped()).spawn().map_err(|error| format!("nft: {error}"))?;
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(script.as_bytes()).map_err(|error| format!("nft: {error}"))?;
        }
        let status = child.wait().map_err(|error| format!("nft: {error}"))?;
        if status.success() { Ok(()) } else { Err(format!("nft refuses: {script}")) }
    }
}
