//! When a cron trigger runs: five-field expressions, `@every` and friends, in a time zone.

mod due;
mod fields;
mod next;

pub use due::{Due, due};

use fields::Fields;
use jiff::tz::TimeZone;
use neofn_types::{UnixMillis, parse_duration_ms};
use std::fmt;
use std::ops::Range;

/// Longest text of a schedule, in bytes.
const TEXT_BYTES_MAX: usize = 256;
/// Shortest and longest period of `@every`.
const PERIOD_MS: std::ops::RangeInclusive<u64> = 1_000..=366 * 86_400_000;
/// A moment from which every schedule that comes true at all does so within the horizon: before a 29th of February.
const PROBE: UnixMillis = UnixMillis(1_704_067_200_000);

/// A schedule in its time zone. Equal when both texts are.
#[derive(Debug, Clone)]
pub struct Schedule {
    text: String,
    timezone: String,
    zone: TimeZone,
    rule: Rule,
}

#[derive(Debug, Clone)]
pub(crate) enum Rule {
    /// Multiples of a period since 1970.
    Every(i64),
    /// By the calendar.
    Fields(Fields),
}

/// Why a schedule was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ScheduleError {
    /// Bytes of the schedule; `None` when the time zone is meant.
    pub span: Option<Range<usize>>,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub hint: String,
}

impl ScheduleError {
    pub(crate) fn at(span: Range<usize>, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            span: Some(span),
            message: message.into(),
            hint: hint.into(),
        }
    }
}

impl PartialEq for Schedule {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text && self.timezone == other.timezone
    }
}
impl Eq for Schedule {}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.text, self.timezone)
    }
}

impl Schedule {
    /// Reads a schedule; `timezone` is a name of the IANA database.
    pub fn parse(text: &str, timezone: &str) -> Result<Self, ScheduleError> {
        let zone = zone(timezone)?;
        if text.len() > TEXT_BYTES_MAX {
            let all = 0..text.len();
            return Err(ScheduleError::at(
                all,
                "the schedule is too long",
                "write five fields: `0 9 * * 1-5`",
            ));
        }
        let schedule = Self {
            text: text.to_owned(),
            timezone: timezone.to_owned(),
            zone,
            rule: rule(text)?,
        };
        if schedule.next_after(PROBE).is_none() {
            return Err(ScheduleError::at(
                0..text.len(),
                "this never comes true",
                "the months that are named do not have the days that are named",
            ));
        }
        Ok(schedule)
    }
    /// As it was written.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }
    /// Name of its time zone.
    #[must_use]
    pub fn timezone(&self) -> &str {
        &self.timezone
    }
    /// The first run after `after`; `None` at the end of the calendar.
    #[must_use]
    pub fn next_after(&self, after: UnixMillis) -> Option<UnixMillis> {
        match &self.rule {
            Rule::Every(period) => {
                let passed = after.0.div_euclid(*period);
                passed.checked_add(1)?.checked_mul(*period).map(UnixMillis)
            }
            Rule::Fields(fields) => next::after(fields, &self.zone, after),
        }
    }
}

fn zone(name: &str) -> Result<TimeZone, ScheduleError> {
    // case is not distinguished; an empty name and offsets are no names
    TimeZone::get(name).map_err(|_| {
        let shown: String = name.chars().take(60).collect();
        let spaced = name.replace(' ', "_");
        let known: Vec<String> = jiff::tz::db()
            .available()
            .map(|n| n.as_str().to_owned())
            .collect();
        let meant = neofn_types::closest(&spaced, known.iter().map(String::as_str)).or_else(|| {
            // people know the city
            known.iter().map(String::as_str).find(|zone| {
                zone.rsplit('/')
                    .next()
                    .is_some_and(|city| city.eq_ignore_ascii_case(&spaced))
            })
        });
        ScheduleError {
            span: None,
            message: format!("\"{shown}\" is not a time zone"),
            hint: match meant {
                Some(meant) => format!("did you mean \"{meant}\"?"),
                None => "write a name of the IANA database: UTC, Europe/Berlin, America/New_York".to_owned(),
            },
        }
    })
}

fn rule(text: &str) -> Result<Rule, ScheduleError> {
    let trimmed = text.trim();
    let start = text.len() - text.trim_start().len();
    let all = start..start + trimmed.len();
    let Some(macro_name) = trimmed.strip_prefix('@') else {
        return Fields::parse(text).map(Rule::Fields);
    };
    let same_as = match macro_name {
        "yearly" | "annually" => "0 0 1 1 *",
        "monthly" => "0 0 1 * *",
        "weekly" => "0 0 * * 0",
        "daily" | "midnight" => "0 0 * * *",
        "hourly" => "0 * * * *",
        other => {
            let Some(period) = other.strip_prefix("every ") else {
                return Err(ScheduleError::at(
                    all,
                    format!("`{}` is not known", trimmed.chars().take(40).collect::<String>()),
                    "known are @hourly, @daily, @weekly, @monthly, @yearly and @every 30s",
                ));
            };
            let ms = parse_duration_ms(period).ok().filter(|ms| PERIOD_MS.contains(ms));
            let ms = ms.and_then(|ms| i64::try_from(ms).ok());
            return ms.map(Rule::Every).ok_or_else(|| {
                ScheduleError::at(
                    all,
                    "not a period between one second and 366 days",
                    "write it like @every 30s, @every 5m, @every 1h",
                )
            });
        }
    };
    Fields::parse(same_as).map(Rule::Fields)
}

#[cfg(test)]
mod tests;
