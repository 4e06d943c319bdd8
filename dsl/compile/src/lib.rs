//! The middle of the gwp language: a parsed project becomes a plan, or a list of what is wrong with it.
//!
//! ```text
//! files -> items -> units, constants -> devices (templates, families) -> tags -> calcs -> settings -> flows -> Plan
//! ```
//! Everything wrong with all files is found in one run; a part that is in error silences what would follow from it.
//! The compiler knows no driver and no sink: their manifests are an argument ([`Catalog`]). It reads no file and no
//! clock, and the same text gives the same plan, byte for byte.

mod alarms;
mod assemble;
mod attributes;
mod calcs;
mod catalog;
mod check;
mod constants;
mod exclusive;
mod expand;
mod flows;
mod items;
pub mod limits;
mod load;
mod moved;
mod order;
mod places;
pub mod reference;
mod renumber;
mod scenarios;
mod settings;
mod sinks;
mod sources;
mod types;
mod units;
mod world;
mod writes;

use gwp_plan::Plan;
use gwp_syntax::{Diagnostic, Diagnostics, SourceMap};

pub use catalog::Catalog;
pub use load::{EntryFile, Project, file_of_use, normal_path};
pub use places::Places;
pub use scenarios::PlacedScenario;
pub use settings::setting_from_text;
pub use units::is_unit;

use check::Checker;
use items::Items;
use world::World;

/// What came out of a project.
#[derive(Debug)]
pub struct Compiled {
    /// `None` if there is an error.
    pub plan: Option<Plan>,
    /// If there is an error: all sources and sinks whose driver is known, for it to check, so that all errors are
    /// found in one run. A setting in error stands in it as a reference without a name, which drivers take as right
    /// like any other reference. It must not be run.
    pub draft: Option<Plan>,
    /// Errors, warnings and notes in order of place.
    pub diagnostics: Vec<Diagnostic>,
    pub sources: SourceMap,
    /// The syntax trees, in the order of `sources`.
    pub files: Vec<gwp_syntax::ast::File>,
    /// Where the parts of the plan, or else of the draft, stand in the text.
    pub places: Places,
    /// The `test` blocks, in order of place; to be played on the plan.
    pub scenarios: Vec<PlacedScenario>,
}

/// Compiles a project for the components of a catalog.
pub fn compile(project: &Project<'_>, catalog: &Catalog) -> Compiled {
    let mut sources = SourceMap::default();
    let mut report = Diagnostics::default();
    let files = load::load(project, &mut sources, &mut report);
    let (found, places, mut scenarios) = checked(&files, catalog, &mut report);
    scenarios.iter_mut().for_each(|scenario| scenario.quote(&sources));
    let (plan, draft) = if report.has_errors() { (None, Some(found)) } else { (Some(found), None) };
    Compiled { plan, draft, diagnostics: report.into_sorted(), sources, files, places, scenarios }
}

/// Checks everything; the plan is only complete if nothing was reported as an error.
fn checked(
    files: &[gwp_syntax::ast::File],
    catalog: &Catalog,
    report: &mut Diagnostics,
) -> (Plan, Places, Vec<PlacedScenario>) {
    let mut world = World::new(Items::collect(files, report));
    constants::units(&mut world, report);
    constants::consts(&mut world, report);
    let gateway = settings::gateway(world.items.gateway, &mut Checker::new(&world, report));
    world.timezone = gateway.plan.timezone.clone();
    expand::expand(&mut world, report);
    attributes::attributes(&mut world, report);
    let writes = writes::writes(&mut world, catalog, report);
    let calcs = calcs::calcs(&mut world, report);
    let sources = sources::sources(&mut world, catalog, &gateway, report);
    let sinks = sinks::sinks(&world, catalog, report);
    exclusive::exclusive(&world, catalog, &sources, &sinks, report);
    let flows = flows::flows(&mut Checker::new(&world, report));
    writes::unaudited(&world, &writes, &flows.routed(), report);
    sinks::revised(&world, &sinks, &flows, report);
    sinks::warnings(&world, &sources, &sinks, &flows, report);
    let moved = moved::moved(&world, report);
    let parts =
        assemble::Parts { world: &world, gateway: gateway.plan, sources, sinks, calcs, writes, flows, moved };
    let assembled = assemble::assemble(parts);
    let places = Places::new(&world, &assembled);
    let scenarios = scenarios::scenarios(&world, &assembled, report);
    (assembled.plan, places, scenarios)
}
