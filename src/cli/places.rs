//! Where peerdeck keeps what belongs to one fleet: the state of the watch, and what was recorded.

use std::fmt::Write as _;
use std::path::PathBuf;

use ring::digest::{SHA256, digest};

use crate::config::{Fleet, Paths};

/// Longest stem that goes into a file name, in characters.
const STEM_MAX: usize = 40;

/// The state of the watch (B5): what the fleet file says, else `watch/<fleet>.db` in peerdeck's own folder.
#[must_use]
pub fn watch_state(paths: &Paths, fleet: &Fleet) -> PathBuf {
    match &fleet.watch.state {
        Some(file) => file.clone(),
        None => paths.state.join("watch").join(format!("{}.db", name(fleet))),
    }
}

/// The folder of what is recorded (B6): `record/<fleet>` in peerdeck's own folder.
#[must_use]
pub fn recording(paths: &Paths, fleet: &Fleet) -> PathBuf {
    paths.state.join("record").join(name(fleet))
}

/// The stem of the fleet file and a sum of its full path, of the target where there is no file: two fleets of one
/// name are kept apart, and a fleet that is named in two ways is the same.
fn name(fleet: &Fleet) -> String {
    if let Some(file) = &fleet.file {
        let whole = file.canonicalize().or_else(|_| std::path::absolute(file)).unwrap_or_else(|_| file.clone());
        let stem = whole.file_stem().unwrap_or_default().to_string_lossy();
        return named(&stem, whole.as_os_str().as_encoded_bytes());
    }
    let peers = fleet.clusters.iter().flat_map(|c| &c.peers);
    let target = peers.map(|p| {
        let set = |v: &Option<crate::config::Set<String>>| v.as_ref().map_or_else(String::new, |s| s.value.clone());
        let port = p.settings.port.as_ref().map_or_else(String::new, |p| p.value.to_string());
        format!("{}@{}:{port}", set(&p.settings.user), p.host)
    });
    let target = target.collect::<Vec<_>>().join(" ");
    named(&target, target.as_bytes())
}

fn named(stem: &str, whole: &[u8]) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.') { c } else { '-' };
    let stem: String = stem.trim_start_matches('.').chars().take(STEM_MAX).map(plain).collect();
    let mut name = if stem.is_empty() { "fleet".to_owned() } else { stem };
    name.push('-');
    for byte in digest(&SHA256, whole).as_ref().iter().take(4) {
        let _ = write!(name, "{byte:02x}"); // Writing into a text can't fail.
    }
    name
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::Via;

    fn paths() -> Paths {
        let home = PathBuf::from("/h");
        Paths { config: home.join("c"), state: home.join("s"), home }
    }

    #[test]
    fn b5_two_fleets_of_one_name_have_two_states_and_one_fleet_has_one() {
        let fleet = |file: &str| Fleet { file: Some(file.into()), ..Fleet::default() };
        let of = |file: &str| watch_state(&paths(), &fleet(file));
        assert!(of("/none/a/noc.toml").to_string_lossy().starts_with("/h/s/watch/noc-"));
        assert_ne!(of("/none/a/noc.toml"), of("/none/b/noc.toml"));
        assert_eq!(of("/none/a/noc.toml"), of("/none/a/noc.toml"));
        assert_eq!(of("/none/a/..toml").parent().unwrap(), Path::new("/h/s/watch"), "no way out of the folder");
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("noc.toml");
        std::fs::write(&file, "").unwrap();
        std::os::unix::fs::symlink(&file, dir.path().join("link.toml")).unwrap();
        let linked = recording(&paths(), &fleet(dir.path().join("link.toml").to_str().unwrap()));
        let real = recording(&paths(), &fleet(file.to_str().unwrap()));
        assert_eq!(linked, real);
    }

    #[test]
    fn b5_a_target_has_a_state_of_its_own() {
        let of = |target: &str| watch_state(&paths(), &Fleet::of_target(&Via::parse(target).unwrap()));
        assert_ne!(of("admin@lab1.example.com"), of("admin@lab2.example.com"));
        assert_ne!(of("admin@lab1.example.com:22"), of("admin@lab1.example.com:2222"));
        assert!(!of("admin@[::1]:2222").file_name().unwrap().to_string_lossy().contains([':', '[', '/']));
    }
}
