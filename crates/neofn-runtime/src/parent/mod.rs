//! The node's side: starts sandbox children, hands them calls, keeps what they need, replaces those that fail.
//!
//! Believes a child only as far as the child's own calls go. Knows nothing of registries and storage.

mod engine_cache;
mod host_loop;
mod link;
mod member;
mod options;
mod pool;
mod prepare;
mod process;
mod promotion;
mod run;
mod slot;
mod versions;
mod watch;
mod watched;

pub use options::PoolOptions;
pub use pool::Pool;
