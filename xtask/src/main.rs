//! Chores of the repository: `cargo xtask layers` checks the arrows, `cargo xtask docs [--check]` writes the
//! generated reference pages or says which of them are out of date.

mod docs;
mod layers;

use std::process::ExitCode;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        ["layers"] => layers::check(),
        ["docs"] => docs::write(),
        ["docs", "--check"] => docs::check(),
        _ => Err(anyhow::anyhow!("usage: cargo xtask layers | docs [--check]")),
    };
    match done {
        Ok(summary) => {
            report(&summary);
            ExitCode::SUCCESS
        }
        Err(error) => {
            report(&format!("{error:?}"));
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::print_stderr, reason = "the one place where a chore speaks")]
fn report(text: &str) {
    eprintln!("xtask: {text}");
}
