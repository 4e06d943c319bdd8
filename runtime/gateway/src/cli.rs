//! The command line.

use crate::commands;
use crate::duration::parse_duration;
use clap::{CommandFactory, Parser, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// gwp: an IIoT gateway that survives its own death. Pipelines are text.
#[derive(Parser)]
#[command(name = "gwp", version, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run pipelines until stopped (Ctrl-C or SIGTERM drain and stop)
    Run(RunArgs),
    /// Check pipelines: every error of every file in one run; exit 1 when there is one
    Check {
        #[command(flatten)]
        project: ProjectArgs,
        /// Print the findings as JSON
        #[arg(long)]
        json: bool,
    },
    /// Play the `test` blocks of pipelines, also with restarts, shuffled arrivals and a second instance
    Test(commands::test::TestArgs),
    /// Format pipelines: indentation, columns and units in one look; comments and line breaks stay
    #[command(after_help = "\
Two blanks per level, columns of consecutive tags, calcs, sinks and comments aligned, units in one spelling
(`°C` becomes `degC`), at most one blank line in a row. The result is read again and compared before anything is
written, and a file is replaced as a whole. Exit code 1: syntax errors (those files are left alone), or --check found
files that would change.")]
    Fmt(commands::fmt::FmtArgs),
    /// Make a program of what other software was told
    Import {
        #[command(subcommand)]
        command: commands::import::ImportCommand,
    },
    /// Print what editors need to know of the language
    Editor {
        #[command(subcommand)]
        command: commands::editor::EditorCommand,
    },
    /// Serve editors: a language server (LSP) on standard input and output
    #[command(after_help = "\
Started by an editor, not by hand. Gives diagnostics with quick fixes, hover texts, completion, definitions, outline and
formatting for `.gwp` files. A file that others `use` is checked from these: they are looked for among the open files
and in the folders of the workspace. Text that is not saved yet comes before what is on disk. How to set editors up
stands in dsl/README.md.")]
    Lsp(commands::lsp::LspArgs),
    /// Explain a diagnostic code, for example `gwp explain E202`
    Explain {
        /// A code like E202; without one all codes are listed
        code: Option<String>,
    },
    /// Show what would run: actors, requests and load per device, journal hours; with --against what would change
    #[command(after_help = "\
With --against DIR, or --node-url, the program is compared with what runs on that gateway. Nothing is changed.
Exit code 0: nothing would change, 1: the program has errors or could not run there, 2: the gateway cannot be asked,
3: something would change.

  gwp plan plant.gwp
  gwp plan plant.gwp --against /var/lib/gwp --markdown > change.md")]
    Plan(commands::plan::PlanArgs),
    /// Put a program in force on a running gateway, without stopping what does not change
    #[command(after_help = "\
Everything is checked first; then the gateway changes at one position of its log. What fails leaves the program before
in force. Sinks that are not in the program any more deliver what waits for them, and are then deleted.

  gwp apply plant.gwp --message 'meters of hall 3'
  gwp apply plant.gwp --confirm-within 60s && gwp confirm")]
    Apply(commands::change::ApplyArgs),
    /// Keep what was applied with --confirm-within
    Confirm {
        #[command(flatten)]
        gateway: GatewayArgs,
    },
    /// Programs that were in force on a gateway, the newest first
    History(commands::change::HistoryArgs),
    /// Put a program of the history in force again
    Rollback(commands::change::RollbackArgs),
    /// Draw the way from sources to sinks, for Mermaid or Graphviz
    Graph {
        #[command(flatten)]
        project: ProjectArgs,
        /// Form of the drawing
        #[arg(long, value_enum, default_value_t = GraphForm::Mermaid)]
        form: GraphForm,
    },
    /// Alarms of a running gateway: list, acknowledge, shelve
    #[command(after_help = "\
The gateway is the one that runs on the data directory. Every order stands in its log before this command answers, is
seen by all flows of `device.alarms`, and is kept over restarts. Exit code 1: the order has no effect, and why.

  gwp alarm ls
  gwp alarm ack press.oil_hot --by anna
  gwp alarm shelve 'press.*' --for 30min")]
    Alarm {
        #[command(subcommand)]
        command: commands::alarm::AlarmCommand,
        #[command(flatten)]
        gateway: GatewayArgs,
    },
    /// Tags of a running gateway: list, get, watch, write
    #[command(after_help = "\
A value is written by the `write` item of the program that has the tag as its target, within its limits, like a command
from elsewhere. Exit code 1: there is no such tag, or the value was not written, and why.

  gwp tags ls 'press.*'
  gwp tags watch press.oil press.hot
  gwp tags write press.limit 50")]
    Tags {
        #[command(subcommand)]
        command: commands::tags::TagsCommand,
        #[command(flatten)]
        gateway: GatewayArgs,
    },
    /// Watch a running gateway: sources, sinks, rates, each second; q ends it
    Top {
        #[command(flatten)]
        gateway: GatewayArgs,
    },
    /// What a running gateway says of itself; exit code 1 when something is down, or in a pair nothing runs
    Status {
        #[command(flatten)]
        gateway: GatewayArgs,
        /// Print as JSON
        #[arg(long)]
        json: bool,
    },
    /// Users who may log in to a gateway from elsewhere: add, remove, passwd, role, ls
    #[command(after_help = "\
They are kept in users.json of the data directory. The gateway that runs on it changes them at once; while none runs,
this command does.

  gwp user add anna --role engineer
  gwp user passwd anna --password-stdin < new-password")]
    User {
        #[command(subcommand)]
        command: commands::people::UserCommand,
        #[command(flatten)]
        gateway: GatewayArgs,
    },
    /// Tokens of programs that control a gateway: add, remove, ls
    #[command(after_help = "\
  gwp token add scada --role operator --expires 365d > scada.token
  gwp status --node-url https://gateway.plant.example:9465 --token-file scada.token --ca plant.pem")]
    Token {
        #[command(subcommand)]
        command: commands::people::TokenCommand,
        #[command(flatten)]
        gateway: GatewayArgs,
    },
    /// Who changed what: the audit log of a data directory, also while no gateway runs on it
    Audit(commands::audit::AuditArgs),
    /// A redundant pair: its key, what this node is in it, switchover, maintenance
    #[command(after_help = "\
  gwp pair keys pair.key                      once, on one machine; copy the file to the other and to the witness
  gwp run plant.gwp --node primary.toml       on each node, with its [pair]
  gwp witness witness.toml                    on a third machine
  gwp pair status --data /var/lib/gwp")]
    Pair {
        #[command(subcommand)]
        command: commands::pair::PairCommand,
        #[command(flatten)]
        gateway: GatewayArgs,
    },
    /// Run the third vote of a pair: no data, next to no load; on a third machine
    Witness(commands::witness::WitnessArgs),
    /// Certificates of OPC UA: the gateway's own, and servers that it trusts or has rejected
    #[command(after_help = "\
They lie in pki below the data directory; no gateway needs to run, and one that runs sees changes at its next attempt
to connect. A server that is not trusted is listed as rejected after the first attempt: compare the thumbprint with the
one that the server itself shows, then trust it. Exit code 1: there is no such certificate.

  gwp certs ls
  gwp certs trust 3f9a27
  gwp certs export --own gwp.der       for the trust list of the server")]
    Certs {
        #[command(subcommand)]
        command: commands::certs::CertsCommand,
        #[command(flatten)]
        place: commands::certs::PkiArgs,
    },
    /// Look around in an OPC UA server: nodes, types, values; with --tags as lines for a program
    #[command(after_help = "\
Uses the gateway's certificate and its list of trusted servers, as the driver does. Exit code 1: the server refuses, or
is not trusted, and what mends that; 2: nothing can be read or written here.

  gwp browse opc.tcp://10.1.4.40:4840 --security none
  gwp browse opc.tcp://10.1.4.40:4840 --user anna --start 'nsu=urn:plant:line;s=Line1'
  gwp browse opc.tcp://10.1.4.40:4840 --tags > line.txt    to be put below `source line : opcua {`")]
    Browse(commands::browse::BrowseArgs),
    /// Look into the journals of a data directory (not while a gateway runs on it)
    Journal {
        #[command(subcommand)]
        command: JournalCommand,
        /// Data directory, as in the node.toml of the gateway
        #[arg(long, global = true, default_value = "data", value_name = "DIR")]
        data: PathBuf,
    },
    /// Print a completion script for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

/// Which program.
#[derive(clap::Args)]
pub struct ProjectArgs {
    /// Pipeline files; files they `use` are found by themselves
    #[arg(required = true)]
    pub files: Vec<PathBuf>,
}

/// Which gateway: the one on a data directory, or one elsewhere.
#[derive(clap::Args)]
pub struct GatewayArgs {
    /// Data directory of the gateway, as in its node.toml
    #[arg(long, global = true, default_value = "data", value_name = "DIR")]
    pub data: PathBuf,
    /// A gateway elsewhere instead: https://host:9465; needs --token-file
    #[arg(long, global = true, value_name = "URL")]
    pub node_url: Option<String>,
    /// File with the token for --node-url, as `gwp token add` printed it
    #[arg(long, global = true, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// PEM file of the authority to trust with --node-url [default: those of this machine]
    #[arg(long, global = true, value_name = "FILE")]
    pub ca: Option<PathBuf>,
}

/// A gateway elsewhere.
#[derive(clap::Args)]
pub struct ElsewhereArgs {
    /// A gateway elsewhere instead: https://host:9465; needs --token-file
    #[arg(long, value_name = "URL")]
    node_url: Option<String>,
    /// File with the token for --node-url, as `gwp token add` printed it
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// PEM file of the authority to trust with --node-url [default: those of this machine]
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
}

impl ElsewhereArgs {
    /// The gateway on a data directory or elsewhere, if one is named.
    pub fn gateway(&self, data: Option<&std::path::Path>) -> Option<GatewayArgs> {
        if data.is_none() && self.node_url.is_none() {
            return None;
        }
        Some(GatewayArgs {
            data: data.map_or_else(PathBuf::new, Into::into),
            node_url: self.node_url.clone(),
            token_file: self.token_file.clone(),
            ca: self.ca.clone(),
        })
    }
}

/// What to run and how.
#[derive(clap::Args)]
pub struct RunArgs {
    /// Pipeline files; files they `use` are found by themselves [default: what was in force last on the data directory]
    pub files: Vec<PathBuf>,
    /// The node.toml of this machine: data directory, secrets, variables
    #[arg(long, value_name = "FILE")]
    pub node: Option<PathBuf>,
    /// Data directory; overrides node.toml [default: data]
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Stop by itself after this time, for example 10s, 5min
    #[arg(long = "for", value_parser = parse_duration, value_name = "TIME")]
    pub run_for: Option<Duration>,
    /// Serve Prometheus metrics here, for example 127.0.0.1:9464; overrides node.toml
    #[arg(long, value_name = "ADDRESS")]
    pub metrics: Option<std::net::SocketAddr>,
    /// Put saved files in force while it runs; files with errors change nothing
    #[arg(long, requires = "files")]
    pub watch: bool,
    /// Show no status line
    #[arg(long, short)]
    pub quiet: bool,
    /// Start the gateway as a process of its own, and again when it dies; in a pair its peer takes over at once then
    #[arg(long, conflicts_with = "run_for")]
    pub guard: bool,
}

#[derive(Clone, Copy, clap::ValueEnum)]
pub enum GraphForm {
    Mermaid,
    Dot,
}

#[derive(Subcommand)]
pub enum JournalCommand {
    /// Sinks, what waits for them, and what was dropped
    Ls,
    /// The store as a whole: log, segments, epochs, gap ledger
    Stat,
    /// Read every frame and every reference; exit 1 when something is damaged, also when opening has mended it
    Verify,
    /// Print the newest entries of a sink that wait for delivery
    Tail {
        /// Name of the sink
        sink: String,
        /// How many samples
        #[arg(short, default_value_t = 20, value_name = "COUNT")]
        n: usize,
    },
    /// Write what waits for a sink as CSV to standard output
    Export {
        /// Name of the sink
        sink: String,
    },
    /// Write as CSV what the program makes of the log from its beginning, without the restarts that there were
    Recompute {
        /// Name of the sink whose flows are computed
        sink: String,
    },
    /// Deliver what is still kept of a range again, as new entries
    Replay {
        /// Name of the sink
        sink: String,
        /// First position, such as 3:1042, as `journal stat` and `tail` show it [default: all that is kept]
        #[arg(long, value_name = "POSITION")]
        from: Option<gwp_core::Position>,
        /// Last position [default: the newest]
        #[arg(long, value_name = "POSITION")]
        upto: Option<gwp_core::Position>,
    },
}

/// `gwp status | head` ends when its reader has seen enough, like any command: printing to a closed
/// pipe panics, and that is no defect.
fn end_with_the_reader() {
    let otherwise = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let text = panic.payload_as_str().unwrap_or_default();
        if text.starts_with("failed printing to stdout") && text.contains("Broken pipe") {
            std::process::exit(0);
        }
        otherwise(panic);
    }));
}

/// Runs the program; the exit code is 0 when all went well, 1 when something is
/// wrong with what was given, 2 when the machine refused (disk, port, memory).
pub fn main() -> ExitCode {
    // TLS without a provider chosen here would panic at its first use.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let command = Cli::parse().command;
    // A gateway goes on when nobody reads its output any more.
    if !matches!(command, Command::Run(_) | Command::Witness(_)) {
        end_with_the_reader();
    }
    let result = match command {
        Command::Run(args) => commands::run::run(&args),
        Command::Check { project, json } => commands::check::check(&project.files, json),
        Command::Test(args) => commands::test::test(&args),
        Command::Fmt(args) => commands::fmt::fmt(&args),
        Command::Import { command } => commands::import::import(&command),
        Command::Editor { command } => commands::editor::editor(&command),
        Command::Lsp(args) => commands::lsp::lsp(&args),
        Command::Explain { code } => commands::check::explain(code.as_deref()),
        Command::Plan(args) => commands::plan::plan(&args),
        Command::Apply(args) => commands::change::apply(&args),
        Command::Confirm { gateway } => commands::change::confirm(&gateway),
        Command::History(args) => commands::change::history(&args),
        Command::Rollback(args) => commands::change::rollback(&args),
        Command::Graph { project, form } => commands::graph::graph(&project.files, form),
        Command::Alarm { command, gateway } => commands::alarm::alarm(&command, &gateway),
        Command::Status { gateway, json } => commands::status::status(&gateway, json),
        Command::Tags { command, gateway } => commands::tags::tags(&command, &gateway),
        Command::Top { gateway } => commands::top::top(&gateway),
        Command::User { command, gateway } => commands::people::user(&command, &gateway),
        Command::Token { command, gateway } => commands::people::token(&command, &gateway),
        Command::Audit(args) => commands::audit::audit(&args),
        Command::Pair { command, gateway } => commands::pair::pair(&command, &gateway),
        Command::Witness(args) => commands::witness::witness(&args),
        Command::Certs { command, place } => commands::certs::certs(&command, &place),
        Command::Browse(args) => commands::browse::browse(&args),
        Command::Journal { command, data } => commands::journal::journal(&command, &data),
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "gwp", &mut std::io::stdout());
            Ok(ExitCode::SUCCESS)
        }
    };
    result.unwrap_or_else(|error| {
        eprintln!("gwp: {error:#}");
        ExitCode::from(2)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn durations_are_read_as_people_write_them() {
        assert_eq!(parse_duration("10s").unwrap(), Duration::from_secs(10));
        assert_eq!(parse_duration("250ms").unwrap(), Duration::from_millis(250));
        assert_eq!(parse_duration("2d").unwrap(), Duration::from_secs(172_800));
        assert_eq!(parse_duration("1.5 h").unwrap(), Duration::from_secs(5400));
        assert!(parse_duration("10 fortnights").unwrap_err().contains("fortnights"));
        assert!(parse_duration("soon").is_err());
    }
}
