//! The ledger through crashes: random operations of many at once, and the bank at every one of its steps, in a process that
//! is killed by kill -9. Sums stay zero, nobody owes, nothing is posted or paid twice.
//!
//! The test binary is also the process that is killed: hence its own `main`.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test without the standard harness: clippy does not see that it is one"
)]

mod bank;

use libtest_mimic::{Arguments, Trial};
use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let args: Vec<_> = std::env::args().collect();
    let run = |work: &dyn Fn(&Path)| {
        work(Path::new(&args[2]));
        ExitCode::SUCCESS
    };
    match args.get(1).map(String::as_str) {
        Some(bank::random::ROLE) => return run(&|dir| bank::random::child(dir, &args[3])),
        Some(bank::steps::ROLE) => {
            return run(&|dir| bank::steps::child(dir, args.get(3).map(String::as_str)));
        }
        _ => {}
    }
    let trial = |name: &str, test: fn()| {
        Trial::test(name, move || {
            test();
            Ok(())
        })
    };
    let mut trials = vec![
        trial(
            "random_operations_through_kills",
            bank::random::random_operations_through_kills,
        ),
        trial(
            "every_step_of_the_bank_survives_a_kill",
            bank::steps::every_step_survives_a_kill,
        ),
    ];
    trials.extend(bank::rules::TESTS.iter().map(|(name, test)| trial(name, *test)));
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}
