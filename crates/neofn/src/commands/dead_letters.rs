//! `neofn deadletters`: what failed for good, and what becomes of it.

use crate::cli::Global;
use crate::cli::chain::{DeadLetterCommand, DeadLetters, Redo};
use crate::commands::events;
use crate::context;
use crate::failure::{Exit, Failure};
use crate::ui::{Tone, Ui, visible};
use neofn_client::{Client, Error};
use neofn_types::ProjectName;
use neofn_wire::{DeadLetterAnswer, DeadLetterRequest};

type Send = fn(&Client, &ProjectName, &DeadLetterRequest) -> Result<DeadLetterAnswer, Error>;

/// Lists them, queues them again, or drops them.
pub fn run(global: &Global, ui: &Ui, args: &DeadLetters) -> Result<Exit, Failure> {
    match &args.command {
        None => list(global, ui, args),
        Some(DeadLetterCommand::Retry(which)) => {
            redo(global, ui, which, Client::retry_dead_letters, "queued again")
        }
        Some(DeadLetterCommand::Drop(which)) => redo(global, ui, which, Client::drop_dead_letters, "dropped"),
    }
}

fn list(global: &Global, ui: &Ui, args: &DeadLetters) -> Result<Exit, Failure> {
    let filter = events::filter(&args.which, Some(args.limit))?;
    let (client, project) = (context::client(global)?, context::project_name(global)?);
    let list = client.dead_letters(&project, &filter)?;
    if ui.json {
        ui.document(&list);
        return Ok(Exit::Done);
    }
    if list.events.is_empty() && list.messages.is_empty() {
        ui.note(&format!("no dead letters in project {project}"));
        return Ok(Exit::Done);
    }
    // which one that is, nobody may have said
    ui.say(Tone::Dim, &format!("dead letters of project {project}"));
    for message in list.messages.iter().rev() {
        ui.out(&format!(
            "{}  {}  {}  {}",
            message.at,
            visible(&message.id),
            visible(&message.subject),
            visible(&message.reason)
        ));
    }
    if list.events.is_empty() {
        ui.say(
            Tone::Dim,
            "messages that could never work: their senders have to mend them",
        );
        return Ok(Exit::Done);
    }
    for event in list.events.iter().rev() {
        ui.out(&events::line(event));
    }
    ui.say(
        Tone::Dim,
        "`neofn deadletters retry ID` queues one again, `drop ID` lays it to rest; --from and --to take a range of blocks",
    );
    Ok(Exit::Done)
}

fn redo(global: &Global, ui: &Ui, which: &Redo, send: Send, did: &str) -> Result<Exit, Failure> {
    let (client, project) = (context::client(global)?, context::project_name(global)?);
    let request = DeadLetterRequest {
        id: which.id.map(|id| id.to_string()),
        function: which.function.clone(),
        trigger: which.trigger.clone(),
        from: which.from,
        to: which.to,
        all: which.all,
    };
    let mut all = send(&client, &project, &request)?;
    while all.more {
        let next = send(&client, &project, &request)?;
        // somebody else takes them away as we look: that ends too
        all.more = next.more && !next.ids.is_empty();
        all.ids.extend(next.ids);
    }
    if ui.json {
        ui.document(&all);
        return Ok(Exit::Done);
    }
    for id in &all.ids {
        ui.out(id);
    }
    ui.say(
        Tone::Dim,
        &format!("{} {did} in project {project}", all.ids.len()),
    );
    Ok(Exit::Done)
}
