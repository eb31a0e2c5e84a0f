//! Waiting for invocations to end: one look-out for each function, however many wait.

use neofn_api::{Api, Followed};
use neofn_types::{Error, FunctionKey, InvocationId};
use neofn_wire::InvocationView;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;

/// Also looked for so often: another node may have run it.
const LOOK: Duration = Duration::from_secs(2);

type Waiting = HashMap<InvocationId, Arc<Notify>>;

/// Cheap to clone.
#[derive(Clone)]
pub(crate) struct Ends {
    api: Api,
    functions: Arc<Mutex<HashMap<FunctionKey, Waiting>>>,
}

/// Forgets who waited.
struct Place {
    ends: Ends,
    key: FunctionKey,
    id: InvocationId,
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(waiting) = self.ends.functions.lock().get_mut(&self.key) {
            waiting.remove(&self.id);
        }
    }
}

impl Ends {
    pub(crate) fn new(api: Api) -> Self {
        Self {
            api,
            functions: Arc::default(),
        }
    }

    /// The end of an invocation, once there is one.
    pub(crate) async fn of(&self, key: &FunctionKey, id: InvocationId) -> Result<InvocationView, Error> {
        let told = self.wait_for(key, id);
        let _place = Place {
            ends: self.clone(),
            key: key.clone(),
            id,
        };
        loop {
            let come = told.notified();
            tokio::pin!(come);
            come.as_mut().enable();
            if let Some(end) = self.api.end_for_sender(id).await? {
                return Ok(end);
            }
            // a time-out is a look at the store
            let _ = tokio::time::timeout(LOOK, come).await;
        }
    }

    fn wait_for(&self, key: &FunctionKey, id: InvocationId) -> Arc<Notify> {
        let mut functions = self.functions.lock();
        let first = !functions.contains_key(key);
        let told = functions
            .entry(key.clone())
            .or_default()
            .entry(id)
            .or_default()
            .clone();
        if first {
            let (ends, key) = (self.clone(), key.clone());
            // subscribed before anybody looks at the store: nothing ends unseen in between
            let mut live = self.api.ends_for_sender(&key);
            tokio::spawn(async move {
                loop {
                    let step = tokio::time::timeout(LOOK, live.next()).await;
                    let mut functions = ends.functions.lock();
                    let Some(waiting) = functions.get_mut(&key) else {
                        return;
                    };
                    match step {
                        Ok(Some(Followed::Entry(entry))) => {
                            if let Some(told) = waiting.get(&entry.id) {
                                told.notify_one();
                            }
                        }
                        Ok(Some(Followed::Missed(_))) => waiting.values().for_each(|told| told.notify_one()),
                        Ok(None) | Err(_) if waiting.is_empty() => {
                            functions.remove(&key);
                            return;
                        }
                        // the function is gone: those that wait look at the store by time
                        Ok(None) => {
                            functions.remove(&key);
                            return;
                        }
                        Err(_) => {}
                    }
                }
            });
        }
        told
    }
}
