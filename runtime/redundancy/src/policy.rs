//! What a pair without a witness may do on its own, derived from what its sinks can.

/// How a majority comes about.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Quorum {
    /// Two nodes and a witness: two of three votes.
    Witnessed,
    /// Two nodes alone.
    Pair(PairPolicy),
    /// One gateway without a peer: it has nobody to ask.
    Lone,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum PairPolicy {
    /// A standby that hears nothing takes over; both may deliver until the links are mended.
    Availability,
    /// The role moves only with the peer's vote, by evidence that the peer gave it up, or by
    /// an operator.
    Safety,
}

/// What matters of one sink when two actives could deliver to it at once.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SinkAbility<'a> {
    pub name: &'a str,
    /// The same sample twice is as good as once.
    pub idempotent: bool,
    /// It refuses whoever comes with an older epoch.
    pub fencing: bool,
}

/// Why a pair without a witness is held to [`PairPolicy::Safety`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Unsafe {
    /// Two actives would both write to devices.
    DeviceWrites,
    /// This sink would get everything twice.
    Doubled { sink: String },
}

impl std::fmt::Display for Unsafe {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Unsafe::DeviceWrites => f.write_str("the program writes to devices, and both nodes would"),
            Unsafe::Doubled { sink } => {
                write!(f, "sink `{sink}` is neither idempotent nor fencing, and would get samples twice")
            }
        }
    }
}

impl PairPolicy {
    /// `Availability` only where two actives at once can do no harm; otherwise the reasons.
    pub fn derive(sinks: &[SinkAbility<'_>], writes_devices: bool) -> Result<PairPolicy, Vec<Unsafe>> {
        let doubled = sinks.iter().filter(|sink| !sink.idempotent && !sink.fencing);
        let mut reasons: Vec<Unsafe> =
            doubled.map(|sink| Unsafe::Doubled { sink: sink.name.to_owned() }).collect();
        if writes_devices {
            reasons.insert(0, Unsafe::DeviceWrites);
        }
        if reasons.is_empty() { Ok(PairPolicy::Availability) } else { Err(reasons) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn availability_needs_sinks_that_bear_two_actives() {
        let sink = |name, idempotent, fencing| SinkAbility { name, idempotent, fencing };
        let good = [sink("db", true, false), sink("log", false, true)];
        assert_eq!(PairPolicy::derive(&good, false), Ok(PairPolicy::Availability));
        assert_eq!(PairPolicy::derive(&good, true), Err(vec![Unsafe::DeviceWrites]));
        let bad = [sink("db", true, true), sink("files", false, false)];
        assert_eq!(PairPolicy::derive(&bad, false), Err(vec![Unsafe::Doubled { sink: "files".into() }]));
    }
}
