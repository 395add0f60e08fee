//! What can be configured, as console and commands know it: the built-in features, and those that the site has put
//! into `features.d` beside the fleet file. Peers read the folder of the same name in their state directory.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::config::{Fleet, Invalid, Problem, load};
use crate::domain::settings::Catalogue;
use crate::proto::features;

/// The folder's name.
const FOLDER: &str = "features.d";

/// Where a fleet's site features are; `None` for one that comes from no file.
#[must_use]
pub fn folder(fleet: &Fleet) -> Option<PathBuf> {
    fleet.file.as_deref().and_then(Path::parent).map(|dir| dir.join(FOLDER))
}

/// The features of this fleet.
///
/// # Errors
/// Everything that is wrong with any of the files, with file and line.
pub fn catalogue(fleet: &Fleet) -> Result<Arc<Catalogue>, Invalid> {
    let files = match folder(fleet) {
        Some(folder) => files(&folder)?,
        None => Vec::new(),
    };
    if files.is_empty() {
        return Ok(features::built_in());
    }
    let (mut texts, mut problems) = (Vec::new(), Vec::new());
    for file in &files {
        match load::read(file) {
            Ok(text) => texts.push((file.display().to_string(), text)),
            Err(invalid) => problems.extend(invalid.0),
        }
    }
    let texts: Vec<(&str, &str)> = texts.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    match features::catalogue(&texts) {
        Ok(table) if problems.is_empty() => Ok(Arc::new(table)),
        Ok(_) => Err(Invalid(problems)),
        Err(wrong) => {
            let problem =
                |p: features::FeatureProblem| Problem { file: p.file.into(), line: Some(p.line), what: p.what };
            problems.extend(wrong.into_iter().map(problem));
            Err(Invalid(problems))
        }
    }
}

/// The files of the site, in the order of their names; none where there is no folder.
///
/// # Errors
/// When the folder is there and can't be listed.
pub fn files(folder: &Path) -> Result<Vec<PathBuf>, Invalid> {
    let unreadable = |e: std::io::Error| Invalid::file(folder, format!("can't be read: {e}"));
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(unreadable(e)),
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.map_err(unreadable)?.path();
        if path.extension().is_some_and(|e| e == "toml") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}
