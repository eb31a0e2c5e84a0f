//! From a match to what the store writes down.

use super::port::{Delivery, Hold, HoldBatch};
use super::set::Armed;
use crate::engine::Inner;
use crate::port::Origin;
use bytes::Bytes;
use neofn_event::spec::{Options, Order};
use neofn_types::{Digest, InvocationId, UnixMillis};
use std::time::Duration;

/// Longest name of a lane; longer keys are known by their hash.
const LANE_BYTES_MAX: usize = 200;

/// An event for a trigger, whatever it comes from.
pub(crate) struct Occurrence {
    pub(crate) event_id: String,
    /// JSON; triggers that see the same share it.
    pub(crate) event: Bytes,
    /// Of triggers with `order_by`.
    pub(crate) key: Option<String>,
    pub(crate) origin: Origin,
    pub(crate) height: Option<u64>,
    pub(crate) depth: u32,
    /// Of whoever caused it; none: its own.
    pub(crate) trace_id: Option<[u8; 16]>,
    pub(crate) at: UnixMillis,
}

impl Inner {
    pub(crate) fn delivery(&self, armed: &Armed, occurrence: Occurrence) -> Delivery {
        let entropy = &*self.options.entropy;
        let trace_id = occurrence.trace_id.unwrap_or_else(|| {
            let mut id = [0; 16];
            entropy.fill(&mut id);
            id
        });
        Delivery {
            id: InvocationId::generate(occurrence.at, entropy),
            version: armed.version,
            origin: occurrence.origin,
            effect: armed.id.effect_key(&occurrence.event_id),
            event_id: occurrence.event_id,
            event: occurrence.event,
            height: occurrence.height,
            depth: occurrence.depth,
            trace_id,
            hold: hold(&armed.spec.options, occurrence.key),
            trigger: armed.id.clone(),
        }
    }
}

fn hold(options: &Options, key: Option<String>) -> Option<Hold> {
    let ordered = options.order != Order::Parallel;
    if !ordered && options.debounce_ms.is_none() && options.batch.is_none() {
        return None;
    }
    let key = key.unwrap_or_default();
    Some(Hold {
        lane: if key.len() > LANE_BYTES_MAX {
            Digest::of(key.as_bytes()).to_string()
        } else {
            key
        },
        ordered,
        debounce: options.debounce_ms.map(Duration::from_millis),
        batch: options.batch.map(|batch| HoldBatch {
            size: batch.size.max(1),
            wait: Duration::from_millis(batch.wait_ms),
        }),
    })
}
