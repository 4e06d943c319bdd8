//! Places in the text: every node of the tree and every diagnostic says where it stands.

/// A file of the project, as numbered by its [`SourceMap`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileId(pub u32);

/// A range of bytes `start..end` of one file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    pub file: FileId,
    /// First byte, counted from the start of the file.
    pub start: u32,
    /// The byte after the last one.
    pub end: u32,
}

impl Span {
    /// The range `start..end` of `file`, in bytes.
    pub fn new(file: FileId, start: usize, end: usize) -> Self {
        let cut = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        Span { file, start: cut(start), end: cut(end.max(start)) }
    }

    /// The smallest range that holds both; `other` must be of the same file.
    pub fn to(self, other: Span) -> Span {
        Span { file: self.file, start: self.start.min(other.start), end: self.end.max(other.end) }
    }

    /// The empty range before its first byte.
    pub fn before(self) -> Span {
        Span { end: self.start, ..self }
    }

    /// The empty range behind its last byte.
    pub fn after(self) -> Span {
        Span { start: self.end, ..self }
    }

    /// The range as indices into the text of the file.
    pub fn range(self) -> std::ops::Range<usize> {
        self.start as usize..self.end as usize
    }
}

/// One file of the project with the table that turns offsets into lines.
#[derive(Clone, Debug)]
pub struct SourceFile {
    /// Name as given to `gwp`, or relative to the entry file.
    pub name: String,
    pub text: String,
    line_starts: Vec<u32>,
}

impl SourceFile {
    fn new(name: String, text: String) -> Self {
        let after = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at + 1);
        let line_starts =
            std::iter::once(0).chain(after).map(|at| u32::try_from(at).unwrap_or(u32::MAX)).collect();
        SourceFile { name, text, line_starts }
    }

    /// Line and column of a byte offset, both counted from 1; the column counts characters.
    pub fn line_col(&self, offset: u32) -> (usize, usize) {
        let line = self.line_starts.partition_point(|start| *start <= offset).max(1);
        let start = self.line_starts.get(line - 1).copied().unwrap_or(0) as usize;
        let before = self.text.get(start..offset as usize);
        (line, before.map_or(1, |text| text.chars().count() + 1))
    }
}

/// All files of a project by number.
#[derive(Clone, Debug, Default)]
pub struct SourceMap {
    files: Vec<SourceFile>,
}

impl SourceMap {
    /// Takes a file in and numbers it.
    pub fn add(&mut self, name: impl Into<String>, text: impl Into<String>) -> FileId {
        let id = FileId(u32::try_from(self.files.len()).unwrap_or(u32::MAX));
        self.files.push(SourceFile::new(name.into(), text.into()));
        id
    }

    /// The file of that number, if it is one of this map.
    pub fn get(&self, file: FileId) -> Option<&SourceFile> {
        self.files.get(file.0 as usize)
    }

    /// The files in the order in which they were added.
    pub fn files(&self) -> impl Iterator<Item = (FileId, &SourceFile)> {
        (0u32..).map(FileId).zip(&self.files)
    }

    /// Names of all files, in the order in which they were added.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.files().map(|(_, file)| file.name.as_str())
    }

    /// The text under a span; empty for a span of another map.
    pub fn text(&self, span: Span) -> &str {
        self.get(span.file).and_then(|file| file.text.get(span.range())).unwrap_or("")
    }

    /// Name, line and column (from 1) of the start of a span, as in `plant.gwp:12:7`.
    pub fn place(&self, span: Span) -> String {
        self.get(span.file).map_or_else(String::new, |file| {
            let (line, column) = file.line_col(span.start);
            format!("{}:{line}:{column}", file.name)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_columns_count_from_one_and_in_characters() {
        let mut map = SourceMap::default();
        let file = map.add("a.gwp", "ab\nµ x\n");
        let at = |offset| map.get(file).unwrap().line_col(offset);
        assert_eq!(
            [at(0), at(2), at(3), at(5), at(6), at(8)],
            [(1, 1), (1, 3), (2, 1), (2, 2), (2, 3), (3, 1)]
        );
        assert_eq!(map.place(Span::new(file, 6, 7)), "a.gwp:2:3");
        assert_eq!(map.text(Span::new(file, 6, 7)), "x");
        assert_eq!(map.text(Span::new(FileId(9), 0, 1)), "");
    }
}
