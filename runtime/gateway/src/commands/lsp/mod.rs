//! `gwp lsp`: a language server on standard input and output.
//!
//! ```text
//! stdin --reader thread--> events --> Server --> stdout
//!                             ^         | newest texts (one slot)
//!                             +-- worker thread: compiles
//! ```
//! What it knows of the language is in `gwp-ide`; here is the protocol. Completion is answered at once from what was
//! compiled last; what needs places of the present text waits for the run that has it.

mod convert;
mod disk;
mod documents;
mod requests;
mod server;
mod transport;
mod uri;
mod worker;

use server::Server;
use std::io::{BufReader, stdin, stdout};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use transport::Incoming;
use worker::{Outcome, Slot, Worker};

/// Events that wait at most; the reader waits then, and the editor with it.
const EVENTS_MAX: usize = 64;

/// Stack of the compiling thread, in bytes.
const WORKER_STACK: usize = 16 * 1024 * 1024;

/// Editors add such words of their own accord.
#[derive(clap::Args)]
pub struct LspArgs {
    /// Standard input and output, which are used anyway
    #[arg(long)]
    stdio: bool,
}

/// What the server reacts to.
enum Event {
    Incoming(Incoming),
    Compiled(Outcome),
}

/// Serves until the editor ends it. Exit code 0 if it said so before, else 1.
///
/// # Errors
/// Standard input or output fail, or no thread can be started.
pub fn lsp(_: &LspArgs) -> anyhow::Result<ExitCode> {
    let (events, incoming) = sync_channel(EVENTS_MAX);
    let slot = Arc::new(Slot::default());
    let reading = events.clone();
    std::thread::Builder::new().name("reader".into()).spawn(move || read(&reading))?;
    let jobs = slot.clone();
    let worker = std::thread::Builder::new().name("compiler".into()).stack_size(WORKER_STACK);
    worker.spawn(move || work(&jobs, &events))?;
    serve(&incoming, &slot)
}

fn read(events: &SyncSender<Event>) {
    let mut input = BufReader::new(stdin().lock());
    loop {
        let incoming = transport::read(&mut input).unwrap_or(Incoming::End);
        let last = incoming == Incoming::End;
        if events.send(Event::Incoming(incoming)).is_err() || last {
            return;
        }
    }
}

fn work(slot: &Slot, events: &SyncSender<Event>) {
    let mut worker = Worker::default();
    while let Some(job) = slot.take() {
        if events.send(Event::Compiled(worker.work(&job))).is_err() {
            return;
        }
    }
}

fn serve(events: &Receiver<Event>, slot: &Slot) -> anyhow::Result<ExitCode> {
    let mut output = stdout().lock();
    let mut server = Server::default();
    while let Ok(event) = events.recv() {
        match event {
            Event::Incoming(Incoming::Message(message)) => server.message(message),
            Event::Incoming(Incoming::Fault(why)) => server.fault(&why),
            Event::Incoming(Incoming::End) => break,
            Event::Compiled(outcome) => server.compiled(outcome),
        }
        for message in server.take_output() {
            transport::write(&mut output, &message)?;
        }
        if let Some(job) = server.take_job() {
            slot.put(job);
        }
        if server.has_ended() {
            break;
        }
    }
    slot.close();
    Ok(if server.is_shut_down() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
