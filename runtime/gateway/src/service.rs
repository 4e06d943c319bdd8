//! What a service manager is told: ready, reloading, stopping, and that the process is alive (systemd's notify
//! protocol, sd_notify(3)). Where there is none nothing is told.

use std::time::Duration;

/// The service manager, if one has started this process and wants to know.
pub struct Service {
    #[cfg(unix)]
    socket: Option<(std::os::unix::net::UnixDatagram, std::ffi::OsString)>,
}

impl Service {
    /// Looks for it in the environment (`NOTIFY_SOCKET`).
    pub fn new() -> Service {
        #[cfg(unix)]
        {
            let socket = || {
                let path = std::env::var_os("NOTIFY_SOCKET")?;
                Some((std::os::unix::net::UnixDatagram::unbound().ok()?, path))
            };
            Service { socket: socket() }
        }
        #[cfg(not(unix))]
        Service {}
    }

    /// Whether a service manager has started this process.
    pub fn is_there(&self) -> bool {
        #[cfg(unix)]
        return self.socket.is_some();
        #[cfg(not(unix))]
        return false;
    }

    /// Says something: lines of `NAME=value`.
    pub fn tell(&self, state: &str) {
        #[cfg(unix)]
        if let Some((socket, path)) = &self.socket
            && let Err(error) = send(socket, path, state)
        {
            tracing::warn!(%error, "the service manager cannot be told");
        }
        #[cfg(not(unix))]
        let _ = state;
    }

    /// How often it must hear that the process is alive: half of what it waits.
    pub fn watchdog(&self) -> Option<Duration> {
        let micros: u64 = std::env::var("WATCHDOG_USEC").ok()?.parse().ok()?;
        let own = std::env::var("WATCHDOG_PID").ok().is_none_or(|pid| pid == std::process::id().to_string());
        (own && micros > 0).then(|| Duration::from_micros(micros / 2))
    }
}

#[cfg(unix)]
fn send(
    socket: &std::os::unix::net::UnixDatagram,
    path: &std::ffi::OsStr,
    state: &str,
) -> std::io::Result<usize> {
    #[cfg(target_os = "linux")]
    {
        use std::os::linux::net::SocketAddrExt;
        use std::os::unix::ffi::OsStrExt;
        if let Some(name) = path.as_bytes().strip_prefix(b"@") {
            let address = std::os::unix::net::SocketAddr::from_abstract_name(name)?;
            return socket.send_to_addr(state.as_bytes(), &address);
        }
    }
    socket.send_to(state.as_bytes(), path)
}
