//! Themes: a palette and the semantic roles that use it, read from TOML; embedded ones and the user's alike.

use std::collections::BTreeMap;

use ratatui::style::{Color, Modifier, Style};
use serde::Deserialize;
use toml::Spanned;

use crate::ui::colour::{self, Depth};

macro_rules! roles {
    ($($(#[$doc:meta])* $variant:ident = $field:ident,)+) => {
        /// What a style means.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, strum::EnumIter, strum::IntoStaticStr)]
        #[strum(serialize_all = "kebab-case")]
        pub enum Role { $($(#[$doc])* $variant,)+ }

        const ROLES: usize = [$(Role::$variant),+].len();

        /// The `[roles]` of a theme file; a role that is left out comes from the theme it inherits.
        #[derive(Clone, Debug, Default, Deserialize)]
        #[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
        struct RawRoles { $($field: Option<Spanned<RawStyle>>,)+ }

        impl RawRoles {
            // Without a wildcard: a role that is added is missing here until it has a field.
            fn get(&self, role: Role) -> Option<&Spanned<RawStyle>> {
                match role { $(Role::$variant => self.$field.as_ref(),)+ }
            }
        }
    };
}

roles! {
    /// Plain text.
    Text = text,
    /// Text of less weight: labels, hints, units.
    Muted = muted,
    /// Connected, well.
    Ok = ok,
    /// Being built.
    Connecting = connecting,
    /// A warning, or a link of which one direction works.
    Warn = warn,
    /// Down, critical.
    Crit = crit,
    /// Nobody told us.
    Unknown = unknown,
    /// About to be too old.
    Stale = stale,
    /// Disconnected on purpose.
    Detached = detached,
    /// Names and titles that stand out.
    Accent = accent,
    /// Lines between areas.
    Border = border,
    /// The first line of the screen.
    Header = header,
    /// The tab of a view that is not shown.
    Tab = tab,
    /// The tab of the view that is shown.
    TabActive = tab_active,
    /// Names of the cursor's row and column.
    Crosshair = crosshair,
    /// The selected cell or line.
    Selection = selection,
    /// A badge that informs: LAB, READ-ONLY.
    Badge = badge,
    /// A badge that warns: PAUSED.
    BadgeLoud = badge_loud,
    /// A key in hints and help.
    Key = key,
    /// What lies over a view.
    Dialog = dialog,
}

/// A theme file as it is written.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Raw {
    name: Spanned<String>,
    inherits: Option<Spanned<String>>,
    #[serde(default)]
    palette: BTreeMap<String, Spanned<String>>,
    #[serde(default)]
    roles: RawRoles,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
#[expect(clippy::struct_excessive_bools, reason = "as the file has them")]
struct RawStyle {
    fg: Option<String>,
    bg: Option<String>,
    bold: bool,
    dim: bool,
    italic: bool,
    underlined: bool,
    reversed: bool,
}

/// What is wrong with a theme file.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("theme {file}, line {line}: {problem}")]
pub struct ThemeError {
    /// Name of the file.
    pub file: String,
    /// Counted from 1.
    pub line: usize,
    /// In plain words.
    pub problem: String,
}

/// A style for each role.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Theme {
    name: String,
    styles: [Style; ROLES],
}

macro_rules! embedded {
    ($($name:literal),+ $(,)?) => {
        /// The themes that are part of the binary, in the order in which the key walks through them.
        const EMBEDDED: &[(&str, &str)] = &[$(($name, include_str!(concat!("../../themes/", $name, ".toml"))),)+];
    };
}

embedded!("terminal", "dark", "light", "high-contrast", "colour-blind", "mono");

/// Name of the theme without any colour.
pub const MONO: &str = "mono";

/// Names of the embedded themes.
#[must_use]
pub fn embedded_names() -> Vec<&'static str> {
    EMBEDDED.iter().map(|(name, _)| *name).collect()
}

/// All themes that can be chosen, the embedded ones first.
#[derive(Clone, Debug)]
pub struct Themes {
    themes: Vec<Theme>,
}

impl Themes {
    /// The embedded ones and those of the user's folder (file name and text); what is wrong with any is told, and that one left out.
    #[must_use]
    pub fn load(own: &[(String, String)]) -> (Self, Vec<ThemeError>) {
        let mut errors = Vec::new();
        let mut themes: Vec<Theme> = Vec::new();
        let embedded = EMBEDDED.iter().map(|(name, text)| (format!("{name}.toml"), (*text).to_owned()));
        for (file, text) in embedded.chain(own.iter().cloned()) {
            match Theme::parse(&file, &text, &themes) {
                Ok(theme) => match themes.iter_mut().find(|t| t.name == theme.name) {
                    Some(old) => *old = theme,
                    None => themes.push(theme),
                },
                Err(error) => errors.push(error),
            }
        }
        (Self { themes }, errors)
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.themes.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.themes.is_empty()
    }

    /// The place of the theme of this name.
    #[must_use]
    pub fn position(&self, name: &str) -> Option<usize> {
        self.themes.iter().position(|t| t.name == name)
    }

    /// Their names.
    #[must_use]
    pub fn names(&self) -> Vec<&str> {
        self.themes.iter().map(|t| t.name.as_str()).collect()
    }

    /// The theme at `place`, with the colours that the terminal can show.
    #[must_use]
    pub fn get(&self, place: usize, depth: Depth) -> Theme {
        self.themes.get(place).map_or_else(Theme::plain, |t| t.at_depth(depth))
    }
}

impl Theme {
    /// Without any style: what is left when not even an embedded theme can be read.
    #[must_use]
    pub fn plain() -> Self {
        Self { name: "plain".to_owned(), styles: [Style::new(); ROLES] }
    }

    /// Reads a theme; `known` are the themes that it may inherit from.
    ///
    /// # Errors
    /// When the text is no TOML, a key or a colour is unknown, or a role is defined nowhere; with the line.
    pub fn parse(file: &str, text: &str, known: &[Self]) -> Result<Self, ThemeError> {
        let fail = |at: usize, problem: String| ThemeError {
            file: file.to_owned(),
            line: text.get(..at).unwrap_or(text).matches('\n').count() + 1,
            problem,
        };
        let raw: Raw =
            toml::from_str(text).map_err(|e| fail(e.span().map_or(0, |s| s.start), e.message().to_owned()))?;
        let base = match &raw.inherits {
            None => None,
            Some(name) => Some(known.iter().find(|t| t.name == *name.get_ref()).ok_or_else(|| {
                let names: Vec<&str> = known.iter().map(|t| t.name.as_str()).collect();
                let problem =
                    format!("there is no theme `{}` to inherit from; there are {}", name.get_ref(), names.join(", "));
                fail(name.span().start, problem)
            })?),
        };
        let mut palette = BTreeMap::new();
        for (name, value) in &raw.palette {
            let colour = colour::parse(value.get_ref())
                .ok_or_else(|| fail(value.span().start, unknown_colour(value.get_ref())))?;
            palette.insert(name.as_str(), colour);
        }
        let mut styles = [Style::new(); ROLES];
        for role in <Role as strum::IntoEnumIterator>::iter() {
            styles[role as usize] = match (raw.roles.get(role), base) {
                (Some(style), _) => {
                    style.get_ref().style(&palette).map_err(|c| fail(style.span().start, unknown_colour(&c)))?
                }
                (None, Some(base)) => base.get(role),
                (None, None) => {
                    let name: &'static str = role.into();
                    return Err(fail(
                        raw.name.span().start,
                        format!("the role `{name}` is missing, and the theme inherits none"),
                    ));
                }
            };
        }
        Ok(Self { name: raw.name.into_inner(), styles })
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The style of a role.
    #[must_use]
    pub fn get(&self, role: Role) -> Style {
        self.styles[role as usize]
    }

    /// The nearest that `depth` allows.
    #[must_use]
    pub fn at_depth(&self, depth: Depth) -> Self {
        let mut theme = self.clone();
        for style in &mut theme.styles {
            let had_ground = style.bg.is_some_and(|c| c != Color::Reset);
            style.fg = style.fg.map(|c| colour::degrade(c, depth));
            style.bg = style.bg.map(|c| colour::degrade(c, depth));
            if depth == Depth::None && had_ground {
                // What stood out by its ground still does.
                *style = style.add_modifier(Modifier::REVERSED);
            }
        }
        theme
    }
}

impl RawStyle {
    fn style(&self, palette: &BTreeMap<&str, Color>) -> Result<Style, String> {
        let colour = |name: &Option<String>| match name {
            None => Ok(None),
            Some(name) => palette
                .get(name.as_str())
                .copied()
                .or_else(|| colour::parse(name))
                .map(Some)
                .ok_or_else(|| name.clone()),
        };
        let (fg, bg) = (colour(&self.fg)?, colour(&self.bg)?);
        // Complete, so that nothing of what stood in a cell before shines through.
        let mut style = Style::new().fg(fg.unwrap_or(Color::Reset)).bg(bg.unwrap_or(Color::Reset));
        style.sub_modifier = Modifier::all();
        for (on, modifier) in [
            (self.bold, Modifier::BOLD),
            (self.dim, Modifier::DIM),
            (self.italic, Modifier::ITALIC),
            (self.underlined, Modifier::UNDERLINED),
            (self.reversed, Modifier::REVERSED),
        ] {
            if on {
                style = style.add_modifier(modifier);
            }
        }
        Ok(style)
    }
}

fn unknown_colour(name: &str) -> String {
    format!(
        "`{name}` is no colour: write a name of the palette, `#rrggbb`, 0 to 255, `default`, or one of the 16 names (`red`, `bright-red`, ...)"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use strum::IntoEnumIterator;

    #[test]
    fn the_embedded_themes_are_all_good() {
        let (themes, errors) = Themes::load(&[]);
        assert_eq!(errors, []);
        assert_eq!(themes.names(), embedded_names());
    }

    #[test]
    fn an_own_theme_holds_only_differences() {
        let own = "name = \"mine\"\ninherits = \"dark\"\n[palette]\nrose = \"#ff0080\"\n[roles]\ncrit = { fg = \"rose\", bold = true }\n";
        let (themes, errors) = Themes::load(&[("mine.toml".into(), own.into())]);
        assert_eq!(errors, []);
        let mine = themes.get(themes.position("mine").unwrap(), Depth::True);
        let dark = themes.get(themes.position("dark").unwrap(), Depth::True);
        assert_eq!(mine.get(Role::Crit).fg, Some(Color::Rgb(255, 0, 128)));
        assert_eq!(mine.get(Role::Ok), dark.get(Role::Ok));
    }

    #[test]
    fn an_error_names_the_line() {
        for (text, line, word) in [
            ("name = \"x\"\ninherits = \"nope\"\n", 2, "nope"),
            ("name = \"x\"\ninherits = \"dark\"\n[roles]\nok = { fg = \"gren\" }\n", 4, "gren"),
            ("name = \"x\"\ninherits = \"dark\"\n[palette]\na = \"#12\"\n", 4, "#12"),
            ("name = \"x\"\ninherits = \"dark\"\n[roles]\nokay = { fg = \"red\" }\n", 4, "okay"),
            ("name = \"x\"\n", 1, "text"),
            ("name = \n", 1, ""),
        ] {
            let (_, errors) = Themes::load(&[("x.toml".into(), text.into())]);
            assert_eq!(errors.len(), 1, "{text}");
            assert_eq!((errors[0].line, errors[0].file.as_str()), (line, "x.toml"), "{}", errors[0]);
            assert!(errors[0].problem.contains(word), "{}", errors[0]);
        }
    }

    #[test]
    fn without_colours_what_must_stand_out_does_by_attributes() {
        let (themes, _) = Themes::load(&[]);
        for place in 0..themes.len() {
            let theme = themes.get(place, Depth::None);
            for role in Role::iter() {
                let style = theme.get(role);
                let colourless = |c: Option<Color>| c.is_none_or(|c| c == Color::Reset);
                assert!(colourless(style.fg) && colourless(style.bg), "{}: {role:?}", theme.name());
            }
            for role in [Role::Crit, Role::TabActive, Role::Crosshair, Role::Selection, Role::BadgeLoud, Role::Badge] {
                assert!(!theme.get(role).add_modifier.is_empty(), "{}: {role:?}", theme.name());
            }
        }
    }
}
