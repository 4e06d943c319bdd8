//! What an import says besides the program: how much came over, and what did not, line by line.

use std::fmt;

/// Lines of the source file that share a remark, as `3, 5-9`.
#[derive(Default, Clone, PartialEq, Debug)]
struct Lines(Vec<(u64, u64)>);

impl Lines {
    fn add(&mut self, line: u64) {
        match self.0.last_mut() {
            Some((_, last)) if *last == line => {}
            Some((_, last)) if last.checked_add(1) == Some(line) => *last = line,
            _ => self.0.push((line, line)),
        }
    }
}

impl fmt::Display for Lines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let one = matches!(self.0[..], [(first, last)] if first == last);
        f.write_str(if one { "line " } else { "lines " })?;
        for (at, (first, last)) in self.0.iter().enumerate() {
            f.write_str(if at == 0 { "" } else { ", " })?;
            match last - first {
                0 => write!(f, "{first}")?,
                _ => write!(f, "{first}-{last}")?,
            }
        }
        Ok(())
    }
}

/// What an import has to say.
#[derive(Default, Debug)]
pub struct Report {
    /// Tags in the program.
    pub tags: usize,
    /// Tags that stand in the program as comments only.
    pub comments: usize,
    /// What did not come over as it was, each with the lines it is true of.
    lost: Vec<(String, Lines)>,
    /// What to fill in or look at before the program runs.
    to_do: Vec<String>,
}

impl Report {
    /// Something of a line of the source file did not come over as it was.
    pub fn lost(&mut self, line: u64, what: impl Into<String>) {
        let what = what.into();
        // Remarks on lines near each other are alike; older ones are left alone, so that this stays cheap.
        match self.lost.iter_mut().rev().take(20).find(|(other, _)| *other == what) {
            Some((_, lines)) => lines.add(line),
            None => {
                let mut lines = Lines::default();
                lines.add(line);
                self.lost.push((what, lines));
            }
        }
    }

    /// Something a person has to do; said once.
    pub fn remind(&mut self, what: impl Into<String>) {
        let what = what.into();
        if !self.to_do.contains(&what) {
            self.to_do.push(what);
        }
    }

    /// Remarks on lines, for tests.
    #[cfg(test)]
    pub fn remarks(&self) -> Vec<String> {
        self.lost.iter().map(|(what, lines)| format!("{lines}: {what}")).collect()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", crate::report::counted(self.tags, "tag"))?;
        if self.comments > 0 {
            write!(f, ", {} as comments only", self.comments)?;
        }
        writeln!(f)?;
        if !self.lost.is_empty() {
            writeln!(f, "not as it was:")?;
            let mut lost: Vec<_> = self.lost.iter().collect();
            lost.sort_by_key(|(_, lines)| lines.0.first().copied());
            for (what, lines) in lost {
                writeln!(f, "  {lines}: {what}")?;
            }
        }
        if !self.to_do.is_empty() {
            writeln!(f, "to do:")?;
            for what in &self.to_do {
                writeln!(f, "  {what}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_remarks_share_a_line() {
        let mut report = Report { tags: 1, comments: 2, ..Report::default() };
        for line in [3, 5, 6, 6, 7] {
            report.lost(line, "a");
        }
        report.lost(4, "b");
        report.remind("c");
        report.remind("c");
        let text = "1 tag, 2 as comments only\nnot as it was:\n  lines 3, 5-7: a\n  line 4: b\nto do:\n  c\n";
        assert_eq!(report.to_string(), text);
    }
}
