//! The five fields of a cron expression: minute, hour, day of month, month, day of week.

use super::ScheduleError;
use std::ops::Range;

/// Which minutes, hours, days and months; a bit for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fields {
    pub(crate) minutes: u64,
    pub(crate) hours: u64,
    pub(crate) days: u64,
    pub(crate) months: u64,
    /// 0 is Sunday.
    pub(crate) weekdays: u64,
    /// Whether day of month and day of week are both restricted: then either may match, as in every cron.
    pub(crate) either_day: bool,
    /// Whether the hour begins with `*`: such a schedule follows elapsed time when clocks change.
    pub(crate) any_hour: bool,
}

struct Field {
    name: &'static str,
    least: u32,
    most: u32,
    /// Names for the numbers from `least`.
    names: &'static [&'static str],
}

const MONTHS: [&str; 12] = [
    "JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC",
];
const WEEKDAYS: [&str; 7] = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];
const FIELDS: [Field; 5] = [
    Field {
        name: "minute",
        least: 0,
        most: 59,
        names: &[],
    },
    Field {
        name: "hour",
        least: 0,
        most: 23,
        names: &[],
    },
    Field {
        name: "day of month",
        least: 1,
        most: 31,
        names: &[],
    },
    Field {
        name: "month",
        least: 1,
        most: 12,
        names: &MONTHS,
    },
    Field {
        name: "day of week",
        least: 0,
        most: 7,
        names: &WEEKDAYS,
    },
];

/// The words of `text` with their places.
fn words(text: &str) -> Vec<(Range<usize>, &str)> {
    text.split_whitespace()
        .map(|word| {
            // a word of the split lies inside the text
            let start = word.as_ptr().addr().saturating_sub(text.as_ptr().addr());
            (start..start + word.len(), word)
        })
        .collect()
}

impl Fields {
    pub(crate) fn parse(text: &str) -> Result<Self, ScheduleError> {
        let words = words(text);
        let [minute, hour, day, month, weekday] = words.as_slice() else {
            let hint = if words.len() == 6 {
                "neofn has no field for seconds: leave the first one out, or write @every 10s"
            } else {
                "minute, hour, day of month, month, day of week: `0 9 * * 1-5`"
            };
            return Err(ScheduleError::at(
                0..text.len(),
                format!("a cron expression has five fields, this has {}", words.len()),
                hint,
            ));
        };
        let read = |(span, word): &(Range<usize>, &str), index: usize| match FIELDS.get(index) {
            Some(field) => bits(field, word, span),
            None => Ok(0),
        };
        let weekdays = read(weekday, 4)?;
        let restricted = |(_, word): &(Range<usize>, &str)| !word.starts_with('*') && *word != "?";
        Ok(Self {
            minutes: read(minute, 0)?,
            hours: read(hour, 1)?,
            days: read(day, 2)?,
            months: read(month, 3)?,
            // 7 is Sunday too
            weekdays: (weekdays | weekdays >> 7) & 0x7f,
            either_day: restricted(day) && restricted(weekday),
            any_hour: hour.1.starts_with('*'),
        })
    }
}

/// One field: items joined by commas, each `*`, a value or a range, with an optional step.
fn bits(field: &Field, word: &str, span: &Range<usize>) -> Result<u64, ScheduleError> {
    let mut bits = 0;
    let mut at = span.start;
    for item in word.split(',') {
        bits |= item_bits(field, item, at..at + item.len())?;
        at += item.len() + 1;
    }
    Ok(bits)
}

fn item_bits(field: &Field, item: &str, span: Range<usize>) -> Result<u64, ScheduleError> {
    let wrong = |message: String| {
        let names = match field.names {
            [first, .., last] => format!(", or {first} to {last}"),
            _ => String::new(),
        };
        ScheduleError::at(
            span.clone(),
            message,
            format!(
                "the {} is {} to {}{names}; `*`, `1-5`, `*/15` and `1,15` are known",
                field.name, field.least, field.most
            ),
        )
    };
    let (range, step) = match item.split_once('/') {
        Some((range, step)) => match step.parse::<u32>() {
            Ok(step) if step > 0 && step <= field.most => (range, Some(step)),
            _ => {
                return Err(wrong(format!(
                    "`{item}`: the step is not a number from 1 to {}",
                    field.most
                )));
            }
        },
        None => (item, None),
    };
    let (from, to) = if range == "*" || range == "?" {
        // 7 is Sunday again, which a step must not count twice
        (field.least, if field.most == 7 { 6 } else { field.most })
    } else if let Some((from, to)) = range.split_once('-') {
        match (value(field, from), value(field, to)) {
            (Some(from), Some(to)) if from <= to => (from, to),
            (Some(_), Some(_)) => return Err(wrong(format!("`{item}` runs backwards"))),
            _ => return Err(wrong(format!("`{item}` cannot be the {}", field.name))),
        }
    } else {
        let Some(from) = value(field, range) else {
            let shown: String = item.chars().take(20).collect();
            return Err(wrong(format!("`{shown}` cannot be the {}", field.name)));
        };
        // `5/15` goes on to the end
        (from, if step.is_some() { field.most } else { from })
    };
    let step = usize::try_from(step.unwrap_or(1)).unwrap_or(1);
    Ok((from..=to).step_by(step).fold(0, |bits, n| bits | 1u64 << n))
}

fn value(field: &Field, text: &str) -> Option<u32> {
    let number = || {
        let digits = !text.is_empty() && text.len() <= 2 && text.bytes().all(|b| b.is_ascii_digit());
        digits.then(|| text.parse::<u32>().ok()).flatten()
    };
    let named = || {
        let at = field
            .names
            .iter()
            .position(|name| name.eq_ignore_ascii_case(text))?;
        u32::try_from(at).ok().map(|n| n + field.least)
    };
    number()
        .or_else(named)
        .filter(|n| (field.least..=field.most).contains(n))
}
