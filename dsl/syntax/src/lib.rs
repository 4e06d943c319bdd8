//! The front end of the gwp language: text in, syntax tree and diagnostics out.
//!
//! It knows what a pipeline file may look like and nothing of what its names mean; that is `gwp-compile`. Every
//! syntax error of a file is found in one run, each with a code ([`codes`]), a place and, where there is one, the
//! edit that mends it. No text makes it panic, hang or overflow the stack ([`limits`]).
//!
//! ```
//! use gwp_syntax::{SourceMap, parse};
//! let mut sources = SourceMap::default();
//! let text = "source demo : simulator {\n  tag level at \"sine 20..80\" : real %\n}\n";
//! let file = sources.add("hello.gwp", text);
//! let parsed = parse(file, text);
//! assert!(parsed.diagnostics.is_empty());
//! assert_eq!(parsed.file.items.len(), 1);
//! ```

pub mod ast;
pub mod codes;
mod diagnostic;
mod foreign;
mod format;
mod grammar;
mod habits;
mod lexer;
pub mod limits;
mod mistakes;
mod print;
mod recover;
mod span;
mod split;
#[cfg(test)]
mod tests;
mod tree;
mod units;
mod words;

pub use diagnostic::{Diagnostic, Diagnostics, Fix, Label, Severity};
pub use format::{FormatError, format};
pub use lexer::{Comment, Token, TokenKind, tokens};
pub use recover::{Parsed, parse};
pub use span::{FileId, SourceFile, SourceMap, Span};
pub use units::{normal_unit, unit_alias, unit_aliases};
pub use words::{WordClass, is_reserved, keywords, nearest, written_name};
