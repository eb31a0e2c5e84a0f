//! `neofn chain invoke`, `transfer`, `deploy` and `update`: sends, and waits until it is in a block.

use super::show;
use crate::cli::Global;
use crate::cli::chain::{ChainInvoke as InvokeArgs, ContractDeploy, ContractUpdate, SendHow, Transfer};
use crate::context;
use crate::failure::{Exit, Failure};
use crate::render;
use crate::ui::{Tone, Ui};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use neofn_client::Client;
use neofn_types::{Code, Datoshi, ProjectName};
use neofn_wire::{
    ChainCall, ChainInvoke, ContractRequest, CosignerRequest, Sending, SentView, TransactionView,
};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;

/// Largest file of a contract.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// One question for the end of a transaction waits so long; so many are asked.
const WAIT_S: u32 = 30;
const WAITS_MAX: u32 = 20;

/// What a command line argument means: JSON where it is that, else text.
pub fn argument(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned()))
}

/// The arguments of a call.
pub fn arguments(given: &[String]) -> Vec<Value> {
    given.iter().map(|text| argument(text)).collect()
}

fn sending(how: &SendHow) -> Sending {
    Sending {
        account: how.account.clone(),
        gas: how.gas.clone(),
        dry_run: how.dry_run,
        operator: how.operator,
        cosigners: how
            .cosigners
            .iter()
            .map(|key| CosignerRequest {
                public_key: Some(key.clone()),
                verification: None,
            })
            .collect(),
    }
}

/// Digits after the point of a token.
pub fn decimals(client: &Client, token: &str) -> Result<usize, Failure> {
    match token.to_ascii_uppercase().as_str() {
        "GAS" => return Ok(8),
        "NEO" => return Ok(0),
        _ => {}
    }
    let answer = client.chain_call(&ChainCall {
        contract: token.to_owned(),
        method: "decimals".to_owned(),
        args: Vec::new(),
    })?;
    let decimals = show::at(&answer, "result").as_str().and_then(|t| t.parse().ok());
    decimals.filter(|n| *n <= 30).ok_or_else(|| {
        Failure::new(
            Code::ContractMethod,
            format!("{token} does not say how many decimals it has"),
            "",
        )
    })
}

/// `150000000` of 8 decimals as `1.5`.
pub fn whole(amount: &str, decimals: usize) -> String {
    if decimals == 0 {
        return amount.to_owned();
    }
    let (sign, digits) = amount.strip_prefix('-').map_or(("", amount), |d| ("-", d));
    let padded = format!("{digits:0>width$}", width = decimals + 1);
    let (whole, part) = padded.split_at(padded.len() - decimals);
    match part.trim_end_matches('0') {
        "" => format!("{sign}{whole}"),
        part => format!("{sign}{whole}.{part}"),
    }
}

/// `1.5` of 8 decimals as `150000000`.
fn smallest(amount: &str, decimals: usize) -> Result<String, Failure> {
    let (whole, part) = amount.split_once('.').unwrap_or((amount, ""));
    let digits = |t: &str| t.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || whole.len() > 40 || !digits(whole) || !digits(part) || part.len() > decimals {
        return Err(Failure::usage(
            format!("{amount:?} is no amount of this token"),
            format!("write whole tokens with at most {decimals} digits after the point: 1.5"),
        ));
    }
    let all = format!("{whole}{part:0<decimals$}");
    let trimmed = all.trim_start_matches('0');
    Ok(if trimmed.is_empty() { "0" } else { trimmed }.to_owned())
}

/// The project in whose name something is sent. What the operator bears itself needs none: where none is meant it is kept
/// under the default one's name.
fn in_name_of(global: &Global, how: &SendHow) -> Result<ProjectName, Failure> {
    match context::project_name(global) {
        Err(_) if how.operator => Ok(ProjectName::default_project()),
        meant => meant,
    }
}

/// Calls a method on chain.
pub fn invoke(global: &Global, ui: &Ui, args: &InvokeArgs) -> Result<Exit, Failure> {
    let client = context::client(global)?;
    let request = ChainInvoke {
        contract: args.contract.clone(),
        method: args.method.clone(),
        args: arguments(&args.args),
        send: sending(&args.how),
    };
    let key = args.how.idempotency_key.as_deref();
    let sent = client.chain_invoke(&in_name_of(global, &args.how)?, &request, key)?;
    finish(ui, &client, &args.how, sent, Shown::Hash)
}

/// Sends tokens.
pub fn transfer(global: &Global, ui: &Ui, args: &Transfer) -> Result<Exit, Failure> {
    let client = context::client(global)?;
    let sent = pay(&client, &in_name_of(global, &args.how)?, args)?;
    finish(ui, &client, &args.how, sent, Shown::Hash)
}

/// The transfer itself.
pub fn pay(client: &Client, project: &ProjectName, args: &Transfer) -> Result<SentView, Failure> {
    let amount = smallest(&args.amount, decimals(client, &args.token)?)?;
    let from = match &args.how.account {
        Some(account) => account.clone(),
        None => {
            let first = client.signer()?.accounts.into_iter().next();
            let none = || Failure::new(Code::SignerNoAccount, "the signer has no account", "");
            first.ok_or_else(none)?.address
        }
    };
    let request = ChainInvoke {
        contract: args.token.clone(),
        method: "transfer".to_owned(),
        args: vec![json!(from), json!(args.to), json!(amount), Value::Null],
        send: Sending {
            account: Some(from.clone()),
            ..sending(&args.how)
        },
    };
    Ok(client.chain_invoke(project, &request, args.how.idempotency_key.as_deref())?)
}

/// Puts a contract on chain.
pub fn deploy(global: &Global, ui: &Ui, args: &ContractDeploy) -> Result<Exit, Failure> {
    let manifest = args
        .manifest
        .clone()
        .unwrap_or_else(|| args.nef.with_extension("manifest.json"));
    let request = ContractRequest {
        nef: Some(BASE64.encode(read(&args.nef)?)),
        manifest: Some(manifest_of(&manifest)?),
        data: args.data.as_deref().map(argument),
        send: sending(&args.how),
    };
    let client = context::client(global)?;
    let key = args.how.idempotency_key.as_deref();
    let sent = client.deploy_contract(&in_name_of(global, &args.how)?, &request, key)?;
    finish(ui, &client, &args.how, sent, Shown::Contract)
}

/// Updates a contract.
pub fn update(global: &Global, ui: &Ui, args: &ContractUpdate) -> Result<Exit, Failure> {
    let nef = args.nef.as_deref().map(read).transpose()?;
    let request = ContractRequest {
        nef: nef.map(|bytes| BASE64.encode(bytes)),
        manifest: args.manifest.as_deref().map(manifest_of).transpose()?,
        data: args.data.as_deref().map(argument),
        send: sending(&args.how),
    };
    let client = context::client(global)?;
    let key = args.how.idempotency_key.as_deref();
    let sent = client.update_contract(&in_name_of(global, &args.how)?, &args.contract, &request, key)?;
    finish(ui, &client, &args.how, sent, Shown::Contract)
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    let wrong = |e: std::io::Error| Failure::file(path, "read", &e);
    let size = fs::metadata(path).map_err(wrong)?.len();
    if size > FILE_BYTES_MAX {
        return Err(Failure::new(
            Code::BodyTooLarge,
            format!("{} is larger than {FILE_BYTES_MAX} bytes", path.display()),
            "",
        ));
    }
    fs::read(path).map_err(wrong)
}

fn manifest_of(path: &Path) -> Result<Value, Failure> {
    serde_json::from_slice(&read(path)?).map_err(|reason| {
        Failure::new(
            Code::MalformedJson,
            format!("{} is no manifest: {reason}", path.display()),
            "compilers leave it beside the .nef; name it with --manifest",
        )
    })
}

/// What standard output gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shown {
    Hash,
    Contract,
}

/// Datoshi in JSON as GAS.
fn gas(text: &str) -> String {
    text.parse()
        .map_or_else(|_| text.to_owned(), |n| Datoshi(n).to_string())
}

fn finish(
    ui: &Ui,
    client: &Client,
    how: &SendHow,
    mut sent: SentView,
    shown: Shown,
) -> Result<Exit, Failure> {
    if let Some(transaction) = &sent.transaction
        && !how.no_wait
        && transaction.awaited.is_empty()
    {
        let progress = ui.progress("waiting for the block");
        let ended = wait(client, &transaction.id)?;
        drop(progress);
        sent.transaction = Some(ended);
    }
    let exit = sent.transaction.as_ref().map_or(Exit::Done, exit_of);
    if ui.json {
        ui.document(&sent);
        return Ok(exit);
    }
    let Some(transaction) = &sent.transaction else {
        match shown {
            Shown::Contract => ui.out(&sent.contract),
            Shown::Hash => ui.out(&gas(&sent.fee)),
        }
        ui.say(
            Tone::Dim,
            &format!(
                "nothing was sent; {} would pay {} GAS (system {}, network {})",
                sent.sender,
                gas(&sent.fee),
                gas(&sent.system_fee),
                gas(&sent.network_fee)
            ),
        );
        return Ok(exit);
    };
    ui.out(match shown {
        Shown::Contract => &sent.contract,
        Shown::Hash => transaction.hash.as_ref().unwrap_or(&transaction.id),
    });
    describe(ui, transaction);
    Ok(exit)
}

/// The end of a transaction, or how far it came.
pub fn wait(client: &Client, id: &str) -> Result<TransactionView, Failure> {
    let mut found = client.transaction(id, Some(WAIT_S))?;
    for _ in 0..WAITS_MAX {
        if is_final(&found) {
            break;
        }
        found = client.transaction(id, Some(WAIT_S))?;
    }
    Ok(found)
}

fn is_final(transaction: &TransactionView) -> bool {
    matches!(
        transaction.state.as_str(),
        "halt" | "fault" | "expired" | "replaced"
    )
}

/// A transaction that did not do what it should is a failure.
pub fn exit_of(transaction: &TransactionView) -> Exit {
    match transaction.state.as_str() {
        "fault" | "expired" | "replaced" => Exit::Failed,
        _ => Exit::Done,
    }
}

/// State, fees, height and effects, for the person.
pub fn describe(ui: &Ui, transaction: &TransactionView) {
    let tone = match transaction.state.as_str() {
        "halt" => Tone::Good,
        "fault" | "expired" | "replaced" => Tone::Bad,
        _ => Tone::Plain,
    };
    let place = match transaction.height {
        Some(height) => format!("block {height}"),
        None => format!("valid until block {}", transaction.valid_until),
    };
    ui.say(
        tone,
        &format!(
            "{}, {place}, {} GAS (system {}, network {}) paid by {}",
            transaction.state,
            gas(&transaction.fee),
            gas(&transaction.system_fee),
            gas(&transaction.network_fee),
            transaction.sender
        ),
    );
    let whys = [&transaction.exception, &transaction.reason];
    let whys: Vec<&str> = whys.into_iter().flatten().map(String::as_str).collect();
    match transaction
        .code
        .as_deref()
        .and_then(|code| code.parse::<Code>().ok())
    {
        Some(code) => {
            let why = match whys.is_empty() {
                true => code.info().title.to_owned(),
                false => whys.join("; "),
            };
            render::problem(ui, &Failure::new(code, why, "").problem);
        }
        None => {
            for why in whys {
                ui.say(Tone::Warn, &format!("  {why}"));
            }
        }
    }
    for call in &transaction.calls {
        let contract = call.name.as_ref().unwrap_or(&call.contract);
        ui.say(Tone::Dim, &format!("  calls {contract}.{}", call.method));
    }
    for line in show::effects(transaction.effects.as_deref().unwrap_or_default()) {
        ui.say(Tone::Dim, &line);
    }
    if !transaction.awaited.is_empty() {
        ui.say(
            Tone::Warn,
            &format!("  waits for the signature of {}", transaction.awaited.join(", ")),
        );
        ui.say(
            Tone::Dim,
            &format!("  neofn tx {} --cosign WALLET", transaction.id),
        );
    }
    ui.say(Tone::Dim, &format!("  neofn tx {}", transaction.id));
}

#[cfg(test)]
mod tests {
    use super::{argument, smallest, whole};
    use serde_json::json;

    #[test]
    fn amounts_are_exact_both_ways() {
        for (tokens, decimals, raw) in [
            ("1.5", 8, "150000000"),
            ("0.00000001", 8, "1"),
            ("7", 0, "7"),
            ("0", 8, "0"),
        ] {
            assert_eq!(smallest(tokens, decimals).unwrap(), raw);
            assert_eq!(whole(raw, decimals), tokens);
        }
        for wrong in ["", ".5", "-1", "1.123456789", "1e3", "1.5"] {
            assert!(
                smallest(wrong, if wrong == "1.5" { 0 } else { 8 }).is_err(),
                "{wrong}"
            );
        }
    }

    #[test]
    fn an_argument_is_json_where_it_can_be() {
        assert_eq!(argument("5"), json!(5));
        assert_eq!(argument("[1,\"a\"]"), json!([1, "a"]));
        assert_eq!(
            argument("NTHc8AGjjUGL8Bi5yxnL4WAa3zUpvrc5rd"),
            json!("NTHc8AGjjUGL8Bi5yxnL4WAa3zUpvrc5rd")
        );
        assert_eq!(argument("\"5\""), json!("5"));
    }
}
