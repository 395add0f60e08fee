//! The screen as text, for a file: bare, and with the colours as a terminal understands them.

use std::fmt::Write as _;

use ratatui::buffer::Buffer;
use ratatui::style::{Color, Modifier, Style};
use unicode_width::UnicodeWidthStr;

/// What stands on the screen, a line each, without the empty ends of lines.
#[must_use]
pub fn plain(buf: &Buffer) -> String {
    lines(buf, |out, _, symbol| out.push_str(symbol))
}

/// The same with its colours: for `less -R` or `cat`.
#[must_use]
pub fn coloured(buf: &Buffer) -> String {
    let mut last = Style::reset();
    let mut text = lines(buf, |out, style, symbol| {
        if style != last {
            // Writing to a String never fails.
            let _ = write!(out, "\x1b[{}m", codes(style));
            last = style;
        }
        out.push_str(symbol);
    });
    text.push_str("\x1b[0m");
    text
}

fn lines(buf: &Buffer, mut put: impl FnMut(&mut String, Style, &str)) -> String {
    let mut out = String::new();
    let area = buf.area;
    for y in area.top()..area.bottom() {
        let shown = |x: &u16| buf[(*x, y)].symbol() != " " || buf[(*x, y)].bg != Color::Reset;
        let end = (area.left()..area.right()).rev().find(shown).map_or(area.left(), |x| x + 1);
        let mut x = area.left();
        while x < end {
            let cell = &buf[(x, y)];
            put(&mut out, cell.style(), cell.symbol());
            x += u16::try_from(cell.symbol().width()).unwrap_or(1).max(1);
        }
        out.truncate(out.trim_end_matches(' ').len());
        out.push('\n');
    }
    out
}

fn codes(style: Style) -> String {
    let mut codes = vec!["0".to_owned()];
    for (modifier, code) in [
        (Modifier::BOLD, "1"),
        (Modifier::DIM, "2"),
        (Modifier::ITALIC, "3"),
        (Modifier::UNDERLINED, "4"),
        (Modifier::REVERSED, "7"),
    ] {
        if style.add_modifier.contains(modifier) {
            codes.push(code.to_owned());
        }
    }
    codes.extend(style.fg.and_then(|c| colour(c, 30)));
    codes.extend(style.bg.and_then(|c| colour(c, 40)));
    codes.join(";")
}

fn colour(colour: Color, base: u8) -> Option<String> {
    let own = |n: u8| Some((base + n).to_string());
    let bright = |n: u8| Some((base + 60 + n).to_string());
    match colour {
        Color::Reset => None,
        Color::Black => own(0),
        Color::Red => own(1),
        Color::Green => own(2),
        Color::Yellow => own(3),
        Color::Blue => own(4),
        Color::Magenta => own(5),
        Color::Cyan => own(6),
        Color::Gray => own(7),
        Color::DarkGray => bright(0),
        Color::LightRed => bright(1),
        Color::LightGreen => bright(2),
        Color::LightYellow => bright(3),
        Color::LightBlue => bright(4),
        Color::LightMagenta => bright(5),
        Color::LightCyan => bright(6),
        Color::White => bright(7),
        Color::Indexed(n) => Some(format!("{};5;{n}", base + 8)),
        Color::Rgb(r, g, b) => Some(format!("{};2;{r};{g};{b}", base + 8)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ratatui::layout::Rect;

    #[test]
    fn c15_a_dump_is_what_was_on_the_screen() {
        let mut buf = Buffer::empty(Rect::new(0, 0, 8, 2));
        buf.set_string(0, 0, "日 ok", Style::new().fg(Color::LightRed).add_modifier(Modifier::BOLD));
        assert_eq!(plain(&buf), "日 ok\n\n");
        assert_eq!(coloured(&buf), "\x1b[0;1;91m日 ok\n\n\x1b[0m");
        let mut parser = vt100::Parser::new(2, 8, 0);
        parser.process(coloured(&buf).replace('\n', "\r\n").as_bytes());
        assert_eq!(parser.screen().contents(), "日 ok");
        assert_eq!(parser.screen().cell(0, 0).unwrap().fgcolor(), vt100::Color::Idx(9));
    }
}
