//! The language server as editors use it: the real binary, messages over its standard input and output.

use gwp_tests::PATIENCE;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};

/// An editor that talks to one server.
struct Editor {
    child: Child,
    input: Option<ChildStdin>,
    messages: Receiver<Value>,
    next: i64,
}

impl Editor {
    /// Starts a server and says nothing yet.
    fn start() -> Editor {
        let mut command = Command::new(gwp_tests::gwp());
        command.arg("lsp").stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("gwp lsp");
        let output = child.stdout.take().expect("piped");
        let (send, messages) = channel();
        std::thread::spawn(move || {
            let mut output = BufReader::new(output);
            while let Some(message) = read(&mut output) {
                if send.send(message).is_err() {
                    break;
                }
            }
        });
        Editor { input: child.stdin.take(), child, messages, next: 1 }
    }

    /// Starts a server for a folder.
    fn open(folder: &Path) -> Editor {
        let mut editor = Editor::start();
        let folders = json!([{"uri": uri(folder), "name": "plant"}]);
        let result = editor.ask("initialize", json!({"capabilities": {}, "workspaceFolders": folders}));
        assert_eq!(result["capabilities"]["positionEncoding"], "utf-16");
        editor.tell("initialized", json!({}));
        editor
    }

    fn bytes(&mut self, bytes: &[u8]) {
        let input = self.input.as_mut().expect("open");
        input.write_all(bytes).and_then(|()| input.flush()).expect("the server reads");
    }

    fn send(&mut self, message: &Value) {
        let body = message.to_string();
        self.bytes(format!("Content-Length: {}\r\n\r\n{body}", body.len()).as_bytes());
    }

    fn tell(&mut self, method: &str, params: Value) {
        self.send(&json!({"jsonrpc": "2.0", "method": method, "params": params}));
    }

    fn wait(&self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        loop {
            let message = self.messages.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("no {what}"));
            if wanted(&message) {
                return message;
            }
        }
    }

    /// The whole answer to a request.
    fn answer(&mut self, method: &str, params: Value) -> Value {
        let id = self.next;
        self.next += 1;
        self.send(&json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}));
        self.wait(method, |message| message["id"] == id)
    }

    /// The result of a request that succeeds.
    fn ask(&mut self, method: &str, params: Value) -> Value {
        let answer = self.answer(method, params);
        assert!(answer.get("error").is_none(), "{method}: {answer}");
        answer["result"].clone()
    }

    /// Opens a text.
    fn open_text(&mut self, file: &Path, text: &str) {
        let document = json!({"uri": uri(file), "languageId": "gwp", "version": 1, "text": text});
        self.tell("textDocument/didOpen", json!({ "textDocument": document }));
    }

    /// Replaces a text as a whole.
    fn change(&mut self, file: &Path, version: i32, text: &str) {
        let document = json!({"uri": uri(file), "version": version});
        let changes = json!([{ "text": text }]);
        self.tell("textDocument/didChange", json!({"textDocument": document, "contentChanges": changes}));
    }

    /// The next findings of a file, as `code line:column`.
    fn findings(&self, file: &Path) -> Vec<String> {
        let uri = uri(file);
        let message = self.wait("findings", |message| {
            message["method"] == "textDocument/publishDiagnostics" && message["params"]["uri"] == uri
        });
        let list = message["params"]["diagnostics"].as_array().expect("a list").clone();
        let at = |found: &Value| {
            let start = &found["range"]["start"];
            format!("{} {}:{}", found["code"].as_str().expect("a code"), start["line"], start["character"])
        };
        list.iter().map(at).collect()
    }

    /// Shuts down and waits for the end; true if all was in order.
    fn close(mut self) -> bool {
        assert_eq!(self.ask("shutdown", Value::Null), Value::Null);
        self.tell("exit", Value::Null);
        self.input = None;
        self.child.wait().expect("it ends").success()
    }
}

impl Drop for Editor {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn read(output: &mut impl BufRead) -> Option<Value> {
    let mut length = 0;
    loop {
        let mut line = String::new();
        if output.read_line(&mut line).ok()? == 0 {
            return None;
        }
        match line.trim_end().split_once(": ") {
            Some((_, value)) => length = value.parse().ok()?,
            None => break,
        }
    }
    let mut body = vec![0; length];
    output.read_exact(&mut body).ok()?;
    serde_json::from_slice(&body).ok()
}

fn uri(path: &Path) -> String {
    format!("file://{}", path.display())
}

/// Where a piece of a text stands, and `into` characters further.
fn place(text: &str, piece: &str, into: u32) -> Value {
    let at = text.find(piece).unwrap_or_else(|| panic!("{piece}"));
    let before = &text[..at];
    let line = before.matches('\n').count();
    let column = before.rsplit('\n').next().unwrap_or("").encode_utf16().count();
    json!({"line": line, "character": column as u32 + into})
}

fn at(file: &Path, text: &str, piece: &str, into: u32) -> Value {
    json!({"textDocument": {"uri": uri(file)}, "position": place(text, piece, into)})
}

/// Applies the edits of one file.
fn applied(text: &str, edits: &Value) -> String {
    let offset = |at: &Value| {
        let line = at["line"].as_u64().expect("a line") as usize;
        let start: usize = text.split_inclusive('\n').take(line).map(str::len).sum();
        let mut left = at["character"].as_u64().expect("a column") as usize;
        let rest = text[start..].char_indices().find(|(_, c)| {
            let here = left == 0;
            left = left.saturating_sub(c.len_utf16());
            here
        });
        start + rest.map_or(text.len() - start, |(at, _)| at)
    };
    let mut changed = text.to_owned();
    for edit in edits.as_array().expect("edits").iter().rev() {
        let range = offset(&edit["range"]["start"])..offset(&edit["range"]["end"]);
        changed.replace_range(range, edit["newText"].as_str().expect("a text"));
    }
    changed
}

const LIBRARY: &str = "\
template Pump() {
  tag flow at \"sine 0..50 every 60 s\" : real m3/h desc \"🏭 delivery\"
  calc high = flow > limit
}
";

const PLANT: &str = "\
use \"lib.gwp\"
const limit = 40 m3/h
source sim : simulator {
  scan = 1 s
}
device p1 : Pump() on sim { }
sink screen : console { journal { full = drop_oldest } }
flow all = p1 -> changes() -> screen
";

#[test]
fn an_editor_is_told_shown_and_helped() {
    let folder = tempfile::tempdir().expect("a folder");
    let (plant, lib) = (folder.path().join("plant.gwp"), folder.path().join("lib.gwp"));
    std::fs::write(&lib, LIBRARY).expect("written");
    let mut editor = Editor::open(folder.path());

    // a finding with its place and its mend
    let broken = PLANT.replace("-> screen", "-> scren");
    editor.open_text(&plant, &broken);
    assert_eq!(editor.findings(&plant), ["W604 6:5", "E101 7:30"]);
    let range = json!({"start": place(&broken, "scren", 1), "end": place(&broken, "scren", 1)});
    let context = json!({"diagnostics": []});
    let params = json!({"textDocument": {"uri": uri(&plant)}, "range": range, "context": context});
    let actions = editor.ask("textDocument/codeAction", params);
    assert_eq!(actions[0]["title"], "Replace `scren` with `screen`");
    let mended = applied(&broken, &actions[0]["edit"]["changes"][uri(&plant)]);
    assert_eq!(mended, PLANT);
    editor.change(&plant, 2, &mended);
    assert!(editor.findings(&plant).is_empty());

    let hover = editor.ask("textDocument/hover", at(&plant, PLANT, "p1 ->", 1));
    assert!(
        hover["contents"]["value"].as_str().is_some_and(|text| text.contains("device p1 : Pump()")),
        "{hover}"
    );
    let jump = editor.ask("textDocument/definition", at(&plant, PLANT, "Pump()", 2));
    assert_eq!((&jump["uri"], &jump["range"]["start"]), (&json!(uri(&lib)), &place(LIBRARY, "Pump", 0)));
    let list = editor.ask("textDocument/completion", at(&plant, PLANT, "\n}\ndevice", 0));
    assert!(
        list["items"].as_array().is_some_and(|list| list.iter().any(|item| item["label"] == "ms")),
        "{list}"
    );
    let list = editor.ask("textDocument/completion", at(&plant, PLANT, "scan = 1 s", 0));
    let labels: Vec<_> =
        list["items"].as_array().expect("a list").iter().map(|item| &item["label"]).collect();
    assert!(labels.contains(&&json!("scan")) && labels.contains(&&json!("tag")), "{labels:?}");
    let outline = editor.ask("textDocument/documentSymbol", json!({"textDocument": {"uri": uri(&plant)}}));
    assert_eq!(outline.as_array().map(Vec::len), Some(5), "{outline}");
    assert!(editor.close());
}

#[test]
fn a_library_is_checked_from_the_programs_that_use_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let (plant, lib) = (folder.path().join("plant.gwp"), folder.path().join("lib.gwp"));
    std::fs::write(&plant, PLANT).expect("written");
    let mut editor = Editor::open(folder.path());
    editor.open_text(&lib, LIBRARY);
    let none: [&str; 0] = [];
    assert_eq!(editor.findings(&lib), none, "`limit` is in the program that uses it");
    // an address is checked by its driver, in the text that is not saved
    editor.change(&lib, 2, &LIBRARY.replace("sine 0..50 every 60 s", "wobble"));
    let found = editor.findings(&lib);
    assert_eq!(found, ["E401 1:14"]);
    // what is wrong with another file goes to that file, and goes away with its cause
    editor.change(&lib, 3, &LIBRARY.replace("Pump", "Pomp"));
    assert_eq!(editor.findings(&plant), ["E101 5:12"]);
    editor.change(&lib, 4, LIBRARY);
    assert!(editor.findings(&plant).is_empty());
    let hover = editor.ask("textDocument/hover", at(&lib, LIBRARY, "flow >", 1));
    assert!(hover["contents"]["value"].as_str().is_some_and(|text| text.contains("🏭 delivery")), "{hover}");
    assert!(editor.close());
}

#[test]
fn programs_are_formatted_unless_they_have_syntax_errors() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("a.gwp");
    let mut editor = Editor::open(folder.path());
    let text = "unit  pcs // 🏭\nconst   a = 5 °C\n";
    editor.open_text(&file, text);
    let params =
        json!({"textDocument": {"uri": uri(&file)}, "options": {"tabSize": 2, "insertSpaces": true}});
    let edits = editor.ask("textDocument/formatting", params.clone());
    assert_eq!(applied(text, &edits), "unit pcs  // 🏭\nconst a = 5 degC\n");
    editor.change(&file, 2, "unit  := \n");
    let answer = editor.answer("textDocument/formatting", params);
    assert!(answer["error"]["message"].as_str().is_some_and(|why| why.contains("syntax errors")), "{answer}");
    assert!(editor.close());
}

#[test]
fn what_is_no_message_is_answered_with_an_error_and_nothing_breaks() {
    let mut editor = Editor::start();
    let early = editor.answer("textDocument/hover", json!({}));
    assert_eq!(early["error"]["code"], -32_002);
    editor.ask("initialize", json!({"capabilities": 7, "workspaceFolders": [1, {"uri": 2}]}));
    let error =
        |editor: &Editor| editor.wait("error", |message| message["id"].is_null())["error"]["code"].clone();
    for (bytes, code) in [
        (&b"Content-Length: 3\r\n\r\n{,}"[..], -32_700),
        (b"Content-Length: 2\r\n\r\n\xff\xff", -32_700),
        (b"Content-Length: nine\r\n\r\n", -32_700),
        (b"nonsense\r\n\r\n", -32_700),
        (b"Content-Length: 2\r\n\r\n[]", -32_600),
        (b"Content-Length: 2\r\n\r\n{}", -32_600),
        (b"Content-Length: 23\r\n\r\n{\"id\":{},\"method\":\"x\"} ", -32_600),
    ] {
        editor.bytes(bytes);
        assert_eq!(error(&editor), code, "{:?}", String::from_utf8_lossy(bytes));
    }
    for params in
        [Value::Null, json!([]), json!({"textDocument": 5}), json!({"textDocument": {"uri": "file:///none"}})]
    {
        for method in ["hover", "definition", "completion", "formatting", "documentSymbol", "codeAction"] {
            let answer = editor.answer(&format!("textDocument/{method}"), params.clone());
            assert_eq!(answer["error"]["code"], -32_602, "{method} {params}");
        }
        for method in ["didOpen", "didChange", "didClose", "didSave"] {
            editor.tell(&format!("textDocument/{method}"), params.clone());
        }
    }
    assert_eq!(editor.answer("no/such", json!({}))["error"]["code"], -32_601);
    // places that are nowhere, in texts that are cut anywhere
    let file = Path::new("/nowhere/none.gwp");
    for (version, cut) in (1..).zip((0..PLANT.len()).step_by(29)) {
        editor.open_text(file, &PLANT[..cut]);
        let far = json!({"start": {"line": 0, "character": 3}, "end": {"line": version, "character": 4_000_000_000_u32}});
        let changes = json!([{"range": far, "text": "µ{"}, {"range": far, "text": "\r"}]);
        let document = json!({"uri": uri(file), "version": version});
        editor.tell("textDocument/didChange", json!({"textDocument": document, "contentChanges": changes}));
        let position = json!({"line": version, "character": u32::MAX});
        let answer =
            editor.answer("textDocument/completion", json!({"textDocument": document, "position": position}));
        assert!(answer.get("result").is_some(), "{answer}");
    }
    assert!(editor.close());
}

#[test]
fn random_bytes_end_in_order_when_the_input_ends() {
    // a small generator of its own: the same bytes at each run
    let mut state = 0x9e37_79b9_u32;
    let mut random = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state
    };
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {"capabilities": {}}})
        .to_string();
    let good = format!("Content-Length: {}\r\n\r\n{body}", body.len());
    for round in 0..20 {
        let mut editor = Editor::start();
        let mut bytes = good.repeat(3).into_bytes();
        for _ in 0..=round {
            let at = random() as usize % bytes.len();
            bytes[at] = random() as u8;
        }
        bytes.truncate(random() as usize % bytes.len() + 1);
        editor.bytes(&bytes);
        editor.input = None;
        let status = editor.child.wait().expect("it ends");
        assert_eq!(status.code(), Some(1), "ended without `shutdown`, and not by a panic");
    }
}
