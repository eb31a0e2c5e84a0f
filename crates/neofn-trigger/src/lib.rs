//! Matching: which triggers a block, an event or a request reaches, with what, and why.
//!
//! Pure: takes blocks and events, gives matches. Whoever reads the chain and keeps the cursor stands above. Schedules
//! are `neofn_event::schedule`.

mod calls;
mod chain_event;
mod decode;
mod env;
mod events;
mod explain;
mod matcher;

pub use calls::called_contracts;
pub use chain_event::{cron_event, ids};
pub use decode::{parameter_json, stack_value};
pub use events::EventMatcher;
pub use explain::{Candidate, Condition, Explanation};
pub use matcher::{Match, Matcher, Refused};
