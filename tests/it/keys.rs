//! The keymap file: what it changes, what it refuses, and in which words.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use peerdeck::app::keymap::{Change, Match, works_in};
use peerdeck::app::keys::{Code, Key, chord};
use peerdeck::app::{Action, App, Keymap, Msg, Options, Scope};
use peerdeck::config::keymap::{self, Loaded};
use proptest::prelude::*;
use strum::IntoEnumIterator;

use crate::ui::scene::{NOW, Scene};

fn load(text: &str) -> Loaded {
    keymap::parse(Path::new("keys.toml"), text).unwrap_or_else(|e| panic!("{e}"))
}

fn meaning(keymap: &Keymap, scope: Scope, keys: &str) -> Match {
    keymap.find(scope, &chord(keys).unwrap())
}

#[test]
fn a_line_holds_wherever_its_action_works_and_a_section_weighs_more() {
    let text = "\"x\" = \"top\"\n\"g g\" = \"unbind\"\n[events]\n\"x\" = \"bottom\"\n\"Ctrl-n\" = \"next-view\"\n";
    let Loaded { keymap, remarks } = load(text);
    assert_eq!(remarks, [], "Home is left for top");
    assert_eq!(meaning(&keymap, Scope::Mesh, "x"), Match::Action(Action::Top));
    assert_eq!(meaning(&keymap, Scope::Help, "x"), Match::Action(Action::Top));
    assert_eq!(meaning(&keymap, Scope::Question, "x"), Match::None, "top does nothing there");
    assert_eq!(meaning(&keymap, Scope::Events, "x"), Match::Action(Action::Bottom));
    assert_eq!(meaning(&keymap, Scope::Events, "Ctrl-n"), Match::Action(Action::NextView));
    assert_eq!(meaning(&keymap, Scope::Mesh, "Ctrl-n"), Match::None);
    assert_eq!(meaning(&keymap, Scope::Mesh, "g g"), Match::None);
    assert_eq!(meaning(&keymap, Scope::Mesh, "g"), Match::None, "no chord begins with it any more");
    assert_eq!(meaning(&keymap, Scope::Mesh, "Home"), Match::Action(Action::Top), "what is not named stays");
}

#[test]
fn an_action_without_any_key_is_told_with_the_line_that_took_it() {
    let Loaded { keymap, remarks } = load("\n\"d\" = \"down\"\n\"Q\" = \"unbind\"\n[mesh]\n\"f\" = \"unbind\"\n");
    let said: Vec<String> = remarks.iter().map(ToString::to_string).collect();
    assert_eq!(
        said,
        [
            "keys.toml:3: \"Q\" did nothing before: nothing to unbind",
            "keys.toml:2: \"diagnose\" has no key left",
            "keys.toml:5: \"faults-only\" has no key left in [mesh]",
        ]
    );
    assert_eq!(meaning(&keymap, Scope::Mesh, "d"), Match::Action(Action::Down));
}

#[test]
fn what_ends_a_chord_may_be_given_up_first() {
    let Loaded { keymap, .. } = load("\"g\" = \"top\"\n\"g g\" = \"unbind\"\n");
    assert_eq!(meaning(&keymap, Scope::Mesh, "g"), Match::Action(Action::Top));
}

#[test]
fn every_invalid_keymap_has_its_message() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/invalid_keymaps");
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    files.sort();
    assert!(files.len() >= 4, "the files are there");
    let mut said = String::new();
    for file in files {
        let name = PathBuf::from(file.file_name().unwrap());
        let text = std::fs::read_to_string(&file).unwrap();
        let invalid = keymap::parse(&name, &text).unwrap_err();
        let _ = writeln!(said, "{invalid}\n");
    }
    insta::assert_snapshot!("invalid_keymaps", said);
}

#[test]
fn the_template_changes_nothing_once_its_comments_are_taken_away() {
    let template = keymap::template();
    assert!(template.lines().all(|l| l.starts_with('#')), "all of it is a comment");
    assert_eq!(load(&template).keymap, Keymap::default());
    let text: String = template.lines().flat_map(|l| [&l[1..], "\n"]).collect();
    let Loaded { keymap, remarks } = load(&text);
    assert_eq!(remarks, []);
    for scope in Scope::iter() {
        for (_, chord, action) in Keymap::default().bindings().filter(|(s, _, _)| *s == scope) {
            assert_eq!(keymap.find(scope, chord), Match::Action(action), "{chord:?} in {scope:?}");
        }
    }
    for action in Action::iter() {
        assert!(template.contains(&format!("## {}: ", action.name())), "{}", action.name());
    }
}

#[test]
fn hints_and_help_show_the_persons_own_keys() {
    let mut app = App::new(Options::default(), Arc::new(Scene::lab(3).build()), NOW);
    let Loaded { keymap, .. } = load("\"D\" = \"diagnose\"\n\"F1\" = \"help\"\n\"f\" = \"unbind\"\n");
    app.update(Msg::Keymap(keymap), NOW);
    let hints = app.hints(NOW);
    assert!(hints.contains(&("D".to_owned(), "diagnose")), "{hints:?}");
    assert!(hints.contains(&("F1".to_owned(), "help")), "{hints:?}");
    assert!(!hints.iter().any(|(_, word)| *word == "faults only"), "it has no key: {hints:?}");
    let help = app.help("find out why");
    assert_eq!(help.iter().map(|(k, _)| k.as_str()).collect::<Vec<_>>(), ["D  d"]);
    app.update(Msg::Key(Key::plain(Code::F(1))), NOW);
    assert_eq!(app.scope(), Scope::Help);
}

#[test]
fn a_new_keymap_forgets_the_begun_chord_of_the_old_one() {
    let mut app = App::new(Options::default(), Arc::new(Scene::lab(3).build()), NOW);
    app.update(Msg::Key("g".parse().unwrap()), NOW);
    assert_eq!(app.pending().len(), 1);
    app.update(Msg::Keymap(load("\"g g\" = \"unbind\"\n").keymap), NOW);
    assert_eq!(app.pending(), []);
}

fn any_key() -> impl Strategy<Value = Key> {
    let named = prop::sample::select(peerdeck::app::keys::names().collect::<Vec<_>>());
    let named = named.prop_map(|n| n.parse::<Key>().unwrap());
    let typed = prop::sample::select("abxyz?#\"'\\=[]é".chars().collect::<Vec<_>>());
    let typed = (typed, any::<bool>(), any::<bool>());
    let typed = typed.prop_map(|(c, ctrl, alt)| Key { code: Code::Char(c), ctrl, alt });
    prop_oneof![named, typed.prop_filter("arrives", |k| k.arrives_as().is_none())]
}

fn any_change() -> impl Strategy<Value = Change> {
    let action = prop::option::weighted(0.8, prop::sample::select(Action::iter().collect::<Vec<_>>()));
    let scope = prop::option::of(prop::sample::select(Scope::iter().collect::<Vec<_>>()));
    (scope, prop::collection::vec(any_key(), 1..3), action).prop_map(|(scope, chord, action)| Change {
        scope,
        chord,
        action,
        line: 0,
    })
}

proptest! {
    #[test]
    fn printing_differences_and_reading_them_again_gives_the_same(all in prop::collection::vec(any_change(), 0..12)) {
        let mut wanted: Vec<Change> = Vec::new();
        for change in all {
            if !wanted.iter().any(|c| c.scope == change.scope && c.chord == change.chord) {
                wanted.push(change);
            }
        }
        let text = keymap::print(&wanted);
        let mut read = keymap::changes(Path::new("keys.toml"), &text).unwrap();
        for change in &mut read {
            prop_assert!(text.lines().nth(change.line - 1).is_some());
            change.line = 0;
        }
        wanted.sort_by_key(|c| (c.scope, c.chord.clone()));
        read.sort_by_key(|c| (c.scope, c.chord.clone()));
        prop_assert_eq!(read, wanted);
    }

    #[test]
    fn a_keymap_that_is_taken_has_no_chord_that_hides_another_and_a_way_out(
        all in prop::collection::vec(any_change(), 0..12)
    ) {
        let mut changes = all;
        for (i, change) in changes.iter_mut().enumerate() {
            change.line = i + 1;
        }
        let Ok((keymap, _)) = Keymap::with(&changes) else { return Ok(()) };
        for (scope, chord, action) in keymap.bindings() {
            prop_assert!(works_in(action, scope), "{:?} in {:?}", action, scope);
            prop_assert_eq!(keymap.find(scope, chord), Match::Action(action));
            for n in 1..chord.len() {
                prop_assert_eq!(keymap.find(scope, &chord[..n]), Match::Prefix);
            }
        }
        for scope in Scope::iter() {
            prop_assert!(keymap.first_key(scope, Action::Interrupt).is_some());
        }
    }

    #[test]
    fn no_text_makes_the_reader_panic(text in "(\\[[a-z]{1,6}\\]\n|\"\\PC{0,6}\" = \"(quit|top|unbind|[a-z]{0,5})\"\n|\\PC{0,12}\n){0,10}") {
        if let Err(invalid) = keymap::parse(Path::new("keys.toml"), &text) {
            prop_assert!(!invalid.0.is_empty());
            let lines = text.split('\n').count();
            prop_assert!(invalid.0.iter().all(|p| p.line.is_none_or(|l| l >= 1 && l <= lines)));
        }
    }
}
