//! Big type: letters made of blocks, in sizes that can be read from afar.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Line;
use ratatui::widgets::Widget;
use tui_big_text::{BigText, PixelSize};

use crate::ui::glyphs::Charset;
use crate::ui::pen::Pen;
use crate::ui::text;
use crate::ui::theme::Role;

/// How big letters are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Size {
    /// As the terminal writes them.
    Text,
    /// Four columns and four lines each.
    Quarter,
    /// Eight columns and four lines each, so many times.
    Times(u16),
}

/// Signs that the font does not have: a line of eight pixels a byte, the left one in the lowest bit.
const SIGNS: [(char, [u8; 8]); 6] = [
    ('▲', [0x00, 0x18, 0x18, 0x3c, 0x3c, 0x7e, 0x7e, 0x00]),
    ('●', [0x00, 0x3c, 0x7e, 0x7e, 0x7e, 0x7e, 0x3c, 0x00]),
    ('✗', [0x00, 0x63, 0x36, 0x1c, 0x1c, 0x36, 0x63, 0x00]),
    ('→', [0x00, 0x10, 0x30, 0x7f, 0x7f, 0x30, 0x10, 0x00]),
    ('⊘', [0x00, 0x3c, 0x66, 0x56, 0x6a, 0x66, 0x3c, 0x00]),
    ('…', [0x00, 0x00, 0x00, 0x00, 0x00, 0x6d, 0x6d, 0x00]),
];

/// Pixels of a sign in each direction.
const PIXELS: usize = 8;

impl Size {
    /// Columns that a sign takes.
    #[must_use]
    pub fn columns(self) -> u16 {
        match self {
            Self::Text => 1,
            Self::Quarter => 4,
            Self::Times(times) => times.saturating_mul(8),
        }
    }

    /// Lines that a sign takes.
    #[must_use]
    pub fn lines(self) -> u16 {
        match self {
            Self::Text => 1,
            Self::Quarter => 4,
            Self::Times(times) => times.saturating_mul(4),
        }
    }

    /// Columns that `text` takes.
    #[must_use]
    pub fn width(self, text: &str) -> u16 {
        let signs = match self {
            Self::Text => text::width(text),
            Self::Quarter | Self::Times(_) => text.chars().count(),
        };
        u16::try_from(signs).unwrap_or(u16::MAX).saturating_mul(self.columns())
    }

    /// Whether `text` can be written in this size: the font has all its signs, and the terminal the blocks. Without
    /// halves of blocks only sizes in which a pixel is at least a line high are left.
    #[must_use]
    pub fn can(self, text: &str, charset: Charset) -> bool {
        let blocks = charset == Charset::Unicode;
        match self {
            Self::Text => true,
            Self::Quarter => blocks && text.chars().all(has),
            Self::Times(times) => (blocks || times % 2 == 0) && text.chars().all(has),
        }
    }
}

fn has(c: char) -> bool {
    c == ' ' || c.is_ascii_graphic() || pixels(c).is_some()
}

/// The pixels of a sign; `None` where the font has none.
fn pixels(c: char) -> Option<[u8; PIXELS]> {
    if let Some((_, sign)) = SIGNS.iter().find(|(sign, _)| *sign == c) {
        return Some(*sign);
    }
    let area = Rect::new(0, 0, 8, 8);
    let mut buf = Buffer::empty(area);
    let letter = BigText::builder().pixel_size(PixelSize::Full).lines(vec![Line::from(c.to_string())]).build();
    letter.render(area, &mut buf);
    let mut lines = [0; PIXELS];
    for (y, line) in (0..).zip(&mut lines) {
        *line = (0..8).filter(|x| buf[(*x, y)].symbol() != " ").fold(0, |bits, x| bits | 1 << x);
    }
    (c == ' ' || lines != [0; PIXELS]).then_some(lines)
}

/// The lines of `text` in `size`; blanks for signs that the font does not have.
#[must_use]
pub fn rows(text: &str, size: Size, charset: Charset) -> Vec<String> {
    let letters: Vec<[u8; PIXELS]> = text.chars().map(|c| pixels(c).unwrap_or_default()).collect();
    let on = |letter: &[u8; PIXELS], x: usize, y: usize| letter[y] >> x & 1 == 1;
    let quarter = |letter: &[u8; PIXELS], x: usize, y: usize| {
        let at = |dx: usize, dy: usize| usize::from(on(letter, 2 * x + dx, 2 * y + dy));
        QUARTERS[at(0, 0) | at(1, 0) << 1 | at(0, 1) << 2 | at(1, 1) << 3]
    };
    match size {
        Size::Text => vec![text.to_owned()],
        Size::Quarter => {
            (0..4).map(|y| letters.iter().flat_map(|l| (0..4).map(move |x| quarter(l, x, y))).collect()).collect()
        }
        Size::Times(times) => {
            let times = usize::from(times.max(1));
            let half = |letter: &[u8; PIXELS], x: usize, y: usize| {
                let at = |half: usize| on(letter, x / times, (2 * y + half) / times);
                match (at(0), at(1)) {
                    (false, false) => ' ',
                    _ if charset != Charset::Unicode => '#',
                    (true, false) => '▀',
                    (false, true) => '▄',
                    (true, true) => '█',
                }
            };
            let line = |y: usize| letters.iter().flat_map(|l| (0..8 * times).map(move |x| half(l, x, y))).collect();
            (0..4 * times).map(line).collect()
        }
    }
}

/// By the bits: upper left, upper right, lower left, lower right.
const QUARTERS: [char; 16] = [' ', '▘', '▝', '▀', '▖', '▌', '▞', '▛', '▗', '▚', '▐', '▜', '▄', '▙', '▟', '█'];

/// Writes `text` and says where the next one goes; nothing of it that does not fit into `max` columns.
pub fn put(pen: &mut Pen<'_>, x: u16, y: u16, max: u16, size: Size, text: &str, role: Role) -> u16 {
    if size == Size::Text {
        return pen.put_cut(x, y, max, text, role);
    }
    let charset = pen.glyphs().charset;
    for (row, line) in (y..).zip(rows(text, size, charset)) {
        pen.put(x, row, max, &line, role);
    }
    x.saturating_add(size.width(text).min(max))
}

/// The biggest of `sizes`, which stand biggest first, in which `text` fits into so many columns and lines.
#[must_use]
pub fn largest(sizes: &[Size], text: &str, columns: u16, lines: u16, charset: Charset) -> Size {
    let fits = |s: &&Size| s.width(text) <= columns && s.lines() <= lines && s.can(text, charset);
    sizes.iter().find(fits).copied().unwrap_or(Size::Text)
}

/// All sizes, biggest first.
pub const SIZES: &[Size] = &[
    Size::Times(8),
    Size::Times(6),
    Size::Times(5),
    Size::Times(4),
    Size::Times(3),
    Size::Times(2),
    Size::Times(1),
    Size::Quarter,
    Size::Text,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_size_is_as_large_as_it_says() {
        for size in SIZES.iter().filter(|s| **s != Size::Text) {
            let shown = rows("20/20 ▲", *size, Charset::Unicode);
            assert_eq!(shown.len(), usize::from(size.lines()), "{size:?}");
            for line in &shown {
                assert_eq!(text::width(line), usize::from(size.width("20/20 ▲")), "{size:?}: {line}");
            }
        }
    }

    #[test]
    fn letters_are_those_of_the_font_in_every_size() {
        let letter = ["██████", "█ ██ █", "  ██  ", "  ██  ", "  ██  ", "  ██  ", " ████ "];
        let twice = rows("T", Size::Times(2), Charset::Unicode);
        for (line, wanted) in twice.iter().zip(letter) {
            let wanted: String = wanted.chars().flat_map(|c| [c, c]).collect();
            assert_eq!(line.trim_end(), wanted.trim_end());
        }
        assert_eq!(rows("T", Size::Quarter, Charset::Unicode)[0].trim_end(), "▛█▜");
        assert_eq!(rows("T", Size::Times(1), Charset::Unicode)[0].trim_end(), "█▀██▀█");
    }

    #[test]
    fn what_the_font_or_the_terminal_lacks_is_written_as_text() {
        assert!(Size::Times(1).can("CUT OFF → lab1", Charset::Unicode));
        assert!(!Size::Times(1).can("東京", Charset::Unicode), "wide characters");
        assert!(!Size::Quarter.can("A", Charset::Ascii) && !Size::Times(1).can("A", Charset::Ascii));
        assert!(Size::Times(2).can("A", Charset::Ascii));
        let shown = rows("▲ A", Size::Times(2), Charset::Ascii);
        assert!(shown.iter().all(|l| l.is_ascii()), "{shown:?}");
        assert_eq!(largest(SIZES, "東京", 200, 50, Charset::Unicode), Size::Text);
        assert_eq!(largest(SIZES, "20/20", 200, 50, Charset::Unicode), Size::Times(5));
        assert_eq!(largest(SIZES, "20/20", 39, 50, Charset::Unicode), Size::Quarter);
    }
}
