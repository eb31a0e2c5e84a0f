//! What a worker's answer may be: it is believed no further than the run's own bounds. Does no I/O.

use crate::wire::Ended;
use neofn_runtime::port::JobLimits;
use serde::de::IgnoredAny;

/// What a log line in bytes that are no UTF-8 grows by when it is made text.
const MENDED: usize = 3;
/// The line that says how many were cut.
const LAST_LINE_BYTES: usize = 256;
/// Far above what sandboxes keep of an error and of its stack.
const FAILURE_BYTES_MAX: usize = 64 << 10;

/// The bounds of one run.
pub(crate) struct Bounds {
    pub(crate) limits: JobLimits,
    pub(crate) units: u64,
}

impl Bounds {
    /// Which of them an answer breaks: no sandbox of ours gave it.
    pub(crate) fn broken(&self, ended: &Ended) -> Option<&'static str> {
        let bytes = |n: u32| usize::try_from(n).unwrap_or(usize::MAX);
        match &ended.outcome {
            Ok(result) if result.len() > bytes(self.limits.result_bytes) => return Some("result too large"),
            Ok(result)
                if std::str::from_utf8(result).is_err()
                    || serde_json::from_slice::<IgnoredAny>(result).is_err() =>
            {
                return Some("result is not JSON");
            }
            Ok(_) => {}
            Err(failure) => {
                let stack = failure.stack.iter().map(|f| f.function.len() + f.file.len() + 8);
                if failure.message.len() + stack.sum::<usize>() > FAILURE_BYTES_MAX {
                    return Some("error too large");
                }
            }
        }
        let most = bytes(self.limits.logs_bytes).saturating_mul(MENDED) + LAST_LINE_BYTES;
        // an empty line costs something, too
        if ended.logs.iter().map(|line| line.len().max(1)).sum::<usize>() > most {
            return Some("log too large");
        }
        let units = &ended.units;
        let parts = [units.total, units.base, units.compute, units.memory, units.host];
        (units.total > self.units || parts.iter().any(|n| i64::try_from(*n).is_err()))
            .then_some("more units than the run may use")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::failed;
    use bytes::Bytes;
    use neofn_runtime::port::Failure;
    use neofn_types::{Code, UnitsBill};

    #[test]
    fn an_answer_keeps_to_the_bounds_of_its_run() {
        let bounds = Bounds {
            limits: JobLimits {
                logs_bytes: 1_000,
                result_bytes: 10,
                ..JobLimits::default()
            },
            units: 7,
        };
        let failure = |message: String| Failure {
            code: Code::Uncaught,
            message,
            stack: Vec::new(),
        };
        let of = |outcome, logs: Vec<String>, total| {
            let mut ended = Ended::from(failed(failure(String::new())));
            (ended.outcome, ended.logs) = (outcome, logs);
            ended.units = UnitsBill {
                total,
                ..UnitsBill::default()
            };
            bounds.broken(&ended)
        };
        let json = |text: &'static str| Ok(Bytes::from_static(text.as_bytes()));
        assert_eq!(of(json("[1, 2, 34]"), vec!["x".repeat(1_000)], 7), None);
        assert_eq!(of(Err(failure("e".repeat(4_096))), Vec::new(), 7), None);
        assert!(of(json("[1, 2, 345]"), Vec::new(), 7).is_some());
        assert!(of(json("}{not"), Vec::new(), 7).is_some());
        assert!(of(json(""), Vec::new(), 7).is_some());
        assert!(of(Ok(Bytes::from_static(b"\"\xff\"")), Vec::new(), 7).is_some());
        assert!(of(json("1"), vec!["x".repeat(4_000)], 7).is_some());
        assert!(of(json("1"), vec![String::new(); 4_000], 7).is_some());
        assert!(of(json("1"), Vec::new(), 8).is_some());
        assert!(of(Err(failure("e".repeat(FAILURE_BYTES_MAX + 1))), Vec::new(), 7).is_some());
    }
}
