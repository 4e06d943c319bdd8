//! The server of Snap7 as a process.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// A running server. It ends with this value.
pub struct Peer {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    /// Where it listens.
    pub port: u16,
}

impl Peer {
    /// Starts one on a port, a free one for 0.
    pub fn start(port: u16) -> Peer {
        let peers = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/peers");
        let python = Command::new("sh").arg(peers.join("venv.sh")).arg("python-snap7==2.0.2").output();
        let python = python.expect("sh runs");
        assert!(python.status.success(), "{}", String::from_utf8_lossy(&python.stderr));
        let python = String::from_utf8(python.stdout).expect("a path");
        let mut child = Command::new(python.trim())
            .arg(peers.join("s7_server.py"))
            .args(["--port", &port.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python runs");
        let (input, output) =
            (child.stdin.take().expect("its input"), child.stdout.take().expect("its output"));
        let mut peer = Peer { child, input, output: BufReader::new(output), port };
        let line = peer.line();
        let port = line.strip_prefix("READY ").unwrap_or_else(|| panic!("not ready: {line}"));
        peer.port = port.parse().expect("a port");
        peer
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).expect("a line");
        line.trim().to_owned()
    }

    /// Bytes of an area (`db 100`, `mk 0`) as the server has them, in hexadecimal.
    pub fn bytes(&mut self, area: &str, from: u32, count: usize) -> String {
        writeln!(self.input, "{area} {from} {count}").expect("it reads");
        self.input.flush().expect("it reads");
        self.line()
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
