use super::*;
use crate::plan::Linear;
use crate::plan::tests::plan;
use gwp_core::time::NS_PER_S;

const S: i64 = NS_PER_S;

/// Tag 0 is written in kW, tag 1 commands, tag 2 tells.
fn setpoint(plc_type: PlcType, gain: Option<f64>) -> Plan {
    let mut plan = plan(3);
    let target = &mut plan.tags[0];
    target.origin = Origin::Point { address: "hr 0".into(), plc_type };
    target.scale = gain.map(|gain| Linear { gain, offset: 0.0 });
    target.info.unit = "kW".into();
    plan.writes.push(Write {
        name: "set".into(),
        target: TagId(0),
        command: TagId(1),
        outcome: TagId(2),
        allow: Allow::Range { low: 50.0, high: 400.0 },
        limit: None,
        expire_ns: 10 * S,
        verify_ns: None,
    });
    plan
}

fn command(value: Value) -> Commanded {
    Commanded { value, quality: Quality::GOOD, time: Timestamp(100 * S) }
}

fn decided(plan: &Plan, command: &Commanded, now_s: i64) -> Decision {
    Writes::new(plan).decide(plan, 0, command, Timestamp(now_s * S))
}

fn refused(decision: Decision) -> String {
    match decision {
        Decision::Refuse(why) => why,
        Decision::Execute(execution) => panic!("{execution:?}"),
    }
}

#[test]
fn a_value_inside_allow_is_written_as_the_device_keeps_it() {
    let of = |plc_type, gain, value: f64| {
        let plan = setpoint(plc_type, gain);
        match decided(&plan, &command(Value::Float(value)), 100) {
            Decision::Execute(Execution { raw, value }) => (raw, value),
            Decision::Refuse(why) => panic!("{why}"),
        }
    };
    assert_eq!(of(PlcType::Int, Some(0.1), 300.0), (Value::Int(3000), Value::Float(300.0)));
    assert_eq!(of(PlcType::Uint, Some(0.1), 300.07), (Value::Int(3001), Value::Float(300.1)));
    assert_eq!(of(PlcType::Ulint, None, 60.0), (Value::UInt(60), Value::UInt(60)));
    assert_eq!(of(PlcType::Lreal, None, 60.1), (Value::Float(60.1), Value::Float(60.1)));
    let single = f64::from(60.1f32);
    assert_eq!(of(PlcType::Real, None, 60.1), (Value::Float(single), Value::Float(single)));
    assert_eq!(of(PlcType::Real, None, 400.0).0, Value::Float(400.0));
}

#[test]
fn what_is_outside_is_refused_with_its_unit() {
    let plan = setpoint(PlcType::Real, None);
    let text = |value| refused(decided(&plan, &command(value), 100));
    assert_eq!(text(Value::Float(900.0)), "refused: 900 kW is outside 50 kW..400 kW");
    assert_eq!(text(Value::Float(49.9)), "refused: 49.9 kW is outside 50 kW..400 kW");
    assert_eq!(text(Value::Float(f64::NAN)), "refused: NaN kW does not fit real");
    assert_eq!(text(Value::Text("x".into())), "refused: x kW does not fit real");
}

#[test]
fn steps_of_the_device_must_be_allowed_too() {
    let mut plan = setpoint(PlcType::Int, Some(100.0));
    plan.writes[0].allow = Allow::Range { low: 120.0, high: 400.0 };
    assert_eq!(
        refused(decided(&plan, &command(Value::Float(130.0)), 100)),
        "refused: 100 kW is outside 120 kW..400 kW"
    );
    let mut plan = setpoint(PlcType::Sint, None);
    plan.writes[0].allow = Allow::Range { low: 0.0, high: 1e9 };
    assert_eq!(
        refused(decided(&plan, &command(Value::Float(128.0)), 100)),
        "refused: 128 kW does not fit sint"
    );
}

#[test]
fn old_early_retained_and_bad_commands_are_refused() {
    let plan = setpoint(PlcType::Real, None);
    let good = command(Value::Float(100.0));
    assert_eq!(
        refused(decided(&plan, &good, 112)),
        "refused: the command is 12 s old, it expires after 10 s"
    );
    assert!(matches!(decided(&plan, &good, 110), Decision::Execute(_)));
    assert_eq!(refused(decided(&plan, &good, 85)), "refused: the command is dated 15 s ahead");
    let retained = Commanded { quality: Quality::INITIAL, ..good.clone() };
    assert_eq!(
        refused(decided(&plan, &retained, 100)),
        "refused: a retained or repeated message is no command"
    );
    let bad = Commanded { quality: Quality::NOT_A_NUMBER, ..good };
    assert_eq!(refused(decided(&plan, &bad, 100)), "refused: the value is bad(not_a_number)");
}

#[test]
fn the_limit_counts_what_was_let_through() {
    let mut plan = setpoint(PlcType::Real, None);
    plan.writes[0].limit = Some(Limit { count: 2, per_ns: 5 * S });
    let mut writes = Writes::new(&plan);
    let mut at = |second: i64, value: f64| {
        let command = Commanded { time: Timestamp(second * S), ..command(Value::Float(value)) };
        match writes.decide(&plan, 0, &command, Timestamp(second * S)) {
            Decision::Execute(_) => "executed".to_owned(),
            Decision::Refuse(why) => why,
        }
    };
    assert_eq!(at(0, 900.0), "refused: 900 kW is outside 50 kW..400 kW");
    assert_eq!([at(0, 100.0), at(3, 100.0)], ["executed", "executed"]);
    assert_eq!(at(4, 100.0), "refused: more than 2 commands in 5 s");
    assert_eq!(
        [at(5, 100.0), at(7, 100.0)],
        ["executed".to_owned(), "refused: more than 2 commands in 5 s".into()]
    );
    assert_eq!(at(8, 100.0), "executed");
}

#[test]
fn labels_bools_and_texts_have_lists() {
    let mut plan = setpoint(PlcType::Int, None);
    plan.tags[0].info.unit = "".into();
    plan.tags[0].info.labels = [(0, "stopped".into()), (1, "running".into())].into();
    plan.writes[0].allow = Allow::OneOf(vec![Value::Int(0)]);
    assert!(matches!(decided(&plan, &command(Value::Int(0)), 100), Decision::Execute(_)));
    assert_eq!(
        refused(decided(&plan, &command(Value::Int(1)), 100)),
        "refused: running is outside [stopped]"
    );
    plan.tags[0].origin = Origin::Point { address: "co 0".into(), plc_type: PlcType::Bool };
    plan.writes[0].allow = Allow::OneOf(vec![Value::Bool(true)]);
    assert!(matches!(decided(&plan, &command(Value::Bool(true)), 100), Decision::Execute(_)));
    assert_eq!(
        refused(decided(&plan, &command(Value::Bool(false)), 100)),
        "refused: false is outside [true]"
    );
}

#[test]
fn outcomes_tell_what_was_written_and_read() {
    let plan = setpoint(PlcType::Real, None);
    let value = Value::Float(f64::from(60.1f32));
    let text = |written: Written| plan.writes[0].outcome(&plan, &value, &written);
    assert_eq!(text(Written::Done), "done: 60.1 kW");
    assert_eq!(text(Written::Confirmed), "confirmed: 60.1 kW");
    assert_eq!(
        text(Written::NotConfirmed(Some(Value::Float(50.0)))),
        "not confirmed: 60.1 kW was written, 50 kW is read back"
    );
    assert_eq!(
        text(Written::Unknown("no answer within 5 s".into())),
        "unknown: 60.1 kW, no answer within 5 s"
    );
    assert!(reads_back(&value, &value) && !reads_back(&value, &Value::Float(60.1)));
    assert!(reads_back(&Value::Int(5), &Value::Float(5.0)));
}
