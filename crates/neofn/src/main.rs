//! `neofn`, the one binary: the command line, the node behind `neofn up`, and the roles its children play.

mod anchors;
mod cli;
mod commands;
mod config;
mod context;
mod dev;
mod diff;
mod doctor;
mod failure;
mod hidden;
mod last;
mod paying;
mod plan;
mod project;
mod render;
mod session;
mod settings;
mod templates;
mod ui;
mod upload;
mod wallet;

use std::process::ExitCode;

fn main() -> ExitCode {
    // A child of a node is this same binary in another role; it confines itself before anything else happens.
    if let Some(exit) = neofn_node::child_role(std::env::args_os()) {
        return exit;
    }
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
