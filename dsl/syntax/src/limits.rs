//! Every bound of the front end's input stands here, so that no text can exhaust memory or the stack.

/// Largest file in bytes. Larger ones are refused with `E020` before anything is read.
pub const FILE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Deepest nesting of brackets, text inserts and `if`s inside one item (`E021`).
///
/// The generated parser recurses once per level; 64 levels stay far below the 2 MiB stack of a test thread.
pub const NESTING_MAX: usize = 64;

/// Most nodes of one expression (`E022`). It bounds the height of the tree too, and so every later recursion.
pub const EXPRESSION_NODES_MAX: usize = 512;

/// Items larger than this are read entry by entry, so that the parser's working memory stays small (about 50 bytes for
/// each byte it reads at once).
pub(crate) const WHOLE_ITEM_BYTES_MAX: usize = 64 * 1024;

/// Most diagnostics kept of one run; further ones are counted only.
pub const DIAGNOSTICS_MAX: usize = 1_000;

/// Most faults kept of the signs and brackets of one file, before they are put in order.
pub(crate) const FAULTS_MAX: usize = 10 * DIAGNOSTICS_MAX;

/// Most bytes that are parsed in one go: an item, or an entry of its block. With the parser's working memory that is
/// about 200 MiB.
pub(crate) const PARSED_BYTES_MAX: usize = 2 * 1024 * 1024;

/// Largest project in bytes, all files together (`E020`).
pub const PROJECT_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Most files of one project.
pub const FILES_MAX: usize = 1_000;

/// Steps of the generated parser for one item: a backstop, the grammar itself is linear (at most about 60 steps a byte).
pub(crate) const PARSER_CALLS_MAX: usize = FILE_BYTES_MAX * 200;
