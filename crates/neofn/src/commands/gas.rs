//! `neofn gas estimate`

use crate::cli::{Estimate, Global};
use crate::commands::invoke::event;
use crate::context;
use crate::failure::{Exit, Failure};
use crate::render::{self, grouped};
use crate::ui::{Tone, Ui};
use neofn_types::Code;

/// Measures what an event would cost.
pub fn run(global: &Global, ui: &Ui, args: &Estimate) -> Result<Exit, Failure> {
    let key = context::function_key(global, &args.name)?;
    let event = event(args.event.as_deref())?;
    let estimate = context::client(global)?.estimate(&key, event.as_bytes())?;
    let code = estimate
        .code
        .as_deref()
        .and_then(|code| code.parse::<Code>().ok());
    let exit = match code {
        _ if estimate.success => Exit::Done,
        Some(code) => Exit::of(code),
        None => Exit::Failed,
    };
    if ui.json {
        ui.document(&estimate);
        return Ok(exit);
    }
    let units = &estimate.units;
    let row = |kind: &str, n: u64| vec![kind.to_owned(), grouped(n)];
    let rows = [
        row("base", units.base),
        row("compute", units.compute),
        row("memory", units.memory),
        row("host", units.host),
        row("total", units.total),
    ];
    ui.out(&render::table(&["KIND", "UNITS"], &rows));
    ui.say(
        Tone::Dim,
        &format!(
            "{key} version {}, price list {}; nothing was charged",
            estimate.version, units.schedule
        ),
    );
    if let Some(message) = &estimate.message {
        ui.say(Tone::Warn, &format!("the run failed: {message}"));
    }
    Ok(exit)
}
