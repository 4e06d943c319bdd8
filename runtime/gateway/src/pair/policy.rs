//! What a pair without a witness may do by itself: careful, unless `node.toml` wants otherwise and no program that runs
//! here would be harmed by it.

use crate::catalog;
use crate::configuration::history::History;
use crate::configuration::start::{Given, compiled};
use crate::node::{Node, PairMember};
use gwp_plan::{Plan, SinkPlan};
use gwp_redundancy::policy::{PairPolicy, Quorum, SinkAbility, Unsafe};
use std::sync::Arc;

/// What a pair without a witness may do with this program.
///
/// # Errors
/// Everything that two actives at once would harm.
pub fn derive(plan: &Plan) -> Result<PairPolicy, Vec<Unsafe>> {
    let ability = |sink: &SinkPlan| {
        let traits = catalog::sink(&sink.driver).and_then(|driver| driver.manifest().sink());
        // A sink that this gwp does not know can nothing.
        (traits.is_some_and(|traits| traits.idempotent), traits.is_some_and(|traits| traits.fencing))
    };
    let abilities = plan.sinks.iter().map(|sink| {
        let (idempotent, fencing) = ability(sink);
        SinkAbility { name: &sink.name, idempotent, fencing }
    });
    PairPolicy::derive(&abilities.collect::<Vec<_>>(), !plan.writes.is_empty())
}

/// In one sentence, for who plans a pair.
pub fn sentence(derived: &Result<PairPolicy, Vec<Unsafe>>) -> String {
    match derived {
        Err(why) => format!("safety, a silent peer is not taken for a dead one, as {}", listed(why)),
        Ok(_) => {
            "`policy = \"availability\"` is allowed: no sink is harmed by two actives, and nothing writes to \
                  devices"
                .into()
        }
    }
}

/// Why this node may not run a program, if its `node.toml` wants more than the program allows.
pub fn forbids(node: &Node, plan: &Plan) -> Option<String> {
    let member = node.pair.as_ref().filter(|member| is_available(member))?;
    let why = derive(plan).err()?;
    let of = if member.is_primary { "primary" } else { "backup" };
    Some(format!(
        "`policy = \"availability\"` of the {of} is not allowed with this program: {}. Use a witness, or leave `policy` out",
        listed(&why)
    ))
}

fn listed(why: &[Unsafe]) -> String {
    why.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

fn is_witnessed(member: &PairMember) -> bool {
    member.links.iter().any(|link| link.witness.is_some())
}

fn is_available(member: &PairMember) -> bool {
    !is_witnessed(member) && member.policy == Some(PairPolicy::Availability)
}

/// How a majority comes about at this node, and why so. A program that does not allow it does not run here.
pub fn choose(member: &PairMember) -> (Quorum, &'static str) {
    if is_witnessed(member) && member.policy.is_some() {
        (Quorum::Witnessed, "a witness votes; `policy` in node.toml is for a pair without one")
    } else if is_witnessed(member) {
        (Quorum::Witnessed, "a witness votes")
    } else if is_available(member) {
        let said = "availability: the standby takes over when its peer is silent; node.toml says so, and the program allows it";
        (Quorum::Pair(PairPolicy::Availability), said)
    } else {
        let said = "safety: a silent peer is not taken for a dead one; `gwp plan` says whether `policy = \"availability\"` is allowed";
        (Quorum::Pair(PairPolicy::Safety), said)
    }
}

/// Whether what this node ran last, or is given, writes to devices; what cannot be read may.
pub fn writes_devices(node: &Node, given: Option<&Given>) -> bool {
    let last = || -> anyhow::Result<Option<Arc<Plan>>> {
        let current = History::open(&node.data)?.current()?;
        current.map(|(id, bundle)| compiled(&id, &bundle)).transpose()
    };
    let writes = |plan: &Plan| !plan.writes.is_empty();
    let given = given.is_some_and(|given| writes(&given.plan));
    given || last().map_or(true, |plan| plan.is_some_and(|plan| writes(&plan)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::configuration::bundle::{File, compile};

    fn derived(program: &str) -> Result<PairPolicy, String> {
        let compiled = compile(&[File { name: "p.gwp".into(), text: program.into() }]);
        let derived = derive(&compiled.plan.expect("a program"));
        let text = sentence(&derived);
        derived.map_err(|_| text)
    }

    #[test]
    fn only_sinks_that_bear_two_actives_allow_availability() {
        let source = "source s : simulator { scan = 1 s\n  tag a at \"constant 1\" : int\n}\n";
        let sql = "sink db : sqlite { path = \"a.db\" }\nflow f = s -> db\n";
        assert_eq!(derived(&format!("{source}{sql}")), Ok(PairPolicy::Availability));
        let csv = "sink files : csv { path = \"a.csv\" }\nflow g = s -> files\n";
        let why = derived(&format!("{source}{sql}{csv}")).unwrap_err();
        assert!(why.starts_with("safety") && why.contains("`files`") && !why.contains("`db`"), "{why}");
    }
}
