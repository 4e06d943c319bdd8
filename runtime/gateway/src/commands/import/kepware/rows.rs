//! The rows of a tag export: separators, headers, comments and quotes.

use crate::commands::import::report::Report;
use crate::commands::import::text::LineIndex;
use anyhow::bail;

/// Rows of one file at most.
pub const ROWS_MAX: usize = 200_000;

/// Columns that are read, by their header in small letters.
const COLUMNS: [&str; 15] = [
    "tag name",
    "address",
    "data type",
    "client access",
    "scan rate",
    "scaling",
    "raw low",
    "raw high",
    "scaled low",
    "scaled high",
    "scaled data type",
    "clamp low",
    "clamp high",
    "eng units",
    "description",
];
const NEGATE: &str = "negate value";

/// One tag of the export, as written.
#[derive(Clone, Default, Debug, PartialEq)]
pub struct Row {
    /// Line of the file, counted from 1.
    pub line: u64,
    pub name: String,
    pub address: String,
    pub data_type: String,
    pub access: String,
    pub scan_rate: String,
    pub scaling: String,
    /// Raw low, raw high, scaled low, scaled high.
    pub ends: [String; 4],
    pub scaled_type: String,
    pub clamped: bool,
    pub unit: String,
    pub desc: String,
    pub negate: bool,
}

/// All rows of a file.
#[derive(Debug)]
pub struct Table {
    pub rows: Vec<Row>,
    /// Numbers have a decimal comma: the separator is a semicolon.
    pub decimal_comma: bool,
}

/// Reads the table. Rows of other sections (advanced tags) go to the report.
///
/// # Errors
/// There is no header of a tag export, or there are too many rows; in words.
pub fn read(text: &str, report: &mut Report) -> anyhow::Result<Table> {
    let header = text.lines().find(|line| is_header(line));
    let Some(header) = header else {
        bail!(
            "this is no tag export of KEPServerEX: there is no header line that begins with `Tag Name`. \
             Export one device: File > Export CSV, or right click on the device"
        );
    };
    let separator = *[b',', b';', b'\t']
        .iter()
        .max_by_key(|sign| header.bytes().filter(|byte| byte == *sign).count())
        .unwrap_or(&b',');
    let mut reader = csv::ReaderBuilder::new()
        .delimiter(separator)
        .has_headers(false)
        .flexible(true)
        .comment(Some(b';'))
        .trim(csv::Trim::All)
        .from_reader(text.as_bytes());
    let lines = LineIndex::of(text);
    let mut rows = Vec::new();
    let mut places: Option<Places> = None;
    for record in reader.records() {
        let record = record?;
        let line = lines.line(row_start(text, record.position().map_or(0, csv::Position::byte)));
        let first = record.get(0).unwrap_or_default();
        if first.eq_ignore_ascii_case(COLUMNS[0]) {
            places = Some(Places::of(&record));
            continue;
        }
        if first.eq_ignore_ascii_case("record type") {
            places = None;
        }
        if record.iter().all(str::is_empty) {
            continue;
        }
        let Some(places) = &places else {
            report
                .lost(line, "a row before the header `Tag Name`, or of a section of other tags, is left out");
            continue;
        };
        if rows.len() >= ROWS_MAX {
            bail!("line {line}: more than {ROWS_MAX} tags in one file; export parts of it");
        }
        if record.iter().any(|field| field.contains('\n')) {
            report.lost(line, "a text goes over several lines: is a closing quote missing?");
        }
        rows.push(places.row(line, &record));
    }
    Ok(Table { rows, decimal_comma: separator == b';' })
}

/// Where a row begins: the reader says where the end of the one before was, in front of line ends and comments.
fn row_start(text: &str, at: u64) -> usize {
    let bytes = text.as_bytes();
    let mut at = usize::try_from(at).unwrap_or(usize::MAX);
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'\r' | b'\n' => at += 1,
            b';' => {
                let rest = bytes.get(at..).unwrap_or_default();
                at += rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
            }
            _ => break,
        }
    }
    at
}

fn is_header(line: &str) -> bool {
    let start: String = line.trim_start().trim_start_matches('"').chars().take(8).collect();
    start.eq_ignore_ascii_case(COLUMNS[0])
}

/// Where the columns stand.
#[derive(Debug)]
struct Places {
    columns: [Option<usize>; COLUMNS.len()],
    negate: Option<usize>,
}

impl Places {
    fn of(header: &csv::StringRecord) -> Places {
        let find = |name: &str| header.iter().position(|field| field.eq_ignore_ascii_case(name));
        Places { columns: COLUMNS.map(find), negate: find(NEGATE) }
    }

    fn row(&self, line: u64, record: &csv::StringRecord) -> Row {
        let text = |place: Option<usize>| place.and_then(|at| record.get(at)).unwrap_or_default().to_owned();
        let [
            name,
            address,
            data_type,
            access,
            scan_rate,
            scaling,
            a,
            b,
            c,
            d,
            scaled_type,
            low,
            high,
            unit,
            desc,
        ] = self.columns.map(text);
        let set = |text: &str| matches!(text, "1" | "true" | "True" | "TRUE" | "Yes" | "yes");
        Row {
            line,
            name,
            address,
            data_type,
            access,
            scan_rate,
            scaling,
            ends: [a, b, c, d],
            scaled_type,
            clamped: set(&low) || set(&high),
            unit,
            desc,
            negate: set(&text(self.negate)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn separators_comments_and_sections_are_understood() {
        let mut report = Report::default();
        let text = "; exported\n;\nTag Name;Address;Data Type;Negate Value\r\n\"a\";\"40001\";Word;1\r\n\r\n; no tag\n\
                    Record Type;Name\nAverage Tag;b\nTag Name;Data Type;Address\nc;Float;40003\n";
        let table = read(text, &mut report).unwrap();
        assert!(table.decimal_comma);
        let found: Vec<_> = table
            .rows
            .iter()
            .map(|row| (row.line, &*row.name, &*row.address, &*row.data_type, row.negate))
            .collect();
        assert_eq!(found, [(4, "a", "40001", "Word", true), (10, "c", "40003", "Float", false)]);
        assert_eq!(report.remarks().len(), 1, "{report}");
        assert!(report.remarks()[0].starts_with("lines 7-8:"), "{report}");
    }

    #[test]
    fn other_files_are_refused() {
        let error = read("a,b\n1,2\n", &mut Report::default()).unwrap_err();
        assert!(error.to_string().contains("Tag Name"));
    }
}
