//! `neofn dependencies`: what a function calls, and what calls it.

use crate::cli::{Global, Name};
use crate::context;
use crate::failure::{Exit, Failure};
use crate::ui::Ui;

/// Lists both.
pub fn run(global: &Global, ui: &Ui, args: &Name) -> Result<Exit, Failure> {
    let key = context::function_key(global, &args.name)?;
    let found = context::client(global)?.dependencies(&key)?;
    if ui.json {
        ui.document(&found);
        return Ok(Exit::Done);
    }
    for name in &found.calls {
        ui.out(&format!("calls      {name}"));
    }
    for name in &found.called_by {
        ui.out(&format!("called by  {name}"));
    }
    if found.calls.is_empty() && found.called_by.is_empty() {
        ui.note(&format!(
            "{key} names no function in ctx.invoke, and none names it; names that are computed are not seen"
        ));
    }
    Ok(Exit::Done)
}
