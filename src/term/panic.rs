//! A panic of the console gives the terminal back before its message is printed; one elsewhere must not
//! destroy a screen that somebody is reading.

use std::future::Future;
use std::sync::Mutex;

use super::guard;

tokio::task_local! {
    /// Set while the console itself runs.
    static OWNER: ();
}

/// What a panic outside the console said, until the console tells it.
static FOREIGN: Mutex<Option<String>> = Mutex::new(None);

/// Runs `console` as the one whose panics end the program.
pub async fn own<F: Future>(console: F) -> F::Output {
    OWNER.scope((), console).await
}

/// Installs the hook, before the one that is there.
pub fn install_hook() {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if guard::is_taken() && OWNER.try_with(|()| ()).is_err() {
            tracing::error!(panic = %info, "a part of peerdeck failed");
            if let Ok(mut foreign) = FOREIGN.lock() {
                *foreign = Some(info.to_string().replace('\n', " "));
            }
            return;
        }
        guard::restore();
        before(info);
    }));
}

/// What a panic outside the console said, once.
#[must_use]
pub fn take_foreign_panic() -> Option<String> {
    FOREIGN.lock().ok().and_then(|mut foreign| foreign.take())
}
