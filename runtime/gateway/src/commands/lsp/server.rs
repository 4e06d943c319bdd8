//! The state of a session: what is open, what was compiled last, which requests wait. It reads and writes nothing
//! itself; messages come in and go out as values.

use super::convert::Places;
use super::documents::Documents;
use super::requests;
use super::uri::{name_of, uri_of};
use super::worker::{Job, Outcome};
use gen_lsp_types::{
    Diagnostic, DidChangeTextDocumentParams, DidOpenTextDocumentParams, ErrorCodes, PublishDiagnosticsParams,
    Uri,
};
use gwp_ide::{Analysis, Encoding};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;

/// Requests that wait for the compiler at most.
const WAITING_MAX: usize = 256;

/// Codes of the protocol beside those of JSON-RPC.
pub const REQUEST_FAILED: i32 = -32_803;
const CONTENT_MODIFIED: i32 = -32_801;
const REQUEST_CANCELLED: i32 = -32_800;

/// What answers a request that cannot be done: a code and a sentence.
pub type Refusal = (i32, String);

/// Where a session stands.
#[derive(Default, PartialEq)]
enum Phase {
    #[default]
    New,
    Running,
    ShutDown,
    Ended {
        in_order: bool,
    },
}

/// A request that waits until the present texts are compiled.
struct Waiting {
    id: Value,
    method: String,
    params: Value,
}

/// A session.
#[derive(Default)]
pub struct Server {
    phase: Phase,
    pub encoding: Encoding,
    pub documents: Documents,
    folders: Vec<PathBuf>,
    /// Counts the states of the open files; the newest that is compiled.
    generation: u64,
    compiled: u64,
    pub analyses: Vec<Arc<Analysis>>,
    waiting: Vec<Waiting>,
    /// Files with findings that the editor shows, by name.
    shown: BTreeSet<String>,
    output: Vec<Value>,
    job: Option<Job>,
    watches: bool,
}

impl Server {
    /// Messages to send, in order.
    pub fn take_output(&mut self) -> Vec<Value> {
        std::mem::take(&mut self.output)
    }

    /// What to compile, if that has changed.
    pub fn take_job(&mut self) -> Option<Job> {
        self.job.take()
    }

    pub fn has_ended(&self) -> bool {
        matches!(self.phase, Phase::Ended { .. })
    }

    /// True if the editor shut it down before it ended it.
    pub fn is_shut_down(&self) -> bool {
        matches!(self.phase, Phase::ShutDown | Phase::Ended { in_order: true })
    }

    /// Something that was no message.
    pub fn fault(&mut self, why: &str) {
        self.refuse(Value::Null, (ErrorCodes::ParseError.into(), why.to_owned()));
    }

    /// A message of the editor.
    pub fn message(&mut self, mut message: Value) {
        let id = message.get("id").cloned();
        let is_answer = message.get("result").is_some() || message.get("error").is_some();
        let Some(method) = message.get("method").and_then(Value::as_str).map(str::to_owned) else {
            if !is_answer || !message.is_object() {
                let why = "a message has a method".to_owned();
                self.refuse(Value::Null, (ErrorCodes::InvalidRequest.into(), why));
            }
            return;
        };
        let params = message.get_mut("params").map_or(Value::Null, Value::take);
        match id {
            Some(id @ (Value::Number(_) | Value::String(_))) => self.request(id, method, params),
            None => self.notification(&method, params),
            Some(_) => {
                let why = "an id is a number or a text".to_owned();
                self.refuse(Value::Null, (ErrorCodes::InvalidRequest.into(), why));
            }
        }
    }

    fn request(&mut self, id: Value, method: String, params: Value) {
        match (&self.phase, method.as_str()) {
            (Phase::New, "initialize") => {
                let result = self.initialize(&params);
                self.phase = Phase::Running;
                self.output.push(json!({"jsonrpc": "2.0", "id": id, "result": result}));
            }
            (Phase::New, _) => {
                let why = "`initialize` comes first".to_owned();
                self.refuse(id, (ErrorCodes::ServerNotInitialized.into(), why));
            }
            (Phase::Running, "shutdown") => {
                self.phase = Phase::ShutDown;
                self.output.push(json!({"jsonrpc": "2.0", "id": id, "result": null}));
            }
            (Phase::Running, "initialize") | (Phase::ShutDown | Phase::Ended { .. }, _) => {
                let why = format!("`{method}` cannot come now");
                self.refuse(id, (ErrorCodes::InvalidRequest.into(), why));
            }
            (Phase::Running, _) if requests::waits(&method) && self.compiled < self.generation => {
                if self.waiting.len() >= WAITING_MAX {
                    return self.refuse(id, (CONTENT_MODIFIED, "too many requests wait".to_owned()));
                }
                self.waiting.push(Waiting { id, method, params });
            }
            (Phase::Running, _) => self.answer(id, &method, params),
        }
    }

    fn answer(&mut self, id: Value, method: &str, params: Value) {
        let answer = catch_unwind(AssertUnwindSafe(|| requests::answer(self, method, params)));
        match answer {
            Ok(Ok(result)) => self.output.push(json!({"jsonrpc": "2.0", "id": id, "result": result})),
            Ok(Err(refusal)) => self.refuse(id, refusal),
            Err(_) => {
                let why = format!("`{method}` has a defect");
                self.refuse(id, (ErrorCodes::InternalError.into(), why));
            }
        }
    }

    fn refuse(&mut self, id: Value, (code, message): Refusal) {
        self.output.push(json!({"jsonrpc": "2.0", "id": id, "error": {"code": code, "message": message}}));
    }

    /// Takes over what the editor says of itself. Only what is needed is looked at, so that words of newer editors do
    /// no harm.
    fn initialize(&mut self, params: &Value) -> Value {
        let encodings = params.pointer("/capabilities/general/positionEncodings").and_then(Value::as_array);
        if encodings.is_some_and(|list| list.iter().any(|encoding| encoding == "utf-8")) {
            self.encoding = Encoding::Utf8;
        }
        let watches = "/capabilities/workspace/didChangeWatchedFiles/dynamicRegistration";
        self.watches = params.pointer(watches) == Some(&Value::Bool(true));
        let folders = params.get("workspaceFolders").and_then(Value::as_array);
        let of_list = folders.into_iter().flatten().filter_map(|folder| folder.get("uri"));
        let mut uris: Vec<&str> = of_list.filter_map(Value::as_str).collect();
        if uris.is_empty() {
            uris.extend(params.get("rootUri").and_then(Value::as_str));
        }
        self.folders = uris.into_iter().map(|uri| PathBuf::from(name_of(uri))).collect();
        requests::capabilities(self.encoding)
    }

    fn notification(&mut self, method: &str, params: Value) {
        if method == "exit" {
            self.phase = Phase::Ended { in_order: self.phase == Phase::ShutDown };
            return;
        }
        if self.phase != Phase::Running {
            return;
        }
        match method {
            "initialized" if self.watches => self.watch(),
            "textDocument/didOpen" => {
                if let Some(params) = parsed::<DidOpenTextDocumentParams>(params) {
                    self.open(params);
                }
            }
            "textDocument/didChange" => {
                if let Some(params) = parsed::<DidChangeTextDocumentParams>(params) {
                    let document = params.text_document;
                    let name = name_of(&document.text_document_identifier.uri.0);
                    self.documents.change(&name, document.version, params.content_changes, self.encoding);
                    self.changed(false);
                }
            }
            "textDocument/didClose" => {
                let uri = params.pointer("/textDocument/uri").and_then(Value::as_str);
                if let Some(uri) = uri {
                    self.documents.close(&name_of(uri));
                    self.changed(true);
                }
            }
            "textDocument/didSave" | "workspace/didChangeWatchedFiles" => self.changed(true),
            "$/cancelRequest" => self.cancel(params.get("id")),
            _ => {}
        }
    }

    /// Asks to be told of changes on disk.
    fn watch(&mut self) {
        let watchers = json!([{"globPattern": "**/*.gwp"}]);
        self.output.push(json!({
            "jsonrpc": "2.0", "id": "watch", "method": "client/registerCapability",
            "params": {"registrations": [{
                "id": "watch", "method": "workspace/didChangeWatchedFiles",
                "registerOptions": {"watchers": watchers},
            }]},
        }));
    }

    fn open(&mut self, params: DidOpenTextDocumentParams) {
        let document = params.text_document;
        let name = name_of(&document.uri.0);
        if self.documents.open(name, document.uri.0.clone(), document.version, document.text) {
            self.changed(true);
        } else {
            let message = "too many files are open; this one is not checked";
            self.output.push(json!({
                "jsonrpc": "2.0", "method": "window/showMessage", "params": {"type": 2, "message": message},
            }));
        }
    }

    fn cancel(&mut self, id: Option<&Value>) {
        let Some(at) = self.waiting.iter().position(|waiting| Some(&waiting.id) == id) else { return };
        let waiting = self.waiting.remove(at);
        self.refuse(waiting.id, (REQUEST_CANCELLED, "cancelled".to_owned()));
    }

    /// The texts are others now: those that waited for the old ones wait in vain.
    fn changed(&mut self, search: bool) {
        self.generation += 1;
        for waiting in std::mem::take(&mut self.waiting) {
            self.refuse(waiting.id, (CONTENT_MODIFIED, "the text has changed".to_owned()));
        }
        let looked_at = self.documents.iter().filter(|(_, document)| document.refused.is_none());
        let open = looked_at.map(|(name, document)| (name.clone(), document.text.clone())).collect();
        let search = search || self.job.as_ref().is_some_and(|job| job.search);
        self.job = Some(Job { generation: self.generation, open, folders: self.folders.clone(), search });
    }

    /// The compiler is through with a state of the texts.
    pub fn compiled(&mut self, outcome: Outcome) {
        for fault in &outcome.faults {
            self.output.push(json!({
                "jsonrpc": "2.0", "method": "window/logMessage", "params": {"type": 1, "message": fault},
            }));
        }
        self.analyses = outcome.analyses;
        self.compiled = outcome.generation;
        // of older texts nothing is shown: places would be wrong
        if self.compiled < self.generation {
            return;
        }
        self.publish();
        for waiting in std::mem::take(&mut self.waiting) {
            self.answer(waiting.id, &waiting.method, waiting.params);
        }
    }

    /// URIs of the open files, as the editor writes them, by name.
    pub fn uris(&self) -> HashMap<String, String> {
        self.documents.iter().map(|(name, document)| (name.clone(), document.uri.clone())).collect()
    }

    /// Sends the findings of all files, and for those that had some and have none any more that they are gone.
    fn publish(&mut self) {
        let uris = self.uris();
        let mut found: BTreeMap<String, Vec<Diagnostic>> = BTreeMap::new();
        for analysis in &self.analyses {
            let mut places = Places::new(analysis, self.encoding, &uris);
            for diagnostic in &analysis.compiled.diagnostics {
                let Some(file) = analysis.compiled.sources.get(diagnostic.span.file) else { continue };
                let list = found.entry(file.name.clone()).or_default();
                let diagnostic = places.diagnostic(diagnostic);
                // several programs may use one library
                if !list.contains(&diagnostic) {
                    list.push(diagnostic);
                }
            }
        }
        for (name, document) in self.documents.iter() {
            let list = found.entry(name.clone()).or_default();
            list.extend(document.refused.as_deref().map(requests::refused));
        }
        for name in &self.shown {
            found.entry(name.clone()).or_default();
        }
        self.shown =
            found.iter().filter(|(_, list)| !list.is_empty()).map(|(name, _)| name.clone()).collect();
        for (name, diagnostics) in found {
            let version = self.documents.get(&name).map(|document| document.version);
            let uri = Uri(uris.get(&name).cloned().unwrap_or_else(|| uri_of(&name)));
            let params = PublishDiagnosticsParams { uri, version, diagnostics };
            self.output.push(json!({
                "jsonrpc": "2.0", "method": "textDocument/publishDiagnostics", "params": params,
            }));
        }
    }
}

/// Parameters of a notification; what is no such is passed over, as nobody waits for an answer.
fn parsed<T: DeserializeOwned>(params: Value) -> Option<T> {
    serde_json::from_value(params).ok()
}
