//! Schedules: reading, clocks that change, missed runs.

use super::{Due, Schedule, due};
use crate::spec::Missed;
use neofn_types::UnixMillis;

fn at(text: &str) -> UnixMillis {
    UnixMillis(text.parse::<jiff::Timestamp>().expect(text).as_millisecond())
}

/// The first `n` runs after `from`, in UTC.
fn runs(schedule: &str, zone: &str, from: &str, n: usize) -> Vec<String> {
    let schedule = Schedule::parse(schedule, zone).expect("is right");
    let mut after = at(from);
    (0..n)
        .map(|_| {
            after = schedule.next_after(after).expect("comes");
            after.to_iso8601().replace(":00.000Z", "Z")
        })
        .collect()
}

#[test]
fn ordinary_schedules() {
    assert_eq!(
        runs("*/15 9-10 * * MON-FRI", "UTC", "2026-01-02T10:40:00Z", 3),
        ["2026-01-02T10:45Z", "2026-01-05T09:00Z", "2026-01-05T09:15Z"]
    );
    assert_eq!(
        runs("0 0 29 2 *", "UTC", "2026-01-01T00:00:00Z", 2),
        ["2028-02-29T00:00Z", "2032-02-29T00:00Z"]
    );
    // day of month or day of week, as in every cron
    assert_eq!(
        runs("0 0 13 * 5", "UTC", "2026-02-01T00:00:00Z", 3),
        ["2026-02-06T00:00Z", "2026-02-13T00:00Z", "2026-02-20T00:00Z"]
    );
    assert_eq!(
        runs("0 0 * * 7", "UTC", "2026-01-01T00:00:00Z", 1),
        ["2026-01-04T00:00Z"]
    );
    assert_eq!(
        runs("@daily", "Asia/Tokyo", "2026-01-01T00:00:00Z", 1),
        ["2026-01-01T15:00Z"]
    );
    assert_eq!(
        runs("5/20 * * * *", "UTC", "2026-01-01T00:00:00Z", 4)[3],
        "2026-01-01T01:05Z"
    );
    let every = Schedule::parse("@every 10s", "UTC").expect("is right");
    assert_eq!(every.next_after(UnixMillis(10_000)), Some(UnixMillis(20_000)));
    assert_eq!(every.next_after(UnixMillis(19_999)), Some(UnixMillis(20_000)));
}

#[test]
fn a_time_that_the_clock_skips_runs_when_it_is_set_and_one_that_it_repeats_runs_once() {
    // Berlin, 2026-03-29: 02:00 becomes 03:00 at 01:00 UTC
    assert_eq!(
        runs("30 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z", 2),
        ["2026-03-29T01:00Z", "2026-03-30T00:30Z"]
    );
    assert_eq!(
        runs("0 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z", 2),
        ["2026-03-29T01:00Z", "2026-03-30T00:00Z"]
    );
    // Berlin, 2026-10-25: 03:00 becomes 02:00 at 01:00 UTC
    assert_eq!(
        runs("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", 2),
        ["2026-10-25T00:30Z", "2026-10-26T01:30Z"]
    );
    // every half hour is every half hour, also then
    assert_eq!(
        runs("*/30 * * * *", "Europe/Berlin", "2026-10-24T23:45:00Z", 5),
        [
            "2026-10-25T00:00Z",
            "2026-10-25T00:30Z",
            "2026-10-25T01:00Z",
            "2026-10-25T01:30Z",
            "2026-10-25T02:00Z"
        ]
    );
    assert_eq!(
        runs("*/30 * * * *", "Europe/Berlin", "2026-03-29T00:15:00Z", 3),
        ["2026-03-29T00:30Z", "2026-03-29T01:00Z", "2026-03-29T01:30Z"]
    );
}

#[test]
fn refusals_say_where_and_what_to_do() {
    let lines: Vec<String> = [
        ("", "UTC"),
        ("* * * *", "UTC"),
        ("0 * * * * *", "UTC"),
        ("61 * * * *", "UTC"),
        ("0 9 * * MOM", "UTC"),
        ("0 17-9 * * *", "UTC"),
        ("*/0 * * * *", "UTC"),
        ("0 0 31 2 *", "UTC"),
        ("@fortnightly", "UTC"),
        ("@every 10 parsecs", "UTC"),
        ("@every 1ms", "UTC"),
        ("@daily", "Berlin"),
        ("@daily", "Europe/Berln"),
        ("@daily", "New York"),
        ("@daily", "Middle Earth"),
    ]
    .into_iter()
    .map(|(text, zone)| {
        let error = Schedule::parse(text, zone).expect_err(text);
        format!(
            "{text:?} {zone}: {:?} {} ({})",
            error.span, error.message, error.hint
        )
    })
    .collect();
    insta::assert_snapshot!(lines.join("\n"));
}

#[test]
fn missed_runs_follow_the_policy() {
    let daily = Schedule::parse("0 9 * * *", "UTC").expect("is right");
    let (handled, now) = (at("2026-01-01T09:00:00Z"), at("2026-01-05T12:00:00Z"));
    let days = |days: &[&str]| {
        days.iter()
            .map(|d| at(&format!("2026-01-{d}T09:00:00Z")))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        due(&daily, Missed::Skip, handled, now),
        Due {
            runs: vec![],
            left_out: true
        }
    );
    assert_eq!(
        due(&daily, Missed::Once, handled, now),
        Due {
            runs: days(&["05"]),
            left_out: true
        }
    );
    assert_eq!(
        due(&daily, Missed::All, handled, now),
        Due {
            runs: days(&["02", "03", "04", "05"]),
            left_out: false
        }
    );
    for policy in [Missed::Skip, Missed::Once, Missed::All] {
        // in time, whatever the policy
        let on_time = due(
            &daily,
            policy,
            at("2026-01-02T08:59:00Z"),
            at("2026-01-02T09:00:05Z"),
        );
        assert_eq!(
            on_time,
            Due {
                runs: days(&["02"]),
                left_out: false
            }
        );
        // nothing is due, and nothing when the clock went backwards
        assert_eq!(
            due(&daily, policy, now, at("2026-01-05T13:00:00Z")),
            Due::default()
        );
        assert_eq!(due(&daily, policy, now, handled), Due::default());
    }
    // a year of minutes does not become half a million runs
    let minutely = Schedule::parse("* * * * *", "UTC").expect("is right");
    let year = due(
        &minutely,
        Missed::All,
        at("2025-01-01T00:00:00Z"),
        at("2026-01-01T00:00:00Z"),
    );
    assert!(year.left_out && year.runs.len() <= 102);
    let once = due(
        &minutely,
        Missed::Once,
        at("2025-01-01T00:00:00Z"),
        at("2026-01-01T00:00:00Z"),
    );
    assert_eq!(
        once.runs,
        [at("2025-12-31T23:59:00Z"), at("2026-01-01T00:00:00Z")]
    );
}
