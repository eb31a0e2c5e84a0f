//! `neofn signer`: the accounts that sign. Keys and passwords come from files, never from arguments.

use crate::cli::Global;
use crate::cli::chain::{KeyImport as ImportArgs, Policy, Signatures, Signer, SignerCommand};
use crate::context;
use crate::failure::{Exit, Failure};
use crate::render;
use crate::ui::{Tone, Ui};
use neofn_wire::{CallRule, KeyImport, PolicyView, SignerAccountView};
use std::fs;
use std::io::Read as _;
use std::path::Path;

/// Largest file that is read: a wallet has at most 1 MiB.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Runs a command.
pub fn run(global: &Global, ui: &Ui, args: &Signer) -> Result<Exit, Failure> {
    match &args.command {
        None => list(global, ui),
        Some(SignerCommand::Import(args)) => import(global, ui, args),
        Some(SignerCommand::Policy(args)) => {
            let policy = policy(&args.policy)?;
            let client = context::client(global)?;
            Ok(shown(ui, &client.set_policy(&args.address, &policy)?, "may sign"))
        }
        Some(SignerCommand::Signatures(args)) => signatures(global, ui, args),
    }
}

fn list(global: &Global, ui: &Ui) -> Result<Exit, Failure> {
    let signer = context::client(global)?.signer()?;
    if ui.json {
        ui.document(&signer);
        return Ok(Exit::Done);
    }
    if signer.accounts.is_empty() {
        ui.note("no accounts: `neofn signer import --wif-file FILE` gives the signer a key");
        return Ok(Exit::Done);
    }
    for account in &signer.accounts {
        ui.out(&describe(account));
    }
    Ok(Exit::Done)
}

fn describe(account: &SignerAccountView) -> String {
    let policy = &account.policy;
    let or = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
    let network = match policy.network {
        None | Some(0) => "any".to_owned(),
        Some(n) => n.to_string(),
    };
    let mut lines = vec![
        format!("{} {}", account.address, account.label),
        format!("  per transaction {} GAS", or(&policy.per_transaction)),
        format!(
            "  per day         {} GAS, {} GAS spent",
            or(&policy.per_day),
            account.spent
        ),
        format!("  scope           {}", or(&policy.scope)),
        format!("  network         {network}"),
    ];
    let rules = policy.calls.as_deref().unwrap_or_default();
    if rules.is_empty() {
        let what = match policy.transfers {
            Some(true) => "any",
            _ => "any that gives away no token but GAS",
        };
        lines.push(format!("  calls           {what}"));
    }
    for rule in rules {
        let methods = rule
            .methods
            .as_ref()
            .map_or_else(|| "all methods".to_owned(), |m| m.join(", "));
        lines.push(format!("  calls           {}: {methods}", rule.contract));
    }
    lines.join("\n")
}

fn shown(ui: &Ui, account: &SignerAccountView, said: &str) -> Exit {
    if ui.json {
        ui.document(account);
    } else {
        ui.out(&describe(account));
        ui.say(Tone::Good, &format!("{} {said}", account.address));
    }
    Exit::Done
}

fn read(path: &Path) -> Result<String, Failure> {
    let mut text = String::new();
    let wrong = |e: std::io::Error| Failure::file(path, "read", &e);
    if path == Path::new("-") {
        std::io::stdin()
            .lock()
            .take(FILE_BYTES_MAX)
            .read_to_string(&mut text)
            .map_err(wrong)?;
    } else {
        let file = fs::File::open(path).map_err(wrong)?;
        file.take(FILE_BYTES_MAX)
            .read_to_string(&mut text)
            .map_err(wrong)?;
    }
    Ok(text)
}

fn import(global: &Global, ui: &Ui, args: &ImportArgs) -> Result<Exit, Failure> {
    let trimmed = |path: &Path| read(path).map(|text| text.trim().to_owned());
    let password = match &args.password_file {
        Some(path) => Some(read(path)?.trim_end_matches(['\r', '\n']).to_owned()),
        None => std::env::var("NEOFN_WALLET_PASSWORD").ok(),
    };
    let request = KeyImport {
        wif: args.source.wif_file.as_deref().map(trimmed).transpose()?,
        nep2: args.source.nep2_file.as_deref().map(trimmed).transpose()?,
        wallet: args.source.wallet.as_deref().map(read).transpose()?,
        account: args.account.clone(),
        password: password.filter(|_| args.source.wif_file.is_none()),
        label: args.label.clone(),
        policy: policy(&args.policy)?,
    };
    if request.wif.is_none() && request.password.is_none() {
        return Err(Failure::usage(
            "the key is under a password",
            "name a file with --password-file, or set NEOFN_WALLET_PASSWORD",
        ));
    }
    let account = context::client(global)?.import_key(&request)?;
    Ok(shown(ui, &account, "signs from now on"))
}

fn policy(args: &Policy) -> Result<PolicyView, Failure> {
    let any = args.allow.iter().any(|rule| rule.eq_ignore_ascii_case("any"));
    if any && args.allow.len() > 1 {
        return Err(Failure::usage(
            "--allow any is everything already",
            "leave the others out",
        ));
    }
    let rules = || {
        args.allow
            .iter()
            .map(|rule| match rule.split_once(':') {
                None => CallRule {
                    contract: rule.clone(),
                    methods: None,
                },
                Some((contract, methods)) => CallRule {
                    contract: contract.to_owned(),
                    methods: Some(methods.split(',').map(|m| m.trim().to_owned()).collect()),
                },
            })
            .collect()
    };
    Ok(PolicyView {
        per_transaction: args.per_transaction.clone(),
        per_day: args.per_day.clone(),
        calls: match (args.allow.is_empty(), any) {
            (true, _) => None,
            (false, true) => Some(Vec::new()),
            (false, false) => Some(rules()),
        },
        transfers: any.then_some(true),
        scope: args.scope.clone(),
        network: args.network,
    })
}

fn signatures(global: &Global, ui: &Ui, args: &Signatures) -> Result<Exit, Failure> {
    let list = context::client(global)?.signatures(args.after, args.limit)?;
    if ui.json {
        ui.document(&list);
        return Ok(Exit::Done);
    }
    if list.signatures.is_empty() {
        ui.note("nothing was signed yet");
        return Ok(Exit::Done);
    }
    let rows: Vec<Vec<String>> = list
        .signatures
        .iter()
        .map(|s| {
            vec![
                s.number.to_string(),
                s.at.clone(),
                s.address.clone(),
                s.spend.clone(),
                s.scope.clone(),
                s.project.clone(),
                s.transaction.clone(),
            ]
        })
        .collect();
    ui.out(&render::table(
        &[
            "NUMBER",
            "TIME",
            "ADDRESS",
            "GAS",
            "SCOPE",
            "PROJECT",
            "TRANSACTION",
        ],
        &rows,
    ));
    if let Some(next) = list.next {
        ui.say(
            Tone::Dim,
            &format!("more: neofn signer signatures --after {next}"),
        );
    }
    Ok(Exit::Done)
}
