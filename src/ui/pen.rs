//! Writing into the buffer: nothing lands outside the area, every cell gets a whole style.

use jiff::tz::TimeZone;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Color, Style};

use crate::app::mouse::Hit;
use crate::ui::glyphs::Glyphs;
use crate::ui::text;
use crate::ui::theme::{Role, Theme};

/// How things look: everything that drawing needs besides the state.
#[derive(Clone, Debug)]
pub struct Look {
    /// Styles.
    pub theme: Theme,
    /// Signs.
    pub glyphs: Glyphs,
    /// The zone of local times.
    pub zone: TimeZone,
}

impl Look {
    /// The style of `role` on the ground of `base`, unless the role brings a ground of its own.
    #[must_use]
    pub fn on(&self, base: Role, role: Role) -> Style {
        let (base, style, plain) = (self.theme.get(base), self.theme.get(role), self.theme.get(Role::Text));
        if style.bg == plain.bg { style.bg(base.bg.unwrap_or(Color::Reset)) } else { style }
    }
}

/// A piece of a line.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Piece {
    /// What.
    pub text: String,
    /// In which role.
    pub role: Role,
}

/// A piece of a line.
pub fn piece(text: impl Into<String>, role: Role) -> Piece {
    Piece { text: text.into(), role }
}

/// Writes into a buffer with a look.
pub struct Pen<'a> {
    buf: &'a mut Buffer,
    /// The look.
    pub look: &'a Look,
    /// The role whose ground other roles stand on.
    pub base: Role,
    /// Where a click would hit what; `None` when nobody asks.
    hits: Option<Hits>,
}

/// What places of the screen stand for, in the order in which they were drawn.
pub type Hits = Vec<(Rect, Hit)>;

impl<'a> Pen<'a> {
    /// A pen for `buf`.
    pub fn new(buf: &'a mut Buffer, look: &'a Look) -> Self {
        Self { buf, look, base: Role::Text, hits: None }
    }

    /// Also notes what a click would hit.
    pub fn note_hits(&mut self) {
        self.hits = Some(Vec::new());
    }

    /// What was noted.
    pub fn take_hits(&mut self) -> Hits {
        self.hits.take().unwrap_or_default()
    }

    /// Notes that a click in `area` hits something.
    pub fn hit(&mut self, area: Rect, what: impl FnOnce() -> Hit) {
        if let Some(hits) = &mut self.hits {
            hits.push((area.intersection(self.buf.area), what()));
        }
    }

    /// The signs.
    #[must_use]
    pub fn glyphs(&self) -> &'a Glyphs {
        &self.look.glyphs
    }

    /// All that can be written on.
    #[must_use]
    pub fn area(&self) -> Rect {
        self.buf.area
    }

    /// Makes `area` empty, in `role`.
    pub fn fill(&mut self, area: Rect, role: Role) {
        let area = area.intersection(self.buf.area);
        let style = self.look.theme.get(role);
        for y in area.top()..area.bottom() {
            for x in area.left()..area.right() {
                let cell = &mut self.buf[(x, y)];
                cell.reset();
                cell.set_style(style);
            }
        }
    }

    /// Gives what stands in `area` another style.
    pub fn restyle(&mut self, area: Rect, role: Role) {
        let area = area.intersection(self.buf.area);
        self.buf.set_style(area, self.look.theme.get(role));
    }

    /// Writes at most `max` columns and says where the next text goes.
    pub fn put(&mut self, x: u16, y: u16, max: u16, text: &str, role: Role) -> u16 {
        self.put_styled(x, y, max, text, self.look.on(self.base, role))
    }

    /// Writes `text`, cut with an ellipsis to `max` columns.
    pub fn put_cut(&mut self, x: u16, y: u16, max: u16, text: &str, role: Role) -> u16 {
        if text::width(text) <= usize::from(max) {
            return self.put(x, y, max, text, role);
        }
        let text = text::cut(text, usize::from(max), self.look.glyphs.ellipsis);
        self.put(x, y, max, &text, role)
    }

    /// As [`Self::put`], in a style that no role has.
    pub fn put_styled(&mut self, x: u16, y: u16, max: u16, text: &str, style: Style) -> u16 {
        let area = self.buf.area;
        if y < area.top() || y >= area.bottom() || x < area.left() || x >= area.right() || max == 0 {
            return x;
        }
        self.buf.set_stringn(x, y, text, usize::from(max), style).0
    }

    /// Writes pieces one after the other in the first line of `area`; what does not fit is cut with an ellipsis.
    pub fn line(&mut self, area: Rect, pieces: &[Piece]) -> u16 {
        let mut x = area.left();
        for p in pieces {
            let left = area.right().saturating_sub(x);
            if left == 0 {
                break;
            }
            x = self.put_cut(x, area.top(), left, &p.text, p.role);
        }
        x
    }

    /// A level line over the width of `area`'s first line, with a title.
    pub fn rule(&mut self, area: Rect, title: &str) {
        let line = self.glyphs().level_line.repeat(usize::from(area.width));
        self.put(area.x, area.y, area.width, &line, Role::Border);
        if !title.is_empty() && area.width > 6 {
            self.put_cut(area.x + 1, area.y, area.width - 2, &format!(" {title} "), Role::Muted);
        }
    }

    /// An upright line over the height of `area`'s first column.
    pub fn upright(&mut self, area: Rect) {
        for y in area.top()..area.bottom() {
            self.put(area.x, y, 1, self.look.glyphs.upright, Role::Border);
        }
    }

    /// A box with a title in the middle of `within`; gives its inside.
    pub fn dialog(&mut self, within: Rect, width: u16, height: u16, title: &str) -> Rect {
        self.framed(within, width, height, title, Role::Border)
    }

    /// The same with a frame in `frame`; a loud frame makes the title loud.
    pub fn framed(&mut self, within: Rect, width: u16, height: u16, title: &str, frame: Role) -> Rect {
        let (width, height) = (width.min(within.width), height.min(within.height));
        let x = within.x + (within.width - width) / 2;
        let y = within.y + (within.height - height) / 2;
        let area = Rect { x, y, width, height };
        self.fill(area, Role::Dialog);
        self.base = Role::Dialog;
        if width < 4 || height < 3 {
            return area;
        }
        let g = self.glyphs();
        let level = g.level_line.repeat(usize::from(width - 2));
        let (bottom, right) = (area.bottom() - 1, area.right() - 1);
        self.put(x, y, width, &format!("{}{level}{}", g.corners[0], g.corners[1]), frame);
        self.put(x, bottom, width, &format!("{}{level}{}", g.corners[2], g.corners[3]), frame);
        for row in y + 1..bottom {
            self.put(x, row, 1, g.upright, frame);
            self.put(right, row, 1, g.upright, frame);
        }
        let loud = if frame == Role::Border { Role::Accent } else { frame };
        self.put_cut(x + 2, y, width - 4, &format!(" {title} "), loud);
        Rect { x: x + 2, y: y + 1, width: width - 4, height: height - 2 }
    }
}

/// `area` without its first `lines` lines.
#[must_use]
pub fn below(area: Rect, lines: u16) -> Rect {
    let lines = lines.min(area.height);
    Rect { y: area.y + lines, height: area.height - lines, ..area }
}

/// The first `lines` lines of `area`.
#[must_use]
pub fn above(area: Rect, lines: u16) -> Rect {
    Rect { height: lines.min(area.height), ..area }
}
