//! Text that fits: cut, padded and wrapped by the width that a terminal gives it.

use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use unicode_segmentation::UnicodeSegmentation;
use unicode_width::UnicodeWidthStr;

use crate::domain::Time;

/// Columns that `text` takes.
#[must_use]
pub fn width(text: &str) -> usize {
    if text.is_ascii() { text.len() } else { text.width() }
}

/// `text` in at most `max` columns, with `ellipsis` at its end if something was cut.
#[must_use]
pub fn cut(text: &str, max: usize, ellipsis: &str) -> String {
    if width(text) <= max {
        return text.to_owned();
    }
    let room = max.saturating_sub(width(ellipsis));
    let mut out = head(text, room).to_owned();
    if width(ellipsis) <= max {
        out.push_str(ellipsis);
    }
    out
}

/// `text` in at most `max` columns, cut in the middle: the ends of host names tell them apart.
#[must_use]
pub fn cut_middle(text: &str, max: usize, ellipsis: &str) -> String {
    if width(text) <= max {
        return text.to_owned();
    }
    let room = max.saturating_sub(width(ellipsis));
    if room < 4 {
        return cut(text, max, ellipsis);
    }
    let front = head(text, room - room / 2);
    let mut tail = Vec::new();
    let mut used = 0;
    for g in text.graphemes(true).rev() {
        used += width(g);
        if used > room / 2 {
            break;
        }
        tail.push(g);
    }
    tail.reverse();
    format!("{front}{ellipsis}{}", tail.concat())
}

fn head(text: &str, room: usize) -> &str {
    let mut used = 0;
    for (at, g) in text.grapheme_indices(true) {
        used += width(g);
        if used > room {
            return &text[..at];
        }
    }
    text
}

/// `text` in exactly `columns` columns, or as it is if it is wider.
#[must_use]
pub fn pad(text: &str, columns: usize) -> String {
    let mut out = text.to_owned();
    out.extend(std::iter::repeat_n(' ', columns.saturating_sub(width(text))));
    out
}

/// `text` in lines of at most `columns` columns, broken between words where that is possible; at most `lines` of them.
#[must_use]
pub fn wrap(text: &str, columns: usize, lines: usize, ellipsis: &str) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    if columns == 0 || lines == 0 {
        return out;
    }
    let mut line = String::new();
    let mut rest = text.split(' ').peekable();
    while let Some(word) = rest.peek() {
        let space = usize::from(!line.is_empty());
        if width(&line) + space + width(word) <= columns {
            if space == 1 {
                line.push(' ');
            }
            line.push_str(word);
            rest.next();
        } else if line.is_empty() {
            // A word that is wider than a line is cut.
            line = cut_middle(word, columns, ellipsis);
            rest.next();
        } else {
            if out.len() + 1 == lines {
                break;
            }
            out.push(std::mem::take(&mut line));
        }
    }
    if rest.peek().is_some() {
        let left: Vec<&str> = rest.collect();
        line = cut(&format!("{line} {}", left.join(" ")), columns, ellipsis);
    }
    out.push(line);
    out
}

/// A span in at most four columns: `0s`, `42s`, `12m`, `3h`, `99d`.
#[must_use]
pub fn short_span(span: Duration) -> String {
    let s = span.as_secs();
    match s {
        0..60 => format!("{s}s"),
        60..3600 => format!("{}m", s / 60),
        3600..172_800 => format!("{}h", s / 3600),
        _ => format!("{}d", (s / 86_400).min(999)),
    }
}

/// An age on screen: as `time::human`, without seconds from one minute on, so that it changes once a minute then.
#[must_use]
pub fn age(span: Duration) -> String {
    match span.as_secs() {
        60..3600 => format!("{} m", span.as_secs() / 60),
        _ => crate::domain::time::human(span),
    }
}

/// A span whose shown value changes only once a minute after the first.
#[must_use]
pub fn calm_span(span: Duration) -> String {
    let s = span.as_secs();
    match s {
        0..60 => format!("{s} s"),
        60..3600 => format!("{} m", s / 60),
        _ => format!("{} h {:02} m", s / 3600, s % 3600 / 60),
    }
}

/// A round trip in at most five columns: `85us`, `0.6ms`, `12ms`, `1.2s`.
#[must_use]
pub fn short_rtt(span: Duration) -> String {
    let us = span.as_micros();
    match us {
        0..100 => format!("{us}us"),
        100..10_000 => format!("{}.{}ms", us / 1000, us % 1000 / 100),
        10_000..1_000_000 => format!("{}ms", us / 1000),
        1_000_000..100_000_000 => format!("{}.{}s", us / 1_000_000, us % 1_000_000 / 100_000),
        _ => format!("{}s", us / 1_000_000),
    }
}

/// A moment as a clock shows it; with its day when it lies more than half a day back.
#[must_use]
pub fn clock(at: Time, now: Time, zone: &TimeZone) -> String {
    let ms = i64::try_from(at.as_millis()).unwrap_or(i64::MAX);
    let Ok(stamp) = Timestamp::from_millisecond(ms) else { return "?".to_owned() };
    let zoned = stamp.to_zoned(zone.clone());
    let away = now.since(at).max(at.since(now));
    let format = if away > Duration::from_hours(12) { "%m-%d %H:%M" } else { "%H:%M:%S" };
    zoned.strftime(format).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn cuts_by_columns_and_keeps_both_ends_of_a_name() {
        assert_eq!(cut("abcdef", 4, "…"), "abc…");
        assert_eq!(cut("日本語", 4, "…"), "日…");
        assert_eq!(cut_middle("mail-gateway-paris-01", 11, "…"), "mail-…is-01");
        assert_eq!(pad("日", 4), "日  ");
    }

    #[test]
    fn wraps_between_words() {
        assert_eq!(wrap("the quick brown fox", 10, 3, "…"), ["the quick", "brown fox"]);
        assert_eq!(wrap("the quick brown fox", 10, 1, "…"), ["the quick…"]);
        assert_eq!(wrap("", 10, 2, "…"), [""]);
    }

    proptest! {
        #[test]
        fn nothing_is_wider_than_asked(text in "\\PC{0,60}", max in 0usize..40) {
            prop_assert!(width(&cut(&text, max, "…")) <= max);
            prop_assert!(width(&cut_middle(&text, max, "…")) <= max);
            for line in wrap(&text, max, 3, "…") {
                prop_assert!(width(&line) <= max, "{line:?}");
            }
        }

        #[test]
        fn spans_are_short(ms in 0u64..4_000_000_000_000) {
            let span = Duration::from_millis(ms);
            prop_assert!(short_span(span).len() <= 4);
            if ms < 100_000_000 {
                prop_assert!(short_rtt(span).len() <= 6);
            }
        }
    }
}
