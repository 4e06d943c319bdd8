//! Writes in the plan. What they decide is played with the other programs of the suite.

mod manifests;

use gwp_core::source::PlcType;
use gwp_plan::{Allow, Limit, Origin};
use manifests::{compiled, words};

const PLAYED: &str = include_str!("../../../tests/suite/play/writes.gwp");

#[test]
fn a_write_unfolds_to_a_command_and_an_outcome_for_each_target() {
    let compiled = compiled(PLAYED);
    let plan = compiled.plan.as_ref().unwrap_or_else(|| panic!("{}", words(&compiled)));
    let path = |tag| plan.tag(tag).map_or("", |tag| &*tag.info.path);
    let names: Vec<[&str; 3]> = plan
        .writes
        .iter()
        .map(|write| [path(write.target), path(write.command), path(write.outcome)])
        .collect();
    assert_eq!(names[1], ["meter02.limit", "set_limit.meter02.command", "set_limit.meter02"]);
    assert_eq!(names.len(), 3);
    let write = &plan.writes[1];
    assert_eq!(write.allow, Allow::Range { low: 50.0, high: 400.0 });
    assert_eq!(write.limit, Some(Limit { count: 1, per_ns: 5_000_000_000 }));
    assert_eq!((write.expire_ns, write.verify_ns), (10_000_000_000, Some(2_000_000_000)));
    let (command, outcome) = (plan.tag(write.command).unwrap(), plan.tag(write.outcome).unwrap());
    let point = Origin::Point { address: "site/meter02/set".into(), plc_type: PlcType::Lreal };
    assert_eq!((&command.origin, &*command.info.unit, &*command.info.device), (&point, "kW", "set_limit"));
    assert_eq!((&outcome.origin, &*outcome.info.tag), (&Origin::Outcome, "meter02"));

    let scada = plan.sources.iter().position(|source| &*source.name == "scada").unwrap();
    let declaration = plan.source_declaration(scada).unwrap();
    let points: Vec<_> = declaration.groups.iter().flat_map(|group| &group.points).collect();
    assert_eq!(points.len(), 3);
    assert!(points.iter().all(|point| point.command && !point.writable));
    // Outcomes flow, commands do not.
    let routed = &plan.sinks[0].routes[0].tags;
    assert!(routed.contains(&write.outcome) && !routed.contains(&write.command));
}
