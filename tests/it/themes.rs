//! Themes: what they inherit, what is refused, and whether they can be read by eye.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use peerdeck::ui::theme::{Role, embedded_names};
use peerdeck::ui::{Depth, Theme, Themes};
use ratatui::style::{Color, Modifier, Style};
use strum::IntoEnumIterator;

fn load(own: &[(&str, &str)]) -> (Themes, Vec<String>) {
    let own: Vec<(String, String)> = own.iter().map(|(f, t)| ((*f).to_owned(), (*t).to_owned())).collect();
    let (themes, errors) = Themes::load(&own);
    (themes, errors.iter().map(ToString::to_string).collect())
}

fn theme(themes: &Themes, name: &str) -> Theme {
    themes.get(themes.position(name).unwrap_or_else(|| panic!("no {name}")), Depth::True)
}

#[test]
fn an_inherited_palette_recolours_every_role_that_uses_it() {
    let (themes, errors) = load(&[("mine.toml", "inherits = \"dark\"\n[palette]\nred = \"#ff00ff\"\n")]);
    assert_eq!(errors, [] as [&str; 0]);
    let (mine, dark) = (theme(&themes, "mine"), theme(&themes, "dark"));
    assert_eq!(mine.get(Role::Crit).fg, Some(Color::Rgb(255, 0, 255)));
    assert!(mine.get(Role::Crit).add_modifier.contains(Modifier::BOLD), "the rest of the role stays");
    assert_eq!(mine.get(Role::Ok), dark.get(Role::Ok));
}

#[test]
fn an_own_theme_replaces_the_embedded_one_of_its_name_for_its_heirs_too() {
    let own = "name = \"dark\"\ninherits = \"dark\"\n[palette]\nground = \"#010203\"\n";
    let (themes, errors) = load(&[("d.toml", own), ("child.toml", "inherits = \"dark\"")]);
    assert_eq!(errors, [] as [&str; 0]);
    let ground = Some(Color::Rgb(1, 2, 3));
    assert_eq!(theme(&themes, "dark").get(Role::Text).bg, ground);
    assert_eq!(theme(&themes, "child").get(Role::Text).bg, ground, "in whatever order the files are read");
    assert_eq!(theme(&themes, "nord").get(Role::Text).bg, Some(Color::Rgb(0x2e, 0x34, 0x40)), "its own ground");
    assert_eq!(themes.len(), embedded_names().len() + 1);
}

#[test]
fn a_child_may_be_read_before_its_parent() {
    let (themes, errors) = load(&[
        ("a.toml", "inherits = \"b\"\n"),
        ("b.toml", "inherits = \"c\"\n[roles]\nok = { fg = \"mint\" }\n"),
        ("c.toml", "inherits = \"nord\"\n[palette]\nmint = \"#00ff88\"\n"),
    ]);
    assert_eq!(errors, [] as [&str; 0]);
    assert_eq!(theme(&themes, "a").get(Role::Ok).fg, Some(Color::Rgb(0, 255, 136)));
}

#[test]
fn a_broken_own_theme_leaves_the_embedded_one_of_its_name() {
    let (themes, errors) = load(&[("nord.toml", "name = \"nord\"\ninherits = \"drak\"\n")]);
    assert_eq!(errors.len(), 1);
    assert!(errors[0].contains("did you mean \"dark\"?"), "{errors:?}");
    assert_eq!(theme(&themes, "nord").get(Role::Text).bg, Some(Color::Rgb(0x2e, 0x34, 0x40)));
}

#[test]
fn every_invalid_theme_has_its_message() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/invalid_themes");
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    files.sort();
    let own: Vec<(String, String)> = files
        .iter()
        .map(|f| (f.file_name().unwrap().to_string_lossy().into_owned(), std::fs::read_to_string(f).unwrap()))
        .collect();
    let (themes, errors) = Themes::load(&own);
    let mut names = embedded_names();
    names.push("twin");
    assert_eq!(themes.names(), names, "only the first of two twins is good");
    let mut said = String::new();
    for error in errors {
        let _ = writeln!(said, "{error}");
    }
    insta::assert_snapshot!("invalid_themes", said);
}

#[test]
fn a_role_that_a_theme_leaves_out_takes_the_one_it_is_like() {
    for role in Role::iter() {
        if let Some(like) = role.like() {
            assert_eq!(like.like(), None, "{role:?}: one step is enough, or it would not be found");
        }
    }
    let roots: Vec<String> =
        Role::iter().filter(|r| r.like().is_none()).map(|r| format!("{} = {{ fg = \"red\" }}", r.name())).collect();
    let text = format!("[roles]\n{}\n", roots.join("\n"));
    let (themes, errors) = load(&[("bare.toml", &text)]);
    assert_eq!(errors, [] as [&str; 0]);
    assert_eq!(theme(&themes, "bare").get(Role::Key).fg, Some(Color::Red));
}

/// How much light a colour gives, after WCAG 2.
fn luminance((r, g, b): (u8, u8, u8)) -> f64 {
    let part = |c: u8| {
        let c = f64::from(c) / 255.0;
        if c <= 0.04045 { c / 12.92 } else { ((c + 0.055) / 1.055).powf(2.4) }
    };
    0.2126 * part(r) + 0.7152 * part(g) + 0.0722 * part(b)
}

fn contrast(a: (u8, u8, u8), b: (u8, u8, u8)) -> f64 {
    let (a, b) = (luminance(a), luminance(b));
    (a.max(b) + 0.05) / (a.min(b) + 0.05)
}

fn rgb(colour: Option<Color>) -> Option<(u8, u8, u8)> {
    match colour {
        Some(Color::Rgb(r, g, b)) => Some((r, g, b)),
        _ => None,
    }
}

/// How well a role is read on the ground it is drawn on; `None` where the terminal decides.
fn readable(style: Style, ground: Style) -> Option<f64> {
    Some(contrast(rgb(style.fg)?, rgb(ground.bg)?))
}

/// The least contrast that a role needs: words more than signs. Lines between areas only divide.
fn needed(role: Role) -> Option<f64> {
    match role {
        Role::Text
        | Role::Muted
        | Role::Accent
        | Role::Header
        | Role::Tab
        | Role::TabActive
        | Role::Crosshair
        | Role::Selection
        | Role::Badge
        | Role::BadgeLoud
        | Role::Key
        | Role::Dialog => Some(4.5),
        Role::Ok | Role::Connecting | Role::Warn | Role::Crit | Role::Unknown | Role::Stale | Role::Detached => {
            Some(3.0)
        }
        Role::Border => None,
    }
}

#[test]
fn the_formula_is_the_published_one() {
    assert!((contrast((0, 0, 0), (255, 255, 255)) - 21.0).abs() < 1e-9);
    assert!((contrast((0x77, 0x77, 0x77), (255, 255, 255)) - 4.478).abs() < 0.001);
}

#[test]
fn every_embedded_theme_can_be_read() {
    let (themes, _) = Themes::load(&[]);
    let (mut wrong, mut measured) = (String::new(), 0);
    for name in embedded_names() {
        let theme = theme(&themes, name);
        let ground = theme.get(Role::Text);
        for role in Role::iter() {
            let Some(needed) = needed(role) else { continue };
            let style = theme.get(role);
            let mut grounds = vec![("its own", style)];
            if style.bg == ground.bg {
                // Roles without a ground of their own are drawn on that of the dialog and of the header too.
                grounds.extend([("the dialog's", theme.get(Role::Dialog)), ("the header's", theme.get(Role::Header))]);
            }
            for (which, on) in grounds {
                let Some(ratio) = readable(style, on) else { continue };
                measured += 1;
                // On a raised ground signs and words stand beside others and are short.
                let needed = if which == "its own" { needed } else { needed.min(3.0) };
                if ratio < needed {
                    let _ = writeln!(wrong, "{name}: {} on {which} ground: {ratio:.2}, needed {needed}", role.name());
                }
            }
        }
    }
    assert!(measured > 300, "colours are compared: {measured}");
    assert!(wrong.is_empty(), "\n{wrong}");
}
