//! Triggers: states, what events bring, lanes of deliveries that wait, and what became of them.

mod advance;
mod dead;
mod fired;
mod lanes;
mod state;

pub(crate) use advance::{advance, deliver, emitted, has_room};
pub(crate) use dead::redo;
pub(crate) use fired::{depth_of, fired, forget};
pub(crate) use lanes::{ended, release_due};
pub(crate) use state::{change, cursor, networks, place_cursor, states, triggered};
