//! What makes effects possible: the token of an activation, and the gate it opens.
//!
//! "Active" gates only what the outside can see: deliveries, writes to devices,
//! acknowledgements that make a source forget. Each such exit asks a [`Gate`], and a gate
//! cannot be made without an [`ActivationToken`], which only the machine makes, once per
//! process and epoch. There is no role per pipeline: all exits share one gate.

use crate::member::Epoch;
use crate::mono::Mono;

/// Proof that this node won `epoch`. Not cloned, not made anywhere else.
#[derive(PartialEq, Eq, Debug)]
pub struct ActivationToken {
    epoch: Epoch,
}

impl ActivationToken {
    pub(crate) fn new(epoch: Epoch) -> Self {
        ActivationToken { epoch }
    }

    /// The epoch that destinations are fenced with.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }
}

/// How long effects of an epoch are allowed. Made by the machine alone, with each renewal.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Permit {
    epoch: Epoch,
    until: Mono,
    writes_until: Mono,
}

impl Permit {
    pub(crate) fn new(epoch: Epoch, until: Mono, writes_until: Mono) -> Self {
        Permit { epoch, until, writes_until }
    }

    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    #[cfg(test)]
    pub(crate) fn age(&mut self, ns: u64, now: Mono) {
        crate::mono::near(&mut self.until, ns, now);
        crate::mono::near(&mut self.writes_until, ns, now);
    }

    /// Deliveries and acknowledgements may leave before this instant.
    pub fn until(&self) -> Mono {
        self.until
    }

    /// New writes to devices may leave before this instant: half a lease earlier, as what a
    /// device was told cannot be taken back.
    pub fn writes_until(&self) -> Mono {
        self.writes_until
    }
}

/// The check at each exit. Made closed; a permit of the same epoch opens it for a time.
#[derive(PartialEq, Eq, Debug)]
pub struct Gate {
    token: ActivationToken,
    permit: Option<Permit>,
}

impl Gate {
    pub fn new(token: ActivationToken) -> Self {
        Gate { token, permit: None }
    }

    pub fn epoch(&self) -> Epoch {
        self.token.epoch
    }

    /// Takes a permit; one of another epoch is not for this gate and changes nothing.
    pub fn permit(&mut self, permit: Permit) {
        if permit.epoch == self.token.epoch {
            self.permit = Some(permit);
        }
    }

    /// Deliveries and acknowledgements may leave before this instant; [`Mono::NEVER`] when shut.
    pub fn until(&self) -> Mono {
        self.permit.map_or(Mono::NEVER, |permit| permit.until)
    }

    /// Whether deliveries and acknowledgements may leave now.
    pub fn open(&self, now: Mono) -> bool {
        self.permit.is_some_and(|permit| now < permit.until)
    }

    /// Whether a new write to a device may leave now.
    pub fn open_for_writes(&self, now: Mono) -> bool {
        self.permit.is_some_and(|permit| now < permit.writes_until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gate_opens_for_its_own_epoch_and_for_a_time() {
        let mut gate = Gate::new(ActivationToken::new(2));
        assert!(!gate.open(Mono(0)));
        gate.permit(Permit::new(4, Mono(90), Mono(80)));
        assert!(!gate.open(Mono(0)));
        gate.permit(Permit::new(2, Mono(20), Mono(15)));
        assert!(gate.open(Mono(19)) && !gate.open(Mono(20)));
        assert!(gate.open_for_writes(Mono(14)) && !gate.open_for_writes(Mono(15)));
    }
}
