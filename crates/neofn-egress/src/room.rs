//! Memory for answers. Small ones always have it; what goes beyond is taken from the project's share and the node's.

use crate::limits::EgressLimits;
use crate::shares::{Share, Shares, busy};
use bytes::Bytes;
use neofn_types::{Error, ProjectName};

/// Least that is taken at once.
const STEP_BYTES: usize = 64 << 10;

/// What one answer holds, as it came and as it was decompressed.
pub(crate) struct Room<'b> {
    shares: &'b Shares,
    project: &'b ProjectName,
    limits: &'b EgressLimits,
    bytes: usize,
    share: Option<Share>,
}

impl<'b> Room<'b> {
    pub(crate) fn new(shares: &'b Shares, project: &'b ProjectName, limits: &'b EgressLimits) -> Self {
        Self {
            shares,
            project,
            limits,
            bytes: limits.answer_bytes_free,
            share: None,
        }
    }

    /// Room for so many bytes in all; waits a little for others' answers to go.
    pub(crate) async fn hold(&mut self, bytes: usize) -> Result<(), Error> {
        let Some(more) = self.wanting(bytes) else {
            return Ok(());
        };
        let taken = tokio::time::timeout(self.limits.answer_wait, self.shares.take(self.project, more));
        let share = taken.await.map_err(busy)??;
        self.add(share, more);
        Ok(())
    }

    /// The same, without waiting; whether there is.
    pub(crate) fn try_hold(&mut self, bytes: usize) -> bool {
        let Some(more) = self.wanting(bytes) else {
            return true;
        };
        let Some(share) = self.shares.try_take(self.project, more) else {
            return false;
        };
        self.add(share, more);
        true
    }

    fn wanting(&self, bytes: usize) -> Option<u32> {
        let more = bytes.checked_sub(self.bytes).filter(|more| *more > 0)?;
        Some(u32::try_from(more.max(STEP_BYTES)).unwrap_or(u32::MAX))
    }

    fn add(&mut self, share: Share, more: u32) {
        self.bytes = self
            .bytes
            .saturating_add(usize::try_from(more).unwrap_or(usize::MAX));
        match &mut self.share {
            Some(held) => held.merge(share),
            None => self.share = Some(share),
        }
    }

    /// The answer, which keeps its room for as long as anybody has it.
    pub(crate) fn around(self, body: Vec<u8>) -> Bytes {
        match self.share {
            None => body.into(),
            Some(share) => Bytes::from_owner(Roomy { body, _share: share }),
        }
    }
}

struct Roomy {
    body: Vec<u8>,
    _share: Share,
}
impl AsRef<[u8]> for Roomy {
    fn as_ref(&self) -> &[u8] {
        &self.body
    }
}
