//! As much of libtest's command line as cargo and nextest use.

use std::process::ExitCode;

/// A named test.
pub(crate) type Test = (&'static str, fn());

pub(crate) fn run(tests: &[Test]) -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let has = |flag: &str| arguments.iter().any(|a| a == flag);
    if has("--list") {
        if !has("--ignored") {
            tests.iter().for_each(|(name, _)| println!("{name}: test"));
        }
        return ExitCode::SUCCESS;
    }
    let mut filters = Vec::new();
    let mut skip_value = false;
    for argument in &arguments {
        if skip_value {
            skip_value = false;
        } else if argument.starts_with("--") {
            skip_value = matches!(argument.as_str(), "--test-threads" | "--format" | "--color");
        } else {
            filters.push(argument.as_str());
        }
    }
    let wanted = |name: &str| {
        filters.is_empty()
            || filters.iter().any(|f| {
                if has("--exact") {
                    *f == name
                } else {
                    name.contains(f)
                }
            })
    };
    let mut failed = 0;
    for (name, test) in tests.iter().filter(|(name, _)| wanted(name)) {
        let passed = std::panic::catch_unwind(test).is_ok();
        println!("test {name} ... {}", if passed { "ok" } else { "FAILED" });
        failed += usize::from(!passed);
    }
    if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
