//! The signs that carry meaning, in a Unicode and an ASCII set: state is never colour alone.

use ratatui::buffer::Buffer;
use unicode_width::UnicodeWidthStr;

use crate::app::grid::is_one_sided;
use crate::domain::mesh::pulse::Beat;
use crate::domain::snapshot::Cell;
use crate::domain::{Cause, LinkState, Severity};
use crate::ui::theme::Role;

/// Which characters may be written at all, names of peers among them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Charset {
    /// All.
    Unicode,
    /// Those whose width nobody disputes: the terminal draws ambiguous ones two columns wide.
    Narrow,
    /// ASCII.
    Ascii,
}

/// One set of signs, each one column wide.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Glyphs {
    /// What else may be written.
    pub charset: Charset,
    /// A link that stands.
    pub connected: &'static str,
    /// A link that is being built.
    pub connecting: &'static str,
    /// A link that is down.
    pub down: &'static str,
    /// A link that is down, though datagrams of this direction arrive.
    pub one_sided: &'static str,
    /// A link that is down because the levels differ.
    pub level: &'static str,
    /// Disconnected on purpose.
    pub detached: &'static str,
    /// Beside a peer that somebody works on.
    pub maintenance: &'static str,
    /// Nobody told us, or too long ago.
    pub unknown: &'static str,
    /// A peer and itself.
    pub own: &'static str,
    /// Beside a link that is down: a way over others exists.
    pub relayed: &'static str,
    /// Beside what an unwell observer says.
    pub hatch: &'static str,
    /// A peer that this console does not reach.
    pub unreached: &'static str,
    /// A peer that the person has marked.
    pub mark: &'static str,
    /// A finding.
    pub finding: &'static str,
    /// An override with nothing.
    pub empty: &'static str,
    /// Nobody has set it: the factory default applies.
    pub factory: &'static str,
    /// Nobody has set it and nothing applies.
    pub not_set: &'static str,
    /// Wanted, but not committed yet.
    pub staged: &'static str,
    /// A name that leads nowhere.
    pub dangling: &'static str,
    /// Not the same as beside it.
    pub differs: &'static str,
    /// Between areas, upright.
    pub upright: &'static str,
    /// Between areas, level.
    pub level_line: &'static str,
    /// Corners of a box: top left, top right, bottom left, bottom right.
    pub corners: [&'static str; 4],
    /// From one to another.
    pub arrow: &'static str,
    /// Between steps of a path.
    pub step: &'static str,
    /// What was cut away.
    pub ellipsis: &'static str,
    /// The selected line of a list.
    pub pointer: &'static str,
    /// There is more above, below, left, right.
    pub more: [&'static str; 4],
    /// Heights of a ping, lowest first.
    pub bars: [&'static str; 8],
    /// The ends of a gauge.
    pub gauge_ends: [&'static str; 2],
    /// A cell of a gauge, in eighths, from empty to full.
    pub gauge: [&'static str; 9],
    /// Where on a gauge something happens.
    pub gauge_mark: &'static str,
    /// A ping without an answer.
    pub lost: &'static str,
    /// No ping yet.
    pub no_ping: &'static str,
}

/// For terminals that show Unicode.
pub const UNICODE: Glyphs = Glyphs {
    charset: Charset::Unicode,
    connected: "●",
    connecting: "◌",
    down: "✗",
    one_sided: "◐",
    level: "v",
    detached: "⊘",
    maintenance: "m",
    unknown: "?",
    own: "·",
    relayed: "↷",
    hatch: "╱",
    unreached: "!",
    mark: "◆",
    finding: "▲",
    empty: "◌",
    factory: "·",
    not_set: "-",
    staged: "+",
    dangling: "?",
    differs: "!",
    upright: "│",
    level_line: "─",
    corners: ["╭", "╮", "╰", "╯"],
    arrow: "→",
    step: "›",
    ellipsis: "…",
    pointer: "▸",
    more: ["↑", "↓", "←", "→"],
    bars: ["▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"],
    gauge_ends: ["▕", "▏"],
    gauge: [" ", "▏", "▎", "▍", "▌", "▋", "▊", "▉", "█"],
    gauge_mark: "│",
    lost: "✗",
    no_ping: " ",
};

/// For all others, and the Linux console.
pub const ASCII: Glyphs = Glyphs {
    charset: Charset::Ascii,
    connected: "o",
    connecting: ".",
    down: "x",
    one_sided: "~",
    level: "v",
    detached: "-",
    maintenance: "m",
    unknown: "?",
    own: "\\",
    relayed: ">",
    hatch: "/",
    unreached: "!",
    mark: "*",
    finding: "!",
    empty: "0",
    factory: ".",
    not_set: "-",
    staged: "+",
    dangling: "?",
    differs: "!",
    upright: "|",
    level_line: "-",
    corners: ["+", "+", "+", "+"],
    arrow: "->",
    step: ">",
    ellipsis: "~",
    pointer: ">",
    more: ["^", "v", "<", ">"],
    bars: ["_", "_", ".", ".", "-", "-", "=", "="],
    gauge_ends: ["[", "]"],
    gauge: [" ", " ", " ", "-", "-", "-", "=", "=", "#"],
    gauge_mark: "|",
    lost: "x",
    no_ping: " ",
};

/// For terminals that draw ambiguous signs two columns wide: ours are ASCII, Chinese and Japanese text stays.
pub const NARROW: Glyphs = Glyphs { charset: Charset::Narrow, ..ASCII };

/// Every sign of [`UNICODE`] whose width a terminal can be asked about.
pub const ASKED: &[&str] = &[
    "●", "◌", "✗", "◐", "⊘", "·", "↷", "╱", "▲", "│", "─", "╭", "╮", "╰", "╯", "→", "›", "…", "▸", "↑", "↓", "←", "▁",
    "▂", "▃", "▄", "▅", "▆", "▇", "█", "▀", "▕", "▏", "▎", "▍", "▌", "▋", "▊", "▉", "◆", "µ",
];

impl Charset {
    /// What is written instead of `symbol`, the text of one cell; `None` when it may stand.
    #[must_use]
    pub fn instead_of(self, symbol: &str) -> Option<&'static str> {
        let allowed = symbol.is_ascii()
            || match self {
                Self::Unicode => true,
                // Accented letters are ambiguous as well; only what is wide everywhere is safe.
                Self::Narrow => symbol.width() == 2,
                Self::Ascii => false,
            };
        let plain = || match symbol {
            "→" => ">",
            "←" => "<",
            "…" => "~",
            "µ" => "u",
            "·" => ".",
            "─" => "-",
            "│" => "|",
            "‘" | "’" => "'",
            "“" | "”" => "\"",
            _ if symbol.width() > 1 => "??",
            _ => "?",
        };
        (!allowed).then(plain)
    }

    /// Replaces in `buf` what may not be written.
    pub fn apply(self, buf: &mut Buffer) {
        if self == Self::Unicode {
            return;
        }
        let width = usize::from(buf.area.width.max(1));
        for at in 0..buf.content.len() {
            match self.instead_of(buf.content[at].symbol()) {
                Some("??") => {
                    // Two columns were one sign.
                    buf.content[at].set_symbol("?");
                    if at % width + 1 < width {
                        buf.content[at + 1].set_symbol("?");
                    }
                }
                Some(other) => {
                    buf.content[at].set_symbol(other);
                }
                None => {}
            }
        }
    }
}

impl Glyphs {
    /// The sign of a cell.
    #[must_use]
    pub fn cell(&self, cell: &Cell<'_>) -> &'static str {
        match cell.state {
            LinkState::Connected => self.connected,
            LinkState::Connecting => self.connecting,
            LinkState::Down if cell.cause == Some(Cause::Version) => self.level,
            LinkState::Down if is_one_sided(cell) => self.one_sided,
            LinkState::Down => self.down,
            LinkState::Detached => self.detached,
            LinkState::Unknown => self.unknown,
        }
    }

    /// The sign of a ping: heights by factors of about three from 0.1 ms on.
    #[must_use]
    pub fn beat(&self, beat: Beat) -> &'static str {
        match beat {
            Beat::None => self.no_ping,
            Beat::Lost => self.lost,
            Beat::Answered(rtt) => {
                let limits = [300, 1_000, 3_000, 10_000, 30_000, 100_000, 300_000];
                let height = limits.iter().filter(|limit| rtt.as_micros() >= **limit).count();
                self.bars[height]
            }
        }
    }
}

/// The role of a cell's sign.
#[must_use]
pub fn cell_role(cell: &Cell<'_>) -> Role {
    match cell.state {
        LinkState::Connected => Role::Ok,
        LinkState::Connecting => Role::Connecting,
        LinkState::Down if is_one_sided(cell) || cell.cause == Some(Cause::Version) => Role::Warn,
        LinkState::Down => Role::Crit,
        LinkState::Detached => Role::Detached,
        LinkState::Unknown => Role::Unknown,
    }
}

/// The word for a cell's state.
#[must_use]
pub fn cell_word(cell: &Cell<'_>) -> &'static str {
    match cell.state {
        LinkState::Down if is_one_sided(cell) => "down, this way ok",
        LinkState::Connected | LinkState::Connecting | LinkState::Down | LinkState::Detached | LinkState::Unknown => {
            cell.state.as_str()
        }
    }
}

/// The role of a severity.
#[must_use]
pub fn severity_role(severity: Severity) -> Role {
    match severity {
        Severity::Critical => Role::Crit,
        Severity::Warning => Role::Warn,
        Severity::Notice => Role::Accent,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ratatui::layout::Rect;
    use ratatui::style::Style;

    #[test]
    fn every_sign_is_asked_about_or_ambiguous_to_nobody() {
        let shown = format!("{UNICODE:?}");
        for c in shown.chars().filter(|c| !c.is_ascii()) {
            let sign = c.to_string();
            assert!(ASKED.contains(&sign.as_str()), "{sign} is a sign and stands not in ASKED");
        }
        assert!(ASKED.iter().all(|sign| sign.width() == 1));
    }

    #[test]
    fn what_may_not_be_written_is_replaced_column_by_column() {
        let mut buf = Buffer::empty(Rect::new(0, 0, 12, 1));
        buf.set_string(0, 0, "a→é日本…µ", Style::new());
        let shown = |charset: Charset| {
            let mut buf = buf.clone();
            charset.apply(&mut buf);
            crate::ui::dump::plain(&buf).trim_end().to_owned()
        };
        assert_eq!(shown(Charset::Unicode), "a→é日本…µ");
        assert_eq!(shown(Charset::Narrow), "a>?日本~u");
        assert_eq!(shown(Charset::Ascii), "a>?????~u");
    }
}
