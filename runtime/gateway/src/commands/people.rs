//! `gwp user`, `gwp token`: who may control a gateway over its control interface.

use crate::cli::GatewayArgs;
use crate::control::client::Answer;
use crate::control::offline::ask;
use anyhow::{Context, bail};
use clap::Subcommand;
use gwp_console::Role;
use gwp_console::secret::check_password;
use hyper::Method;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};
use std::io::{BufRead, Read};
use std::process::ExitCode;
use std::time::Duration;

/// A longer line is no password.
const LINE_BYTES_MAX: u64 = 4_096;

#[derive(Subcommand)]
pub enum UserCommand {
    /// Add a user
    Add {
        /// a-z, 0-9, `.`, `_`, `-`, beginning with a letter
        name: String,
        /// viewer, operator, engineer or admin: each may do what the ones before it may
        #[arg(long)]
        role: Role,
        #[command(flatten)]
        password: PasswordArgs,
    },
    /// Give a user another password; its sessions end
    Passwd {
        name: String,
        #[command(flatten)]
        password: PasswordArgs,
    },
    /// Give a user another role
    Role {
        name: String,
        /// viewer, operator, engineer or admin
        role: Role,
    },
    /// Remove a user; its sessions end
    Remove { name: String },
    /// List users
    Ls {
        /// Print as JSON
        #[arg(long)]
        json: bool,
    },
}

/// Where a password comes from.
#[derive(clap::Args)]
pub struct PasswordArgs {
    /// Read the password from standard input instead of asking for it
    #[arg(long)]
    password_stdin: bool,
}

#[derive(Subcommand)]
pub enum TokenCommand {
    /// Make a token for a program and print it; it is shown this once
    Add {
        /// a-z, 0-9, `.`, `_`, `-`, beginning with a letter
        name: String,
        /// viewer, operator, engineer or admin: each may do what the ones before it may
        #[arg(long)]
        role: Role,
        /// It lets nobody in after this time, for example 90d [default: never ends]
        #[arg(long, value_name = "TIME", value_parser = crate::duration::parse_duration)]
        expires: Option<Duration>,
    },
    /// Remove a token; it lets nobody in any more
    Remove { name: String },
    /// List tokens, not what they are
    Ls {
        /// Print as JSON
        #[arg(long)]
        json: bool,
    },
}

impl PasswordArgs {
    fn read(&self) -> anyhow::Result<String> {
        let password = match self.password_stdin {
            true => {
                let mut line = String::new();
                let mut input = std::io::stdin().lock().take(LINE_BYTES_MAX);
                input.read_line(&mut line).context("standard input cannot be read")?;
                line.trim_end_matches(['\r', '\n']).to_owned()
            }
            false => {
                let prompt = |text| {
                    let read = rpassword::prompt_password(text);
                    read.context("no password can be asked for here; use --password-stdin")
                };
                let password = prompt("Password: ")?;
                if password != prompt("Again: ")? {
                    bail!("the two passwords differ");
                }
                password
            }
        };
        check_password(&password).map_err(anyhow::Error::msg)?;
        Ok(password)
    }
}

/// Prints what was done, or why it was not.
fn told(answer: Answer, done: &str) -> anyhow::Result<ExitCode> {
    if answer.status.is_client_error() {
        let why = answer.body.get("error").and_then(Value::as_str).unwrap_or_default();
        eprintln!("gwp: {why}");
        return Ok(ExitCode::FAILURE);
    }
    answer.done()?;
    println!("{done}");
    Ok(ExitCode::SUCCESS)
}

fn path(of: &str, name: &str) -> String {
    format!("/v1/{of}/{}", utf8_percent_encode(name, NON_ALPHANUMERIC))
}

pub fn user(command: &UserCommand, gateway: &GatewayArgs) -> anyhow::Result<ExitCode> {
    let post = |route: &str, body: Value| ask(gateway, Method::POST, route, Some(&body));
    match command {
        UserCommand::Add { name, role, password } => {
            let body = json!({ "name": name, "role": role, "password": password.read()? });
            told(post("/v1/users", body)?, &format!("{name} may log in as {role}"))
        }
        UserCommand::Passwd { name, password } => {
            let body = json!({ "password": password.read()? });
            told(post(&path("users", name), body)?, &format!("{name} has another password"))
        }
        UserCommand::Role { name, role } => {
            told(post(&path("users", name), json!({ "role": role }))?, &format!("{name} is {role}"))
        }
        UserCommand::Remove { name } => {
            let answer = ask(gateway, Method::DELETE, &path("users", name), None)?;
            told(answer, &format!("{name} is removed"))
        }
        UserCommand::Ls { json } => ls(gateway, "users", *json, &["name", "role", "since"]),
    }
}

pub fn token(command: &TokenCommand, gateway: &GatewayArgs) -> anyhow::Result<ExitCode> {
    match command {
        TokenCommand::Add { name, role, expires } => {
            let expires_in_s = expires.map(|time| time.as_secs());
            let body = json!({ "name": name, "role": role, "expires_in_s": expires_in_s });
            let answer = ask(gateway, Method::POST, "/v1/tokens", Some(&body))?;
            let token = answer.body.get("token").and_then(Value::as_str).unwrap_or_default().to_owned();
            told(answer, &token)
        }
        TokenCommand::Remove { name } => {
            let answer = ask(gateway, Method::DELETE, &path("tokens", name), None)?;
            told(answer, &format!("{name} is removed"))
        }
        TokenCommand::Ls { json } => ls(gateway, "tokens", *json, &["name", "role", "since", "expires"]),
    }
}

fn ls(gateway: &GatewayArgs, what: &str, as_json: bool, columns: &[&str]) -> anyhow::Result<ExitCode> {
    let answer = ask(gateway, Method::GET, &format!("/v1/{what}"), None)?.done()?;
    if as_json {
        println!("{answer:#}");
        return Ok(ExitCode::SUCCESS);
    }
    let line = |texts: Vec<&str>| {
        let texts: Vec<String> = texts.iter().map(|text| format!("{text:<24}")).collect();
        println!("{}", texts.join(" ").trim_end());
    };
    let heads: Vec<String> = columns.iter().map(|column| column.to_uppercase()).collect();
    line(heads.iter().map(String::as_str).collect());
    for one in answer.get(what).and_then(Value::as_array).map_or(&[][..], Vec::as_slice) {
        line(columns.iter().map(|column| one.get(*column).and_then(Value::as_str).unwrap_or("-")).collect());
    }
    Ok(ExitCode::SUCCESS)
}
