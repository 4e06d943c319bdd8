//! Expressions and stages written out in one canonical way, for messages and for summaries of a flow.

use std::fmt::{self, Display, Formatter, Write as _};

use crate::ast::{
    Arg, BinaryOp, Call, Expr, ExprKind, MemberPick, Members, Name, Path, Quantity, Select, SelectPart,
    SelectRoot, Text, TextPart, UnaryOp,
};

impl Display for Name {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.quoted { write!(f, "'{}'", self.text) } else { f.write_str(&self.text) }
    }
}

impl Display for Expr {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match &self.kind {
            ExprKind::Quantity(quantity) => quantity.fmt(f),
            ExprKind::Text(text) => text.fmt(f),
            ExprKind::Instant(text) | ExprKind::Clock(text) => f.write_str(text),
            ExprKind::Path(path) => path.fmt(f),
            ExprKind::Call(call) => call.fmt(f),
            ExprKind::Group(inner) => write!(f, "({inner})"),
            ExprKind::Unary(UnaryOp::Neg, operand) => write!(f, "-{operand}"),
            ExprKind::Unary(UnaryOp::Not, operand) => write!(f, "not {operand}"),
            ExprKind::Binary(binary) => write!(f, "{} {} {}", binary.left, binary.op, binary.right),
            ExprKind::If(choice) => {
                write!(f, "if {} then {} else {}", choice.condition, choice.then, choice.or_else)
            }
        }
    }
}

impl Display for BinaryOp {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(self.sign())
    }
}

impl Display for Quantity {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&self.number.replace('_', ""))?;
        match &self.unit {
            Some(unit) if unit.text.starts_with('/') => f.write_str(&unit.text),
            Some(unit) => write!(f, " {}", unit.text),
            None => Ok(()),
        }
    }
}

impl Display for Text {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        for part in &self.parts {
            match part {
                TextPart::Insert(insert) => write!(f, "{{{insert}}}")?,
                TextPart::Literal(literal) => {
                    for c in literal.chars() {
                        match c {
                            '"' => f.write_str("\\\"")?,
                            '\\' => f.write_str("\\\\")?,
                            '\n' => f.write_str("\\n")?,
                            '\t' => f.write_str("\\t")?,
                            '{' => f.write_str("{{")?,
                            '}' => f.write_str("}}")?,
                            other => f.write_char(other)?,
                        }
                    }
                }
            }
        }
        f.write_char('"')
    }
}

impl Display for Members {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match &self.pick {
            MemberPick::All => f.write_str("[*]"),
            MemberPick::One(one) => write!(f, "[{}]", one.text),
            MemberPick::Range(first, last) => write!(f, "[{}..{}]", first.text, last.text),
        }
    }
}

impl Display for Path {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.root.fmt(f)?;
        self.members.iter().try_for_each(|members| members.fmt(f))?;
        self.rest.iter().try_for_each(|name| write!(f, ".{name}"))
    }
}

impl Display for Call {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}(", self.name)?;
        for (index, arg) in self.args.iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(f, "{comma}{arg}")?;
        }
        f.write_char(')')
    }
}

impl Display for Arg {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.key.iter().try_for_each(|key| write!(f, "{key} = "))?;
        self.value.fmt(f)
    }
}

impl Display for Select {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match &self.root {
            SelectRoot::Any(_) => f.write_char('*')?,
            SelectRoot::Named(name, members) => {
                name.fmt(f)?;
                members.iter().try_for_each(|members| members.fmt(f))?;
            }
        }
        self.parts.iter().try_for_each(|part| match part {
            SelectPart::Name(name) => write!(f, ".{name}"),
            SelectPart::Prefix(prefix) => write!(f, ".{}*", prefix.text),
        })
    }
}
