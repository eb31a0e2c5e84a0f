//! What a pool is started with.

use neofn_types::Clock;
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;

/// What a child takes beside runs and live instances: the engine, versions, threads.
const ENGINE_BYTES: u64 = 256 << 20;
/// The largest JavaScript run and its own needs.
const RUN_BYTES_MIN: u64 = 260 << 20;

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
