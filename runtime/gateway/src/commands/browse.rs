//! `gwp browse`: the address space of an OPC UA server, for people and as tags of a program.

mod lines;

use crate::commands::certs::PkiArgs;
use anyhow::Context;
use clap::ValueEnum;
use futures_util::StreamExt;
use gwp_driver_opcua::browse::{Bounds, BrowseError, Tree};
use gwp_driver_opcua::security::{ConnectError, Connection, Identity, Mode, Options, Policy, connect};
use std::io::{BufRead, Read};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// A longer line is no password.
const LINE_BYTES_MAX: u64 = 4_096;

/// Which server, as whom, and what of it.
#[derive(clap::Args)]
pub struct BrowseArgs {
    /// Address of the server: opc.tcp://10.1.4.40:4840
    url: String,
    /// How messages are protected
    #[arg(long, value_enum, default_value_t = Security::SignAndEncrypt)]
    security: Security,
    /// Algorithms, such as basic256_sha256 [default: the best that the server offers]
    #[arg(long, value_name = "POLICY", value_parser = policy)]
    policy: Option<Policy>,
    /// User at the server; asks for the password [default: anonymous]
    #[arg(long, value_name = "NAME", conflicts_with = "user_certificate")]
    user: Option<String>,
    /// Read the password from standard input instead of asking for it
    #[arg(long, requires = "user")]
    password_stdin: bool,
    /// Log in with this certificate (DER or PEM)
    #[arg(long, value_name = "FILE", requires = "user_key")]
    user_certificate: Option<PathBuf>,
    /// Its private key (PEM)
    #[arg(long, value_name = "FILE", requires = "user_certificate")]
    user_key: Option<PathBuf>,
    /// Take the server's certificate although its names are other ones; it must be trusted all the same
    #[arg(long)]
    ignore_names: bool,
    /// Node to begin with, as an address of a program [default: the folder Objects]
    #[arg(long, value_name = "NODE")]
    start: Option<String>,
    /// Levels below it
    #[arg(long, default_value_t = 10, value_name = "LEVELS", value_parser = clap::value_parser!(u16).range(1..=100))]
    depth: u16,
    /// Nodes at most
    #[arg(long, default_value_t = 10_000, value_name = "NODES", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    count: u32,
    /// Read no values
    #[arg(long)]
    no_values: bool,
    /// Also the object Server, in which a server tells of itself
    #[arg(long)]
    server: bool,
    /// Print `tag` lines, to be put below a source of a program
    #[arg(long)]
    tags: bool,
    #[command(flatten)]
    place: PkiArgs,
}

#[derive(Clone, Copy, ValueEnum)]
#[value(rename_all = "snake_case")]
enum Security {
    None,
    Sign,
    SignAndEncrypt,
}

fn policy(word: &str) -> Result<Policy, String> {
    Policy::of_word(word).ok_or_else(|| {
        let known: Vec<&str> = Policy::ALL.iter().map(|policy| policy.word()).collect();
        format!("it is one of {}", known.join(", "))
    })
}

impl BrowseArgs {
    fn options(&self) -> anyhow::Result<Options> {
        let mut options = Options::new(&self.url, self.place.folder());
        options.mode = match self.security {
            Security::None => Mode::None,
            Security::Sign => Mode::Sign,
            Security::SignAndEncrypt => Mode::SignAndEncrypt,
        };
        options.policy = self.policy;
        options.check_names = !self.ignore_names;
        options.session_name = "gwp browse".into();
        // Nobody waits beside this: a slow server may take its time.
        options.request_timeout = Duration::from_secs(30);
        options.connect_timeout = Duration::from_secs(30);
        if let Some(name) = &self.user {
            options.identity = Identity::User { name: name.clone(), password: self.password()? };
        }
        if let (Some(certificate), Some(key)) = (&self.user_certificate, &self.user_key) {
            options.identity = Identity::Certificate { certificate: certificate.clone(), key: key.clone() };
        }
        Ok(options)
    }

    fn password(&self) -> anyhow::Result<String> {
        if !self.password_stdin {
            let asked = rpassword::prompt_password("Password: ");
            return asked.context("no password can be asked for here; use --password-stdin");
        }
        let mut line = String::new();
        let mut input = std::io::stdin().lock().take(LINE_BYTES_MAX);
        input.read_line(&mut line).context("standard input cannot be read")?;
        Ok(line.trim_end_matches(['\r', '\n']).to_owned())
    }
}

/// What keeps the server from being looked at.
#[derive(Debug, thiserror::Error)]
enum Failed {
    #[error("{0}")]
    Connect(#[from] ConnectError),
    #[error("{0}")]
    Browse(#[from] BrowseError),
}

pub fn browse(args: &BrowseArgs) -> anyhow::Result<ExitCode> {
    let options = args.options()?;
    let bounds = Bounds {
        depth: usize::from(args.depth),
        nodes: args.count as usize,
        // A value tells how long an array is, and what a type that is left open holds.
        values: !args.no_values,
        server: args.server,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.context("the operating system gives no threads")?;
    let tree = match runtime.block_on(look(&options, args.start.as_deref(), &bounds)) {
        Ok(tree) => tree,
        Err(Failed::Connect(ConnectError::Store(error))) => return Err(error.into()),
        Err(error) => {
            eprintln!("gwp: {error}");
            return Ok(ExitCode::FAILURE);
        }
    };
    print!("{}", if args.tags { lines::tags(&tree) } else { lines::tree(&tree) });
    for what in &tree.left_out {
        eprintln!("note: left out: {what}");
    }
    Ok(ExitCode::SUCCESS)
}

async fn look(options: &Options, start: Option<&str>, bounds: &Bounds) -> Result<Tree, Failed> {
    let Connection { session, mut events, context } = connect(options).await?;
    for warning in &context.warnings {
        eprintln!("warning: {warning}");
    }
    let work = gwp_driver_opcua::browse::browse(&session, start, bounds);
    tokio::pin!(work);
    let tree = loop {
        tokio::select! {
            tree = &mut work => break tree?,
            event = events.next() => match event {
                Some(Ok(_)) => {}
                Some(Err(status)) => return Err(context.explain(status).into()),
                None => return Err(context.ended().into()),
            },
        }
    };
    // The server need not wait for the session's end; that it was told is enough.
    let end = session.disconnect();
    tokio::pin!(end);
    let told = async {
        loop {
            tokio::select! {
                _ = &mut end => return,
                event = events.next() => if event.is_none() { return },
            }
        }
    };
    let _ = tokio::time::timeout(Duration::from_secs(3), told).await;
    Ok(tree)
}
