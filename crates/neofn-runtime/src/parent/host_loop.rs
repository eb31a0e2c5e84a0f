//! The life of a call that makes host calls: does them side by side, gives the answers back one by one.

use super::link::Link;
use super::slot::{Event, Raw, Slot};
use crate::port::{HostCall, HostError, HostOp, HostReply, Job};
use crate::proto::Kind;
use crate::proto::frame::MESSAGE_BYTES_MAX;
use crate::proto::message::{HostCallHead, HostResultHead};
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use neofn_types::Code;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Sleep;

/// Bound of a reply, what a message holds beside its head; what is larger becomes an error that the function can catch.
const REPLY_BYTES_MAX: usize = MESSAGE_BYTES_MAX - (64 << 10);

/// Serves host calls until the call ends. Answers the end, and what each reply cost beyond the schedule, in the order in which the
/// sandbox charges for them.
pub(super) async fn serve(
    link: &Link,
    id: u64,
    slot: &Slot,
    job: &Job,
    first: Raw,
    left: Duration,
) -> (Event, Vec<u64>) {
    let mut open = FuturesUnordered::new();
    let (mut told, mut asked, mut cancelled) = (Vec::new(), 0u32, false);
    let deadline = tokio::time::sleep(left);
    tokio::pin!(deadline);
    let mut event = Event::HostCalls(first);
    loop {
        match event {
            Event::HostCalls(raw) => {
                let Some(calls) = decode(&raw, job, &mut asked) else {
                    // the child's own limits let nothing like this out: it is not ours any more
                    link.kill();
                    return (Event::Lost, told);
                };
                if !cancelled {
                    open.extend(calls.into_iter().map(|call| {
                        let host = Arc::clone(&job.host);
                        async move { (call.seq, host.call(call).await) }
                    }));
                }
            }
            end => return (end, told),
        }
        event = loop {
            tokio::select! {
                biased;
                event = slot.next() => break event,
                Some((seq, reply)) = open.next(), if !open.is_empty() => {
                    let index = u32::try_from(told.len()).unwrap_or(u32::MAX);
                    told.push(reply.units);
                    answer(link, id, index, seq, reply).await;
                }
                () = over(&mut deadline, job), if !cancelled => {
                    link.give_up(id, slot);
                    cancelled = true;
                    open.clear();
                }
            }
        };
    }
}

/// Ready when nobody waits for the call any longer, or its time is over.
async fn over(deadline: &mut Pin<&mut Sleep>, job: &Job) {
    tokio::select! {
        () = deadline => {}
        () = job.given_up.cancelled() => {}
    }
}

async fn answer(link: &Link, id: u64, index: u32, seq: u32, reply: HostReply) {
    let (error, body) = match reply.result {
        Ok(body) if body.len() > REPLY_BYTES_MAX => (
            Some((
                Code::HostUnavailable,
                "the service's answer is too large".to_owned(),
            )),
            bytes::Bytes::new(),
        ),
        Ok(body) => (None, body),
        Err(HostError { code, message }) => (Some((code, message)), bytes::Bytes::new()),
    };
    let head = postcard::to_stdvec(&HostResultHead {
        seq,
        error,
        now: reply.now,
        units: reply.units,
    });
    if let Ok(head) = head {
        // an error means that the child is gone, of which the slot tells
        let _ = link.send(id, Kind::HostResult, index, &head, &body).await;
    }
}

/// None when the child breaks the bounds that it was given.
fn decode(raw: &Raw, job: &Job, asked: &mut u32) -> Option<Vec<HostCall>> {
    let heads: Vec<HostCallHead> = postcard::from_bytes(raw.head()).ok()?;
    *asked = asked.saturating_add(u32::try_from(heads.len()).ok()?);
    if heads.is_empty() || *asked > job.limits.host_calls {
        return None;
    }
    let mut body = raw.body();
    let invokes = heads.iter().filter(|head| head.op == HostOp::Invoke).count();
    let mut sharing = u32::try_from(invokes).ok()?;
    let mut calls = Vec::with_capacity(heads.len());
    for head in heads {
        let n = usize::try_from(head.input_len).ok()?;
        if head.input_len > job.limits.host_input_bytes || n > body.len() {
            return None;
        }
        calls.push(HostCall {
            seq: head.seq,
            op: head.op,
            input: body.split_to(n),
            units_left: head.units_left.min(job.units),
            sharing: sharing.max(1),
        });
        if head.op == HostOp::Invoke {
            sharing -= 1;
        }
    }
    Some(calls)
}
