//! Colours: how they are written, and the nearest that a terminal can show.

use ratatui::style::Color;
use strum::{EnumIter, EnumString, IntoStaticStr};

/// How many colours the terminal has.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, EnumIter, EnumString, IntoStaticStr)]
#[strum(serialize_all = "kebab-case")]
pub enum Depth {
    /// None, or none are wanted.
    None,
    /// Its own sixteen.
    Sixteen,
    /// The 256 of the xterm table.
    Indexed,
    /// 24 bits.
    True,
}

const NAMES: [(&str, Color); 16] = [
    ("black", Color::Black),
    ("red", Color::Red),
    ("green", Color::Green),
    ("yellow", Color::Yellow),
    ("blue", Color::Blue),
    ("magenta", Color::Magenta),
    ("cyan", Color::Cyan),
    ("white", Color::Gray),
    ("bright-black", Color::DarkGray),
    ("bright-red", Color::LightRed),
    ("bright-green", Color::LightGreen),
    ("bright-yellow", Color::LightYellow),
    ("bright-blue", Color::LightBlue),
    ("bright-magenta", Color::LightMagenta),
    ("bright-cyan", Color::LightCyan),
    ("bright-white", Color::White),
];

/// The sixteen as xterm shows them by default, for finding the nearest one.
const SIXTEEN: [(u8, u8, u8); 16] = [
    (0, 0, 0),
    (205, 0, 0),
    (0, 205, 0),
    (205, 205, 0),
    (0, 0, 238),
    (205, 0, 205),
    (0, 205, 205),
    (229, 229, 229),
    (127, 127, 127),
    (255, 0, 0),
    (0, 255, 0),
    (255, 255, 0),
    (92, 92, 255),
    (255, 0, 255),
    (0, 255, 255),
    (255, 255, 255),
];

/// The names of the sixteen.
pub fn names<'a>() -> impl Iterator<Item = &'a str> {
    NAMES.iter().map(|(name, _)| *name)
}

/// Reads a colour: `#rrggbb`, 0 to 255, `default`, or one of the 16 names.
#[must_use]
pub fn parse(text: &str) -> Option<Color> {
    if text == "default" {
        return Some(Color::Reset);
    }
    if let Some((_, colour)) = NAMES.iter().find(|(name, _)| *name == text) {
        return Some(*colour);
    }
    if let Some(hex) = text.strip_prefix('#') {
        if hex.len() != 6 || !hex.bytes().all(|b| b.is_ascii_hexdigit()) {
            return None;
        }
        let part = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).ok();
        return Some(Color::Rgb(part(0)?, part(2)?, part(4)?));
    }
    text.parse::<u8>().ok().map(Color::Indexed)
}

/// The nearest to `colour` that `depth` has.
#[must_use]
pub fn degrade(colour: Color, depth: Depth) -> Color {
    match (depth, colour) {
        (Depth::None, _) => Color::Reset,
        (Depth::Indexed, Color::Rgb(r, g, b)) => Color::Indexed(nearest_indexed(r, g, b)),
        (Depth::Sixteen, Color::Rgb(r, g, b)) => nearest_named(r, g, b),
        (Depth::Sixteen, Color::Indexed(i)) => {
            let (r, g, b) = rgb_of(i);
            nearest_named(r, g, b)
        }
        (Depth::True | Depth::Indexed | Depth::Sixteen, c) => c,
    }
}

fn rgb_of(index: u8) -> (u8, u8, u8) {
    match index {
        0..16 => SIXTEEN[usize::from(index)],
        16..232 => {
            let level = |n: u8| if n == 0 { 0 } else { 55 + 40 * n };
            let n = index - 16;
            (level(n / 36), level(n / 6 % 6), level(n % 6))
        }
        232.. => {
            let grey = 8 + 10 * (index - 232);
            (grey, grey, grey)
        }
    }
}

fn distance(a: (u8, u8, u8), b: (u8, u8, u8)) -> u32 {
    let part = |x: u8, y: u8, weight: u32| u32::from(x.abs_diff(y)).pow(2) * weight;
    // The eye sees green best, then red.
    part(a.0, b.0, 3) + part(a.1, b.1, 4) + part(a.2, b.2, 2)
}

fn nearest_indexed(r: u8, g: u8, b: u8) -> u8 {
    // The first sixteen look different on every terminal: they are left out.
    (16..=255).min_by_key(|i| distance(rgb_of(*i), (r, g, b))).unwrap_or(7)
}

fn nearest_named(r: u8, g: u8, b: u8) -> Color {
    let best = (0..16).min_by_key(|i| distance(SIXTEEN[*i], (r, g, b))).unwrap_or(7);
    NAMES[best].1
}

/// What the environment says of the terminal: `COLORTERM`, `TERM`, and `NO_COLOR` (set and not empty).
#[must_use]
pub fn detect(colorterm: Option<&str>, term: Option<&str>, no_color: Option<&str>) -> Depth {
    if no_color.is_some_and(|v| !v.is_empty()) {
        return Depth::None;
    }
    match (colorterm, term) {
        (Some("truecolor" | "24bit"), _) => Depth::True,
        (_, Some(t)) if t.contains("direct") || t.contains("truecolor") => Depth::True,
        (_, Some(t)) if t.contains("256color") => Depth::Indexed,
        (_, Some("dumb" | "vt100" | "vt220")) => Depth::None,
        (_, Some(_) | None) => Depth::Sixteen,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_all_ways_of_writing() {
        assert_eq!(parse("#0a1B2c"), Some(Color::Rgb(10, 27, 44)));
        assert_eq!(parse("bright-red"), Some(Color::LightRed));
        assert_eq!(parse("214"), Some(Color::Indexed(214)));
        for bad in ["#12", "#12345é", "256", "rad", ""] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn degrades_to_the_nearest() {
        assert_eq!(degrade(Color::Rgb(255, 0, 0), Depth::Indexed), Color::Indexed(196));
        assert_eq!(degrade(Color::Rgb(250, 5, 5), Depth::Sixteen), Color::LightRed);
        assert_eq!(degrade(Color::Indexed(255), Depth::Sixteen), Color::Gray);
        assert_eq!(degrade(Color::Red, Depth::None), Color::Reset);
    }

    #[test]
    fn the_environment_decides() {
        assert_eq!(detect(Some("truecolor"), Some("xterm"), None), Depth::True);
        assert_eq!(detect(None, Some("xterm-256color"), Some("")), Depth::Indexed);
        assert_eq!(detect(Some("truecolor"), Some("xterm-256color"), Some("1")), Depth::None);
        assert_eq!(detect(None, Some("linux"), None), Depth::Sixteen);
    }
}
