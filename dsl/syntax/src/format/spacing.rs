//! Where a blank stands between two pieces of a line.

use super::lines::{Class, Piece};

/// What a sign does where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Plain,
    /// The minus of `-5`.
    Prefix,
    /// The star of `*.alarms`, `meter[*]` and `temp_*`; any other is a multiplication.
    Star,
}

/// A piece and what it does.
#[derive(Clone, Copy)]
pub(super) struct Placed<'l, 'a> {
    pub piece: &'l Piece<'a>,
    pub role: Role,
}

impl Placed<'_, '_> {
    /// True when a value can end here.
    fn ends_value(&self) -> bool {
        match self.piece.class {
            Class::Word => !self.piece.is_reserved(),
            Class::Sign => self.role == Role::Star,
            Class::Open | Class::Other => false,
            _ => true,
        }
    }

    /// True when the statement goes on behind it whatever follows; commas are another matter.
    pub(super) fn goes_on(&self) -> bool {
        match self.piece.class {
            Class::Sign => self.role != Role::Star && self.piece.text != ",",
            Class::Word => {
                matches!(&*self.piece.text, "and" | "or" | "not" | "mod" | "otherwise" | "then" | "else")
            }
            _ => false,
        }
    }
}

/// What `piece` does behind the piece before it, perhaps on a line above. `head` is true where devices and tags are
/// picked and nothing is computed; `label` where a minus can only belong to a label.
pub(super) fn role(before: Option<Placed<'_, '_>>, piece: &Piece<'_>, head: bool, label: bool) -> Role {
    let after_value = before.is_some_and(|before| before.ends_value());
    match &*piece.text {
        "-" if piece.class == Class::Sign && (!after_value || label) => Role::Prefix,
        "*" if piece.class == Class::Sign && (!after_value || head) => Role::Star,
        _ => Role::Plain,
    }
}

/// `1 = "on"`, after its minus.
pub(super) fn is_label(pieces: &[Piece<'_>]) -> bool {
    matches!(pieces, [number, sign, ..] if number.class == Class::Number && sign.is_sign("="))
}

/// Whether a blank stands between two pieces; `tight_colon` is true where a colon stands at the word before it.
pub(super) fn blank(before: Placed<'_, '_>, next: Placed<'_, '_>, tight_colon: bool) -> bool {
    let (left, right) = (before.piece, next.piece);
    match (left.class, &*left.text) {
        (Class::Open, "{") => return right.text != "}",
        (Class::Open, _) | (Class::Sign, "." | "..") => return false,
        (Class::Sign, "-") if before.role == Role::Prefix => return false,
        _ => {}
    }
    match (right.class, &*right.text) {
        (Class::Close, text) => text == "}",
        (Class::Sign, "," | "." | "..") => false,
        (Class::Sign, ":") => !tight_colon,
        (Class::Sign, "*") if next.role == Role::Star => !before.ends_value(),
        (Class::Open, "(") => left.class != Class::Word || left.is_reserved(),
        (Class::Open, "[") => !matches!(left.class, Class::Word | Class::Quoted) || left.is_reserved(),
        (Class::Unit, text) => !text.starts_with('/'),
        (Class::Other, _) => !right.joined,
        _ => left.class != Class::Other || !right.joined,
    }
}
