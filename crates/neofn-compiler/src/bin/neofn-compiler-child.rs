//! The compiler child by itself, for this crate's tests and for fuzzing; the product starts it as `neofn __child compiler`.

use neofn_types::{Clock, UnixMillis};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

struct RealClock;

#[expect(clippy::disallowed_methods, reason = "this binary is a composition root")]
impl Clock for RealClock {
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

fn main() -> ExitCode {
    let insecure = std::env::args_os().any(|arg| arg == "--insecure-no-jail");
    neofn_compiler::child::main(Arc::new(RealClock), insecure.into())
}
