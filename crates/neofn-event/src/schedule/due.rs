//! Which runs are due, and which were missed.

use super::Schedule;
use crate::spec::Missed;
use neofn_types::UnixMillis;

/// A run that is no later than this was not missed.
const GRACE_MS: i64 = 30_000;
/// Most missed runs that are made up for at once.
const MISSED_MAX: usize = 100;
/// Most runs in time: one a second, and one more at each end.
const IN_TIME_MAX: usize = 32;

/// What to run now.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Due {
    /// The times of the runs, oldest first.
    pub runs: Vec<UnixMillis>,
    /// Whether missed runs were left out.
    pub left_out: bool,
}

/// The runs after `handled` up to `now`. Everything up to `now` is then handled.
#[must_use]
pub fn due(schedule: &Schedule, missed: Missed, handled: UnixMillis, now: UnixMillis) -> Due {
    let mut due = Due::default();
    if now <= handled {
        // also when the clock was set back
        return due;
    }
    let late = UnixMillis(now.0.saturating_sub(GRACE_MS));
    let mut from = handled;
    if handled < late {
        match missed {
            Missed::Skip => due.left_out = schedule.next_after(handled).is_some_and(|at| at <= late),
            Missed::Once => {
                let first = schedule.next_after(handled).filter(|at| *at <= late);
                let latest = first.and_then(|_| latest(schedule, handled, late));
                due.left_out = latest != first;
                due.runs.extend(latest);
            }
            Missed::All => {
                let mut at = handled;
                while let Some(next) = schedule.next_after(at).filter(|next| *next <= late) {
                    if due.runs.len() == MISSED_MAX {
                        due.left_out = true;
                        break;
                    }
                    due.runs.push(next);
                    at = next;
                }
            }
        }
        from = late;
    }
    for _ in 0..IN_TIME_MAX {
        let Some(next) = schedule.next_after(from).filter(|next| *next <= now) else {
            break;
        };
        due.runs.push(next);
        from = next;
    }
    due
}

/// The last run in `after..=until`: looked for in windows that double, so that a long absence costs little.
fn latest(schedule: &Schedule, after: UnixMillis, until: UnixMillis) -> Option<UnixMillis> {
    let mut width: i64 = 60_000;
    loop {
        let start = UnixMillis(until.0.saturating_sub(width).max(after.0));
        let mut found = schedule.next_after(start).filter(|at| *at <= until);
        if let Some(mut last) = found {
            while let Some(next) = schedule.next_after(last).filter(|next| *next <= until) {
                last = next;
                found = Some(next);
            }
            return found;
        }
        if start == after {
            return None;
        }
        width = width.saturating_mul(2);
    }
}
