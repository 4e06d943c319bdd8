//! The tree of small programs, written back as text in which every bracket is there.

use crate::ast::*;
use crate::recover::parse_items;
use crate::{FileId, parse};

/// The only item of a text without faults.
fn item(text: &str) -> Item {
    let mut parsed = parse(FileId(0), text);
    assert_eq!(parsed.diagnostics, [], "{text}");
    assert_eq!(parsed.file.items.len(), 1);
    parsed.file.items.remove(0)
}

/// An expression with all its brackets.
fn expr(value: &Expr) -> String {
    match &value.kind {
        ExprKind::Quantity(q) => {
            format!("{}{}", q.number, q.unit.as_ref().map_or(String::new(), |u| format!("_{}", u.text)))
        }
        ExprKind::Text(text) => {
            let part = |part: &TextPart| match part {
                TextPart::Literal(literal) => literal.clone(),
                TextPart::Insert(insert) => format!("<{}>", expr(insert)),
            };
            format!("\"{}\"", text.parts.iter().map(part).collect::<String>())
        }
        ExprKind::Instant(text) | ExprKind::Clock(text) => format!("@{text}"),
        ExprKind::Path(path) => {
            let rest: String = path.rest.iter().map(|name| format!(".{}", name.text)).collect();
            format!("{}{}{rest}", path.root.text, path.members.as_ref().map_or("", |_| "[]"))
        }
        ExprKind::Call(call) => {
            let args: Vec<_> = call
                .args
                .iter()
                .map(|arg| {
                    format!(
                        "{}{}",
                        arg.key.as_ref().map_or(String::new(), |k| format!("{}=", k.text)),
                        expr(&arg.value)
                    )
                })
                .collect();
            format!("{}({})", call.name.text, args.join(", "))
        }
        ExprKind::Group(inner) => expr(inner),
        ExprKind::Unary(op, operand) => format!("({op:?} {})", expr(operand)),
        ExprKind::Binary(b) => format!("({} {} {})", expr(&b.left), b.op.sign(), expr(&b.right)),
        ExprKind::If(choice) => {
            format!("(if {} {} {})", expr(&choice.condition), expr(&choice.then), expr(&choice.or_else))
        }
    }
}

fn read_expr(written: &str) -> Expr {
    let text = format!("const x = {written}\n");
    let Item::Const(constant) = item(&text) else { panic!("a constant") };
    assert_eq!(&text[constant.value.span.range()], written, "the span is that of the expression");
    constant.value
}

fn read(written: &str) -> String {
    expr(&read_expr(written))
}

#[test]
fn operators_bind_as_the_reference_says() {
    assert_eq!(read("a + b * c - d"), "((a + (b * c)) - d)");
    assert_eq!(read("not a == b and c or d otherwise e"), "((((Not (a == b)) and c) or d) otherwise e)");
    assert_eq!(read("-a * b mod -c / d"), "((((Neg a) * b) mod (Neg c)) / d)");
    assert_eq!(read("(a otherwise b) < c"), "((a otherwise b) < c)");
    assert_eq!(read("if a then b else c + 1"), "(if a b (c + 1))");
    assert_eq!(read("a\n  + b\n  *\n  c"), "(a + (b * c))");
}

#[test]
fn numbers_take_the_unit_behind_them() {
    assert_eq!(read("90 degC"), "90_degC");
    assert_eq!(read("5s"), "5_s");
    assert_eq!(read("1.5e3 m³/h - 5 %"), "(1.5e3_m³/h - 5_%)");
    assert_eq!(read("1/min"), "1_/min");
    assert_eq!(read("1/(min)"), "(1 / min)");
    assert_eq!(read("1/f(x) + 2 / y"), "((1 / f(x)) + (2 / y))");
    assert_eq!(read("5 and x"), "(5 and x)");
    assert_eq!(read("1_000 kg/m3/K"), "1_000_kg/m3/K");
    assert_eq!(read("2025-06-01T00:00Z"), "@2025-06-01T00:00Z");
    assert_eq!(read("06:30"), "@06:30");
}

#[test]
fn what_is_printed_reads_back_as_the_same() {
    let canonical = "if not a.b and (c + 1_000 kW) * -2 > m[01..03].'x y' then f(\"p {x} {{ \\\"\", k = 1/min) else 06:00";
    let once = read_expr(canonical).to_string();
    assert_eq!(once, canonical.replace("1_000", "1000"));
    assert_eq!(read_expr(&once).to_string(), once);
}

#[test]
fn texts_hold_inserts_and_escapes() {
    assert_eq!(read(r#""a {{b}} \"{x + "{y}"}\"""#), r#""a {b} "<(x + "<y>")>"""#);
    assert_eq!(read(r#""""#), r#""""#);
}

#[test]
fn paths_and_calls_keep_their_parts() {
    assert_eq!(read("meter[07].power.quality"), "meter[].power.quality");
    assert_eq!(read("f(a, b = 2,)"), "f(a, b=2)");
    assert_eq!(read("press.'TT-101'"), "press.TT-101");
}

#[test]
fn a_tag_keeps_all_its_attributes() {
    let text = "source s : d {\n  tag t at \"a\" : int kW scale 0..1 -> 2..3 counter enum { 0 = \"off\", -1 = \"on\" } desc \"x\" // c\n}";
    let Item::Source(source) = item(text) else { panic!("a source") };
    let [Member::Tag(tag)] = &source.body.members[..] else { panic!("a tag") };
    let words: Vec<_> = tag.attrs.iter().map(|attr| attr.word.word()).collect();
    assert_eq!(words, ["scale", "counter", "enum", "desc"]);
    assert!(text[tag.span.range()].ends_with("desc \"x\""), "the comment is not part of the tag");
    let AttrValue::Range(scale) = &tag.attrs[0].value else { panic!("a range") };
    assert!(scale.high.is_some() && scale.to.is_some());
    let AttrValue::Pairs(pairs) = &tag.attrs[2].value else { panic!("pairs") };
    assert_eq!(pairs[1].number.text, "-1");
    assert_eq!(tag.ty.unit.as_ref().map(|unit| unit.text.as_str()), Some("kW"));
}

#[test]
fn a_flow_keeps_heads_and_stages_in_order() {
    let text = "flow f priority high = a[*].x, *.alarms except b.t_*\n  -> where x > 1\n  -> changes()\n  -> split {\n when a -> b\n else -> c, d\n }";
    let Item::Flow(flow) = item(text) else { panic!("a flow") };
    assert_eq!((flow.from.len(), flow.except.len(), flow.attrs.len()), (2, 1, 1));
    assert!(matches!(&flow.except[0].parts[0], SelectPart::Prefix(name) if name.text == "t_"));
    let [Stage::Where(..), Stage::Call(call), Stage::Split(branches, _)] = &flow.stages[..] else {
        panic!("{flow:?}")
    };
    assert_eq!(call.name.text, "changes");
    assert!(branches[0].when.is_some() && branches[1].when.is_none());
    assert!(matches!(&branches[1].stages[0], Stage::Targets(names, _) if names.len() == 2));
}

#[test]
fn comments_are_kept_with_their_place() {
    let text = "// first\nconst a = 1 // same line\n  // own line\n";
    let parsed = parse(FileId(0), text);
    let found: Vec<_> = parsed.file.comments.iter().map(|c| (&text[c.span.range()], c.trailing)).collect();
    assert_eq!(found, [("// first", false), ("// same line", true), ("// own line", false)]);
}

#[test]
fn reading_entry_by_entry_gives_the_same_tree() {
    let programs = [
        include_str!("../tests/fixtures/boiler.gwp"),
        include_str!("../tests/fixtures/erp.gwp"),
        include_str!("../tests/fixtures/hello.gwp"),
        include_str!("../tests/fixtures/meters.gwp"),
        include_str!("../tests/fixtures/plant.gwp"),
        include_str!("../tests/fixtures/substation.gwp"),
    ];
    for text in programs {
        let entries = parse_items(FileId(0), text, 0);
        assert_eq!(entries.diagnostics, []);
        assert_eq!(parse(FileId(0), text).file, entries.file);
    }
}
