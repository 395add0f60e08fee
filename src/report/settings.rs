//! Settings by mode: `settings`, what is defined where and what applies where.

use serde::Serialize;
use serde_json::{Number, Value as Json};

use super::table::{Style, Table, Tone, cell, paint};
use super::{count, rfc3339};
use crate::domain::ids::FeatureName;
use crate::domain::settings::catalogue::Catalogue;
use crate::domain::settings::{Content, Key, ModeId, Tree, Value, Version};
use crate::domain::snapshot::{Cluster, Settings};
use crate::domain::time::Time;

/// What is asked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Question {
    /// All modes and what each defines.
    Tree,
    /// What is defined at a mode, and what it inherits.
    Mode(ModeId),
    /// One feature at a mode.
    Feature(ModeId, FeatureName),
    /// Where a feature is defined (C10).
    Defined(FeatureName),
}

/// The settings of one cluster, as one peer tells them.
#[derive(Clone, Copy)]
pub struct Told<'a> {
    /// Which cluster.
    pub cluster: &'a Cluster,
    /// Its settings.
    pub settings: &'a Settings,
}

impl<'a> Told<'a> {
    /// Those that are told of the clusters in a picture.
    pub fn all(clusters: impl IntoIterator<Item = &'a Cluster>) -> Vec<Self> {
        clusters
            .into_iter()
            .filter_map(|c| c.settings.as_deref().map(|settings| Self { cluster: c, settings }))
            .collect()
    }

    /// The tree.
    #[must_use]
    pub fn tree(&self) -> &'a Tree {
        &self.settings.tree
    }
}

/// `peerdeck.settings/1`.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct SettingsDoc {
    schema: &'static str,
    at: String,
    /// Whose tree it is, a line each cluster.
    sources: Vec<SourceDoc>,
    /// Every mode of the clusters, those that define nothing too; only without a MODE.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    modes: Vec<PlaceDoc>,
    features: Vec<FeatureDoc>,
}

/// Who told it.
#[derive(Clone, PartialEq, Debug, Serialize)]
struct SourceDoc {
    cluster: String,
    peer: String,
    digest: String,
    updated_at: String,
}

/// A mode: level and name. Level `factory` has no name.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct ModeDoc {
    level: &'static str,
    name: Option<String>,
}

/// A mode and its cluster.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
struct PlaceDoc {
    cluster: String,
    #[serde(flatten)]
    mode: ModeDoc,
    /// The group of a machine.
    group: Option<String>,
    defines: usize,
}

/// A feature at a mode.
#[derive(Clone, PartialEq, Debug, Serialize)]
struct FeatureDoc {
    cluster: String,
    feature: String,
    mode: ModeDoc,
    /// Whether this very mode defines it; an empty override does.
    defined: bool,
    /// Whether what applies is empty; null when nothing applies.
    empty: Option<bool>,
    /// What applies at the mode; null when nobody defines it and there is no factory default.
    value: Option<Json>,
    /// Where that comes from; null when there is nothing.
    effective_from: Option<ModeDoc>,
    updated_at: Option<String>,
    updated_by: Option<String>,
    updated_on: Option<String>,
    /// How many versions stand beside each other there; more than one may be a conflict.
    versions: usize,
    conflict: bool,
}

/// A value as JSON.
#[must_use]
pub fn json(value: &Value) -> Json {
    match value {
        Value::Bool(b) => Json::Bool(*b),
        Value::Int(n) => Json::Number((*n).into()),
        Value::Float(n) => Number::from_f64(*n).map_or(Json::Null, Json::Number),
        Value::Text(text) => Json::String(crate::domain::settings::secrets::shown(text).to_owned()),
        Value::List(items) => Json::Array(items.iter().map(json).collect()),
        Value::Table(fields) => Json::Object(fields.iter().map(|(k, v)| (k.to_string(), json(v))).collect()),
    }
}

impl ModeDoc {
    /// With the name that people know.
    #[must_use]
    pub fn new(tree: &Tree, mode: &ModeId) -> Self {
        let name = match mode {
            ModeId::Cluster => tree.structure().name.to_string(),
            ModeId::Group(id) => tree.structure().group(id).map_or_else(|| id.to_string(), ToString::to_string),
            ModeId::Machine(id) => tree.host(id),
        };
        Self { level: mode.level().into(), name: Some(name) }
    }

    /// The mode that a register belongs to.
    #[must_use]
    pub fn of_key(tree: &Tree, key: &Key) -> Self {
        Self::new(
            tree,
            &match key {
                Key::ClusterName | Key::Addressing => ModeId::Cluster,
                Key::GroupName(id) | Key::GroupDeleted(id) => ModeId::Group(id.clone()),
                Key::MachineIdentity(id) | Key::MachineGroup(id) | Key::MachineRemoved(id) | Key::SecretKey(_, id) => {
                    ModeId::Machine(id.clone())
                }
                Key::Feature(mode, _) => mode.clone(),
            },
        )
    }
}

/// A feature, with the mode that it is looked at from: what applies there.
struct Look<'a> {
    told: Told<'a>,
    mode: ModeId,
    feature: FeatureName,
    from: Option<(ModeId, &'a Version)>,
    factory: Option<&'a Value>,
}

impl<'a> Look<'a> {
    fn new(told: Told<'a>, catalogue: &'a Catalogue, mode: &ModeId, feature: &FeatureName) -> Self {
        let from = told.tree().applies(mode, feature);
        let factory = catalogue.feature(feature).and_then(|f| f.factory.as_deref()).filter(|_| from.is_none());
        Self { told, mode: mode.clone(), feature: feature.clone(), from, factory }
    }

    fn value(&self) -> Option<&'a Value> {
        match &self.from {
            Some((_, version)) => version.content.value().map(AsRef::as_ref),
            None => self.factory,
        }
    }

    fn is_defined(&self) -> bool {
        self.from.as_ref().is_some_and(|(mode, _)| *mode == self.mode)
    }

    /// Where it is defined, in words for a person who looks at this mode.
    fn origin(&self) -> String {
        match &self.from {
            Some(_) if self.is_defined() => "here".to_owned(),
            Some((mode, _)) => self.told.tree().mode_name(mode),
            None if self.factory.is_some() => "factory default".to_owned(),
            None => "nowhere".to_owned(),
        }
    }

    fn conflict(&self) -> (usize, bool) {
        let place = self.from.as_ref().map_or(&self.mode, |(mode, _)| mode);
        let entry = self.told.tree().entry(&Key::Feature(place.clone(), self.feature.clone()));
        entry.map_or((0, false), |e| (e.versions().len(), e.is_conflict()))
    }

    fn document(&self) -> FeatureDoc {
        let tree = self.told.tree();
        let version = self.from.as_ref().map(|(_, v)| *v);
        let (versions, conflict) = self.conflict();
        FeatureDoc {
            cluster: self.told.cluster.name.to_string(),
            feature: self.feature.to_string(),
            mode: ModeDoc::new(tree, &self.mode),
            defined: self.is_defined(),
            empty: self.value().map(Value::is_empty),
            value: self.value().map(json),
            effective_from: match (&self.from, self.factory) {
                (Some((mode, _)), _) => Some(ModeDoc::new(tree, mode)),
                (None, Some(_)) => Some(ModeDoc { level: "factory", name: None }),
                (None, None) => None,
            },
            updated_at: version.map(|v| rfc3339(v.stamp.at)),
            updated_by: version.map(|v| v.by.to_string()),
            updated_on: version.map(|v| tree.host(&v.stamp.on)),
            versions,
            conflict,
        }
    }
}

/// The features that matter at a mode: those that it or a mode above defines, and those with a factory default.
fn features_at<'a>(told: Told<'a>, catalogue: &'a Catalogue, mode: &ModeId) -> Vec<Look<'a>> {
    let tree = told.tree();
    let above = tree.above(mode);
    let written = above.iter().flat_map(|m| tree.at(m)).map(|(feature, _)| feature);
    let by_default = catalogue.settings().filter(|f| f.factory.is_some()).map(|f| &f.name);
    let names: std::collections::BTreeSet<&FeatureName> = written.chain(by_default).collect();
    let looks = names.into_iter().map(|feature| Look::new(told, catalogue, mode, feature));
    looks.filter(|look| look.value().is_some()).collect()
}

/// What each of `told` says to the question; a mode belongs to one of them.
fn looks<'a>(told: &[Told<'a>], catalogue: &'a Catalogue, question: &Question) -> Vec<Look<'a>> {
    let defined = |told: Told<'a>, mode: &ModeId| -> Vec<Look<'a>> {
        let here = told.tree().at(mode).map(|(feature, _)| Look::new(told, catalogue, mode, feature));
        here.filter(Look::is_defined).collect()
    };
    let modes = |told: Told<'a>| told.tree().modes().into_iter().map(|m| m.id);
    let all = told.iter().copied();
    match question {
        Question::Tree => all.flat_map(|t| modes(t).flat_map(move |m| defined(t, &m)).collect::<Vec<_>>()).collect(),
        Question::Mode(mode) => all.flat_map(|t| features_at(t, catalogue, mode)).collect(),
        Question::Feature(mode, feature) => all.map(|t| Look::new(t, catalogue, mode, feature)).collect(),
        Question::Defined(feature) => all
            .flat_map(|t| modes(t).map(move |m| Look::new(t, catalogue, &m, feature)).collect::<Vec<_>>())
            .filter(Look::is_defined)
            .collect(),
    }
}

/// The document about `told`.
#[must_use]
pub fn document(told: &[Told<'_>], catalogue: &Catalogue, question: &Question, now: Time) -> SettingsDoc {
    let source = |t: &Told<'_>| SourceDoc {
        cluster: t.cluster.name.to_string(),
        peer: super::host(t.cluster, &t.settings.source),
        digest: t.settings.digest.to_string(),
        updated_at: rfc3339(t.settings.at),
    };
    let places = |t: &Told<'_>| -> Vec<PlaceDoc> {
        let tree = t.tree();
        let group = |mode: &ModeId| match mode {
            ModeId::Machine(id) => tree.structure().member(id).and_then(|m| tree.structure().group(&m.group)),
            ModeId::Cluster | ModeId::Group(_) => None,
        };
        let place = |mode: &ModeId| PlaceDoc {
            cluster: t.cluster.name.to_string(),
            mode: ModeDoc::new(tree, mode),
            group: group(mode).map(ToString::to_string),
            defines: defines(tree, mode),
        };
        tree.modes().iter().map(|m| place(&m.id)).collect()
    };
    SettingsDoc {
        schema: "peerdeck.settings/1",
        at: rfc3339(now),
        sources: told.iter().map(source).collect(),
        modes: if *question == Question::Tree { told.iter().flat_map(places).collect() } else { Vec::new() },
        features: looks(told, catalogue, question).iter().map(Look::document).collect(),
    }
}

fn defines(tree: &Tree, mode: &ModeId) -> usize {
    tree.at(mode).filter(|(_, entry)| matches!(entry.effective().content, Content::Value(_))).count()
}

/// A value on one line; what is empty says so, so that it is never taken for what is absent.
#[must_use]
pub fn short(value: Option<&Value>) -> String {
    match value {
        None => "-".to_owned(),
        Some(value) if value.is_empty() => format!("{value} (empty)"),
        Some(value) => value.to_string(),
    }
}

fn value_cell(look: &Look<'_>) -> super::table::Cell {
    match look.value() {
        None => cell("-", Tone::Dim),
        Some(value) if value.is_empty() => cell(short(Some(value)), Tone::Warn),
        Some(value) if look.is_defined() => cell(value.to_string(), Tone::Plain),
        Some(value) => cell(value.to_string(), Tone::Dim),
    }
}

/// `admin from 10.0.0.9, 2026-11-17 11:59:00Z, on lab1.example.com`
fn blame(look: &Look<'_>) -> String {
    look.from.as_ref().map_or_else(|| "-".to_owned(), |(_, v)| who(look.told.tree(), v))
}

/// Who wrote a version, when and where.
#[must_use]
pub fn who(tree: &Tree, version: &Version) -> String {
    let by = if version.by.is_empty() { "somebody" } else { version.by.as_str() };
    format!("{by}, {}, on {}", moment(version.stamp.at), tree.host(&version.stamp.on))
}

/// A moment for people, UTC to the second.
#[must_use]
pub fn moment(at: Time) -> String {
    let text = rfc3339(at);
    text.split_once('.').map_or(text.clone(), |(whole, _)| format!("{}Z", whole.replacen('T', " ", 1)))
}

/// A table, or the one value in full.
#[must_use]
pub fn text(told: &[Told<'_>], catalogue: &Catalogue, question: &Question, style: Style) -> String {
    let looks = looks(told, catalogue, question);
    match question {
        Question::Tree => tree_text(told, &looks, style),
        Question::Mode(mode) => {
            let (factory, other): (Vec<&Look<'_>>, Vec<&Look<'_>>) = looks.iter().partition(|l| l.from.is_none());
            let shown = if style.verbose { looks.iter().collect() } else { other };
            let title = told.first().map_or_else(String::new, |t| t.tree().mode_name(mode));
            let mut out = paint(&title, Tone::Head, style) + "\n\n";
            let mut table = Table::new(&["FEATURE", "VALUE", "DEFINED", "LAST CHANGE"]);
            for look in &shown {
                let conflict = if look.conflict().1 { " (conflict)" } else { "" };
                let name = format!("{}{conflict}", look.feature);
                let tone = if conflict.is_empty() { Tone::Plain } else { Tone::Bad };
                table.row([cell(name, tone), value_cell(look), look.origin().into(), blame(look).into()]);
            }
            if shown.is_empty() {
                out.push_str("nothing is defined for it\n");
            } else {
                out.push_str(&table.render(style));
            }
            if !style.verbose && !factory.is_empty() {
                let others = count(factory.len(), "more feature");
                out.push_str(&paint(&format!("{others} by factory default: -v shows them\n"), Tone::Dim, style));
            }
            out
        }
        Question::Feature(..) => looks.iter().map(|look| feature_text(look, style)).collect(),
        Question::Defined(feature) => {
            if looks.is_empty() {
                return format!("{feature} is defined at no mode\n");
            }
            let mut table = Table::new(&["MODE", "VALUE", "LAST CHANGE"]);
            for look in &looks {
                let mode = look.told.tree().mode_name(&look.mode);
                table.row([mode.into(), value_cell(look), blame(look).into()]);
            }
            table.render(style)
        }
    }
}

fn tree_text(told: &[Told<'_>], looks: &[Look<'_>], style: Style) -> String {
    let mut table = Table::new(&["MODE", "FEATURE", "VALUE", "LAST CHANGE"]);
    for t in told {
        let tree = t.tree();
        for mode in tree.modes() {
            let indent = "  ".repeat(mode.id.level() as usize);
            let mut name = format!("{indent}{}", tree.mode_name(&mode.id));
            let here = looks.iter().filter(|l| std::ptr::eq(l.told.settings, t.settings) && l.mode == mode.id);
            let mut any = false;
            for look in here {
                any = true;
                let conflict = look.conflict().1;
                let feature = if conflict { format!("{} (conflict)", look.feature) } else { look.feature.to_string() };
                let tone = if conflict { Tone::Bad } else { Tone::Plain };
                table.row([name.into(), cell(feature, tone), value_cell(look), blame(look).into()]);
                name = String::new();
            }
            if !any {
                table.row([name.into(), cell("(inherits all)", Tone::Dim), "".into(), "".into()]);
            }
        }
    }
    table.render(style)
}

fn feature_text(look: &Look<'_>, style: Style) -> String {
    use std::fmt::Write;
    let tree = look.told.tree();
    let mut out = paint(&format!("{} at {}", look.feature, tree.mode_name(&look.mode)), Tone::Head, style) + "\n";
    let defined = match (look.is_defined(), look.value()) {
        (true, Some(value)) if value.is_empty() => "here, as empty: nothing applies".to_owned(),
        (true, _) => "here".to_owned(),
        (false, None) => "nowhere, and there is no factory default".to_owned(),
        (false, Some(_)) => format!("{}; not here", look.origin()),
    };
    let _ = writeln!(out, "  defined  {defined}");
    if look.from.is_some() {
        let _ = writeln!(out, "  changed  {}", blame(look));
    }
    if let (n, true) = look.conflict() {
        let text = format!("{n} versions stand beside each other, the most recent applies: `peerdeck check`");
        let _ = writeln!(out, "  conflict {}", paint(&text, Tone::Bad, style));
    }
    if let Some(value) = look.value() {
        let pretty = serde_json::to_string_pretty(&json(value)).unwrap_or_else(|_| value.to_string());
        // As it is on one line, where the pretty form could hold what moves a cursor.
        let pretty = if pretty.chars().any(|c| c != '\n' && crate::domain::text::is_dangerous(c)) {
            value.to_string()
        } else {
            pretty
        };
        for line in pretty.lines() {
            let _ = writeln!(out, "  {line}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::domain::ids::GroupId;
    use crate::domain::settings::catalogue::Feature;
    use crate::report::hand_made::{self, NOW, feature, gid, mid};

    fn catalogue() -> Catalogue {
        let one = |name: &str, factory: Option<Value>| Feature {
            name: feature(name),
            factory: factory.map(Arc::new),
            ..hand_made::known(name)
        };
        Catalogue::new([
            one("smtproutes", None),
            one("dnsconfig", None),
            one("ntpconfig", Some(Value::table([("server", Value::text("pool"))]))),
            one("bounceconfig", None),
        ])
    }

    fn ask(question: &Question) -> Json {
        let snapshot = hand_made::snapshot(hand_made::tree());
        let told = Told::all(snapshot.clusters.iter().map(AsRef::as_ref));
        serde_json::to_value(document(&told, &catalogue(), question, NOW)).unwrap()
    }

    fn shown(question: &Question, verbose: bool) -> String {
        let snapshot = hand_made::snapshot(hand_made::tree());
        let told = Told::all(snapshot.clusters.iter().map(AsRef::as_ref));
        text(&told, &catalogue(), question, Style { verbose, ..Style::default() })
    }

    fn routes_at(mode: ModeId) -> Json {
        ask(&Question::Feature(mode, feature("smtproutes")))["features"][0].clone()
    }

    #[test]
    fn c2_empty_and_absent_look_different_and_each_value_names_its_origin() {
        let paris = routes_at(ModeId::Group(gid("paris")));
        assert_eq!((&paris["defined"], &paris["empty"]), (&true.into(), &true.into()), "{paris:#}");
        assert_eq!(paris["value"], serde_json::json!({}));
        let rome = routes_at(ModeId::Group(gid("rome")));
        assert_eq!((&rome["defined"], &rome["empty"]), (&false.into(), &false.into()), "{rome:#}");
        assert_eq!(rome["effective_from"], serde_json::json!({"level": "cluster", "name": "americas"}));
        for (machine, level, name, route) in [
            ("m1", "cluster", "americas", Some("mx1")),
            ("m3", "group", "Paris", None),
            ("m5", "machine", "lab5.example.com", Some("mx5")),
            ("m6", "cluster", "americas", Some("mx1")),
        ] {
            let told = routes_at(ModeId::Machine(mid(machine)));
            assert_eq!(told["effective_from"], serde_json::json!({"level": level, "name": name}), "{machine}");
            assert_eq!(told["defined"], level == "machine", "{machine}");
            assert_eq!(told["value"]["example.com"][0].as_str(), route, "{machine}");
            assert_eq!(told["empty"], route.is_none(), "{machine}");
        }
        let machine = routes_at(ModeId::Machine(mid("m5")));
        assert_eq!(machine["updated_by"], "admin from m1");
        assert_eq!(
            (&machine["updated_on"], &machine["updated_at"]),
            (&"lab1.example.com".into(), &"2026-11-17T21:03:20.500Z".into()),
            "{machine:#}"
        );
        let nobody = ask(&Question::Feature(ModeId::Cluster, feature("bounceconfig")))["features"][0].clone();
        assert!(
            nobody["value"].is_null() && nobody["empty"].is_null() && nobody["effective_from"].is_null(),
            "{nobody:#}"
        );
        let factory = ask(&Question::Feature(ModeId::Cluster, feature("ntpconfig")))["features"][0].clone();
        assert_eq!(factory["effective_from"], serde_json::json!({"level": "factory", "name": null}));
    }

    #[test]
    fn c10_the_tree_names_every_mode_and_what_it_defines() {
        let doc = ask(&Question::Tree);
        assert_eq!(doc["schema"], "peerdeck.settings/1");
        assert_eq!(doc["sources"][0]["peer"], "lab1.example.com");
        let modes: Vec<&str> = doc["modes"].as_array().unwrap().iter().map(|m| m["name"].as_str().unwrap()).collect();
        assert_eq!((modes.len(), modes[0]), (10, "americas"), "{modes:?}");
        assert_eq!(
            doc["modes"].as_array().unwrap().iter().find(|m| m["name"] == "lab3.example.com").unwrap()["defines"],
            0,
            "what was taken back is not defined"
        );
        let features = doc["features"].as_array().unwrap();
        assert_eq!(features.len(), 4, "{doc:#}");
        assert!(features.iter().all(|f| f["defined"] == true));
        let dns = features.iter().find(|f| f["feature"] == "dnsconfig").unwrap();
        assert_eq!((&dns["conflict"], &dns["versions"]), (&true.into(), &2.into()));
        assert_eq!(dns["value"]["server"], "10.0.0.4", "the most recent applies");

        let defined = ask(&Question::Defined(feature("smtproutes")));
        let at: Vec<&str> =
            defined["features"].as_array().unwrap().iter().map(|f| f["mode"]["name"].as_str().unwrap()).collect();
        assert_eq!(at, ["americas", "Paris", "lab5.example.com"]);
        insta::assert_snapshot!(shown(&Question::Tree, false));
    }

    #[test]
    fn a_mode_shows_what_it_inherits_and_from_where() {
        let lab3 = Question::Mode(ModeId::Machine(mid("m3")));
        insta::assert_snapshot!(shown(&lab3, false));
        assert!(shown(&lab3, true).contains("factory default"));
        let paris = shown(&Question::Feature(ModeId::Group(gid("paris")), feature("smtproutes")), false);
        assert!(paris.contains("here, as empty") && paris.contains("{}"), "{paris}");
        let rome = shown(&Question::Feature(ModeId::Group(GroupId::new("rome")), feature("smtproutes")), false);
        assert!(rome.contains("Cluster americas; not here"), "{rome}");
        let none = shown(&Question::Feature(ModeId::Cluster, feature("bounceconfig")), false);
        assert!(none.contains("nowhere"), "{none}");
        let dns = shown(&Question::Feature(ModeId::Cluster, feature("dnsconfig")), false);
        assert!(dns.contains("2 versions stand beside each other"), "{dns}");
        assert!(shown(&Question::Defined(feature("bounceconfig")), false).contains("at no mode"));
    }
}
