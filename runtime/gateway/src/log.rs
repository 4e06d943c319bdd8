//! The log: lines on standard error, above the table when one stands on the terminal.

use crate::node::{LogFormat, Node};
use std::io::{IsTerminal, Write};

/// Starts the log of this process.
pub fn start(node: &Node) {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| {
        // A source's wire log is asked for by its own setting.
        // The OPC UA library tells each failed attempt several times; the driver tells it once, with what mends it.
        tracing_subscriber::EnvFilter::new(format!(
            "{},wire=info,rumqttc=error,fjall=error,lsm_tree=error,opcua_client=off,opcua_core=off,opcua_crypto=off,opcua_types=off",
            node.log_level
        ))
    });
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(|| Lines)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false);
    // A second subscriber in one process (tests) is refused; the first one serves.
    let _ = match node.log_format {
        LogFormat::Text => log.try_init(),
        LogFormat::Json => log.json().try_init(),
    };
}

/// Standard error; each write is a whole line.
struct Lines;

impl Write for Lines {
    fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
        let mut err = std::io::stderr().lock();
        // What stands on standard output is not on the same terminal otherwise.
        if err.is_terminal() {
            gwp_sink_console::above(line, |bytes| err.write_all(bytes))?;
        } else {
            err.write_all(line)?;
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        std::io::stderr().flush()
    }
}
