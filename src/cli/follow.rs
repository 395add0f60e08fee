//! Keymap, themes and fleet file as they are now, beside the last good ones: what to take over, and what to tell.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::app::Keymap;
use crate::config::keymap::{self, Loaded};
use crate::config::watch::{Spot, spots_of, spots_of_folder};
use crate::config::{Choice, Fleet, Invalid, Paths, Problem, load};
use crate::ui::Themes;

/// Where the files are.
#[derive(Clone, Debug)]
pub struct Files {
    /// The folders.
    pub paths: Paths,
    /// Which fleet; `None`: one that comes from no file.
    pub choice: Option<Choice>,
    /// Only this cluster of it.
    pub cluster: Option<String>,
}

/// What a look at the files brought.
#[derive(Clone, PartialEq, Debug)]
pub enum News {
    /// Keys do this now.
    Keymap(Keymap),
    /// Other themes, or other clusters with them.
    Themes(ThemesNow),
    /// Another fleet.
    Fleet(Box<Fleet>),
    /// Something is wrong; said once.
    Wrong(String),
    /// Something is in order, in one sentence.
    Good(String),
}

/// The themes, and which cluster has which, in the order of the fleet file.
#[derive(Clone, PartialEq, Debug)]
pub struct ThemesNow {
    /// All of them.
    pub themes: Themes,
    /// Names out of the fleet file.
    pub of_clusters: Vec<Option<String>>,
}

/// What is told once, until it changes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum About {
    Keymap,
    Remarks,
    Theme(String),
    Fleet,
    ClusterThemes,
}

/// Follows the files: each look compares them with the last good ones.
#[derive(Debug)]
pub struct Follower {
    files: Files,
    keymap: Keymap,
    /// Name of each own theme file with its last good text.
    theme_texts: BTreeMap<String, String>,
    themes: Themes,
    fleet: Fleet,
    told: BTreeMap<About, String>,
}

impl Follower {
    /// A first look, with `fleet` as the one that was loaded; what it has to tell comes with the first news.
    #[must_use]
    pub fn new(files: Files, fleet: Fleet) -> (Self, Vec<News>) {
        let themes = Themes::load(&[]).0;
        let mut follower = Self {
            files,
            keymap: Keymap::default(),
            theme_texts: BTreeMap::new(),
            themes,
            fleet,
            told: BTreeMap::new(),
        };
        let (mut news, mut wrong) = (Vec::new(), BTreeMap::new());
        follower.look_at_keymap(&mut news, &mut wrong);
        follower.look_at_themes(&mut wrong);
        follower.look_at_cluster_themes(&mut wrong);
        let mut said: Vec<News> = wrong.values().cloned().map(News::Wrong).collect();
        follower.told = wrong;
        news.retain(|n| matches!(n, News::Wrong(_)));
        said.append(&mut news);
        (follower, said)
    }

    /// The keymap in force.
    #[must_use]
    pub fn keymap(&self) -> &Keymap {
        &self.keymap
    }

    /// The themes in force.
    #[must_use]
    pub fn themes(&self) -> ThemesNow {
        let of_clusters = self.fleet.clusters.iter().map(|c| c.theme.as_ref().map(|t| t.value.clone())).collect();
        ThemesNow { themes: self.themes.clone(), of_clusters }
    }

    /// Where a change may mean that another look brings something new.
    #[must_use]
    pub fn spots(&self) -> BTreeSet<Spot> {
        let mut spots = spots_of(&self.files.paths.keymap());
        spots.append(&mut spots_of_folder(&self.files.paths.themes()));
        if let Some(file) = self.fleet_file() {
            spots.append(&mut spots_of(&file));
        }
        spots
    }

    /// Looks at all files; `by_hand`: a person asked for it and gets an answer in any case.
    pub fn look(&mut self, by_hand: bool) -> Vec<News> {
        let (mut news, mut wrong) = (Vec::new(), BTreeMap::new());
        let before = self.themes();
        self.look_at_keymap(&mut news, &mut wrong);
        self.look_at_themes(&mut wrong);
        self.look_at_fleet(&mut news, &mut wrong);
        self.look_at_cluster_themes(&mut wrong);
        let now = self.themes();
        if now != before {
            if now.themes != before.themes {
                news.push(News::Good("the themes were read again, and hold".to_owned()));
            }
            news.push(News::Themes(now));
        }
        for (about, text) in &wrong {
            if by_hand || self.told.get(about) != Some(text) {
                news.push(News::Wrong(text.clone()));
            }
        }
        for about in self.told.keys().filter(|a| !wrong.contains_key(*a)) {
            if let Some(name) = self.name(about) {
                news.push(News::Good(format!("{name} recovered: it is in order again, and holds")));
            }
        }
        self.told = wrong;
        if by_hand && news.is_empty() {
            news.push(News::Good("keymap, themes and fleet file were read again: nothing is new".to_owned()));
        }
        news
    }

    fn name(&self, about: &About) -> Option<String> {
        match about {
            About::Keymap => Some(file_name(&self.files.paths.keymap())),
            About::Theme(file) => Some(file.clone()),
            About::Fleet | About::ClusterThemes => self.fleet_file().map(|f| file_name(&f)),
            About::Remarks => None,
        }
    }

    fn look_at_keymap(&mut self, news: &mut Vec<News>, wrong: &mut BTreeMap<About, String>) {
        match read_keymap(&self.files.paths) {
            Ok(Loaded { keymap, remarks }) => {
                if !remarks.is_empty() {
                    wrong.insert(About::Remarks, short(&remarks));
                }
                if keymap != self.keymap {
                    self.keymap = keymap.clone();
                    news.push(News::Keymap(keymap));
                    if !self.told.contains_key(&About::Keymap) {
                        news.push(News::Good("the keymap was read again, and holds".to_owned()));
                    }
                }
            }
            Err(invalid) => {
                wrong.insert(About::Keymap, format!("{} The last good keymap stays", sentence(&invalid.0)));
            }
        }
    }

    /// A file that is wrong keeps its last good text.
    fn look_at_themes(&mut self, wrong: &mut BTreeMap<About, String>) {
        let (mut texts, unreadable) = theme_texts(&self.files.paths.themes());
        let mut problems: BTreeMap<String, Vec<Problem>> = BTreeMap::new();
        for problem in unreadable {
            let file = file_name(&problem.file);
            if let Some(good) = self.theme_texts.get(&file) {
                texts.insert(file.clone(), good.clone());
            }
            problems.entry(file).or_default().push(problem);
        }
        // Once more for each file that turns out to be wrong only without the others' errors.
        for _ in 0..=texts.len() {
            let own: Vec<(String, String)> = texts.iter().map(|(f, t)| (f.clone(), t.clone())).collect();
            let (themes, errors) = Themes::load(&own);
            if errors.is_empty() {
                self.themes = themes;
                break;
            }
            // Heirs of a wrong file complain of it as well: it is put right once.
            let wrong_files: BTreeSet<String> = errors.iter().map(|e| e.file.clone()).collect();
            for file in wrong_files {
                let good = self.theme_texts.get(&file).filter(|g| texts.get(&file) != Some(g)).cloned();
                match good {
                    Some(good) => texts.insert(file, good),
                    None => texts.remove(&file),
                };
            }
            for error in errors {
                let problem = Problem { file: error.file.clone().into(), line: Some(error.line), what: error.problem };
                let of = problems.entry(error.file).or_default();
                if !of.contains(&problem) {
                    of.push(problem);
                }
            }
        }
        self.theme_texts = texts;
        for (file, problems) in problems {
            let stays = if self.theme_texts.contains_key(&file) { "The last good one stays" } else { "It is left out" };
            wrong.insert(About::Theme(file), format!("{} {stays}", sentence(&problems)));
        }
    }

    fn look_at_fleet(&mut self, news: &mut Vec<News>, wrong: &mut BTreeMap<About, String>) {
        match read_fleet(&self.files) {
            Some(Ok(fleet)) if fleet != self.fleet => {
                self.fleet = fleet.clone();
                news.push(News::Fleet(Box::new(fleet)));
            }
            Some(Ok(_)) | None => {}
            Some(Err(why)) => {
                wrong.insert(About::Fleet, why);
            }
        }
    }

    fn look_at_cluster_themes(&self, wrong: &mut BTreeMap<About, String>) {
        let problems = unknown_themes(&self.fleet, &self.themes);
        if !problems.is_empty() {
            wrong.insert(About::ClusterThemes, format!("{} The usual theme is shown", sentence(&problems)));
        }
    }

    fn fleet_file(&self) -> Option<PathBuf> {
        fleet_file(&self.files)
    }
}

/// The file that the fleet stands in; `None`: it comes from the command line.
#[must_use]
pub fn fleet_file(files: &Files) -> Option<PathBuf> {
    match files.choice.as_ref()? {
        Choice::Default => Some(files.paths.default_fleet()),
        Choice::File(file) => Some(file.clone()),
        Choice::Name(name) => Some(files.paths.named_fleet(name)),
        Choice::Target(_) => None,
    }
}

/// The fleet as its file says it now; `None` where there is no file.
///
/// # Errors
/// What is wrong with it, in a sentence.
#[must_use]
pub fn read_fleet(files: &Files) -> Option<Result<Fleet, String>> {
    let (file, choice) = (fleet_file(files)?, files.choice.as_ref()?);
    let read = choice.load(&files.paths);
    let read = read.and_then(|f| f.ok_or_else(|| Invalid::file(&file, "is gone")));
    let only = |fleet: Fleet| match &files.cluster {
        Some(name) => fleet.only(name).map_err(|why| Invalid::file(&file, why)),
        None => Ok(fleet),
    };
    let read = read.and_then(only);
    Some(read.map_err(|invalid| format!("{} The last good fleet stays", sentence(&invalid.0))))
}

/// The user's keymap; the table's own where there is no file.
///
/// # Errors
/// Everything that is wrong with it.
pub fn read_keymap(paths: &Paths) -> Result<Loaded, Invalid> {
    let file = paths.keymap();
    match file.symlink_metadata() {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(Loaded::default()),
        Ok(_) | Err(_) => keymap::parse(&file, &load::read(&file)?),
    }
}

/// The user's themes, file name and text, and those files that can't be read.
#[must_use]
pub fn theme_texts(folder: &Path) -> (BTreeMap<String, String>, Vec<Problem>) {
    let (mut texts, mut problems) = (BTreeMap::new(), Vec::new());
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|e| e.path());
    for file in entries.filter(|f| f.extension().is_some_and(|e| e == "toml")) {
        match load::read(&file) {
            Ok(text) => {
                texts.insert(file_name(&file), text);
            }
            // Gone since the folder was listed: an editor is at work, and will be heard of again.
            Err(_) if file.symlink_metadata().is_err() => {}
            Err(invalid) => problems.extend(invalid.0),
        }
    }
    (texts, problems)
}

/// Clusters whose theme is none.
#[must_use]
pub fn unknown_themes(fleet: &Fleet, themes: &Themes) -> Vec<Problem> {
    let file = fleet.file.clone().unwrap_or_default();
    let named = fleet.clusters.iter().filter_map(|c| c.theme.as_ref());
    named
        .filter(|t| themes.position(&t.value).is_none())
        .map(|t| Problem { file: file.clone(), line: t.origin.line(), what: themes.unknown(&t.value) })
        .collect()
}

/// As [`short`], with an end.
fn sentence(problems: &[Problem]) -> String {
    let text = short(problems);
    if text.ends_with('?') { text } else { format!("{text}.") }
}

/// The first problem in one line, without the way to its file, and how many more there are.
fn short(problems: &[Problem]) -> String {
    let Some(first) = problems.first() else { return String::new() };
    let line = first.line.map_or_else(String::new, |l| format!(":{l}"));
    let more = match problems.len() - 1 {
        0 => String::new(),
        n => format!(" (and {n} more: peerdeck config check)"),
    };
    // Messages name their file by its whole path where they mean another line of it.
    let name = file_name(&first.file);
    let what = first.what.replace(&first.file.display().to_string(), &name);
    // Where one word was probably meant, the list of all others is for `config check`.
    let what = match what.split_once('?') {
        Some((hint, list)) if hint.contains("did you mean") && list.starts_with(" (") => format!("{hint}?"),
        Some(_) | None => what,
    };
    format!("{name}{line}: {what}{more}")
}

fn file_name(file: &Path) -> String {
    file.file_name().map_or_else(|| file.display().to_string(), |n| n.to_string_lossy().into_owned())
}
