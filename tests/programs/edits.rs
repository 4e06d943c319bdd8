//! Random edits: each keeps the program valid.

use super::{AGGREGATES, Dice, FUNCTIONS, MINUTES, Moved, Program, SCANS_MS, SEVERITIES, Source, Way, ZONES};

/// What an edit did.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Edit {
    Zone,
    AddSource,
    RemoveSource,
    RenameSource,
    Scan,
    Seed,
    AddTag,
    RemoveTag,
    RenameTag,
    Address,
    Scale,
    Range,
    Deadband,
    Desc,
    AddCalc,
    RemoveCalc,
    RenameCalc,
    CalcFunction,
    CalcText,
    AddAlarm,
    RemoveAlarm,
    AlarmLimit,
    AlarmDelay,
    AlarmSeverity,
    FamilySize,
    RenameFamily,
    FamilyTemplate,
    AddSink,
    RemoveSink,
    RenameSink,
    SinkPath,
    SinkJournal,
    SinkRetry,
    AddFlow,
    RemoveFlow,
    RenameFlow,
    FlowStage,
    FlowOutput,
    WindowLength,
    AddColumn,
    RemoveColumn,
    /// The items of the program in another order: the same program.
    Reorder,
}

impl Edit {
    pub const ALL: [Edit; 42] = {
        use Edit::*;
        [
            Zone,
            AddSource,
            RemoveSource,
            RenameSource,
            Scan,
            Seed,
            AddTag,
            RemoveTag,
            RenameTag,
            Address,
            Scale,
            Range,
            Deadband,
            Desc,
            AddCalc,
            RemoveCalc,
            RenameCalc,
            CalcFunction,
            CalcText,
            AddAlarm,
            RemoveAlarm,
            AlarmLimit,
            AlarmDelay,
            AlarmSeverity,
            FamilySize,
            RenameFamily,
            FamilyTemplate,
            AddSink,
            RemoveSink,
            RenameSink,
            SinkPath,
            SinkJournal,
            SinkRetry,
            AddFlow,
            RemoveFlow,
            RenameFlow,
            FlowStage,
            FlowOutput,
            WindowLength,
            AddColumn,
            RemoveColumn,
            Reorder,
        ]
    };
}

/// One random edit; the same program and seed give the same. Tells which.
pub fn edit(program: &Program, seed: u64) -> (Program, Edit) {
    let mut dice = Dice::new(seed);
    loop {
        let mut edited = program.clone();
        let kind = dice.one_of(&Edit::ALL);
        // A `None` has found nothing to do; other kinds always have.
        if edited.apply(kind, &mut dice).is_some() {
            return (edited, kind);
        }
    }
}

fn other<T: Copy + PartialEq>(dice: &mut Dice, list: &[T], now: T) -> T {
    loop {
        let next = dice.one_of(list);
        if next != now {
            return next;
        }
    }
}

fn any<'l, T>(dice: &mut Dice, list: &'l mut [T]) -> Option<&'l mut T> {
    if list.is_empty() {
        return None;
    }
    let at = dice.below(list.len());
    list.get_mut(at)
}

impl Program {
    fn apply(&mut self, kind: Edit, dice: &mut Dice) -> Option<()> {
        use Edit::*;
        match kind {
            Zone => self.zone = other(dice, &ZONES, self.zone),
            AddSource => self.add_source(dice),
            AddSink => self.add_sink(dice),
            AddFlow => self.add_flow(dice),
            RemoveSource | RenameSource | Scan | Seed => return self.edit_source(kind, dice),
            AddTag | RemoveTag | RenameTag | Address | Scale | Range | Deadband | Desc => {
                return self.edit_tag(kind, dice);
            }
            AddCalc | RemoveCalc | RenameCalc | CalcFunction | CalcText => return self.edit_calc(kind, dice),
            AddAlarm | RemoveAlarm | AlarmLimit | AlarmDelay | AlarmSeverity => {
                return self.edit_alarm(kind, dice);
            }
            FamilySize | RenameFamily | FamilyTemplate => return self.edit_family(kind, dice),
            RemoveSink | RenameSink | SinkPath | SinkJournal | SinkRetry => {
                return self.edit_sink(kind, dice);
            }
            RemoveFlow | RenameFlow | FlowStage | FlowOutput => return self.edit_flow(kind, dice),
            WindowLength | AddColumn | RemoveColumn => return self.edit_window(kind, dice),
            Reorder => {
                self.sources.reverse();
                self.sinks.reverse();
                self.flows.reverse();
                self.sources.iter_mut().for_each(|source| source.calcs.reverse());
            }
        }
        Some(())
    }

    fn edit_source(&mut self, kind: Edit, dice: &mut Dice) -> Option<()> {
        let at = dice.below(self.sources.len());
        match kind {
            Edit::RemoveSource => {
                if self.sources.len() < 2 {
                    return None;
                }
                let gone = self.sources.remove(at);
                let members = gone.tags.iter().map(|tag| &tag.name);
                let members = members.chain(gone.calcs.iter().map(|calc| &calc.name));
                let members: Vec<String> =
                    members.chain(gone.alarms.iter().map(|alarm| &alarm.name)).cloned().collect();
                members.iter().for_each(|member| self.forget(member));
                self.forget(&gone.name);
                let mut heads = vec![gone.name.clone()];
                if let Some(family) = self.family.take_if(|family| family.source == gone.name) {
                    self.forget(&family.name);
                    heads.push(family.name);
                }
                self.drop_flows(|flow| flow.from.iter().any(|from| heads.contains(from)));
            }
            Edit::RenameSource => {
                let old = self.sources[at].name.clone();
                let new = self.rename("s", &old);
                self.sources[at].name = new.clone();
                if let Some(family) = self.family.as_mut().filter(|family| family.source == old) {
                    family.source = new.clone();
                }
                self.rename_in_heads(&old, &new);
            }
            Edit::Scan => self.sources[at].scan_ms = other(dice, &SCANS_MS, self.sources[at].scan_ms),
            _ => self.sources[at].seed += 1,
        }
        Some(())
    }

    /// Flows without those, but at least one.
    fn drop_flows(&mut self, gone: impl Fn(&super::Flow) -> bool) {
        let names: Vec<String> =
            self.flows.iter().filter(|flow| gone(flow)).map(|flow| flow.name.clone()).collect();
        self.flows.retain(|flow| !gone(flow));
        names.iter().for_each(|name| self.forget(name));
        if self.flows.is_empty() {
            self.add_flow(&mut Dice::new(1));
        }
    }

    fn rename_in_heads(&mut self, old: &str, new: &str) {
        for from in self.flows.iter_mut().flat_map(|flow| &mut flow.from).filter(|from| *from == old) {
            *from = new.to_owned();
        }
    }

    /// A new name for an item, with its line.
    fn rename(&mut self, what: &str, old: &str) -> String {
        let new = self.name(what);
        self.moved.push(Moved { old: old.to_owned(), new: new.clone() });
        new
    }

    fn rename_member(&mut self, what: &str, item: &str, old: &str) -> String {
        let new = self.name(what);
        self.moved.push(Moved { old: format!("{item}.{old}"), new: format!("{item}.{new}") });
        new
    }

    /// Takes out the lines that lead to something that is no more; names are unique, whatever they name.
    fn forget(&mut self, name: &str) {
        let last = |place: &str| place.rsplit('.').next().unwrap_or_default().to_owned();
        let mut names = vec![name.to_owned()];
        let mut at = 0;
        while let Some(name) = names.get(at).cloned() {
            names
                .extend(self.moved.iter().filter(|line| last(&line.new) == name).map(|line| last(&line.old)));
            at += 1;
        }
        self.moved.retain(|line| !names.contains(&last(&line.new)));
    }

    fn edit_tag(&mut self, kind: Edit, dice: &mut Dice) -> Option<()> {
        let at = dice.below(self.sources.len());
        if kind == Edit::AddTag {
            let tag = self.tag(dice);
            self.sources[at].tags.push(tag);
            return Some(());
        }
        let source = self.sources[at].name.clone();
        let number = dice.below(self.sources[at].tags.len());
        let old = self.sources[at].tags[number].name.clone();
        match kind {
            Edit::RemoveTag => {
                if self.sources[at].tags.len() < 2 {
                    return None;
                }
                let from: &mut Source = &mut self.sources[at];
                from.tags.remove(number);
                let calcs = from.calcs.iter().filter(|calc| calc.tag == old).map(|calc| calc.name.clone());
                let alarms =
                    from.alarms.iter().filter(|alarm| alarm.tag == old).map(|alarm| alarm.name.clone());
                let gone: Vec<String> = calcs.chain(alarms).chain([old.clone()]).collect();
                from.calcs.retain(|calc| calc.tag != old);
                from.alarms.retain(|alarm| alarm.tag != old);
                gone.iter().for_each(|name| self.forget(name));
            }
            Edit::RenameTag => {
                let new = self.rename_member("t", &source, &old);
                let from = &mut self.sources[at];
                from.tags[number].name = new.clone();
                from.calcs.iter_mut().filter(|calc| calc.tag == old).for_each(|calc| calc.tag = new.clone());
                from.alarms
                    .iter_mut()
                    .filter(|alarm| alarm.tag == old)
                    .for_each(|alarm| alarm.tag = new.clone());
            }
            _ => {
                let tag = &mut self.sources[at].tags[number];
                let next = |now: Option<usize>, first: usize| Some(now.map_or(first, |now| now + 1));
                match kind {
                    Edit::Address => tag.constant += 1,
                    Edit::Scale => tag.scale = next(tag.scale, 2),
                    Edit::Range => tag.range = next(tag.range, 100),
                    Edit::Deadband => tag.deadband = next(tag.deadband, 1),
                    _ => tag.desc = next(tag.desc, 1),
                }
            }
        }
        Some(())
    }

    fn edit_calc(&mut self, kind: Edit, dice: &mut Dice) -> Option<()> {
        let at = dice.below(self.sources.len());
        let source = self.sources[at].name.clone();
        if kind == Edit::AddCalc {
            let tag = any(dice, &mut self.sources[at].tags)?.name.clone();
            let calc = self.calc(dice, tag);
            self.sources[at].calcs.push(calc);
            return Some(());
        }
        let number = self.sources[at].calcs.len().checked_sub(1).map(|last| dice.below(last + 1))?;
        match kind {
            Edit::RemoveCalc => {
                let gone = self.sources[at].calcs.remove(number);
                self.forget(&gone.name);
            }
            Edit::RenameCalc => {
                let old = self.sources[at].calcs[number].name.clone();
                self.sources[at].calcs[number].name = self.rename_member("c", &source, &old);
            }
            Edit::CalcFunction => {
                let calc = &mut self.sources[at].calcs[number];
                calc.function = other(dice, &FUNCTIONS, calc.function);
            }
            _ => self.sources[at].calcs[number].add += 1,
        }
        Some(())
    }

    fn edit_alarm(&mut self, kind: Edit, dice: &mut Dice) -> Option<()> {
        let at = dice.below(self.sources.len());
        if kind == Edit::AddAlarm {
            let tag = any(dice, &mut self.sources[at].tags)?.name.clone();
            let alarm = self.alarm(dice, tag);
            self.sources[at].alarms.push(alarm);
            return Some(());
        }
        let number = self.sources[at].alarms.len().checked_sub(1).map(|last| dice.below(last + 1))?;
        if kind == Edit::RemoveAlarm {
            let gone = self.sources[at].alarms.remove(number);
            self.forget(&gone.name);
            return Some(());
        }
        let alarm = &mut self.sources[at].alarms[number];
        match kind {
            Edit::AlarmLimit => alarm.limit += 1,
            Edit::AlarmDelay => alarm.for_s += 1,
            _ => alarm.severity = other(dice, &SEVERITIES, alarm.severity),
        }
        Some(())
    }

    fn edit_family(&mut self, kind: Edit, dice: &mut Dice) -> Option<()> {
        let old = self.family.as_ref()?.name.clone();
        match kind {
            Edit::RenameFamily => {
                let new = format!("{}_m", self.name("f"));
                self.moved.push(Moved { old: old.clone(), new: new.clone() });
                self.rename_in_heads(&old, &new);
                self.family.as_mut()?.name = new;
            }
            Edit::FamilySize => {
                let family = self.family.as_mut()?;
                family.devices = other(dice, &[1, 2, 3, 4, 5], family.devices);
            }
            _ => self.family.as_mut()?.factor += 1,
        }
        Some(())
    }

    fn edit_sink(&mut self, kind: Edit, dice: &mut Dice) -> Option<()> {
        let at = dice.below(self.sinks.len());
        match kind {
            Edit::RemoveSink => {
                if self.sinks.len() < 2 {
                    return None;
                }
                let gone = self.sinks.remove(at).name;
                self.flows.iter_mut().for_each(|flow| flow.to.retain(|to| *to != gone));
                self.drop_flows(|flow| flow.to.is_empty());
                self.forget(&gone);
            }
            Edit::RenameSink => {
                let old = self.sinks[at].name.clone();
                let new = self.rename("k", &old);
                self.sinks[at].name = new.clone();
                for to in self.flows.iter_mut().flat_map(|flow| &mut flow.to).filter(|to| **to == old) {
                    *to = new.clone();
                }
            }
            Edit::SinkPath => {
                self.names += 1;
                let names = self.names;
                *self.sinks[at].file.as_mut()? = names;
            }
            Edit::SinkJournal => self.sinks[at].keep_d += 1,
            _ => self.sinks[at].retry_s += 1,
        }
        Some(())
    }

    fn edit_flow(&mut self, kind: Edit, dice: &mut Dice) -> Option<()> {
        let at = dice.below(self.flows.len());
        match kind {
            Edit::RemoveFlow => {
                if self.flows.len() < 2 {
                    return None;
                }
                let gone = self.flows.remove(at);
                self.forget(&gone.name);
            }
            Edit::RenameFlow => {
                let old = self.flows[at].name.clone();
                self.flows[at].name = self.rename("l", &old);
            }
            Edit::FlowStage => {
                let Way::Samples { heartbeat_s, above } = &mut self.flows[at].way else { return None };
                match dice.below(3) {
                    0 => *heartbeat_s = heartbeat_s.map_or(Some(1), |_| None),
                    1 => *heartbeat_s = Some(heartbeat_s.map_or(1, |now| now + 1)),
                    _ => *above = above.map_or(Some(1), |_| None),
                }
            }
            _ => {
                let sink = any(dice, &mut self.sinks)?.name.clone();
                let to = &mut self.flows[at].to;
                match to.iter().position(|to| *to == sink) {
                    Some(_) if to.len() == 1 => return None,
                    Some(place) => drop(to.remove(place)),
                    None => to.push(sink),
                }
            }
        }
        Some(())
    }

    fn edit_window(&mut self, kind: Edit, dice: &mut Dice) -> Option<()> {
        let name = self.name("w");
        let at = dice.below(self.flows.len());
        let Way::Rows { minutes, columns, .. } = &mut self.flows[at].way else { return None };
        match kind {
            Edit::WindowLength => *minutes = other(dice, &MINUTES, *minutes),
            Edit::AddColumn => columns.push((dice.one_of(&AGGREGATES), name)),
            _ if columns.len() < 2 => return None,
            _ => drop(columns.remove(dice.below(columns.len()))),
        }
        Some(())
    }
}
