//! What a feature says at a mode, who wrote it, what is staged, what is in conflict, and where it is defined.

use std::collections::BTreeMap;

use ratatui::layout::Rect;

use super::{standing_look, zone};
use crate::app::App;
use crate::app::settings::{Book, Shown, Standing, json, rows};
use crate::domain::settings::{Edit, Levels, ModeId, Version, sentence};
use crate::domain::{FeatureName, Time};
use crate::ui::pen::{Pen, piece};
use crate::ui::text;
use crate::ui::theme::Role;

/// Modes that are named where a feature is defined.
const DEFINED_MAX: usize = 200;

/// Draws as much as there is room for, from the line on that was scrolled to.
pub fn draw(pen: &mut Pen<'_>, area: Rect, app: &App, book: &Book, now: Time) {
    let Some(feature) = app.feature() else { return };
    let inner = Rect { x: area.x + 1, width: area.width.saturating_sub(2), ..area };
    let lines = lines(pen, app, book, &app.mode(), feature, usize::from(inner.width), now);
    let room = usize::from(inner.height);
    let top = app.value_top().min(lines.len().saturating_sub(room));
    for (y, (line, role)) in (inner.y..inner.bottom()).zip(lines.iter().skip(top)) {
        pen.put_cut(inner.x, y, inner.width, line, *role);
    }
    if lines.len() > room && room > 0 {
        let last = (top + room).min(lines.len());
        let note = format!(" {}-{last}/{} ", top + 1, lines.len());
        let width = u16::try_from(text::width(&note)).unwrap_or(0);
        pen.put(area.right().saturating_sub(width), area.y.saturating_sub(1), width, &note, Role::Muted);
    }
}

/// All that is told of `feature` at `mode`, in lines of at most `columns`.
pub fn lines(
    pen: &Pen<'_>,
    app: &App,
    book: &Book,
    mode: &ModeId,
    feature: &FeatureName,
    columns: usize,
    now: Time,
) -> Vec<(String, Role)> {
    let g = pen.glyphs();
    let tree = book.tree();
    let known = app.catalogue().feature(feature);
    let shown = Shown::of(tree, app.catalogue(), mode, feature);
    let mut out: Vec<(String, Role)> = Vec::new();
    let ellipsis = g.ellipsis;
    let say = |out: &mut Vec<(String, Role)>, value: &str, role: Role| {
        out.extend(text::wrap(value, columns, 4, ellipsis).into_iter().map(|line| (line, role)));
    };
    if let Some(known) = known {
        say(&mut out, known.title.as_str(), Role::Muted);
        if known.levels != Levels::Any {
            say(&mut out, &format!("Set {}.", known.levels.phrase()), Role::Muted);
        }
    } else {
        say(&mut out, "Not in this console's table of features.", Role::Warn);
    }
    let (sign, role) = standing_look(g, &shown.standing);
    let told = match &shown.standing {
        Standing::Set => "set here".to_owned(),
        Standing::Empty => "empty here: an override that applies nothing".to_owned(),
        Standing::Inherited(from) => format!("inherited from {}", tree.mode_name(from)),
        Standing::Factory => "not set anywhere above: the factory default".to_owned(),
        Standing::NotSet => "not set anywhere above, and there is no factory default".to_owned(),
    };
    say(&mut out, &format!("{sign} {told}"), role);
    if let Some(version) = &shown.version {
        say(&mut out, &blame(pen, app, book, version, now), Role::Muted);
    }
    out.push((String::new(), Role::Text));
    // Overrides bright, what is inherited dim.
    let role = match shown.standing {
        Standing::Set | Standing::Empty => Role::Text,
        Standing::Inherited(_) | Standing::Factory | Standing::NotSet => Role::Muted,
    };
    match &shown.value {
        Some(value) => out.extend(json::pretty(value).lines().map(|l| (l.to_owned(), role))),
        None => out.push(("(nothing)".to_owned(), role)),
    }
    if let Some(staged) = app.staged_at(mode, feature) {
        out.push((String::new(), Role::Text));
        let word = if staged.sent.is_some() { "on its way" } else { "staged, not sent" };
        match &staged.edit {
            Edit::Set { value, .. } => {
                let what = if value.is_empty() { ", empty" } else { "" };
                out.push((format!("{} {word}{what}:", g.staged), Role::Connecting));
                out.extend(json::pretty(value).lines().map(|l| (l.to_owned(), Role::Connecting)));
            }
            other => out.push((format!("{} {word}: {}", g.staged, other.word()), Role::Connecting)),
        }
    }
    if let Some(entry) = shown.entry.as_ref().filter(|e| e.is_conflict()) {
        out.push((String::new(), Role::Text));
        say(&mut out, &format!("{} in conflict: the newest applies until somebody resolves it", g.finding), Role::Warn);
        for version in &entry.versions()[1..] {
            say(&mut out, &format!("other: {}", rows::brief_content(&version.content)), Role::Warn);
            say(&mut out, &format!("  {}", blame(pen, app, book, version, now)), Role::Muted);
        }
    }
    defined_at(&mut out, book, mode, feature, g.pointer);
    depends(&mut out, app, book, mode, feature, columns, ellipsis);
    out
}

/// Who wrote a version, where and when.
pub fn blame(pen: &Pen<'_>, app: &App, book: &Book, version: &Version, now: Time) -> String {
    let host = book.tree().host(&version.stamp.on);
    let short = host.split('.').next().unwrap_or(&host);
    let moment = app.moment(now).max(version.stamp.at);
    let at = text::clock(version.stamp.at, moment, &zone(pen, app));
    let who = if version.by.is_empty() { "somebody" } else { version.by.as_str() };
    format!("by {who} on {short}, {at}")
}

/// C10: the modes that define it.
fn defined_at(out: &mut Vec<(String, Role)>, book: &Book, mode: &ModeId, feature: &FeatureName, pointer: &str) {
    let modes = book.defined_at(feature);
    let n = modes.len();
    if n == 0 {
        return;
    }
    out.push((String::new(), Role::Text));
    out.push((format!("defined at {n} {}", crate::app::plural(n, "mode")), Role::Muted));
    for line in modes.take(DEFINED_MAX) {
        let name = line.full_name();
        let empty =
            book.tree().defined(&line.id, feature).and_then(|v| v.content.value()).is_some_and(|v| v.is_empty());
        let here = line.id == *mode;
        let sign = if here { pointer } else { " " };
        let role = if here { Role::Accent } else { Role::Text };
        out.push((format!("{sign} {name}{}", if empty { " (empty)" } else { "" }), role));
    }
    if n > DEFINED_MAX {
        out.push((format!("  and {} more", n - DEFINED_MAX), Role::Muted));
    }
}

/// What it names in other features, and what of that is unavailable where (C25).
fn depends(
    out: &mut Vec<(String, Role)>,
    app: &App,
    book: &Book,
    mode: &ModeId,
    feature: &FeatureName,
    columns: usize,
    ellipsis: &str,
) {
    let references = app.catalogue().feature(feature).map_or(&[][..], |f| &f.references[..]);
    if references.is_empty() {
        return;
    }
    out.push((String::new(), Role::Text));
    let mut names: Vec<String> = references.iter().map(|r| format!("{} ({})", r.what, r.to)).collect();
    names.dedup();
    let text = format!("depends on {}", names.join(", "));
    out.extend(text::wrap(&text, columns, 4, ellipsis).into_iter().map(|l| (l, Role::Muted)));
    // On which machines below this mode, or on this very one.
    let tree = book.tree();
    let concerns = |machine| match mode {
        ModeId::Cluster => true,
        ModeId::Group(group) => tree.structure().member(machine).is_some_and(|m| m.group == *group),
        ModeId::Machine(id) => id == machine,
    };
    let mut lacking: BTreeMap<(String, String), (Vec<String>, &crate::domain::settings::Dangling)> = BTreeMap::new();
    for d in book.dangling().iter().filter(|d| d.feature == *feature && concerns(&d.machine)) {
        let key = (d.item.to_string(), d.name.to_string());
        lacking.entry(key).or_insert_with(|| (Vec::new(), d)).0.push(tree.host(&d.machine));
    }
    for (hosts, d) in lacking.into_values() {
        let text = sentence(tree, hosts, d);
        out.extend(text::wrap(&text, columns, 8, ellipsis).into_iter().map(|l| (l, Role::Warn)));
    }
}

/// The first lines of a value as another column shows them.
pub fn short_lines(app: &App, book: &Book, mode: &ModeId, feature: &FeatureName) -> Vec<(String, Role)> {
    let shown = Shown::of(book.tree(), app.catalogue(), mode, feature);
    let role = match shown.standing {
        Standing::Set | Standing::Empty => Role::Text,
        Standing::Inherited(_) | Standing::Factory | Standing::NotSet => Role::Muted,
    };
    let mut lines = vec![(shown.standing.phrase(book.tree()), role)];
    match &shown.value {
        Some(value) => lines.extend(json::pretty(value).lines().map(|l| (l.to_owned(), role))),
        None => lines.push(("(nothing)".to_owned(), role)),
    }
    lines
}

/// One line of pieces for a version: sign and value.
pub fn brief_piece(shown: &Shown, g: &crate::ui::glyphs::Glyphs) -> Vec<crate::ui::pen::Piece> {
    let (sign, role) = standing_look(g, &shown.standing);
    vec![piece(format!("{sign} "), role), piece(rows::brief(shown.value.as_ref()), role)]
}
