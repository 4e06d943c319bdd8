//! The one binary of gwp.

use std::process::ExitCode;

fn main() -> ExitCode {
    gwp_gateway::main()
}
