//! Requests and their answers.

use super::convert::{Places, completion, edit, markdown, range};
use super::documents::{Document, offsets};
use super::server::{REQUEST_FAILED, Refusal, Server};
use super::uri::name_of;
use gen_lsp_types::{
    Code, CodeAction, CodeActionKind, CodeActionOptions, CodeActionParams, CompletionList, CompletionOptions,
    CompletionParams, Contents, DefinitionParams, Diagnostic, DiagnosticSeverity, DocumentFormattingParams,
    DocumentSymbolParams, ErrorCodes, Hover, HoverParams, InitializeResult, Message, Position,
    PositionEncodingKind, Range, Save, ServerCapabilities, ServerInfo, TextDocumentIdentifier,
    TextDocumentPositionParams, TextDocumentSync, TextDocumentSyncKind, TextDocumentSyncOptions, TextEdit,
    WorkspaceEdit,
};
use gwp_ide::{Analysis, Encoding};
use gwp_syntax::{FileId, FormatError};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::Arc;

/// What the server can do.
pub fn capabilities(encoding: Encoding) -> Value {
    let sync = TextDocumentSyncOptions {
        open_close: Some(true),
        change: Some(TextDocumentSyncKind::Incremental),
        save: Some(Save::Bool(true)),
        ..TextDocumentSyncOptions::default()
    };
    let signs = [".", ":", "=", ">"].map(str::to_owned);
    let capabilities = ServerCapabilities {
        position_encoding: Some(match encoding {
            Encoding::Utf8 => PositionEncodingKind::UTF8,
            Encoding::Utf16 => PositionEncodingKind::UTF16,
        }),
        text_document_sync: Some(TextDocumentSync::Options(sync)),
        hover_provider: Some(true.into()),
        definition_provider: Some(true.into()),
        document_symbol_provider: Some(true.into()),
        document_formatting_provider: Some(true.into()),
        completion_provider: Some(CompletionOptions {
            trigger_characters: Some(signs.to_vec()),
            ..CompletionOptions::default()
        }),
        code_action_provider: Some(
            CodeActionOptions {
                code_action_kinds: Some(vec![CodeActionKind::QuickFix]),
                ..CodeActionOptions::default()
            }
            .into(),
        ),
        ..ServerCapabilities::default()
    };
    let info = ServerInfo { name: "gwp".into(), version: Some(env!("CARGO_PKG_VERSION").into()) };
    json!(InitializeResult { capabilities, server_info: Some(info) })
}

/// True for requests whose answer has places of the present text.
pub fn waits(method: &str) -> bool {
    matches!(
        method,
        "textDocument/hover"
            | "textDocument/definition"
            | "textDocument/documentSymbol"
            | "textDocument/codeAction"
    )
}

/// The answer to a request.
///
/// # Errors
/// The request is not known, its parameters are not understood, or it cannot be done.
pub fn answer(server: &Server, method: &str, params: Value) -> Result<Value, Refusal> {
    match method {
        "textDocument/hover" => {
            let params: HoverParams = parsed(params)?;
            Ok(json!(hover(server, &params.text_document_position_params)?))
        }
        "textDocument/definition" => {
            let params: DefinitionParams = parsed(params)?;
            definition(server, &params.text_document_position_params)
        }
        "textDocument/documentSymbol" => {
            let params: DocumentSymbolParams = parsed(params)?;
            symbols(server, &params.text_document)
        }
        "textDocument/codeAction" => Ok(json!(actions(server, &parsed(params)?)?)),
        "textDocument/completion" => {
            let params: CompletionParams = parsed(params)?;
            Ok(json!(complete(server, &params.text_document_position_params)?))
        }
        "textDocument/formatting" => {
            let params: DocumentFormattingParams = parsed(params)?;
            Ok(json!(format(server, &params.text_document)?))
        }
        _ => Err((ErrorCodes::MethodNotFound.into(), format!("there is no `{method}` here"))),
    }
}

fn parsed<T: DeserializeOwned>(params: Value) -> Result<T, Refusal> {
    serde_json::from_value(params).map_err(|error| (ErrorCodes::InvalidParams.into(), error.to_string()))
}

/// A file that is not looked at.
pub fn refused(why: &str) -> Diagnostic {
    Diagnostic {
        range: Range::default(),
        severity: Some(DiagnosticSeverity::Error),
        code: Some(Code::String("E020".to_owned())),
        source: Some("gwp".to_owned()),
        message: Message::String(why.to_owned()),
        related_information: None,
        code_description: None,
        tags: None,
        data: None,
    }
}

/// An open file by its URI.
fn document<'s>(
    server: &'s Server,
    file: &TextDocumentIdentifier,
) -> Result<(String, &'s Document), Refusal> {
    let name = name_of(&file.uri.0);
    match server.documents.get(&name) {
        Some(document) => Ok((name, document)),
        None => Err((ErrorCodes::InvalidParams.into(), format!("{} is not open", file.uri.0))),
    }
}

fn offset(server: &Server, document: &Document, at: Position) -> usize {
    offsets(&document.lines, &document.text, Range { start: at, end: at }, server.encoding).start
}

/// The first program that has a file, with the number of the file in it.
fn home<'s>(server: &'s Server, name: &str) -> Option<(&'s Arc<Analysis>, FileId)> {
    server.analyses.iter().find_map(|analysis| analysis.file(name).map(|file| (analysis, file)))
}

fn hover(server: &Server, params: &TextDocumentPositionParams) -> Result<Option<Hover>, Refusal> {
    let (name, document) = document(server, &params.text_document)?;
    let Some((analysis, _)) = home(server, &name) else { return Ok(None) };
    let found = gwp_ide::hover(analysis, &name, &document.text, offset(server, document, params.position));
    Ok(found.map(|found| Hover {
        contents: Contents::MarkupContent(markdown(found.markdown)),
        range: Some(range(&document.lines, &document.text, found.range, server.encoding)),
    }))
}

fn definition(server: &Server, params: &TextDocumentPositionParams) -> Result<Value, Refusal> {
    let (name, document) = document(server, &params.text_document)?;
    let Some((analysis, _)) = home(server, &name) else { return Ok(Value::Null) };
    let found =
        gwp_ide::definition(analysis, &name, &document.text, offset(server, document, params.position));
    let uris = server.uris();
    let mut places = Places::new(analysis, server.encoding, &uris);
    Ok(found.map_or(Value::Null, |span| json!(places.location(span))))
}

fn symbols(server: &Server, file: &TextDocumentIdentifier) -> Result<Value, Refusal> {
    let (name, document) = document(server, file)?;
    let Some((analysis, file)) = home(server, &name) else { return Ok(json!([])) };
    let Some(tree) = analysis.tree(file) else { return Ok(json!([])) };
    let uris = HashMap::new();
    let mut places = Places::new(analysis, server.encoding, &uris);
    let list: Vec<_> =
        gwp_ide::outline(tree, &document.text).iter().map(|symbol| places.symbol(symbol)).collect();
    Ok(json!(list))
}

fn actions(server: &Server, params: &CodeActionParams) -> Result<Vec<CodeAction>, Refusal> {
    let (name, document) = document(server, &params.text_document)?;
    let wanted = params.context.only.as_ref();
    if wanted.is_some_and(|kinds| !kinds.contains(&CodeActionKind::QuickFix)) {
        return Ok(Vec::new());
    }
    let asked = offsets(&document.lines, &document.text, params.range, server.encoding);
    let uris = server.uris();
    let mut actions: Vec<CodeAction> = Vec::new();
    for analysis in &server.analyses {
        let Some(file) = analysis.file(&name) else { continue };
        let mut places = Places::new(analysis, server.encoding, &uris);
        for found in analysis.compiled.diagnostics.iter().filter(|found| found.span.file == file) {
            let touches = found.span.range().start <= asked.end && asked.start <= found.span.range().end;
            let Some(fix) = found.fix.as_ref().filter(|_| touches) else { continue };
            let edit = TextEdit { range: places.range(fix.span), new_text: fix.replacement.clone() };
            let action = CodeAction {
                title: places.fix_title(fix),
                kind: Some(CodeActionKind::QuickFix),
                diagnostics: Some(vec![places.diagnostic(found)]),
                is_preferred: Some(true),
                edit: Some(WorkspaceEdit {
                    changes: Some([(places.uri(fix.span.file), vec![edit])].into()),
                    ..WorkspaceEdit::default()
                }),
                ..CodeAction::default()
            };
            if !actions.contains(&action) {
                actions.push(action);
            }
        }
    }
    Ok(actions)
}

fn complete(server: &Server, params: &TextDocumentPositionParams) -> Result<CompletionList, Refusal> {
    let (name, document) = document(server, &params.text_document)?;
    let at = offset(server, document, params.position);
    let Some((analysis, _)) = home(server, &name) else { return Ok(CompletionList::default()) };
    let (bytes, proposals) = gwp_ide::completions(analysis, &document.text, at);
    let range = range(&document.lines, &document.text, bytes, server.encoding);
    let items: Vec<_> =
        (0..).zip(proposals).map(|(order, proposal)| completion(proposal, range, order)).collect();
    // the list is cut or narrowed by what is typed: ask again with the next letter
    Ok(CompletionList { is_incomplete: true, items, ..CompletionList::default() })
}

fn format(server: &Server, file: &TextDocumentIdentifier) -> Result<Vec<TextEdit>, Refusal> {
    let (_, document) = document(server, file)?;
    if let Some(why) = &document.refused {
        return Err((REQUEST_FAILED, why.clone()));
    }
    match gwp_syntax::format(FileId(0), &document.text) {
        Ok(formatted) => Ok(edit(&document.text, &formatted, server.encoding).into_iter().collect()),
        Err(FormatError::Syntax(found)) => {
            let first = found.first().map_or(String::new(), |found| format!(": {}", found.message));
            Err((REQUEST_FAILED, format!("not formatted, because of syntax errors{first}")))
        }
        Err(error @ FormatError::Changed) => Err((REQUEST_FAILED, error.to_string())),
    }
}
