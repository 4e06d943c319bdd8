//! Lines that a program may be missing: something went and something like it came.

use super::changes::Hint;
use crate::plan::{Origin, Plan, SinkPlan};
use gwp_core::manifest::SettingValue;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Settings that say where a destination is.
const PLACES: [&str; 5] = ["url", "path", "broker", "brokers", "address"];

/// `gone` and `come`: names of items that are in one of the plans only.
pub(super) fn hints(old: &Plan, new: &Plan, gone: &BTreeSet<&str>, come: &BTreeSet<&str>) -> Vec<Hint> {
    let mut hints = sinks(old, new, gone, come);
    hints.extend(devices(old, new));
    hints
}

fn sinks(old: &Plan, new: &Plan, gone: &BTreeSet<&str>, come: &BTreeSet<&str>) -> Vec<Hint> {
    fn only<'p>(plan: &'p Plan, names: &BTreeSet<&str>) -> Vec<&'p SinkPlan> {
        plan.sinks.iter().filter(|sink| names.contains(&*format!("sink/{}", sink.name))).collect()
    }
    let (gone, come) = (only(old, gone), only(new, come));
    let mut hints = Vec::new();
    for before in &gone {
        let mut alike = come.iter().filter(|after| is_like(before, after));
        let (Some(after), None) = (alike.next(), alike.next()) else { continue };
        if gone.iter().filter(|other| is_like(other, after)).count() == 1 {
            let (was, is) = (&before.name, &after.name);
            let why = format!(
                "sink/{was} and sink/{is} deliver to the same place with the driver {}; to keep its journal",
                before.driver
            );
            hints.push(Hint { add: moved(was, is), why });
        }
    }
    hints
}

fn is_like(a: &SinkPlan, b: &SinkPlan) -> bool {
    let place = |sink: &SinkPlan| -> Vec<SettingValue> {
        PLACES.iter().filter_map(|name| sink.settings.get(name).cloned()).collect()
    };
    let same_place = || !place(a).is_empty() && place(a) == place(b);
    a.driver == b.driver && (a.settings == b.settings || same_place())
}

/// Addresses and types of the points of a device, with the driver that reads them; names do not matter.
type Points = (Arc<str>, String, Vec<(Arc<str>, String)>);

fn devices(old: &Plan, new: &Plan) -> Vec<Hint> {
    let (before, after) = (by_device(old), by_device(new));
    let is_moved = |name: &str| new.renames().device(name).is_some();
    let gone: Vec<_> =
        before.iter().filter(|(name, _)| !after.contains_key(*name) && !is_moved(name)).collect();
    if gone.is_empty() {
        return Vec::new();
    }
    let mut come: BTreeMap<&Points, Vec<&Arc<str>>> = BTreeMap::new();
    for (name, points) in after.iter().filter(|(name, _)| !before.contains_key(*name)) {
        come.entry(points).or_default().push(name);
    }
    let mut lines = BTreeSet::new();
    let twice = |points: &Points| gone.iter().filter(|(_, other)| *other == points).count() > 1;
    for (name, points) in &gone {
        if let Some([now]) = come.get(points).map(Vec::as_slice)
            && !twice(points)
        {
            let line = match (family(old, name), family(new, now)) {
                (Some((was, number)), Some((is, same))) if number == same => (was, is, true),
                _ => ((*name).clone(), (*now).clone(), false),
            };
            lines.insert(line);
        }
    }
    lines
        .into_iter()
        .map(|(was, is, family)| {
            let what = if family { "the families" } else { "the devices" };
            let why =
                format!("{what} {was} and {is} have the same addresses; to keep what was computed of it");
            Hint { add: moved(&was, &is), why }
        })
        .collect()
}

fn by_device(plan: &Plan) -> BTreeMap<Arc<str>, Points> {
    let mut devices: BTreeMap<Arc<str>, Points> = BTreeMap::new();
    for group in &plan.groups {
        let Some(source) = plan.sources.get(group.source as usize) else { continue };
        let settings = format!("{:?} {:?}", source.settings, group.device_settings);
        let device =
            devices.entry(group.device.clone()).or_insert((source.driver.clone(), settings, Vec::new()));
        for tag in group.tags.iter().filter_map(|tag| plan.tag(*tag)) {
            if let Origin::Point { address, plc_type } = &tag.origin {
                device.2.push((address.clone(), plc_type.to_string()));
            }
        }
    }
    devices.values_mut().for_each(|device| device.2.sort());
    devices
}

fn family(plan: &Plan, device: &str) -> Option<(Arc<str>, i64)> {
    let tag = plan.tags.iter().find(|tag| *tag.info.device == *device)?;
    tag.family.as_ref().map(|member| (member.family.clone(), member.index))
}

fn moved(old: &str, new: &str) -> String {
    format!("moved {} -> {}", written(old), written(new))
}

/// A name as a program writes it.
fn written(name: &str) -> String {
    match name.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_') {
        true => name.to_owned(),
        false => format!("'{name}'"),
    }
}
