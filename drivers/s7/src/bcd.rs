//! Binary coded decimal: one digit in four bits.

/// Bases of S5TIME and of timers in milliseconds, by their code.
const BASES_MS: [i64; 4] = [10, 100, 1_000, 10_000];

/// The digits of some bytes, the highest first; `None` if one of them is none.
pub fn digits(bytes: &[u8]) -> Option<i64> {
    let nibbles = bytes.iter().flat_map(|byte| [byte >> 4, byte & 0xF]);
    decimal(nibbles)
}

fn decimal(nibbles: impl Iterator<Item = u8>) -> Option<i64> {
    nibbles.into_iter().try_fold(0i64, |number, digit| {
        if digit > 9 { None } else { number.checked_mul(10)?.checked_add(i64::from(digit)) }
    })
}

/// A number of two or four bytes. Signed ones have their sign in the highest nibble: 0 or F.
pub fn number(bytes: &[u8], signed: bool) -> Option<i64> {
    if !signed {
        return digits(bytes);
    }
    let (first, rest) = bytes.split_first()?;
    let low = std::iter::once(first & 0xF).chain(rest.iter().flat_map(|byte| [byte >> 4, byte & 0xF]));
    let number = decimal(low)?;
    match first >> 4 {
        0 => Some(number),
        0xF => Some(-number),
        _ => None,
    }
}

/// A number as so many bytes; `None` if it has too many digits.
pub fn of_number(number: i64, bytes: usize, signed: bool) -> Option<Vec<u8>> {
    let digits = if signed { bytes * 2 - 1 } else { bytes * 2 };
    if (number < 0 && !signed) || number.unsigned_abs() >= 10u64.pow(u32::try_from(digits).ok()?) {
        return None;
    }
    let mut rest = number.unsigned_abs();
    let mut all = vec![0; bytes];
    for byte in all.iter_mut().rev() {
        *byte = (rest / 10 % 10 * 16 + rest % 10) as u8;
        rest /= 100;
    }
    if number < 0
        && let Some(first) = all.first_mut()
    {
        *first |= 0xF0;
    }
    Some(all)
}

/// A counter: three digits, the highest nibble means nothing.
pub fn counter(bytes: &[u8]) -> Option<i64> {
    let [high, low] = *bytes else { return None };
    digits(&[high & 0xF, low])
}

/// An S5TIME or a timer, in milliseconds.
pub fn s5time(bytes: &[u8]) -> Option<i64> {
    let [high, low] = *bytes else { return None };
    let base = BASES_MS.get(usize::from(high >> 4 & 3))?;
    digits(&[high & 0xF, low]).map(|number| number * base)
}

/// Milliseconds as S5TIME in the finest base that holds them; `None` if none does, or not exactly.
pub fn of_s5time(ms: i64) -> Option<[u8; 2]> {
    let (code, base) = (0u8..).zip(BASES_MS).find(|(_, base)| ms >= 0 && ms <= 999 * base)?;
    if ms % base != 0 {
        return None;
    }
    let bytes = of_number(ms / base, 2, false)?;
    Some([bytes.first()? | code << 4, *bytes.get(1)?])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Longest S5TIME in milliseconds: 999 times ten seconds.
    const S5TIME_MAX_MS: i64 = 9_990_000;

    #[test]
    fn numbers_are_digits_and_a_sign() {
        assert_eq!(number(&[0x12, 0x34], false), Some(1_234));
        assert_eq!(number(&[0xF1, 0x23], true), Some(-123));
        assert_eq!(number(&[0x01, 0x23], true), Some(123));
        assert_eq!(number(&[0x11, 0x23], true), None);
        assert_eq!(number(&[0x1A, 0x23], false), None);
        for (value, bytes, signed) in
            [(0, 2, false), (9_999, 2, false), (-999, 2, true), (-9_999_999, 4, true)]
        {
            let written = of_number(value, bytes, signed).unwrap();
            assert_eq!(number(&written, signed), Some(value));
        }
        for (value, bytes, signed) in
            [(10_000, 2, false), (-1, 2, false), (1_000, 2, true), (i64::MIN, 4, true)]
        {
            assert_eq!(of_number(value, bytes, signed), None);
        }
        assert_eq!((counter(&[0xF9, 0x99]), counter(&[0, 0xA0])), (Some(999), None));
    }

    #[test]
    fn an_s5time_is_three_digits_times_a_base() {
        for (bytes, ms) in [
            ([0x00, 0x01], 10),
            ([0x11, 0x23], 12_300),
            ([0x21, 0x00], 100_000),
            ([0x39, 0x99], S5TIME_MAX_MS),
        ] {
            assert_eq!(s5time(&bytes), Some(ms));
            assert_eq!(s5time(&of_s5time(ms).unwrap()), Some(ms));
        }
        assert_eq!(of_s5time(9_990), Some([0x09, 0x99]));
        assert_eq!(of_s5time(10_000), Some([0x11, 0x00]));
        for ms in [-10, 5, 10_050, S5TIME_MAX_MS + 10_000] {
            assert_eq!(of_s5time(ms), None, "{ms}");
        }
        assert_eq!(s5time(&[0x0A, 0]), None);
    }
}
