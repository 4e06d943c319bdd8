//! The servers of asyncua, node-opcua and open62541 as processes, and folders of a test.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// Whether tests against other software are wanted.
pub fn enabled() -> bool {
    let enabled = std::env::var("GWP_PEER_TESTS").is_ok_and(|value| value == "1");
    if !enabled {
        eprintln!("skipped: OPC UA servers are asked only with GWP_PEER_TESTS=1");
    }
    enabled
}

/// A folder that is gone with this value.
pub struct Folder(pub PathBuf);

impl Folder {
    pub fn new(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("gwp-opcua-peer-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).expect("a folder for the test");
        Folder(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A running server. It ends with this value.
pub struct Peer {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    pub port: u16,
    /// Its address, with the path that it has.
    pub url: String,
    /// Its certificate is for the host in `url`: that of node-opcua is for the machine's name.
    pub named: bool,
}

impl Peer {
    /// The server of asyncua; its certificate is kept in `folder`.
    pub fn asyncua(folder: &Path, options: &[&str]) -> Peer {
        Peer::start(python("asyncua==2.1.0", "opcua_server.py", folder, options), true)
    }

    /// The server of open62541, through its package for Python.
    #[allow(dead_code)]
    pub fn open62541(folder: &Path, options: &[&str]) -> Peer {
        Peer::start(python("o6==2.2.0", "opcua_open62541.py", folder, options), true)
    }

    /// The server of node-opcua; all it keeps is in `folder`.
    pub fn node(folder: &Path, options: &[&str]) -> Peer {
        let mut command = Command::new("sh");
        command.arg(peers().join("opcua_node.sh")).arg(folder).args(options);
        Peer::start(command, false)
    }

    fn start(mut command: Command, named: bool) -> Peer {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("it starts");
        let input = child.stdin.take().expect("its input");
        let mut output = BufReader::new(child.stdout.take().expect("its output"));
        let mut line = String::new();
        // Some have other things to say before.
        let port = loop {
            line.clear();
            assert!(output.read_line(&mut line).expect("a line") > 0, "it ended before it was ready");
            if let Some(port) = line.trim().strip_prefix("READY ") {
                break port.parse().expect("a port");
            }
        };
        Peer { child, input, output, port, url: format!("opc.tcp://127.0.0.1:{port}/plant/"), named }
    }

    /// Has the server do something; its answer.
    pub fn tell(&mut self, line: &str) -> String {
        writeln!(self.input, "{line}").expect("it reads");
        self.input.flush().expect("it reads");
        let mut answer = String::new();
        self.output.read_line(&mut answer).expect("a line");
        answer.trim().to_owned()
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A script in an environment with a package.
fn python(package: &str, script: &str, folder: &Path, options: &[&str]) -> Command {
    let python = Command::new("sh").arg(peers().join("venv.sh")).arg(package).output().expect("sh runs");
    assert!(python.status.success(), "{}", String::from_utf8_lossy(&python.stderr));
    let python = String::from_utf8(python.stdout).expect("a path");
    let mut command = Command::new(python.trim());
    command.arg(peers().join(script)).arg(folder).args(options);
    command
}

fn peers() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/peers")
}
