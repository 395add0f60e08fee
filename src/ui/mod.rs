//! Drawing: views, widgets, themes. Everything comes in as arguments; nothing here reads a clock or a file.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

mod acts;
mod alarms;
pub mod colour;
mod connections;
pub mod dump;
mod events;
mod findings;
mod frame;
pub mod glyphs;
mod ha;
mod list;
mod mesh;
mod overlay;
mod palette;
mod panel;
mod past;
mod pen;
mod settings;
pub mod text;
pub mod theme;
pub mod wall;

pub use colour::Depth;
pub use glyphs::Glyphs;
pub use pen::{Hits, Look};
pub use theme::{Role, Theme, Themes};

use crate::app::{App, View};
use crate::domain::Time;
use pen::Pen;

/// Narrower than this there is no console.
pub const MIN_WIDTH: u16 = 40;
/// Lower than this there is no console.
pub const MIN_HEIGHT: u16 = 10;
/// Narrower than this Mesh is the verdict and the worst links.
pub const GRID_WIDTH: u16 = 60;
/// Lower than this Mesh is the verdict and the worst links.
pub const GRID_HEIGHT: u16 = 16;

/// Draws the whole console into `buf`.
pub fn draw(buf: &mut Buffer, app: &App, look: &Look, now: Time) {
    draw_with_hits(buf, app, look, now);
}

/// As [`draw`]; says what a click would hit where, if the mouse is on. What was drawn later lies above.
pub fn draw_with_hits(buf: &mut Buffer, app: &App, look: &Look, now: Time) -> Hits {
    let mut pen = Pen::new(buf, look);
    if app.is_mouse_on() {
        pen.note_hits();
    }
    draw_all(&mut pen, app, now);
    let hits = pen.take_hits();
    look.glyphs.charset.apply(buf);
    hits
}

fn draw_all(pen: &mut Pen<'_>, app: &App, now: Time) {
    let area = pen.area();
    pen.fill(area, Role::Text);
    if area.width < MIN_WIDTH || area.height < MIN_HEIGHT {
        too_small(pen, area);
        return;
    }
    let body = frame::draw(pen, area, app, now);
    if let Some(clusters) = app.overview() {
        panel::overview(pen, body, app, clusters, now);
    } else {
        view(pen, body, app, now);
    }
    overlay::draw(pen, area, app, now);
    // Above everything: a refusal that nobody sees is none.
    frame::toast(pen, area, app, now);
}

fn view(pen: &mut Pen<'_>, body: Rect, app: &App, now: Time) {
    match app.view() {
        View::Mesh if app.connections_of().is_some() => connections::draw(pen, body, app, now),
        View::Mesh => mesh::draw(pen, body, app, now),
        View::Settings => settings::draw(pen, body, app, now),
        View::Ha => ha::draw(pen, body, app, now),
        View::Findings => findings::draw(pen, body, app, now),
        View::Events => events::draw(pen, body, app, now),
    }
}

fn too_small(pen: &mut Pen<'_>, area: Rect) {
    let lines = [
        format!("too small: {}x{}", area.width, area.height),
        format!("peerdeck needs {MIN_WIDTH}x{MIN_HEIGHT}"),
        "q quits".to_owned(),
    ];
    for (y, line) in (area.y..area.bottom()).zip(&lines) {
        pen.put(area.x, y, area.width, line, Role::Text);
    }
}
