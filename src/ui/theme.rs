//! Themes: a palette and the semantic roles that use it, read from TOML; embedded ones and the user's alike.

use std::collections::BTreeMap;

use ratatui::style::{Color, Modifier, Style};
use strum::IntoEnumIterator;

mod file;

use crate::app::words::did_you_mean;
use crate::ui::colour::{self, Depth};
use file::File;

/// What a style means.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, strum::EnumIter, strum::IntoStaticStr)]
#[strum(serialize_all = "kebab-case")]
pub enum Role {
    /// Plain text.
    Text,
    /// Text of less weight: labels, hints, units.
    Muted,
    /// Connected, well.
    Ok,
    /// Being built.
    Connecting,
    /// A warning, or a link of which one direction works.
    Warn,
    /// Down, critical.
    Crit,
    /// Nobody told us.
    Unknown,
    /// About to be too old.
    Stale,
    /// Disconnected on purpose.
    Detached,
    /// Names and titles that stand out.
    Accent,
    /// Lines between areas.
    Border,
    /// The first line of the screen.
    Header,
    /// The tab of a view that is not shown.
    Tab,
    /// The tab of the view that is shown.
    TabActive,
    /// Names of the cursor's row and column.
    Crosshair,
    /// The selected cell or line.
    Selection,
    /// A badge that informs: LAB, READ-ONLY.
    Badge,
    /// A badge that warns: PAUSED.
    BadgeLoud,
    /// A key in hints and help.
    Key,
    /// What lies over a view.
    Dialog,
}

const ROLES: usize = Role::Dialog as usize + 1;

impl Role {
    /// Its word, as theme files write it.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// The role that stands in for it where a theme says nothing of it: a role that is added here needs no line in
    /// any theme. `None`: every theme says it, or inherits it.
    #[must_use]
    pub fn like(self) -> Option<Self> {
        match self {
            Self::Stale => Some(Self::Unknown),
            Self::Tab => Some(Self::Muted),
            Self::Key | Self::Crosshair => Some(Self::Accent),
            Self::BadgeLoud => Some(Self::Badge),
            Self::Dialog => Some(Self::Text),
            Self::Text
            | Self::Muted
            | Self::Ok
            | Self::Connecting
            | Self::Warn
            | Self::Crit
            | Self::Unknown
            | Self::Detached
            | Self::Accent
            | Self::Border
            | Self::Header
            | Self::TabActive
            | Self::Selection
            | Self::Badge => None,
        }
    }
}

/// What is wrong with a theme file.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{file}:{line}: {problem}")]
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

embedded!(
    "terminal",
    "dark",
    "light",
    "high-contrast",
    "colour-blind",
    "mono",
    "solarized-dark",
    "solarized-light",
    "gruvbox-dark",
    "nord",
    "dracula",
    "catppuccin-mocha",
    "tokyo-night",
    "production-red",
);

/// Name of the theme without any colour.
pub const MONO: &str = "mono";

/// Names of the embedded themes.
#[must_use]
pub fn embedded_names() -> Vec<&'static str> {
    EMBEDDED.iter().map(|(name, _)| *name).collect()
}

/// All themes that can be chosen, the embedded ones first.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Themes {
    themes: Vec<Theme>,
}

impl Themes {
    /// The embedded ones and those of the user's folder (file and text), which replace embedded ones of the same name.
    /// Everything that is wrong with any is told, and that one left out.
    #[must_use]
    pub fn load(own: &[(String, String)]) -> (Self, Vec<ThemeError>) {
        let mut errors = Vec::new();
        let mut family = Family::default();
        for (name, text) in EMBEDDED {
            match File::read(&format!("{name}.toml"), text) {
                Ok(file) => family.embedded.push(file),
                Err(wrong) => errors.extend(wrong),
            }
        }
        for (file, text) in own {
            match File::read(file, text) {
                Ok(read) => match family.own.iter().find(|f| f.name == read.name) {
                    Some(other) => {
                        let problem = format!("there is a theme `{}` already, in {}", read.name, other.path);
                        errors.push(ThemeError { file: read.path, line: 1, problem });
                    }
                    None => family.own.push(read),
                },
                Err(wrong) => {
                    family.broken.push(file::stem(file).to_owned());
                    errors.extend(wrong);
                }
            }
        }
        let mut themes: Vec<Theme> = Vec::new();
        for file in family.embedded.iter().chain(&family.own) {
            match family.theme(file) {
                Ok(theme) => match themes.iter_mut().find(|t| t.name == theme.name) {
                    Some(old) => *old = theme,
                    None => themes.push(theme),
                },
                Err(wrong) => errors.extend(wrong),
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

    /// That there is no theme of this name, which one was probably meant, and which there are.
    #[must_use]
    pub fn unknown(&self, name: &str) -> String {
        let names = self.names();
        format!(
            "there is no theme `{name}`{} (there are {})",
            did_you_mean(name, names.iter().copied()),
            names.join(", ")
        )
    }

    /// The theme at `place`, with the colours that the terminal can show.
    #[must_use]
    pub fn get(&self, place: usize, depth: Depth) -> Theme {
        self.themes.get(place).map_or_else(Theme::plain, |t| t.at_depth(depth))
    }
}

/// Theme files before they are held against those that they inherit from.
#[derive(Default)]
struct Family {
    embedded: Vec<File>,
    own: Vec<File>,
    /// Own ones that can't be read.
    broken: Vec<String>,
}

impl Family {
    fn theme(&self, file: &File) -> Result<Theme, Vec<ThemeError>> {
        let line = self.line_of(file).map_err(|error| vec![error])?;
        let mut palette = BTreeMap::new();
        let mut looks = BTreeMap::new();
        // The oldest first: a palette that is changed recolours all roles that use it.
        for ancestor in line.iter().rev() {
            palette.extend(ancestor.palette.clone());
            looks.extend(ancestor.roles.iter().map(|(role, look)| (*role, (&ancestor.path, look))));
        }
        let (mut errors, mut missing) = (Vec::new(), Vec::new());
        let mut styles = [Style::new(); ROLES];
        for role in Role::iter() {
            let found = looks.get(&role).or_else(|| looks.get(&role.like()?));
            match found.map(|(from, look)| (from, look.line, look.style(&palette))) {
                Some((_, _, Ok(style))) => styles[role as usize] = style,
                Some((from, line, Err(wrong))) => {
                    let error = |problem| ThemeError { file: (*from).clone(), line, problem };
                    errors.extend(wrong.into_iter().map(error));
                }
                None => missing.push(role.name()),
            }
        }
        if !missing.is_empty() {
            let problem = format!(
                "nothing is said of {}, and no other theme is inherited: add inherits = \"dark\"",
                missing.join(", ")
            );
            errors.push(ThemeError { file: file.path.clone(), line: 1, problem });
        }
        errors.sort_by_key(|e| e.line);
        errors.dedup();
        if errors.is_empty() { Ok(Theme { name: file.name.clone(), styles }) } else { Err(errors) }
    }

    /// The file and all that it inherits from, itself first.
    fn line_of<'a>(&'a self, file: &'a File) -> Result<Vec<&'a File>, ThemeError> {
        let mut line = vec![file];
        let mut last = file;
        while let Some((name, at)) = &last.inherits {
            let fail = |problem| ThemeError { file: last.path.clone(), line: *at, problem };
            let Some(parent) = self.parent(last, name) else {
                return Err(fail(self.no_parent(name)));
            };
            if line.iter().any(|f| std::ptr::eq(*f, parent)) {
                let names: Vec<&str> = line.iter().map(|f| f.name.as_str()).collect();
                return Err(fail(format!("themes inherit from each other in a circle: {}, {name}", names.join(", "))));
            }
            line.push(parent);
            last = parent;
        }
        Ok(line)
    }

    /// An own theme before an embedded one; one that inherits its own name means the embedded one that it replaces.
    fn parent(&self, of: &File, name: &str) -> Option<&File> {
        let embedded = || self.embedded.iter().find(|f| f.name == name && !std::ptr::eq(*f, of));
        let own = self.own.iter().find(|f| f.name == name);
        match own {
            Some(own) if std::ptr::eq(own, of) => embedded().or(Some(own)),
            Some(own) => Some(own),
            None => self.embedded.iter().find(|f| f.name == name),
        }
    }

    fn no_parent(&self, name: &str) -> String {
        if self.broken.iter().any(|b| b == name) {
            return format!("the theme `{name}` that it inherits from can't be read");
        }
        let mut names: Vec<&str> = self.embedded.iter().chain(&self.own).map(|f| f.name.as_str()).collect();
        names.dedup();
        let hint = did_you_mean(name, names.iter().copied());
        format!("there is no theme `{name}` to inherit from{hint} (there are {})", names.join(", "))
    }
}

impl Theme {
    /// Without any style: what is left when not even an embedded theme can be read.
    #[must_use]
    pub fn plain() -> Self {
        Self { name: "plain".to_owned(), styles: [Style::new(); ROLES] }
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

#[cfg(test)]
mod tests {
    use super::*;

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
