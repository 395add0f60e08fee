//! Keymap, themes and fleet file that change while somebody follows them, as editors and people change them.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use peerdeck::app::Action;
use peerdeck::app::action::Scope;
use peerdeck::cli::connect::{Face, Links};
use peerdeck::cli::follow::{Files, Follower, News};
use peerdeck::cli::reload::{self, Reload};
use peerdeck::clock::{Clock, SystemClock};
use peerdeck::config::watch::spots_of;
use peerdeck::config::{Choice, Fleet, Paths};
use peerdeck::domain::reach::{Endpoint, EndpointKey, PeerEvent, PeerRequest};
use peerdeck::engine::runtime::{Connector, Observer, spawn};
use peerdeck::engine::{Config, Reconfiguration};
use tokio::sync::mpsc;
use tokio::time::timeout;

const DEADLINE: Duration = Duration::from_secs(20);
const FACE: Face = Face { name: "test", interactive: false, one_shot: false };
const FLEET: &str =
    "[[cluster]]\nname = \"a\"\ndiscover = false\ndns = [\"127.0.0.1\"]\n[[cluster.peer]]\nhost = \"lab1\"\n";

/// A home of its own.
struct Home {
    dir: tempfile::TempDir,
    paths: Paths,
}

impl Home {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let config = dir.path().join("config/peerdeck");
        std::fs::create_dir_all(config.join("themes")).unwrap();
        let paths = Paths { home: dir.path().to_owned(), config, state: dir.path().join("state") };
        Self { dir, paths }
    }

    /// As most editors do it: another file is written and renamed over the old one.
    fn put(&self, file: &Path, text: &str) {
        let new = self.dir.path().join("new");
        std::fs::write(&new, text).unwrap();
        std::fs::rename(&new, file).unwrap();
    }

    fn files(&self) -> Files {
        // As the console does it: a fleet that comes from no file is not looked for.
        let choice = self.paths.default_fleet().exists().then_some(Choice::Default);
        Files { paths: self.paths.clone(), choice, cluster: None }
    }

    fn follower(&self) -> Follower {
        let fleet = Choice::Default.load(&self.paths).unwrap().unwrap_or_default();
        Follower::new(self.files(), fleet).0
    }

    fn theme(&self, name: &str) -> PathBuf {
        self.paths.themes().join(name)
    }
}

fn told(news: &[News]) -> Vec<&str> {
    news.iter().filter_map(|n| if let News::Wrong(t) | News::Good(t) = n { Some(t.as_str()) } else { None }).collect()
}

#[test]
fn what_is_broken_is_said_once_the_last_good_one_stays_and_recovery_is_told() {
    let home = Home::new();
    let keys = home.paths.keymap();
    home.put(&keys, "\"x\" = \"sort\"\n");
    let mut follower = home.follower();
    assert_eq!(follower.look(false), [], "nothing is new");
    home.put(&keys, "\"x\" = \"srot\"\n");
    let news = follower.look(false);
    assert_eq!(
        told(&news),
        ["keys.toml:1: unknown action \"srot\", did you mean \"sort\"? The last good keymap stays"]
    );
    assert_eq!(follower.look(false), [], "said once");
    assert_eq!(follower.keymap().first_key(Scope::Mesh, Action::Sort).as_deref(), Some("x"));
    home.put(&keys, "\"x\" = \"soort\"\n");
    assert_eq!(told(&follower.look(false)).len(), 1, "another error is another word");
    home.put(&keys, "\"x\" = \"sort\"\n");
    assert_eq!(told(&follower.look(false)), ["keys.toml recovered: it is in order again, and holds"]);
    assert_eq!(follower.look(false), []);
    std::fs::remove_file(&keys).unwrap();
    let news = follower.look(false);
    assert!(matches!(&news[..], [News::Keymap(_), News::Good(_)]), "without a file the table holds: {news:?}");
}

#[test]
fn a_look_by_hand_always_answers() {
    let home = Home::new();
    home.put(&home.paths.default_fleet(), FLEET);
    let mut follower = home.follower();
    assert_eq!(told(&follower.look(true)), ["keymap, themes and fleet file were read again: nothing is new"]);
    home.put(&home.paths.keymap(), "\"x\" = 3\n");
    assert_eq!(told(&follower.look(false)).len(), 1);
    assert_eq!(told(&follower.look(true)).len(), 1, "what is still wrong is said again");
}

#[test]
fn a_theme_that_breaks_keeps_its_last_good_text_and_its_heirs() {
    let home = Home::new();
    home.put(&home.theme("mine.toml"), "inherits = \"nord\"\n");
    home.put(&home.theme("child.toml"), "inherits = \"mine\"\n");
    let mut follower = home.follower();
    let themes = follower.themes().themes;
    assert!(themes.position("mine").is_some() && themes.position("child").is_some());
    home.put(&home.theme("mine.toml"), "inherits = \"nrod\"\n");
    let news = follower.look(false);
    let said = told(&news);
    assert!(
        said[0].starts_with("mine.toml:1: there is no theme `nrod`") && said[0].ends_with("The last good one stays")
    );
    assert_eq!(follower.themes().themes, themes);
    home.put(&home.theme("mine.toml"), "inherits = \"dracula\"\n");
    let news = follower.look(false);
    assert!(news.iter().any(|n| matches!(n, News::Themes(_))), "{news:?}");
    assert!(told(&news).iter().any(|t| t.contains("mine.toml recovered")), "{news:?}");
    home.put(&home.theme("new.toml"), "nmae = \"x\"\n");
    let news = follower.look(false);
    assert!(told(&news)[0].ends_with("It is left out"), "{news:?}");
}

#[test]
fn the_fleet_file_gives_clusters_their_themes_and_an_unknown_one_is_told() {
    let home = Home::new();
    let fleet = home.paths.default_fleet();
    home.put(&fleet, FLEET);
    let mut follower = home.follower();
    home.put(&fleet, &FLEET.replace("discover", "theme = \"production-red\"\ndiscover"));
    let news = follower.look(false);
    assert!(matches!(&news[..], [News::Fleet(_), News::Themes(_)]), "{news:?}");
    assert_eq!(follower.themes().of_clusters, [Some("production-red".to_owned())]);
    home.put(&fleet, &FLEET.replace("discover", "theme = \"productoin-red\"\ndiscover"));
    let news = follower.look(false);
    let said =
        "fleet.toml:3: there is no theme `productoin-red`, did you mean \"production-red\"? The usual theme is shown";
    assert_eq!(told(&news), [said]);
    home.put(&fleet, "[[cluster]]\n");
    assert!(told(&follower.look(false)).iter().any(|t| t.contains("The last good fleet stays")));
    std::fs::remove_file(&fleet).unwrap();
    assert!(told(&follower.look(false)).iter().any(|t| t.contains("fleet.toml: is gone")));
}

#[test]
fn every_link_on_the_way_is_watched() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().canonicalize().unwrap();
    std::fs::create_dir_all(root.join("checkout/deep")).unwrap();
    std::os::unix::fs::symlink("checkout", root.join("config")).unwrap();
    std::os::unix::fs::symlink("deep/real.toml", root.join("checkout/keys.toml")).unwrap();
    let spots = spots_of(&root.join("config/keys.toml"));
    let wanted =
        [(root.clone(), "config"), (root.join("checkout"), "keys.toml"), (root.join("checkout/deep"), "real.toml")];
    for (folder, name) in &wanted {
        assert!(spots.contains(&(folder.clone(), Some((*name).into()))), "{folder:?} {name}: {spots:?}");
    }
    assert_eq!(spots.len(), wanted.len(), "and nothing else: {spots:?}");
    let spots = spots_of(&root.join("nowhere/at/all.toml"));
    assert_eq!(
        spots.into_iter().collect::<Vec<_>>(),
        [(root.clone(), Some("nowhere".into()))],
        "what is missing first"
    );
    std::os::unix::fs::symlink("loop", root.join("loop")).unwrap();
    assert_eq!(spots_of(&root.join("loop/x")).len(), 1, "a link to itself ends");
}

/// Actors that say nothing.
struct Mute;

impl Connector for Mute {
    fn start(&self, _: Endpoint, events: mpsc::Sender<(EndpointKey, PeerEvent)>) -> mpsc::Sender<PeerRequest> {
        let (sender, mut requests) = mpsc::channel(4);
        tokio::spawn(async move {
            while requests.recv().await.is_some() {}
            drop(events);
        });
        sender
    }
}

fn follow(home: &Home) -> (Reload, Observer) {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let (observer, commander) = spawn(Config::default(), Arc::new(Mute), clock);
    let links = Arc::new(Links::new(&Fleet::default(), &home.paths, FACE).unwrap());
    (reload::follow(home.follower(), links, commander.reconfigurer()), observer)
}

/// Waits for news of which `wanted` holds; others before it are let go.
async fn see(reload: &mut Reload, what: &str, wanted: impl Fn(&News) -> bool) {
    let wait = async {
        loop {
            let news = reload.news.recv().await.unwrap();
            if wanted(&news) {
                return;
            }
        }
    };
    assert!(timeout(DEADLINE, wait).await.is_ok(), "never: {what}");
}

fn sorts_with(key: &str) -> impl Fn(&News) -> bool {
    move |n| matches!(n, News::Keymap(k) if k.keys_of(Scope::Mesh, Action::Sort).iter().any(|x| x == key))
}

#[tokio::test]
async fn files_are_followed_as_editors_write_them() {
    let home = Home::new();
    let keys = home.paths.keymap();
    let (mut reload, _observer) = follow(&home);
    std::fs::write(&keys, "\"F5\" = \"sort\"\n").unwrap();
    see(&mut reload, "a file that was not there", sorts_with("F5")).await;
    home.put(&keys, "\"F6\" = \"sort\"\n");
    see(&mut reload, "a rename over it", sorts_with("F6")).await;
    home.put(&keys, "\"F6\" = \n");
    see(&mut reload, "a broken one", |n| matches!(n, News::Wrong(t) if t.starts_with("keys.toml:1:"))).await;
    std::fs::write(&keys, "\"F8\" = \"sort\"\n").unwrap();
    see(&mut reload, "a mended one, written in place", sorts_with("F8")).await;
    see(&mut reload, "its recovery", |n| matches!(n, News::Good(t) if t.contains("recovered"))).await;
    home.put(&home.theme("mine.toml"), "inherits = \"nord\"\n");
    see(&mut reload, "a new theme", |n| matches!(n, News::Themes(t) if t.themes.position("mine").is_some())).await;
    reload.ask.send(()).await.unwrap();
    see(&mut reload, "an answer", |n| matches!(n, News::Good(t) if t.contains("nothing is new"))).await;
}

#[tokio::test]
async fn a_linked_folder_a_linked_file_and_a_link_that_is_moved_are_followed() {
    let mut home = Home::new();
    let root = home.dir.path().to_owned();
    for (at, key) in [("one", "F5"), ("two", "F6")] {
        std::fs::create_dir_all(root.join(at).join("files")).unwrap();
        std::fs::write(root.join(at).join("files/keys.toml"), format!("\"{key}\" = \"sort\"\n")).unwrap();
        std::os::unix::fs::symlink("files/keys.toml", root.join(at).join("keys.toml")).unwrap();
    }
    std::os::unix::fs::symlink("one", root.join("linked")).unwrap();
    home.paths.config = root.join("linked");
    let (mut reload, _observer) = follow(&home);
    home.put(&root.join("one/files/keys.toml"), "\"F7\" = \"sort\"\n");
    see(&mut reload, "the file behind two links", sorts_with("F7")).await;
    // The way `ln -sfn` and deployments do it: another link is renamed over the old one.
    std::os::unix::fs::symlink("two", root.join("other")).unwrap();
    std::fs::rename(root.join("other"), root.join("linked")).unwrap();
    see(&mut reload, "the other folder", sorts_with("F6")).await;
    home.put(&root.join("two/files/keys.toml"), "\"F8\" = \"sort\"\n");
    see(&mut reload, "a file in the other folder", sorts_with("F8")).await;
}

#[tokio::test]
async fn a_folder_that_comes_later_is_followed_from_then_on() {
    let mut home = Home::new();
    home.paths.config = home.dir.path().join("later/peerdeck");
    let (mut reload, _observer) = follow(&home);
    std::fs::create_dir_all(&home.paths.config).unwrap();
    std::fs::write(home.paths.keymap(), "\"F5\" = \"sort\"\n").unwrap();
    see(&mut reload, "its keymap", sorts_with("F5")).await;
}

#[tokio::test]
async fn another_fleet_file_goes_to_the_engine() {
    let home = Home::new();
    home.put(&home.paths.default_fleet(), FLEET);
    let (mut reload, mut observer) = follow(&home);
    let more = format!("{FLEET}[[cluster]]\nname = \"b\"\ndns = [\"127.0.0.1\"]\n[[cluster.peer]]\nhost = \"lab9\"\n");
    home.put(&home.paths.default_fleet(), &more);
    see(&mut reload, "the fleet", |n| matches!(n, News::Good(t) if t.contains("fleet file"))).await;
    let both = observer.snapshots.wait_for(|s| s.clusters.iter().map(|c| c.name.as_str()).eq(["a", "b"]));
    assert!(timeout(DEADLINE, both).await.is_ok_and(|s| s.is_ok()), "the engine has both");
}

#[tokio::test]
async fn only_endpoints_that_are_connected_to_in_another_way_begin_anew() {
    let home = Home::new();
    let two = format!("[defaults]\nuser = \"op\"\nstale = \"4s\"\n{FLEET}[[cluster.peer]]\nhost = \"lab2\"\n");
    let fleet = |text: &str| Fleet::parse(&home.paths.default_fleet(), text, &home.paths.home).unwrap();
    let links = Links::new(&fleet(&two), &home.paths, FACE).unwrap();
    let (events, _rest) = mpsc::channel(64);
    let cluster = fleet(&two).clusters.remove(0);
    let mut senders = Vec::new();
    for peer in &cluster.peers {
        senders.push(links.start(links.endpoint(&cluster.name, &peer.host, &peer.settings), events.clone()));
    }
    let restarted = |new: Reconfiguration| new.restart.iter().map(|k| k.host.to_string()).collect::<Vec<_>>();
    let moved = format!("# a comment moves every line\n\n{}", two.replace("4s", "9s"));
    assert_eq!(restarted(links.change(&fleet(&moved)).unwrap()), [] as [&str; 0], "limits are no way to connect");
    let jump = format!("{two}via = \"bastion.example.com\"\n");
    assert_eq!(restarted(links.change(&fleet(&jump)).unwrap()), ["lab2"]);
    let user = jump.replace("\"op\"", "\"admin\"");
    assert_eq!(restarted(links.change(&fleet(&user)).unwrap()), ["lab1", "lab2"]);
    let new = links.change(&fleet(FLEET)).unwrap();
    assert_eq!(new.config.clusters[0].endpoints.len(), 1);
}
