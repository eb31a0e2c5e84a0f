//! `neofn enable` and `neofn disable`

use crate::cli::{Global, Name};
use crate::context;
use crate::failure::{Exit, Failure};
use crate::ui::Ui;

/// Which way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Switch {
    /// May be invoked.
    On,
    /// Answers 409.
    Off,
}

/// Switches a function.
pub fn run(global: &Global, ui: &Ui, args: &Name, switch: Switch) -> Result<Exit, Failure> {
    let key = context::function_key(global, &args.name)?;
    let function = context::client(global)?.set_active(&key, switch == Switch::On)?;
    if ui.json {
        ui.document(&function);
    } else {
        ui.note(&format!(
            "{key} is {}",
            if function.is_active { "enabled" } else { "disabled" }
        ));
    }
    Ok(Exit::Done)
}
