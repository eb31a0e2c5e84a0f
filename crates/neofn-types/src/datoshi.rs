//! Money: the GAS token in integers.

use crate::ParseIdError;
use std::fmt;
use std::str::FromStr;

/// Datoshi in one GAS.
const ONE_GAS: i64 = 100_000_000;
/// Digits after the point.
const DECIMALS: usize = 8;

/// An amount of GAS, in datoshi (10^-8 GAS). Displayed and parsed as GAS: `1.5`. In JSON a decimal string of datoshi,
/// as nodes write it: a number would lose digits in JavaScript.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Datoshi(pub i64);

impl Datoshi {
    /// Nothing.
    pub const ZERO: Self = Self(0);
    /// The sum, unless it does not fit.
    #[must_use]
    pub fn checked_add(self, other: Self) -> Option<Self> {
        self.0.checked_add(other.0).map(Self)
    }
    /// The difference, unless it does not fit.
    #[must_use]
    pub fn checked_sub(self, other: Self) -> Option<Self> {
        self.0.checked_sub(other.0).map(Self)
    }
    /// So many times as much, unless it does not fit.
    #[must_use]
    pub fn checked_mul(self, times: i64) -> Option<Self> {
        self.0.checked_mul(times).map(Self)
    }
}
impl fmt::Display for Datoshi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let unit = ONE_GAS.unsigned_abs();
        let (whole, part) = (self.0.unsigned_abs() / unit, self.0.unsigned_abs() % unit);
        if part == 0 {
            return write!(f, "{sign}{whole}");
        }
        let digits = format!("{part:08}");
        write!(f, "{sign}{whole}.{}", digits.trim_end_matches('0'))
    }
}
impl FromStr for Datoshi {
    type Err = ParseIdError;
    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        parse(text).ok_or_else(|| ParseIdError(text.chars().take(80).collect(), "amount of GAS"))
    }
}
fn parse(text: &str) -> Option<Datoshi> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (whole, part) = digits.split_once('.').unwrap_or((digits, "0"));
    let plain = |t: &str| !t.is_empty() && t.bytes().all(|b| b.is_ascii_digit());
    if !plain(whole) || !plain(part) || part.len() > DECIMALS {
        return None;
    }
    let whole: i64 = whole.parse().ok()?;
    let part: i64 = format!("{part:0<8}").parse().ok()?;
    let amount = whole.checked_mul(ONE_GAS)?.checked_add(part)?;
    Some(Datoshi(if negative { -amount } else { amount }))
}
impl serde::Serialize for Datoshi {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(&self.0)
    }
}
impl<'de> serde::Deserialize<'de> for Datoshi {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let s = std::borrow::Cow::<'de, str>::deserialize(d)?;
        s.parse().map(Self).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_gas_to_people_and_datoshi_to_machines() {
        for (datoshi, gas) in [
            (0, "0"),
            (150_000_000, "1.5"),
            (1, "0.00000001"),
            (-250, "-0.0000025"),
        ] {
            assert_eq!(Datoshi(datoshi).to_string(), gas);
            assert_eq!(gas.parse(), Ok(Datoshi(datoshi)));
        }
        assert_eq!(serde_json::to_string(&Datoshi(15)).unwrap(), "\"15\"");
        assert_eq!(serde_json::from_str::<Datoshi>("\"-15\"").unwrap(), Datoshi(-15));
        for bad in [
            "",
            ".",
            "1.",
            ".5",
            "1.123456789",
            "1e3",
            "+1",
            "92233720369",
            "--1",
        ] {
            assert!(bad.parse::<Datoshi>().is_err(), "{bad}");
        }
    }

    proptest::proptest! {
        #[test]
        fn every_amount_reads_back(amount in -i64::MAX..=i64::MAX) {
            proptest::prop_assert_eq!(Datoshi(amount).to_string().parse(), Ok(Datoshi(amount)));
        }
    }
}
