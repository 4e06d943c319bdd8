//! How a PLC keeps a value, where the type of the tag alone does not tell.
//!
//! A tag's type says what the value is: `dint`, `string`, `time`. The same value may be kept in
//! several ways: a point in time as DATE, DATE_AND_TIME, DTL or LDT, a span as S5TIME or TIME. The
//! word stands behind the address; without one the most usual way is meant.

/// A way to keep a value, by its word behind an address.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Format {
    /// One character of one byte, or with `len` an array of them, as text.
    Char,
    /// One character of two bytes (UTF-16).
    WChar,
    /// A text with characters of two bytes, and two words in front of them.
    WString,
    /// Binary coded decimal, the highest nibble being the sign.
    Bcd,
    /// Three decimal digits and a base of 10 ms to 10 s; in milliseconds.
    S5Time,
    /// Signed milliseconds.
    Time,
    /// Signed nanoseconds.
    LTime,
    /// Milliseconds since midnight.
    TimeOfDay,
    /// Nanoseconds since midnight.
    LTimeOfDay,
    /// Days since 1990-01-01.
    Date,
    /// Eight bytes in binary coded decimal, to the millisecond.
    DateAndTime,
    /// Twelve bytes in binary, to the nanosecond.
    Dtl,
    /// Nanoseconds since 1970-01-01.
    Ldt,
}

impl Format {
    pub const ALL: [Format; 13] = [
        Format::Char,
        Format::WChar,
        Format::WString,
        Format::Bcd,
        Format::S5Time,
        Format::Time,
        Format::LTime,
        Format::TimeOfDay,
        Format::LTimeOfDay,
        Format::Date,
        Format::DateAndTime,
        Format::Dtl,
        Format::Ldt,
    ];

    /// The word in an address.
    pub const fn word(self) -> &'static str {
        match self {
            Format::Char => "char",
            Format::WChar => "wchar",
            Format::WString => "wstring",
            Format::Bcd => "bcd",
            Format::S5Time => "s5time",
            Format::Time => "time",
            Format::LTime => "ltime",
            Format::TimeOfDay => "time_of_day",
            Format::LTimeOfDay => "ltime_of_day",
            Format::Date => "date",
            Format::DateAndTime => "date_and_time",
            Format::Dtl => "dtl",
            Format::Ldt => "ldt",
        }
    }

    pub fn of_word(word: &str) -> Option<Format> {
        Format::ALL.into_iter().find(|format| format.word() == word)
    }

    /// All words, for messages.
    pub fn words() -> String {
        Format::ALL.map(|format| format!("`{}`", format.word())).join(", ")
    }
}
