//! Rate limits: a token bucket per key, account, address of the network, and project.
//!
//! Pure: time is handed in. A full bucket says nothing, so it is forgotten; the table is bounded, and when it is full
//! of buckets that are in use, strangers share one.

use crate::KeyId;
use neofn_types::{ProjectName, ScriptHash};
use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

/// Most buckets.
const BUCKETS_MAX: usize = 65_536;
/// How often a full table is looked through.
const SWEEP_EVERY: Duration = Duration::from_secs(1);

/// Whose requests are counted.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Subject {
    /// A key.
    Key(KeyId),
    /// A person.
    Account(ScriptHash),
    /// Whoever connects from there. IPv6 is counted by /64: one [`customer`] has a whole one.
    Peer(IpAddr),
    /// Everybody in a project.
    Project(ProjectName),
    /// Everybody else who calls its public functions, apart from it: no stranger uses up what its own people have.
    Strangers(ProjectName),
    /// Sign-in attempts from there, which cost more.
    SignIn(IpAddr),
    /// Keys shown from there that nobody knows yet: each has to be looked up.
    UnknownKey(IpAddr),
    /// Peers that found no place in the table.
    Others,
}

impl Subject {
    /// As the headers name the policy.
    #[must_use]
    pub fn policy(&self) -> &'static str {
        match self {
            Self::Key(_) => "key",
            Self::Account(_) => "account",
            Self::Peer(_) | Self::Others => "address",
            Self::Project(_) => "project",
            Self::Strangers(_) => "public",
            Self::SignIn(_) => "sign-in",
            Self::UnknownKey(_) => "unknown-key",
        }
    }
    fn normal(self) -> Self {
        match self {
            Self::Peer(ip) => Self::Peer(customer(ip)),
            Self::SignIn(ip) => Self::SignIn(customer(ip)),
            Self::UnknownKey(ip) => Self::UnknownKey(customer(ip)),
            other => other,
        }
    }
}

/// What an address is counted under: of IPv6 the /64.
#[must_use]
pub fn customer(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6((u128::from(v6) & !u128::from(u64::MAX)).into()),
        v4 => v4,
    }
}

/// So many requests in so long, all of which may come at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    /// How many.
    pub requests: u32,
    /// In how long.
    pub window: Duration,
}

impl Quota {
    /// Nanoseconds of one request; at least one.
    fn cost(self) -> u128 {
        (self.window.as_nanos() / u128::from(self.requests.max(1))).max(1)
    }
}

/// What the headers `RateLimit-Policy` and `RateLimit` say (draft-ietf-httpapi-ratelimit-headers).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// `key`, `account`, `address`, `project`, `public`, `sign-in` or `unknown-key`.
    pub policy: &'static str,
    /// The quota.
    pub quota: Quota,
    /// How many more may come now.
    pub remaining: u32,
    /// Seconds until all may come again.
    pub reset_s: u64,
}

impl Standing {
    /// The value of `RateLimit-Policy`.
    #[must_use]
    pub fn policy_header(&self) -> String {
        let (q, w) = (self.quota.requests, self.quota.window.as_secs().max(1));
        format!("\"{}\";q={q};w={w}", self.policy)
    }
    /// The value of `RateLimit`.
    #[must_use]
    pub fn header(&self) -> String {
        format!("\"{}\";r={};t={}", self.policy, self.remaining, self.reset_s)
    }
}

/// Too many requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limited {
    /// Which quota was used up.
    pub standing: Standing,
    /// Seconds until one more may come; at least one.
    pub retry_after_s: u64,
}

/// Buckets as they would be, and the tightest.
type Weighed = (Vec<(Subject, Duration)>, Option<Standing>);

/// The buckets. Each is the time at which it will be full again (the generic cell rate algorithm).
#[derive(Debug, Default)]
pub struct Limiter {
    full_at: HashMap<Subject, Duration>,
    /// Going through a full table for every stranger would be their way to slow everybody down.
    swept_at: Option<Duration>,
}

impl Limiter {
    /// Takes one request from each bucket, or from none when one of them is empty. Answers the tightest.
    pub fn take(&mut self, of: &[(Subject, Quota)], now: Duration) -> Result<Option<Standing>, Limited> {
        let (after, tightest) = self.weigh(of, now)?;
        self.full_at.extend(after);
        Ok(tightest)
    }
    /// Whether one request could be taken from each now. Takes nothing.
    pub fn look(&mut self, of: &[(Subject, Quota)], now: Duration) -> Result<(), Limited> {
        self.weigh(of, now).map(drop)
    }

    /// What the buckets would be after one request from each, and the tightest of them.
    fn weigh(&mut self, of: &[(Subject, Quota)], now: Duration) -> Result<Weighed, Limited> {
        let mut after = Vec::with_capacity(of.len());
        let mut tightest: Option<Standing> = None;
        for (subject, quota) in of {
            let subject = self.place(subject.clone().normal(), now);
            let was = self.full_at.get(&subject).copied().unwrap_or(now).max(now);
            let (cost, window) = (nanos(quota.cost()), quota.window);
            let then = was.saturating_add(cost);
            let owed = then.saturating_sub(now);
            let policy = subject.policy();
            // a window is not always divisible by its requests; what is left over is nobody's
            let room = nanos(quota.cost() * u128::from(quota.requests.max(1)));
            if owed > room {
                let wait = owed.saturating_sub(room);
                return Err(Limited {
                    standing: Standing {
                        policy,
                        quota: *quota,
                        remaining: 0,
                        reset_s: seconds(was.saturating_sub(now)),
                    },
                    retry_after_s: seconds(wait).max(1),
                });
            }
            let free = room.saturating_sub(owed).as_nanos() / quota.cost();
            let standing = Standing {
                policy,
                quota: Quota { window, ..*quota },
                remaining: u32::try_from(free).unwrap_or(u32::MAX),
                reset_s: seconds(owed),
            };
            if tightest.is_none_or(|t| standing.remaining < t.remaining) {
                tightest = Some(standing);
            }
            after.push((subject, then));
        }
        Ok((after, tightest))
    }

    /// Where a subject is counted: under its own name when there is room.
    fn place(&mut self, subject: Subject, now: Duration) -> Subject {
        if self.full_at.len() < BUCKETS_MAX || self.full_at.contains_key(&subject) {
            return subject;
        }
        if self
            .swept_at
            .is_none_or(|at| now.saturating_sub(at) >= SWEEP_EVERY)
        {
            self.full_at.retain(|_, full_at| *full_at > now);
            self.swept_at = Some(now);
        }
        match subject {
            // whoever has credentials is known, and there are fewer of them than of addresses
            Subject::Peer(_) | Subject::SignIn(_) | Subject::UnknownKey(_)
                if self.full_at.len() >= BUCKETS_MAX =>
            {
                Subject::Others
            }
            known => known,
        }
    }
}

fn nanos(n: u128) -> Duration {
    Duration::from_nanos(u64::try_from(n).unwrap_or(u64::MAX))
}

/// Rounded up.
fn seconds(d: Duration) -> u64 {
    d.as_secs() + u64::from(d.subsec_nanos() > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEN: Quota = Quota {
        requests: 10,
        window: Duration::from_secs(60),
    };
    fn peer(text: &str) -> Subject {
        Subject::Peer(text.parse().unwrap())
    }

    #[test]
    fn a_burst_then_one_by_one() {
        let mut limiter = Limiter::default();
        let one = [(peer("192.0.2.1"), TEN)];
        let now = Duration::from_secs(1_000);
        for left in (0..10).rev() {
            let standing = limiter.take(&one, now).unwrap().unwrap();
            assert_eq!(standing.remaining, left);
        }
        let limited = limiter.take(&one, now).unwrap_err();
        assert_eq!(limited.retry_after_s, 6);
        assert_eq!(limited.standing.policy_header(), "\"address\";q=10;w=60");
        assert_eq!(limited.standing.header(), "\"address\";r=0;t=60");
        assert!(limiter.take(&one, now + Duration::from_millis(5_999)).is_err());
        let standing = limiter.take(&one, now + Duration::from_secs(6)).unwrap().unwrap();
        assert_eq!((standing.remaining, standing.reset_s), (0, 60));
        assert!(limiter.take(&[(peer("192.0.2.2"), TEN)], now).is_ok(), "another");
    }

    #[test]
    fn a_refusal_takes_nothing_from_the_others() {
        let mut limiter = Limiter::default();
        let two = Quota { requests: 2, ..TEN };
        let project = Subject::Project("shop".parse().unwrap());
        let both = [(peer("192.0.2.1"), two), (project.clone(), TEN)];
        let now = Duration::ZERO;
        for _ in 0..2 {
            assert_eq!(limiter.take(&both, now).unwrap().unwrap().policy, "address");
        }
        for _ in 0..5 {
            assert_eq!(limiter.take(&both, now).unwrap_err().standing.policy, "address");
        }
        assert_eq!(
            limiter.take(&[(project, TEN)], now).unwrap().unwrap().remaining,
            7
        );
    }

    #[test]
    fn a_look_takes_nothing() {
        let mut limiter = Limiter::default();
        let one = [(peer("192.0.2.1"), Quota { requests: 1, ..TEN })];
        for _ in 0..3 {
            assert_eq!(limiter.look(&one, Duration::ZERO), Ok(()));
        }
        assert!(limiter.take(&one, Duration::ZERO).is_ok());
        assert_eq!(limiter.look(&one, Duration::ZERO).unwrap_err().retry_after_s, 60);
    }

    #[test]
    fn one_customer_is_one_address_and_the_table_is_bounded() {
        let mut limiter = Limiter::default();
        let one = Quota { requests: 1, ..TEN };
        let mut ask = |ip: &str| limiter.take(&[(peer(ip), one)], Duration::ZERO).is_ok();
        assert!(ask("2001:db8::1"));
        assert!(!ask("2001:db8::ffff:2"));
        assert!(ask("2001:db8:0:1::1"));
        assert!(ask("192.0.2.1"));
        assert!(!ask("::ffff:192.0.2.1"), "the same machine");
        for n in 0..70_000u32 {
            let ip = IpAddr::from((0x0b00_0000 + n).to_be_bytes());
            let _ = limiter.take(&[(Subject::Peer(ip), one)], Duration::ZERO);
        }
        assert!(limiter.full_at.len() <= BUCKETS_MAX + 1);
        let key = (Subject::Key(KeyId([1; 8])), one);
        assert!(
            limiter.take(&[key], Duration::ZERO).is_ok(),
            "known ones keep their own"
        );
        // once they are full again, all of it is forgotten
        limiter
            .take(&[(peer("10.9.9.9"), one)], Duration::from_secs(61))
            .unwrap();
        assert!(limiter.full_at.len() < 10);
    }
}
