//! What changes peers, on screen: the menu behind the leader, the choice between two peers, the confirmation, and
//! what became of it. All stand at the bottom, so that the grid above shows what is meant.

use ratatui::layout::Rect;

use crate::app::acts::command_of;
use crate::app::acts::{Choice, Menu};
use crate::app::dialog::{About, Dialog, Focus};
use crate::app::runs::{Has, Run, StepState};
use crate::app::{App, plural};
use crate::domain::ha::HaAct;
use crate::domain::{DangerClass, OutcomeState, PeerAct, Time, span, time};
use crate::ui::pen::{Pen, Piece, piece};
use crate::ui::text;
use crate::ui::theme::Role;

/// Panels are at most this wide.
const WIDTH: u16 = 96;

/// A box of `lines` lines above the line of hints; gives its inside.
pub(super) fn panel(pen: &mut Pen<'_>, area: Rect, lines: usize, title: &str, frame: Role) -> Rect {
    let most = (area.height * 11 / 20).max(8).min(area.height.saturating_sub(1));
    let height = u16::try_from(lines + 2).unwrap_or(u16::MAX).min(most);
    let bottom = Rect { y: area.bottom().saturating_sub(height + 1), height, ..area };
    pen.framed(bottom, WIDTH.min(area.width), height, title, frame)
}

/// The word of a command as a button says it.
fn verb(kind: PeerAct) -> &'static str {
    match kind {
        PeerAct::Disconnect => "Disconnect",
        PeerAct::Reconnect => "Reconnect",
        PeerAct::MaintenanceOn => "Maintenance on",
        PeerAct::MaintenanceOff => "Maintenance off",
    }
}

/// The word of what is asked of a unit, as a button says it.
fn verb_of_ha(act: HaAct) -> &'static str {
    match act {
        HaAct::Switchover => "Switchover",
        HaAct::Failover => "Failover",
        HaAct::Restore => "Restore",
        HaAct::Restart => "Restart HA",
        HaAct::Sync => "Sync",
        HaAct::Accept => "Accept takeover",
    }
}

/// The word of what a dialog asks about.
fn verb_of(about: &About) -> &'static str {
    match about {
        About::Peers(kind) => verb(*kind),
        About::Ha { act, .. } => verb_of_ha(*act),
        About::Commit(draft) => draft.word,
    }
}

/// The keys that can follow those typed so far.
pub fn menu(pen: &mut Pen<'_>, area: Rect, menu: &Menu) {
    let inner = panel(pen, area, menu.items.len(), &menu.title, Role::Border);
    let keys = menu.items.iter().map(|i| text::width(&i.keys)).max().unwrap_or(1);
    let words = menu.items.iter().map(|i| text::width(i.word)).max().unwrap_or(1);
    for (y, item) in (inner.y..inner.bottom()).zip(&menu.items) {
        let (key_role, word_role) = match item.refusal {
            None => (Role::Key, Role::Text),
            Some(_) => (Role::Muted, Role::Muted),
        };
        let about = match &item.refusal {
            None => item.help.to_owned(),
            Some(why) => format!("no: {why}"),
        };
        let line = [
            piece(format!("{}  ", text::pad(&item.keys, keys)), key_role),
            piece(format!("{}  ", text::pad(item.word, words)), word_role),
            piece(about, Role::Muted),
        ];
        pen.line(Rect { y, height: 1, ..inner }, &line);
    }
}

/// Which of a cell's two peers is meant.
pub fn choice(pen: &mut Pen<'_>, area: Rect, app: &App, choice: &Choice, now: Time) {
    let Some(cluster) = app.cluster() else { return };
    let word = command_of(choice.action).map_or(choice.action.name(), verb);
    let inner = panel(pen, area, 2, &format!("{word}: which of the two?"), Role::Border);
    for (at, what) in ["observer", "observed"].into_iter().enumerate() {
        let peer = &choice.peers[at];
        let refusal = app.refusal_for(choice.action, peer, now);
        let role = if refusal.is_some() { Role::Muted } else { Role::Text };
        let focused = choice.at == at;
        let pointer = if focused { pen.glyphs().pointer } else { " " };
        let y = inner.y + u16::try_from(at).unwrap_or(0);
        let line = Rect { y, height: 1, ..inner };
        let pieces = [
            piece(format!("{pointer} "), Role::Accent),
            piece(format!("{} ", at + 1), Role::Key),
            piece(format!("{what} {}", cluster.label(peer)), if focused { Role::Accent } else { role }),
            piece(refusal.map(|why| format!("  no: {why}")).unwrap_or_default(), Role::Muted),
        ];
        if y < inner.bottom() {
            pen.line(line, &pieces);
        }
    }
}

/// The confirmation.
pub fn dialog(pen: &mut Pen<'_>, area: Rect, app: &App, dialog: &Dialog, now: Time) {
    let Some(cluster) = app.picture().clusters.iter().find(|c| c.name == dialog.cluster) else { return };
    let columns = usize::from(WIDTH.min(area.width).saturating_sub(4));
    let wanted = dialog.wanted_text(cluster);
    let facts = facts(pen, app, dialog, columns);
    let (title, about) = titles(app, dialog);
    let fields: Vec<Focus> =
        dialog.order().into_iter().filter(|f| !matches!(f, Focus::Cancel | Focus::Confirm)).collect();
    let red = !dialog.changes().is_empty();
    let frame = if red { Role::Crit } else { Role::Border };
    let foot = fields.len() + 1;
    let inner = panel(pen, area, facts.len() + foot, &title, frame);
    let room = usize::from(inner.height).saturating_sub(foot);
    let top = dialog.top.min(facts.len().saturating_sub(room));
    for (y, line) in (inner.y..).zip(facts.iter().skip(top).take(room)) {
        pen.line(Rect { y, height: 1, ..inner }, line);
    }
    if facts.len() > room && room > 0 {
        let note = format!(" {}-{}/{} {} ", top + 1, (top + room).min(facts.len()), facts.len(), pen.glyphs().more[1]);
        let width = u16::try_from(text::width(&note)).unwrap_or(0);
        pen.put(inner.right().saturating_sub(width), inner.y.saturating_sub(1), width, &note, Role::Muted);
    }
    let mut y = inner.bottom().saturating_sub(u16::try_from(foot).unwrap_or(1)).max(inner.y);
    for field in fields {
        field_line(pen, Rect { y, height: 1, ..inner }, app, dialog, field, (wanted.as_deref(), &about), now);
        y += 1;
    }
    let obstacle = dialog.obstacle(cluster);
    buttons(pen, Rect { y, height: 1, ..inner }, dialog, obstacle.as_deref());
}

/// What stands on the frame, and whom it is about in short.
fn titles(app: &App, dialog: &Dialog) -> (String, String) {
    let plans = dialog.plans();
    let about = match (&dialog.about, plans) {
        (About::Commit(draft), _) => draft.about.clone(),
        (About::Ha { group, .. }, plans) => {
            let unit = plans.first().and_then(|p| Some(app.cluster()?.label(p.command.target())));
            format!("{group} at {}", unit.unwrap_or_default())
        }
        (About::Peers(_), [one]) => {
            app.cluster().map_or_else(String::new, |c| c.label(one.command.target()).to_owned())
        }
        (About::Peers(_), several) => format!("{} {}", several.len(), plural(several.len(), "peer")),
    };
    let class = match dialog.class() {
        DangerClass::Reversible => "",
        DangerClass::Disruptive => " (disruptive)",
        DangerClass::Critical => " (critical)",
    };
    let head = if dialog.changes().is_empty() { "" } else { "CHANGED: read again: " };
    (format!("{head}{} {about}{class}", verb_of(&dialog.about)), about)
}

/// What is known and what will be, as lines.
fn facts(pen: &Pen<'_>, app: &App, dialog: &Dialog, columns: usize) -> Vec<Vec<Piece>> {
    let ellipsis = pen.glyphs().ellipsis;
    let mut lines: Vec<Vec<Piece>> = Vec::new();
    let mut say = |label: &str, value: &str, role: Role| {
        const LABEL: usize = 9;
        for (n, part) in text::wrap(value, columns.saturating_sub(LABEL), 3, ellipsis).into_iter().enumerate() {
            let label = if n == 0 { label } else { "" };
            lines.push(vec![piece(text::pad(label, LABEL), Role::Muted), piece(part, role)]);
        }
    };
    for (n, change) in dialog.changes().iter().enumerate() {
        say(if n == 0 { "changed" } else { "" }, change.as_str(), Role::Crit);
    }
    if let (Some(cluster), [first, rest @ ..]) = (app.cluster(), dialog.plans())
        && !rest.is_empty()
    {
        let mut names = format!("{} first, alone", cluster.label(first.command.target()));
        for plan in rest {
            names.push_str(", then ");
            names.push_str(cluster.label(plan.command.target()));
        }
        say("peers", &names, Role::Accent);
        say("", "one after the other; the first that is not seen to come about stops the rest", Role::Muted);
    }
    for (n, line) in dialog.left_out().iter().enumerate() {
        say(if n == 0 { "left out" } else { "" }, line.as_str(), Role::Warn);
    }
    for (label, role, of) in [("now", Role::Text, 0), ("then", Role::Text, 1), ("against", Role::Crit, 2)] {
        let mut first = true;
        let mut told: Vec<&str> = Vec::new();
        // What becomes of each of several is alike: it is told of the first.
        let shown = if of == 1 { 1 } else { dialog.plans().len() };
        for plan in dialog.plans().iter().take(shown) {
            let list = [&plan.evidence, &plan.effects, &plan.obstacles][of];
            for line in list {
                // What holds for all of them is said once.
                if !told.contains(&line.as_str()) {
                    told.push(line.as_str());
                    say(if first { label } else { "" }, line.as_str(), role);
                    first = false;
                }
            }
        }
        if dialog.plans().len() > shown {
            say("", "and the same for each of the others", role);
        }
    }
    lines
}

fn field_line(
    pen: &mut Pen<'_>,
    line: Rect,
    app: &App,
    dialog: &Dialog,
    field: Focus,
    (wanted, about): (Option<&str>, &str),
    now: Time,
) {
    if line.y >= pen.area().bottom() {
        return;
    }
    let (label, value, note) = match field {
        Focus::Reason => {
            let (label, note) = match &dialog.about {
                About::Commit(_) => ("comment  ", "may be empty; it stays in the history"),
                About::Peers(_) if dialog.asks_how_long() => ("reason   ", "may be empty; everybody sees it"),
                About::Ha { .. } => ("reason   ", "may be empty; it stays in the log"),
                About::Peers(_) => ("reason   ", "may be empty"),
            };
            (label.to_owned(), &dialog.reason, note.to_owned())
        }
        Focus::Lasting => {
            let note = match span::parse(dialog.lasting.as_str()) {
                Ok(lasting) => format!("until {}", clock(pen, app, now + lasting, now)),
                Err(why) => why,
            };
            ("for      ".to_owned(), &dialog.lasting, note)
        }
        Focus::Typed => {
            let verb = verb_of(&dialog.about).to_lowercase();
            let label = match &dialog.about {
                // What a commit is about may be long, and stands in the title.
                About::Commit(_) | About::Ha { .. } => format!("type {} to {verb}: ", wanted.unwrap_or("")),
                About::Peers(_) => format!("type {} to {verb} {about}: ", wanted.unwrap_or("")),
            };
            (label, &dialog.typed, String::new())
        }
        Focus::Cancel | Focus::Confirm => return,
    };
    let focused = dialog.focus == field;
    let x = pen.put(line.x, line.y, line.width, &label, if focused { Role::Accent } else { Role::Muted });
    let left = line.right().saturating_sub(x);
    let room = usize::from(left.saturating_sub(2));
    let text = tail(value.as_str(), room);
    let x = pen.put(x, line.y, left, text, Role::Text);
    let x = if focused { pen.put(x, line.y, line.right().saturating_sub(x), " ", Role::Selection) } else { x };
    let left = line.right().saturating_sub(x + 2);
    let shows_note = !note.is_empty() && (field == Focus::Lasting || value.as_str().is_empty());
    if shows_note && usize::from(left) > text::width(&note) {
        pen.put(x + 2, line.y, left, &note, Role::Muted);
    }
}

/// The end of `text` that fits into `room` columns: where the cursor stands.
pub(super) fn tail(text: &str, room: usize) -> &str {
    let mut starts = text.char_indices().map(|(at, _)| &text[at..]);
    starts.find(|t| text::width(t) <= room).unwrap_or("")
}

fn buttons(pen: &mut Pen<'_>, line: Rect, dialog: &Dialog, obstacle: Option<&str>) {
    if line.y >= pen.area().bottom() {
        return;
    }
    let red = !dialog.changes().is_empty();
    let mut x = line.x;
    for (focus, label) in [(Focus::Cancel, "Cancel"), (Focus::Confirm, verb_of(&dialog.about))] {
        // Brackets as well, so that the focus is not a matter of colour.
        let focused = dialog.focus == focus && !red;
        let text = if focused { format!("[ {label} ]") } else { format!("  {label}  ") };
        let role = match focus {
            _ if focused => Role::Selection,
            Focus::Confirm if obstacle.is_some() => Role::Muted,
            Focus::Reason | Focus::Lasting | Focus::Typed | Focus::Cancel | Focus::Confirm => Role::Text,
        };
        x = pen.put(x, line.y, line.right().saturating_sub(x), &text, role) + 1;
    }
    let (note, role) = match obstacle {
        _ if red => ("R reads again; nothing can be confirmed before".to_owned(), Role::Crit),
        Some(why) => (why.to_owned(), Role::Warn),
        None if dialog.is_form() => ("Enter does it, Esc cancels".to_owned(), Role::Muted),
        None if !dialog.moved => ("y does it; Enter alone does nothing".to_owned(), Role::Muted),
        None => (String::new(), Role::Text),
    };
    pen.put_cut(x + 1, line.y, line.right().saturating_sub(x + 1), &note, role);
}

/// What became of commands, the newest first.
pub fn results(pen: &mut Pen<'_>, area: Rect, app: &App, top: usize, now: Time) {
    let mut lines: Vec<Vec<Piece>> = Vec::new();
    for run in app.runs().newest_first() {
        if !lines.is_empty() {
            lines.push(Vec::new());
        }
        let columns = usize::from(WIDTH.min(area.width).saturating_sub(4));
        run_lines(pen, run, columns, now, &mut lines);
        spread_lines(pen, app, run, columns, &mut lines);
    }
    if lines.is_empty() {
        lines.push(vec![piece("Nothing was done from here yet.", Role::Muted)]);
    }
    // The newest run and a little more: older ones are scrolled to.
    let newest = app.runs().newest_first().next().map_or(1, |r| r.names.len() + 1 + app.spread(r).len());
    let inner = panel(pen, area, lines.len().min(newest + 6), "Results", Role::Border);
    let room = usize::from(inner.height);
    let top = top.min(lines.len().saturating_sub(room));
    for (y, line) in (inner.y..inner.bottom()).zip(lines.iter().skip(top)) {
        pen.line(Rect { y, height: 1, ..inner }, line);
    }
    if lines.len() > room {
        let note = format!(" {}-{}/{} ", top + 1, (top + room).min(lines.len()), lines.len());
        let width = u16::try_from(text::width(&note)).unwrap_or(0);
        pen.put(inner.right().saturating_sub(width), inner.y.saturating_sub(1), width, &note, Role::Muted);
    }
}

fn run_lines(pen: &Pen<'_>, run: &Run, columns: usize, now: Time, lines: &mut Vec<Vec<Piece>>) {
    let g = pen.glyphs();
    let ago = text::calm_span(now.since(run.since));
    lines.push(vec![piece(run.title(), Role::Accent), piece(format!("  {ago} ago"), Role::Muted)]);
    let names = run.names.iter().map(|n| text::width(n)).max().unwrap_or(1).min(24);
    for (step, name) in run.bulk.steps().iter().zip(&run.names) {
        let (sign, word, detail, role) = match &step.state {
            StepState::Waiting => (g.own, "waiting", "", Role::Muted),
            StepState::Skipped => (g.own, "skipped", "not sent: the run was stopped", Role::Muted),
            StepState::Running(None) => (g.connecting, "sent", "", Role::Connecting),
            StepState::Running(Some(outcome)) | StepState::Over(outcome) => {
                let (sign, role) = outcome_look(pen, outcome.state);
                (sign, outcome.state.into(), outcome.detail.as_str(), role)
            }
        };
        let name = text::pad(&text::cut_middle(name, names, g.ellipsis), names);
        let room = columns.saturating_sub(names + 15);
        let detail = if detail == word { "" } else { detail };
        let mut detail = text::wrap(detail, room, 4, g.ellipsis).into_iter();
        lines.push(vec![
            piece(format!("  {sign} "), role),
            piece(format!("{name} "), Role::Text),
            piece(format!("{word:<9} "), role),
            piece(detail.next().unwrap_or_default(), Role::Muted),
        ]);
        for more in detail {
            lines.push(vec![piece(" ".repeat(names + 15), Role::Text), piece(more, Role::Muted)]);
        }
    }
}

/// Columns before the names of those who have a commit.
const WORD: usize = 14;

/// Who has a commit already, by their own word.
fn spread_lines(pen: &Pen<'_>, app: &App, run: &Run, columns: usize, lines: &mut Vec<Vec<Piece>>) {
    let g = pen.glyphs();
    for (has, names) in app.spread(run) {
        let (sign, word, role) = match has {
            Has::Yes => (g.connected, "has it", Role::Ok),
            Has::No => (g.connecting, "not yet", Role::Connecting),
            Has::Unknown => (g.unknown, "not known", Role::Unknown),
        };
        let names = format!("{}: {}", names.len(), names.join(", "));
        let parts = text::wrap(&names, columns.saturating_sub(WORD), 6, g.ellipsis);
        for (n, part) in parts.into_iter().enumerate() {
            let head = if n == 0 { format!("  {sign} {word:<9} ") } else { " ".repeat(WORD) };
            lines.push(vec![piece(head, role), piece(part, Role::Text)]);
        }
    }
}

fn outcome_look(pen: &Pen<'_>, state: OutcomeState) -> (&'static str, Role) {
    let g = pen.glyphs();
    match state {
        OutcomeState::Sent | OutcomeState::Accepted | OutcomeState::Running => (g.connecting, Role::Connecting),
        OutcomeState::Observed => (g.connected, Role::Ok),
        OutcomeState::Refused | OutcomeState::Failed => (g.down, Role::Crit),
        OutcomeState::Unknown => (g.unknown, Role::Warn),
    }
}

/// Leaving while commands are on their way.
pub fn leave(pen: &mut Pen<'_>, area: Rect, app: &App) {
    let left = app.left_behind();
    let inner = panel(pen, area, left.len() + 2, "Leave now?", Role::Warn);
    let ellipsis = pen.glyphs().ellipsis;
    let lines = left.iter().map(|l| (text::cut(l.as_str(), usize::from(inner.width), ellipsis), Role::Text));
    let done = left.is_empty().then(|| ("All commands have come to their end.".to_owned(), Role::Ok));
    for (y, (line, role)) in (inner.y..inner.bottom().saturating_sub(1)).zip(lines.chain(done)) {
        pen.put(inner.x, y, inner.width, &line, role);
    }
    let foot = [
        piece("n", Role::Key),
        piece(" stays   ", Role::Muted),
        piece("y", Role::Key),
        piece(" leaves; what is on its way is carried out by the peers", Role::Muted),
    ];
    pen.line(Rect { y: inner.bottom().saturating_sub(1), height: 1, ..inner }, &foot);
}

fn clock(pen: &Pen<'_>, app: &App, at: Time, now: Time) -> String {
    let zone = if app.is_utc() { &jiff::tz::TimeZone::UTC } else { &pen.look.zone };
    let suffix = if app.is_utc() { "Z" } else { "" };
    format!("{}{suffix}, in {}", text::clock(at, now, zone), time::human(at.since(now)))
}
