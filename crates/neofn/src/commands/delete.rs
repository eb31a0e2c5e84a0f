//! `neofn delete`

use crate::cli::{Delete, Global};
use crate::context;
use crate::failure::{Exit, Failure};
use crate::ui::Ui;

/// Deletes a function.
pub fn run(global: &Global, ui: &Ui, args: &Delete) -> Result<Exit, Failure> {
    let key = context::function_key(global, &args.name)?;
    let answer = context::client(global)?.delete(&key, args.force)?;
    if ui.json {
        ui.document(&answer);
    } else {
        ui.note(&format!("{key} is deleted"));
    }
    Ok(Exit::Done)
}
