//! The next moment of a calendar rule. Clocks that change are where cron goes wrong, so the two cases are apart:
//! a rule with fixed hours runs once for every time on the clock, also for one that is skipped or repeated; a rule
//! whose hour begins with `*` follows elapsed time.

use super::fields::Fields;
use jiff::civil::{Date, DateTime, Time};
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{Timestamp, ToSpan};
use neofn_types::UnixMillis;

/// Eight years hold a 29th of February even around a year without one.
const HORIZON_DAYS: usize = 366 * 8 + 2;
/// Steps of the search by elapsed time: days, then hours, then minutes.
const STEPS_MAX: usize = HORIZON_DAYS + 24 * 40 + 60 * 40;

pub(super) fn after(fields: &Fields, zone: &TimeZone, after: UnixMillis) -> Option<UnixMillis> {
    let after = Timestamp::from_millisecond(after.0).ok()?;
    let found = if fields.any_hour {
        by_elapsed(fields, zone, after)
    } else {
        by_clock(fields, zone, after)
    };
    found.map(|at| UnixMillis(at.as_millisecond()))
}

fn has(bits: u64, n: i8) -> bool {
    u32::try_from(n).is_ok_and(|n| bits >> n & 1 == 1)
}

fn day_fits(fields: &Fields, date: Date) -> bool {
    let day = has(fields.days, date.day());
    let weekday = has(fields.weekdays, date.weekday().to_sunday_zero_offset());
    has(fields.months, date.month())
        && if fields.either_day {
            day || weekday
        } else {
            day && weekday
        }
}

/// The instant of a time on the clock: the first one when it comes twice, the end of the gap when it is skipped.
fn instant(zone: &TimeZone, at: DateTime) -> Option<Timestamp> {
    let ambiguous = zone.to_ambiguous_timestamp(at);
    match ambiguous.offset() {
        AmbiguousOffset::Gap { .. } => {
            let later = ambiguous.later().ok()?;
            // `later` lies behind the change by as much as `at` lies inside the gap
            let change = zone.preceding(later).next().map(|change| change.timestamp());
            let just = later.checked_add(1.nanosecond()).ok()?;
            zone.preceding(just).next().map(|c| c.timestamp()).or(change)
        }
        AmbiguousOffset::Unambiguous { .. } | AmbiguousOffset::Fold { .. } => ambiguous.earlier().ok(),
    }
}

fn by_clock(fields: &Fields, zone: &TimeZone, after: Timestamp) -> Option<Timestamp> {
    // a repeated hour can begin on the day before
    let mut date = zone.to_datetime(after).date().yesterday().ok()?;
    for _ in 0..HORIZON_DAYS {
        if day_fits(fields, date)
            && let Some(found) = first_of_day(fields, zone, date, after)
        {
            return Some(found);
        }
        date = date.tomorrow().ok()?;
    }
    None
}

fn first_of_day(fields: &Fields, zone: &TimeZone, date: Date, after: Timestamp) -> Option<Timestamp> {
    for hour in (0..24).filter(|h| has(fields.hours, *h)) {
        for minute in (0..60).filter(|m| has(fields.minutes, *m)) {
            let at = DateTime::from_parts(date, Time::new(hour, minute, 0, 0).ok()?);
            if let Some(found) = instant(zone, at).filter(|found| *found > after) {
                return Some(found);
            }
        }
    }
    None
}

fn by_elapsed(fields: &Fields, zone: &TimeZone, after: Timestamp) -> Option<Timestamp> {
    const MINUTE: i64 = 60;
    let floor = after.as_second().div_euclid(MINUTE).checked_mul(MINUTE)?;
    let mut at = Timestamp::from_second(floor.checked_add(MINUTE)?).ok()?;
    for _ in 0..STEPS_MAX {
        let clock = zone.to_datetime(at);
        if !day_fits(fields, clock.date()) {
            let midnight = clock.date().tomorrow().ok()?.to_datetime(Time::midnight());
            let next = zone.to_ambiguous_timestamp(midnight).compatible().ok()?;
            at = if next > at {
                next
            } else {
                at.checked_add(1.hour()).ok()?
            };
        } else if !has(fields.hours, clock.hour()) {
            at = at.checked_add((60 - i64::from(clock.minute())).minutes()).ok()?;
        } else if has(fields.minutes, clock.minute()) {
            return Some(at);
        } else {
            at = at.checked_add(1.minute()).ok()?;
        }
    }
    None
}
