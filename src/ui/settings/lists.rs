//! Lists over the Settings view: what is staged, inconsistencies, versions of a setting, modes and groups to pick from.

use ratatui::layout::Rect;

use super::value::blame;
use super::{standing_look, zone};
use crate::app::panel::{Panel, PanelKind};
use crate::app::settings::lists::PickFor;
use crate::app::settings::{Book, Stage, json, rows};
use crate::app::{App, plural};
use crate::domain::Time;
use crate::domain::settings::words::called;
use crate::domain::settings::{Content, Edit, Entry, Key, ModeId, Target};
use crate::ui::list::{self, Column, Shape};
use crate::ui::pen::{Pen, Piece, above, below, piece};
use crate::ui::text;
use crate::ui::theme::Role;

const fn column(title: &'static str, width: u16, from_width: u16) -> Column {
    Column { title, width, from_width }
}

/// What stands on the frame.
#[must_use]
pub fn title(app: &App, kind: PanelKind) -> String {
    match kind {
        PanelKind::Changes => {
            let summary = app.stage().map(Stage::summary).unwrap_or_default();
            format!("Staged changes: {summary}; nothing is sent yet")
        }
        PanelKind::Conflicts => {
            let n = app.book().map_or(0, |b| b.conflicts().len());
            format!("{n} {}", if n == 1 { "inconsistency" } else { "inconsistencies" })
        }
        PanelKind::Versions => match (app.asked(), app.book()) {
            (Some(asked), Some(book)) => format!("History of {}", called(book.tree(), &asked.key)),
            _ => "History".to_owned(),
        },
        PanelKind::Pick(pick) => app.pick_title(pick),
        PanelKind::Overview
        | PanelKind::Log
        | PanelKind::Notices
        | PanelKind::Sessions
        | PanelKind::Columns
        | PanelKind::Silences
        | PanelKind::Recent => String::new(),
    }
}

/// What stands in a list without lines.
#[must_use]
pub fn empty(app: &App, kind: PanelKind) -> String {
    match kind {
        PanelKind::Changes => "Nothing is staged.".to_owned(),
        PanelKind::Conflicts => "All peers agree: nothing is in conflict.".to_owned(),
        PanelKind::Versions => match app.asked().map(|a| &a.past) {
            None => "Nothing was asked.".to_owned(),
            Some(None) => "Asking a peer ...".to_owned(),
            Some(Some(Err(why))) => format!("No peer told the history: {why}"),
            Some(Some(Ok(_))) => "It was never written.".to_owned(),
        },
        PanelKind::Pick(_) => "There is nothing else to pick.".to_owned(),
        PanelKind::Overview
        | PanelKind::Log
        | PanelKind::Notices
        | PanelKind::Sessions
        | PanelKind::Columns
        | PanelKind::Silences
        | PanelKind::Recent => String::new(),
    }
}

/// Keys that are told at the bottom.
#[must_use]
pub fn keys(kind: PanelKind) -> &'static [(&'static str, &'static str)] {
    match kind {
        PanelKind::Changes => &[
            ("a c", "commit"),
            ("x", "discard"),
            ("s", "keep staged"),
            ("o", "override"),
            ("X", "clear all"),
            ("Esc", "closes"),
        ],
        PanelKind::Conflicts => {
            &[("h l", "version"), ("Enter", "resolve with it"), ("a p", "all of that machine"), ("Esc", "ignores")]
        }
        PanelKind::Pick(_) => &[("Enter", "takes it"), ("/", "searches"), ("Esc", "cancels")],
        PanelKind::Versions
        | PanelKind::Overview
        | PanelKind::Log
        | PanelKind::Notices
        | PanelKind::Sessions
        | PanelKind::Columns
        | PanelKind::Silences
        | PanelKind::Recent => &[("Esc", "closes"), ("j k", "move"), ("/", "searches"), ("U", "local/UTC")],
    }
}

/// Draws the lines of a list, and what is told of the selected one.
pub fn draw(pen: &mut Pen<'_>, area: Rect, app: &App, panel: &Panel, now: Time) {
    let Some(book) = app.book() else { return };
    match panel.kind {
        PanelKind::Changes => changes(pen, area, app, book, panel, now),
        PanelKind::Conflicts => conflicts(pen, area, app, book, panel, now),
        PanelKind::Versions => versions(pen, area, app, panel, now),
        PanelKind::Pick(pick) => picks(pen, area, app, book, panel, pick),
        PanelKind::Overview
        | PanelKind::Log
        | PanelKind::Notices
        | PanelKind::Sessions
        | PanelKind::Columns
        | PanelKind::Silences
        | PanelKind::Recent => {}
    }
}

/// A list takes no more than half, unless there is nothing else to tell.
fn split(area: Rect, len: usize) -> (Rect, Rect) {
    let wanted = u16::try_from(len + 1).unwrap_or(u16::MAX);
    let height = wanted.min((area.height / 2).max(3)).min(area.height);
    (above(area, height), below(area, height))
}

fn changes(pen: &mut Pen<'_>, area: Rect, app: &App, book: &Book, panel: &Panel, now: Time) {
    let (Some(stage), tree) = (app.stage(), book.tree()) else { return };
    let keys = app.list_keys(panel.kind, panel.query.as_str());
    let place = panel.place(keys.len());
    let (upper, lower) = split(area, keys.len());
    let columns = [column("state", 14, 0), column("setting", 44, 0), column("change", 40, 70)];
    let shape = Shape { cursor: Some(place), ..Shape::new(&columns) };
    let g = pen.glyphs();
    list::draw(pen, upper, &shape, keys.len(), |at| {
        let key = &keys[at];
        let Some(staged) = stage.get(key) else { return Vec::new() };
        let (word, role) = match () {
            () if staged.sent.is_some() => ("on its way".to_owned(), Role::Connecting),
            () if staged.kept_back => ("kept staged".to_owned(), Role::Muted),
            () if stage.is_moved(key, tree) => (format!("{} written", g.finding), Role::Crit),
            () => (format!("{} staged", g.staged), Role::Connecting),
        };
        let old = tree.entry(key).map_or_else(|| "not set".to_owned(), |e| rows::brief_content(&e.effective().content));
        vec![
            piece(word, role),
            piece(called(tree, key), Role::Text),
            piece(format!("{old} {} {}", g.arrow, new_words(&staged.edit)), Role::Muted),
        ]
    });
    let mut lines: Vec<Vec<Piece>> = Vec::new();
    if let Some(key) = keys.get(place) {
        diff(pen, app, book, key, stage, now, &mut lines);
    }
    if let Some(told) = app.told() {
        if let Some(why) = &told.refusal {
            label(&mut lines, pen, lower.width, "refused", why.as_str(), Role::Crit);
        }
        for (n, effect) in told.effects.iter().enumerate() {
            label(&mut lines, pen, lower.width, if n == 0 { "then" } else { "" }, effect.as_str(), Role::Text);
        }
        for (n, notice) in told.notices.iter().enumerate() {
            label(&mut lines, pen, lower.width, if n == 0 { "note" } else { "" }, notice.as_str(), Role::Warn);
        }
    }
    put_lines(pen, lower, &lines);
}

fn new_words(edit: &Edit) -> String {
    match edit {
        Edit::Set { value, .. } => rows::brief(Some(value)),
        Edit::Unset { .. } => "inherits".to_owned(),
        Edit::Resolve { .. }
        | Edit::Create { .. }
        | Edit::SetName { .. }
        | Edit::AddGroup { .. }
        | Edit::RenameGroup { .. }
        | Edit::DeleteGroup { .. }
        | Edit::SetGroup { .. }
        | Edit::RemoveMachine { .. }
        | Edit::SetHost { .. } => edit.word().to_owned(),
    }
}

/// Old and new of one register, line by line; what somebody else wrote meanwhile.
fn diff(pen: &Pen<'_>, app: &App, book: &Book, key: &Key, stage: &Stage, now: Time, lines: &mut Vec<Vec<Piece>>) {
    let Some(staged) = stage.get(key) else { return };
    let entry = book.tree().entry(key);
    if stage.is_moved(key, book.tree()) {
        let who = entry.map(|e| blame(pen, app, book, e.effective(), now)).unwrap_or_default();
        lines.push(vec![piece(format!("written meanwhile {who}"), Role::Crit)]);
        lines.push(vec![piece("x discard mine   s keep mine staged   o override theirs", Role::Key)]);
    }
    let old = entry.map(Entry::effective);
    let old_text = match old.map(|v| &v.content) {
        Some(Content::Value(value)) => json::pretty(value),
        Some(Content::Inherits) => "(inherits)".to_owned(),
        None => "(not set)".to_owned(),
    };
    let new_text = match &staged.edit {
        Edit::Set { value, .. } => json::pretty(value),
        other => format!("({})", new_words(other)),
    };
    for line in differences(&old_text, &new_text) {
        let (sign, text, role) = match line {
            Diff::Same(text) => (" ", text, Role::Muted),
            Diff::Old(text) => ("-", text, Role::Warn),
            Diff::New(text) => ("+", text, Role::Ok),
        };
        lines.push(vec![piece(format!("{sign} "), role), piece(text, role)]);
    }
    lines.push(Vec::new());
}

/// A line of a diff.
enum Diff<'a> {
    Same(&'a str),
    Old(&'a str),
    New(&'a str),
}

/// Lines that both begin or end with are the same; those between are old and new.
fn differences<'a>(old: &'a str, new: &'a str) -> Vec<Diff<'a>> {
    let (a, b): (Vec<&str>, Vec<&str>) = (old.lines().collect(), new.lines().collect());
    let head = a.iter().zip(&b).take_while(|(x, y)| x == y).count();
    let tail = a[head..].iter().rev().zip(b[head..].iter().rev()).take_while(|(x, y)| x == y).count();
    let mut out: Vec<Diff<'a>> = a[..head].iter().map(|l| Diff::Same(l)).collect();
    out.extend(a[head..a.len() - tail].iter().map(|l| Diff::Old(l)));
    out.extend(b[head..b.len() - tail].iter().map(|l| Diff::New(l)));
    out.extend(a[a.len() - tail..].iter().map(|l| Diff::Same(l)));
    out
}

/// A label and a sentence behind it, wrapped.
fn label(lines: &mut Vec<Vec<Piece>>, pen: &Pen<'_>, width: u16, label: &str, value: &str, role: Role) {
    const LABEL: usize = 9;
    let columns = usize::from(width).saturating_sub(LABEL);
    for (n, part) in text::wrap(value, columns, 3, pen.glyphs().ellipsis).into_iter().enumerate() {
        let label = if n == 0 { label } else { "" };
        lines.push(vec![piece(text::pad(label, LABEL), Role::Muted), piece(part, role)]);
    }
}

fn put_lines(pen: &mut Pen<'_>, area: Rect, lines: &[Vec<Piece>]) {
    if area.height < 2 || lines.is_empty() {
        return;
    }
    pen.rule(above(area, 1), "");
    let inner = below(area, 1);
    let room = usize::from(inner.height);
    for (y, line) in (inner.y..inner.bottom()).zip(lines) {
        pen.line(Rect { y, height: 1, ..inner }, line);
    }
    if lines.len() > room {
        let more = format!(" +{} {} ", lines.len() - room, plural(lines.len() - room, "line"));
        let width = u16::try_from(text::width(&more)).unwrap_or(0);
        pen.put(area.right().saturating_sub(width), area.y, width, &more, Role::Warn);
    }
}

fn conflicts(pen: &mut Pen<'_>, area: Rect, app: &App, book: &Book, panel: &Panel, now: Time) {
    let keys = app.list_keys(panel.kind, panel.query.as_str());
    let place = panel.place(keys.len());
    let (upper, lower) = split(area, keys.len());
    let columns = [column("setting", 52, 0), column("versions", 10, 60), column("newest", 30, 70)];
    let shape = Shape { cursor: Some(place), ..Shape::new(&columns) };
    let entry_of = |key: &Key| book.tree().entry(key);
    let names: Vec<String> = keys.iter().map(|k| called(book.tree(), k)).collect();
    let newest: Vec<String> = {
        let pen = &*pen;
        keys.iter()
            .map(|k| entry_of(k).map(|e| blame(pen, app, book, e.effective(), now)).unwrap_or_default())
            .collect()
    };
    list::draw(pen, upper, &shape, keys.len(), |at| {
        let n = entry_of(&keys[at]).map_or(0, |e| e.versions().len());
        vec![
            piece(names[at].as_str(), Role::Warn),
            piece(n.to_string(), Role::Text),
            piece(newest[at].as_str(), Role::Muted),
        ]
    });
    let Some((_, entry)) = app.conflict() else { return };
    versions_beside(pen, lower, app, book, entry, now);
}

/// The versions of one register, side by side: as many as fit around the chosen one.
fn versions_beside(pen: &mut Pen<'_>, area: Rect, app: &App, book: &Book, entry: &Entry, now: Time) {
    if area.height < 3 {
        return;
    }
    let versions = entry.versions();
    let chosen = app.chosen_version();
    let fit = usize::from(area.width / 26).clamp(1, versions.len());
    let first = chosen.saturating_sub(fit - 1).min(versions.len() - fit);
    let heading = if versions.len() > fit {
        format!("versions {}-{} of {}", first + 1, first + fit, versions.len())
    } else {
        format!("{} versions", versions.len())
    };
    pen.rule(above(area, 1), &heading);
    let inner = below(area, 1);
    let wide = inner.width / u16::try_from(fit).unwrap_or(1);
    for (n, version) in versions.iter().enumerate().skip(first).take(fit) {
        let offset = u16::try_from(n - first).unwrap_or(0) * wide;
        let place = Rect { x: inner.x + offset, width: wide.saturating_sub(2), ..inner };
        let host = book.tree().host(&version.stamp.on);
        let short = host.split('.').next().unwrap_or(&host);
        // Brackets as well, so that the choice is not a matter of colour.
        let head = if n == chosen { format!("[ {} {short} ]", n + 1) } else { format!("  {} {short}  ", n + 1) };
        let ground = if n == chosen { Role::Selection } else { Role::Text };
        let end = pen.put(place.x, place.y, place.width, &head, ground);
        if n == 0 {
            pen.put_cut(end + 1, place.y, place.right().saturating_sub(end + 1), "applies now", Role::Ok);
        }
        let told = blame(pen, app, book, version, now);
        pen.put_cut(place.x, place.y + 1, place.width, &told, Role::Muted);
        let text = match &version.content {
            Content::Inherits => "(inherits)".to_owned(),
            Content::Value(value) if value.is_empty() => format!("{value} (empty)"),
            Content::Value(value) => json::pretty(value),
        };
        for (y, line) in (place.y + 2..place.bottom()).zip(text.lines()) {
            pen.put_cut(place.x, y, place.width, line, Role::Text);
        }
        if n > first {
            pen.upright(Rect { x: place.x.saturating_sub(2), width: 1, ..place });
        }
    }
}

fn versions(pen: &mut Pen<'_>, area: Rect, app: &App, panel: &Panel, now: Time) {
    let past = app.past_lines(panel.query.as_str());
    let place = panel.place(past.len());
    let (upper, lower) = split(area, past.len());
    let moment = app.moment(now);
    let zone = zone(pen, app);
    let columns = [
        column("time", 13, 0),
        column("by", 12, 0),
        column("on", 14, 50),
        column("stands", 8, 60),
        column("value", 34, 70),
        column("comment", 30, 90),
    ];
    let shape = Shape { cursor: Some(place), ..Shape::new(&columns) };
    list::draw(pen, upper, &shape, past.len(), |at| {
        let line = past[at];
        let version = &line.version;
        let host = app.book().map(|b| b.tree().host(&version.stamp.on)).unwrap_or_default();
        let short = host.split('.').next().unwrap_or(&host).to_owned();
        let (word, role) = if line.stands { ("yes", Role::Ok) } else { ("no", Role::Muted) };
        vec![
            piece(text::clock(version.stamp.at, moment.max(version.stamp.at), &zone), Role::Muted),
            piece(version.by.as_str(), Role::Text),
            piece(short, Role::Text),
            piece(word, role),
            piece(rows::brief_content(&version.content), Role::Text),
            piece(line.comment.as_str(), Role::Muted),
        ]
    });
    let Some(line) = past.get(place) else { return };
    let mut lines: Vec<Vec<Piece>> = Vec::new();
    if !line.comment.is_empty() {
        label(&mut lines, pen, lower.width, "comment", line.comment.as_str(), Role::Accent);
    }
    match &line.version.content {
        Content::Inherits => lines.push(vec![piece("(inherits)", Role::Text)]),
        Content::Value(value) => {
            lines.extend(json::pretty(value).lines().map(|l| vec![piece(l, Role::Text)]));
        }
    }
    put_lines(pen, lower, &lines);
}

fn picks(pen: &mut Pen<'_>, area: Rect, app: &App, book: &Book, panel: &Panel, pick: PickFor) {
    let picks = app.picks(pick, panel.query.as_str());
    let place = panel.place(picks.len());
    let columns = [column("", 46, 0), column("now", 40, 60)];
    let shape = Shape { cursor: Some(place), ..Shape::new(&columns) };
    let g = pen.glyphs();
    list::draw(pen, area, &shape, picks.len(), |at| {
        let it = &picks[at];
        let (note, role) = match (&it.target, pick) {
            (Target::AllGroups, _) => (format!("{} groups", book.tree().structure().groups.len()), Role::Muted),
            (Target::Mode(mode @ ModeId::Group(_)), PickFor::Setgroup | PickFor::Deletegroup) => {
                let n = app.machines_in(mode);
                (format!("{n} {}", plural(n, "machine")), Role::Muted)
            }
            (Target::Mode(mode), _) => match app.feature().and_then(|f| app.shown(mode, f)) {
                Some(shown) => {
                    let (sign, role) = standing_look(g, &shown.standing);
                    let feature = app.feature().map_or("", |f| f.as_str());
                    (format!("{sign} {feature} {}", shown.standing.phrase(book.tree())), role)
                }
                None => (String::new(), Role::Muted),
            },
        };
        vec![piece(it.name.as_str(), Role::Text), piece(note, role)]
    });
}
