//! Harness of the black-box tests: the real binary as a process, real peers.
//!
//! Tests against peers that must be installed run when `GWP_PEER_TESTS=1` is set
//! (`.ci/run` sets it) and say clearly when they are skipped.

pub mod modbus;

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// Whether tests against installed peers are to run; says so when not.
pub fn peers_wanted(test: &str) -> bool {
    let wanted = std::env::var_os("GWP_PEER_TESTS").is_some_and(|value| value == "1");
    if !wanted {
        eprintln!("SKIPPED {test}: set GWP_PEER_TESTS=1 to run tests against real peers");
    }
    wanted
}

/// The folder of the workspace.
pub fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map(Path::to_path_buf).unwrap_or_default()
}

/// The `gwp` binary of this build: beside the test binaries, built when it is not there.
pub fn gwp() -> PathBuf {
    let mut folder = std::env::current_exe().unwrap_or_default();
    folder.pop();
    if folder.ends_with("deps") {
        folder.pop();
    }
    let path = folder.join(format!("gwp{}", std::env::consts::EXE_SUFFIX));
    static BUILD: std::sync::Once = std::sync::Once::new();
    BUILD.call_once(|| {
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo.current_dir(workspace()).args(["build", "--quiet", "-p", "gwp-gateway"]);
        if folder.ends_with("release") {
            cargo.arg("--release");
        }
        // Told of another package, build scripts that look at these would build their crates anew each time.
        let of_this_package = |name: &str| {
            let begins = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "CARGO_CRATE_", "CARGO_PRIMARY_"];
            begins.iter().any(|begin| name.starts_with(begin))
        };
        let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
        names.filter(|name| of_this_package(name)).for_each(|name| drop(cargo.env_remove(name)));
        assert!(cargo.status().is_ok_and(|status| status.success()), "gwp cannot be built");
    });
    path
}

/// A process that ends with its handle, by its own pid.
pub struct Process {
    pub child: Child,
    lines: Receiver<String>,
}

impl Process {
    /// Starts a command; its standard output is read line by line.
    pub fn start(command: &mut Command) -> Process {
        Process::spawn(command.stdin(Stdio::null()))
    }

    /// The same with a standard input, `child.stdin`, that stays open with the handle.
    pub fn start_with_input(command: &mut Command) -> Process {
        Process::spawn(command.stdin(Stdio::piped()))
    }

    fn spawn(command: &mut Command) -> Process {
        let what = format!("{command:?}");
        let spawned = command.stdout(Stdio::piped()).spawn();
        let mut child = spawned.unwrap_or_else(|error| panic!("{what}: {error}"));
        let (tx, lines) = channel();
        if let Some(stdout) = child.stdout.take() {
            std::thread::spawn(move || {
                for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                    if tx.send(line).is_err() {
                        break;
                    }
                }
            });
        }
        Process { child, lines }
    }

    /// The next line it prints.
    pub fn line(&self) -> String {
        self.lines.recv_timeout(PATIENCE).expect("the process printed nothing in time")
    }

    /// Kills it as `kill -9` does.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Waits for its end.
    pub fn wait(&mut self, limit: Duration) -> ExitStatus {
        let mut status = None;
        until("a process to end", limit, || {
            status = self.child.try_wait().ok().flatten();
            status.is_some()
        });
        status.expect("checked above")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// How long a test waits for what must come. It only ends tests that hang, so a busy machine must not reach it.
pub const PATIENCE: Duration = Duration::from_secs(180);

/// Waits for a condition; panics when it does not come. It is looked at often at first, then a few times a second, as
/// looking may be a process of its own.
pub fn until(what: &str, limit: Duration, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + limit;
    let mut pause = Duration::from_millis(20);
    while !condition() {
        assert!(Instant::now() < deadline, "waited too long for {what}");
        std::thread::sleep(pause);
        pause = (pause * 5 / 4).min(Duration::from_millis(200));
    }
}

/// Python with the pinned packages of the protocol peers, made by a script at first use.
pub fn peer_python() -> PathBuf {
    python_with(&[])
}

/// Python with other pinned packages, made by a script at first use.
pub fn python_with(packages: &[&str]) -> PathBuf {
    let script = workspace().join("tests/peers/venv.sh");
    let out =
        Command::new("bash").arg(script).args(packages).stderr(Stdio::inherit()).output().expect("bash");
    assert!(out.status.success(), "the peers' Python packages cannot be installed");
    let text = String::from_utf8_lossy(&out.stdout);
    PathBuf::from(text.lines().last().unwrap_or_default().trim())
}
