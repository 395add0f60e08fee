//! How the screen looks: theme, colours and signs, by the environment and the user's files.

use super::follow::ThemesNow;
use crate::app::ThemeList;
use crate::term::{self, Locale};
use crate::ui::theme::MONO;
use crate::ui::{self, Depth, Look, Theme, glyphs};

/// The variables that decide how the screen looks.
pub(super) struct Environment {
    pub(super) term: Option<String>,
    colorterm: Option<String>,
    no_color: Option<String>,
    lc_all: Option<String>,
    lc_ctype: Option<String>,
    lang: Option<String>,
    pub(super) tmux: Option<String>,
    pub(super) sty: Option<String>,
    pub(super) ssh_tty: Option<String>,
}

impl Environment {
    pub(super) fn read() -> Self {
        let var = |name: &str| std::env::var(name).ok();
        Self {
            term: var("TERM"),
            colorterm: var("COLORTERM"),
            no_color: var("NO_COLOR"),
            lc_all: var("LC_ALL"),
            lc_ctype: var("LC_CTYPE"),
            lang: var("LANG"),
            tmux: var("TMUX"),
            sty: var("STY"),
            ssh_tty: var("SSH_TTY"),
        }
    }

    pub(super) fn locale(&self) -> Locale {
        term::locale(self.lc_all.as_deref(), self.lc_ctype.as_deref(), self.lang.as_deref())
    }
}

/// All looks that the theme key walks through.
pub(super) struct Looks {
    now: ThemesNow,
    /// Named on the command line.
    wanted: Option<String>,
    depth: Depth,
    pub(super) look: Look,
    shown: Option<usize>,
}

impl Looks {
    /// The looks, `wanted` in any case where it is named; and what is wrong with that.
    pub(super) fn new(wanted: Option<&str>, themes: &ThemesNow, env: &Environment) -> (Self, Option<String>) {
        let depth = ui::colour::detect(env.colorterm.as_deref(), env.term.as_deref(), env.no_color.as_deref());
        let look = Look {
            theme: Theme::plain(),
            // Until the terminal was asked.
            glyphs: glyphs::ASCII,
            zone: jiff::tz::TimeZone::system(),
        };
        let looks = Self { now: themes.clone(), wanted: wanted.map(str::to_owned), depth, look, shown: None };
        let themes = &looks.now.themes;
        let unknown = looks.wanted.as_deref().filter(|w| themes.position(w).is_none()).map(|w| themes.unknown(w));
        (looks, unknown)
    }

    /// What the state needs to know of them.
    pub(super) fn list(&self) -> ThemeList {
        let themes = &self.now.themes;
        let names = themes.names().into_iter().map(str::to_owned).collect();
        let place = |name: &str| themes.position(name);
        let usual = if self.depth == Depth::None { MONO } else { "terminal" };
        let asked_for = self.wanted.as_deref().and_then(place);
        // Neither a word on the command line nor a wish for no colours is overruled by a file.
        let free = asked_for.is_none() && self.depth != Depth::None;
        let of_clusters = self.now.of_clusters.iter().filter(|_| free).map(|n| place(n.as_deref()?)).collect();
        ThemeList { names, usual: asked_for.or_else(|| place(usual)).unwrap_or(0), of_clusters }
    }

    pub(super) fn change(&mut self, now: ThemesNow) {
        self.now = now;
        self.shown = None;
    }

    pub(super) fn show(&mut self, place: usize) {
        if self.shown != Some(place) {
            self.look.theme = self.now.themes.get(place, self.depth);
            self.shown = Some(place);
        }
    }
}
