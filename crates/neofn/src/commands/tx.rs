//! `neofn tx`: a transaction that the node manages, or those of a project.

use crate::cli::Global;
use crate::cli::chain::Tx;
use crate::commands::chain::send;
use crate::context;
use crate::failure::{Exit, Failure};
use crate::render;
use crate::ui::{Tone, Ui};
use crate::wallet;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use neofn_chain::decode::decode;
use neofn_chain::tx::Transaction;
use neofn_client::{Client, Page};
use neofn_types::{Code, Datoshi};
use neofn_wire::{ReplaceRequest, TransactionView, WitnessRequest};

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
    let instead = replaced(&client, id, args)?;
    let signed = cosigned(&client, ui, id, args)?;
    let id = &instead.as_ref().map_or(id, |new| &new.id).clone();
    let found = if args.wait {
        let progress = ui.progress("waiting for the block");
        let found = send::wait(&client, id)?;
        drop(progress);
        found
    } else if let Some(changed) = instead.or(signed) {
        changed
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

/// The one in its place, when that is asked for.
fn replaced(client: &Client, id: &str, args: &Tx) -> Result<Option<TransactionView>, Failure> {
    let by = match (args.cancel, args.faster) {
        (true, _) => "cancel",
        (_, true) => "faster",
        _ => return Ok(None),
    };
    let request = ReplaceRequest {
        by: by.to_owned(),
        gas: args.gas.clone(),
    };
    Ok(Some(client.replace_transaction(id, &request)?))
}

/// Signs what is really in the transaction, not what the node says about it.
fn cosigned(client: &Client, ui: &Ui, id: &str, args: &Tx) -> Result<Option<TransactionView>, Failure> {
    let Some(file) = &args.cosign else { return Ok(None) };
    let found = client.transaction(id, None)?;
    let (Some(unsigned), Some(message)) = (&found.unsigned, &found.to_sign) else {
        return Err(Failure::usage(
            format!("transaction {id} waits for no signature; it is {}", found.state),
            format!("neofn tx {id}"),
        ));
    };
    let odd = |what: &str| Failure::new(Code::CosignatureInvalid, format!("the node's answer {what}"), "");
    let bytes = BASE64
        .decode(unsigned)
        .map_err(|_| odd("has no transaction in base64"))?;
    let transaction = Transaction::read(&bytes).map_err(|e| odd(&format!("holds no transaction: {e}")))?;
    let message = hex::decode(message).map_err(|_| odd("has nothing to sign in hexadecimal"))?;
    let network = message.first_chunk::<4>().copied().map(u32::from_le_bytes);
    let network = network
        .filter(|network| transaction.message(*network) == message)
        .ok_or_else(|| odd("asks to sign something else than the transaction in it"))?;
    let key = wallet::key(ui, file, args.account.as_deref(), args.password_file.as_deref())?;
    ui.say(
        Tone::Plain,
        &format!(
            "signing transaction {} for network {network} as {}",
            transaction.hash(),
            key.public().account().to_address()
        ),
    );
    for call in decode(&transaction.script).calls {
        ui.say(Tone::Dim, &format!("  calls {}.{}", call.contract, call.method));
    }
    let request = WitnessRequest {
        public_key: Some(hex::encode(key.public().to_bytes())),
        signature: Some(hex::encode(key.sign(&message))),
        ..WitnessRequest::default()
    };
    Ok(Some(client.cosign(id, &request)?))
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
