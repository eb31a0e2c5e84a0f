//! Answers of workers, which may be lost on their way: what does not come is asked for.

use super::Inner;
use super::membership::{Chosen, PROBE};
use crate::wire::{self, CallId};
use neofn_bus::{BusError, Message};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

/// Most calls that are asked after at once.
const ASKED_MAX: usize = 4_096;

/// A call whose answer is awaited.
pub(super) struct Awaited {
    worker: String,
    /// Its worker does not have it any more.
    missing: bool,
    /// The answer is being asked for.
    asked: bool,
    late: Option<oneshot::Sender<Message>>,
    lost: CancellationToken,
}

/// One of them, for as long as somebody waits.
struct Waiter<'i> {
    inner: &'i Inner,
    call: CallId,
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        self.inner.awaited.lock().remove(&self.call);
    }
}

impl Inner {
    /// What a worker answers, however it comes: one that is lost on its way is asked for once more.
    pub(super) async fn answer(
        &self,
        worker: &Chosen,
        what: &str,
        call: CallId,
        message: Message,
        within: Duration,
    ) -> Result<Message, BusError> {
        let (late, came) = oneshot::channel();
        let lost = worker.gone.child_token();
        let awaited = Awaited {
            worker: worker.id.clone(),
            missing: false,
            asked: false,
            late: Some(late),
            lost: lost.clone(),
        };
        self.awaited.lock().insert(call, awaited);
        let _waiter = Waiter { inner: self, call };
        let subject = wire::worker(&worker.id, what);
        tokio::select! {
            biased;
            answer = self.options.rpc.request(&subject, message, within) => answer,
            Ok(answer) = came => Ok(answer),
            () = lost.cancelled() => Err(BusError::Unavailable(format!("{} went away, or lost it", worker.id))),
        }
    }

    /// Asks a worker whether it is there, and which of our calls it does not have.
    pub(super) async fn ping(self: Arc<Self>, id: String) {
        let asked: Vec<u8> = {
            let awaited = self.awaited.lock();
            let there = awaited.iter().filter(|(_, one)| one.worker == id);
            there.take(ASKED_MAX).flat_map(|(call, _)| *call).collect()
        };
        let subject = wire::worker(&id, "ping");
        let answer = self
            .options
            .rpc
            .request(&subject, Message::new(asked), PROBE * 4)
            .await;
        match answer {
            Ok(answer) => {
                if self.members.lock().answered(&id) {
                    self.room.notify_waiters();
                }
                for call in wire::calls(&answer.payload) {
                    tokio::spawn(self.clone().ask_again(id.clone(), call));
                }
            }
            Err(BusError::NoResponders(_)) => self.unheeded(&id),
            Err(error) => tracing::debug!(%error, node = id, "no answer to a probe"),
        }
    }

    /// A worker does not have a call any more: it has answered, or has never seen it. Its answer may still be on its way, but by
    /// the second time it has overtaken what says so, unless it was lost.
    async fn ask_again(self: Arc<Self>, id: String, call: CallId) {
        let again = match self.awaited.lock().get_mut(&call) {
            Some(one) if one.worker == id && !one.asked => {
                one.asked = true;
                std::mem::replace(&mut one.missing, true)
            }
            _ => return,
        };
        let asked = Message::new(call.to_vec());
        let subject = wire::worker(&id, "answer");
        let answer = self.options.rpc.request(&subject, asked, PROBE * 4).await;
        // of two that have the name, the other one has it perhaps
        let doubled = self
            .members
            .lock()
            .get(&id)
            .is_some_and(|m| m.doubled().is_some());
        let mut awaited = self.awaited.lock();
        let Some(one) = awaited.get_mut(&call) else { return };
        one.asked = false;
        match answer {
            Ok(answer) if !answer.payload.is_empty() => {
                if let Some(late) = one.late.take() {
                    let _ = late.send(answer);
                }
            }
            Ok(_) if again && !doubled => one.lost.cancel(),
            _ => {}
        }
    }
}
