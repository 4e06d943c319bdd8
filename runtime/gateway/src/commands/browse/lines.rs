//! A tree of nodes as text, and as `tag` lines: pure.

use crate::commands::import::text::{Names, line, name, quoted, unit};
use gwp_core::source::PlcType;
use gwp_driver_opcua::browse::{Data, ENGINEERING_UNITS, Found, Tree};
use std::collections::HashMap;

/// Widest column that others are aligned behind.
const COLUMN_MAX: usize = 48;
/// Elements of an array that become tags; of longer ones a comment tells.
const ELEMENTS_MAX: usize = 100;

/// One line per node, indented by level.
pub fn tree(tree: &Tree) -> String {
    let heads: Vec<String> =
        tree.nodes.iter().map(|node| format!("{}{}", "  ".repeat(node.depth), node.name)).collect();
    let addresses = tree.nodes.iter().map(|node| node.address.as_str());
    let (first, second) = (widest(heads.iter().map(String::as_str)), widest(addresses));
    let rows = tree.nodes.iter().zip(&heads);
    rows.map(|(node, head)| {
        let line = match &node.data {
            None => format!("{head:<first$}  {}", node.address),
            Some(data) => {
                let value = data.value.as_deref().map(|value| format!("  {value}")).unwrap_or_default();
                format!(
                    "{head:<first$}  {:<second$}  {:<14} {}{value}",
                    node.address,
                    kind(data),
                    access(data)
                )
            }
        };
        format!("{}\n", line.trim_end())
    })
    .collect()
}

fn widest<'a>(texts: impl Iterator<Item = &'a str>) -> usize {
    texts.map(|text| text.chars().count()).filter(|width| *width <= COLUMN_MAX).max().unwrap_or(0)
}

/// `Double`, `Int32[]`, `Double[,]`.
fn kind(data: &Data) -> String {
    match data.dimensions {
        None | Some(0) => data.type_name.clone(),
        Some(dimensions) => {
            format!("{}[{}]", data.type_name, ",".repeat(dimensions.saturating_sub(1).min(8)))
        }
    }
}

const fn access(data: &Data) -> &'static str {
    match (data.readable, data.writable) {
        (true, true) => "rw",
        (true, false) => "r ",
        (false, true) => " w",
        (false, false) => "  ",
    }
}

/// A line per variable that a tag can hold, and per element of an array; the others as comments that say why not.
pub fn tags(tree: &Tree) -> String {
    let usable = |node: &&Found| node.data.is_some() && !is_told_unit(tree, node);
    let mut named: HashMap<String, usize> = HashMap::new();
    for node in tree.nodes.iter().filter(usable) {
        *named.entry(node.name.to_lowercase()).or_default() += 1;
    }
    // `connected` is a tag that every source has.
    let mut names = Names::with(&["connected"]);
    let mut rows: Vec<[String; 3]> = Vec::new();
    let mut comments: HashMap<usize, Vec<String>> = HashMap::new();
    for node in tree.nodes.iter().filter(usable) {
        let Some(data) = &node.data else { continue };
        if let Some(why) = obstacle(node, data) {
            comments.entry(rows.len()).or_default().push(format!("// {}: {why}", line(&node.name)));
            continue;
        }
        let is_twin = named.get(&node.name.to_lowercase()).is_some_and(|count| *count > 1);
        let parent = node.parent.map(|parent| &tree.nodes[parent]).filter(|_| is_twin);
        let wanted = parent.map_or(node.name.clone(), |parent| format!("{}_{}", parent.name, node.name));
        let rest = behind(data);
        let mut row = |wanted: &str, address: &str| {
            rows.push([name(&names.take(wanted)), quoted(address), rest.clone()]);
        };
        // Behind an identifier that contains `#/` stands one already.
        let node_address = node.address.strip_suffix("#/").unwrap_or(&node.address);
        match (data.dimensions.unwrap_or(0), data.length) {
            (0, _) => row(&wanted, &node.address),
            (1, Some(length)) => {
                for element in 0..length.min(ELEMENTS_MAX) {
                    row(&format!("{wanted}_{element}"), &format!("{node_address}#/{element}"));
                }
                if length > ELEMENTS_MAX {
                    let cut =
                        format!("// {}: of {length} elements the first {ELEMENTS_MAX}", line(&node.name));
                    comments.entry(rows.len()).or_default().push(cut);
                }
            }
            (dimensions, _) => row(&wanted, &format!("{node_address}#{}", "/0".repeat(dimensions))),
        }
    }
    text(&rows, &comments)
}

/// The property whose unit its variable has.
fn is_told_unit(tree: &Tree, node: &Found) -> bool {
    let parent = node.parent.and_then(|parent| tree.nodes[parent].data.as_ref());
    node.name == ENGINEERING_UNITS && parent.is_some_and(|data| data.unit.is_some())
}

/// What stands behind the `:` of a tag: type, unit, and what there is to say.
fn behind(data: &Data) -> String {
    let mut text = data.plc_type.map_or("", |known| known.word()).to_owned();
    let mut about = Vec::new();
    if let Some(told) = &data.unit {
        match unit(told).filter(|_| data.plc_type.is_some_and(is_number)) {
            Some(unit) => text.extend([" ", &unit]),
            None => about.push(format!("in {}", line(told))),
        }
    }
    match (data.dimensions.unwrap_or(0), data.length) {
        (0, _) | (1, Some(_)) => {}
        _ => about.push("an array: the first element".into()),
    }
    if data.writable {
        about.push("can be written".into());
    }
    if !about.is_empty() {
        text.extend(["  // ", &about.join("; ")]);
    }
    text
}

fn is_number(plc_type: PlcType) -> bool {
    plc_type.whole_bounds().is_some() || matches!(plc_type, PlcType::Real | PlcType::Lreal)
}

/// Rows in columns; comments stand before the row of their number.
fn text(rows: &[[String; 3]], comments: &HashMap<usize, Vec<String>>) -> String {
    let width = |column: usize| widest(rows.iter().map(|row| row[column].as_str()));
    let (first, second) = (width(0), width(1));
    let mut out = String::new();
    for index in 0..=rows.len() {
        for comment in comments.get(&index).into_iter().flatten() {
            out.push_str(&format!("  {comment}\n"));
        }
        if let Some([name, address, rest]) = rows.get(index) {
            out.push_str(&format!("  tag {name:<first$} at {address:<second$} : {rest}\n"));
        }
    }
    out
}

/// Why a variable can be no tag.
fn obstacle(node: &Found, data: &Data) -> Option<String> {
    if line(&node.address) != node.address {
        return Some("its identifier has signs that a program cannot hold".into());
    }
    if data.plc_type.is_none() {
        let fields = "name a field behind `#/`";
        return Some(format!("{} at {}: {fields}", data.type_name, line(&node.address)));
    }
    if !data.readable {
        return Some(format!("this user may not read {}", line(&node.address)));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variable(name: &str, parent: usize, data: Data) -> Found {
        let address = format!("nsu=urn:plant;s=\"{name}\"");
        Found { parent: Some(parent), depth: 1, name: name.into(), address, data: Some(data) }
    }

    fn data(plc_type: PlcType, type_name: &str) -> Data {
        Data {
            plc_type: Some(plc_type),
            type_name: type_name.into(),
            dimensions: Some(0),
            length: None,
            unit: None,
            readable: true,
            writable: false,
            value: None,
        }
    }

    fn example() -> Tree {
        let folder = |name: &str| Found {
            parent: None,
            depth: 0,
            name: name.into(),
            address: format!("nsu=urn:plant;s={name}"),
            data: None,
        };
        let speed = Data { writable: true, value: Some("12.5".into()), ..data(PlcType::Lreal, "Double") };
        let array = Data { dimensions: Some(2), ..data(PlcType::Int, "Int16") };
        let structure = Data { plc_type: None, ..data(PlcType::Int, "Structure") };
        let secret = Data { readable: false, ..data(PlcType::Bool, "Boolean") };
        let nodes = vec![
            folder("Line1"),
            variable("Speed", 0, speed.clone()),
            variable("tag", 0, data(PlcType::Bool, "Boolean")),
            variable("TT-101.x", 0, array),
            variable("Recipe", 0, structure),
            variable("Connected", 0, data(PlcType::Bool, "Boolean")),
            folder("Line2"),
            variable("speed", 6, speed),
            variable("Secret", 6, secret),
        ];
        Tree { nodes, left_out: Vec::new() }
    }

    #[test]
    fn a_tree_has_columns() {
        let text = tree(&example());
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "Line1        nsu=urn:plant;s=Line1");
        assert_eq!(lines[1], "  Speed      nsu=urn:plant;s=\"Speed\"      Double         rw  12.5");
        assert_eq!(lines[3], "  TT-101.x   nsu=urn:plant;s=\"TT-101.x\"   Int16[,]       r");
        assert_eq!(lines.len(), 9);
    }

    #[test]
    fn tags_are_unique_and_written_as_the_language_wants_them() {
        let expected = r##"  tag Line1_Speed at "nsu=urn:plant;s=\"Speed\""        : lreal  // can be written
  tag tag         at "nsu=urn:plant;s=\"tag\""          : bool
  tag 'TT-101_x'  at "nsu=urn:plant;s=\"TT-101.x\"#/0/0" : int  // an array: the first element
  // Recipe: Structure at nsu=urn:plant;s="Recipe": name a field behind `#/`
  tag Connected_2 at "nsu=urn:plant;s=\"Connected\""    : bool
  tag Line2_speed at "nsu=urn:plant;s=\"speed\""        : lreal  // can be written
  // Secret: this user may not read nsu=urn:plant;s="Secret"
"##;
        let got = tags(&example());
        let plain = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(plain(&got), plain(expected), "{got}");
        // The columns stand below one another.
        let columns: Vec<_> =
            got.lines().filter(|line| line.starts_with("  tag")).map(|line| line.find(" : ")).collect();
        assert!(columns.windows(2).all(|two| two[0] == two[1]), "{got}");
    }

    /// A number with a unit, one with a unit that is not known, and arrays, one of which is long.
    fn measured() -> Tree {
        let real = || data(PlcType::Lreal, "Double");
        let unit = |name: &str| Data { unit: Some(name.into()), ..real() };
        let array = |length| Data { dimensions: Some(1), length, ..real() };
        let property = Data { plc_type: None, ..data(PlcType::Int, "Structure") };
        let nodes = vec![
            variable("Oil", 0, Data { writable: true, ..unit("°C") }),
            variable(ENGINEERING_UNITS, 0, property.clone()),
            variable("Way", 2, unit("furlong")),
            variable(ENGINEERING_UNITS, 2, property),
            variable("Profile", 4, Data { unit: Some("bar".into()), ..array(Some(2)) }),
            Found { address: "ns=2;s=a#/b#/".into(), ..variable("Long", 5, array(Some(ELEMENTS_MAX + 1))) },
            variable("Open", 6, array(None)),
            variable("Named", 7, Data { unit: Some("bar".into()), ..data(PlcType::String, "String") }),
        ];
        Tree { nodes, left_out: Vec::new() }
    }

    #[test]
    fn tags_have_units_and_arrays_a_tag_for_each_element() {
        let got = tags(&measured());
        let lines: Vec<String> =
            got.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
        let [oil, way, first, second, long, rest @ ..] = lines.as_slice() else { panic!("{got}") };
        assert_eq!(oil, r##"tag Oil at "nsu=urn:plant;s=\"Oil\"" : lreal degC // can be written"##);
        assert_eq!(way, r##"tag Way at "nsu=urn:plant;s=\"Way\"" : lreal // in furlong"##);
        assert_eq!(first, r##"tag Profile_0 at "nsu=urn:plant;s=\"Profile\"#/0" : lreal bar"##);
        assert_eq!(second, r##"tag Profile_1 at "nsu=urn:plant;s=\"Profile\"#/1" : lreal bar"##);
        assert_eq!(long, "tag Long_0 at \"ns=2;s=a#/b#/0\" : lreal");
        let [.., last, cut, open, named] = rest else { panic!("{got}") };
        assert_eq!(last, "tag Long_99 at \"ns=2;s=a#/b#/99\" : lreal");
        assert_eq!(cut, "// Long: of 101 elements the first 100");
        assert_eq!(
            open,
            r##"tag Open at "nsu=urn:plant;s=\"Open\"#/0" : lreal // an array: the first element"##
        );
        assert_eq!(named, r##"tag Named at "nsu=urn:plant;s=\"Named\"" : string // in bar"##);
    }

    #[test]
    fn what_is_printed_is_right_below_a_source() {
        let head = "source line : opcua {\n  address = \"opc.tcp://10.1.4.40:4840\"\n";
        for tree in [example(), measured()] {
            let text =
                format!("{head}{}}}\nsink screen : console {{}}\nflow all = line -> screen\n", tags(&tree));
            let mut said = crate::commands::program::of_text("a.gwp", &text).diagnostics;
            // That of the console's journal.
            said.retain(|said| said.severity != gwp_syntax::Severity::Note);
            assert!(said.is_empty(), "{said:?}");
        }
    }
}
