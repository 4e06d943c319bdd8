//! What the servers of `tests/peers` hold, and what the driver makes of it.

use gwp_core::source::PlcType::{self, *};

use gwp_core::{Quality, Timestamp, Value};

/// A node, the type of its tag, and the value.
pub type Row = (&'static str, PlcType, Value);

/// Midnight of a day, in seconds since 1970.
const FIRST_DAY: i64 = -9_223_286_400;
const LAST_DAY: i64 = 9_223_286_400;
const LEAP_DAY: Timestamp = Timestamp(1_709_208_000_500_000_000);
const GUID: &str = "12345678-1234-5678-1234-567812345678";

/// The address of a node in the plant's namespace.
pub fn at(name: &str) -> std::string::String {
    format!("nsu=urn:gwp:plant;s={name}")
}

fn text(text: &str) -> Value {
    Value::Text(text.into())
}

/// One of each built-in type.
pub fn types() -> Vec<Row> {
    vec![
        ("Types.Boolean", Bool, Value::Bool(true)),
        ("Types.SByte", Sint, Value::Int(-8)),
        ("Types.Byte", Usint, Value::Int(8)),
        ("Types.Int16", Int, Value::Int(-1616)),
        ("Types.UInt16", Uint, Value::Int(1616)),
        ("Types.Int32", Dint, Value::Int(-323_232)),
        ("Types.UInt32", Udint, Value::Int(323_232)),
        ("Types.Int64", Lint, Value::Int(i64::MIN)),
        ("Types.UInt64", Ulint, Value::UInt(u64::MAX)),
        ("Types.Float", Real, Value::Float(1.5)),
        ("Types.Double", Lreal, Value::Float(2.25)),
        ("Types.String", String, text("Größe Ω")),
        ("Types.DateTime", Time, Value::Time(LEAP_DAY)),
        ("Types.Guid", String, text(GUID)),
        ("Types.ByteString", String, text("0001ff")),
        ("Types.XmlElement", String, text("<a/>")),
        ("Types.NodeId", String, text("i=2253")),
        ("Types.ExpandedNodeId", String, text("svr=0;i=2253")),
        ("Types.StatusCode", Udint, Value::Int(0x808D_0000)),
        ("Types.QualifiedName", String, text("name")),
        ("Types.LocalizedText", String, text("text")),
        ("Types.Phase", Dint, Value::Int(1)),
    ]
}

/// Ends of ranges, empty things, parts of arrays.
pub fn extremes() -> Vec<Row> {
    vec![
        ("Extremes.SByteMin", Sint, Value::Int(-128)),
        ("Extremes.SByteMax", Sint, Value::Int(127)),
        ("Extremes.ByteMax", Usint, Value::Int(255)),
        ("Extremes.Int16Min", Int, Value::Int(-32_768)),
        ("Extremes.Int16Max", Int, Value::Int(32_767)),
        ("Extremes.UInt16Max", Uint, Value::Int(65_535)),
        ("Extremes.Int32Min", Dint, Value::Int(i32::MIN.into())),
        ("Extremes.Int32Max", Dint, Value::Int(i32::MAX.into())),
        ("Extremes.UInt32Max", Udint, Value::Int(u32::MAX.into())),
        ("Extremes.Int64Max", Lint, Value::Int(i64::MAX)),
        ("Extremes.FloatMax", Real, Value::Float(f32::MAX.into())),
        ("Extremes.FloatInf", Real, Value::Float(f64::NEG_INFINITY)),
        ("Extremes.DoubleMax", Lreal, Value::Float(f64::MAX)),
        ("Extremes.DoubleLeast", Lreal, Value::Float(5e-324)),
        ("Extremes.DoubleInf", Lreal, Value::Float(f64::INFINITY)),
        ("Extremes.StringEmpty", String, text("")),
        ("Extremes.ByteStringEmpty", String, text("")),
        ("Extremes.GuidZero", String, text("00000000-0000-0000-0000-000000000000")),
        ("Extremes.DateTimeFirst", Time, Value::Time(Timestamp(FIRST_DAY * 1_000_000_000))),
        ("Extremes.DateTimeLast", Time, Value::Time(Timestamp(LAST_DAY * 1_000_000_000))),
        ("Extremes.DateTimeEnd", String, text("9999-12-31T23:59:58.000Z")),
        ("Arrays.Boolean#/1", Bool, Value::Bool(true)),
        ("Arrays.Byte#/1", Usint, Value::Int(255)),
        ("Arrays.Int32#/1", Dint, Value::Int(-2)),
        ("Arrays.Int64#/1", Lint, Value::Int(i64::MIN)),
        ("Arrays.Float#/0", Real, Value::Float(1.5)),
        ("Arrays.String#/1", String, text("b")),
        ("Arrays.DateTime#/1", Time, Value::Time(LEAP_DAY)),
        ("Arrays.Guid#/1", String, text(GUID)),
        ("Arrays.ByteString#/1", String, text("0102")),
        ("Arrays.LocalizedText#/1", String, text("text")),
        ("Arrays.Variant#/0", Dint, Value::Int(5)),
        ("Arrays.Variant#/1", String, text("x")),
        ("Arrays.Matrix#/1/0", Lreal, Value::Float(3.0)),
    ]
}

/// A structure of the server's own.
pub fn structures() -> Vec<Row> {
    vec![
        ("Types.Recipe#/name", String, text("bread")),
        ("Types.Recipe#/first/temperature", Lreal, Value::Float(210.5)),
        ("Types.Recipe#/first/minutes", Int, Value::Int(40)),
        ("Types.Recipe#/numbers/2", Dint, Value::Int(3)),
    ]
}

/// What the package for Python with open62541 cannot make, by the beginnings of names.
pub const NOT_IN_O6: [&str; 2] = ["Types.StatusCode", "Arrays.Variant"];

/// What is bad, and why.
pub fn bad() -> Vec<(&'static str, PlcType, Quality)> {
    vec![
        ("Types.Nothing", Dint, Quality::UNKNOWN_ADDRESS),
        ("Types.String", Dint, Quality::NOT_A_NUMBER),
        ("Types.Int32", Uint, Quality::OVERFLOW),
        ("Extremes.FloatNaN", Real, Quality::NOT_A_NUMBER),
        ("Extremes.DoubleNaN", Lreal, Quality::NOT_A_NUMBER),
        ("Extremes.DateTimeNull", Time, Quality::OVERFLOW),
        ("Extremes.DateTimeEnd", Time, Quality::OVERFLOW),
        ("Arrays.Float#/1", Real, Quality::NOT_A_NUMBER),
        ("Arrays.Int32#/3", Dint, Quality::UNKNOWN_ADDRESS),
        ("Arrays.Empty#/0", Dint, Quality::UNKNOWN_ADDRESS),
    ]
}
