//! What a terminal of a given type understands; what it does not is never sent to it.

/// How colours are written for it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Palette {
    /// 30 to 37 only: others would blink or do nothing.
    Eight,
    /// 30 to 37 and 90 to 97.
    Sixteen,
    /// All ways.
    Full,
}

/// What stands between us and the window.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Multiplexer {
    /// Nothing that we know of.
    None,
    /// tmux.
    Tmux,
    /// GNU screen.
    Screen,
    /// One of them, on the other side of an SSH connection: its variables do not come along.
    Either,
}

/// What the terminal understands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Caps {
    /// Signs outside ASCII can be there at all.
    pub unicode: bool,
    /// Operating system commands (title, clipboard) are understood, or at least swallowed.
    pub commands: bool,
    /// An alternate screen, so that what stood there comes back.
    pub alternate: bool,
    /// How colours are written.
    pub palette: Palette,
    /// Who stands in between.
    pub multiplexer: Multiplexer,
}

impl Caps {
    /// By the variables TERM, TMUX and STY.
    #[must_use]
    pub fn of(term: Option<&str>, tmux: Option<&str>, sty: Option<&str>) -> Self {
        let term = term.unwrap_or("");
        let is_set = |v: Option<&str>| v.is_some_and(|v| !v.is_empty());
        let family = term.split(['-', '.']).next().unwrap_or(term);
        let hardware = family.len() > 2 && family.starts_with("vt") && family.as_bytes()[2].is_ascii_digit();
        let old = hardware || matches!(family, "ansi" | "cons25" | "sun" | "wyse50" | "wyse60" | "pcansi");
        let linux = family == "linux";
        let multiplexer = match family {
            "tmux" => Multiplexer::Tmux,
            _ if is_set(tmux) => Multiplexer::Tmux,
            _ if is_set(sty) => Multiplexer::Screen,
            "screen" => Multiplexer::Either,
            _ => Multiplexer::None,
        };
        Self {
            unicode: !old && !linux,
            commands: !old && !linux,
            alternate: !old,
            palette: match () {
                () if old || linux => Palette::Eight,
                () if term.contains("256color") || term.contains("direct") || term.contains("truecolor") => {
                    Palette::Full
                }
                () => Palette::Sixteen,
            },
            multiplexer,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_terminals_and_the_linux_console_get_only_what_they_know() {
        for term in ["vt100", "vt220", "vt102-w", "linux", "linux-16color", "ansi"] {
            let caps = Caps::of(Some(term), None, None);
            assert!(!caps.unicode && !caps.commands && caps.palette == Palette::Eight, "{term}: {caps:?}");
        }
        for term in ["xterm", "xterm-256color", "foot", "screen", "tmux-256color", "vte-256color", "alacritty"] {
            let caps = Caps::of(Some(term), None, None);
            assert!(caps.unicode && caps.commands && caps.alternate, "{term}: {caps:?}");
        }
    }

    #[test]
    fn who_stands_in_between_is_told_by_variables_else_by_the_type() {
        let of = |term, tmux, sty| Caps::of(Some(term), tmux, sty).multiplexer;
        assert_eq!(of("screen-256color", Some("/tmp/tmux-0/default,1,0"), None), Multiplexer::Tmux);
        assert_eq!(of("tmux-256color", None, None), Multiplexer::Tmux, "tmux on the other side of SSH");
        assert_eq!(of("screen", None, Some("12.pts-0")), Multiplexer::Screen);
        assert_eq!(of("screen", None, None), Multiplexer::Either);
        assert_eq!(of("xterm-256color", Some(""), None), Multiplexer::None);
    }
}
