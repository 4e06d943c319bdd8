use super::*;
use crate::expr::{BinaryOp, Expr, Type};
use crate::plan::tests::plan as tags;
use crate::plan::{Calc, Origin, Plan};
use gwp_core::time::NS_PER_S;

/// Ten tags read each second; the last one is the sum of the first two.
fn plan() -> Plan {
    let mut plan = tags(10);
    plan.groups[0].tags = (0..9).map(TagId).collect();
    plan.tags[9].origin = Origin::Calc;
    let tag = |index| Box::new(Expr::Tag(TagId(index), Type::Float));
    plan.calcs = vec![Calc::pure(TagId(9), Expr::Binary(BinaryOp::Add, tag(0), tag(1)))];
    plan
}

fn at(second: i64, action: ScenarioAction) -> ScenarioStep {
    ScenarioStep { at_ns: second * NS_PER_S, action, text: "".into() }
}

fn feed(second: i64, tag: u32, value: f64) -> ScenarioStep {
    at(second, ScenarioAction::Feed { tag: TagId(tag), value: Fed::Good(Value::Float(value)) })
}

fn expect(second: i64, expected: Expected) -> ScenarioStep {
    at(second, ScenarioAction::Expect { tag: TagId(9), expected })
}

fn scenario(steps: Vec<ScenarioStep>) -> Scenario {
    Scenario { name: "t".into(), start: Timestamp(1_700_000_000 * NS_PER_S), steps }
}

#[test]
fn values_are_held_until_the_next_feed_and_expectations_see_their_time() {
    let steps = vec![
        feed(0, 0, 1.0),
        feed(0, 1, 2.0),
        expect(5, Expected::Value(Value::Float(3.0))),
        at(6, ScenarioAction::Feed { tag: TagId(0), value: Fed::Bad }),
        expect(6, Expected::Bad),
        feed(7, 0, 5.0),
        expect(8, Expected::Value(Value::Int(7))),
        expect(8, Expected::Quality(0)),
    ];
    for mode in Mode::ALL {
        let outcome = play(&plan(), &scenario(steps.clone()), mode).unwrap();
        assert_eq!(outcome.failures, [], "{mode:?}");
        assert!(outcome.samples >= 9 * 8);
    }
}

#[test]
fn what_is_not_as_expected_is_told_with_what_was_before() {
    let steps = vec![feed(0, 0, 1.0), feed(0, 1, 2.0), expect(3, Expected::Value(Value::Float(3.5)))];
    let outcome = play(&plan(), &scenario(steps), Mode::Plain).unwrap();
    let [failure] = outcome.failures.as_slice() else { panic!("{outcome:?}") };
    assert_eq!((failure.step, &*failure.expected, &*failure.found), (2, "3.5", "3"));
    assert_eq!(failure.before, [(0, "3".to_owned())]);
    let mut with_unit = plan();
    with_unit.tags[9].info.unit = "kW".into();
    let wrong = vec![feed(0, 0, 1.0), feed(0, 1, 2.0), expect(3, Expected::Value(Value::Float(3.5)))];
    let outcome = play(&with_unit, &scenario(wrong), Mode::Plain).unwrap();
    assert_eq!((&*outcome.failures[0].expected, &*outcome.failures[0].found), ("3.5 kW", "3 kW"));
    let none = at(3, ScenarioAction::ExpectNo { what: Subject::Tag(TagId(9)) });
    let computed = vec![feed(0, 0, 1.0), feed(0, 1, 2.0), none.clone()];
    assert_eq!(play(&plan(), &scenario(computed), Mode::Plain).unwrap().failures.len(), 1);
    // A device that has no value yet is asked all the same.
    let waiting = vec![feed(0, 0, 1.0), none];
    assert_eq!(play(&plan(), &scenario(waiting), Mode::Plain).unwrap().failures, []);
    let long = vec![feed(400_000_000, 0, 1.0)];
    assert!(matches!(play(&plan(), &scenario(long), Mode::Plain), Err(ScenarioError::TooLong)));
}
