//! Decimal fractions, exact: JSON has them and binary floating point would compare them wrongly.

use num_bigint::BigInt;
use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

/// Most digits of a number, before and after the point together.
const DIGITS_MAX: usize = 120;
/// Most digits after the point, and the largest exponent.
const SCALE_MAX: i32 = 120;

/// `mantissa / 10^scale`, without trailing zeros.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decimal {
    mantissa: BigInt,
    scale: u32,
}

/// Text that is no number of a size that filters compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a number of at most {DIGITS_MAX} digits")]
pub struct ParseDecimalError;

pub(crate) fn power_of_ten(n: u32) -> BigInt {
    BigInt::from(10u8).pow(n)
}

impl Decimal {
    /// The number as an integer, when it is one.
    #[must_use]
    pub fn to_integer(&self) -> Option<&BigInt> {
        (self.scale == 0).then_some(&self.mantissa)
    }
    /// An integer as a decimal.
    #[must_use]
    pub fn from_integer(n: BigInt) -> Self {
        Self {
            mantissa: n,
            scale: 0,
        }
    }
    /// The number times `10^digits` as an integer; `None` when something is left behind the point.
    #[must_use]
    pub fn shifted(&self, digits: u32) -> Option<BigInt> {
        (self.scale <= digits).then(|| &self.mantissa * power_of_ten(digits - self.scale))
    }
}

impl FromStr for Decimal {
    type Err = ParseDecimalError;
    /// As JSON writes numbers.
    fn from_str(text: &str) -> Result<Self, ParseDecimalError> {
        let (number, exponent) = match text.split_once(['e', 'E']) {
            Some((number, exponent)) => (number, exponent.parse::<i32>().map_err(|_| ParseDecimalError)?),
            None => (text, 0),
        };
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        let digits_only = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
        let unsigned = whole.strip_prefix('-').unwrap_or(whole);
        if unsigned.is_empty()
            || !digits_only(unsigned)
            || !digits_only(fraction)
            || unsigned.len() + fraction.len() > DIGITS_MAX
        {
            return Err(ParseDecimalError);
        }
        let mantissa: BigInt = format!("{whole}{fraction}")
            .parse()
            .map_err(|_| ParseDecimalError)?;
        let places = i32::try_from(fraction.len()).map_err(|_| ParseDecimalError)?;
        let scale = places.checked_sub(exponent).ok_or(ParseDecimalError)?;
        if !(-SCALE_MAX..=SCALE_MAX).contains(&scale) {
            return Err(ParseDecimalError);
        }
        let mut decimal = match u32::try_from(scale) {
            Ok(scale) => Self { mantissa, scale },
            Err(_) => Self {
                mantissa: mantissa * power_of_ten(scale.unsigned_abs()),
                scale: 0,
            },
        };
        let ten = BigInt::from(10u8);
        while decimal.scale > 0 && (&decimal.mantissa % &ten) == BigInt::ZERO {
            decimal.mantissa /= &ten;
            decimal.scale -= 1;
        }
        Ok(decimal)
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.scale == 0 {
            return write!(f, "{}", self.mantissa);
        }
        let scale = usize::try_from(self.scale).unwrap_or(0);
        let text = self.mantissa.magnitude().to_string();
        let padded = format!("{text:0>width$}", width = scale + 1);
        let (whole, fraction) = padded.split_at(padded.len() - scale);
        let sign = if self.mantissa < BigInt::ZERO { "-" } else { "" };
        write!(f, "{sign}{whole}.{fraction}")
    }
}

impl PartialOrd for Decimal {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Decimal {
    fn cmp(&self, other: &Self) -> Ordering {
        let scale = self.scale.max(other.scale);
        let left = &self.mantissa * power_of_ten(scale - self.scale);
        let right = &other.mantissa * power_of_ten(scale - other.scale);
        left.cmp(&right)
    }
}

#[cfg(test)]
mod tests {
    use super::Decimal;

    #[test]
    fn numbers_compare_exactly_and_print_as_they_are() {
        let number = |s: &str| s.parse::<Decimal>().expect(s);
        assert!(number("0.1") < number("0.10000000000000000000000000001"));
        assert_eq!(number("1.500"), number("15e-1"));
        assert_eq!(number("1e3").to_string(), "1000");
        assert_eq!(number("-0.05").to_string(), "-0.05");
        assert!(number("-2.5") < number("-2.25"));
        for bad in ["", "-", ".5", "1e999", "1e", "+1", "1_0", "abc", &"9".repeat(200)] {
            assert!(bad.parse::<Decimal>().is_err(), "{bad}");
        }
    }
}
