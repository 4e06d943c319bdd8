//! Flows with their stages, and tests with their steps.

use super::{Kids, Node, Tree};
use crate::ast::{
    Action, Branch, Column, Expr, Flow, Name, Path, Select, SelectPart, SelectRoot, Setting, Stage, Step,
    Test, Window, WindowKind,
};
use crate::grammar::Rule;
use crate::span::Span;

/// One entry of a test.
pub(crate) enum TestEntry {
    Step(Step),
    Setting(Setting),
}

impl Tree<'_> {
    pub(super) fn flow(&mut self, mut kids: Kids<'_>, span: Span) -> Option<Flow> {
        let name = self.name(&kids.name()?);
        let mut attrs = Vec::new();
        while let Some(attr) = kids.one(Rule::flow_attr) {
            let mut parts = Kids::of(attr);
            let word = self.name(&parts.one(Rule::flow_word)?);
            attrs.push((word, self.name(&parts.name()?)));
        }
        let mut head = Kids::of(kids.one(Rule::head)?);
        let from = self.picks(head.one(Rule::picks)?)?;
        let except = match head.one(Rule::picks) {
            Some(picks) => self.picks(picks)?,
            None => Vec::new(),
        };
        let stages = match kids.one(Rule::chain) {
            Some(chain) => self.chain(chain)?,
            None => Vec::new(),
        };
        Some(Flow { name, attrs, from, except, stages, span })
    }

    fn picks(&mut self, node: Node<'_>) -> Option<Vec<Select>> {
        node.into_inner().map(|select| self.select(select)).collect()
    }

    pub(super) fn select(&mut self, node: Node<'_>) -> Option<Select> {
        let span = self.exact(&node);
        let mut kids = Kids::of(node);
        let first = kids.next()?;
        let root = if first.as_rule() == Rule::star {
            SelectRoot::Any(self.exact(&first))
        } else {
            let members = match kids.one(Rule::members) {
                Some(members) => Some(self.members(members)?),
                None => None,
            };
            SelectRoot::Named(self.name(&first), members)
        };
        let mut parts = Vec::new();
        while let Some(part) = kids.next() {
            let text = part.as_str().trim_end_matches('*').to_owned();
            parts.push(match part.as_rule() {
                Rule::star | Rule::wild => {
                    SelectPart::Prefix(Name { text, span: self.exact(&part), quoted: false })
                }
                _ => SelectPart::Name(self.name(&part)),
            });
        }
        Some(Select { root, parts, span })
    }

    fn chain(&mut self, node: Node<'_>) -> Option<Vec<Stage>> {
        let mut kids = Kids::of(node);
        std::iter::from_fn(|| kids.next()).map(|stage| self.stage(stage)).collect()
    }

    fn stage(&mut self, node: Node<'_>) -> Option<Stage> {
        let span = self.span(&node);
        let rule = node.as_rule();
        if rule == Rule::call {
            return self.whole(|tree| tree.call(node)).map(Stage::Call);
        }
        let mut kids = Kids::of(node);
        Some(match rule {
            Rule::window => Stage::Window(self.window(kids, span)?),
            Rule::r#where => Stage::Where(self.expr(kids.one(Rule::expr)?)?, span),
            Rule::split => {
                let branches = std::iter::from_fn(|| kids.one(Rule::branch));
                Stage::Split(branches.map(|branch| self.branch(branch)).collect::<Option<_>>()?, span)
            }
            Rule::targets => {
                let names = std::iter::from_fn(|| kids.name()).map(|name| self.name(&name)).collect();
                Stage::Targets(names, span)
            }
            _ => return None,
        })
    }

    fn branch(&mut self, node: Node<'_>) -> Option<Branch> {
        let span = self.span(&node);
        let mut kids = Kids::of(node);
        let when = match kids.one(Rule::expr) {
            Some(when) => Some(self.expr(when)?),
            None => None,
        };
        Some(Branch { when, stages: self.chain(kids.one(Rule::chain)?)?, span })
    }

    fn window(&mut self, mut kids: Kids<'_>, span: Span) -> Option<Window> {
        let kind = match kids.any(&[Rule::W_every, Rule::W_on, Rule::W_while])?.as_rule() {
            Rule::W_every => WindowKind::Every,
            Rule::W_on => WindowKind::On,
            _ => WindowKind::While,
        };
        let expr = self.expr(kids.one(Rule::expr)?)?;
        let mut attrs = Vec::new();
        while let Some(attr) = kids.one(Rule::win_attr) {
            let mut parts = Kids::of(attr);
            let word = self.name(&parts.one(Rule::win_word)?);
            attrs.push((word, self.expr(parts.one(Rule::expr)?)?));
        }
        Some(Window { kind, expr, attrs, columns: self.columns(kids.one(Rule::columns)?)?, span })
    }

    fn columns(&mut self, node: Node<'_>) -> Option<Vec<Column>> {
        node.into_inner()
            .map(|column| {
                let span = self.span(&column);
                let mut kids = Kids::of(column);
                let name = self.name(&kids.name()?);
                let ty = self.optional_type(&mut kids)?;
                Some(Column { name, ty, value: self.expr(kids.one(Rule::expr)?)?, span })
            })
            .collect()
    }

    /// What is expected of the columns of a row.
    fn checks(&mut self, node: Node<'_>) -> Option<Vec<(Path, Expr)>> {
        node.into_inner()
            .map(|check| {
                let mut kids = Kids::of(check);
                let path = self.path(kids.one(Rule::path)?)?;
                Some((path, self.expr(kids.one(Rule::expr)?)?))
            })
            .collect()
    }

    pub(super) fn test(&mut self, mut kids: Kids<'_>, span: Span) -> Option<Test> {
        let name = self.text(kids.one(Rule::string)?)?;
        let mut test = Test { name, settings: Vec::new(), steps: Vec::new(), span };
        while let Some(entry) = kids.any(&[Rule::step, Rule::setting]) {
            match self.test_entry(entry)? {
                TestEntry::Step(step) => test.steps.push(step),
                TestEntry::Setting(setting) => test.settings.push(setting),
            }
        }
        Some(test)
    }

    /// A step or a setting of a test.
    pub(crate) fn test_entry(&mut self, node: Node<'_>) -> Option<TestEntry> {
        if node.as_rule() == Rule::setting {
            return self.setting(node).map(TestEntry::Setting);
        }
        let span = self.span(&node);
        let mut kids = Kids::of(node);
        let at = self.expr(kids.one(Rule::expr)?)?;
        let repeat = match kids.one(Rule::repeat) {
            Some(repeat) => {
                let mut parts = Kids::of(repeat);
                let to = self.expr(parts.one(Rule::expr)?)?;
                Some((to, self.expr(parts.one(Rule::expr)?)?))
            }
            None => None,
        };
        let actions = std::iter::from_fn(|| kids.any(&[Rule::feed, Rule::expect]));
        let actions = actions.map(|action| self.action(action)).collect::<Option<_>>()?;
        Some(TestEntry::Step(Step { at, repeat, actions, span }))
    }

    fn action(&mut self, node: Node<'_>) -> Option<Action> {
        let feed = node.as_rule() == Rule::feed;
        let mut kids = Kids::of(node);
        let first = kids.any(&[Rule::W_no, Rule::path])?;
        if first.as_rule() == Rule::W_no {
            return Some(Action::ExpectNo { path: self.path(kids.one(Rule::path)?)? });
        }
        let path = self.path(first)?;
        Some(match kids.any(&[Rule::checks, Rule::expr])? {
            node if node.as_rule() == Rule::checks => {
                let block = self.span(&node);
                Action::ExpectRow { path, columns: self.checks(node)?, block }
            }
            node if feed => Action::Feed { path, value: self.expr(node)? },
            node => Action::Expect { path, value: self.expr(node)? },
        })
    }
}
