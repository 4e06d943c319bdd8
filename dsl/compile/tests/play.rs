//! Programs with `test` blocks that prove what the reference says: each is played in all modes, which must agree,
//! and each expectation must be able to fail.

mod manifests;

use std::path::{Path, PathBuf};

use gwp_compile::PlacedScenario;
use gwp_core::{Timestamp, Value};
use gwp_plan::Plan;
use gwp_plan::scenario::{Expected, Mode, Outcome, ScenarioAction, play, play_apart};
use manifests::{compiled, words};

/// Fewer would leave parts of the reference without a proof.
const PROGRAMS_MIN: usize = 60;

/// A program that plays.
struct Program {
    name: String,
    plan: Plan,
    scenarios: Vec<PlacedScenario>,
}

fn programs() -> Vec<Program> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/suite/play");
    let entries = std::fs::read_dir(&folder).expect("the suite is there");
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("readable").path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "gwp"));
    // the programs of the language's design, as far as they have tests
    paths.extend(["boiler", "meters"].map(|name| folder.join(format!("../examples/{name}.gwp"))));
    paths.sort();
    let load = |path: &PathBuf| {
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let result = compiled(&std::fs::read_to_string(path).expect("text"));
        let Some(plan) = result.plan.clone() else { return Err(format!("{name}:\n{}", words(&result))) };
        assert!(!result.scenarios.is_empty(), "{name} tests nothing");
        Ok(Program { name, plan, scenarios: result.scenarios })
    };
    let (good, wrong): (Vec<_>, Vec<_>) = paths.iter().map(load).partition(Result::is_ok);
    let wrong: Vec<String> = wrong.into_iter().filter_map(Result::err).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    good.into_iter().flatten().collect()
}

fn played(program: &Program, test: &PlacedScenario, mode: Mode) -> Outcome {
    play(&program.plan, &test.scenario, mode).unwrap_or_else(|error| panic!("{}: {error}", program.name))
}

/// What was not met, in words.
fn unmet(program: &Program, test: &PlacedScenario, outcome: &Outcome, mode: Mode) -> Vec<String> {
    let one = |failure: &gwp_plan::scenario::Failure| {
        let step = &test.scenario.steps[failure.step];
        let at = step.at_ns as f64 / 1e9;
        let head = format!("{}: \"{}\" {}", program.name, test.scenario.name, mode.words());
        format!(
            "{head}\n  at {at} s: expected {}, found {}; {:?}",
            failure.expected, failure.found, failure.before
        )
    };
    outcome.failures.iter().map(one).collect()
}

#[test]
fn every_scenario_holds_in_all_modes_and_they_agree() {
    let programs = programs();
    let mut wrong = Vec::new();
    for program in &programs {
        for test in &program.scenarios {
            let meant = played(program, test, Mode::Plain);
            wrong.extend(unmet(program, test, &meant, Mode::Plain));
            for mode in [Mode::Restart, Mode::Shuffled, Mode::Moved] {
                let outcome = played(program, test, mode);
                wrong.extend(unmet(program, test, &outcome, mode));
                if outcome.digests != meant.digests {
                    let (name, words) = (&program.name, mode.words());
                    wrong.push(format!("{name}: \"{}\" {words}: outputs differ", test.scenario.name));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(programs.len() >= PROGRAMS_MIN, "only {} programs", programs.len());
}

#[test]
fn it_makes_no_difference_whether_devices_answer_together() {
    let (mut wrong, mut together) = (Vec::new(), 0);
    for program in programs() {
        for test in &program.scenarios {
            let meant = played(&program, test, Mode::Plain);
            for mode in Mode::ALL {
                let apart = play_apart(&program.plan, &test.scenario, mode).expect("played");
                wrong.extend(unmet(&program, test, &apart, mode));
                if apart.digests != meant.digests {
                    let (name, words) = (&program.name, mode.words());
                    wrong.push(format!("{name}: \"{}\" {words}: outputs differ", test.scenario.name));
                }
                together += usize::from(apart.records > meant.records);
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(together > 0, "no program has devices that answer together");
}

/// Something else than what was expected.
fn other(expected: &Expected) -> Expected {
    match expected {
        Expected::Bad => Expected::Quality(0),
        Expected::Quality(severity) => Expected::Quality((severity + 1) % 3),
        Expected::Value(value) => Expected::Value(match value {
            Value::Bool(value) => Value::Bool(!value),
            Value::Int(value) => Value::Int(value + 1),
            Value::UInt(value) => Value::UInt(value + 1),
            Value::Float(value) => Value::Float(value + 1.0),
            Value::Time(time) => Value::Time(Timestamp(time.0 + 1)),
            value => Value::Text(format!("{value}!").into()),
        }),
    }
}

/// Changes one expected value of an expectation, the `which`-th; false if it has no such.
fn change(action: &mut ScenarioAction, which: usize) -> bool {
    match action {
        ScenarioAction::Expect { expected, .. } if which == 0 => *expected = other(expected),
        ScenarioAction::ExpectRow { row } => {
            let mut values = row.select.iter_mut().chain(&mut row.columns);
            let Some((_, expected)) = values.nth(which) else { return false };
            *expected = other(expected);
        }
        _ => return false,
    }
    true
}

#[test]
fn every_expected_value_can_fail() {
    let mut vacuous = Vec::new();
    for program in programs() {
        let mut proofs = 0;
        for test in &program.scenarios {
            for which in 0.. {
                let mut scenario = test.scenario.clone();
                let changed: Vec<usize> = (0..)
                    .zip(&mut scenario.steps)
                    .filter_map(|(i, step)| change(&mut step.action, which).then_some(i))
                    .collect();
                if changed.is_empty() {
                    break;
                }
                proofs += changed.len();
                let outcome = play(&program.plan, &scenario, Mode::Plain).expect("played");
                for index in changed {
                    if outcome.failures.iter().all(|failure| failure.step != index) {
                        let at = scenario.steps[index].at_ns as f64 / 1e9;
                        vacuous.push(format!(
                            "{}: \"{}\" at {at} s, value {which}",
                            program.name, scenario.name
                        ));
                    }
                }
            }
        }
        assert!(proofs > 0, "{} expects no value", program.name);
    }
    assert!(vacuous.is_empty(), "{}", vacuous.join("\n"));
}
