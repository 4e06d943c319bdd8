//! Circuits: calcs and alarms that read the same groups, computed together in event time.
//!
//! ```text
//! push(time, input) --> pending, by time
//! advance(watermark): for each time T in pending or due, ascending:
//!     take the inputs of T into the latest values -> run the steps they reach, in order
//! ```
//! A step is an operator (a state function), a calc, an alarm, or an expression that somebody
//! asked for. After all inputs of one time are in, every step they reach runs once. A step that
//! is due by itself (a timer, a schedule) runs at that very time and gives a sample only if its
//! result has changed.

use crate::eval::{Compiled, Frame, Latest, Slots, compile};
use crate::event::alarms::AlarmStep;
use crate::event::bits::Bits;
use crate::event::output::{Output, Outputs};
use crate::event::progress::Watermark;
use crate::event::saved::{CircuitState, SavedInput, StepState};
use crate::expr::{Expr, Function};
use crate::plan::{AlarmSeverity, Calc, Operator};
use crate::schedule::WeekSchedule;
use crate::state::{State, StateFunction};
use gwp_core::{Batch, Quality, TagId, Timestamp, Value};
use std::collections::{BTreeMap, BTreeSet};

/// Inputs that may wait; beyond it the oldest are computed before their time has come.
const PENDING_MAX: usize = 1_000_000;

enum Kind {
    Value(Compiled),
    // Large and rarer: elsewhere, so that plain values stand close together.
    Operator(Box<OperatorStep>),
    Alarm(Box<AlarmStep>),
}

struct OperatorStep {
    function: StateFunction,
    args: Vec<Compiled>,
    state: State,
}

struct Step {
    kind: Kind,
    /// Slot of its result.
    slot: usize,
    /// Gives samples or is looked at from outside; operators do not.
    shown: bool,
    schedules: Box<[(WeekSchedule, jiff::tz::TimeZone)]>,
    /// When it is due by itself because of a schedule, or because it reads nothing.
    change: Option<Timestamp>,
    /// It is computed once, at the start.
    reads_nothing: bool,
    has_run: bool,
}

struct Input {
    slot: u32,
    value: Value,
    quality: Quality,
}

pub(crate) struct Circuit {
    slots: Slots,
    latest: Latest,
    steps: Vec<Step>,
    /// Steps that read each slot, by slot, ascending.
    readers: Vec<Vec<u32>>,
    /// Some step looks at times, not only at values.
    reads_time: bool,
    /// Slots whose values hold for one computation only: orders to alarms.
    momentary: BTreeSet<usize>,
    dirty: Bits,
    /// Steps that can be due by themselves.
    timers: Vec<u32>,
    next_due: Option<Timestamp>,
    started: bool,
    /// Gateway time at which it began: nothing is due by itself before.
    begin: Option<Timestamp>,
    pending: BTreeMap<Timestamp, Vec<Input>>,
    pending_count: usize,
    /// An empty list, to use its memory again.
    spare: Vec<Input>,
    /// Newest time computed.
    at: Timestamp,
    round: u32,
    /// Inputs that came behind it.
    late: u64,
}

impl Circuit {
    pub fn new() -> Circuit {
        Circuit {
            slots: Slots::default(),
            latest: Latest::new(0),
            steps: Vec::new(),
            readers: Vec::new(),
            reads_time: false,
            momentary: BTreeSet::new(),
            dirty: Bits::default(),
            timers: Vec::new(),
            next_due: None,
            started: false,
            begin: None,
            pending: BTreeMap::new(),
            pending_count: 0,
            spare: Vec::new(),
            at: Timestamp(i64::MIN),
            round: 0,
            late: 0,
        }
    }

    /// Adds a calc or an alarm with its operators; gives the step of its result.
    pub fn add_calc(&mut self, calc: &Calc) -> u32 {
        self.slots.open_scope();
        self.add_operators(&calc.operators, 0);
        let slot = self.slots.slot(calc.tag);
        let kind = match &calc.alarm {
            None => Kind::Value(compile(&calc.expr, &mut self.slots)),
            Some(alarm) => Kind::Alarm(Box::new(AlarmStep::new(&calc.expr, alarm, &mut self.slots))),
        };
        let mut exprs = vec![&calc.expr];
        if let Some(alarm) = &calc.alarm {
            // The message is only read when something happens.
            exprs.extend(&alarm.clear);
            alarm.message.for_each_tag(&mut |tag| {
                self.slots.slot(tag);
            });
        }
        let step = self.add(kind, slot, true, &exprs);
        if let Some(alarm) = &calc.alarm {
            let orders = self.slots.slot(alarm.orders);
            self.readers.resize(self.slots.len(), Vec::new());
            self.readers[orders].push(step);
            self.momentary.insert(orders);
        }
        step
    }

    /// Adds operators of the open scope; the result of the first is the local `first`.
    pub fn add_operators(&mut self, operators: &[Operator], first: u32) {
        for (index, operator) in (first..).zip(operators) {
            let args = operator.args.iter().map(|arg| compile(arg, &mut self.slots)).collect();
            let slot = self.slots.local(index);
            let (function, state) = (operator.function.clone(), operator.function.initial());
            let exprs: Vec<&Expr> = operator.args.iter().collect();
            let step = OperatorStep { function, args, state };
            self.add(Kind::Operator(Box::new(step)), slot, false, &exprs);
        }
    }

    /// Adds an expression of the open scope whose result is wanted outside, as a local of it.
    pub fn add_value(&mut self, expr: &Expr, local: u32) -> u32 {
        let eval = compile(expr, &mut self.slots);
        let slot = self.slots.local(local);
        self.add(Kind::Value(eval), slot, true, &[expr])
    }

    fn add(&mut self, kind: Kind, slot: usize, shown: bool, exprs: &[&Expr]) -> u32 {
        let index = self.steps.len() as u32;
        let mut reads = Vec::new();
        let mut schedules = Vec::new();
        for expr in exprs {
            expr.for_each(&mut |part| {
                self.reads_time |= matches!(part, Expr::TimeOf(_) | Expr::Word(_));
            });
            expr.for_each(&mut |part| match part {
                Expr::Tag(tag, _) | Expr::TimeOf(tag) => reads.push(self.slots.slot(*tag)),
                Expr::Local(local, _) => reads.push(self.slots.local(*local)),
                Expr::Call(Function::Within(schedule), _) => {
                    schedules.push((schedule.clone(), schedule.zone()));
                }
                _ => {}
            });
        }
        self.readers.resize(self.slots.len(), Vec::new());
        reads.sort_unstable();
        reads.dedup();
        // What reads nothing is computed once, at the start.
        let reads_nothing = schedules.is_empty() && reads.is_empty();
        let by_itself = !schedules.is_empty() || reads_nothing;
        for read in reads {
            self.readers[read].push(index);
        }
        if by_itself || !matches!(kind, Kind::Value(_)) {
            self.timers.push(index);
        }
        let change = by_itself.then_some(Timestamp(i64::MIN));
        let schedules = schedules.into();
        self.steps.push(Step { kind, slot, shown, schedules, change, reads_nothing, has_run: false });
        index
    }

    /// Opens a new scope of locals.
    pub fn open_scope(&mut self) {
        self.slots.open_scope();
    }

    /// The slot of a local of the open scope.
    pub fn local(&mut self, index: u32) -> usize {
        self.slots.local(index)
    }

    /// Compiles an expression of the open scope that [`value`](Self::value) evaluates on demand.
    pub fn compile(&mut self, expr: &Expr) -> Compiled {
        compile(expr, &mut self.slots)
    }

    /// Evaluates an expression with the latest values.
    pub fn value(&self, eval: &Compiled, time: Timestamp) -> (Value, Quality) {
        eval.value(&Frame { latest: &self.latest, time, sample: None })
    }

    /// Sets a local that no step computes.
    pub fn set(&mut self, slot: usize, value: Value, quality: Quality, time: Timestamp) {
        self.latest.set(slot, value, quality, time);
    }

    /// Ends the building: nothing may be added any more.
    pub fn finish(&mut self) {
        self.latest = Latest::new(self.slots.len());
        self.readers.resize(self.slots.len(), Vec::new());
        self.dirty = Bits::new(self.steps.len());
    }

    /// Tags it reads or computes, with their slots.
    pub fn tags(&self) -> impl Iterator<Item = (TagId, usize)> + '_ {
        self.slots.iter()
    }

    pub fn slot(&self, tag: TagId) -> Option<usize> {
        self.slots.get(tag)
    }

    pub fn latest(&self) -> &Latest {
        &self.latest
    }

    /// Newest time computed.
    pub fn at(&self) -> Timestamp {
        self.at
    }

    /// Time passes although nothing is computed: what comes before it is late.
    pub fn pass(&mut self, time: Timestamp) {
        if time > self.at {
            (self.at, self.round) = (time, 0);
        }
    }

    /// Inputs that came too late to be folded.
    pub fn late(&self) -> u64 {
        self.late
    }

    /// Steps that samples in these slots reach, ascending.
    pub fn reached(&mut self, slots: impl Iterator<Item = usize>) -> Vec<u32> {
        for slot in slots {
            self.readers[slot].iter().for_each(|step| self.dirty.set(*step));
        }
        let mut reached = Vec::new();
        let mut from = 0;
        while let Some(step) = self.dirty.take_from(from) {
            self.mark_readers(step);
            reached.push(step);
            from = step + 1;
        }
        reached
    }

    /// Takes an input. `arrival`: what came is the present, whatever its time says; other
    /// inputs behind what is computed are late. True if it was taken.
    pub fn push(
        &mut self,
        time: Timestamp,
        slot: usize,
        value: Value,
        quality: Quality,
        arrival: bool,
    ) -> bool {
        if time < self.at && !arrival {
            self.late += 1;
            return false;
        }
        let input = Input { slot: slot as u32, value, quality };
        let spare = &mut self.spare;
        self.pending.entry(time.max(self.at)).or_insert_with(|| std::mem::take(spare)).push(input);
        self.pending_count += 1;
        true
    }

    /// It is gateway time `now`; the first call says when it begins.
    pub fn begin_at(&mut self, now: Timestamp) {
        self.begin.get_or_insert(now);
    }

    pub fn begin(&self) -> Option<Timestamp> {
        self.begin
    }

    /// The earliest time at which there may be something to compute.
    pub fn wanted(&self) -> Option<Timestamp> {
        if !self.started || self.pending_count > PENDING_MAX {
            return Some(Timestamp(i64::MIN));
        }
        let waiting = self.pending.first_key_value().map(|(time, _)| *time);
        match (waiting, self.next_due) {
            (Some(waiting), Some(due)) => Some(waiting.min(due)),
            (one, other) => one.or(other),
        }
    }

    /// True if nothing waits, nothing is due up to `time`, and nothing was computed at it: a slot
    /// may be taken as it is.
    pub fn is_idle_until(&self, time: Timestamp) -> bool {
        time > self.at && self.has_nothing_due(time)
    }

    /// True if nothing waits and nothing is due up to `time`.
    pub fn has_nothing_due(&self, time: Timestamp) -> bool {
        self.started && self.pending.is_empty() && self.next_due.is_none_or(|due| due > time)
    }

    /// Whether its results follow from the values of its inputs alone: no time, and nothing remembered.
    pub fn is_timeless(&self) -> bool {
        self.timers.is_empty() && !self.reads_time
    }

    /// Whether all samples of a slot say what its inputs say already. In a timeless circuit no result changes then.
    pub fn has_same(&self, batch: &Batch, reads: &[(u32, usize)]) -> bool {
        reads.iter().all(|&(index, slot)| self.latest.has(slot, batch, index as usize))
    }

    /// A slot came that said what these inputs say already; only when idle until then.
    pub fn stands_at(&mut self, time: Timestamp, reads: &[(u32, usize)]) {
        reads.iter().for_each(|&(_, slot)| self.latest.stands_at(slot, time));
        (self.at, self.round) = (time, 0);
    }

    /// Takes all samples of a slot at once and computes `reached`; only when idle until its time.
    pub fn take_slot(
        &mut self,
        batch: &Batch,
        time: Timestamp,
        reads: &[(u32, usize)],
        reached: &[u32],
        out: &mut Outputs,
    ) {
        for &(index, slot) in reads {
            self.latest.take(slot, batch, index as usize);
        }
        (self.at, self.round) = (time, 0);
        let mut timed = false;
        for &step in reached {
            timed |= self.run(step, time, true, out).timed;
        }
        if timed {
            self.find_due();
        }
    }

    /// The next time at which there is something to compute.
    pub fn next(&mut self, until: Watermark) -> Option<Timestamp> {
        let waiting = self.pending.first_key_value().map(|(time, _)| *time);
        let overfull = self.pending_count > PENDING_MAX;
        let input = waiting.filter(|time| overfull || *time <= until.input);
        if !self.started {
            // With the first input, or without one once the beginning is reached.
            let first = input.or(self.begin.filter(|begin| *begin <= until.timer))?;
            self.started = true;
            for step in self.steps.iter_mut().filter(|step| step.change == Some(Timestamp(i64::MIN))) {
                step.change = Some(first);
            }
            self.find_due();
        }
        let due = self.next_due.filter(|due| *due <= until.timer).map(|due| due.max(self.at));
        match (input, due) {
            (Some(input), Some(due)) => Some(input.min(due)),
            (one, other) => one.or(other),
        }
    }

    /// Computes at a time that [`next`](Self::next) gave.
    pub fn compute(&mut self, time: Timestamp, out: &mut Outputs) {
        self.round = if time == self.at { self.round.saturating_add(1) } else { 0 };
        self.at = time;
        // Inputs come first: a delay whose condition ends at the very time it is due does not fire.
        // What is due and not reached by them comes next, at the same time.
        let Some(mut inputs) = self.pending.remove(&time) else {
            self.mark_due(time);
            self.run_dirty(time, false, out);
            // Due again at the same time, and time would stand still.
            debug_assert!(self.next_due.is_none_or(|due| due > time), "still due at {time:?}");
            self.next_due = self.next_due.filter(|due| *due > time);
            return;
        };
        self.pending_count -= inputs.len();
        // Several samples of one tag at one time are taken one after the other.
        inputs.sort_by_key(|input| input.slot);
        let mut first = true;
        while !inputs.is_empty() {
            let mut again = Vec::new();
            let mut before = None;
            for input in inputs.drain(..) {
                if before == Some(input.slot) {
                    again.push(input);
                    continue;
                }
                before = Some(input.slot);
                let slot = input.slot as usize;
                self.latest.set(slot, input.value, input.quality, time);
                self.readers[slot].iter().for_each(|step| self.dirty.set(*step));
            }
            if !first {
                self.round = self.round.saturating_add(1);
            }
            first = false;
            self.run_dirty(time, true, out);
            for slot in &self.momentary {
                self.latest.set(*slot, Value::Nothing, Quality::WAITING, time);
            }
            if !again.is_empty() {
                inputs = again;
            }
        }
        self.spare = inputs;
    }

    /// Computes everything up to a watermark.
    pub fn advance(&mut self, until: Watermark, out: &mut Outputs) {
        while let Some(time) = self.next(until) {
            self.compute(time, out);
        }
    }

    /// Later steps that read the result of a step; earlier ones read what it was before (`previous`).
    fn mark_readers(&mut self, step: u32) {
        let readers = &self.readers[self.steps[step as usize].slot];
        readers.iter().filter(|next| **next > step).for_each(|next| self.dirty.set(*next));
    }

    fn due_of(step: &Step) -> Option<Timestamp> {
        let own = match &step.kind {
            Kind::Operator(step) => step.state.due(&step.function),
            Kind::Alarm(step) => step.state.due(&step.alarm),
            Kind::Value(_) => None,
        };
        match (own, step.change) {
            (Some(own), Some(change)) => Some(own.min(change)),
            (one, other) => one.or(other),
        }
    }

    fn find_due(&mut self) {
        let due = |step: &u32| Self::due_of(&self.steps[*step as usize]);
        self.next_due = self.timers.iter().filter_map(due).min();
    }

    fn mark_due(&mut self, time: Timestamp) {
        for &step in &self.timers {
            if Self::due_of(&self.steps[step as usize]).is_some_and(|due| due <= time) {
                self.dirty.set(step);
            }
        }
    }

    fn run_dirty(&mut self, time: Timestamp, by_input: bool, out: &mut Outputs) {
        let (mut from, mut timed) = (0, false);
        while let Some(step) = self.dirty.take_from(from) {
            let ran = self.run(step, time, by_input, out);
            timed |= ran.timed;
            if by_input || ran.changed {
                self.mark_readers(step);
            }
            from = step + 1;
        }
        if timed {
            self.find_due();
        }
    }

    fn run(&mut self, index: u32, time: Timestamp, by_input: bool, out: &mut Outputs) -> Ran {
        let step = &mut self.steps[index as usize];
        let frame = Frame { latest: &self.latest, time, sample: None };
        let mut only_changes = !by_input;
        let (value, quality) = match &mut step.kind {
            Kind::Value(eval) => eval.value(&frame),
            Kind::Operator(step) => {
                let OperatorStep { function, args, state } = &mut **step;
                let args: Vec<(Value, Quality)> = args.iter().map(|arg| arg.value(&frame)).collect();
                if by_input && state.due(function) == Some(time) {
                    // Time passes first, then the sample counts (`stale`).
                    state.step(function, time, &args);
                }
                state.step(function, time, &args)
            }
            Kind::Alarm(step) => {
                only_changes = true;
                step.run(index, &frame, &mut out.events)
            }
        };
        let changed = !step.has_run
            || (!by_input || only_changes) && {
                let (old, old_quality, _) = self.latest.get(step.slot);
                (&old, old_quality) != (&value, quality)
            };
        step.has_run = true;
        // It may be due at another time now, or no more.
        let timed = step.change.is_some() || !matches!(step.kind, Kind::Value(_));
        if step.change.is_some_and(|change| change <= time) {
            let next = step.schedules.iter().filter_map(|(schedule, zone)| schedule.next_change(time, zone));
            step.change = next.min();
        }
        self.latest.set(step.slot, value.clone(), quality, time);
        if step.shown && (changed || !only_changes) {
            out.samples.push(Output { step: index, time, value, quality, repeat: self.round });
        }
        Ran { changed, timed }
    }

    /// Its alarms as they are: step, severity, state in words, message as it was raised last.
    pub fn alarms(&self) -> impl Iterator<Item = (u32, AlarmSeverity, &'static str, &Value)> + '_ {
        (0u32..).zip(&self.steps).filter_map(|(index, step)| match &step.kind {
            Kind::Alarm(step) => Some((index, step.alarm.severity, step.state.word(), &step.raised)),
            _ => None,
        })
    }

    /// Takes over what has been computed otherwise up to the present time; what waits goes on waiting.
    pub fn rewrite(&mut self, state: CircuitState) {
        let (at, late, count) = (self.at, self.late, self.pending_count);
        let pending = std::mem::take(&mut self.pending);
        self.set_state(state);
        self.pass(at);
        (self.late, self.pending, self.pending_count) = (late, pending, count);
        self.started = true;
    }

    pub fn state(&self) -> CircuitState {
        let step = |step: &Step| StepState {
            operator: match &step.kind {
                Kind::Operator(step) => Some(step.state.clone()),
                _ => None,
            },
            alarm: match &step.kind {
                Kind::Alarm(step) => Some((step.state.clone(), step.raised.clone())),
                _ => None,
            },
            change: step.change,
            has_run: step.has_run,
        };
        let pending = self.pending.iter().map(|(time, inputs)| {
            (*time, inputs.iter().map(|input| (input.slot, input.value.clone(), input.quality)).collect())
        });
        CircuitState {
            latest: (0..self.slots.len()).map(|slot| self.latest.get(slot)).collect(),
            steps: self.steps.iter().map(step).collect(),
            pending: pending.collect(),
            at: self.at,
            begin: self.begin,
            round: self.round,
            late: self.late,
            started: self.started,
        }
    }

    /// Takes over a state of the same circuit; one that does not fit is ignored.
    pub fn set_state(&mut self, state: CircuitState) {
        let slots = self.slots.len();
        let fits = |inputs: &Vec<SavedInput>| inputs.iter().all(|(slot, ..)| (*slot as usize) < slots);
        if state.latest.len() != slots
            || state.steps.len() != self.steps.len()
            || !state.pending.values().all(fits)
        {
            return;
        }
        for (slot, (value, quality, time)) in state.latest.into_iter().enumerate() {
            self.latest.set(slot, value, quality, time);
        }
        for (step, from) in self.steps.iter_mut().zip(state.steps) {
            step.change = from.change;
            step.adopt(from);
        }
        self.pending.clear();
        for (time, inputs) in state.pending {
            let input = |(slot, value, quality)| Input { slot, value, quality };
            self.pending.insert(time, inputs.into_iter().map(input).collect());
        }
        self.pending_count = self.pending.values().map(Vec::len).sum();
        (self.at, self.round, self.late) = (state.at, state.round, state.late);
        (self.begin, self.started) = (state.begin, state.started);
        self.find_due();
    }

    /// Adopts from the circuit of another plan what has kept its meaning: values of tags by
    /// `renumber`, and states of steps by `same`, which names the old step of a new one.
    pub fn adopt(
        &mut self,
        old: &Circuit,
        renumber: &dyn Fn(TagId) -> Option<TagId>,
        same: &dyn Fn(u32) -> Option<u32>,
    ) {
        for (tag, slot) in old.slots.iter() {
            if let Some(to) = renumber(tag).and_then(|tag| self.slots.get(tag)) {
                let (value, quality, time) = old.latest.get(slot);
                self.latest.set(to, value, quality, time);
            }
        }
        let states = old.state();
        for index in 0..self.steps.len() as u32 {
            let Some(from) = same(index) else { continue };
            let (Some(state), Some(before)) = (states.steps.get(from as usize), old.steps.get(from as usize))
            else {
                continue;
            };
            let step = &mut self.steps[index as usize];
            if step.kind.is_same_function(&before.kind) {
                let (value, quality, time) = old.latest.get(before.slot);
                self.latest.set(step.slot, value, quality, time);
                let schedules =
                    |step: &Step| step.schedules.iter().map(|(of, _)| of.clone()).collect::<Vec<_>>();
                if step.change.is_some() && schedules(step) == schedules(before) {
                    step.change = state.change;
                }
                step.adopt(state.clone());
            }
        }
        let moved =
            old.pending.iter().flat_map(|(time, inputs)| inputs.iter().map(move |input| (*time, input)));
        let tags: BTreeMap<usize, TagId> = old.slots.iter().map(|(tag, slot)| (slot, tag)).collect();
        for (time, input) in moved {
            let slot = tags.get(&(input.slot as usize)).and_then(|tag| self.slots.get(renumber(*tag)?));
            if let Some(slot) = slot {
                let input = Input { slot: slot as u32, value: input.value.clone(), quality: input.quality };
                self.pending.entry(time).or_default().push(input);
                self.pending_count += 1;
            }
        }
        self.at = self.at.max(old.at);
        self.begin = self.begin.or(old.begin);
        self.started = false;
    }

    /// Another plan begins: what reads nothing may differ, or have new readers.
    pub fn begin_anew(&mut self) {
        self.begin = None;
        for step in self.steps.iter_mut().filter(|step| step.reads_nothing) {
            (step.change, step.has_run) = (Some(Timestamp(i64::MIN)), false);
        }
    }
}

impl Kind {
    fn is_same_function(&self, other: &Kind) -> bool {
        match (self, other) {
            (Kind::Operator(a), Kind::Operator(b)) => a.function == b.function,
            (Kind::Alarm(_), Kind::Alarm(_)) | (Kind::Value(_), Kind::Value(_)) => true,
            _ => false,
        }
    }
}

impl Step {
    fn adopt(&mut self, from: StepState) {
        match (&mut self.kind, from.operator, from.alarm) {
            (Kind::Operator(step), Some(saved), _) => step.state = saved,
            (Kind::Alarm(step), _, Some(saved)) => (step.state, step.raised) = saved,
            _ => {}
        }
        self.has_run = from.has_run;
    }
}

/// What running a step showed.
struct Ran {
    changed: bool,
    timed: bool,
}
