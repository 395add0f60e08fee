//! Spans of time as people write them: `250ms`, `5s`, `2m`, `1h30m`, `2d`.

use std::fmt::Write;

use std::time::Duration;

use crate::domain::time::millis;

const UNITS: [(&str, u64); 5] = [("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

/// Longest span that is taken: a year.
const MAX_MS: u64 = 366 * 86_400_000;

/// Reads a span; whole numbers with units, the units may be combined.
///
/// # Errors
/// In words, with examples.
pub fn parse(text: &str) -> Result<Duration, String> {
    let wrong = || format!("\"{}\" is not a time: write \"250ms\", \"5s\", \"2m\" or \"1h30m\"", short(text));
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err(wrong());
    }
    let mut total: u64 = 0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
        let number: u64 = rest[..digits].parse().map_err(|_| wrong())?;
        rest = &rest[digits..];
        let letters = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
        let unit = UNITS.iter().find(|(name, _)| *name == &rest[..letters]).ok_or_else(wrong)?.1;
        rest = &rest[letters..];
        total = number.checked_mul(unit).and_then(|ms| total.checked_add(ms)).ok_or_else(wrong)?;
    }
    if total > MAX_MS {
        return Err(format!("\"{}\" is longer than a year", short(text)));
    }
    Ok(Duration::from_millis(total))
}

/// A span as [`parse`] reads it.
#[must_use]
pub fn format(span: Duration) -> String {
    let mut rest = millis(span);
    if rest == 0 {
        return "0s".into();
    }
    let mut out = String::new();
    for (name, unit) in UNITS.iter().rev() {
        let n = rest / unit;
        if n > 0 {
            let _ = write!(out, "{n}{name}");
        }
        rest %= unit;
    }
    out
}

fn short(text: &str) -> String {
    crate::domain::text::clean(text, 40)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn spans_are_read_and_nonsense_is_refused() {
        for (text, ms) in [("250ms", 250), ("5s", 5000), ("2m", 120_000), ("1h30m", 5_400_000), (" 1d ", 86_400_000)] {
            assert_eq!(parse(text), Ok(Duration::from_millis(ms)), "{text}");
        }
        for text in
            ["", "5", "s", "5 s", "-1s", "1.5s", "5sec", "99999999999999999999s", "400d", "18446744073709551615d"]
        {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(ms in 0..=MAX_MS) {
            let span = Duration::from_millis(ms);
            prop_assert_eq!(parse(&format(span)), Ok(span));
        }

        #[test]
        fn nothing_makes_it_panic(text in "\\PC{0,40}") {
            let _ = parse(&text);
        }
    }
}
