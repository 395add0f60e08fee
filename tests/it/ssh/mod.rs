//! The SSH client against servers that hang, lie or drop at each stage; host keys, credentials, `ssh_config`.

mod client;
mod config_file;
mod credentials;
mod drivers;
mod known_hosts;
pub mod net;
pub mod server;
mod sshd;

mod backoff {
    use peerdeck::ssh::backoff::{Backoff, OBSERVER, WARY};
    use proptest::prelude::*;
    use std::time::Duration;

    proptest! {
        #[test]
        fn never_above_its_cap_and_over_the_whole_range(failures in 0_u32.., draw in 0.0..=1.0_f64, wary: bool) {
            let backoff = if wary { WARY } else { OBSERVER };
            let ceiling = backoff.ceiling(failures);
            prop_assert!(ceiling <= backoff.cap && ceiling >= backoff.base);
            prop_assert!(backoff.delay(failures, draw) <= ceiling);
            prop_assert_eq!(backoff.delay(failures, 0.0), Duration::ZERO);
            prop_assert_eq!(backoff.delay(failures, 1.0), ceiling);
            // Evenly: a draw of one half waits half as long.
            let half = backoff.delay(failures, 0.5);
            prop_assert!(half * 2 <= ceiling + Duration::from_nanos(2) && half * 2 + Duration::from_nanos(2) >= ceiling);
        }

        #[test]
        fn grows_until_the_cap(failures in 1_u32..64) {
            let backoff = Backoff { base: Duration::from_millis(250), cap: Duration::from_secs(5) };
            let (now, next) = (backoff.ceiling(failures), backoff.ceiling(failures + 1));
            prop_assert!(next == (now * 2).min(backoff.cap));
        }

        #[test]
        fn any_draw_is_bounded(draw: f64) {
            prop_assert!(OBSERVER.delay(3, draw) <= OBSERVER.cap);
        }
    }
}
