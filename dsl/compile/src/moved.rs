//! `moved old -> new`: checks the lines and finds what kind of thing each is about.

use std::collections::HashMap;

use gwp_plan::{Moved, MovedKind, Place, Renames};
use gwp_syntax::ast::{self, MemberPick, Name, Path};
use gwp_syntax::{Diagnostic, Diagnostics, Span};

use crate::check::resolve::no_member;
use crate::items::ItemKind;
use crate::world::World;

/// What can have another name.
const MOVABLE: [ItemKind; 5] =
    [ItemKind::Device, ItemKind::Source, ItemKind::Sink, ItemKind::Flow, ItemKind::Write];

/// What has members.
const WITH_MEMBERS: [ItemKind; 3] = [ItemKind::Device, ItemKind::Source, ItemKind::Write];

/// Steps that a number of a family takes stand for those of all of them.
const ANY_NUMBER: &str = "0";

/// One side of a line, as written.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Side<'a> {
    item: &'a str,
    /// Of all devices of a family.
    all: bool,
    member: Option<&'a str>,
}

impl Side<'_> {
    fn place(&self) -> Place {
        Place::member(self.item, self.member.unwrap_or_default())
    }
}

/// A line whose two sides fit.
struct Line<'a> {
    at: &'a ast::Moved,
    old: Side<'a>,
    new: Side<'a>,
}

/// All lines, sorted; of those in error what can be made of them.
pub(crate) fn moved(world: &World<'_>, report: &mut Diagnostics) -> Vec<Moved> {
    let lines: Vec<Line<'_>> = world.items.moved.iter().filter_map(|at| line(at, report)).collect();
    let lines = once(lines, report);
    let lines = without_rings(lines, report);
    let items: HashMap<&str, &str> = lines
        .iter()
        .filter(|line| line.old.member.is_none())
        .map(|line| (line.old.item, line.new.item))
        .collect();
    let mut kinds = Vec::new();
    for line in &lines {
        old_is_gone(world, line, report);
        let kind = match line.old.member {
            Some(_) if line.old.all => Some(MovedKind::FamilyMember),
            Some(_) => Some(MovedKind::Member),
            None => item_kind(world, line, &items, report),
        };
        kinds.extend(kind.map(|kind| (line, Moved { kind, old: line.old.place(), new: line.new.place() })));
    }
    let all: Vec<Moved> = kinds.iter().map(|(_, moved)| moved.clone()).collect();
    let renames = Renames::new(&all);
    for (line, moved) in &kinds {
        if moves_in_a_ring(moved, &renames) {
            report.push(ring(line.at.span));
        } else if let Some(member) = line.at.new.rest.first() {
            report.extend(member_is_there(world, line, member, &renames));
        }
    }
    let mut all = all;
    all.sort_unstable();
    all
}

/// Takes a line apart.
fn line<'a>(at: &'a ast::Moved, report: &mut Diagnostics) -> Option<Line<'a>> {
    let sides = [&at.old, &at.new].map(side);
    let [old, new] = match sides {
        [Ok(old), Ok(new)] => [old, new],
        [old, new] => {
            report.extend([old, new].into_iter().filter_map(Result::err).map(|fault| *fault));
            return None;
        }
    };
    if old.member.is_some() == new.member.is_some() && old.all == new.all {
        return Some(Line { at, old, new });
    }
    let fault = Diagnostic::new("E119", at.span, format!("`{}` cannot become `{}`", at.old, at.new));
    report.push(
        fault.help(
            "an item becomes an item, `device.tag` a `device.tag`, and `family[*].tag` a `family[*].tag`",
        ),
    );
    None
}

fn side(path: &Path) -> Result<Side<'_>, Box<Diagnostic>> {
    let wrong = |help: String| {
        let fault = Diagnostic::new("E119", path.span, format!("`{path}` is no name that can move"));
        Err(Box::new(fault.help(help)))
    };
    let all = match path.members.as_ref().map(|members| &members.pick) {
        None => false,
        Some(MemberPick::All) if path.rest.is_empty() => {
            return wrong(format!("name the family alone: `{}`", path.root));
        }
        Some(MemberPick::All) => true,
        Some(_) => return wrong("name one device in full, such as `meter07`".into()),
    };
    match path.rest.as_slice() {
        [] => Ok(Side { item: &path.root.text, all, member: None }),
        [member] => Ok(Side { item: &path.root.text, all, member: Some(&member.text) }),
        [..] => wrong("name an item, or a member of a device as `device.tag`".into()),
    }
}

/// Two lines from one name, or to one, contradict each other.
fn once<'a>(lines: Vec<Line<'a>>, report: &mut Diagnostics) -> Vec<Line<'a>> {
    let (mut from, mut to): (HashMap<Side<'a>, Span>, HashMap<Side<'a>, Span>) = Default::default();
    let mut kept = Vec::new();
    for line in lines {
        let (old, new) = (&line.at.old, &line.at.new);
        let clash = match (from.get(&line.old), to.get(&line.new)) {
            (Some(first), _) => Some((first, old.span, format!("`{old}` moves twice"))),
            (_, Some(first)) => Some((first, new.span, format!("two names become `{new}`"))),
            _ => None,
        };
        if let Some((first, span, message)) = clash {
            let fault = Diagnostic::new("E118", span, message).label(*first, "the first time");
            report.push(fault.help("remove one of the two lines"));
            continue;
        }
        from.insert(line.old, old.span);
        to.insert(line.new, new.span);
        kept.push(line);
    }
    kept
}

fn ring(span: Span) -> Diagnostic {
    Diagnostic::new("E118", span, "these moves lead back to where they began")
        .help("keep the lines that lead to the name of today")
}

/// Lines about items that do not lead back to where they began.
fn without_rings<'a>(lines: Vec<Line<'a>>, report: &mut Diagnostics) -> Vec<Line<'a>> {
    let step: HashMap<Side<'a>, Side<'a>> = lines.iter().map(|line| (line.old, line.new)).collect();
    let leads_back = |line: &Line<'a>| {
        let mut at = line.new;
        for _ in 0..step.len() {
            match step.get(&at) {
                Some(_) if at == line.old => return true,
                Some(next) => at = *next,
                None => return false,
            }
        }
        at == line.old
    };
    let (rings, kept): (Vec<_>, Vec<_>) = lines.into_iter().partition(leads_back);
    report.extend(rings.iter().map(|line| ring(line.at.span)));
    kept
}

/// Also members and their devices together may lead back.
fn moves_in_a_ring(moved: &Moved, renames: &Renames) -> bool {
    match moved.kind {
        MovedKind::Flow | MovedKind::Sink => false,
        MovedKind::Device | MovedKind::Member => renames.place(&moved.old).is_none(),
        MovedKind::Family | MovedKind::FamilyMember => renames.place(&numbered(&moved.old)).is_none(),
    }
}

fn numbered(place: &Place) -> Place {
    Place { item: format!("{}{ANY_NUMBER}", place.item).into(), member: place.member.clone() }
}

/// The old name must be free, or it would mean two things.
fn old_is_gone(world: &World<'_>, line: &Line<'_>, report: &mut Diagnostics) {
    let old = &line.old;
    let device = world.by_name.get(old.item).and_then(|index| world.device(*index));
    let declared = match (old.member, old.all) {
        (None, _) => {
            let item = world.items.get(old.item).map(|named| named.span);
            item.or_else(|| device.map(|device| device.decl.name().span))
        }
        (Some(member), false) => device.and_then(|device| member_span(world, device, member)),
        (Some(member), true) => world.families.get(old.item).and_then(|family| {
            let mut devices = family.devices.values().filter_map(|index| world.device(*index));
            devices.find_map(|device| member_span(world, device, member))
        }),
    };
    if let Some(declared) = declared {
        let name = &line.at.old;
        let fault = Diagnostic::new("E120", name.span, format!("`{name}` has not moved: it is still there"));
        report.push(fault.label(declared, "declared here").help("remove this line, or the old item"));
    }
}

fn member_span(world: &World<'_>, device: &crate::world::Device<'_>, member: &str) -> Option<Span> {
    Some(world.tag(*device.members.get(member)?)?.decl.span())
}

/// What the item at the end of a chain is. Only the last line of a chain says that it is not there.
fn item_kind(
    world: &World<'_>,
    line: &Line<'_>,
    items: &HashMap<&str, &str>,
    report: &mut Diagnostics,
) -> Option<MovedKind> {
    let mut end = line.new.item;
    // Rings have been taken out.
    while let Some(next) = items.get(end) {
        end = next;
    }
    match world.items.get(end).map(|named| named.kind) {
        Some(ItemKind::Device) if world.families.contains_key(end) => Some(MovedKind::Family),
        Some(ItemKind::Device | ItemKind::Source | ItemKind::Write) => Some(MovedKind::Device),
        Some(ItemKind::Flow) => Some(MovedKind::Flow),
        Some(ItemKind::Sink) => Some(MovedKind::Sink),
        None if world.by_name.contains_key(end) => Some(MovedKind::Device),
        _ => {
            if end == line.new.item {
                report.extend(world.items.unknown(&line.at.new.root, &MOVABLE));
            }
            None
        }
    }
}

/// The member at the end of a chain must be there.
fn member_is_there(
    world: &World<'_>,
    line: &Line<'_>,
    member: &Name,
    renames: &Renames,
) -> Option<Diagnostic> {
    let new = line.new.place();
    let followed = match line.new.all {
        true => renames.place(&numbered(&new)),
        false => renames.place(&new),
    };
    let end = followed.as_ref().map_or(line.new.item, |end| match line.new.all {
        true => end.item.strip_suffix(ANY_NUMBER).unwrap_or(&end.item),
        false => &end.item,
    });
    let called = followed.as_ref().map_or(&*member.text, |end| &end.member);
    let root = &line.at.new.root;
    let family = world.families.get(end);
    let devices: Vec<usize> = match (line.new.all, family, world.by_name.get(end)) {
        (true, Some(family), _) => family.devices.values().copied().collect(),
        (false, None, Some(device)) => vec![*device],
        (false, Some(_), _) => {
            let fault = Diagnostic::new("E119", line.at.new.span, format!("`{end}` is a family"));
            return Some(fault.help(format!("write `{root}[*].{member}`, on both sides")));
        }
        (true, None, Some(_)) => {
            let fault =
                Diagnostic::new("E119", line.at.new.span, format!("`{end}` is one device, not a family"));
            return Some(fault.help(format!("write `{root}.{member}`, on both sides")));
        }
        // The line that moves it on says so.
        (_, None, None) if followed.is_some() => return None,
        (_, None, None) => return world.items.unknown(root, &WITH_MEMBERS),
    };
    let mut devices = devices.into_iter().filter_map(|index| world.device(index));
    let missing = devices.find(|device| !device.members.contains_key(called) && !device.hides(called))?;
    match called == member.text {
        true => Some(no_member(missing, member)),
        // The line that moves it on says so.
        false => None,
    }
}
