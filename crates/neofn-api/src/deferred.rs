//! What an edge needs that answers later: whether a call is addressed rightly, and how it ended.

use crate::api::Api;
use crate::error::ApiError;
use crate::policy::Action;
use crate::view;
use neofn_engine::port::Status;
use neofn_engine::{Engine, Follow};
use neofn_identity::Principal;
use neofn_types::{Code, Error, FunctionKey, InvocationId, RuntimeKind};
use neofn_wire::InvocationView;

impl Api {
    /// Whether they may call a function, and whether it has the runtime by which it was addressed (NF1607).
    pub async fn speaks(
        &self,
        who: &Principal,
        key: &FunctionKey,
        runtime: RuntimeKind,
    ) -> Result<(), ApiError> {
        self.authorise_call(who, Action::Invoke, key).await?;
        let found = self.engine().runtime_of(key).await?;
        if found == runtime {
            return Ok(());
        }
        let text = format!("{key} is not {runtime}: it was deployed for {found}");
        Err(Error::new(Code::SubjectUnknown, text).into())
    }

    /// How an invocation ended, for whoever sent it: its edge has checked him then. `None` while it has not.
    pub async fn end_for_sender(&self, id: InvocationId) -> Result<Option<InvocationView>, Error> {
        let record = self.engine().invocation(id).await?;
        let open = matches!(record.status, Status::Queued | Status::Running);
        Ok((!open).then(|| view::invocation(&record)))
    }

    /// Attempts of a function as they end, for an edge that waits on behalf of senders.
    #[must_use]
    pub fn ends_for_sender(&self, key: &FunctionKey) -> Follow {
        Engine::follow(self.engine(), key)
    }
}
