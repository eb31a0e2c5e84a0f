//! `neofn events`: what reached triggers, newest last, and on as it comes.

use crate::cli::Global;
use crate::cli::chain::{Events, Which};
use crate::context;
use crate::failure::{Exit, Failure};
use crate::render::{self, grouped};
use crate::ui::{Ui, visible};
use neofn_client::FiredFilter;
use neofn_wire::FiredView;

/// The filter that the options mean.
pub fn filter(which: &Which, limit: Option<u32>) -> Result<FiredFilter, Failure> {
    let function = which.function.as_deref().map(str::parse).transpose();
    Ok(FiredFilter {
        function: function.map_err(|e: neofn_types::NameError| {
            Failure::usage(
                format!("--function: {e}"),
                "write its name alone; --project names the project",
            )
        })?,
        trigger: which.trigger.clone(),
        from: which.from,
        to: which.to,
        limit,
        cursor: None,
    })
}

/// Lists events, and goes on when asked to.
pub fn run(global: &Global, ui: &Ui, args: &Events) -> Result<Exit, Failure> {
    let (client, project) = (context::client(global)?, context::project_name(global)?);
    let filter = filter(&args.which, Some(args.count.max(1)))?;
    // connected before the list is read, so that nothing falls between
    let mut follow = client.follow_events(&project, &filter);
    if args.follow {
        follow.connect()?;
    }
    let mut list = client.events(&project, &filter)?;
    if ui.json && !args.follow {
        ui.document(&list);
        return Ok(Exit::Done);
    }
    if args.count == 0 {
        list.events.clear();
    }
    for event in list.events.iter().rev() {
        show(ui, event);
    }
    if !args.follow {
        if list.events.is_empty() {
            ui.note("no event has reached a trigger yet");
        }
        return Ok(Exit::Done);
    }
    for event in follow {
        show(ui, &event?);
    }
    Ok(Exit::Done)
}

fn show(ui: &Ui, event: &FiredView) {
    if ui.json {
        ui.document(event);
    } else {
        ui.out(&line(event));
    }
}

/// One event in a line: when, which trigger, what, and how it went. Harmless wherever it is shown later.
pub fn line(event: &FiredView) -> String {
    let run = &event.invocation;
    let trigger = event.trigger.as_deref().unwrap_or("-");
    let place = event.height.map_or_else(String::new, |h| format!(" block {h}"));
    let mut text = format!(
        "{} {}/{}/{trigger}{place} event {} {}",
        run.created_at,
        run.project,
        run.function,
        visible(event.event_id.as_deref().unwrap_or("-")),
        run.status
    );
    if let Some(duration) = run.duration {
        text.push_str(&format!(
            " {} units {}",
            render::millis(duration),
            grouped(run.units.total)
        ));
    }
    text.push_str(&format!(" {}", run.id));
    if let (Some(code), Some(message)) = (&run.code, &run.message) {
        text.push_str(&format!(
            "\n    {code}: {}",
            visible(message).replace('\n', "\n      ")
        ));
    }
    text
}
