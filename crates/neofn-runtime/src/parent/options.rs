//! What a pool is started with.

use neofn_types::Clock;
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;

/// What a child takes beside runs and live instances: the engine, versions, threads.
const ENGINE_BYTES: u64 = 256 << 20;
/// The largest JavaScript run and its own needs.
const RUN_BYTES_MIN: u64 = 260 << 20;

/// Of a child's memory one part in so many is for live instances.
const HOT_PART: u64 = 8;
/// The engine, one run of any size, and some live instances.
const CHILD_BYTES_MIN: u64 = 592 << 20;

/// Everything a pool needs to know.
#[derive(Clone)]
pub struct PoolOptions {
    /// The binary that plays the child roles.
    pub exe: PathBuf,
    /// Arguments before the role, such as `__child`. What follows them goes to [`crate::child::main`].
    pub args: Vec<OsString>,
    /// Sandbox children; 0 means one per core.
    pub children: u32,
    /// Runs children below the tier of confinement that tenants' code requires. Every status shows it.
    pub insecure_no_jail: bool,
    /// Where the compiled engine is kept between starts. Made with mode 0700 when absent.
    pub cache_dir: PathBuf,
    /// Memory for live instances, per child.
    pub hot_bytes_max: u64,
    /// Resident memory above which a child is relieved, then replaced.
    pub child_bytes_max: u64,
    /// Memory for artifacts of versions that were called lately.
    pub artifact_bytes_max: u64,
    /// Calls that run at once, per child; more of them wait for their turn. At most 64.
    pub running_max: u32,
    /// Time.
    pub clock: Arc<dyn Clock>,
}

impl PoolOptions {
    /// The defaults: one child per core, confined.
    #[must_use]
    pub fn new(exe: PathBuf, args: Vec<OsString>, cache_dir: PathBuf, clock: Arc<dyn Clock>) -> Self {
        Self {
            exe,
            args,
            children: 0,
            insecure_no_jail: false,
            cache_dir,
            hot_bytes_max: 256 << 20,
            child_bytes_max: 2 << 30,
            artifact_bytes_max: 512 << 20,
            running_max: 64,
            clock,
        }
    }
    /// Shares so much memory out: what live instances and all runs of a child may take follows from it, and what is kept of
    /// artifacts. A child that can run anything at all is never given less than it needs for that.
    #[must_use]
    pub fn within(mut self, bytes: u64) -> Self {
        let children = u64::try_from(self.children()).unwrap_or(1);
        let share = (bytes / children).min(self.child_bytes_max);
        if share < CHILD_BYTES_MIN {
            tracing::warn!(
                children,
                mib = bytes >> 20,
                needed_mib = (CHILD_BYTES_MIN * children) >> 20,
                "little memory for so many sandbox processes"
            );
        }
        self.child_bytes_max = share.max(CHILD_BYTES_MIN);
        self.hot_bytes_max = self.hot_bytes_max.min(self.child_bytes_max / HOT_PART);
        self.artifact_bytes_max = self.artifact_bytes_max.min(bytes / HOT_PART);
        self
    }
    pub(super) fn children(&self) -> usize {
        let wanted = match self.children {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            n => usize::try_from(n).unwrap_or(1),
        };
        wanted.clamp(1, 256)
    }
    /// Memory of all runs of a child: its own bound without what live instances and the engine itself may take, and
    /// never less than one run may have.
    pub(super) fn run_bytes_max(&self) -> u64 {
        let others = self.hot_bytes_max.saturating_add(ENGINE_BYTES);
        self.child_bytes_max.saturating_sub(others).max(RUN_BYTES_MIN)
    }
    pub(super) fn running_max(&self) -> usize {
        usize::try_from(self.running_max.clamp(1, 64)).unwrap_or(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::still::Still;

    #[test]
    fn children_share_what_there_is() {
        let mut of_two = PoolOptions::new("neofn".into(), Vec::new(), PathBuf::new(), Arc::new(Still));
        of_two.children = 2;
        let plenty = of_two.clone().within(64 << 30);
        assert_eq!(
            (
                plenty.child_bytes_max,
                plenty.hot_bytes_max,
                plenty.artifact_bytes_max
            ),
            (
                of_two.child_bytes_max,
                of_two.hot_bytes_max,
                of_two.artifact_bytes_max
            )
        );
        let container = of_two.clone().within((2 << 30) / 4 * 3);
        assert_eq!(container.child_bytes_max, 768 << 20);
        assert_eq!(container.run_bytes_max(), (768 - 96 - 256) << 20);
        // the largest run still fits, whatever the machine has
        let tiny = of_two.within(1 << 20);
        assert_eq!(tiny.child_bytes_max, CHILD_BYTES_MIN);
        assert!(
            tiny.run_bytes_max() >= RUN_BYTES_MIN
                && tiny.run_bytes_max() + tiny.hot_bytes_max + ENGINE_BYTES <= CHILD_BYTES_MIN
        );
    }
}
