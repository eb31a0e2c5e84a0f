//! Calls that wait for host calls, and the order in which replies reach them.
//!
//! Replies carry the index of their delivery. They are applied strictly in that order, whichever thread receives them:
//! a recorded run is replayed exactly only if the order is the same.

use crate::port::HostReply;
use std::collections::{BTreeMap, HashMap};

/// One call that has waited at least once.
struct Waiting<P> {
    /// Absent while a thread runs it.
    run: Option<P>,
    inbox: BTreeMap<u32, (u32, HostReply)>,
    next: u32,
    cancelled: bool,
}

impl<P> Waiting<P> {
    fn next_reply(&mut self) -> Option<(u32, HostReply)> {
        let reply = self.inbox.remove(&self.next)?;
        self.next = self.next.saturating_add(1);
        Some(reply)
    }
}

/// All of them.
pub(crate) struct Calls<P>(HashMap<u64, Waiting<P>>);

impl<P> Default for Calls<P> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

/// What to do with a run that wants to wait.
pub(crate) enum Next<P> {
    /// It waits now; a thread that receives its reply goes on with it.
    Waits,
    /// A reply is here already.
    Resume(P, u32, HostReply),
    /// It was cancelled meanwhile.
    Cancelled(P),
}

impl<P> Calls<P> {
    /// A run wants to wait.
    pub(crate) fn park(&mut self, id: u64, run: P) -> Next<P> {
        let waiting = self.0.entry(id).or_insert_with(|| Waiting {
            run: None,
            inbox: BTreeMap::new(),
            next: 0,
            cancelled: false,
        });
        if waiting.cancelled {
            return Next::Cancelled(run);
        }
        if let Some((seq, reply)) = waiting.next_reply() {
            return Next::Resume(run, seq, reply);
        }
        waiting.run = Some(run);
        Next::Waits
    }
    /// A reply has come. Answers the run to go on with, when it waits for exactly this one.
    pub(crate) fn deliver(
        &mut self,
        id: u64,
        index: u32,
        seq: u32,
        reply: HostReply,
    ) -> Option<(P, u32, HostReply)> {
        let waiting = self.0.get_mut(&id)?;
        waiting.inbox.insert(index, (seq, reply));
        let run = waiting.run.take()?;
        match waiting.next_reply() {
            Some((seq, reply)) => Some((run, seq, reply)),
            None => {
                waiting.run = Some(run);
                None
            }
        }
    }
    /// Takes a waiting run out for its cancellation. One that runs is remembered as cancelled.
    pub(crate) fn cancel(&mut self, id: u64) -> Option<P> {
        let waiting = self.0.get_mut(&id)?;
        waiting.cancelled = true;
        waiting.run.take()
    }
    /// A run has ended. Answers how many replies it went on with.
    pub(crate) fn end(&mut self, id: u64) -> u32 {
        self.0.remove(&id).map_or(0, |waiting| waiting.next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use neofn_types::UnixMillis;

    fn reply(n: i64) -> HostReply {
        HostReply {
            result: Ok("null".into()),
            now: UnixMillis(n),
            units: 0,
        }
    }
    #[test]
    fn replies_are_applied_in_the_order_of_their_index() {
        let mut calls = Calls::<&str>::default();
        assert!(matches!(calls.park(1, "run"), Next::Waits));
        assert!(calls.deliver(1, 1, 70, reply(1)).is_none(), "index 1 before 0");
        let (run, seq, r) = calls.deliver(1, 0, 80, reply(0)).unwrap();
        assert_eq!((run, seq, r.now.0), ("run", 80, 0));
        // while it runs nothing is handed out; when it waits again the next one is there already
        assert!(calls.deliver(1, 2, 90, reply(2)).is_none());
        let Next::Resume(_, seq, r) = calls.park(1, "run") else {
            panic!("no reply");
        };
        assert_eq!((seq, r.now.0), (70, 1));
        assert_eq!(calls.end(1), 2, "the third one came too late");
        assert!(calls.deliver(1, 3, 0, reply(3)).is_none());
    }
    #[test]
    fn a_cancel_while_it_runs_is_seen_when_it_wants_to_wait() {
        let mut calls = Calls::<&str>::default();
        assert!(calls.cancel(1).is_none());
        assert!(matches!(calls.park(1, "run"), Next::Waits));
        assert!(calls.deliver(1, 0, 0, reply(0)).is_some());
        assert!(calls.cancel(1).is_none());
        assert!(matches!(calls.park(1, "run"), Next::Cancelled("run")));
    }
}
