//! `neofn delete`

use crate::cli::{Global, Name};
use crate::context;
use crate::failure::{Exit, Failure};
use crate::ui::Ui;

/// Deletes a function.
pub fn run(global: &Global, ui: &Ui, args: &Name) -> Result<Exit, Failure> {
    let key = context::function_key(global, &args.name)?;
    let answer = context::client(global)?.delete(&key)?;
    if ui.json {
        ui.document(&answer);
    } else {
        ui.note(&format!("{key} is deleted"));
    }
    Ok(Exit::Done)
}
