//! `neofn chain`: what the chain says goes to standard output, what is said about it to standard error.

pub mod send;
pub mod show;

use crate::cli::Global;
use crate::cli::chain::{Balance, Call, Chain, Notifications};
use crate::context;
use crate::failure::{Exit, Failure};
use crate::render;
use crate::ui::{Tone, Ui};
use neofn_wire::ChainCall;
use serde_json::Value;

/// Runs a command.
pub fn run(global: &Global, ui: &Ui, command: &Chain) -> Result<Exit, Failure> {
    match command {
        Chain::Height => height(global, ui),
        Chain::Block(args) => {
            let block = context::client(global)?.block(args.height)?;
            Ok(shown(ui, &block, show::block))
        }
        Chain::Tx(args) => {
            let found = context::client(global)?.chain_transaction(&args.hash)?;
            Ok(shown(ui, &found, show::transaction))
        }
        Chain::Notifications(args) => notifications(global, ui, args),
        Chain::Balance(args) => balance(global, ui, args),
        Chain::Call(args) => call(global, ui, args),
        Chain::Decode(args) => {
            let decoded = context::client(global)?.decode(&args.script)?;
            let exit = shown(ui, &decoded, show::script);
            if *show::at(&decoded, "broken") == true {
                ui.say(
                    Tone::Warn,
                    "the last instruction lacks its operand: this is no script",
                );
                return Ok(Exit::Failed);
            }
            Ok(exit)
        }
        Chain::Recheck(args) => recheck(global, ui, args.apply),
        Chain::Invoke(args) => send::invoke(global, ui, args),
        Chain::Transfer(args) => send::transfer(global, ui, args),
        Chain::Deploy(args) => send::deploy(global, ui, args),
        Chain::Update(args) => send::update(global, ui, args),
    }
}

fn shown(ui: &Ui, value: &Value, text: fn(&Value) -> String) -> Exit {
    if ui.json {
        ui.document(value);
    } else {
        ui.out(&text(value));
    }
    Exit::Done
}

fn height(global: &Global, ui: &Ui) -> Result<Exit, Failure> {
    let chain = context::client(global)?.chain()?;
    if ui.json {
        ui.document(&chain);
        return Ok(Exit::Done);
    }
    ui.out(&chain.height.to_string());
    let lag = match chain.lag {
        0 => "triggers are up to date".to_owned(),
        n => format!("triggers are {n} blocks behind"),
    };
    ui.say(Tone::Dim, &format!("network {}, {lag}", chain.network));
    for node in &chain.nodes {
        let agent = node.agent.as_deref().unwrap_or("-");
        let at = node.height.map_or_else(|| "-".to_owned(), |h| h.to_string());
        match &node.ejected {
            Some(why) => ui.say(Tone::Warn, &format!("{} {agent} is not used: {why}", node.url)),
            None => ui.say(
                Tone::Dim,
                &format!("{} {agent} at {at}, {} ms", node.url, node.latency_ms),
            ),
        }
    }
    if let Some(error) = &chain.error {
        ui.say(Tone::Warn, &format!("blocks are not read at the moment: {error}"));
    }
    Ok(Exit::Done)
}

fn recheck(global: &Global, ui: &Ui, apply: bool) -> Result<Exit, Failure> {
    let seen = context::client(global)?.recheck_chain(apply)?;
    let agrees = seen.nodes.iter().all(|n| n.hash == seen.recorded);
    let exit = if agrees || seen.moved {
        Exit::Done
    } else {
        Exit::Failed
    };
    if ui.json {
        ui.document(&seen);
        return Ok(exit);
    }
    let mut rows = vec![vec!["as it was read".to_owned(), seen.recorded.clone()]];
    rows.extend(seen.nodes.iter().map(|n| vec![n.url.clone(), n.hash.clone()]));
    ui.out(&render::table(&[&format!("BLOCK {}", seen.height), ""], &rows));
    if agrees {
        ui.note("the nodes agree with it: there is nothing to mend");
    } else if seen.moved {
        ui.note(&format!(
            "block {} is read again, and everything after it",
            seen.height
        ));
    } else if seen.agreed.is_some() {
        ui.say(
            Tone::Warn,
            "the nodes agree on another block; with --apply it is read again",
        );
    } else {
        ui.say(
            Tone::Warn,
            "the nodes do not agree: remove the one that is wrong from --chain first",
        );
    }
    Ok(exit)
}

fn notifications(global: &Global, ui: &Ui, args: &Notifications) -> Result<Exit, Failure> {
    let found = context::client(global)?.notifications(&neofn_client::Notifications {
        contract: args.contract.clone(),
        event: args.event.clone(),
        from: args.from,
        to: args.to,
    })?;
    if ui.json {
        ui.document(&found);
        return Ok(Exit::Done);
    }
    let list = show::list(&found, "notifications");
    let rows: Vec<Vec<String>> = list
        .iter()
        .map(|n| {
            let state = n.pointer("/notification/state").unwrap_or(&Value::Null);
            vec![
                show::text(n, "height"),
                n.pointer("/notification/event")
                    .and_then(Value::as_str)
                    .unwrap_or("-")
                    .to_owned(),
                show::text(n, "state"),
                show::stack(state),
                n["transaction"].as_str().unwrap_or("-").to_owned(),
            ]
        })
        .collect();
    if rows.is_empty() {
        ui.note("none");
    } else {
        ui.out(&render::table(
            &["BLOCK", "EVENT", "STATE", "VALUES", "TRANSACTION"],
            &rows,
        ));
    }
    ui.say(
        Tone::Dim,
        &format!(
            "{} in blocks {} to {}",
            rows.len(),
            show::text(&found, "from"),
            show::text(&found, "to")
        ),
    );
    Ok(Exit::Done)
}

fn balance(global: &Global, ui: &Ui, args: &Balance) -> Result<Exit, Failure> {
    let client = context::client(global)?;
    let found = client.balance(&args.account, &args.token)?;
    if ui.json {
        ui.document(&found);
        return Ok(Exit::Done);
    }
    let decimals = send::decimals(&client, &args.token)?;
    let amount = show::at(&found, "amount").as_str().unwrap_or("0");
    ui.out(&send::whole(amount, decimals));
    let token = show::at(&found, "name")
        .as_str()
        .or(show::at(&found, "token").as_str())
        .unwrap_or("-");
    ui.say(
        Tone::Dim,
        &format!(
            "{token} of {}, {amount} in its smallest unit",
            show::text(&found, "account")
        ),
    );
    Ok(Exit::Done)
}

fn call(global: &Global, ui: &Ui, args: &Call) -> Result<Exit, Failure> {
    let answer = context::client(global)?.chain_call(&ChainCall {
        contract: args.contract.clone(),
        method: args.method.clone(),
        args: send::arguments(&args.args),
    })?;
    let halted = *show::at(&answer, "state") == "HALT";
    let exit = if halted { Exit::Done } else { Exit::Failed };
    if ui.json {
        ui.document(&answer);
        return Ok(exit);
    }
    if halted {
        ui.out(&serde_json::to_string_pretty(show::at(&answer, "result")).unwrap_or_default());
    } else {
        let why = show::at(&answer, "exception")
            .as_str()
            .unwrap_or("no reason given");
        ui.say(Tone::Bad, &format!("the call faults: {why}"));
    }
    for notification in show::list(&answer, "notifications") {
        ui.say(Tone::Dim, &show::notification(notification));
    }
    ui.say(
        Tone::Dim,
        &format!(
            "{}, {} GAS to run",
            show::text(&answer, "state"),
            show::gas(show::at(&answer, "gas"))
        ),
    );
    Ok(exit)
}
