//! The other pages that come round while nothing is wrong: who sees whom, and the peers by name.

use ratatui::layout::Rect;

use super::big::{self, Size};
use super::calm::common_size;
use crate::app::wall::Face;
use crate::domain::{Peer, Time};
use crate::ui::glyphs::cell_role;
use crate::ui::mesh::dense;
use crate::ui::pen::{Pen, below};
use crate::ui::text;
use crate::ui::theme::Role;

/// The name of the cluster in the first line or lines; gives what is left.
fn title(pen: &mut Pen<'_>, area: Rect, face: &Face<'_>) -> Rect {
    let name = face.cluster.name.as_str();
    let size = big::largest(&[Size::Quarter], name, area.width, area.height / 6, pen.glyphs().charset);
    big::put(pen, area.x, area.y, area.width, size, name, Role::Accent);
    below(area, size.lines() + 1)
}

/// Who sees whom: a sign each, or two rows a line where there are many.
pub fn mesh(pen: &mut Pen<'_>, area: Rect, face: &Face<'_>, now: Time) {
    let area = title(pen, area, face);
    let cluster = face.cluster;
    let n = u16::try_from(cluster.peers.len()).unwrap_or(u16::MAX);
    let step = if n <= area.width / 4 {
        4
    } else if n <= area.width / 2 {
        2
    } else {
        1
    };
    let lines = if n <= area.height / 2 { 2 } else { 1 };
    let x = area.x + area.width.saturating_sub(n.saturating_mul(step)) / 2;
    let place = |i: u16| usize::from(i);
    if n <= area.height {
        let y = area.y + (area.height - n * lines) / 2;
        for (i, j) in (0..n).flat_map(|i| (0..n).map(move |j| (i, j))) {
            let seen = cluster.cell(place(i), place(j), now);
            let (sign, role) =
                if i == j { (pen.glyphs().own, Role::Muted) } else { (pen.glyphs().cell(&seen), cell_role(&seen)) };
            pen.put(x + j * step, y + i * lines, area.right().saturating_sub(x + j * step), sign, role);
        }
        return;
    }
    if !dense::shows_halves(pen.look) {
        pen.put_cut(area.x, area.y, area.width, &super::counts(face), Role::Text);
        return;
    }
    for (y, i) in (area.y..area.bottom()).zip((0..n).step_by(2)) {
        for j in 0..n {
            let half = |i: u16| if i < n { dense::half(cluster, place(i), place(j), now) } else { dense::Half::Own };
            let (sign, style) = dense::halves(pen, half(i), half(i + 1));
            pen.put_styled(x + j * step, y, area.right().saturating_sub(x + j * step), sign, style);
        }
    }
}

/// All peers by name, as big as they fit.
pub fn peers(pen: &mut Pen<'_>, area: Rect, face: &Face<'_>, now: Time) {
    let area = title(pen, area, face);
    let (cluster, g) = (face.cluster, pen.glyphs());
    let name = |p: &Peer| format!("{} {}", sign(pen, face, p, now).0, cluster.label(&p.id));
    let names: Vec<String> = cluster.peers.iter().map(|p| name(p)).collect();
    let all: Vec<&str> = names.iter().map(String::as_str).collect();
    let sizes = [common_size(&all, area.width, g.charset), Size::Quarter, Size::Text];
    let widest = |s: Size| all.iter().map(|n| s.width(n)).max().unwrap_or(1) + s.columns();
    // The biggest in which all fit.
    let room = |s: Size| {
        usize::from((area.width / widest(s)).max(1))
            * usize::from(area.height / (s.lines() + 1).min(area.height.max(1)))
    };
    let fits =
        |s: &&Size| all.iter().all(|n| s.can(n, g.charset)) && widest(**s) <= area.width && room(**s) >= all.len();
    let size = sizes.iter().find(fits).copied().unwrap_or(Size::Text);
    let (wide, high) = (widest(size).min(area.width), size.lines() + u16::from(size != Size::Text));
    let down = (area.height / high).max(1);
    for (place, peer) in (0..).zip(&cluster.peers) {
        let (across, line) = (place / down, place % down);
        let (x, y) = (area.x + across * wide, area.y + line * high);
        if x + wide > area.right() + size.columns() || y + size.lines() > area.bottom() {
            let more = format!("+{} more", cluster.peers.len() - usize::from(place));
            let width = u16::try_from(text::width(&more)).unwrap_or(0).min(area.width);
            pen.put(area.right() - width, area.bottom().saturating_sub(1), width, &more, Role::Muted);
            return;
        }
        let role = sign(pen, face, peer, now).1;
        big::put(pen, x, y, area.right().saturating_sub(x), size, &names[usize::from(place)], role);
    }
}

/// The sign of a peer, and its role.
fn sign(pen: &Pen<'_>, face: &Face<'_>, peer: &Peer, now: Time) -> (&'static str, Role) {
    let g = pen.glyphs();
    match () {
        () if peer.maintenance(now).is_some() => (g.maintenance, Role::Accent),
        () if peer.detached().is_some() => (g.detached, Role::Detached),
        () if peer.is_row_fresh(&face.cluster.limits, now) => (g.connected, Role::Ok),
        () => (g.unknown, Role::Unknown),
    }
}
