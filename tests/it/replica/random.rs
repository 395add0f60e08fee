//! Random edits on several peers, in any order of talks, restarts and full disks.

use super::*;
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Step {
    Edit { site: usize, feature: usize, skew: u64 },
    Sync { a: usize, b: usize },
    Restart { site: usize },
    LostCommit { site: usize },
}

const SITES: usize = 4;

fn step() -> impl Strategy<Value = Step> {
    let site = 0..SITES;
    prop_oneof![
        4 => (site.clone(), 0..3_usize, 0..200_u64).prop_map(|(site, feature, skew)| Step::Edit { site, feature, skew }),
        3 => (site.clone(), 1..SITES).prop_map(|(a, d)| Step::Sync { a, b: (a + d) % SITES }),
        1 => site.clone().prop_map(|site| Step::Restart { site }),
        1 => site.prop_map(|site| Step::LostCommit { site }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn c18_c22_c23_peers_converge_and_no_committed_change_is_lost(steps in proptest::collection::vec(step(), 1..40)) {
        let mut all = sites(SITES);
        // By feature: every committed value, and those that somebody knew when committing another over them.
        let mut committed: [BTreeSet<i64>; 3] = Default::default();
        let mut superseded: [BTreeSet<i64>; 3] = Default::default();
        for (n, step) in steps.into_iter().enumerate() {
            let n = i64::try_from(n).unwrap();
            match step {
                Step::Edit { site, feature, skew } => {
                    let name = format!("f{feature}");
                    superseded[feature].extend(all[site].values(&name));
                    committed[feature].insert(n);
                    all[site].set(NOON + skew, &name, n);
                }
                Step::Sync { a, b } => {
                    sync(&mut all, a, b);
                }
                Step::Restart { site } => all[site].restart(),
                Step::LostCommit { site } => {
                    let replica = &mut all[site].replica;
                    let batch = replica.commit(Time::from_millis(NOON), &Line::new("a"), &Line::new(""), &[set("f0", -1)]);
                    replica.lost(batch.unwrap().id).unwrap();
                }
            }
        }
        mix(&mut all, &[0, 1, 2, 3]);
        assert_equal(&all);
        for site in &all {
            prop_assert!(site.refusals().is_empty(), "{:?}", site.refusals());
            for feature in 0..3 {
                let name = format!("f{feature}");
                let stands: BTreeSet<i64> = site.values(&name).into_iter().collect();
                prop_assert_eq!(&stands, &(&committed[feature] - &superseded[feature]));
                let past = past(site, &name);
                prop_assert_eq!(past.keys().copied().collect::<BTreeSet<_>>(), committed[feature].clone());
                prop_assert!(past.iter().all(|(value, stood)| *stood == stands.contains(value)));
            }
        }
    }
}
