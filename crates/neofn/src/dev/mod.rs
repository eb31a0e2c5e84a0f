//! The parts of `neofn dev`. One thread owns the session; the others only send it events.

mod embedded;
pub mod keys;
mod session;
pub mod watch;

pub use embedded::Embedded;
pub use session::Session;

use neofn_wire::LogEvent;

/// What can happen while a project runs.
#[derive(Debug)]
pub enum Event {
    /// A file of the project changed.
    Changed,
    /// A key was pressed.
    Key(char),
    /// A run ended.
    Logged(Box<(String, LogEvent)>),
    /// A signal asked us to end.
    Stop,
}
