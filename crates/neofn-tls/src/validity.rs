//! From when and until when certificates are good. rustls shows whatever it is given: it is callers who refuse what has
//! ended, and none of them tells the node.

use crate::pem;
use neofn_types::{Error, UnixMillis};
use rustls::pki_types::CertificateDer;
use std::fmt;
use std::path::Path;
use std::time::Duration;
use x509_parser::parse_x509_certificate;

/// What ends within this time is spoken of: whatever renews certificates by itself has done so by then.
const SOON: Duration = Duration::from_secs(14 * 24 * 3_600);

/// The time of one certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Period {
    from: UnixMillis,
    until: UnixMillis,
}

/// What is the matter with a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Matter {
    /// It ends within two weeks.
    EndsSoon,
    /// It is not good yet.
    NotYet,
    /// It has ended.
    Ended,
}

impl Matter {
    /// Whether callers refuse it.
    #[must_use]
    pub fn is_refused(self) -> bool {
        self != Self::EndsSoon
    }
}

/// A certificate that is not good, or not for long. As text it names the file and the time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Concern {
    /// What is the matter.
    pub matter: Matter,
    message: String,
}

impl fmt::Display for Concern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// The concerns of a file of certificates.
pub fn concerns_of(file: &Path, now: UnixMillis) -> Result<Vec<Concern>, Error> {
    let text = crate::certificates::read(file)?;
    let chain = pem::certificates("certificate", &text)?;
    Ok(concerns(&periods(&chain), file, now))
}

/// In the order of the chain; a certificate that cannot be read has none. rustls has taken it, so somebody can.
pub(crate) fn periods(chain: &[CertificateDer<'_>]) -> Vec<Option<Period>> {
    chain.iter().map(|certificate| period(certificate)).collect()
}

fn period(der: &[u8]) -> Option<Period> {
    let (_, certificate) = parse_x509_certificate(der).ok()?;
    let validity = certificate.validity();
    let ms = |seconds: i64| UnixMillis(seconds.saturating_mul(1_000));
    Some(Period {
        from: ms(validity.not_before.timestamp()),
        until: ms(validity.not_after.timestamp()),
    })
}

pub(crate) fn concerns(periods: &[Option<Period>], file: &Path, now: UnixMillis) -> Vec<Concern> {
    let numbered = periods.iter().enumerate();
    numbered
        .filter_map(|(nth, period)| concern((*period)?, nth, file, now))
        .collect()
}

fn concern(period: Period, nth: usize, file: &Path, now: UnixMillis) -> Option<Concern> {
    let which = match nth {
        0 => "the certificate".to_owned(),
        n => format!("certificate {} of the chain", n + 1),
    };
    let which = format!("{which} in {}", file.display());
    let Period { from, until } = period;
    // the last second is its own
    let (matter, message) = if now.0 >= until.0.saturating_add(1_000) {
        let message = format!("{which} has ended at {}: callers refuse it", time(until));
        (Matter::Ended, message)
    } else if now < from {
        let message = format!(
            "{which} is good from {} on: callers refuse it until then",
            time(from)
        );
        (Matter::NotYet, message)
    } else if now.plus(SOON) > until {
        let message = format!("{which} ends at {}, in {}", time(until), left(until.since(now)));
        (Matter::EndsSoon, message)
    } else {
        return None;
    };
    Some(Concern { matter, message })
}

/// Certificates know seconds.
fn time(at: UnixMillis) -> String {
    at.to_iso8601().replace(".000Z", "Z")
}

fn left(time: Duration) -> String {
    let (hours, days) = (time.as_secs() / 3_600, time.as_secs() / 86_400);
    match (days, hours) {
        (0, 0) => "less than an hour".to_owned(),
        (0, 1) => "an hour".to_owned(),
        (0, hours) => format!("{hours} hours"),
        (1, _) => "a day".to_owned(),
        (days, _) => format!("{days} days"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    fn between(from: (i32, u8, u8), until: (i32, u8, u8)) -> CertificateDer<'static> {
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.not_before = date_time_ymd(from.0, from.1, from.2);
        params.not_after = date_time_ymd(until.0, until.1, until.2);
        params
            .self_signed(&KeyPair::generate().unwrap())
            .unwrap()
            .der()
            .clone()
    }

    #[test]
    fn what_has_ended_or_soon_will_is_said_with_its_time() {
        const DAY: i64 = 86_400_000;
        // 2030-01-01
        let end = 1_893_456_000_000;
        let file = Path::new("node.pem");
        let chain = [
            between((2029, 1, 1), (2030, 1, 1)),
            between((2020, 1, 1), (2052, 1, 1)),
        ];
        let periods = periods(&chain);
        let said = |now: i64| -> Vec<(Matter, String)> {
            concerns(&periods, file, UnixMillis(now))
                .into_iter()
                .map(|c| (c.matter, c.to_string()))
                .collect()
        };
        let one = |matter, text: &str| vec![(matter, text.to_owned())];
        assert_eq!(said(end - 15 * DAY), []);
        assert_eq!(
            said(end - 13 * DAY),
            one(
                Matter::EndsSoon,
                "the certificate in node.pem ends at 2030-01-01T00:00:00Z, in 13 days"
            )
        );
        assert!(said(end - DAY / 4)[0].1.ends_with("in 6 hours"));
        assert_eq!(said(end + 999)[0].0, Matter::EndsSoon);
        assert_eq!(
            said(end + 1_000),
            one(
                Matter::Ended,
                "the certificate in node.pem has ended at 2030-01-01T00:00:00Z: callers refuse it"
            )
        );
        assert_eq!(
            said(end - 400 * DAY),
            one(
                Matter::NotYet,
                "the certificate in node.pem is good from 2029-01-01T00:00:00Z on: callers refuse it until then"
            )
        );
        // what stands between it and its authority counts as well, also beyond the times of two digits
        let later = said(UnixMillis(end).plus(Duration::from_secs(31 * 366 * 86_400)).0);
        assert_eq!(later.len(), 2);
        assert!(
            later[1]
                .1
                .starts_with("certificate 2 of the chain in node.pem has ended at 2052-01-01"),
            "{later:?}"
        );
    }
}
