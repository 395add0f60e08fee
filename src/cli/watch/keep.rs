//! The state file as the tasks of a watch use it: off their thread, one at a time.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::task::spawn_blocking;

use crate::alerts::store::{Store, StoreError};

/// The open state, shared by the loop and the sinks' tasks.
#[derive(Clone, Debug)]
pub(super) struct Keep(Arc<Mutex<Store>>);

impl Keep {
    pub(super) fn new(store: Store) -> Self {
        Self(Arc::new(Mutex::new(store)))
    }

    /// Does something with the file on a thread that may wait for the disk.
    ///
    /// # Errors
    /// As the store says.
    pub(super) async fn with<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Store) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, String> {
        let store = Arc::clone(&self.0);
        let done = spawn_blocking(move || work(&mut store.lock().unwrap_or_else(PoisonError::into_inner))).await;
        match done {
            Ok(done) => done.map_err(|e| e.to_string()),
            Err(_) => Err("the state of the watch is used no more: the process ends".into()),
        }
    }
}
