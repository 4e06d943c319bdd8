use super::*;

fn unit(written: &str) -> Unit {
    Units::default().find(written).unwrap_or_else(|| panic!("{written} is a unit"))
}

/// How many `b` one `a` is; as differences.
fn one(a: &str, b: &str) -> f64 {
    let (a, b) = (unit(a), unit(b));
    assert_eq!(a.dim, b.dim, "{a} and {b}");
    a.difference().to(&b.difference()).0
}

#[test]
fn factors_are_those_of_the_standards() {
    let close = |a: &str, b: &str, factor: f64| {
        let found = one(a, b);
        assert!((found / factor - 1.0).abs() < 1e-9, "1 {a} = {found} {b}, not {factor}");
    };
    for (a, b, factor) in [
        ("kW", "W", 1e3),
        ("MWh", "GJ", 3.6),
        ("kWh", "J", 3.6e6),
        ("bar", "kPa", 100.0),
        ("mbar", "Pa", 100.0),
        ("psi", "Pa", 6_894.757_293_168),
        ("t/h", "kg/s", 1.0 / 3.6),
        ("m3/h", "l/min", 1_000.0 / 60.0),
        ("km/h", "m/s", 1.0 / 3.6),
        ("rpm", "Hz", 1.0 / 60.0),
        ("1/min", "1/h", 60.0),
        ("kvar", "VA", 1_000.0),
        ("kVAh", "kWh", 1.0),
        ("l", "m3", 1e-3),
        ("hl", "L", 100.0),
        ("ha", "m2", 10_000.0),
        ("d", "h", 24.0),
        ("GB", "B", 1e9),
        ("GiB", "B", 1_073_741_824.0),
        ("KB", "kB", 1.0),
        ("Mbit/s", "kB/s", 125.0),
        ("%", "ppm", 1e4),
        ("inch", "mm", 25.4),
        ("ft", "inch", 12.0),
        ("lb", "g", 453.592_37),
        ("gpm", "l/min", 3.785_411_784),
        ("hp", "W", 745.699_871_582),
        ("deg", "rad", std::f64::consts::PI / 180.0),
        ("us", "ns", 1_000.0),
        ("cP", "Pa.s", 1e-3),
        ("cSt", "mm2/s", 1.0),
        ("Nm", "J", 1.0),
        ("kg/m3", "g/l", 1.0),
        ("degF", "K", 5.0 / 9.0),
        ("W/m2/K", "kW/m2/K", 1e-3),
        ("Ah", "C", 3_600.0),
        ("kn", "km/h", 1.852),
        ("mmHg", "Pa", 133.322_387_415),
        ("BTU", "kJ", 1.055_055_852_62),
    ] {
        close(a, b, factor);
    }
}

#[test]
fn scales_are_converted_with_their_zero() {
    let convert = |value: f64, a: &str, b: &str| {
        let (gain, offset) = unit(a).to(&unit(b));
        value * gain + offset
    };
    assert!((convert(100.0, "degC", "degF") - 212.0).abs() < 1e-9);
    assert!((convert(-40.0, "degF", "degC") + 40.0).abs() < 1e-9);
    assert!(unit("degC").point && !unit("K").point);
    assert!(!unit("degC/min").point, "in a quotient it is a difference");
}

#[test]
fn other_spellings_are_the_same_unit() {
    for (a, b) in [
        ("°C", "degC"),
        ("m³/h", "m3/h"),
        ("MQH", "m3/h"),
        ("µm", "um"),
        ("μm", "um"),
        ("kΩ", "kOhm"),
        ("KWH", "kWh"),
        ("MTQ", "m3"),
        ("sec", "s"),
        ("m²", "m2"),
        ("°", "deg"),
    ] {
        assert_eq!(unit(a), unit(b), "{a} {b}");
        assert_eq!(unit(a).text, unit(b).text);
    }
}

#[test]
fn unknown_units_are_refused_with_what_was_meant() {
    let units = Units::default();
    for (written, near) in [
        ("Kw", Some("kW")),
        ("KWh", Some("kWh")),
        ("Mwh", Some("MWh")),
        ("degc", Some("degC")),
        ("Bar", Some("bar")),
        ("m3/hh", None),
        ("KPA", Some("kPa")),
        ("zork", None),
        ("kmin", Some("min")),
        ("kdegC", Some("degC")),
    ] {
        assert!(units.find(written).is_none(), "{written}");
        assert_eq!(units.nearest(written).as_deref(), near, "{written}");
    }
    for unknown in ["", "/", "m/", "/m", "m//s", "m.", "1/", "3", "m0x", "k", "min2s"] {
        assert!(units.find(unknown).is_none(), "{unknown}");
    }
}

#[test]
fn declared_units_are_new_or_multiples() {
    let mut units = Units::default();
    units.declare("pcs", None).unwrap();
    units.declare("shot", None).unwrap();
    let pcs = units.find("pcs").unwrap();
    units.declare("pallet", Some((48.0, pcs.clone()))).unwrap();
    assert_eq!(units.find("pallet").unwrap().to(&pcs).0, 48.0);
    assert_ne!(units.find("shot").unwrap().dim, pcs.dim);
    let rate = units.find("pcs/min").unwrap();
    assert_eq!(rate.dim, pcs.per(&Unit::second()).dim);
    assert_eq!(units.nearest("pc").as_deref(), None);
    assert_eq!(units.nearest("PCS").as_deref(), Some("pcs"));
}

#[test]
fn roots_and_powers_belong_together() {
    let area = unit("m2");
    assert_eq!(area.root().unwrap().dim, unit("m").dim);
    assert_eq!(unit("km").power(2).unwrap().factor, 1e6);
    assert_eq!(unit("km2").root().unwrap().factor, 1e3);
    // halves exist, quarters do not
    assert!(unit("m").root().is_some_and(|root| root.root().is_none()));
    assert_eq!(unit("kVA").times(&unit("kVA")).root().unwrap().to(&unit("kW")).0, 1.0);
}

#[test]
fn quantities_have_names() {
    let name = |written: &str| quantity_name(&unit(written).dim);
    assert_eq!(
        ["kW", "kWh", "degC", "m3/h", "t/h", "%", "kg/m/s3"].map(name),
        [
            "a power",
            "an energy",
            "a temperature",
            "a volume flow",
            "a mass flow",
            "a plain number",
            "another quantity"
        ]
    );
}

#[test]
fn the_formatters_spelling_is_the_same_unit() {
    let own = ["µm", "kΩ", "N·m", "m³/h", "1/°C", "kW/sec", "m²", "μs/day"];
    for written in gwp_syntax::unit_aliases().map(|(alias, _)| alias).chain(own) {
        let normal = gwp_syntax::normal_unit(written, |_| false);
        let read = |spelling: &str| {
            let unit = Units::default().find(spelling)?;
            Some((unit.dim, unit.factor, unit.point, unit.text))
        };
        assert_eq!(read(written), read(&normal), "{written} and {normal}");
    }
}

#[test]
fn a_unit_whose_name_ends_in_a_digit_is_no_power() {
    let normal = unit("Nm3");
    assert!(normal.dim != unit("m3").dim && normal.dim != unit("J").power(3).unwrap().dim);
    assert_eq!(unit("Nm3/h").dim, normal.per(&unit("h")).dim);
    assert_eq!(&*unit("Sm3").text, "Sm3");
}
