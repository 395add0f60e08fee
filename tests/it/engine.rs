//! The engine: scenarios from files, and what they can't say.

#[path = "engine/pair.rs"]
pub mod pair;
#[path = "engine/reconfigure.rs"]
mod reconfigure;
#[path = "engine/runtime.rs"]
mod runtime;
#[path = "engine/scenario.rs"]
mod scenario;
#[path = "engine/settings.rs"]
mod settings;
#[path = "engine/steps.rs"]
mod steps;
#[path = "engine/world.rs"]
pub mod world;

use std::collections::BTreeSet;
use std::path::PathBuf;

use peerdeck::domain::FindingKind;
use strum::IntoEnumIterator;

fn files() -> Vec<PathBuf> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios");
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    files.retain(|f| f.extension().is_some_and(|e| e == "toml"));
    files.sort();
    files
}

/// `SCENARIO=name` plays one.
#[test]
fn every_scenario_raises_and_clears_what_it_says_and_nothing_else() {
    let only = std::env::var("SCENARIO").ok();
    let mut wrong = Vec::new();
    let mut played = 0;
    for file in files() {
        let name = file.file_stem().unwrap().to_string_lossy().into_owned();
        if only.as_ref().is_some_and(|o| *o != name) {
            continue;
        }
        played += 1;
        if let Err(why) = scenario::play(&file) {
            wrong.push(format!("{name}:\n{why}"));
        }
    }
    assert!(played > 0, "no scenario of that name");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_kind_of_finding_has_a_scenario_that_raises_it() {
    let raised: BTreeSet<FindingKind> = files().iter().flat_map(|f| scenario::kinds_raised(f)).collect();
    let missing: Vec<&str> = FindingKind::iter().filter(|k| !raised.contains(k)).map(FindingKind::as_str).collect();
    assert!(missing.is_empty(), "no scenario raises {missing:?}");
}
