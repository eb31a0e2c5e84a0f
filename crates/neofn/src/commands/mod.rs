//! One file per command; this one only chooses.

mod accounts;
mod audit;
mod backup;
mod books;
pub mod chain;
mod cluster;
mod completions;
mod dead_letters;
mod delete;
mod dependencies;
pub mod deploy;
mod dev;
mod doctor;
mod enable;
mod events;
mod explain;
mod explain_wait;
mod functions;
mod gas;
mod init;
mod invocations;
pub mod invoke;
pub mod logs;
mod members;
mod migrate;
pub mod replay;
mod rollback;
mod secrets;
mod services;
mod signer;
mod triggers;
mod tx;
pub mod up;
pub mod version;
mod versions;
mod worker;

use crate::cli::{Cli, Cluster, Command};
use crate::failure::{Exit, Failure};
use crate::render;
use crate::ui::Ui;
use serde::Serialize;

/// Runs a command.
pub fn run(cli: Cli, ui: &Ui) -> Result<Exit, Failure> {
    let global = &cli.global;
    match cli.command {
        Command::Up(args) => up::run(ui, &args),
        Command::Worker(args) => worker::run(ui, &args),
        Command::Dev(args) => dev::run(global, ui, &args),
        Command::Init(args) => init::run(global, ui, &args),
        Command::Deploy(args) => deploy::run(global, ui, &args),
        Command::Invoke(args) => invoke::run(global, ui, &args),
        Command::Logs(args) => logs::run(global, ui, &args),
        Command::Functions => functions::run(global, ui),
        Command::Services(args) => services::run(global, ui, &args),
        Command::Versions(args) => versions::run(global, ui, &args),
        Command::Rollback(args) => rollback::run(global, ui, &args),
        Command::Enable(args) => enable::run(global, ui, &args, enable::Switch::On),
        Command::Disable(args) => enable::run(global, ui, &args, enable::Switch::Off),
        Command::Delete(args) => delete::run(global, ui, &args),
        Command::Dependencies(args) => dependencies::run(global, ui, &args),
        Command::Invocations(args) => invocations::run(global, ui, &args),
        Command::ExplainWait(args) => explain_wait::run(global, ui, &args),
        Command::Replay(args) => replay::run(global, ui, &args),
        Command::Gas(args) => gas::run(global, ui, &args),
        Command::Audit(args) => audit::run(global, ui, &args),
        Command::Backup(args) => backup::run(global, ui, &args),
        Command::Cluster(Cluster::Status) => cluster::status(global, ui),
        Command::Chain(command) => chain::run(global, ui, &command),
        Command::Triggers(args) => triggers::run(global, ui, &args),
        Command::Events(args) => events::run(global, ui, &args),
        Command::DeadLetters(args) => dead_letters::run(global, ui, &args),
        Command::Tx(args) => tx::run(global, ui, &args),
        Command::Secrets(args) => secrets::run(global, ui, &args),
        Command::Signer(args) => signer::run(global, ui, &args),
        Command::Login(args) => accounts::login(global, ui, &args),
        Command::Whoami => accounts::whoami(global, ui),
        Command::Logout => accounts::logout(global, ui),
        Command::Projects(args) => members::projects(global, ui, &args),
        Command::Members(args) => members::members(global, ui, &args),
        Command::Keys(args) => members::keys(global, ui, &args),
        Command::Migrate(args) => migrate::run(ui, &args),
        Command::Explain(args) => explain::run(ui, &args),
        Command::Doctor(args) => doctor::run(global, ui, &args),
        Command::Completions(args) => Ok(completions::run(ui, &args)),
    }
}

/// The document of a command that failed.
#[derive(Serialize)]
struct Failed<'a> {
    error: &'a neofn_wire::Problem,
}

/// Shows why a command failed.
pub fn report(ui: &Ui, failure: &Failure) {
    if ui.json {
        ui.document(&Failed {
            error: &failure.problem,
        });
    } else {
        render::problem(ui, &failure.problem);
    }
}
