//! What lies over a view: help, a diagnosis, the question about a host key.

use ratatui::layout::Rect;

use crate::app::message::{Diagnosis, DiagnosisRequest, StepResult};
use crate::app::question::{Answer, Button, Open};
use crate::app::{Action, App, Overlay, Scope, plural};
use crate::domain::{Time, time};
use crate::ui::acts;
use crate::ui::pen::{Pen, Piece, piece};
use crate::ui::theme::Role;
use crate::ui::{palette, panel, settings, text};

/// Draws what lies over the view, if anything does.
pub fn draw(pen: &mut Pen<'_>, area: Rect, app: &App, now: Time) {
    match app.overlay() {
        Some(Overlay::Help { query, typing, top }) => help(pen, area, app, query.as_str(), *typing, *top),
        Some(Overlay::Diagnosis { request, result, top }) => {
            diagnosis(pen, area, app, (request, result.as_ref()), *top);
        }
        Some(Overlay::Palette(open)) => palette::draw(pen, area, app, open, now),
        Some(Overlay::Panel(open)) => panel::draw(pen, area, app, open, now),
        Some(Overlay::Dialog(dialog)) => acts::dialog(pen, area, app, dialog, now),
        Some(Overlay::Form(form)) => settings::form::draw(pen, area, form),
        Some(Overlay::Choice(choice)) => acts::choice(pen, area, app, choice, now),
        Some(Overlay::Results { top }) => acts::results(pen, area, app, *top, now),
        Some(Overlay::Leave { .. }) => acts::leave(pen, area, app),
        None => {}
    }
    if let Some(menu) = app.menu(now) {
        acts::menu(pen, area, &menu);
    }
    pen.base = Role::Text;
    if let Some(open) = app.questions().open() {
        question(pen, area, app, open, now);
    }
    pen.base = Role::Text;
}

fn help(pen: &mut Pen<'_>, area: Rect, app: &App, query: &str, typing: bool, top: usize) {
    let lines = app.help(query);
    let height = u16::try_from(lines.len() + 5).unwrap_or(u16::MAX).max(9);
    let title = format!("Keys: {}", app.help_title());
    let inner = pen.dialog(area, 86.min(area.width - 2), height.min(area.height.saturating_sub(2)), &title);
    let search = if typing || !query.is_empty() {
        vec![piece("/", Role::Key), piece(query, Role::Text), piece(if typing { "_" } else { "" }, Role::Accent)]
    } else {
        let mut pieces = Vec::new();
        for (action, does) in [(Action::Filter, " searches   "), (Action::Close, " closes")] {
            if let Some(key) = app.keymap().first_key(Scope::Help, action) {
                pieces.extend([piece(key, Role::Key), piece(does, Role::Muted)]);
            }
        }
        pieces
    };
    pen.line(Rect { height: 1, ..inner }, &search);
    let list = crate::ui::pen::below(inner, 2);
    if lines.is_empty() {
        pen.put_cut(list.x, list.y, list.width, "No key does that.", Role::Muted);
    }
    let room = usize::from(list.height);
    let top = top.min(lines.len().saturating_sub(room));
    let keys_width = lines.iter().map(|(k, _)| text::width(k)).max().unwrap_or(0).min(usize::from(list.width) / 2);
    for (y, (keys, what)) in (list.y..list.bottom()).zip(lines.iter().skip(top)) {
        pen.line(
            Rect { y, height: 1, ..list },
            &[
                piece(
                    format!("{}  ", text::pad(&text::cut(keys, keys_width, pen.glyphs().ellipsis), keys_width)),
                    Role::Key,
                ),
                piece(*what, Role::Text),
            ],
        );
    }
    if lines.len() > room {
        let note = format!(" {}-{}/{} ", top + 1, (top + room).min(lines.len()), lines.len());
        let width = u16::try_from(note.len()).unwrap_or(0);
        pen.put(inner.right().saturating_sub(width), inner.y, width, &note, Role::Muted);
    }
}

fn diagnosis(
    pen: &mut Pen<'_>,
    area: Rect,
    app: &App,
    (request, result): (&DiagnosisRequest, Option<&Diagnosis>),
    top: usize,
) {
    let width = 96.min(area.width - 2);
    let columns = usize::from(width.saturating_sub(4));
    let ellipsis = pen.glyphs().ellipsis;
    let mut lines: Vec<Vec<Piece>> = Vec::new();
    match result {
        None => {
            let name = app.cluster().map_or(request.to.as_str(), |c| c.label(&request.to));
            lines.push(vec![piece(format!("trying {name}, step by step ..."), Role::Muted)]);
        }
        Some(diagnosis) => {
            lines.extend(
                text::wrap(diagnosis.title.as_str(), columns, 2, ellipsis)
                    .into_iter()
                    .map(|l| vec![piece(l, Role::Accent)]),
            );
            lines.push(Vec::new());
            let name_width = diagnosis.steps.iter().map(|s| text::width(s.step.as_str())).max().unwrap_or(0).min(20);
            for step in &diagnosis.steps {
                let (sign, role) = match step.result {
                    StepResult::Ok => (pen.glyphs().connected, Role::Ok),
                    StepResult::Warning => (pen.glyphs().finding, Role::Warn),
                    StepResult::Failed => (pen.glyphs().down, Role::Crit),
                    StepResult::Skipped => (pen.glyphs().own, Role::Muted),
                };
                let word: &'static str = step.result.into();
                let took = step.took.map(time::human_rtt).unwrap_or_default();
                let indent = name_width + 3;
                let head = format!("{} {:<8}{took:>8}", text::pad(step.step.as_str(), name_width), word);
                lines.push(vec![
                    piece(format!("{sign} "), role),
                    piece(head, if step.result == StepResult::Ok { Role::Text } else { role }),
                ]);
                for (value, role) in [(&step.detail, Role::Muted), (&step.hint, Role::Accent)] {
                    if !value.is_empty() {
                        for line in text::wrap(value.as_str(), columns.saturating_sub(indent), 4, ellipsis) {
                            lines.push(vec![piece(" ".repeat(indent), Role::Muted), piece(line, role)]);
                        }
                    }
                }
            }
        }
    }
    let height = u16::try_from(lines.len() + 4).unwrap_or(u16::MAX).max(7);
    let inner = pen.dialog(area, width, height.min(area.height.saturating_sub(2)), "Diagnosis");
    let list = Rect { height: inner.height.saturating_sub(2), ..inner };
    let top = top.min(lines.len().saturating_sub(usize::from(list.height)));
    for (y, line) in (list.y..list.bottom()).zip(lines.iter().skip(top)) {
        pen.line(Rect { y, height: 1, ..list }, line);
    }
    let scrolls = lines.len() > usize::from(list.height);
    let key = |action: Action| app.keymap().first_key(Scope::Result, action).unwrap_or_default();
    let closes = format!("{} closes", key(Action::Close));
    let foot = if scrolls { format!("{closes}   {} {} scroll", key(Action::Down), key(Action::Up)) } else { closes };
    pen.put_cut(inner.x, inner.bottom().saturating_sub(1), inner.width, &foot, Role::Muted);
}

fn question(pen: &mut Pen<'_>, area: Rect, app: &App, open: &Open, now: Time) {
    let q = &open.question;
    let art_width = q.art.iter().map(|l| text::width(l)).max().unwrap_or(0);
    let wide = usize::from(area.width) >= 60 + art_width && !q.art.is_empty();
    let width = if wide { u16::try_from(60 + art_width).unwrap_or(u16::MAX) } else { area.width };
    let columns = usize::from(width).saturating_sub(4 + if wide { art_width + 2 } else { 0 });
    let ellipsis = pen.glyphs().ellipsis;
    let mut lines: Vec<(String, Role)> = Vec::new();
    let at = q.address.map(|a| format!(" at {a}")).unwrap_or_default();
    let mut say = |value: &str, role: Role| {
        lines.extend(text::wrap(value, columns, 4, ellipsis).into_iter().map(|l| (l, role)));
    };
    say(&format!("{}{at} shows a host key that is not known.", q.host), Role::Text);
    if let Some(before) = &open.before {
        let ago = time::human(now.since(before.at));
        let same = before.fingerprint == q.fingerprint;
        let text = match (before.answer, same) {
            (Answer::Accepted, true) => {
                format!("You accepted this key {ago} ago, and it is asked again: it could not be kept.")
            }
            (Answer::Rejected, true) => format!("You rejected this key {ago} ago."),
            (_, false) => format!("Beware: {ago} ago it showed ANOTHER key, {}.", before.fingerprint),
        };
        say(&text, Role::Crit);
    }
    say(q.fingerprint.as_str(), Role::Accent);
    say(
        "Compare it with what the machine itself shows (ssh-keygen -lf of its host key). Accept only if they are the same.",
        Role::Muted,
    );
    let art_lines = if wide { q.art.len() } else { 0 };
    let height = u16::try_from(lines.len().max(art_lines) + 5).unwrap_or(u16::MAX);
    let title = match app.questions().waiting() {
        0 => "Unknown host key".to_owned(),
        n => format!("Unknown host key (+{n} {} waiting)", plural(n, "question")),
    };
    let inner = pen.dialog(area, width, height.min(area.height), &title);
    let text_bottom = inner.bottom().saturating_sub(2);
    for (y, (line, role)) in (inner.y..text_bottom).zip(&lines) {
        pen.put(inner.x, y, inner.width, line, *role);
    }
    if wide {
        let x = inner.right().saturating_sub(u16::try_from(art_width).unwrap_or(0));
        for (y, line) in (inner.y..text_bottom).zip(&q.art) {
            pen.put(x, y, inner.width, line, Role::Muted);
        }
    }
    let y = inner.bottom().saturating_sub(1);
    let mut x = inner.x;
    let buttons = [(Button::Reject, "Reject", Action::Reject), (Button::Accept, "Accept", Action::Accept)];
    for (button, word, action) in buttons {
        let key = app.keymap().first_key(Scope::Question, action).map_or_else(String::new, |k| format!(" ({k})"));
        let label = format!("{word}{key}");
        // Brackets as well, so that the focus is not a matter of colour.
        let focused = open.button == button;
        let text = if focused { format!("[ {label} ]") } else { format!("  {label}  ") };
        x = pen.put(x, y, inner.width, &text, if focused { Role::Selection } else { Role::Text }) + 2;
    }
    let left = inner.right().saturating_sub(x);
    if left > 22 {
        pen.put(x, y, left, "Enter alone does nothing", Role::Muted);
    }
}
