//! The signer by itself, for tests; the product starts it as `neofn __child signer`.

use neofn_types::{Clock, Entropy, UnixMillis};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

struct Real;

#[expect(clippy::disallowed_methods, reason = "this binary is a composition root")]
impl Clock for Real {
    fn now(&self) -> UnixMillis {
        let since = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        UnixMillis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }
    fn monotonic(&self) -> Duration {
        SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default()
    }
}
impl Entropy for Real {
    fn fill(&self, buf: &mut [u8]) {
        if getrandom::fill(buf).is_err() {
            std::process::abort();
        }
    }
}

fn main() -> ExitCode {
    let args: Vec<_> = std::env::args_os().skip(1).collect();
    let with = neofn_chain::signer::Surroundings {
        clock: Arc::new(Real),
        entropy: Arc::new(Real),
    };
    neofn_chain::signer::main(&args, with)
}
