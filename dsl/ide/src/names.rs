//! What a project calls by name: items, their members, and which of them a place can see.

use crate::Analysis;
use crate::cursor::Cursor;
use gwp_syntax::ast::{Body, Column, Flow, Item, Member, Name, Param, SelectRoot, Stage, Template, Window};

/// The name of an item that has one.
pub(crate) fn name_of(item: &Item) -> Option<&Name> {
    Some(match item {
        Item::Gateway(item) => &item.name,
        Item::Const(item) => &item.name,
        Item::Template(item) => &item.name,
        Item::Source(item) => &item.name,
        Item::Device(item) => &item.name,
        Item::Sink(item) => &item.name,
        Item::Flow(item) => &item.name,
        Item::Write(item) => &item.name,
        Item::Use(_) | Item::Unit(_) | Item::Moved(_) | Item::Test(_) => return None,
    })
}

/// The keyword of an item.
pub(crate) fn keyword_of(item: &Item) -> &'static str {
    match item {
        Item::Use(_) => "use",
        Item::Gateway(_) => "gateway",
        Item::Const(_) => "const",
        Item::Unit(_) => "unit",
        Item::Template(_) => "template",
        Item::Source(_) => "source",
        Item::Device(_) => "device",
        Item::Sink(_) => "sink",
        Item::Flow(_) => "flow",
        Item::Write(_) => "write",
        Item::Moved(_) => "moved",
        Item::Test(_) => "test",
    }
}

/// What stands between the braces of an item that has members.
pub(crate) fn body_of(item: &Item) -> Option<&Body> {
    match item {
        Item::Template(item) => Some(&item.body),
        Item::Source(item) => Some(&item.body),
        Item::Device(item) => Some(&item.body),
        _ => None,
    }
}

/// What a name without a dot stands for inside of an item.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Named<'a> {
    Param(&'a Param),
    Member(&'a Item, &'a Member),
    Column(&'a Column),
    Item(&'a Item),
}

impl Analysis {
    /// The template of a device, or the template itself.
    pub(crate) fn template_of<'a>(&'a self, item: &'a Item) -> Option<&'a Template> {
        match item {
            Item::Template(template) => Some(template),
            Item::Device(device) => match self.item(&device.model.as_ref()?.template.text)? {
                Item::Template(template) => Some(template),
                _ => None,
            },
            _ => None,
        }
    }

    /// Members of a source or template, and of a device with those of its template.
    pub(crate) fn members<'a>(&'a self, item: &'a Item) -> impl Iterator<Item = &'a Member> {
        let own = body_of(item).map_or(&[][..], |body| &body.members);
        let of_template = match item {
            Item::Device(_) => self.template_of(item).map_or(&[][..], |template| &template.body.members),
            _ => &[],
        };
        own.iter().chain(of_template)
    }

    /// One of them by name.
    pub(crate) fn member<'a>(&'a self, item: &'a Item, name: &str) -> Option<&'a Member> {
        self.members(item).find(|member| member.name().text == name)
    }

    /// The item that a place is in.
    pub(crate) fn item_at(&self, cursor: &Cursor<'_>) -> Option<&Item> {
        let outer = cursor.outermost();
        let head = outer.item();
        if head.len() < 2 { None } else { self.item(outer.name(head.start + 1)) }
    }

    /// Devices and sources at the head of a flow; other flows at its head are followed.
    pub(crate) fn head<'a>(&'a self, flow: &'a Flow) -> Vec<&'a Item> {
        let (mut found, mut flows, mut next) = (Vec::new(), vec![&flow.name.text], vec![flow]);
        while let Some(flow) = next.pop() {
            for select in &flow.from {
                let SelectRoot::Named(name, _) = &select.root else { continue };
                match self.item(&name.text) {
                    Some(Item::Flow(inner)) if !flows.contains(&&inner.name.text) => {
                        flows.push(&inner.name.text);
                        next.push(inner);
                    }
                    Some(item) => found.push(item),
                    None => {}
                }
            }
        }
        found
    }

    /// What a bare name means at a place, in the order of the language.
    pub(crate) fn named<'a>(&'a self, cursor: &Cursor<'_>, name: &str) -> Option<Named<'a>> {
        let home = self.item_at(cursor);
        self.local(home, name).or_else(|| self.item(name).map(Named::Item))
    }

    fn local<'a>(&'a self, home: Option<&'a Item>, name: &str) -> Option<Named<'a>> {
        let home = home?;
        if let Some(param) = self.params(home).iter().find(|param| param.name.text == name) {
            return Some(Named::Param(param));
        }
        if let Item::Flow(flow) = home {
            let column = columns(flow).into_iter().find(|column| column.name.text == name);
            let of_head = || {
                let head = self.head(flow).into_iter();
                head.filter_map(|item| self.member(item, name).map(|member| Named::Member(item, member)))
                    .next()
            };
            return column.map(Named::Column).or_else(of_head);
        }
        self.member(home, name).map(|member| Named::Member(home, member))
    }

    /// Parameters that a template or the members of a device see.
    pub(crate) fn params<'a>(&'a self, item: &'a Item) -> &'a [Param] {
        self.template_of(item).map_or(&[], |template| &template.params)
    }
}

/// Columns of all windows of a flow.
pub(crate) fn columns(flow: &Flow) -> Vec<&Column> {
    windows(flow).into_iter().flat_map(|window| &window.columns).collect()
}

/// All windows of a flow, those in branches included.
pub(crate) fn windows(flow: &Flow) -> Vec<&Window> {
    let (mut found, mut next) = (Vec::new(), vec![&flow.stages]);
    while let Some(stages) = next.pop() {
        for stage in stages {
            match stage {
                Stage::Window(window) => found.push(window),
                Stage::Split(branches, _) => next.extend(branches.iter().map(|branch| &branch.stages)),
                _ => {}
            }
        }
    }
    found
}
