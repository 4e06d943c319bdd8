//! What a gateway runs, and how that is changed while it runs.
//!
//! ```text
//! gwp run FILES ---------------+                                        data/configurations/
//! gwp apply, rollback (API) ---+--> Bundle --pending--> Engine::change --current--> state.json
//! SIGHUP, run --watch ---------+    <id>.json              | log: `Configured`
//! ```
//! A [configuration](bundle::Bundle) is all files of a program with who put it in force, when and why, named by its
//! content. Which one holds after a death the log decides: `pending` is written before a change, and a start looks
//! whether the log got as far as to name its plan ([`history`]).
//!
//! What a start runs ([`start`]): the files it is given, if they are others than those it was given last; else the
//! configuration that was in force last, wherever that came from. So the last change counts, made in files or by
//! `gwp apply`. In a pair all of that stands in the store as well ([`shared`]), which its peer copies.

pub mod bundle;
pub mod desk;
pub mod history;
pub mod prepare;
pub mod shared;
pub mod start;
