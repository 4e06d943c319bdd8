//! Compiled evaluation, columnar masks and conditioning against plain tree walks.

use super::*;
use crate::condition::Conditioner;
use crate::expr::Function;
use crate::mask::{Mask, Scene};
use gwp_core::TagId;
use gwp_core::{Column, GroupId, Qualities, Times};
use proptest::prelude::*;

/// What the walk sees: latest samples by tag, and the sample that passes.
struct Env {
    latest: Vec<(Value, Quality, Timestamp)>,
    sample: (Value, Quality, Timestamp),
}

/// A value read with a type.
fn read((value, quality): (Value, Quality), ty: Type) -> (Value, Quality) {
    let good = |value| if quality.is_bad() { (Value::Nothing, quality) } else { (value, quality) };
    let or = |why| (Value::Nothing, quality.worst(why));
    match (ty, value) {
        (Type::Float, Value::Float(v)) if v.is_finite() => good(Value::Float(v)),
        (Type::Float, Value::Int(v)) => good(Value::Float(v as f64)),
        (Type::Float, Value::UInt(v)) => good(Value::Float(v as f64)),
        (Type::Float | Type::Int, Value::Bool(v)) if ty == Type::Int => good(Value::Int(v.into())),
        (Type::Float, Value::Bool(v)) => good(Value::Float(f64::from(u8::from(v)))),
        (Type::Int, Value::Int(v)) => good(Value::Int(v)),
        (Type::Int, Value::UInt(v)) => {
            i64::try_from(v).map_or(or(Quality::OVERFLOW), |v| good(Value::Int(v)))
        }
        (Type::Int, Value::Time(v)) => good(Value::Int(v.0)),
        (Type::Time, Value::Time(v)) => good(Value::Time(v)),
        (Type::Time, Value::Int(v)) => good(Value::Time(Timestamp(v))),
        (Type::Time, Value::Bool(v)) => good(Value::Time(Timestamp(v.into()))),
        (Type::Time, Value::UInt(v)) => {
            i64::try_from(v).map_or(or(Quality::OVERFLOW), |v| good(Value::Time(Timestamp(v))))
        }
        (Type::Bool, Value::Bool(v)) => good(Value::Bool(v)),
        (Type::Bool, Value::Int(v)) => good(Value::Bool(v != 0)),
        (Type::Bool, Value::UInt(v)) => good(Value::Bool(v != 0)),
        (Type::Text, Value::Text(v)) => good(Value::Text(v)),
        _ => or(Quality::NOT_A_NUMBER),
    }
}

fn number(value: f64, quality: Quality) -> (Value, Quality) {
    match value {
        v if v.is_finite() => (Value::Float(v), quality),
        v if v.is_nan() => (Value::Nothing, quality.worst(Quality::NOT_A_NUMBER)),
        _ => (Value::Nothing, quality.worst(Quality::OVERFLOW)),
    }
}

fn whole(value: Option<i64>, quality: Quality) -> (Value, Quality) {
    value.map_or((Value::Nothing, quality.worst(Quality::OVERFLOW)), |v| (Value::Int(v), quality))
}

/// The meaning of an expression, as plainly as it can be said.
fn walk(expr: &Expr, env: &Env) -> (Value, Quality) {
    match expr {
        Expr::Const(Value::UInt(v)) => read((Value::UInt(*v), Quality::GOOD), Type::Int),
        Expr::Const(value) => (value.clone(), Quality::GOOD),
        Expr::Tag(tag, ty) => {
            let (value, quality, _) = env.latest[tag.index()].clone();
            read((value, quality), *ty)
        }
        Expr::Word(Word::Value(ty)) => read((env.sample.0.clone(), env.sample.1), *ty),
        Expr::Word(Word::Quality) => (Value::Int(severity_number(env.sample.1)), Quality::GOOD),
        Expr::Word(Word::Time) => (Value::Time(env.sample.2), Quality::GOOD),
        Expr::Word(_) | Expr::Local(..) => (Value::Nothing, Quality::NOT_A_NUMBER),
        Expr::TimeOf(tag) => (Value::Time(env.latest[tag.index()].2), Quality::GOOD),
        Expr::Good(inner) => (Value::Bool(walk(inner, env).1.is_good()), Quality::GOOD),
        Expr::Quality(inner) => (Value::Int(severity_number(walk(inner, env).1)), Quality::GOOD),
        Expr::Otherwise(first, second) => match walk(first, env) {
            (_, quality) if quality.is_bad() => {
                let (value, quality) = walk(second, env);
                (value, Quality::SUBSTITUTED.worst(quality))
            }
            good => good,
        },
        Expr::If(cond, then, other) => match walk(cond, env) {
            (Value::Bool(yes), quality) => {
                let (value, of_branch) = walk(if yes { then } else { other }, env);
                (value, quality.worst(of_branch))
            }
            bad => bad,
        },
        Expr::Neg(a) | Expr::Not(a) | Expr::ToFloat(a) | Expr::ToInt(a) | Expr::ToText(a) => {
            let (value, quality) = walk(a, env);
            if quality.is_bad() {
                return (Value::Nothing, quality);
            }
            unary(expr, value, quality)
        }
        Expr::Binary(op @ (BinaryOp::And | BinaryOp::Or), a, b) => {
            decide(*op == BinaryOp::Or, [walk(a, env), walk(b, env)])
        }
        Expr::Binary(op, a, b) => {
            let ((a, qa), (b, qb)) = (walk(a, env), walk(b, env));
            let quality = qa.worst(qb);
            if quality.is_bad() { (Value::Nothing, quality) } else { binary(*op, a, b, quality) }
        }
        Expr::Call(function @ (Function::AnyOf | Function::AllOf), args) => {
            decide(*function == Function::AnyOf, args.iter().map(|arg| walk(arg, env)))
        }
        Expr::Call(function, args) => {
            let args: Vec<_> = args.iter().map(|arg| walk(arg, env)).collect();
            let quality = args.iter().fold(Quality::GOOD, |quality, arg| quality.worst(arg.1));
            let values: Vec<Value> = args.into_iter().map(|arg| arg.0).collect();
            if quality.is_bad() { (Value::Nothing, quality) } else { call(function, &values, quality) }
        }
    }
}

/// `or` and `any_of`: one that is true and not bad decides; `and`, `all_of`: one that is false.
fn decide(decides: bool, parts: impl IntoIterator<Item = (Value, Quality)>) -> (Value, Quality) {
    let mut all = Quality::GOOD;
    for (value, quality) in parts {
        if value == Value::Bool(decides) && !quality.is_bad() {
            return (value, quality);
        }
        all = all.worst(quality);
    }
    (if all.is_bad() { Value::Nothing } else { Value::Bool(!decides) }, all)
}

fn unary(expr: &Expr, value: Value, quality: Quality) -> (Value, Quality) {
    match (expr, value) {
        (Expr::Neg(_), Value::Int(v)) => whole(v.checked_neg(), quality),
        (Expr::Neg(_), Value::Float(v)) => number(-v, quality),
        (Expr::Not(_), Value::Bool(v)) => (Value::Bool(!v), quality),
        (Expr::ToFloat(_), value) => number(value.as_f64().unwrap(), quality),
        (Expr::ToInt(_), Value::Float(v)) => {
            let v = v.round();
            whole((v.abs() < 9.3e18).then_some(v as i128).and_then(|v| i64::try_from(v).ok()), quality)
        }
        (Expr::ToText(_), value) => (Value::Text(value.to_string().into()), quality),
        other => panic!("ill typed: {other:?}"),
    }
}

fn binary(op: BinaryOp, a: Value, b: Value, quality: Quality) -> (Value, Quality) {
    use BinaryOp::*;
    use Value::{Bool, Float, Int, Text, Time};
    let zero = (Value::Nothing, quality.worst(Quality::DIVISION_BY_ZERO));
    let overflow_if_infinite = |v: f64| match v.is_finite() {
        true => (Float(v), quality),
        false => (Value::Nothing, quality.worst(Quality::OVERFLOW)),
    };
    match (op, a, b) {
        (Add, Int(a), Int(b)) => whole(a.checked_add(b), quality),
        (Sub, Int(a), Int(b)) => whole(a.checked_sub(b), quality),
        (Mul, Int(a), Int(b)) => whole(a.checked_mul(b), quality),
        (Mod, Int(_), Int(0)) => zero,
        (Mod, Int(a), Int(b)) => {
            let (a, b) = (i128::from(a), i128::from(b));
            (Int((((a % b) + b) % b) as i64), quality)
        }
        (Div | Mod, Float(_), Float(0.0)) => zero,
        (Add, Float(a), Float(b)) => overflow_if_infinite(a + b),
        (Sub, Float(a), Float(b)) => overflow_if_infinite(a - b),
        (Mul, Float(a), Float(b)) => overflow_if_infinite(a * b),
        (Div, Float(a), Float(b)) => overflow_if_infinite(a / b),
        (Mod, Float(a), Float(b)) => overflow_if_infinite(a - b * (a / b).floor()),
        (Add, Text(a), Text(b)) => (Text(format!("{a}{b}").into()), quality),
        (Sub, Time(a), Time(b)) => number(a.0.saturating_sub(b.0) as f64 / 1e9, quality),
        (TimeAdd, Time(a), Float(b)) => (Time(Timestamp(a.0.saturating_add((b * 1e9) as i64))), quality),
        (Eq, a, b) => (Bool(a == b), quality),
        (Ne, a, b) => (Bool(a != b), quality),
        (op, a, b) => {
            let less = |a: &Value, b: &Value| match (a, b) {
                (Int(a), Int(b)) => a < b,
                (Float(a), Float(b)) => a < b,
                (Text(a), Text(b)) => a < b,
                (Time(a), Time(b)) => a < b,
                (Bool(a), Bool(b)) => !a & b,
                other => panic!("ill typed: {other:?}"),
            };
            let holds = match op {
                Lt => less(&a, &b),
                Ge => !less(&a, &b),
                Gt => less(&b, &a),
                _ => !less(&b, &a),
            };
            (Bool(holds), quality)
        }
    }
}

fn call(function: &Function, args: &[Value], quality: Quality) -> (Value, Quality) {
    let float = |index: usize| args[index].as_f64().unwrap();
    let int = |index: usize| match &args[index] {
        Value::Int(v) => *v,
        other => panic!("ill typed: {other:?}"),
    };
    let text = |index: usize| args[index].to_string();
    let floats = || args.iter().map(|arg| arg.as_f64().unwrap());
    let ints = args.iter().all(|arg| matches!(arg, Value::Int(_)));
    let sum = |sum: f64, by: f64| match (sum / by).is_finite() {
        true => (Value::Float(sum / by), quality),
        false => (Value::Nothing, quality.worst(Quality::OVERFLOW)),
    };
    match function {
        Function::Abs if ints => whole(int(0).checked_abs(), quality),
        Function::Min if ints => whole((0..args.len()).map(int).min(), quality),
        Function::Max if ints => whole((0..args.len()).map(int).max(), quality),
        Function::Abs => number(float(0).abs(), quality),
        Function::Min | Function::MinOf => number(floats().fold(f64::INFINITY, f64::min), quality),
        Function::Max | Function::MaxOf => number(floats().fold(f64::NEG_INFINITY, f64::max), quality),
        Function::Sqrt => number(float(0).sqrt(), quality),
        Function::Ln => number(float(0).ln(), quality),
        Function::Exp => number(float(0).exp(), quality),
        Function::Round => number(float(0).round(), quality),
        Function::Floor => number(float(0).floor(), quality),
        Function::Power => number(float(0).powf(float(1)), quality),
        Function::SumOf => sum(floats().fold(0.0, |a, b| a + b), 1.0),
        Function::AvgOf => sum(floats().fold(0.0, |a, b| a + b), args.len() as f64),
        Function::CountOf => {
            (Value::Int(args.iter().filter(|arg| **arg == Value::Bool(true)).count() as i64), quality)
        }
        Function::Bit if (0..64).contains(&int(1)) => {
            (Value::Bool((int(0) as u64).rotate_right(int(1) as u32) % 2 == 1), quality)
        }
        Function::Bit => (Value::Nothing, quality.worst(Quality::OVERFLOW)),
        Function::Length => (Value::Int(text(0).chars().count() as i64), quality),
        Function::Upper => (Value::Text(text(0).to_uppercase().into()), quality),
        Function::Contains => (Value::Bool(text(0).contains(&text(1))), quality),
        Function::Join => {
            (Value::Text(args.iter().map(Value::to_string).collect::<String>().into()), quality)
        }
        other => panic!("not walked: {other:?}"),
    }
}

/// Makes well-typed expressions from random numbers.
struct Maker {
    state: u64,
    words: bool,
}

const TAGS: u32 = 9;

impl Maker {
    fn next(&mut self, below: u64) -> u64 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        (self.state >> 11) % below
    }

    fn tag(&mut self) -> TagId {
        TagId(self.next(TAGS.into()) as u32)
    }

    fn ty(&mut self) -> Type {
        [Type::Bool, Type::Int, Type::Float, Type::Text, Type::Time][self.next(5) as usize]
    }

    fn leaf(&mut self, ty: Type) -> Expr {
        if self.words && self.next(3) == 0 {
            return match (ty, self.next(3)) {
                (Type::Int, 0) => Expr::Word(Word::Quality),
                (Type::Time, 0) => Expr::Word(Word::Time),
                _ => Expr::Word(Word::Value(ty)),
            };
        }
        if self.next(2) == 0 {
            return if ty == Type::Time && self.next(2) == 0 {
                Expr::TimeOf(self.tag())
            } else {
                Expr::Tag(self.tag(), ty)
            };
        }
        let floats = [0.0, -0.0, 1.5, -2.25, 7.0, 1e308, -1e308, 1e-300, 9.3e18, 3e18];
        let ints = [0, 1, -1, 2, 7, 63, 64, i64::MAX, i64::MIN, -40];
        let pick = self.next(10) as usize;
        Expr::Const(match ty {
            Type::Bool => Value::Bool(pick.is_multiple_of(2)),
            Type::Int if pick == 9 => Value::UInt(u64::MAX - 3),
            Type::Int => Value::Int(ints[pick]),
            Type::Float => Value::Float(floats[pick]),
            Type::Text => Value::Text(["", "a", "äß", "run", "12"][pick / 2].into()),
            Type::Time => Value::Time(Timestamp(ints[pick])),
        })
    }

    fn many(&mut self, ty: Type, depth: u32) -> Vec<Expr> {
        (0..1 + self.next(3)).map(|_| self.expr(ty, depth)).collect()
    }

    fn expr(&mut self, ty: Type, depth: u32) -> Expr {
        if depth == 0 {
            return self.leaf(ty);
        }
        let depth = depth - 1;
        let mut make = |of: Type| Box::new(self.expr(of, depth));
        let common = make(Type::Bool);
        let (first, second) = (make(ty), make(ty));
        match self.next(12) {
            0 => Expr::If(common, first, second),
            1 => Expr::Otherwise(first, second),
            2 => self.leaf(ty),
            _ => self.of_type(ty, depth, *first, *second),
        }
    }

    fn of_type(&mut self, ty: Type, depth: u32, first: Expr, second: Expr) -> Expr {
        use BinaryOp::*;
        let (a, b) = (Box::new(first), Box::new(second));
        let call = |function, args| Expr::Call(function, args);
        match ty {
            Type::Float => match self.next(12) {
                0 => Expr::Neg(a),
                1 => Expr::ToFloat(Box::new(self.expr(Type::Int, depth))),
                2 => Expr::ToFloat(Box::new(self.expr(Type::Bool, depth))),
                3 => {
                    let (a, b) = (self.expr(Type::Time, depth), self.expr(Type::Time, depth));
                    Expr::Binary(Sub, Box::new(a), Box::new(b))
                }
                4 => {
                    let of = [Function::Sqrt, Function::Ln, Function::Exp, Function::Round, Function::Floor];
                    call(of[self.next(5) as usize].clone(), vec![*a])
                }
                5 => call(Function::Power, vec![*a, *b]),
                6 => {
                    let of =
                        [Function::Min, Function::Max, Function::MinOf, Function::MaxOf, Function::SumOf];
                    let of = of.into_iter().chain([Function::AvgOf]).nth(self.next(6) as usize).unwrap();
                    call(of, self.many(Type::Float, depth))
                }
                _ => Expr::Binary([Add, Sub, Mul, Div, Mod][self.next(5) as usize], a, b),
            },
            Type::Int => match self.next(9) {
                0 => Expr::Neg(a),
                1 => Expr::ToInt(Box::new(self.expr(Type::Float, depth))),
                2 => {
                    let of = self.ty();
                    Expr::Quality(Box::new(self.expr(of, depth)))
                }
                3 => call(Function::CountOf, self.many(Type::Bool, depth)),
                4 => call(Function::Length, vec![self.expr(Type::Text, depth)]),
                5 => {
                    let of = [Function::Abs, Function::Min, Function::Max][self.next(3) as usize].clone();
                    let args = if of == Function::Abs { vec![*a] } else { vec![*a, *b] };
                    call(of, args)
                }
                _ => Expr::Binary([Add, Sub, Mul, Mod][self.next(4) as usize], a, b),
            },
            Type::Bool => self.condition(depth, a, b),
            Type::Text => match self.next(4) {
                0 => {
                    let of = self.ty();
                    Expr::ToText(Box::new(self.expr(of, depth)))
                }
                1 => call(Function::Upper, vec![*a]),
                2 => call(Function::Join, self.many(Type::Text, depth)),
                _ => Expr::Binary(Add, a, b),
            },
            Type::Time => Expr::Binary(TimeAdd, a, Box::new(self.expr(Type::Float, depth))),
        }
    }

    fn condition(&mut self, depth: u32, a: Box<Expr>, b: Box<Expr>) -> Expr {
        use BinaryOp::*;
        match self.next(10) {
            0 => Expr::Not(a),
            1 => {
                let of = self.ty();
                Expr::Good(Box::new(self.expr(of, depth)))
            }
            2 | 3 => Expr::Binary([And, Or][self.next(2) as usize], a, b),
            4 => {
                let of = [Function::AnyOf, Function::AllOf][self.next(2) as usize].clone();
                Expr::Call(of, self.many(Type::Bool, depth))
            }
            5 => {
                let args = vec![self.expr(Type::Int, depth), self.expr(Type::Int, 0)];
                Expr::Call(Function::Bit, args)
            }
            6 => Expr::Call(
                Function::Contains,
                vec![self.expr(Type::Text, depth), self.expr(Type::Text, depth)],
            ),
            _ => {
                let of = self.ty();
                let (a, b) = (self.expr(of, depth), self.expr(of, depth));
                let op = [Eq, Ne, Lt, Le, Gt, Ge][self.next(6) as usize];
                Expr::Binary(op, Box::new(a), Box::new(b))
            }
        }
    }

    /// Conditions as programs write them: what masks have columns for.
    fn usual_condition(&mut self, depth: u32) -> Expr {
        use BinaryOp::*;
        if depth > 0 && self.next(2) == 0 {
            let op = [And, Or][self.next(2) as usize];
            let (a, b) = (self.usual_condition(depth - 1), self.usual_condition(depth - 1));
            return Expr::Binary(op, Box::new(a), Box::new(b));
        }
        let value = |ty| Box::new(Expr::Word(Word::Value(ty)));
        match self.next(6) {
            0 => {
                let of = self.ty();
                Expr::Good(value(of))
            }
            1 => Expr::Binary(Eq, Box::new(Expr::Word(Word::Quality)), Box::new(Expr::Const(Value::Int(0)))),
            2 => self.expr(Type::Bool, 2),
            _ => {
                let op = [Eq, Ne, Lt, Le, Gt, Ge][self.next(6) as usize];
                let constant = [0.0, -0.0, 1.5, -3.0, 1e308][self.next(5) as usize];
                Expr::Binary(op, value(Type::Float), Box::new(Expr::Const(Value::Float(constant))))
            }
        }
    }
}

fn qualities() -> impl Strategy<Value = Quality> {
    prop_oneof![
        4 => Just(Quality::GOOD),
        1 => Just(Quality::OUT_OF_RANGE),
        1 => Just(Quality::LAST_USABLE),
        1 => Just(Quality::TIMEOUT),
        1 => Just(Quality::WAITING),
    ]
}

fn values() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Nothing),
        any::<bool>().prop_map(Value::Bool),
        prop_oneof![any::<i64>(), -9i64..9, Just(i64::MIN), Just(i64::MAX)].prop_map(Value::Int),
        prop_oneof![any::<u64>(), 0u64..9, Just(u64::MAX)].prop_map(Value::UInt),
        floats().prop_map(Value::Float),
        "[a-cß]{0,3}".prop_map(|text| Value::Text(text.into())),
        Just(Value::Bytes([1, 2].into())),
        any::<i64>().prop_map(|ns| Value::Time(Timestamp(ns))),
    ]
}

fn floats() -> impl Strategy<Value = f64> {
    let special =
        [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.0, -0.0, f64::MAX, f64::MIN_POSITIVE, 1.5, -3.0];
    prop_oneof![any::<f64>(), -9.0..9.0f64, (0..special.len()).prop_map(move |index| special[index])]
}

fn samples() -> impl Strategy<Value = (Value, Quality, Timestamp)> {
    (values(), qualities(), 1i64..1_000).prop_map(|(value, quality, ns)| (value, quality, Timestamp(ns)))
}

/// Batches of one kind, or of any.
fn batches() -> impl Strategy<Value = Vec<(Value, Quality, Timestamp)>> {
    let of = |values: BoxedStrategy<Value>| {
        proptest::collection::vec((values, qualities(), 1i64..1_000), 1..20)
            .prop_map(|all| all.into_iter().map(|(v, q, ns)| (v, q, Timestamp(ns))).collect::<Vec<_>>())
    };
    prop_oneof![
        of(floats().prop_map(Value::Float).boxed()),
        of((-5i64..5).prop_map(Value::Int).boxed()),
        of(any::<bool>().prop_map(Value::Bool).boxed()),
        of(values().boxed()),
    ]
}

fn batch(samples: &[(Value, Quality, Timestamp)]) -> Batch {
    let mut column = Column::new();
    samples.iter().for_each(|sample| column.push(sample.0.clone()));
    let tags = (0..samples.len() as u32).map(TagId).collect();
    let mut batch = Batch::uniform(GroupId(0), tags, Timestamp(0), column);
    batch.times = Times::Each(samples.iter().map(|sample| sample.2).collect());
    let same = samples.iter().all(|sample| sample.1 == samples[0].1);
    batch.qualities = match same {
        true => Qualities::Same(samples[0].1),
        false => Qualities::Each(samples.iter().map(|sample| sample.1).collect()),
    };
    batch
}

fn latest(slots: &Slots, env: &[(Value, Quality, Timestamp)]) -> Latest {
    let mut latest = Latest::new(slots.len());
    for (tag, slot) in slots.iter() {
        let (value, quality, time) = env[tag.index()].clone();
        latest.set(slot, value, quality, time);
    }
    latest
}

fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Float(a), Value::Float(b)) => a == b,
        _ => a == b,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn compiled_evaluation_is_the_plain_meaning(
        seed in 1u64.., depth in 0u32..5,
        env in proptest::collection::vec(samples(), TAGS as usize),
        sample in samples(),
    ) {
        let mut maker = Maker { state: seed, words: true };
        let ty = maker.ty();
        let expr = maker.expr(ty, depth);
        prop_assert_eq!(expr.ty(), Some(ty));
        let mut slots = Slots::default();
        let compiled = compile(&expr, &mut slots);
        let latest = latest(&slots, &env);
        let one = batch(std::slice::from_ref(&sample));
        let flow: Arc<str> = "f".into();
        let passing = SampleRef { batch: &one, index: 0, tags: &[], flow: &flow };
        let frame = Frame { latest: &latest, time: sample.2, sample: Some(passing) };
        let (value, quality) = compiled.value(&frame);
        let (meant, of) = walk(&expr, &Env { latest: env, sample });
        prop_assert_eq!(quality, of, "{:?}", expr);
        prop_assert!(same(&value, &meant), "{:?} is not {:?}: {:?}", value, meant, expr);
    }

    #[test]
    fn masks_are_the_plain_meaning(
        seed in 1u64.., depth in 0u32..4,
        env in proptest::collection::vec(samples(), TAGS as usize),
        samples in batches(), before in any::<u32>(),
    ) {
        let mut maker = Maker { state: seed, words: true };
        let expr = maker.usual_condition(depth);
        let mut slots = Slots::default();
        let mask = Mask::compile(&expr, &mut slots);
        let latest = latest(&slots, &env);
        let (batch, flow) = (batch(&samples), Arc::from("f"));
        let start: Vec<bool> = (0..samples.len()).map(|index| before >> index & 1 == 0).collect();
        let mut pass = start.clone();
        mask.apply(&batch, &Scene { latest: &latest, tags: &[], flow: &flow }, &mut pass);
        let mut env = Env { latest: env, sample: samples[0].clone() };
        for (index, sample) in samples.iter().enumerate() {
            env.sample = sample.clone();
            let meant = start[index] && walk(&expr, &env).0 == Value::Bool(true);
            prop_assert_eq!(pass[index], meant, "{:?} of {:?}", expr, sample);
        }
    }

    #[test]
    fn conditioning_is_the_plain_meaning(
        samples in batches(),
        tags in proptest::collection::vec((proptest::option::of((-3.0..3.0f64, -9.0..9.0f64)), any::<bool>()), 20),
        all in any::<bool>(),
    ) {
        let linear = |index: usize| match (all, tags[index].0) {
            (true, None) => Some((2.0, 1.0)),
            (_, scale) => scale,
        };
        let range = |index: usize| tags[index].1.then_some((-2.0, 2.0));
        let ids: std::sync::Arc<[TagId]> = (0..samples.len() as u32).map(TagId).collect();
        let mut plan = crate::plan::tests::plan(samples.len());
        for (index, tag) in plan.tags.iter_mut().enumerate() {
            tag.scale = linear(index).map(|(gain, offset)| crate::plan::Linear { gain, offset });
            tag.range = range(index);
        }
        let mut conditioned = batch(&samples);
        Conditioner::new(&plan, &ids).apply(&mut conditioned);
        for (index, (raw, quality, _)) in samples.iter().enumerate() {
            let number = match raw {
                Value::Bool(_) => None,
                value => value.as_f64(),
            };
            let value = match (number, linear(index)) {
                (Some(v), Some((gain, offset))) => Value::Float(v * gain + offset),
                _ => raw.clone(),
            };
            // A scale may be computed as a ratio: as near, but not the same to the last bit.
            let found = conditioned.values.get(index);
            let value = match (&found, value, number.zip(linear(index))) {
                (Value::Float(found), Value::Float(plain), Some((v, (gain, offset))))
                    if (found - plain).abs() <= 4.0 * f64::EPSILON * ((v * gain).abs() + offset.abs()) =>
                {
                    Value::Float(*found)
                }
                (_, value, _) => value,
            };
            let is_number = matches!(value, Value::Int(_) | Value::UInt(_) | Value::Float(_));
            let outside = is_number && range(index).is_some()
                && value.as_f64().is_some_and(|v| !(-2.0..=2.0).contains(&v) && !v.is_nan());
            let meant = if outside && quality.is_good() { Quality::OUT_OF_RANGE } else { *quality };
            prop_assert_eq!(format!("{found:?}"), format!("{value:?}"));
            prop_assert_eq!(conditioned.qualities.get(index), meant);
        }
    }
}

#[test]
fn texts_stay_within_their_bound_when_letters_grow() {
    let long: Arc<str> = "ŉ".repeat(gwp_core::limits::TEXT_BYTES_MAX / 2).into();
    let expr = Expr::Call(Function::Upper, vec![Expr::Const(Value::Text(long))]);
    let compiled = compile(&expr, &mut Slots::default());
    let latest = Latest::new(0);
    let (value, quality) = compiled.value(&Frame { latest: &latest, time: Timestamp(0), sample: None });
    assert!(quality.is_good());
    assert!(value.to_string().len() <= gwp_core::limits::TEXT_BYTES_MAX);
}
