//! Host calls between a worker, where a function makes them, and its gateway, which answers them.

use crate::wire::{self, CallId};
use async_trait::async_trait;
use neofn_bus::port::{Received, Rpc};
use neofn_bus::{BusError, Message};
use neofn_runtime::port::{HostCall, HostCalls, HostError, HostReply, JobLimits};
use neofn_types::{Clock, Code};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Room for what a message has beside its content.
pub(crate) const HEAD_BYTES: usize = 1_024;

/// The worker's side: asks the gateway.
pub(crate) struct AskGateway {
    pub(crate) rpc: Arc<dyn Rpc>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) subject: String,
    /// Of the run, by the monotonic clock.
    pub(crate) deadline: Duration,
    /// Ends the run: nobody waits for it any more.
    pub(crate) orphaned: CancellationToken,
}

#[async_trait]
impl HostCalls for AskGateway {
    async fn call(&self, call: HostCall) -> HostReply {
        let left = self.deadline.saturating_sub(self.clock.monotonic());
        let asked = async {
            let message = Message::new(wire::write(&call)?);
            let answer = self.rpc.request(&self.subject, message, left).await?;
            wire::read::<HostReply>(&answer.payload)
        };
        asked.await.unwrap_or_else(|error| {
            if matches!(error, BusError::NoResponders(_)) {
                self.orphaned.cancel();
            }
            tracing::debug!(%error, op = ?call.op, "host call not answered");
            let code = match error {
                BusError::TooLarge { .. } => Code::BusMessageTooLarge,
                _ => Code::HostUnavailable,
            };
            HostReply {
                result: Err(HostError {
                    code,
                    message: format!("the gateway did not answer: {error}"),
                }),
                now: self.clock.now(),
                units: 0,
            }
        })
    }
}

struct Open {
    host: Arc<dyn HostCalls>,
    limits: JobLimits,
    asked: AtomicU32,
}

/// The gateway's side: the runs that may ask.
#[derive(Default)]
pub(crate) struct OpenCalls(Mutex<HashMap<CallId, Arc<Open>>>);

impl OpenCalls {
    pub(crate) fn open(&self, call: CallId, host: Arc<dyn HostCalls>, limits: JobLimits) {
        let open = Open {
            host,
            limits,
            asked: AtomicU32::new(0),
        };
        self.0.lock().insert(call, Arc::new(open));
    }
    pub(crate) fn close(&self, call: &CallId) {
        self.0.lock().remove(call);
    }

    /// Answers one call, if its run is still under way. A worker is believed no further than the run's own bounds.
    pub(crate) async fn answer(&self, received: Received, bytes_max: usize) {
        let Some(reply) = received.reply else { return };
        let mut call: CallId = [0; 16];
        let token = received.subject.rsplit('.').next().unwrap_or_default();
        if hex::decode_to_slice(token, &mut call).is_err() {
            return;
        }
        let Some(open) = self.0.lock().get(&call).cloned() else {
            return;
        };
        let Ok(asked) = wire::read::<HostCall>(&received.message.payload) else {
            tracing::warn!("a worker sent a host call that cannot be read");
            return;
        };
        let before = open.asked.fetch_add(1, Ordering::Relaxed);
        let within = u32::try_from(asked.input.len()).is_ok_and(|n| n <= open.limits.host_input_bytes);
        if before >= open.limits.host_calls || !within {
            tracing::warn!("a worker breaks the bounds of a run");
            return;
        }
        let answer = open.host.call(asked).await;
        let (now, units) = (answer.now, answer.units);
        let sent = match wire::write(&answer) {
            Ok(bytes) if bytes.len() + HEAD_BYTES <= bytes_max => reply.send(Message::new(bytes)).await,
            Ok(bytes) => {
                let message = format!(
                    "the answer has {} bytes, the NATS server takes {bytes_max}",
                    bytes.len()
                );
                let code = Code::BusMessageTooLarge;
                let result = Err(HostError { code, message });
                match wire::write(&HostReply { result, now, units }) {
                    Ok(bytes) => reply.send(Message::new(bytes)).await,
                    Err(error) => Err(error),
                }
            }
            Err(error) => Err(error),
        };
        if let Err(error) = sent {
            tracing::warn!(%error, "host call's answer not sent");
        }
    }
}
