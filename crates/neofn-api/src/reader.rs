//! Somebody who follows something for longer than a request: what they may do can end meanwhile.

use crate::api::Api;
use crate::error::ApiError;
use neofn_identity::Principal;
use neofn_types::Error;
use std::time::Duration;

/// How often it is asked again whether they may go on.
pub(crate) const ASK_AGAIN: Duration = Duration::from_secs(5);

/// Who follows, and when it was last asked whether they may.
pub(crate) struct Reader {
    who: Principal,
    asked: Duration,
}

impl Reader {
    /// One who may at this moment.
    pub(crate) fn new(api: &Api, who: &Principal) -> Self {
        Self {
            who: who.clone(),
            asked: api.inner.clock.monotonic(),
        }
    }

    /// Whether they still may: a role, a key or a session may have ended since. `may` decides about who they are by now.
    pub(crate) async fn goes_on(
        &mut self,
        api: &Api,
        may: impl FnOnce(&Principal) -> Result<(), Error> + Send,
    ) -> Result<(), ApiError> {
        let now = api.inner.clock.monotonic();
        if now.saturating_sub(self.asked) < ASK_AGAIN {
            return Ok(());
        }
        self.asked = now;
        let who = api.again(&self.who).await?;
        Ok(may(&who)?)
    }
}
