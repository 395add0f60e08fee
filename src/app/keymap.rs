//! Which keys do what: the table of actions, and a person's differences over it.

use std::collections::BTreeMap;

use strum::IntoEnumIterator;

use super::action::{Action, Scope, Spec, TABLE};
use super::keys::{self, Code, Key};

/// What keys typed so far mean.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Match {
    /// An action.
    Action(Action),
    /// The beginning of a chord.
    Prefix,
    /// Nothing.
    None,
}

/// Where a binding stands.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Place {
    /// On this line of the person's file, counted from 1.
    Line(usize),
    /// In the table of actions.
    BuiltIn,
}

/// A chord that does something in one scope.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Binding {
    scope: Scope,
    chord: Vec<Key>,
    action: Action,
    place: Place,
}

/// One difference over the table.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Change {
    /// Where it holds; `None`: wherever the action works.
    pub scope: Option<Scope>,
    /// The keys, one after the other.
    pub chord: Vec<Key>,
    /// What they do; `None`: nothing any more.
    pub action: Option<Action>,
    /// Where it stands in the person's file, counted from 1.
    pub line: usize,
}

/// Why differences can't be taken.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Clash {
    /// A chord is bound twice.
    Twice {
        /// The chord.
        chord: Vec<Key>,
        /// Its first line.
        first: usize,
        /// Its second line.
        second: usize,
    },
    /// A chord is the beginning of another one: one of the two can never be typed.
    Prefix {
        /// Where.
        scopes: Vec<Scope>,
        /// The shorter one.
        short: (Vec<Key>, Action, Place),
        /// The longer one.
        long: (Vec<Key>, Action, Place),
    },
    /// The action does nothing in the scope that was named.
    NotThere {
        /// The action.
        action: Action,
        /// The scope.
        scope: Scope,
        /// On this line.
        line: usize,
    },
    /// Enter alone must never carry out what can break something.
    Enter {
        /// The action.
        action: Action,
        /// On this line.
        line: usize,
    },
    /// There is no key left that leaves from anywhere.
    NoWayOut {
        /// Where.
        scopes: Vec<Scope>,
    },
}

/// What is worth a word and keeps nothing from working.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Remark {
    /// An action has no key left.
    Keyless {
        /// The action.
        action: Action,
        /// Where it had one.
        scopes: Vec<Scope>,
        /// The line that took the last one.
        line: usize,
    },
    /// Keys are freed that did nothing.
    Idle {
        /// The keys.
        chord: Vec<Key>,
        /// On this line.
        line: usize,
    },
}

/// Chords to actions, a scope at a time.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Keymap {
    /// A person's own before those of the table, so that hints show them.
    bindings: Vec<Binding>,
}

impl Keymap {
    /// The table with `changes` over it. One that names a scope weighs more than one that names none.
    ///
    /// # Errors
    /// All clashes at once.
    pub fn with(changes: &[Change]) -> Result<(Self, Vec<Remark>), Vec<Clash>> {
        let mut clashes = Vec::new();
        for (i, change) in changes.iter().enumerate() {
            let same = |c: &&Change| c.scope == change.scope && c.chord == change.chord && fields_meet(c, change);
            if let Some(before) = changes[..i].iter().find(same) {
                let chord = change.chord.clone();
                clashes.push(Clash::Twice { chord, first: before.line, second: change.line });
            }
            if let (Some(scope), Some(action)) = (change.scope, change.action)
                && !works_in(action, scope)
            {
                clashes.push(Clash::NotThere { action, scope, line: change.line });
            }
            let questions = [Scope::Question, Scope::Dialog];
            let asks = change.action.is_some_and(|a| is_risky(a) && questions.iter().any(|s| works_in(a, *s)));
            if asks && change.scope.is_none_or(|s| questions.contains(&s)) && change.chord == [Key::plain(Code::Enter)]
            {
                let action = change.action.unwrap_or(Action::Accept);
                clashes.push(Clash::Enter { action, line: change.line });
            }
        }
        let keymap = Self { bindings: Scope::iter().flat_map(|scope| of_scope(scope, changes)).collect() };
        clashes.extend(keymap.prefixes());
        let trapped: Vec<Scope> = Scope::iter().filter(|s| keymap.keys_of(*s, Action::Interrupt).is_empty()).collect();
        if !trapped.is_empty() {
            clashes.push(Clash::NoWayOut { scopes: trapped });
        }
        if clashes.is_empty() { Ok((keymap.clone(), keymap.remarks(changes))) } else { Err(clashes) }
    }

    /// What `typed` means in `scope`.
    #[must_use]
    pub fn find(&self, scope: Scope, typed: &[Key]) -> Match {
        let mut prefix = false;
        for binding in self.bindings.iter().filter(|b| b.scope == scope) {
            if binding.chord == typed {
                return Match::Action(binding.action);
            }
            prefix |= binding.chord.starts_with(typed);
        }
        if prefix && !typed.is_empty() { Match::Prefix } else { Match::None }
    }

    /// Whether `shown`, as [`Self::first_key`] gives it, does something in `scope`.
    #[must_use]
    pub fn is_bound(&self, scope: Scope, shown: &str) -> bool {
        self.bindings.iter().any(|b| b.scope == scope && keys::print(&b.chord) == shown)
    }

    /// Chords of `scope` that begin with `typed` and go on.
    pub fn after(&self, scope: Scope, typed: &[Key]) -> impl Iterator<Item = (&[Key], Action)> {
        let goes_on = move |chord: &[Key]| chord.len() > typed.len() && chord.starts_with(typed);
        self.bindings().filter(move |(s, chord, _)| *s == scope && goes_on(chord)).map(|(_, chord, a)| (chord, a))
    }

    /// All bindings.
    pub fn bindings(&self) -> impl Iterator<Item = (Scope, &[Key], Action)> {
        self.bindings.iter().map(|b| (b.scope, b.chord.as_slice(), b.action))
    }

    /// The chords of `action` in `scope`, the one for the hints first.
    #[must_use]
    pub fn keys_of(&self, scope: Scope, action: Action) -> Vec<String> {
        let fits = |b: &&Binding| b.scope == scope && b.action == action;
        self.bindings.iter().filter(fits).map(|b| keys::print(&b.chord)).collect()
    }

    /// The chord of `action` that hints show in `scope`; `None` when it has no key there.
    #[must_use]
    pub fn first_key(&self, scope: Scope, action: Action) -> Option<String> {
        let fits = |b: &&Binding| b.scope == scope && b.action == action;
        self.bindings.iter().find(fits).map(|b| keys::print(&b.chord))
    }

    /// Chords that are the beginning of others; the same pair of lines once, whatever the number of scopes.
    fn prefixes(&self) -> Vec<Clash> {
        let mut found: Vec<Clash> = Vec::new();
        for a in &self.bindings {
            let longer = |b: &&Binding| b.scope == a.scope && b.chord.len() > a.chord.len();
            for b in self.bindings.iter().filter(longer).filter(|b| b.chord.starts_with(&a.chord)) {
                let of = |b: &Binding| (b.chord.clone(), b.action, b.place);
                let (is_short, is_long) = (of(a), of(b));
                let known = found.iter_mut().find_map(|c| match c {
                    Clash::Prefix { scopes, short, long } if *short == is_short && *long == is_long => Some(scopes),
                    Clash::Prefix { .. }
                    | Clash::Twice { .. }
                    | Clash::NotThere { .. }
                    | Clash::Enter { .. }
                    | Clash::NoWayOut { .. } => None,
                });
                match known {
                    Some(scopes) => scopes.push(a.scope),
                    None => found.push(Clash::Prefix { scopes: vec![a.scope], short: is_short, long: is_long }),
                }
            }
        }
        found
    }

    fn remarks(&self, changes: &[Change]) -> Vec<Remark> {
        let mut remarks = Vec::new();
        let before = Self::default();
        for change in changes.iter().filter(|c| c.action.is_none()) {
            let had = |b: &Binding| change.scope.is_none_or(|s| s == b.scope) && b.chord == change.chord;
            let general = |c: &Change| c.scope.is_none() && c.action.is_some() && c.chord == change.chord;
            if !before.bindings.iter().any(had) && !changes.iter().any(general) {
                remarks.push(Remark::Idle { chord: change.chord.clone(), line: change.line });
            }
        }
        for spec in TABLE {
            let lost = |s: &Scope| self.first_key(*s, spec.action).is_none();
            let scopes: Vec<Scope> = spec.scopes.iter().copied().filter(lost).collect();
            let took = |c: &&Change| {
                let had = |b: &Binding| b.action == spec.action && scopes.contains(&b.scope) && b.chord == c.chord;
                c.scope.is_none_or(|s| scopes.contains(&s)) && before.bindings.iter().any(had)
            };
            if let Some(line) = changes.iter().filter(took).map(|c| c.line).max() {
                remarks.push(Remark::Keyless { action: spec.action, scopes, line });
            }
        }
        remarks
    }
}

impl Default for Keymap {
    fn default() -> Self {
        Self { bindings: Scope::iter().flat_map(|scope| of_scope(scope, &[])).collect() }
    }
}

/// The bindings of one scope, a person's own first.
fn of_scope(scope: Scope, changes: &[Change]) -> Vec<Binding> {
    let mut own: BTreeMap<&[Key], &Change> = BTreeMap::new();
    let applies = |c: &&Change| match (c.scope, c.action) {
        (Some(named), _) => named == scope,
        (None, Some(action)) => works_in(action, scope),
        (None, None) => true,
    };
    let (named, general): (Vec<&Change>, Vec<&Change>) =
        changes.iter().filter(applies).partition(|c| c.scope.is_some());
    for change in general.into_iter().chain(named) {
        own.insert(&change.chord, change);
    }
    let mut mine: Vec<&&Change> = own.values().collect();
    mine.sort_by_key(|c| c.line);
    let bind = |c: &&Change| {
        c.action.map(|action| Binding { scope, chord: c.chord.clone(), action, place: Place::Line(c.line) })
    };
    let mut bindings: Vec<Binding> = mine.into_iter().filter_map(bind).collect();
    for spec in TABLE.iter().filter(|s| s.scopes.contains(&scope)) {
        // A key that can't be read is left out here; a test refuses such a table.
        for chord in spec.keys.iter().filter_map(|k| keys::chord(k).ok()) {
            if !own.contains_key(chord.as_slice()) {
                bindings.push(Binding { scope, chord, action: spec.action, place: Place::BuiltIn });
            }
        }
    }
    bindings
}

/// Whether both hold somewhere at once: of two that name no scope, the same chord may do one thing here and another there.
fn fields_meet(a: &Change, b: &Change) -> bool {
    match (a.action, b.action) {
        (Some(one), Some(other)) if a.scope.is_none() => Scope::iter().any(|s| works_in(one, s) && works_in(other, s)),
        (Some(_) | None, Some(_) | None) => true,
    }
}

fn spec(action: Action) -> Option<&'static Spec> {
    TABLE.iter().find(|s| s.action == action)
}

/// Whether the action does anything in the scope.
#[must_use]
pub fn works_in(action: Action, scope: Scope) -> bool {
    spec(action).is_some_and(|s| s.scopes.contains(&scope))
}

fn is_risky(action: Action) -> bool {
    spec(action).is_some_and(|s| s.class.is_some())
}
