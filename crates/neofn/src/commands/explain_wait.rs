//! `neofn explain-wait`: why an accepted invocation does not run yet.

use crate::cli::{ExplainWait, Global};
use crate::context;
use crate::failure::{Exit, Failure};
use crate::ui::Ui;
use neofn_wire::{InvocationView, WaitView};

/// Asks, and says it.
pub fn run(global: &Global, ui: &Ui, args: &ExplainWait) -> Result<Exit, Failure> {
    let invocation = context::client(global)?.invocation(&args.id)?;
    if ui.json {
        ui.document(&invocation);
        return Ok(Exit::Done);
    }
    ui.out(&words(&invocation));
    Ok(Exit::Done)
}

fn words(invocation: &InvocationView) -> String {
    let head = format!(
        "{} of {}/{}: {}",
        invocation.id, invocation.project, invocation.function, invocation.status
    );
    match &invocation.waits {
        Some(waits) => format!("{head}\nwaits: {}", why(waits)),
        None if invocation.status == "queued" => format!("{head}\nnothing holds it any more"),
        None => format!("{head}\nit does not wait"),
    }
}

/// Why it waits, with the numbers.
pub(super) fn why(waits: &WaitView) -> String {
    format!("{}{}", waits.message, numbers(waits))
}

fn numbers(waits: &WaitView) -> String {
    match (waits.running, waits.max, waits.ahead, &waits.until) {
        (Some(running), Some(max), ..) => format!(" ({running} of {max} run)"),
        (_, _, Some(ahead), _) => format!(" ({ahead} before it)"),
        (.., Some(until)) => format!(" (until {until})"),
        _ => String::new(),
    }
}
