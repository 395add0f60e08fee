//! The filter of a view: words that must all fit; `!` inverts one; `host:`, `group:`, `state:` and
//! `cause:` name a field.

/// What a word looks at.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Field {
    /// Host, group or text.
    Any,
    /// Host names.
    Host,
    /// Names of groups.
    Group,
    /// States of links; severities of findings; kinds of events.
    State,
    /// Causes of links; kinds of findings.
    Cause,
}

/// One word.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Term {
    field: Field,
    /// Lower case.
    text: String,
    inverse: bool,
}

/// All words of a filter.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Filter {
    terms: Vec<Term>,
}

/// What a thing shows to a filter.
#[derive(Clone, Copy, Debug, Default)]
pub struct Facts<'a> {
    /// Host names.
    pub hosts: &'a [&'a str],
    /// Names of groups.
    pub groups: &'a [&'a str],
    /// State, severity or kind.
    pub states: &'a [&'a str],
    /// Cause or kind.
    pub causes: &'a [&'a str],
    /// Other words.
    pub text: &'a [&'a str],
}

impl Filter {
    /// Reads what was typed. Everything means something: an unknown field is taken as text.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let terms = text.split_whitespace().filter_map(|word| {
            let (inverse, word) = word.strip_prefix('!').map_or((false, word), |rest| (true, rest));
            let (field, value) = match word.split_once(':') {
                Some(("host", v)) => (Field::Host, v),
                Some(("group", v)) => (Field::Group, v),
                Some(("state", v)) => (Field::State, v),
                Some(("cause", v)) => (Field::Cause, v),
                Some(_) | None => (Field::Any, word),
            };
            (!value.is_empty()).then(|| Term { field, text: value.to_lowercase(), inverse })
        });
        Self { terms: terms.collect() }
    }

    /// Whether it lets everything through.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.terms.is_empty()
    }

    /// The words about peers (`link` false) or about links (`link` true).
    #[must_use]
    pub fn part(&self, link: bool) -> Self {
        let about = |t: &&Term| match t.field {
            Field::State | Field::Cause => link,
            Field::Any | Field::Host | Field::Group => !link,
        };
        Self { terms: self.terms.iter().filter(about).cloned().collect() }
    }

    /// Whether all words fit.
    #[must_use]
    pub fn fits(&self, facts: &Facts<'_>) -> bool {
        self.terms.iter().all(|t| t.fits(facts))
    }
}

impl Term {
    fn fits(&self, facts: &Facts<'_>) -> bool {
        let has = |values: &[&str]| values.iter().any(|v| contains(v, &self.text));
        let hit = match self.field {
            Field::Any => has(facts.hosts) || has(facts.groups) || has(facts.text),
            Field::Host => has(facts.hosts),
            Field::Group => has(facts.groups),
            Field::State => has(facts.states),
            Field::Cause => has(facts.causes),
        };
        hit != self.inverse
    }
}

/// Whether `text` contains `low`, which is lower case, in whichever case.
pub(crate) fn contains(text: &str, low: &str) -> bool {
    if text.is_ascii() && low.is_ascii() {
        let (text, low) = (text.as_bytes(), low.as_bytes());
        return low.is_empty() || text.windows(low.len()).any(|w| w.eq_ignore_ascii_case(low));
    }
    text.to_lowercase().contains(low)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn fits(filter: &str) -> bool {
        Filter::parse(filter).fits(&Facts {
            hosts: &["lab3.example.com"],
            groups: &["Paris"],
            states: &["down"],
            causes: &["timeout"],
            text: &["smtp"],
        })
    }

    #[test]
    fn words_must_all_fit_and_an_exclamation_mark_inverts_one() {
        for yes in
            ["", "lab3", "PARIS", "lab3 smtp", "state:down", "!state:connected", "cause:time host:lab", "!", "host:"]
        {
            assert!(fits(yes), "{yes}");
        }
        for no in ["lab4", "lab3 rome", "!lab3", "state:connected", "down", "!cause:timeout", "x:lab3"] {
            assert!(!fits(no), "{no}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_a_filter_and_its_parts_together_are_the_whole(text in "\\PC{0,40}") {
            let filter = Filter::parse(&text);
            let facts = Facts { hosts: &["lab1"], states: &["down"], ..Facts::default() };
            prop_assert_eq!(filter.fits(&facts), filter.part(true).fits(&facts) && filter.part(false).fits(&facts));
        }
    }
}
