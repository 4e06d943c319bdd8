//! What a run of many seeds has met: one that met nothing shows nothing.

use crate::node::Role;
use std::collections::BTreeMap;

const ROLES: [Role; 11] = [
    Role::Booting,
    Role::Starting,
    Role::CatchingUp,
    Role::Standby,
    Role::Candidate,
    Role::Activating,
    Role::Active,
    Role::Draining,
    Role::Fenced,
    Role::Maintenance,
    Role::Faulted,
];

/// The changes of role in the diagram of [`crate::node`], and of what it says below it.
const CHANGES: &[(Role, Role)] = &[
    (Role::Booting, Role::Starting),
    (Role::Starting, Role::CatchingUp),
    (Role::CatchingUp, Role::Standby),
    (Role::Standby, Role::CatchingUp),
    (Role::Starting, Role::Candidate),
    (Role::CatchingUp, Role::Candidate),
    (Role::Standby, Role::Candidate),
    (Role::Fenced, Role::Candidate),
    (Role::Candidate, Role::Standby),
    (Role::Candidate, Role::CatchingUp),
    (Role::Candidate, Role::Activating),
    (Role::Activating, Role::Active),
    (Role::Activating, Role::Fenced),
    (Role::Active, Role::Fenced),
    (Role::Active, Role::Draining),
    (Role::Draining, Role::Active),
    (Role::Draining, Role::Fenced),
    (Role::Fenced, Role::CatchingUp),
    (Role::Standby, Role::Maintenance),
    (Role::Maintenance, Role::Starting),
    (Role::Standby, Role::Faulted),
    (Role::Fenced, Role::Faulted),
    (Role::Faulted, Role::Starting),
];

/// What else must have happened.
const THINGS: &[&str] = &[
    "message lost",
    "message doubled",
    "message overtaken",
    "one-way cut",
    "full cut",
    "swizzle",
    "pause",
    "node suspended",
    "witness suspended",
    "node clock jumps",
    "witness clock jumps",
    "frozen",
    "two holders by a clock",
    "crash",
    "reboot",
    "witness crash",
    "clean crash",
    "smooth switchover",
    "torn superblock",
    "superblock failed",
    "witness superblock failed",
    "fsync failed",
    "torn tail",
    "hang",
    "read failed",
    "destination down",
    "configured",
    "maintenance",
    "operator switchover",
    "failback",
    "health switch",
    "power off known",
    "forced",
    "takeover",
    "stale takeover",
    "fill",
    "message logged",
    "message logged before",
    "message acknowledged",
    "message acknowledged alone",
    "acknowledged twice",
    "double",
    "double at the transactional",
    "resumed at the destination",
    "cursor of another log",
    "activated",
    "lease lost",
    "dual active",
    "fenced",
    "handed over",
    "faulted",
    "trimmed by the active",
    "trimmed by the standby",
    "trimmed alone",
    "resync of an empty node",
    "resync of one behind",
    "shadow handed over",
    "active destroyed",
    "other destroyed",
    "lost with a disk",
    "rejoin with tail",
    "tail deleted",
    "solo",
    "mark cleared",
    "switchover completed",
    "switchover aborted",
    "refused by fence",
    "late arrival of an epoch before",
    "shadow dropped",
    "witnessed",
    "pair for safety",
    "pair for availability",
    "default timing",
    "fast",
    "wan",
    "both disks",
    "memory",
    "local",
    "stale refused",
    "operator decides for a stale one",
];

#[derive(Clone, Debug, Default)]
pub struct Coverage {
    roles: [[u64; ROLES.len()]; ROLES.len()],
    things: BTreeMap<&'static str, u64>,
}

impl Coverage {
    pub fn role(&mut self, from: Role, to: Role) {
        self.roles[from as usize][to as usize] += 1;
    }

    pub fn saw(&mut self, what: &'static str) {
        *self.things.entry(what).or_default() += 1;
    }

    pub fn add(&mut self, other: &Coverage) {
        for (what, count) in &other.things {
            *self.things.entry(what).or_default() += count;
        }
        for (mine, theirs) in self.roles.iter_mut().flatten().zip(other.roles.iter().flatten()) {
            *mine += theirs;
        }
    }

    /// What should have been met and was not.
    pub fn missing(&self) -> Vec<String> {
        let changes = CHANGES.iter().filter(|(from, to)| self.roles[*from as usize][*to as usize] == 0);
        let things = THINGS.iter().filter(|what| !self.things.contains_key(*what));
        changes
            .map(|(from, to)| format!("{from:?} to {to:?}"))
            .chain(things.map(|what| what.to_string()))
            .collect()
    }

    pub fn table(&self) -> String {
        let mut lines: Vec<String> =
            self.things.iter().map(|(what, count)| format!("{count:>9}  {what}")).collect();
        for (from, row) in ROLES.iter().zip(&self.roles) {
            for (to, count) in ROLES.iter().zip(row).filter(|(_, count)| **count > 0) {
                lines.push(format!("{count:>9}  {from:?} to {to:?}"));
            }
        }
        lines.join("\n")
    }
}
