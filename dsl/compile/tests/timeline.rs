//! What is told of a test that fails: the expectation as written, and what was fed to what it depends on.

mod manifests;

use gwp_plan::scenario::{Mode, ScenarioAction, fed_before, play};
use manifests::{compiled, words};

#[test]
fn what_was_fed_to_the_inputs_of_an_expectation_comes_first() {
    let result = compiled(
        "source s : simulator {\n  tag x at \"1\" : real\n  tag y at \"2\" : real\n  tag z at \"3\" : real\n\
         \x20 calc a = x + 1\n  calc b : bool = a > y\n}\nsink out : console { journal { full = drop_oldest } }\n\
         flow f = s -> out\nflow w = s -> every 1 min { m = max(z) } -> out\n\
         test \"t\" {\n  at 0 s: s.x = 1, s.y = 2\n  at 1 s: s.z = 0\n  at 2 s: s.z = 1\n  at 3 s: s.z = 2\n\
         \x20 at 4 s: s.z = 3\n  at 5 s: s.x = 4\n  at 6 s: s.z = 4\n  at 7 s: expect s.b = true\n\
         \x20 at 61 s: expect w { m = 4 }\n}\n",
    );
    let plan = result.plan.as_ref().unwrap_or_else(|| panic!("{}", words(&result)));
    let test = &result.scenarios[0];
    let told = |text: &str, most| -> Vec<&str> {
        let steps = &test.scenario.steps;
        let at = steps.iter().position(|step| step.text.starts_with(text)).expect("a step");
        assert!(!matches!(steps[at].action, ScenarioAction::Feed { .. }));
        fed_before(plan, &test.scenario, at, most).into_iter().map(|index| &*steps[index].text).collect()
    };
    assert_eq!(told("expect s.b", 3), ["s.x = 1", "s.y = 2", "s.x = 4"]);
    assert_eq!(told("expect s.b", 2), ["s.y = 2", "s.x = 4"]);
    assert_eq!(told("expect w { m = 4 }", 2), ["s.z = 3", "s.z = 4"]);
}

#[test]
fn a_row_is_told_whole_and_a_quality_as_what_it_is() {
    let result = compiled(
        "source s : simulator { tag x at \"1\" : real kW }\nsink out : console { journal { full = drop_oldest } }\n\
         flow w = s -> every 1 min { m = max(x) } -> out\ntest \"t\" {\n  at 0 s: s.x = 1 kW\n\
         \x20 at 7 s: expect s.x.quality = \"bad\"\n  at 61 s: expect w { m = 4 kW }\n}\n",
    );
    let plan = result.plan.as_ref().unwrap_or_else(|| panic!("{}", words(&result)));
    let test = &result.scenarios[0].scenario;
    let texts: Vec<&str> = test.steps.iter().map(|step| &*step.text).collect();
    assert_eq!(texts, ["s.x = 1 kW", "expect s.x.quality = \"bad\"", "expect w { m = 4 kW }"]);
    let outcome = play(plan, test, Mode::Plain).expect("played");
    let found: Vec<&str> = outcome.failures.iter().map(|failure| &*failure.found).collect();
    assert_eq!(found, ["1 kW good", "m = 1 kW"]);
    assert_eq!(outcome.failures[0].before.last().map(|(_, text)| &**text), Some("1 kW good"));
}
