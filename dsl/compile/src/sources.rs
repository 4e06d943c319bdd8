//! Sources and the settings of the devices on them.

use gwp_core::manifest::{Slots, Standby};
use gwp_syntax::{Diagnostic, Diagnostics};

use crate::assemble::SourcePart;
use crate::catalog::Catalog;
use crate::check::{Checker, Scope};
use crate::settings::{self, GatewayFields};
use crate::world::{Decl, World};

/// Checks all sources, by index in the items; `None` for those whose driver is not known.
pub(crate) fn sources(
    world: &mut World<'_>,
    catalog: &Catalog,
    gateway: &GatewayFields,
    report: &mut Diagnostics,
) -> Vec<Option<SourcePart>> {
    let mut parts = Vec::new();
    for item in &world.items.sources {
        let Some(driver) = catalog.source(&item.driver.text) else {
            let fault =
                Diagnostic::new("E408", item.driver.span, format!("there is no driver `{}`", item.driver));
            report.push(catalog.help(fault, &item.driver.text, false));
            parts.push(None);
            continue;
        };
        let mut checker = Checker::new(world, report);
        let fields = settings::source(item, driver, &mut checker);
        if fields.standby == Standby::Cold && world.items.gateway.is_some() {
            let seconds = gateway.takeover_ns as f64 / 1e9;
            let message = format!("`{}` starts cold but takeover is {seconds} s", item.name);
            let fault = Diagnostic::new("W603", item.name.span, message);
            checker
                .report
                .push(fault.help("set `standby = warm`, or accept bad data until it has connected"));
        }
        let device_settings = settings::check_only_device(driver, item.name.span, &mut checker);
        let polled = driver.is_polled(&fields.settings);
        let slots = driver.source().map(|traits| traits.polled);
        if let (Standby::Hot, Some(Slots::When(setting, word)), false) = (fields.standby, slots, polled) {
            let message =
                format!("`{}` cannot do `standby = hot` unless it is asked in scan slots", item.name);
            let help = format!("add `{setting} = {word}`, or write `standby = warm`");
            checker.report.push(Diagnostic::new("E407", item.name.span, message).help(help));
        }
        if let (Standby::Transfer, Some(Slots::When(setting, word)), true) = (fields.standby, slots, polled) {
            let message = format!("`{}` is asked in scan slots: nothing is kept for another node", item.name);
            let help = format!("leave `{setting} = {word}` out, or write `standby = hot`");
            checker.report.push(Diagnostic::new("E407", item.name.span, message).help(help));
        }
        parts.push(Some(SourcePart { fields, polled, device_settings }));
    }
    devices(world, catalog, report);
    parts
}

/// Checks the settings of all devices.
fn devices(world: &mut World<'_>, catalog: &Catalog, report: &mut Diagnostics) {
    for index in 0..world.devices.len() {
        let Some(device) = world.device(index) else { break };
        let Decl::Device(item) = device.decl else { continue };
        let driver = device.source.and_then(|source| world.items.sources.get(source));
        let driver = driver.and_then(|source| catalog.source(&source.driver.text));
        let scope = Scope { device: Some(index), ..Scope::constant() };
        let fields = settings::device(item, driver, &mut Checker::new(world, report), &scope);
        if let Some(device) = world.devices.get_mut(index) {
            (device.settings, device.scan_ns) = (fields.settings, fields.scan_ns);
            device.place = fields.place;
        }
    }
}
