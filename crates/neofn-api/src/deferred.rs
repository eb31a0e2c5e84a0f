//! What an edge needs that answers later: whether a call is addressed rightly, and how it ended.

use crate::api::Api;
use crate::error::ApiError;
use crate::policy::Action;
use crate::view;
use neofn_engine::port::{Promise, Status};
use neofn_identity::Principal;
use neofn_types::{Code, Digest, Error, FunctionKey, InvocationId, RuntimeKind};
use neofn_wire::InvocationView;
use std::time::Duration;

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

    /// How an invocation ended, for whoever sent it: its edge has checked him then. `None` while it has not. What was
    /// deleted with its function is said to be gone, so that nobody waits for it in vain. Others may hear it, too, so the inside
    /// of the run stays where those look who may.
    pub async fn end_for_sender(&self, id: InvocationId) -> Result<Option<InvocationView>, Error> {
        let record = self.engine().invocation(id).await.map_err(|error| {
            if error.code != Code::InvocationNotFound {
                return error;
            }
            let text = "the function was deleted with its invocations before this one's end was told";
            Error::new(error.code, text).hint("Send it again once the function is deployed again.")
        })?;
        let open = matches!(record.status, Status::Queued | Status::Running);
        Ok((!open).then(|| InvocationView {
            logs: Vec::new(),
            stack: None,
            ..view::invocation(&record)
        }))
    }

    /// What a request is called in a queue, which knows the ids of all senders together: a name that gateways alone can make, or
    /// whoever guesses it could send it first, and the request would be taken for his again.
    #[must_use]
    pub fn message_id(&self, request: &str) -> Digest {
        Digest::of_parts(&[
            b"neofn/message/id",
            &self.inner.fingerprint_key,
            request.as_bytes(),
        ])
    }

    /// Promises whoever named his request `token` to tell him the end of an invocation. On disk when this returns: whichever
    /// node is there then finds it among the due ones.
    pub async fn promise(&self, key: &FunctionKey, id: InvocationId, token: &str) -> Result<(), Error> {
        Ok(self.inner.promises.promise(key, id, token).await?)
    }

    /// Promises that can be kept now, because their invocations have ended; for so long they are ours alone.
    pub async fn due_promises(&self, lease: Duration, limit: u32) -> Result<Vec<Promise>, Error> {
        let now = self.inner.clock.now();
        Ok(self.inner.promises.due_promises(now, lease, limit).await?)
    }

    /// They were kept.
    pub async fn kept(&self, promises: &[Promise]) -> Result<(), Error> {
        Ok(self.inner.promises.kept(promises).await?)
    }

    /// They could not be kept yet.
    pub async fn not_kept(&self, promises: &[Promise]) -> Result<(), Error> {
        Ok(self.inner.promises.not_kept(promises).await?)
    }

    /// Waits until an invocation that waited has ended on this node, or did since the last call.
    pub async fn ended(&self) {
        self.engine().ended().await;
    }
}
