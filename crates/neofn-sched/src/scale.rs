//! How many runs at once the load asks for, from what waits and how long runs take. What makes the instances, be it an
//! orchestrator of containers or a person, reads it.

use std::time::Duration;

/// Bounds, and how eager it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScaleRule {
    /// Never less.
    pub min: u32,
    /// Never more.
    pub max: u32,
    /// What waits is to be gone after this time.
    pub catch_up: Duration,
    /// Less is wanted only when less would have done for this long: what is started costs more than what idles.
    pub calm: Duration,
    /// How much of the time an instance should be at work, of 100: the rest is room for the next burst.
    pub busy_percent: u32,
}

impl Default for ScaleRule {
    fn default() -> Self {
        Self {
            min: 1,
            max: 10_000,
            catch_up: Duration::from_secs(10),
            calm: Duration::from_secs(120),
            busy_percent: 75,
        }
    }
}

/// What is seen of the load.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Load {
    /// Accepted work that waits.
    pub waiting: u64,
    /// Runs at this moment.
    pub running: u64,
    /// Runs that ended since the start.
    pub ended: u64,
    /// Time that these took together.
    pub spent: Duration,
}

/// Looks that are closer together than this say nothing new: one run that ended between two of them would be taken for a
/// flood.
const APART: Duration = Duration::from_secs(1);
/// A run takes so long as long as none has ended.
const UNKNOWN: Duration = Duration::from_secs(1);

/// Follows the load.
#[derive(Debug)]
pub struct Scale {
    rule: ScaleRule,
    last: Option<(Duration, Load)>,
    /// Of a run, by those seen last.
    mean: Duration,
    wanted: u32,
    /// The most that was needed since `calm_since`.
    needed: u32,
    calm_since: Duration,
}

impl Scale {
    /// Nothing was seen yet.
    #[must_use]
    pub fn new(rule: ScaleRule) -> Self {
        Self {
            rule,
            last: None,
            mean: UNKNOWN,
            wanted: rule.min,
            needed: rule.min,
            calm_since: Duration::ZERO,
        }
    }
    /// Runs at once that the load asks for at this moment of a monotonic clock.
    pub fn look(&mut self, load: Load, now: Duration) -> u32 {
        let Some((then, before)) = self.last else {
            self.last = Some((now, load));
            self.calm_since = now;
            return self.wanted;
        };
        let past = now.saturating_sub(then);
        if past < APART {
            return self.wanted;
        }
        self.last = Some((now, load));
        let ended = load.ended.saturating_sub(before.ended);
        let spent = load.spent.saturating_sub(before.spent);
        if let Ok(n @ 1..) = u32::try_from(ended) {
            self.mean = spent / n;
        }
        let need = self.need(load, spent, past);
        if need >= self.wanted {
            self.wanted = need;
            (self.needed, self.calm_since) = (self.rule.min, now);
            return need;
        }
        self.needed = self.needed.max(need);
        if now.saturating_sub(self.calm_since) >= self.rule.calm {
            self.wanted = self.needed;
            (self.needed, self.calm_since) = (need, now);
        }
        self.wanted
    }
    /// Little's law for what comes, and what waits spread over the time to catch up; and no less than there is.
    fn need(&self, load: Load, spent: Duration, past: Duration) -> u32 {
        let coming = ratio(spent.as_nanos(), past.as_nanos());
        let backlog = u128::from(load.waiting).saturating_mul(self.mean.as_nanos());
        let backlog = ratio(backlog, self.rule.catch_up.as_nanos());
        let thousandths = coming
            .saturating_add(backlog)
            .saturating_mul(100)
            .div_ceil(u128::from(self.rule.busy_percent.clamp(1, 100)));
        let need = thousandths.div_ceil(1_000).max(load.running.into());
        let need = u32::try_from(need).unwrap_or(u32::MAX);
        need.clamp(self.rule.min, self.rule.max)
    }
}

/// In thousandths.
fn ratio(part: u128, whole: u128) -> u128 {
    part.saturating_mul(1_000).checked_div(whole).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// `rate` runs a second of 100 ms each.
    fn steady(scale: &mut Scale, from: u32, seconds: u32, rate: u64, waiting: u64, load: &mut Load) -> u32 {
        let mut wanted = 0;
        for second in from..from + seconds {
            load.ended += rate;
            load.spent += Duration::from_millis(100) * u32::try_from(rate).unwrap_or(0);
            load.waiting = waiting;
            wanted = scale.look(*load, SECOND * second);
        }
        wanted
    }

    #[test]
    fn it_follows_the_load_up_at_once_and_down_when_it_stays_down() {
        let mut scale = Scale::new(ScaleRule::default());
        let mut load = Load::default();
        assert_eq!(scale.look(load, Duration::ZERO), 1);
        // 300 a second of 100 ms are 30 at once; at three quarters busy that is 40
        assert_eq!(steady(&mut scale, 1, 2, 300, 0, &mut load), 40);
        // 1 000 that wait take 100 s of work, within ten seconds
        assert_eq!(steady(&mut scale, 3, 1, 300, 1_000, &mut load), 54);
        assert_eq!(
            steady(&mut scale, 4, 119, 30, 0, &mut load),
            54,
            "a lull is not the end"
        );
        assert_eq!(steady(&mut scale, 123, 2, 30, 0, &mut load), 4);
        assert_eq!(steady(&mut scale, 125, 300, 0, 0, &mut load), 1);
    }

    #[test]
    fn what_runs_for_long_and_what_nobody_has_measured_yet_count() {
        let mut scale = Scale::new(ScaleRule::default());
        let mut load = Load::default();
        scale.look(load, Duration::ZERO);
        load.running = 40;
        for minute in 1..=10 {
            assert_eq!(scale.look(load, SECOND * 60 * minute), 40, "none has ended");
        }
        load.waiting = 1_000;
        assert_eq!(
            scale.look(load, SECOND * 601),
            134,
            "of a second each, within ten"
        );
    }

    #[test]
    fn looks_in_quick_succession_see_no_flood() {
        let mut scale = Scale::new(ScaleRule::default());
        let mut load = Load::default();
        scale.look(load, Duration::ZERO);
        scale.look(load, SECOND * 10);
        load.ended = 1;
        load.spent = SECOND * 2;
        assert_eq!(scale.look(load, SECOND * 10 + Duration::from_millis(1)), 1);
        assert_eq!(scale.look(load, SECOND * 20), 1);
    }

    #[test]
    fn it_stays_within_its_bounds_whatever_it_sees() {
        let rule = ScaleRule {
            min: 2,
            max: 5,
            ..ScaleRule::default()
        };
        let mut scale = Scale::new(rule);
        let all = Load {
            waiting: u64::MAX,
            running: u64::MAX,
            ended: u64::MAX,
            spent: Duration::MAX,
        };
        assert_eq!(scale.look(Load::default(), Duration::ZERO), 2);
        assert_eq!(scale.look(all, SECOND), 5);
        // counters that began anew, a clock that stands still
        assert_eq!(scale.look(Load::default(), SECOND), 5);
        assert_eq!(scale.look(Load::default(), Duration::ZERO), 5);
    }
}
