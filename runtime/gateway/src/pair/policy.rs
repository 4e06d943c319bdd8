//! What a pair without a witness may do by itself: derived from what its sinks can, or told to be careful.

use crate::catalog;
use crate::configuration::history::History;
use crate::configuration::start::{Given, compiled};
use crate::node::{Node, PairMember};
use anyhow::bail;
use gwp_plan::Plan;
use gwp_redundancy::policy::{PairPolicy, Quorum, SinkAbility, Unsafe};
use std::sync::Arc;

/// How a majority comes about here, and why it is so.
pub struct Chosen {
    pub quorum: Quorum,
    pub why: String,
}

/// What a pair without a witness may do with this program; otherwise why it must be careful.
///
/// # Errors
/// Everything that two actives at once would harm.
pub fn derive(plan: &Plan) -> Result<PairPolicy, Vec<Unsafe>> {
    let ability = |sink: &gwp_plan::SinkPlan| {
        let traits = catalog::sink(&sink.driver).and_then(|driver| driver.manifest().sink());
        // A sink that this gwp does not know can nothing.
        (traits.is_some_and(|traits| traits.idempotent), traits.is_some_and(|traits| traits.fencing))
    };
    let of = |sink| {
        let (idempotent, fencing) = ability(sink);
        SinkAbility { name: &sink.name, idempotent, fencing }
    };
    let sinks: Vec<SinkAbility<'_>> = plan.sinks.iter().map(of).collect();
    PairPolicy::derive(&sinks, !plan.writes.is_empty())
}

/// In one sentence.
pub fn sentence(derived: &Result<PairPolicy, Vec<Unsafe>>) -> String {
    match derived {
        Err(why) => format!(
            "safety: a silent peer is not taken for a dead one, as {}",
            why.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
        ),
        Ok(_) => "availability: the standby takes over when its peer is silent, as no sink is harmed by two \
                  actives and nothing writes to devices"
            .into(),
    }
}

/// For this node.
///
/// # Errors
/// `node.toml` wants what the program forbids, or what was in force last cannot be read.
pub fn choose(node: &Node, member: &PairMember, given: Option<&Given>) -> anyhow::Result<Chosen> {
    if member.links.iter().any(|link| link.witness.is_some()) {
        return Ok(Chosen { quorum: Quorum::Witnessed, why: "a witness votes".into() });
    }
    if member.policy == Some(PairPolicy::Safety) {
        let why = "safety: node.toml says so; a silent peer is not taken for a dead one".into();
        return Ok(Chosen { quorum: Quorum::Pair(PairPolicy::Safety), why });
    }
    let derived = match plan_of(node, given)? {
        Some(plan) => derive(&plan),
        None => Ok(PairPolicy::Safety),
    };
    if let (Some(PairPolicy::Availability), Err(why)) = (member.policy, &derived) {
        let why: Vec<String> = why.iter().map(ToString::to_string).collect();
        bail!(
            "`policy = \"availability\"` is not allowed for this program: {}. Use a witness, or leave `policy` out",
            why.join("; ")
        );
    }
    let why = sentence(&derived);
    Ok(Chosen { quorum: Quorum::Pair(derived.unwrap_or(PairPolicy::Safety)), why })
}

/// What this node would run, as far as there is anything.
fn plan_of(node: &Node, given: Option<&Given>) -> anyhow::Result<Option<Arc<Plan>>> {
    if let Some(given) = given {
        return Ok(Some(given.plan.clone()));
    }
    let current = History::open(&node.data)?.current()?;
    current.map(|(id, bundle)| compiled(&id, &bundle)).transpose()
}

/// Whether the program writes to devices; one that cannot be read may.
pub fn writes_devices(node: &Node, given: Option<&Given>) -> bool {
    plan_of(node, given).map_or(true, |plan| plan.is_some_and(|plan| !plan.writes.is_empty()))
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
