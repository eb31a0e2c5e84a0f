//! `neofn rollback`

use crate::cli::{Global, Rollback};
use crate::context;
use crate::failure::{Exit, Failure};
use crate::ui::Ui;
use neofn_types::Version;

/// Makes another version live.
pub fn run(global: &Global, ui: &Ui, args: &Rollback) -> Result<Exit, Failure> {
    let key = context::function_key(global, &args.name)?;
    let function = context::client(global)?.rollback(&key, args.version.map(Version))?;
    if ui.json {
        ui.document(&function);
    } else {
        ui.note(&format!("{key} is at version {} again", function.version));
    }
    Ok(Exit::Done)
}
