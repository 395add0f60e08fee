//! The wall: almost empty while all is well, and filled with what is wrong when it is not (D9).
//!
//! Readable from four metres: what matters is in big type, everything else is left out.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

pub mod big;
mod calm;
mod pages;
mod trouble;

use crate::app::wall::{Face, Page, SHIFT_MAX, State, Wall};
use crate::domain::{Time, time};
use crate::ui::pen::{Pen, Piece, above, below, piece};
use crate::ui::theme::Role;
use crate::ui::{Look, MIN_HEIGHT, MIN_WIDTH, text, too_small};
use big::Size;

/// The clock is big from so many lines on while all is well.
const CLOCK_FROM: u16 = 20;
/// And even bigger from so many; beside trouble it is big from here on.
const CLOCK_BIG_FROM: u16 = 40;

/// Draws the whole wall into `buf`.
pub fn draw(buf: &mut Buffer, wall: &Wall, look: &Look, now: Time) {
    let mut pen = Pen::new(buf, look);
    let area = pen.area();
    pen.fill(area, Role::Text);
    if area.width < MIN_WIDTH || area.height < MIN_HEIGHT {
        too_small(&mut pen, area);
    } else {
        draw_in(&mut pen, shifted(area, wall.shift()), wall, now);
    }
    look.glyphs.charset.apply(buf);
}

/// `area` as it stands now: it moves against burn-in.
fn shifted(area: Rect, (dx, dy): (u16, u16)) -> Rect {
    let (width, height) = (area.width - SHIFT_MAX.0, area.height - SHIFT_MAX.1);
    Rect { x: area.x + dx.min(SHIFT_MAX.0), y: area.y + dy.min(SHIFT_MAX.1), width, height }
}

fn draw_in(pen: &mut Pen<'_>, area: Rect, wall: &Wall, now: Time) {
    let faces = wall.faces(now);
    let troubles = wall.troubles(now);
    let page = wall.page(now);
    let calm = troubles.is_empty();
    let used = head(pen, area, wall, &faces, calm, now);
    let foot = Rect { y: area.bottom() - 1, height: 1, ..area };
    bottom(pen, foot, wall, &faces, calm);
    let mut body = below(Rect { height: area.height - 1, ..area }, used);
    if let Some(note) = wall.note(now) {
        body.height = body.height.saturating_sub(1);
        pen.put_cut(area.x, body.bottom(), area.width, note, Role::Warn);
    }
    match page {
        _ if !calm => trouble::draw(pen, body, wall, &faces, &troubles, now),
        Page::Clusters { first, count } => {
            let shown = faces.get(first..(first + count).min(faces.len())).unwrap_or_default();
            calm::draw(pen, body, wall, shown, faces.len() > 1, now);
        }
        Page::Mesh(place) => {
            if let Some(face) = faces.get(place) {
                pages::mesh(pen, body, face, now);
            }
        }
        Page::Peers(place) => {
            if let Some(face) = faces.get(place) {
                pages::peers(pen, body, face, now);
            }
        }
    }
}

/// The zone of times on screen.
fn clock(pen: &Pen<'_>, wall: &Wall, at: Time, now: Time) -> String {
    let zone = if wall.options().utc { jiff::tz::TimeZone::UTC } else { pen.look.zone.clone() };
    text::clock(wall.clock(at), wall.clock(now), &zone)
}

/// The clock, and when something was last heard: both move each second, so that a frozen wall is seen. Gives the
/// lines that it takes.
fn head(pen: &mut Pen<'_>, area: Rect, wall: &Wall, faces: &[Face<'_>], calm: bool, now: Time) -> u16 {
    let charset = pen.glyphs().charset;
    let time = clock(pen, wall, now, now);
    let stale = faces.iter().any(|f| matches!(f.state, State::Silent | State::Blind));
    let (updated, role) = match wall.updated(now) {
        Some(at) if stale => (format!("NO NEWS FOR {}", text::calm_span(now.since(at))), Role::BadgeLoud),
        Some(at) => (format!("last update {}", clock(pen, wall, at, now)), Role::Muted),
        None => ("no news yet".to_owned(), Role::Unknown),
    };
    let lines = match area.height {
        CLOCK_BIG_FROM.. if calm => 8,
        CLOCK_BIG_FROM.. => 4,
        CLOCK_FROM.. if calm => 4,
        _ => 1,
    };
    let size = big::largest(&[Size::Times(2), Size::Times(1), Size::Quarter], &time, area.width / 2, lines, charset);
    let x = big::put(pen, area.x, area.y, area.width, size, &time, Role::Text);
    let room = area.right().saturating_sub(x + 2);
    let beside = big::largest(&[Size::Quarter], &updated, room, size.lines(), charset);
    let width = beside.width(&updated).min(room);
    big::put(pen, area.right() - width, area.y, width, beside, &updated, role);
    size.lines() + u16::from(area.height >= CLOCK_FROM)
}

/// Below all: what is counted in each cluster while something is wrong, and the two keys.
fn bottom(pen: &mut Pen<'_>, area: Rect, wall: &Wall, faces: &[Face<'_>], calm: bool) {
    let keys = "q quits  T theme";
    let wide = u16::try_from(keys.len()).unwrap_or(0);
    let mut left = area;
    if area.width >= 70 || calm {
        pen.put(area.right() - wide, area.y, wide, keys, Role::Muted);
        left.width = area.width.saturating_sub(wide + 2);
    }
    if wall.options().lab {
        let x = pen.put(left.x, left.y, left.width, " LAB ", Role::Badge) + 1;
        left = Rect { x, width: left.right().saturating_sub(x), ..left };
    }
    if calm {
        return;
    }
    // Where not all fit, the worst do.
    let mut worst: Vec<&Face<'_>> = faces.iter().collect();
    worst.sort_by_key(|f| std::cmp::Reverse(f.state));
    let strips: Vec<Vec<Piece>> = worst.into_iter().map(|f| strip(pen, f)).collect();
    let mut at = left;
    for (place, pieces) in strips.iter().enumerate() {
        let width: usize = pieces.iter().map(|p| text::width(&p.text)).sum();
        if place > 0 && width + 5 > usize::from(at.width) {
            pen.put_cut(at.x, at.y, at.width, &format!("+{}", strips.len() - place), Role::Muted);
            return;
        }
        let x = pen.line(above(at, 1), pieces) + 3;
        at = Rect { x, width: at.right().saturating_sub(x), ..at };
    }
}

/// A cluster in a few words.
fn strip(pen: &Pen<'_>, face: &Face<'_>) -> Vec<Piece> {
    let g = pen.glyphs();
    let role = state_role(face.state);
    let name = text::cut_middle(face.cluster.name.as_str(), 24, g.ellipsis);
    let sign = match face.state {
        State::Fine => g.connected,
        State::Unsettled => g.connecting,
        State::Waiting | State::Silent => g.unknown,
        State::Trouble(_) | State::Blind => g.finding,
    };
    vec![piece(format!("{sign} "), role), piece(format!("{name} "), Role::Text), piece(counts(face), role)]
}

/// Peers and links in words; of what is old, what was known last.
fn counts(face: &Face<'_>) -> String {
    let ((up, all), (links_up, links)) = (face.peers, face.links);
    match face.state {
        State::Silent | State::Blind => {
            let (peers, links_up) = face.last_known;
            let age = face.newest.map_or_else(|| "never".to_owned(), |age| format!("{} ago", time::human(age)));
            format!("last known {age}: {peers}/{all} peers, {links_up}/{links} links")
        }
        State::Waiting => format!("{up}/{all} peers, nothing told yet"),
        State::Fine | State::Unsettled | State::Trouble(_) => {
            format!("{up}/{all} peers, {links_up}/{links} links")
        }
    }
}

/// Green only what is fine by fresh evidence.
fn state_role(state: State) -> Role {
    match state {
        State::Fine => Role::Ok,
        State::Unsettled => Role::Text,
        State::Waiting => Role::Unknown,
        State::Trouble(severity) => crate::ui::glyphs::severity_role(severity),
        State::Silent => Role::Stale,
        State::Blind => Role::Crit,
    }
}
