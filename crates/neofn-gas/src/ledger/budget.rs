//! Budgets: how much a project or one of its functions may spend in a period, and when to say that it is nearly spent.

use super::Refused;
use neofn_types::{Datoshi, FunctionName, ProjectName, UnixMillis};
use serde::{Deserialize, Serialize};

const DAY_MS: i64 = 86_400_000;
/// Percent of a budget at which an alert is raised, once a period each.
pub const THRESHOLDS: [u8; 3] = [50, 80, 100];

/// What a budget is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Period {
    /// From midnight to midnight, UTC.
    Day,
    /// From the first of a month, UTC.
    Month,
    /// For ever.
    Total,
}
impl Period {
    /// As it is stored.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Day => 1,
            Self::Month => 2,
            Self::Total => 3,
        }
    }
    /// What a stored number means.
    #[must_use]
    pub const fn from_number(number: u8) -> Option<Self> {
        match number {
            1 => Some(Self::Day),
            2 => Some(Self::Month),
            3 => Some(Self::Total),
            _ => None,
        }
    }
    /// `a day`
    #[must_use]
    pub const fn per(self) -> &'static str {
        match self {
            Self::Day => "a day",
            Self::Month => "a month",
            Self::Total => "in all",
        }
    }
    /// A number that all moments of one period share, and no moments of two.
    #[must_use]
    pub const fn index(self, at: UnixMillis) -> i64 {
        let days = at.0.div_euclid(DAY_MS);
        match self {
            Self::Day => days,
            Self::Month => month(days),
            Self::Total => 0,
        }
    }
    /// The first moment of the period that `at` lies in.
    #[must_use]
    pub const fn start(self, at: UnixMillis) -> UnixMillis {
        let days = at.0.div_euclid(DAY_MS);
        match self {
            Self::Day => UnixMillis(days.saturating_mul(DAY_MS)),
            Self::Month => UnixMillis((days - civil(days).1).saturating_mul(DAY_MS)),
            Self::Total => UnixMillis(i64::MIN),
        }
    }
}

/// Months since the year 0.
const fn month(days: i64) -> i64 {
    civil(days).0
}

/// Months since the year 0 of the day `days` after 1970-01-01, and the day in its month from 0 on: civil-from-days by
/// Howard Hinnant.
const fn civil(days: i64) -> (i64, i64) {
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let day_of_era = z.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    // March is month 0 of its year here, so that twelve of them follow each other without a gap
    let day_of_month = day_of_year - (153 * march_month + 2) / 5;
    ((year_of_era + era * 400) * 12 + march_month, day_of_month)
}

/// A limit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Budget {
    /// Whose.
    pub project: ProjectName,
    /// Of one function; none: of the whole project.
    pub function: Option<FunctionName>,
    /// For how long.
    pub period: Period,
    /// How much.
    pub limit: Datoshi,
}
impl Budget {
    /// `shop` or `shop/guard`.
    #[must_use]
    pub fn what(&self) -> String {
        match &self.function {
            Some(function) => format!("{}/{function}", self.project),
            None => self.project.to_string(),
        }
    }
}

/// A budget as it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BudgetRow {
    /// The limit.
    pub budget: Budget,
    /// Spent in the period of `index`.
    pub spent: Datoshi,
    /// Set aside and not spent yet.
    pub held: Datoshi,
    /// [`Period::index`] of what `spent` counts.
    pub index: i64,
    /// The highest threshold that was told of in that period, percent.
    pub alerted: u8,
}
impl BudgetRow {
    /// With nothing spent.
    #[must_use]
    pub fn new(budget: Budget, at: UnixMillis) -> Self {
        let index = budget.period.index(at);
        Self {
            budget,
            spent: Datoshi::ZERO,
            held: Datoshi::ZERO,
            index,
            alerted: 0,
        }
    }
    /// As it is at this time: a new period begins with nothing spent. Time that goes back begins nothing.
    #[must_use]
    pub fn at(mut self, at: UnixMillis) -> Self {
        let index = self.budget.period.index(at);
        if index > self.index {
            self.index = index;
            self.spent = Datoshi::ZERO;
            self.alerted = 0;
        }
        self
    }
    /// What can still be set aside.
    #[must_use]
    pub fn left(&self) -> Datoshi {
        let used = self.spent.0.saturating_add(self.held.0);
        Datoshi(self.budget.limit.0.saturating_sub(used).max(0))
    }
    /// What a hold gets that wants `amount` and can do with `at_least`.
    pub fn hold_up_to(&self, amount: Datoshi, at_least: Datoshi) -> Result<Datoshi, Refused> {
        let got = amount.min(self.left());
        if got < at_least || got <= Datoshi::ZERO {
            return Err(Refused::Budget {
                what: self.budget.what(),
                limit: self.budget.limit,
                per: self.budget.period.per(),
                left: self.left(),
                needed: at_least,
            });
        }
        Ok(got)
    }
    /// After `amount` was spent; the threshold that it crossed, if it did.
    pub fn spend(&mut self, amount: Datoshi) -> Option<u8> {
        self.spent = Datoshi(self.spent.0.saturating_add(amount.0));
        let reached = THRESHOLDS.into_iter().rev().find(|percent| {
            i128::from(self.spent.0) * 100 >= i128::from(self.budget.limit.0) * i128::from(*percent)
        })?;
        if reached <= self.alerted {
            return None;
        }
        self.alerted = reached;
        Some(reached)
    }
}

/// Somebody should know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alert {
    /// Whose.
    pub project: ProjectName,
    /// Of one function.
    pub function: Option<FunctionName>,
    /// How much of the budget is spent, percent.
    pub percent: u8,
    /// The limit.
    pub limit: Datoshi,
    /// What was spent.
    pub spent: Datoshi,
    /// When.
    pub at: UnixMillis,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(limit: i64, period: Period) -> BudgetRow {
        let budget = Budget {
            project: "shop".parse().unwrap(),
            function: None,
            period,
            limit: Datoshi(limit),
        };
        BudgetRow::new(budget, UnixMillis(0))
    }

    #[test]
    fn months_are_those_of_the_calendar() {
        let day = |days: i64| UnixMillis(days * DAY_MS);
        let index = |days| Period::Month.index(day(days));
        assert_eq!(index(0), index(30)); // January 1970
        assert_eq!(index(31), index(0) + 1); // February
        assert_eq!(index(58), index(31)); // the 28th
        assert_eq!(index(59), index(0) + 2); // March
        assert_eq!(index(364), index(0) + 11); // December
        assert_eq!(index(365), index(0) + 12); // January 1971
        assert_eq!(index(11_016), index(10_988)); // 2000-02-29 and 2000-02-01
        assert_eq!(index(11_017), index(11_016) + 1);
        assert_eq!(index(-1), index(0) - 1);
    }

    #[test]
    fn a_period_starts_at_its_first_moment_and_not_before() {
        for days in [-400, -1, 0, 30, 31, 58, 59, 364, 365, 11_016, 11_017, 20_000] {
            let at = UnixMillis(days * DAY_MS + 1_234);
            for period in [Period::Day, Period::Month] {
                let start = period.start(at);
                assert!(start <= at);
                assert_eq!(period.index(start), period.index(at), "{period:?} {days}");
                let before = UnixMillis(start.0 - 1);
                assert_eq!(period.index(before), period.index(at) - 1, "{period:?} {days}");
            }
        }
    }

    #[test]
    fn thresholds_are_told_of_once_a_period() {
        let mut row = row(1_000, Period::Day);
        assert_eq!(row.spend(Datoshi(499)), None);
        assert_eq!(row.spend(Datoshi(1)), Some(50));
        assert_eq!(row.spend(Datoshi(1)), None);
        assert_eq!(row.spend(Datoshi(499)), Some(100));
        assert_eq!(row.spend(Datoshi(499)), None);
        let mut next = row.at(UnixMillis(DAY_MS));
        assert_eq!(next.spent, Datoshi(0));
        assert_eq!(next.spend(Datoshi(800)), Some(80));
        assert_eq!(next.clone().at(UnixMillis(0)), next);
    }

    #[test]
    fn what_is_held_counts() {
        let mut row = row(100, Period::Total);
        row.held = Datoshi(60);
        row.spent = Datoshi(30);
        assert_eq!(row.hold_up_to(Datoshi(50), Datoshi(5)), Ok(Datoshi(10)));
        assert!(row.hold_up_to(Datoshi(50), Datoshi(11)).is_err());
    }
}
