//! Things that only one source or sink can have: a file that is written, a serial port, a client id.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use gwp_core::manifest::{Exclusive, SettingValue, Settings};
use gwp_syntax::ast::{Name, Setting};
use gwp_syntax::{Diagnostic, Diagnostics, Span};

use crate::assemble::SourcePart;
use crate::catalog::Catalog;
use crate::settings::SinkFields;
use crate::world::World;

/// What is had: its kind, and what the settings say.
type Thing = (&'static str, Vec<String>);

/// Reports what two sources or sinks would share.
pub(crate) fn exclusive(
    world: &World<'_>,
    catalog: &Catalog,
    sources: &[Option<SourcePart>],
    sinks: &[Option<SinkFields>],
    report: &mut Diagnostics,
) {
    let sources = world.items.sources.iter().zip(sources).filter_map(|(item, part)| {
        let exclusive = catalog.source(&item.driver.text)?.exclusive.as_ref()?;
        Some((exclusive, &item.name, &part.as_ref()?.fields.settings, item.body.settings.as_slice()))
    });
    let sinks = world.items.sinks.iter().zip(sinks).filter_map(|(item, fields)| {
        let exclusive = catalog.sink(&item.driver.text)?.exclusive.as_ref()?;
        Some((exclusive, &item.name, &fields.as_ref()?.settings, item.settings.list.as_slice()))
    });
    let mut owners: HashMap<Thing, (&Name, Span)> = HashMap::new();
    for (exclusive, name, settings, written) in sources.chain(sinks) {
        let Some(thing) = thing(exclusive, settings, &name.text) else { continue };
        let at = place(exclusive, written).unwrap_or(name.span);
        match owners.entry(thing) {
            Entry::Vacant(free) => {
                free.insert((name, at));
            }
            Entry::Occupied(taken) => {
                let (other, first) = taken.get();
                let message = format!("`{other}` and `{name}` would have the same {}", exclusive.what);
                let fault = Diagnostic::new("E413", at, message).label(*first, format!("`{other}` has it"));
                report.push(fault.help("give each its own, or let flows share one of them"));
            }
        }
    }
}

/// What an item has; nothing if a setting is left out or in error.
fn thing(exclusive: &Exclusive, settings: &Settings, item: &str) -> Option<Thing> {
    let one = |name: &&str| match settings.get(name)? {
        SettingValue::Text(text) => Some(plain(&text.replace("{sink}", item))),
        SettingValue::NodeRef(name) if !name.is_empty() => Some(format!("node({name})")),
        _ => None,
    };
    Some((exclusive.what, exclusive.settings.iter().map(one).collect::<Option<Vec<_>>>()?))
}

/// `./a//b` and `a/b` are one path.
fn plain(text: &str) -> String {
    let mut plain = text.replace('\\', "/");
    while let Some(rest) = plain.strip_prefix("./") {
        plain = rest.to_owned();
    }
    // not the slashes of `ssl://host`
    plain.replace("/./", "/")
}

/// Where the first of the settings stands that say what the item has.
fn place(exclusive: &Exclusive, written: &[Setting]) -> Option<Span> {
    exclusive
        .settings
        .iter()
        .find_map(|name| written.iter().find(|setting| setting.name.text == *name))
        .map(|setting| setting.span)
}
