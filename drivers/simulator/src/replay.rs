//! Replay of recorded files: columns of a CSV file, one row per slot.
//!
//! Files are read once, when the source is prepared, within fixed bounds.

use crate::convert::from_text;
use gwp_core::source::PlcType;
use gwp_core::{Column, Value};
use std::collections::BTreeMap;
use std::io::Read;
use std::sync::Arc;

/// Bytes of one file at most.
const FILE_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// Cells (rows x replayed tags) of one source at most.
const CELLS_MAX: usize = 4 * 1024 * 1024;

/// Why a column cannot be replayed.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    #[error("{file} cannot be read")]
    Read { file: String, source: std::io::Error },
    #[error("{file} is larger than {} MiB", FILE_BYTES_MAX / (1024 * 1024))]
    TooLarge { file: String },
    #[error("{file} is no CSV file with a header line")]
    Format { file: String, source: csv::Error },
    #[error("{file} has no column `{column}`; it has: {known}")]
    Column { file: String, column: String, known: String },
    #[error("{file} has no rows")]
    Empty { file: String },
    #[error("{file}, line {line}: `{text}` is no {plc_type}")]
    Cell { file: String, line: u64, text: String, plc_type: PlcType },
    #[error("more than {CELLS_MAX} values would be replayed")]
    TooMany,
}

/// The files of one source, each read once.
#[derive(Debug, Default)]
pub struct Files {
    texts: BTreeMap<String, Arc<[u8]>>,
    cells: usize,
}

impl Files {
    /// One column of a file, by its header, as values of a type. An empty cell has no value.
    ///
    /// # Errors
    /// The file or a cell in it does not fit.
    pub fn column(
        &mut self,
        file: &str,
        column: &str,
        plc_type: PlcType,
    ) -> Result<Arc<Column>, ReplayError> {
        let text = self.text(file)?;
        let format = |source| ReplayError::Format { file: file.to_owned(), source };
        let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(&text[..]);
        let headers = reader.headers().map_err(format)?;
        let Some(index) = headers.iter().position(|header| header == column) else {
            let known = headers.iter().collect::<Vec<_>>().join(", ");
            return Err(ReplayError::Column { file: file.to_owned(), column: column.to_owned(), known });
        };
        let mut values = Column::new();
        let mut record = csv::StringRecord::new();
        while reader.read_record(&mut record).map_err(format)? {
            self.cells += 1;
            if self.cells > CELLS_MAX {
                return Err(ReplayError::TooMany);
            }
            values.push(match record.get(index).unwrap_or_default() {
                "" => Value::Nothing,
                text => from_text(plc_type, text).ok_or_else(|| ReplayError::Cell {
                    file: file.to_owned(),
                    line: record.position().map_or(0, csv::Position::line),
                    text: text.to_owned(),
                    plc_type,
                })?,
            });
        }
        if values.is_empty() {
            return Err(ReplayError::Empty { file: file.to_owned() });
        }
        Ok(Arc::new(values))
    }

    fn text(&mut self, file: &str) -> Result<Arc<[u8]>, ReplayError> {
        if let Some(text) = self.texts.get(file) {
            return Ok(text.clone());
        }
        let mut text = Vec::new();
        std::fs::File::open(file)
            .and_then(|opened| opened.take(FILE_BYTES_MAX + 1).read_to_end(&mut text))
            .map_err(|source| ReplayError::Read { file: file.to_owned(), source })?;
        if text.len() as u64 > FILE_BYTES_MAX {
            return Err(ReplayError::TooLarge { file: file.to_owned() });
        }
        let text: Arc<[u8]> = text.into();
        self.texts.insert(file.to_owned(), text.clone());
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn file(content: &str) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(content.as_bytes()).unwrap();
        file
    }

    fn read(content: &str, column: &str, plc_type: PlcType) -> Result<Arc<Column>, ReplayError> {
        let file = file(content);
        Files::default().column(file.path().to_str().unwrap(), column, plc_type)
    }

    #[test]
    fn a_column_is_found_by_its_header() {
        let column = read("time,oil temp,run\n1,20.5,true\n2,,false\n", "oil temp", PlcType::Lreal).unwrap();
        assert_eq!((column.get(0), column.get(1), column.len()), (Value::Float(20.5), Value::Nothing, 2));
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let text = |result: Result<Arc<Column>, ReplayError>| result.unwrap_err().to_string();
        assert!(text(read("a,b\n1,2\n", "c", PlcType::Int)).ends_with("has no column `c`; it has: a, b"));
        assert!(text(read("a\n1\nx\n", "a", PlcType::Int)).ends_with("line 3: `x` is no int"));
        assert!(text(read("a\n", "a", PlcType::Int)).ends_with("has no rows"));
        assert!(text(read("a,b\n1\n", "a", PlcType::Int)).ends_with("is no CSV file with a header line"));
        let missing = Files::default().column("no/such.csv", "a", PlcType::Int);
        assert_eq!(text(missing), "no/such.csv cannot be read");
    }

    #[test]
    fn a_file_beyond_the_bound_is_refused() {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(FILE_BYTES_MAX + 1).unwrap();
        let result = Files::default().column(file.path().to_str().unwrap(), "a", PlcType::Int);
        assert!(matches!(result, Err(ReplayError::TooLarge { .. })));
    }
}
