//! The filter of a view: words that must all fit; `!` inverts one; `field:value` looks at one field only. Which
//! fields there are depends on the view ([`Vocabulary`]); a field that is none is told, and lets nothing through.

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
    /// Texts and serial numbers.
    Text,
    /// Who looks after a finding; `yes` and `no`.
    Ack,
    /// Who has silenced it; `yes` and `no`.
    Silenced,
    /// What the view has no field for: nothing fits, or a filter would seem to narrow what it does not.
    Unknown,
}

/// The fields that a view knows.
#[derive(Clone, Copy, Debug)]
pub struct Vocabulary {
    /// Names that are told, and what each looks at.
    pub fields: &'static [(&'static str, Field)],
    /// Names that are understood as well.
    also: &'static [(&'static str, Field)],
}

/// Of links and peers.
pub const LINKS: Vocabulary = Vocabulary {
    fields: &[
        ("host", Field::Host),
        ("group", Field::Group),
        ("state", Field::State),
        ("cause", Field::Cause),
        ("serial", Field::Text),
    ],
    also: &[("peer", Field::Host)],
};

/// Of features.
pub const SETTINGS: Vocabulary =
    Vocabulary { fields: &[("feature", Field::Text), ("state", Field::State)], also: &[("title", Field::Text)] };

/// Of HA units.
pub const HA: Vocabulary = Vocabulary {
    fields: &[("host", Field::Host), ("group", Field::Group), ("role", Field::State), ("text", Field::Text)],
    also: &[("peer", Field::Host), ("state", Field::State)],
};

/// Of findings.
pub const FINDINGS: Vocabulary = Vocabulary {
    fields: &[
        ("host", Field::Host),
        ("group", Field::Group),
        ("severity", Field::State),
        ("kind", Field::Cause),
        ("text", Field::Text),
        ("ack", Field::Ack),
        ("silenced", Field::Silenced),
    ],
    also: &[("peer", Field::Host), ("state", Field::State), ("cause", Field::Cause)],
};

/// Of events.
pub const EVENTS: Vocabulary = Vocabulary {
    fields: &[("host", Field::Host), ("group", Field::Group), ("kind", Field::State), ("text", Field::Text)],
    also: &[("peer", Field::Host), ("state", Field::State)],
};

impl Vocabulary {
    fn find(&self, name: &str) -> Option<Field> {
        let mut all = self.fields.iter().chain(self.also);
        all.find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, field)| *field)
    }

    /// `host: group: ...`
    #[must_use]
    pub fn listed(&self) -> String {
        self.fields.iter().map(|(name, _)| format!("{name}:")).collect::<Vec<_>>().join(" ")
    }

    /// `text` with its last word made a field, if it is the beginning of exactly one.
    #[must_use]
    pub fn complete(&self, text: &str) -> String {
        let last = text.rsplit(char::is_whitespace).next().unwrap_or("");
        let typed = last.trim_start_matches('!');
        let word = typed.to_lowercase();
        let mut fits = self.fields.iter().filter(|(name, _)| !word.is_empty() && name.starts_with(&word));
        match (fits.next(), fits.next()) {
            (Some((name, _)), None) => format!("{}{name}:", &text[..text.len() - typed.len()]),
            (Some(_) | None, _) => text.to_owned(),
        }
    }
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
    problem: Option<String>,
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
    /// Who looks after it.
    pub ack: Option<&'a str>,
    /// Who has silenced it.
    pub silenced: Option<&'a str>,
}

impl Filter {
    /// Reads what was typed.
    #[must_use]
    pub fn parse(text: &str, vocabulary: &Vocabulary) -> Self {
        let mut filter = Self::default();
        for word in text.split_whitespace() {
            let (inverse, word) = word.strip_prefix('!').map_or((false, word), |rest| (true, rest));
            // `03:12` and `fe80::1` are no fields.
            let named = word.split_once(':').filter(|(name, _)| is_name(name));
            let (field, value) = match named.map(|(name, value)| (name, vocabulary.find(name), value)) {
                Some((_, Some(field), value)) => (field, value),
                Some((name, None, _)) => {
                    let known = vocabulary.fields.iter().map(|(name, _)| *name);
                    let meant = super::palette::nearest(name, known)
                        .map_or_else(String::new, |n| format!(" Did you mean {n}:?"));
                    filter.problem =
                        Some(format!("There is no field {name}: here.{meant} Fields: {}", vocabulary.listed()));
                    (Field::Unknown, word)
                }
                None => (Field::Any, word),
            };
            if !value.is_empty() {
                filter.terms.push(Term { field, text: value.to_lowercase(), inverse });
            }
        }
        filter
    }

    /// What of it is no filter, and what would be.
    #[must_use]
    pub fn problem(&self) -> Option<&str> {
        self.problem.as_deref()
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
            Field::Any | Field::Host | Field::Group | Field::Text | Field::Ack | Field::Silenced | Field::Unknown => {
                !link
            }
        };
        Self { terms: self.terms.iter().filter(about).cloned().collect(), problem: self.problem.clone() }
    }

    /// Whether all words fit.
    #[must_use]
    pub fn fits(&self, facts: &Facts<'_>) -> bool {
        self.terms.iter().all(|t| t.fits(facts))
    }
}

impl Term {
    fn is_by(&self, who: Option<&str>) -> bool {
        match self.text.as_str() {
            "yes" => who.is_some(),
            "no" => who.is_none(),
            name => who.is_some_and(|who| contains(who, name)),
        }
    }

    fn fits(&self, facts: &Facts<'_>) -> bool {
        let has = |values: &[&str]| values.iter().any(|v| contains(v, &self.text));
        let hit = match self.field {
            Field::Any => has(facts.hosts) || has(facts.groups) || has(facts.text),
            Field::Host => has(facts.hosts),
            Field::Group => has(facts.groups),
            Field::State => has(facts.states),
            Field::Cause => has(facts.causes),
            Field::Text => has(facts.text),
            Field::Ack => self.is_by(facts.ack),
            Field::Silenced => self.is_by(facts.silenced),
            Field::Unknown => return false,
        };
        hit != self.inverse
    }
}

fn is_name(word: &str) -> bool {
    !word.is_empty() && word.chars().all(|c| c.is_ascii_alphabetic() || c == '-')
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
        Filter::parse(filter, &LINKS).fits(&Facts {
            hosts: &["lab3.example.com"],
            groups: &["Paris"],
            states: &["down"],
            causes: &["timeout"],
            text: &["smtp"],
            ..Facts::default()
        })
    }

    #[test]
    fn words_must_all_fit_and_an_exclamation_mark_inverts_one() {
        for yes in
            ["", "lab3", "PARIS", "lab3 smtp", "state:down", "!state:connected", "cause:time host:lab", "!", "host:"]
        {
            assert!(fits(yes), "{yes}");
        }
        for no in ["lab4", "lab3 rome", "!lab3", "state:connected", "down", "!cause:timeout", "x:lab3", "!x:lab3"] {
            assert!(!fits(no), "{no}");
        }
    }

    #[test]
    fn a_field_that_is_none_is_told_with_the_nearest() {
        let problem = |text: &str, v: &Vocabulary| Filter::parse(text, v).problem().map(str::to_owned);
        let told = problem("lab3 !hots:lab4", &LINKS).unwrap();
        assert!(told.contains("hots:") && told.contains("Did you mean host:?") && told.contains("cause:"), "{told}");
        assert!(problem("severity:critical", &LINKS).is_some());
        for fine in ["severity:critical", "state:critical", "KIND:link", "03:12:07", "fe80::1", "", "a b !c"] {
            assert_eq!(problem(fine, &FINDINGS), None, "{fine}");
        }
    }

    #[test]
    fn tab_completes_a_field_that_is_the_only_one() {
        for (text, whole) in
            [("ho", "host:"), ("lab3 !gr", "lab3 !group:"), ("s", "s"), ("x", "x"), ("", ""), ("lab ", "lab ")]
        {
            assert_eq!(LINKS.complete(text), whole, "{text}");
        }
        assert_eq!(FINDINGS.complete("s"), "s", "severity and silenced");
        assert_eq!(FINDINGS.complete("se"), "severity:");
    }

    proptest! {
        #[test]
        fn any_text_is_a_filter_and_its_parts_together_are_the_whole(text in "\\PC{0,40}") {
            let filter = Filter::parse(&text, &LINKS);
            let whole = LINKS.complete(&text);
            prop_assert!(whole == text || whole.ends_with(':'));
            let facts = Facts { hosts: &["lab1"], states: &["down"], ..Facts::default() };
            prop_assert_eq!(filter.fits(&facts), filter.part(true).fits(&facts) && filter.part(false).fits(&facts));
        }
    }
}
