//! Puts everything together into a plan: sorted, numbered, complete.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use gwp_core::limits::BATCH_SAMPLES_MAX;
use gwp_core::{Settings, TagId, TagInfo};
use gwp_plan::plan::PLAN_VERSION;
use gwp_plan::{Calc, GatewayPlan, Group, Moved, Origin, Plan, SinkPlan, SourcePlan, Tag, Write};

use crate::alarms::ALARMS;
use crate::flows::Flows;
use crate::renumber::renumber;
use crate::settings::{SinkFields, SourceFields};
use crate::types::{Number, Ty};
use crate::world::{TagDecl, World};

/// A source whose driver is known.
pub(crate) struct SourcePart {
    pub fields: SourceFields,
    pub polled: bool,
    /// Settings of the tags in the source itself.
    pub device_settings: Settings,
}

/// All parts of a program. Sources and sinks whose driver is not known are left out of the plan.
pub(crate) struct Parts<'p, 'a> {
    pub world: &'p World<'a>,
    pub gateway: GatewayPlan,
    /// By index in the items.
    pub sources: Vec<Option<SourcePart>>,
    pub sinks: Vec<Option<SinkFields>>,
    /// In evaluation order.
    pub calcs: Vec<Calc>,
    pub writes: Vec<Write>,
    pub flows: Flows,
    /// Sorted.
    pub moved: Vec<Moved>,
}

/// The plan, and for each of its lists where its elements come from.
pub(crate) struct Assembled {
    pub plan: Plan,
    /// Index in the items of each source of the plan.
    pub sources: Vec<usize>,
    pub sinks: Vec<usize>,
    /// Index in the world of each tag of the plan; columns of windows have one behind all of them.
    pub tags: Vec<usize>,
}

/// Indices in the order of names, of those to keep.
fn by_name<'n>(names: impl Iterator<Item = (&'n str, bool)>) -> Vec<usize> {
    let mut kept: Vec<(&str, usize)> =
        names.enumerate().filter(|(_, (_, keep))| *keep).map(|(index, (name, _))| (name, index)).collect();
    kept.sort_unstable();
    kept.into_iter().map(|(_, index)| index).collect()
}

fn number_of(order: &[usize]) -> HashMap<usize, u32> {
    (0u32..).zip(order).map(|(number, index)| (*index, number)).collect()
}

/// Builds the plan.
pub(crate) fn assemble(parts: Parts<'_, '_>) -> Assembled {
    let world = parts.world;
    let names = world.items.sources.iter().map(|source| source.name.text.as_str());
    let sources = by_name(names.zip(parts.sources.iter().map(Option::is_some)));
    let names = world.items.sinks.iter().map(|sink| sink.name.text.as_str());
    let sinks = by_name(names.zip(parts.sinks.iter().map(Option::is_some)));
    let source_number = number_of(&sources);
    let real = world.real_tags();
    let own = world.tags.iter().take(real).map(|tag| plan_tag(world, tag, &source_number)).enumerate();
    let rows = (world.tags.len()..).zip(parts.flows.row_tags.iter().cloned());
    let mut tags: Vec<(usize, Tag)> = own.chain(rows).collect();
    tags.sort_by(|(_, a), (_, b)| a.info.path.cmp(&b.info.path));
    let numbers: Vec<usize> = tags.iter().map(|(number, _)| *number).collect();
    let mut plan = Plan {
        version: PLAN_VERSION,
        gateway: parts.gateway.clone(),
        groups: groups(world, &parts.sources, &source_number, real),
        sources: sources.iter().filter_map(|index| plan_source(world, &parts, *index)).collect(),
        calcs: parts.calcs.iter().filter(|calc| calc.tag.index() < real).cloned().collect(),
        writes: parts.writes.clone(),
        tags: tags.into_iter().map(|(_, tag)| tag).collect(),
        sinks: plan_sinks(world, &parts, &sinks),
        flows: parts.flows.summaries.clone(),
        moved: parts.moved.clone(),
    };
    if !parts.flows.row_tags.is_empty() {
        let mut to = vec![TagId(0); world.tags.len() + parts.flows.row_tags.len()];
        for (new, old) in (0u32..).zip(&numbers) {
            if let Some(place) = to.get_mut(*old) {
                *place = TagId(new);
            }
        }
        renumber(&mut plan, &to);
    }
    Assembled { plan, sources, sinks, tags: numbers }
}

fn plan_tag(world: &World<'_>, tag: &crate::world::Tag<'_>, source_number: &HashMap<usize, u32>) -> Tag {
    let device = world.device(tag.device);
    let source =
        device.and_then(|device| device.source).and_then(|source| source_number.get(&source)).copied();
    let unit: Arc<str> = match &tag.ty {
        Ty::Number(Number { unit, .. }) => unit.text.clone(),
        _ => "".into(),
    };
    let origin = match (&tag.decl, &tag.point) {
        (TagDecl::Tag(_) | TagDecl::Command(_), Some((address, plc_type))) => {
            Origin::Point { address: address.clone(), plc_type: *plc_type }
        }
        (TagDecl::Event(..), _) => Origin::Column,
        (TagDecl::Outcome(_), _) => Origin::Outcome,
        (TagDecl::Orders(_), _) => Origin::Orders,
        (TagDecl::Connected(_), _) => Origin::Connected { source: source.unwrap_or(0) },
        _ => Origin::Calc,
    };
    Tag {
        info: TagInfo {
            path: tag.path.clone(),
            device: device.map_or("".into(), |device| device.name.clone()),
            tag: tag.name.clone(),
            unit,
            labels: tag.attrs.labels.clone(),
            desc: tag.attrs.desc.clone(),
            row: if matches!(tag.decl, TagDecl::Event(..)) { ALARMS.into() } else { "".into() },
        },
        kind: match (&tag.point, tag.attrs.scale) {
            (Some((_, plc_type)), None) => plc_type.kind(),
            _ => tag.ty.kind(),
        },
        origin,
        scale: tag.attrs.scale,
        range: tag.attrs.range,
        deadband: tag.attrs.deadband,
        counter: tag.attrs.counter,
        writable: tag.attrs.writable,
        family: device.and_then(|device| device.family()),
    }
}

/// Number of the source, name of the device, period in nanoseconds.
type Class = (u32, Arc<str>, i64);

/// Poll groups: tags of one device and one period, at most so many together.
fn groups(
    world: &World<'_>,
    sources: &[Option<SourcePart>],
    source_number: &HashMap<usize, u32>,
    real: usize,
) -> Vec<Group> {
    let mut classes: BTreeMap<Class, (usize, Vec<TagId>)> = BTreeMap::new();
    for (id, tag) in (0u32..).map(TagId).zip(world.tags.iter().take(real)) {
        let Some(device) = world.device(tag.device) else { continue };
        let (Some(source), Some(_)) = (device.source, &tag.point) else { continue };
        let Some(number) = source_number.get(&source) else { continue };
        let Some(part) = sources.get(source).and_then(Option::as_ref) else { continue };
        let period = match part.polled {
            true => tag.attrs.scan_ns.or(device.scan_ns).unwrap_or(part.fields.scan_ns),
            false => 0,
        };
        let class = classes.entry((*number, device.name.clone(), period)).or_insert((tag.device, Vec::new()));
        class.1.push(id);
    }
    let phases = phases(classes.keys().map(|(source, _, period)| (*source, *period)));
    let mut groups = Vec::new();
    for ((source, name, period_ns), (device, tags)) in classes {
        let device = world.device(device);
        let own = device.and_then(|device| device.source).and_then(|source| sources.get(source)?.as_ref());
        let settings = match device.map(|device| device.decl) {
            Some(crate::world::Decl::Source(_) | crate::world::Decl::Write(_)) => {
                own.map(|part| part.device_settings.clone())
            }
            _ => device.map(|device| device.settings.clone()),
        };
        for tags in tags.chunks(BATCH_SAMPLES_MAX) {
            groups.push(Group {
                source,
                device: name.clone(),
                device_settings: settings.clone().unwrap_or_default(),
                period_ns,
                phase_ns: phases.get(&(source, period_ns)).copied().unwrap_or(0),
                tags: tags.into(),
            });
        }
    }
    groups
}

/// Scan classes of one link start one after the other within the shortest period, so that they do not all fall due
/// at once. Whole milliseconds.
fn phases(classes: impl Iterator<Item = (u32, i64)>) -> HashMap<(u32, i64), i64> {
    const MS: i64 = 1_000_000;
    let mut of_source: BTreeMap<u32, Vec<i64>> = BTreeMap::new();
    for (source, period) in classes.filter(|(_, period)| *period > 0) {
        let periods = of_source.entry(source).or_default();
        if let Err(at) = periods.binary_search(&period) {
            periods.insert(at, period);
        }
    }
    let mut phases = HashMap::new();
    for (source, periods) in of_source {
        let count = i64::try_from(periods.len()).unwrap_or(1);
        let step = periods.first().map_or(0, |shortest| shortest / count / MS * MS);
        for (rank, period) in (0i64..).zip(periods) {
            phases.insert((source, period), rank * step);
        }
    }
    phases
}

fn plan_source(world: &World<'_>, parts: &Parts<'_, '_>, index: usize) -> Option<SourcePlan> {
    let (item, part) = (world.items.sources.get(index)?, parts.sources.get(index)?.as_ref()?);
    let device = world.device(*world.by_name.get(item.name.text.as_str())?)?;
    let connected = *device.members.get("connected")?;
    Some(SourcePlan {
        name: item.name.text.as_str().into(),
        driver: item.driver.text.as_str().into(),
        settings: part.fields.settings.clone(),
        standby: part.fields.standby,
        late_ns: part.fields.late_ns,
        device_time: part.fields.device_time,
        on_disconnect: part.fields.on_disconnect,
        connected,
    })
}

fn plan_sinks(world: &World<'_>, parts: &Parts<'_, '_>, order: &[usize]) -> Vec<SinkPlan> {
    let number: HashMap<&str, u32> = (0u32..)
        .zip(order)
        .filter_map(|(number, index)| {
            world.items.sinks.get(*index).map(|sink| (sink.name.text.as_str(), number))
        })
        .collect();
    order
        .iter()
        .filter_map(|index| {
            let (item, fields) = (world.items.sinks.get(*index)?, parts.sinks.get(*index)?.as_ref()?);
            Some(SinkPlan {
                name: item.name.text.as_str().into(),
                driver: item.driver.text.as_str().into(),
                settings: fields.settings.clone(),
                journal: fields.journal,
                retry: fields.retry,
                order: fields.order,
                key: fields.key.clone(),
                bad: fields.bad,
                dead_letter: fields.dead_letter.as_ref().and_then(|name| number.get(&**name)).copied(),
                routes: parts.flows.routes.get(index).cloned().unwrap_or_default(),
            })
        })
        .collect()
}
