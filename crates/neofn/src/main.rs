//! `neofn`, the one binary: the command line, the node behind `neofn up`, and the roles its children play.

mod cli;
mod commands;
mod context;
mod diff;
mod doctor;
mod failure;
mod plan;
mod project;
mod render;
mod templates;
mod ui;
mod upload;

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments = match cli::parse() {
        Ok(arguments) => arguments,
        Err(exit) => return exit.into(),
    };
    let ui = ui::Ui::new(arguments.global.json);
    match commands::run(arguments, &ui) {
        Ok(exit) => exit.into(),
        Err(failure) => {
            commands::report(&ui, &failure);
            failure.exit.into()
        }
    }
}
