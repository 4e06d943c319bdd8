//! Lines and columns as editors count them: columns in UTF-16 units, or in bytes where both sides agree on UTF-8.

/// In what columns are counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Encoding {
    Utf8,
    #[default]
    Utf16,
}

/// The lines of one text. A line ends with LF, CR LF or CR alone, as in the protocol of language servers.
#[derive(Clone, Debug)]
pub struct Lines {
    /// Where each line begins, in bytes.
    starts: Vec<usize>,
}

impl Lines {
    pub fn new(text: &str) -> Lines {
        let bytes = text.as_bytes();
        let ends = bytes.iter().enumerate().filter(|(at, byte)| match byte {
            b'\n' => true,
            b'\r' => bytes.get(at + 1) != Some(&b'\n'),
            _ => false,
        });
        Lines { starts: std::iter::once(0).chain(ends.map(|(at, _)| at + 1)).collect() }
    }

    /// Line and column, both from 0, of a byte offset into the same text. An offset beyond its end counts as its end,
    /// one inside of a character as the character's beginning.
    pub fn position(&self, text: &str, offset: usize, encoding: Encoding) -> (u32, u32) {
        let mut offset = offset.min(text.len());
        while !text.is_char_boundary(offset) {
            offset -= 1;
        }
        let line = self.starts.partition_point(|start| *start <= offset).saturating_sub(1);
        let start = self.starts.get(line).copied().unwrap_or(0);
        let before = text.get(start..offset).unwrap_or("");
        let column = match encoding {
            Encoding::Utf8 => before.len(),
            Encoding::Utf16 => before.encode_utf16().count(),
        };
        let short = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        (short(line), short(column))
    }

    /// The byte offset of a line and column. A line beyond the end is the end of the text, a column beyond the end of
    /// its line is the end of that line, and one inside of a character is its beginning.
    pub fn offset(&self, text: &str, line: u32, column: u32, encoding: Encoding) -> usize {
        let Some(start) = self.starts.get(line as usize).copied() else { return text.len() };
        let end = self.starts.get(line as usize + 1).copied().unwrap_or(text.len());
        let content = text.get(start..end).unwrap_or("").trim_end_matches(['\n', '\r']);
        let mut left = column as usize;
        for (at, c) in content.char_indices() {
            let width = match encoding {
                Encoding::Utf8 => c.len_utf8(),
                Encoding::Utf16 => c.len_utf16(),
            };
            if left < width {
                return start + at;
            }
            left -= width;
        }
        start + content.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "a\r\nµ🏭x\rlast";

    #[test]
    fn columns_count_utf_16_units_or_bytes() {
        let lines = Lines::new(TEXT);
        let x = TEXT.find('x').unwrap();
        assert_eq!(lines.position(TEXT, x, Encoding::Utf16), (1, 3));
        assert_eq!(lines.position(TEXT, x, Encoding::Utf8), (1, 6));
        assert_eq!(lines.offset(TEXT, 1, 3, Encoding::Utf16), x);
        assert_eq!(lines.offset(TEXT, 1, 6, Encoding::Utf8), x);
        assert_eq!(lines.position(TEXT, TEXT.find("last").unwrap(), Encoding::Utf16), (2, 0));
    }

    #[test]
    fn places_outside_are_brought_inside() {
        let lines = Lines::new(TEXT);
        let factory = TEXT.find('🏭').unwrap();
        assert_eq!(lines.offset(TEXT, 1, 2, Encoding::Utf16), factory, "the middle of a character");
        assert_eq!(lines.offset(TEXT, 0, 99, Encoding::Utf16), 1, "the end of its line");
        assert_eq!(lines.offset(TEXT, 99, 0, Encoding::Utf16), TEXT.len());
        assert_eq!(lines.position(TEXT, factory + 1, Encoding::Utf16), (1, 1));
        assert_eq!(lines.position(TEXT, 999, Encoding::Utf16), (2, 4));
    }

    #[test]
    fn offsets_of_all_characters_come_back() {
        let lines = Lines::new(TEXT);
        for (at, c) in TEXT.char_indices().filter(|(_, c)| !"\r\n".contains(*c)) {
            for encoding in [Encoding::Utf8, Encoding::Utf16] {
                let (line, column) = lines.position(TEXT, at, encoding);
                assert_eq!(lines.offset(TEXT, line, column, encoding), at, "{c}");
            }
        }
    }
}
