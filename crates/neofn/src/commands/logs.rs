//! `neofn logs`: logs are the data here, so they go to standard output.

use crate::cli::{Global, Logs};
use crate::context;
use crate::failure::{Exit, Failure};
use crate::render::{self, grouped};
use crate::ui::{Ui, visible};
use neofn_wire::LogEvent;

/// Shows the newest entries, and goes on when asked to.
pub fn run(global: &Global, ui: &Ui, args: &Logs) -> Result<Exit, Failure> {
    let key = context::function_key(global, &args.name)?;
    let client = context::client(global)?;
    let list = client.logs(&key, args.count.max(1))?;
    let skip = if args.count == 0 { list.logs.len() } else { 0 };
    if ui.json && !args.follow {
        ui.document(&list);
        return Ok(Exit::Done);
    }
    for event in list.logs.iter().skip(skip) {
        show(ui, event);
    }
    if !args.follow {
        if list.logs.is_empty() {
            ui.note("nothing has run yet");
        }
        return Ok(Exit::Done);
    }
    for event in client.follow(&key, list.last) {
        show(ui, &event?);
    }
    Ok(Exit::Done)
}

fn show(ui: &Ui, event: &LogEvent) {
    if ui.json {
        ui.document(event);
    } else {
        ui.out(&entry(event));
    }
}

/// One ended invocation: a head line, then its console lines indented. Harmless wherever it is shown later.
pub fn entry(event: &LogEvent) -> String {
    let mut text = format!(
        "{} {} version {} {} {} units {}",
        event.time,
        event.status,
        event.version,
        render::millis(event.duration),
        grouped(event.units),
        event.invocation_id
    );
    let mut add = |line: &str| {
        for part in line.split('\n') {
            text.push_str("\n    ");
            text.push_str(&visible(part));
        }
    };
    event.logs.iter().for_each(|line| add(line));
    if let Some(message) = &event.message {
        add(&format!(
            "{}: {message}",
            event.code.as_deref().unwrap_or("error")
        ));
    }
    event
        .stack
        .iter()
        .flatten()
        .for_each(|line| add(&format!("  {}", line.trim_start())));
    text
}
