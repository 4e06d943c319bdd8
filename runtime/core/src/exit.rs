//! The question that comes before an effect: may it leave now?
//!
//! Only the active of a pair has effects that the outside sees. The engine keeps the gate; what is
//! handed to a source or to the log carries the question with it, and is asked at the last moment.

use std::sync::Arc;

/// May an effect leave now? What the closure holds is held until the effect is done or dropped.
#[derive(Clone)]
pub struct ExitCheck(Arc<dyn Fn() -> bool + Send + Sync>);

impl ExitCheck {
    pub fn new(is_open: impl Fn() -> bool + Send + Sync + 'static) -> ExitCheck {
        ExitCheck(Arc::new(is_open))
    }

    pub fn is_open(&self) -> bool {
        (self.0)()
    }
}

impl std::fmt::Debug for ExitCheck {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ExitCheck")
    }
}
