//! The rules of drivers (`drivers/README.md`) as tests that every driver passes.
//!
//! For tests only: no driver depends on it but in its tests.

pub mod rig;
