//! The built-in units.

use std::collections::HashMap;
use std::sync::LazyLock;

use gwp_syntax::unit_alias;

use super::Base::{Amount, Angle, Current, Data, Length, Light, Mass, Temperature, Time};
use super::{Base, Dim, ONE, Unit};

/// Which prefixes a unit takes.
#[derive(Clone, Copy, PartialEq)]
enum Prefixes {
    None,
    /// k, M, G, T, P
    Up,
    /// All decimal ones.
    All,
    /// Decimal ones upwards and the binary ones Ki, Mi, Gi, Ti.
    Binary,
}

/// Name, factor, dimension, prefixes.
type Row = (&'static str, f64, &'static [(Base, i16)], Prefixes);

const MASS_FLOOR: f64 = 1e-3;
const STANDARD_GRAVITY: f64 = 9.806_65;
const POUND: f64 = 0.453_592_37;
const INCH: f64 = 0.025_4;
const PSI: f64 = POUND * STANDARD_GRAVITY / (INCH * INCH);
const MERCURY_MM: f64 = 133.322_387_415;
const BTU: f64 = 1_055.055_852_62;
const US_GALLON: f64 = 231.0 * INCH * INCH * INCH;
/// One turn.
const TURN: f64 = std::f64::consts::TAU;

const FORCE: &[(Base, i16)] = &[(Mass, 1), (Length, 1), (Time, -2)];
const PRESSURE: &[(Base, i16)] = &[(Mass, 1), (Length, -1), (Time, -2)];
const ENERGY: &[(Base, i16)] = &[(Mass, 1), (Length, 2), (Time, -2)];
const POWER: &[(Base, i16)] = &[(Mass, 1), (Length, 2), (Time, -3)];
const CHARGE: &[(Base, i16)] = &[(Current, 1), (Time, 1)];
const VOLTAGE: &[(Base, i16)] = &[(Mass, 1), (Length, 2), (Time, -3), (Current, -1)];
const RESISTANCE: &[(Base, i16)] = &[(Mass, 1), (Length, 2), (Time, -3), (Current, -2)];
const CONDUCTANCE: &[(Base, i16)] = &[(Mass, -1), (Length, -2), (Time, 3), (Current, 2)];
const CAPACITY: &[(Base, i16)] = &[(Mass, -1), (Length, -2), (Time, 4), (Current, 2)];
const FLUX: &[(Base, i16)] = &[(Mass, 1), (Length, 2), (Time, -2), (Current, -1)];
const FLUX_DENSITY: &[(Base, i16)] = &[(Mass, 1), (Time, -2), (Current, -1)];
const INDUCTANCE: &[(Base, i16)] = &[(Mass, 1), (Length, 2), (Time, -2), (Current, -2)];
const VOLUME: &[(Base, i16)] = &[(Length, 3)];
const AREA: &[(Base, i16)] = &[(Length, 2)];
const SPEED: &[(Base, i16)] = &[(Length, 1), (Time, -1)];
const RATE: &[(Base, i16)] = &[(Time, -1)];
const VISCOSITY: &[(Base, i16)] = &[(Mass, 1), (Length, -1), (Time, -1)];
const KINEMATIC: &[(Base, i16)] = &[(Length, 2), (Time, -1)];
const ILLUMINANCE: &[(Base, i16)] = &[(Light, 1), (Length, -2)];
const NUMBER: &[(Base, i16)] = &[];

/// Base units, derived units, and those of plants; the order is that of suggestions.
#[rustfmt::skip]
const ROWS: &[Row] = &[
    ("s", 1.0, &[(Time, 1)], Prefixes::All), ("min", 60.0, &[(Time, 1)], Prefixes::None),
    ("h", 3_600.0, &[(Time, 1)], Prefixes::None), ("d", 86_400.0, &[(Time, 1)], Prefixes::None),
    ("wk", 604_800.0, &[(Time, 1)], Prefixes::None),
    ("m", 1.0, &[(Length, 1)], Prefixes::All), ("g", MASS_FLOOR, &[(Mass, 1)], Prefixes::All),
    ("t", 1_000.0, &[(Mass, 1)], Prefixes::Up), ("A", 1.0, &[(Current, 1)], Prefixes::All),
    ("K", 1.0, &[(Temperature, 1)], Prefixes::All), ("mol", 1.0, &[(Amount, 1)], Prefixes::All),
    ("cd", 1.0, &[(Light, 1)], Prefixes::All),
    ("W", 1.0, POWER, Prefixes::All), ("Wh", 3_600.0, ENERGY, Prefixes::All),
    ("VA", 1.0, POWER, Prefixes::All), ("VAh", 3_600.0, ENERGY, Prefixes::All),
    ("var", 1.0, POWER, Prefixes::All), ("varh", 3_600.0, ENERGY, Prefixes::All),
    ("Ws", 1.0, ENERGY, Prefixes::All), ("J", 1.0, ENERGY, Prefixes::All), ("V", 1.0, VOLTAGE, Prefixes::All),
    ("Ohm", 1.0, RESISTANCE, Prefixes::All), ("S", 1.0, CONDUCTANCE, Prefixes::All),
    ("C", 1.0, CHARGE, Prefixes::All), ("Ah", 3_600.0, CHARGE, Prefixes::All), ("F", 1.0, CAPACITY, Prefixes::All),
    ("Wb", 1.0, FLUX, Prefixes::All), ("T", 1.0, FLUX_DENSITY, Prefixes::All), ("H", 1.0, INDUCTANCE, Prefixes::All),
    ("Hz", 1.0, RATE, Prefixes::All), ("Bq", 1.0, RATE, Prefixes::All), ("rpm", 1.0 / 60.0, RATE, Prefixes::None),
    ("N", 1.0, FORCE, Prefixes::All), ("Nm", 1.0, ENERGY, Prefixes::All), ("Pa", 1.0, PRESSURE, Prefixes::All),
    ("bar", 1e5, PRESSURE, Prefixes::All), ("atm", 101_325.0, PRESSURE, Prefixes::None),
    ("l", 1e-3, VOLUME, Prefixes::All), ("L", 1e-3, VOLUME, Prefixes::All), ("ha", 1e4, AREA, Prefixes::None),
    ("lm", 1.0, &[(Light, 1)], Prefixes::All), ("lx", 1.0, ILLUMINANCE, Prefixes::All),
    ("P", 0.1, VISCOSITY, Prefixes::All), ("St", 1e-4, KINEMATIC, Prefixes::All),
    ("cal", 4.1868, ENERGY, Prefixes::All), ("BTU", BTU, ENERGY, Prefixes::None), ("hp", 745.699_871_582_270_2, POWER, Prefixes::None),
    ("B", 8.0, &[(Data, 1)], Prefixes::Binary), ("bit", 1.0, &[(Data, 1)], Prefixes::Binary),
    ("%", 1e-2, NUMBER, Prefixes::None), ("‰", 1e-3, NUMBER, Prefixes::None), ("ppm", 1e-6, NUMBER, Prefixes::None),
    ("ppb", 1e-9, NUMBER, Prefixes::None),
    ("rad", 1.0, &[(Angle, 1)], Prefixes::All), ("deg", TURN / 360.0, &[(Angle, 1)], Prefixes::None),
    ("rev", TURN, &[(Angle, 1)], Prefixes::None),
    ("inch", INCH, &[(Length, 1)], Prefixes::None), ("ft", 12.0 * INCH, &[(Length, 1)], Prefixes::None),
    ("yd", 36.0 * INCH, &[(Length, 1)], Prefixes::None), ("mi", 1_609.344, &[(Length, 1)], Prefixes::None),
    ("lb", POUND, &[(Mass, 1)], Prefixes::None), ("oz", POUND / 16.0, &[(Mass, 1)], Prefixes::None),
    ("lbf", POUND * STANDARD_GRAVITY, FORCE, Prefixes::None), ("kgf", STANDARD_GRAVITY, FORCE, Prefixes::None),
    ("gal", US_GALLON, VOLUME, Prefixes::None), ("gpm", US_GALLON / 60.0, &[(Length, 3), (Time, -1)], Prefixes::None),
    ("cfm", 28.316_846_592e-3 / 60.0, &[(Length, 3), (Time, -1)], Prefixes::None),
    ("psi", PSI, PRESSURE, Prefixes::Up), ("mmHg", MERCURY_MM, PRESSURE, Prefixes::None),
    ("inHg", 25.4 * MERCURY_MM, PRESSURE, Prefixes::None), ("mmWC", STANDARD_GRAVITY, PRESSURE, Prefixes::None),
    ("inWC", 25.4 * STANDARD_GRAVITY, PRESSURE, Prefixes::None), ("torr", MERCURY_MM, PRESSURE, Prefixes::None),
    ("mph", 1_609.344 / 3_600.0, SPEED, Prefixes::None), ("kn", 1_852.0 / 3_600.0, SPEED, Prefixes::None),
];

/// Units that mean nothing in another dimension: they compare only with themselves.
const SEPARATE: &[&str] = &["pH", "dB", "NTU", "Nm3", "Sm3"];
/// Numbers of those in the space of declared units, which a project fills from below.
const SEPARATE_FROM: u16 = 60_000;

const UP: &[(&str, f64)] = &[("k", 1e3), ("M", 1e6), ("G", 1e9), ("T", 1e12), ("P", 1e15)];
const DOWN: &[(&str, f64)] = &[
    ("h", 1e2),
    ("da", 1e1),
    ("d", 1e-1),
    ("c", 1e-2),
    ("m", 1e-3),
    ("u", 1e-6),
    ("µ", 1e-6),
    ("μ", 1e-6),
    ("n", 1e-9),
    ("p", 1e-12),
    ("f", 1e-15),
];
const BINARY: &[(&str, f64)] =
    &[("Ki", 1024.0), ("Mi", 1_048_576.0), ("Gi", 1_073_741_824.0), ("Ti", 1_099_511_627_776.0), ("K", 1e3)];

/// A unit that only makes sense alone: points on a scale, and aliases of composed units.
pub(super) fn whole(written: &str) -> Option<Unit> {
    let name = unit_alias(written);
    let kelvin = Dim::of(Temperature);
    let point = |factor, offset| Unit { dim: kelvin.clone(), factor, offset, point: true, text: name.into() };
    match name {
        "degC" => Some(point(1.0, 273.15)),
        "degF" => Some(point(5.0 / 9.0, 459.67 * 5.0 / 9.0)),
        "m3/h" if name != written => super::Units::default().find(name),
        _ => None,
    }
}

/// A unit by name, prefix included.
pub(super) fn atom(written: &str) -> Option<Unit> {
    static ATOMS: LazyLock<HashMap<&str, (Unit, Prefixes)>> = LazyLock::new(atoms);
    let name = unit_alias(written);
    if let Some((unit, _)) = ATOMS.get(name) {
        return Some(unit.clone());
    }
    if let Some(whole) = whole(name) {
        return Some(whole.difference()).map(|unit| Unit { text: name.into(), ..unit });
    }
    if name != written {
        let (base, exponent) = super::split_exponent(name);
        let power = atom(base)?.power(exponent)?;
        return Some(Unit { text: name.into(), ..power });
    }
    let prefixes = UP.iter().chain(DOWN).chain(BINARY);
    prefixes.filter_map(|(prefix, factor)| Some((*prefix, *factor, name.strip_prefix(prefix)?))).find_map(
        |(prefix, factor, rest)| {
            let rest = unit_alias(rest);
            let (unit, allowed) = ATOMS.get(rest)?;
            let up = UP.iter().any(|(other, _)| *other == prefix);
            let binary = BINARY.iter().any(|(other, _)| *other == prefix);
            let fits = match allowed {
                Prefixes::None => false,
                Prefixes::Up => up,
                Prefixes::All => !binary,
                Prefixes::Binary => up || binary,
            };
            let shown = match prefix {
                "µ" | "μ" => "u",
                "K" => "k",
                other => other,
            };
            fits.then(|| Unit {
                factor: unit.factor * factor,
                text: format!("{shown}{}", unit.text).into(),
                ..unit.clone()
            })
        },
    )
}

fn atoms() -> HashMap<&'static str, (Unit, Prefixes)> {
    let rows = ROWS.iter().map(|(name, factor, dims, prefixes)| {
        let mut dim = Dim::none();
        for (base, exponent) in *dims {
            dim.base[*base as usize] = exponent * ONE;
        }
        (*name, (Unit { dim, factor: *factor, offset: 0.0, point: false, text: (*name).into() }, *prefixes))
    });
    let separate = (SEPARATE_FROM..).zip(SEPARATE).map(|(number, name)| {
        let unit =
            Unit { dim: Dim::own(number), factor: 1.0, offset: 0.0, point: false, text: (*name).into() };
        (*name, (unit, Prefixes::None))
    });
    rows.chain(separate).collect()
}

/// Names worth suggesting.
pub(crate) fn common() -> impl Iterator<Item = &'static str> + Clone {
    const PREFIXED: &[&str] = &[
        "kW", "MW", "kWh", "MWh", "kg", "mm", "cm", "km", "ms", "us", "kV", "mV", "mA", "kA", "kvar", "kVA",
        "kPa", "MPa", "mbar", "kHz", "MHz", "hl", "ml", "mg", "kB", "MB", "GB", "TB", "kN", "kJ", "MJ", "GJ",
        "degC", "degF",
    ];
    ROWS.iter().map(|row| row.0).chain(PREFIXED.iter().copied()).chain(SEPARATE.iter().copied())
}
