//! `neofn completions`

use crate::cli::{self, Completions};
use crate::failure::Exit;
use crate::ui::Ui;

/// Prints a completion script.
pub fn run(ui: &Ui, args: &Completions) -> Exit {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut cli::definition(), "neofn", &mut script);
    ui.out_raw(&script);
    Exit::Done
}
