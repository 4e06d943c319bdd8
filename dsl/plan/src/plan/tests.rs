use super::*;
use crate::expr::BinaryOp;
use gwp_core::Value;
use proptest::prelude::*;

/// A plan of `count` tags in one poll group, without sinks.
pub(crate) fn plan(count: usize) -> Plan {
    let tag = |index: usize| Tag {
        info: TagInfo {
            path: format!("d.t{index:03}").into(),
            device: "d".into(),
            tag: format!("t{index:03}").into(),
            unit: "".into(),
            labels: [].into(),
            desc: "".into(),
            row: "".into(),
        },
        kind: Kind::Float,
        origin: Origin::Point { address: format!("hr {index}").into(), plc_type: PlcType::Int },
        scale: None,
        range: None,
        deadband: None,
        counter: None,
        writable: false,
        family: None,
    };
    Plan {
        version: PLAN_VERSION,
        gateway: GatewayPlan { name: "g".into(), timezone: "UTC".into(), settings: Settings::default() },
        tags: (0..count).map(tag).collect(),
        groups: vec![Group {
            source: 0,
            device: "d".into(),
            device_settings: Settings::default(),
            period_ns: 1_000_000_000,
            phase_ns: 0,
            tags: (0..count as u32).map(TagId).collect(),
        }],
        sources: Vec::new(),
        calcs: Vec::new(),
        writes: Vec::new(),
        sinks: Vec::new(),
        flows: Vec::new(),
        moved: Vec::new(),
    }
}

#[test]
fn equal_plans_have_equal_ids_and_other_plans_others() {
    let (a, b) = (plan(5), plan(5));
    assert_eq!(a.id(), b.id());
    assert_eq!(Plan::from_bytes(&a.to_bytes()).unwrap(), a);
    assert_eq!(Plan::from_bytes(&a.to_bytes()).unwrap().id(), a.id());
    let mut other = plan(5);
    other.tags[4].scale = Some(Linear { gain: 0.1, offset: 0.0 });
    assert_ne!(other.id(), a.id());
    // Changes only with the format: stores and pairs compare it.
    assert_eq!(a.id().to_string().len(), 32);
}

#[test]
fn another_format_is_told() {
    let mut newer = plan(1);
    newer.version = PLAN_VERSION + 1;
    let read = Plan::from_bytes(&newer.to_bytes());
    assert!(matches!(read, Err(PlanError::Version { found }) if found == PLAN_VERSION + 1));
}

/// A tree deep enough to overflow the stack is not decoded when its check does not fit.
#[test]
fn deep_damage_does_not_recurse() {
    let deep = vec![3; 1 << 20];
    assert!(matches!(Plan::from_bytes(&deep), Err(PlanError::Damaged)));
}

proptest! {
    #[test]
    fn damaged_bytes_are_refused(at in any::<usize>(), bits in 1u8.., cut in any::<usize>()) {
        let mut plan = plan(3);
        let sum = Expr::Binary(
            BinaryOp::Add,
            Box::new(Expr::Tag(TagId(0), crate::Type::Float)),
            Box::new(Expr::Const(Value::Float(2.5))),
        );
        plan.calcs.push(Calc::pure(TagId(2), sum));
        let bytes = plan.to_bytes();
        let mut flipped = bytes.clone();
        let at = at % bytes.len();
        flipped[at] ^= bits;
        prop_assert!(Plan::from_bytes(&flipped).is_err());
        prop_assert!(Plan::from_bytes(&bytes[..cut % bytes.len()]).is_err());
        let longer = [bytes.as_slice(), &[0]].concat();
        prop_assert!(Plan::from_bytes(&longer).is_err());
    }
}
