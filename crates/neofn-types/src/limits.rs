//! Limits: how much one invocation may use, and how sizes and times are written.

use crate::Units;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// A size or a time that could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not {expected}")]
pub struct ParseQuantityError {
    /// What was written.
    pub text: String,
    /// What would have been understood.
    pub expected: &'static str,
}

/// A limit outside what this node allows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("limit {name} is {given}, but must be between {min} and {max}")]
pub struct LimitError {
    /// Which limit.
    pub name: &'static str,
    /// The value asked for.
    pub given: u64,
    /// The least allowed.
    pub min: u64,
    /// The most allowed.
    pub max: u64,
}

/// The limits of a version. Bytes, milliseconds, counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Limits {
    /// Most units a run may be charged.
    pub units: Units,
    /// Wall clock of a run.
    pub time_ms: u64,
    /// Memory of the sandbox.
    pub memory_bytes: u64,
    /// Runs of the function at the same time.
    pub concurrency: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            units: Units(10_000_000),
            time_ms: 30_000,
            memory_bytes: 64 << 20,
            concurrency: 100,
        }
    }
}

/// Fewest units that a function may be limited to: the base charge of a run and one more.
const UNITS_MIN: u64 = 10_001;

impl Limits {
    /// Checks against what an operator allows at the most.
    pub fn check(&self, most: &Self) -> Result<(), LimitError> {
        let range = |name, given: u64, min: u64, max: u64| {
            if (min..=max).contains(&given) {
                Ok(())
            } else {
                Err(LimitError {
                    name,
                    given,
                    min,
                    max,
                })
            }
        };
        range("units", self.units.0, UNITS_MIN, most.units.0)?;
        range("time (ms)", self.time_ms, 1, most.time_ms)?;
        range("memory (bytes)", self.memory_bytes, 4 << 20, most.memory_bytes)?;
        range(
            "concurrency",
            u64::from(self.concurrency),
            1,
            u64::from(most.concurrency),
        )
    }
    /// The time limit as a duration.
    #[must_use]
    pub fn time(&self) -> Duration {
        Duration::from_millis(self.time_ms)
    }
}

fn split_number(text: &str) -> Option<(u64, &str)> {
    let digits = text
        .find(|c: char| !c.is_ascii_digit() && c != '_')
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: String = number.chars().filter(|c| *c != '_').collect();
    Some((number.parse().ok()?, unit.trim()))
}

/// `64MiB`, `1GiB`, `512KiB`, `100kB`, `4096B`, `4096`.
pub fn parse_bytes(text: &str) -> Result<u64, ParseQuantityError> {
    let fail = || ParseQuantityError {
        text: text.chars().take(40).collect(),
        expected: "a size such as \"64MiB\"",
    };
    let (number, unit) = split_number(text.trim()).ok_or_else(fail)?;
    let scale: u64 = match unit {
        "" | "B" => 1,
        "kB" => 1_000,
        "KiB" => 1 << 10,
        "MB" => 1_000_000,
        "MiB" => 1 << 20,
        "GB" => 1_000_000_000,
        "GiB" => 1 << 30,
        _ => return Err(fail()),
    };
    number.checked_mul(scale).ok_or_else(fail)
}

/// What memory is given out in: a page of WebAssembly.
pub const MEMORY_STEP_BYTES: u64 = 64 << 10;

/// A size as [`parse_bytes`] reads it, for the memory of a sandbox: rounded up to whole 64 KiB.
pub fn parse_memory(text: &str) -> Result<u64, ParseQuantityError> {
    let bytes = parse_bytes(text)?;
    bytes
        .checked_next_multiple_of(MEMORY_STEP_BYTES)
        .ok_or_else(|| ParseQuantityError {
            text: text.chars().take(40).collect(),
            expected: "a size such as \"64MiB\"",
        })
}

/// `250ms`, `30s`, `5m`, `1h`, `7d`; milliseconds.
pub fn parse_duration_ms(text: &str) -> Result<u64, ParseQuantityError> {
    let fail = || ParseQuantityError {
        text: text.chars().take(40).collect(),
        expected: "a time such as \"30s\"",
    };
    let (number, unit) = split_number(text.trim()).ok_or_else(fail)?;
    let scale: u64 = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(fail()),
    };
    number.checked_mul(scale).ok_or_else(fail)
}

#[cfg(test)]
mod tests {
    use super::*;
    #[test]
    fn quantities() {
        assert_eq!(parse_bytes("64MiB"), Ok(64 << 20));
        assert_eq!(parse_bytes("1_000 kB"), Ok(1_000_000));
        assert_eq!(parse_duration_ms("30s"), Ok(30_000));
        assert_eq!(parse_memory("64MiB"), Ok(64 << 20));
        assert_eq!(parse_memory("5MB"), Ok(77 << 16));
        assert_eq!(parse_memory("4194305"), Ok((4 << 20) + (64 << 10)));
        assert_eq!(parse_memory("0"), Ok(0));
        assert!(parse_memory("18446744073709551615").is_err());
        for bad in [
            "",
            "MiB",
            "1XB",
            "-1s",
            "1.5s",
            "99999999999999999999s",
            "18446744073709551615GiB",
        ] {
            assert!(parse_bytes(bad).is_err(), "{bad}");
            assert!(parse_duration_ms(bad).is_err(), "{bad}");
        }
    }
}
