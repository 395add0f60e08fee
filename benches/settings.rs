//! Settings of 1,000 machines with 50 features: `cargo bench --bench settings`.

use std::hint::black_box;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use peerdeck::domain::ids::{FeatureName, GroupId, MemberId};
use peerdeck::domain::settings::{
    Catalogue, Content, Edit, Entry, Key, ModeId, Stamp, Tree, Value, Version, VersionId, rules,
};
use peerdeck::domain::time::Time;

const MACHINES: usize = 1_000;
const GROUPS: usize = 20;
const FEATURES: usize = 50;

fn entry(value: Value) -> Option<Entry> {
    let stamp = Stamp { at: Time::from_millis(1), count: 0, on: MemberId::new("m0") };
    let version = Version { id: VersionId::new("v"), content: Content::Value(value.into()), stamp, by: "admin".into() };
    Entry::new(vec![version])
}

fn member(i: usize) -> MemberId {
    MemberId::new(&format!("{i:016x}"))
}

fn group(i: usize) -> GroupId {
    GroupId::new(&format!("g{i:04}"))
}

fn routes(i: usize) -> Value {
    Value::table([("example.com", Value::text(&format!("relay{i}.example.net"))), ("port", Value::Int(25))])
}

/// Every machine defines every feature: the most registers that there can be.
fn registers(features: &[FeatureName]) -> Vec<(Key, Entry)> {
    let mut all = vec![(Key::ClusterName, Value::text("americas"))];
    for g in 0..GROUPS {
        all.push((Key::GroupName(group(g)), Value::text(&format!("Group{g}"))));
        all.extend(features.iter().map(|f| (Key::Feature(ModeId::Group(group(g)), f.clone()), routes(g))));
    }
    for i in 0..MACHINES {
        let host = format!("lab{i}.example.com");
        let identity = Value::table([("serial", Value::text(&format!("S{i}"))), ("host", Value::text(&host))]);
        all.push((Key::MachineIdentity(member(i)), identity));
        all.push((Key::MachineGroup(member(i)), Value::text(group(i % GROUPS).as_str())));
        // One machine of ten inherits.
        if i % 10 > 0 {
            all.extend(features.iter().map(|f| (Key::Feature(ModeId::Machine(member(i)), f.clone()), routes(i))));
        }
    }
    all.extend(features.iter().map(|f| (Key::Feature(ModeId::Cluster, f.clone()), routes(0))));
    all.into_iter().filter_map(|(key, value)| Some((key, entry(value)?))).collect()
}

fn settings(c: &mut Criterion) {
    let catalogue: Catalogue = (*peerdeck::proto::features::built_in()).clone();
    let any = |f: &&peerdeck::domain::settings::Feature| {
        rules::may_define(&Tree::default(), &catalogue, &ModeId::Cluster, &f.name).is_ok()
    };
    let features: Vec<FeatureName> = catalogue.settings().filter(any).take(FEATURES).map(|f| f.name.clone()).collect();
    let registers = registers(&features);
    let count = registers.len();
    let tree = Tree::new("c".into(), registers.clone());
    let mut group_of = c.benchmark_group(format!("settings/{count} registers"));

    group_of.sample_size(20);
    group_of.bench_function("load", |b| {
        b.iter_batched(|| registers.clone(), |r| Tree::new("c".into(), r), BatchSize::LargeInput);
    });
    group_of.bench_function("clone", |b| b.iter(|| black_box(&tree).clone()));

    let (own, inherits) = (member(999), member(990));
    let feature = features[FEATURES / 2].clone();
    group_of.bench_function("look-up of a machine's own", |b| {
        b.iter(|| rules::effective(&tree, &catalogue, black_box(&own), black_box(&feature)));
    });
    group_of.bench_function("look-up of what a machine inherits", |b| {
        b.iter(|| rules::effective(&tree, &catalogue, black_box(&inherits), black_box(&feature)));
    });

    let what_if = |edit: Edit| {
        let writes = rules::writes(&tree, &catalogue, &[edit], &mut || group(GROUPS)).unwrap_or_default();
        let after = rules::after(&tree, &writes);
        rules::effects(&tree, &after, &catalogue).len()
    };
    let set = Edit::Set { mode: ModeId::Cluster, feature: feature.clone(), value: routes(7).into() };
    group_of.bench_function("what-if of a set at the cluster", |b| b.iter(|| what_if(black_box(set.clone()))));
    let place = Edit::SetGroup { machine: inherits.clone(), group: group(3) };
    group_of.bench_function("what-if of a setgroup", |b| b.iter(|| what_if(black_box(place.clone()))));
    let remove = Edit::RemoveMachine { machine: inherits };
    group_of.bench_function("what-if of a removal", |b| b.iter(|| what_if(black_box(remove.clone()))));
    let after = rules::after(&tree, &[]);
    let edits = [set];
    group_of.bench_function("notices", |b| {
        b.iter(|| rules::notices(black_box(&tree), black_box(&after), &catalogue, &edits));
    });
    group_of.finish();
}

criterion_group!(benches, settings);
criterion_main!(benches);
