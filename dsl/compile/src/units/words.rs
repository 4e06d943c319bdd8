//! What a dimension measures, in words: `power` says more than `kg.m2/s3`.

use super::{Dim, Units};

/// A unit of each quantity that has a name.
const QUANTITIES: &[(&str, &str)] = &[
    ("W", "a power"),
    ("J", "an energy"),
    ("K", "a temperature"),
    ("Pa", "a pressure"),
    ("s", "a time"),
    ("m", "a length"),
    ("m2", "an area"),
    ("m3", "a volume"),
    ("kg", "a mass"),
    ("A", "a current"),
    ("V", "a voltage"),
    ("m/s", "a speed"),
    ("m/s2", "an acceleration"),
    ("m3/s", "a volume flow"),
    ("kg/s", "a mass flow"),
    ("Hz", "a frequency"),
    ("N", "a force"),
    ("kg/m3", "a density"),
    ("Ohm", "a resistance"),
    ("S", "a conductance"),
    ("C", "a charge"),
    ("F", "a capacity"),
    ("rad", "an angle"),
    ("rad/s", "an angular speed"),
    ("mol", "an amount of substance"),
    ("cd", "a luminous intensity"),
    ("lx", "an illuminance"),
    ("B", "an amount of data"),
    ("B/s", "a data rate"),
    ("kg/m", "a mass per length"),
    ("J/m3", "a pressure"),
];

/// `a power`, `a plain number`, or `another quantity`.
pub(crate) fn quantity_name(dim: &Dim) -> &'static str {
    if dim.is_none() {
        return "a plain number";
    }
    let units = Units::default();
    let found = QUANTITIES.iter().find(|(unit, _)| units.find(unit).is_some_and(|unit| unit.dim == *dim));
    found.map_or("another quantity", |(_, name)| name)
}
