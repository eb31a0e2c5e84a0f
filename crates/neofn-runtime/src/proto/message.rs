//! Heads of the messages on the data socket. postcard has no field names: both sides are the same binary.

use crate::port::{Failure, HostOp, JobContext, JobLimits, Layout};
use neofn_types::{Code, UnitsBill, UnixMillis};
use serde::{Deserialize, Serialize};

/// Head of [`super::Kind::Call`]; the body is the event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallHead<C> {
    /// Number of the version, given at its loading.
    pub version: u32,
    /// What `ctx` says. Borrowed by the sender, owned by the reader.
    pub context: C,
    /// Seeds randomness.
    pub seed: [u8; 32],
    /// What Date.now answers at first.
    pub now: UnixMillis,
    /// Wall clock from here on, parked time included.
    pub deadline_us: u64,
    /// Most units.
    pub units: u64,
    /// Sizes and counts.
    pub limits: JobLimits,
}

/// As it is sent.
pub type CallHeadRef<'a> = CallHead<&'a JobContext>;
/// As it is read.
pub type CallHeadOwned = CallHead<JobContext>;

/// Head of [`super::Kind::Done`]; the body is the result's JSON, empty on failure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DoneHead<F, L> {
    /// Why there is no result.
    pub failure: Option<F>,
    /// Console lines.
    pub logs: L,
    /// The bill.
    pub units: UnitsBill,
    /// Fuel of instructions.
    pub fuel: u64,
    /// Memory high-water mark.
    pub memory_bytes: u64,
    /// Which layout served it.
    pub layout: Layout,
    /// Answers of host calls that it went on with, and was charged for; those after them came too late.
    pub replies: u32,
}

/// As it is sent.
pub type DoneHeadRef<'a> = DoneHead<&'a Failure, &'a [String]>;
/// As it is read.
pub type DoneHeadOwned = DoneHead<Failure, Vec<String>>;

/// One entry of [`super::Kind::HostCalls`]; the inputs follow each other in the body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostCallHead {
    /// Counts from 0 within the run.
    pub seq: u32,
    /// What to do.
    pub op: HostOp,
    /// Bytes of its input in the body.
    pub input_len: u32,
    /// Units left.
    pub units_left: u64,
}

/// Head of [`super::Kind::HostResult`]; the body is the JSON of a success. The packet's index is its place in the order of delivery.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostResultHead {
    /// Which host call.
    pub seq: u32,
    /// The error that the promise rejects with.
    pub error: Option<(Code, String)>,
    /// What Date.now answers from here on.
    pub now: UnixMillis,
    /// Units on top of the schedule's price.
    pub units: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_borrowed_head_is_read_as_an_owned_one() {
        let context = JobContext {
            function: "f".into(),
            project: "p".into(),
            invocation: "i".into(),
            version: 1,
            attempt: 2,
            grants: vec!["kv".into()],
        };
        let sent = CallHeadRef {
            version: 9,
            context: &context,
            seed: [7; 32],
            now: UnixMillis(5),
            deadline_us: 30_000_000,
            units: 10,
            limits: JobLimits::default(),
        };
        let bytes = postcard::to_stdvec(&sent).unwrap();
        let read: CallHeadOwned = postcard::from_bytes(&bytes).unwrap();
        assert_eq!(read.context, context);
        assert_eq!((read.version, read.units, read.seed), (9, 10, [7; 32]));

        let failure = Failure {
            code: Code::Uncaught,
            message: "Error: x".into(),
            stack: vec![],
        };
        let logs = ["[LOG] a".to_owned()];
        let sent = DoneHeadRef {
            failure: Some(&failure),
            logs: &logs,
            units: UnitsBill::default(),
            fuel: 1,
            memory_bytes: 2,
            layout: Layout::D3,
            replies: 3,
        };
        let read: DoneHeadOwned = postcard::from_bytes(&postcard::to_stdvec(&sent).unwrap()).unwrap();
        assert_eq!(read.failure, Some(failure));
        assert_eq!(read.logs, logs);
    }
}
