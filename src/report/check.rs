//! The answer of a check, as monitoring plugins give it.

use std::borrow::Cow;
use std::fmt::Write;
use std::time::Duration;

use crate::domain::Severity;

/// The four answers.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Check {
    /// Nothing is wrong.
    Ok,
    /// Needs a look in working hours.
    Warning,
    /// Not everything could be seen, and what was seen is not critical.
    Unknown,
    /// Needs somebody now.
    Critical,
}

impl Check {
    /// The exit code of monitoring plugins.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Warning => 1,
            Self::Critical => 2,
            Self::Unknown => 3,
        }
    }

    /// The word of monitoring plugins.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::Warning => "WARNING",
            Self::Critical => "CRITICAL",
            Self::Unknown => "UNKNOWN",
        }
    }
}

impl From<Severity> for Check {
    fn from(severity: Severity) -> Self {
        match severity {
            Severity::Notice => Self::Ok,
            Severity::Warning => Self::Warning,
            Severity::Critical => Self::Critical,
        }
    }
}

/// A value of the performance data: `label=value[unit];warn;crit;min;max`, as the guidelines of the monitoring plugins
/// have it. All values are 0 or more.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Value {
    label: Cow<'static, str>,
    amount: String,
    warn: String,
    crit: String,
    max: Option<usize>,
}

impl Value {
    /// A number of things, at most `max`, without limits of its own.
    #[must_use]
    pub fn count(label: &'static str, value: usize, max: Option<usize>) -> Self {
        let (label, amount) = (label.into(), value.to_string());
        Self { label, amount, warn: String::new(), crit: String::new(), max }
    }

    /// An age in seconds.
    #[must_use]
    pub fn age(label: &'static str, age: Duration) -> Self {
        Self { label: label.into(), amount: secs(age) + "s", warn: String::new(), crit: String::new(), max: None }
    }

    /// An age in seconds; more than `warn` is a warning, more than `crit` critical. `label`: letters, digits, underscores.
    #[must_use]
    pub fn age_within(label: String, age: Duration, warn: Duration, crit: Duration) -> Self {
        let label = Cow::Owned(label);
        Self { label, amount: secs(age) + "s", warn: secs(warn), crit: secs(crit), max: None }
    }

    /// More than this is a warning.
    #[must_use]
    pub fn warn_above(self, most: usize) -> Self {
        Self { warn: most.to_string(), ..self }
    }

    /// More than this is critical.
    #[must_use]
    pub fn crit_above(self, most: usize) -> Self {
        Self { crit: most.to_string(), ..self }
    }

    /// Less than this is critical.
    #[must_use]
    pub fn crit_below(self, least: usize) -> Self {
        Self { crit: format!("{least}:"), ..self }
    }
}

/// Seconds with milliseconds.
fn secs(span: Duration) -> String {
    format!("{}.{:03}", span.as_secs(), span.subsec_millis())
}

/// The one line of a monitoring plugin: `PEERDECK OK - text | label=value;warn;crit;0;max ...`.
#[must_use]
pub fn plugin_line(check: Check, text: &str, values: &[Value]) -> String {
    // The bar begins the performance data, so none may stand in the text.
    let text = crate::domain::text::clean(text, 300).replace('|', "/");
    let mut out = format!("PEERDECK {} - {text} |", check.word());
    for Value { label, amount, warn, crit, max } in values {
        let max = max.map_or_else(String::new, |m| m.to_string());
        let _ = write!(out, " {label}={amount};{warn};{crit};0;{max}");
    }
    out.push('\n');
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// `label=value[unit];warn;crit;min;max` with numbers, and ranges like `5` and `5:`.
    fn is_value(text: &str) -> bool {
        let number = |t: &str| !t.is_empty() && t.chars().all(|c| c.is_ascii_digit() || c == '.');
        let range = |t: &str| t.is_empty() || number(t.strip_suffix(':').unwrap_or(t));
        let Some((label, rest)) = text.split_once('=') else { return false };
        let parts: Vec<&str> = rest.split(';').collect();
        let [value, warn, crit, min, max] = parts.as_slice() else { return false };
        let plain = label.chars().all(|c| c.is_ascii_lowercase() || c == '_') && !label.is_empty();
        plain
            && number(value.strip_suffix('s').unwrap_or(value))
            && range(warn)
            && range(crit)
            && number(min)
            && (max.is_empty() || number(max))
    }

    #[test]
    fn limits_units_and_the_most_stand_where_the_guidelines_have_them() {
        let values = [
            Value::count("links_down", 2, Some(30)).crit_above(0),
            Value::count("peers_reachable", 5, Some(6)).crit_below(6),
            Value::count("warning", 1, None).warn_above(0),
            Value::age("age", Duration::from_millis(61_004)),
        ];
        let line = plugin_line(Check::Critical, "a | b\nc", &values);
        assert_eq!(
            line,
            "PEERDECK CRITICAL - a / b c | links_down=2;;0;0;30 peers_reachable=5;;6:;0;6 warning=1;0;;0; \
             age=61.004s;;;0;\n"
        );
    }

    proptest! {
        #[test]
        fn whatever_the_text_it_is_one_line_with_one_bar_before_the_values(
            text in "(\\PC|[|\n\r;='\u{1b}]){0,400}",
            n in any::<usize>(),
            ms in any::<u32>(),
        ) {
            let values = [
                Value::count("a", n, Some(n)).warn_above(n).crit_above(n),
                Value::count("b", n, None).crit_below(n),
                Value::age("age", Duration::from_millis(u64::from(ms))),
            ];
            for check in [Check::Ok, Check::Warning, Check::Critical, Check::Unknown] {
                let line = plugin_line(check, &text, &values);
                prop_assert_eq!(line.matches('\n').count(), 1);
                prop_assert!(line.ends_with('\n') && !line.chars().any(|c| c.is_control() && c != '\n'));
                prop_assert_eq!(line.matches('|').count(), 1);
                let start = format!("PEERDECK {} - ", check.word());
                prop_assert!(line.starts_with(&start));
                let data = line.split('|').nth(1).unwrap().trim();
                prop_assert_eq!(data.split(' ').filter(|v| is_value(v)).count(), 3, "{}", data);
            }
        }
    }
}
