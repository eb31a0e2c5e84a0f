//! `neofn tx`: a transaction that the node manages, or those of a project.

use crate::cli::Global;
use crate::cli::chain::Tx;
use crate::commands::chain::send;
use crate::context;
use crate::failure::{Exit, Failure};
use crate::render;
use crate::ui::Ui;
use neofn_client::{Client, Page};
use neofn_types::Datoshi;

/// Shows one, or lists them.
pub fn run(global: &Global, ui: &Ui, args: &Tx) -> Result<Exit, Failure> {
    let client = context::client(global)?;
    let Some(id) = &args.id else {
        return list(global, ui, &client, args.limit);
    };
    if id.starts_with("0x") {
        return Err(Failure::usage(
            format!("{id} is a name on chain, not the id of a transaction that this node manages"),
            format!("neofn chain tx {id}"),
        ));
    }
    let found = if args.wait {
        let progress = ui.progress("waiting for the block");
        let found = send::wait(&client, id)?;
        drop(progress);
        found
    } else {
        client.transaction(id, None)?
    };
    if ui.json {
        ui.document(&found);
    } else {
        ui.out(found.hash.as_ref().unwrap_or(&found.id));
        send::describe(ui, &found);
    }
    Ok(send::exit_of(&found))
}

fn list(global: &Global, ui: &Ui, client: &Client, limit: u32) -> Result<Exit, Failure> {
    let page = Page {
        limit: Some(limit),
        ..Page::default()
    };
    let list = client.transactions(&context::project_name(global)?, &page)?;
    if ui.json {
        ui.document(&list);
        return Ok(Exit::Done);
    }
    if list.transactions.is_empty() {
        ui.note("no transactions yet");
        return Ok(Exit::Done);
    }
    let rows: Vec<Vec<String>> = list
        .transactions
        .iter()
        .map(|t| {
            let calls: Vec<String> = t
                .calls
                .iter()
                .map(|c| format!("{}.{}", c.name.as_ref().unwrap_or(&c.contract), c.method))
                .collect();
            vec![
                t.id.clone(),
                t.state.clone(),
                t.height.map_or_else(|| "-".to_owned(), |h| h.to_string()),
                t.fee
                    .parse()
                    .map_or_else(|_| t.fee.clone(), |n| Datoshi(n).to_string()),
                t.created_at.clone(),
                calls.join(" "),
            ]
        })
        .collect();
    ui.out(&render::table(
        &["ID", "STATE", "BLOCK", "GAS", "CREATED", "CALLS"],
        &rows,
    ));
    Ok(Exit::Done)
}
