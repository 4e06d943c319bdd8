//! The drivers and sinks a program may name. The compiler knows none of them itself.

use gwp_core::Manifest;
use gwp_syntax::Diagnostic;

use crate::items::nearest;

/// Manifests of all drivers and sinks that are built in.
#[derive(Clone, Debug, Default)]
pub struct Catalog {
    manifests: Vec<&'static Manifest>,
}

impl Catalog {
    /// A catalog of these components; a driver and a sink may have one name.
    pub fn new(manifests: impl IntoIterator<Item = &'static Manifest>) -> Catalog {
        Catalog { manifests: manifests.into_iter().collect() }
    }

    /// The driver of that name.
    pub fn source(&self, name: &str) -> Option<&'static Manifest> {
        self.manifests.iter().copied().find(|manifest| manifest.name == name && manifest.source().is_some())
    }

    /// The sink of that name.
    pub fn sink(&self, name: &str) -> Option<&'static Manifest> {
        self.manifests.iter().copied().find(|manifest| manifest.name == name && manifest.sink().is_some())
    }

    /// All of them.
    pub fn manifests(&self) -> &[&'static Manifest] {
        &self.manifests
    }

    /// Adds to a finding what a name that is not in the catalog may stand for.
    pub(crate) fn help(&self, fault: Diagnostic, name: &str, sinks: bool) -> Diagnostic {
        let of_kind = self.manifests.iter().filter(|manifest| manifest.sink().is_some() == sinks);
        let mut names: Vec<&str> = of_kind.map(|manifest| manifest.name).collect();
        names.sort_unstable();
        match nearest(name, names.iter().copied()) {
            Some(near) => fault.did_you_mean(near),
            None => fault.help(format!("there are: {}", names.join(", "))),
        }
    }
}
