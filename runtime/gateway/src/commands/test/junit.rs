//! Results as JUnit XML, as build servers read it.

use super::Tested;
use std::fmt::Write;

/// One suite with a case per test.
pub(super) fn xml(all: &[Tested]) -> String {
    let failed = all.iter().filter(|tested| !tested.problems.is_empty()).count();
    let took: f64 = all.iter().map(|tested| tested.took.as_secs_f64()).sum();
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let _ = writeln!(
        out,
        "<testsuites>\n  <testsuite name=\"gwp test\" tests=\"{}\" failures=\"{failed}\" time=\"{took:.3}\">",
        all.len()
    );
    for tested in all {
        let (name, place) = (escaped(&tested.name), escaped(&tested.place));
        let took = tested.took.as_secs_f64();
        let _ = write!(out, "    <testcase name=\"{name}\" classname=\"{place}\" time=\"{took:.3}\"");
        if tested.problems.is_empty() {
            out.push_str("/>\n");
            continue;
        }
        let text = escaped(&tested.problems.join("\n"));
        let _ =
            writeln!(out, ">\n      <failure message=\"not as expected\">{text}</failure>\n    </testcase>");
    }
    out.push_str("  </testsuite>\n</testsuites>\n");
    out
}

/// Text for XML; control characters that XML forbids become spaces.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            '\n' | '\t' => out.push(c),
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_failed_test_is_a_case_with_a_failure() {
        let tested = |problems: Vec<String>| Tested {
            name: "a < b".into(),
            place: "x.gwp:3".into(),
            took: Duration::from_millis(5),
            samples: 1,
            modes: 4,
            problems,
        };
        let xml = xml(&[tested(Vec::new()), tested(vec!["expected \"1\"".into()])]);
        assert!(xml.contains("tests=\"2\" failures=\"1\""));
        assert!(xml.contains("name=\"a &lt; b\" classname=\"x.gwp:3\" time=\"0.005\"/>"));
        assert!(xml.contains("<failure message=\"not as expected\">expected &quot;1&quot;</failure>"));
    }
}
