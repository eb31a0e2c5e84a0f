//! `neofn gas`

use crate::cli::money::{Gas, Limits, Refill, Statement, Withdraw};
use crate::cli::{Estimate, Global};
use crate::commands::books;
use crate::commands::invoke::event;
use crate::context;
use crate::failure::{Exit, Failure};
use crate::render::{self, grouped};
use crate::ui::{Tone, Ui};
use neofn_client::{Client, Page};
use neofn_types::{Code, ProjectName};
use neofn_wire::{GasLimitRequest, GasLimits, RefillView, WithdrawRequest};

/// Lines of a statement that are shown.
const LINES: u32 = 50;

/// Runs `neofn gas`.
pub fn run(global: &Global, ui: &Ui, args: &Gas) -> Result<Exit, Failure> {
    if let Gas::Estimate(args) = args {
        return estimate(global, ui, args);
    }
    let client = context::client(global)?;
    // these are about no project
    match args {
        Gas::Suspense(args) => {
            books::suspense(ui, &client, args)?;
            return Ok(Exit::Done);
        }
        Gas::Reconcile(args) => return reconcile(ui, &client, args.write_off.as_deref()),
        _ => {}
    }
    let project = context::project_name(global)?;
    match args {
        Gas::Estimate(_) | Gas::Suspense(_) | Gas::Reconcile(_) => {}
        Gas::Balance => balance(ui, &client, &project)?,
        Gas::Deposit => deposit(ui, &client, &project)?,
        Gas::Statement(args) => statement(ui, &client, &project, args)?,
        Gas::Limits(args) => limits(ui, &client, &project, args)?,
        Gas::Withdraw(args) => withdraw(ui, &client, &project, args)?,
        Gas::Refill(args) => refill(ui, &client, &project, args)?,
        Gas::Usage(args) => books::usage(ui, &client, &project, args)?,
        Gas::Close(args) => books::close(ui, &client, &project, args)?,
        Gas::Attribute(args) => books::attribute(ui, &client, &project, args)?,
    }
    Ok(Exit::Done)
}

fn balance(ui: &Ui, client: &Client, project: &ProjectName) -> Result<(), Failure> {
    let gas = client.gas(project)?;
    if ui.json {
        ui.document(&gas);
        return Ok(());
    }
    let row = |what: &str, amount: &str| vec![what.to_owned(), amount.to_owned()];
    let rows = [
        row("balance", &gas.balance),
        row("set aside", &gas.held),
        row("to spend", &gas.available),
        row("of it credit", &gas.credit),
    ];
    ui.out(&render::table(&["", "GAS"], &rows));
    let price = match gas.price {
        0 => "units cost nothing here".to_owned(),
        n => format!("{} datoshi per million units", grouped(n)),
    };
    ui.say(Tone::Dim, &price);
    Ok(())
}

fn deposit(ui: &Ui, client: &Client, project: &ProjectName) -> Result<(), Failure> {
    let to = client.gas_deposit(project)?;
    if ui.json {
        ui.document(&to);
        return Ok(());
    }
    let row = |what: &str, text: &str| vec![what.to_owned(), text.to_owned()];
    let rows = [
        row("address", &to.address),
        row("memo", &to.memo),
        row("network", &to.network.to_string()),
    ];
    ui.out(&render::table(&["SEND GAS TO", ""], &rows));
    ui.note("give the memo as the transfer's data: without it the money waits for the operator to find out whose it is");
    Ok(())
}

fn statement(ui: &Ui, client: &Client, project: &ProjectName, args: &Statement) -> Result<(), Failure> {
    if args.csv {
        ui.out_raw(client.gas_statement_csv(project, args.limit)?.as_bytes());
        return Ok(());
    }
    let page = Page {
        limit: Some(args.limit.unwrap_or(LINES)),
        ..Page::default()
    };
    let statement = client.gas_statement(project, &page)?;
    if ui.json {
        ui.document(&statement);
        return Ok(());
    }
    let rows: Vec<Vec<String>> = statement
        .lines
        .into_iter()
        .map(|l| {
            let about = l.transaction.or(l.invocation).or(l.note).unwrap_or_default();
            vec![
                l.at,
                l.purpose,
                l.amount,
                l.caller.unwrap_or_default(),
                l.function.unwrap_or_default(),
                l.units.map(grouped).unwrap_or_default(),
                about,
            ]
        })
        .collect();
    let head = ["TIME", "WHAT", "GAS", "WHO", "FUNCTION", "UNITS", "ABOUT"];
    ui.out(&render::table(&head, &rows));
    Ok(())
}

fn limits(ui: &Ui, client: &Client, project: &ProjectName, args: &Limits) -> Result<(), Failure> {
    let limits = match &args.limit {
        None => client.gas_limits(project)?,
        Some(limit) => {
            let request = GasLimitRequest {
                function: args.function.as_ref().map(ToString::to_string),
                period: args.period.clone(),
                limit: (limit != "none").then(|| limit.clone()),
            };
            client.set_gas_limit(project, &request)?
        }
    };
    if ui.json {
        ui.document(&limits);
        return Ok(());
    }
    show_limits(ui, limits);
    Ok(())
}

fn show_limits(ui: &Ui, limits: GasLimits) {
    let rows: Vec<Vec<String>> = limits
        .limits
        .into_iter()
        .map(|l| {
            vec![
                l.function.unwrap_or_else(|| "(all)".to_owned()),
                l.period,
                l.limit,
                l.spent,
                l.held,
            ]
        })
        .collect();
    let head = ["FUNCTION", "PERIOD", "LIMIT", "SPENT", "SET ASIDE"];
    ui.out(&render::table(&head, &rows));
    for alert in limits.alerts {
        let of = alert.function.map_or_else(String::new, |f| format!(" of {f}"));
        let text = format!(
            "{} {} % of {} GAS{of} spent",
            alert.at, alert.percent, alert.limit
        );
        ui.say(Tone::Warn, &text);
    }
}

fn withdraw(ui: &Ui, client: &Client, project: &ProjectName, args: &Withdraw) -> Result<(), Failure> {
    let request = WithdrawRequest {
        amount: args.amount.to_string(),
        to: args.address.clone(),
    };
    let asked = client.withdraw(project, &request, args.idempotency_key.as_deref())?;
    if ui.json {
        ui.document(&asked);
        return Ok(());
    }
    let text = format!(
        "{} GAS go to {}; {} GAS are set aside until they are in a block",
        asked.amount, args.address, asked.held
    );
    ui.say(Tone::Good, &text);
    Ok(())
}

fn refill(ui: &Ui, client: &Client, project: &ProjectName, args: &Refill) -> Result<(), Failure> {
    let mut policy = client.refill(project)?;
    let changed = args.below.is_some()
        || args.sponsor.is_some()
        || args.withdrawal_max.is_some()
        || !args.tokens.is_empty();
    if changed {
        change(&mut policy, args)?;
        policy = client.set_refill(project, &policy)?;
    }
    if ui.json {
        ui.document(&policy);
        return Ok(());
    }
    let row = |what: &str, text: String| vec![what.to_owned(), text];
    let none = || "none".to_owned();
    let credit = match (policy.below, policy.to) {
        (Some(below), Some(to)) => format!("below {below} GAS up to {to} GAS, at most once an hour"),
        _ => none(),
    };
    let fees = if policy.sponsored {
        "the operator"
    } else {
        "the project"
    };
    let rows = [
        row("credit", credit),
        row("fees paid by", fees.to_owned()),
        row("largest withdrawal", policy.withdrawal_max.unwrap_or_else(none)),
        row(
            "tokens beside GAS",
            match policy.tokens.is_empty() {
                true => none(),
                false => policy.tokens.join(" "),
            },
        ),
    ];
    ui.out(&render::table(&["AGREED", ""], &rows));
    Ok(())
}

fn change(policy: &mut RefillView, args: &Refill) -> Result<(), Failure> {
    match (args.below.as_deref(), &args.to) {
        (None, _) => {}
        (Some("none"), None) => (policy.below, policy.to) = (None, None),
        (Some(below), Some(to)) => {
            (policy.below, policy.to) = (Some(below.to_owned()), Some(to.clone()));
        }
        (Some(_), None) => {
            return Err(Failure::usage(
                "up to how much?",
                "`neofn gas refill BELOW TO`, such as `neofn gas refill 1 5`",
            ));
        }
    }
    if let Some(sponsored) = args.sponsor {
        policy.sponsored = sponsored;
    }
    if let Some(max) = &args.withdrawal_max {
        policy.withdrawal_max = (max != "none").then(|| max.clone());
    }
    if !args.tokens.is_empty() {
        let named = args.tokens.iter().filter(|t| *t != "none");
        policy.tokens = named.cloned().collect();
    }
    Ok(())
}

fn reconcile(ui: &Ui, client: &Client, write_off: Option<&str>) -> Result<Exit, Failure> {
    if let Some(name) = write_off {
        let done = client.write_off(name)?;
        ui.note(&format!("{} GAS written off", done.amount));
    }
    let seen = client.reconcile()?;
    let exit = if seen.sound { Exit::Done } else { Exit::Failed };
    if ui.json {
        ui.document(&seen);
        return Ok(exit);
    }
    let mut rows = vec![
        vec!["sum of all accounts".to_owned(), seen.sum],
        vec!["transfers".to_owned(), grouped(seen.transfers)],
    ];
    if let Some(chain) = seen.chain {
        rows.push(vec![format!("on chain at block {}", chain.height), chain.chain]);
        rows.push(vec!["by the ledger".to_owned(), chain.ledger]);
        rows.push(vec!["in transit".to_owned(), chain.transit]);
        rows.push(vec!["open payments".to_owned(), chain.open.to_string()]);
    }
    ui.out(&render::table(&["LEDGER", ""], &rows));
    match exit {
        Exit::Done => ui.say(Tone::Good, "sound"),
        _ => ui.say(
            Tone::Bad,
            "ledger and chain differ, or a rule of the ledger is broken",
        ),
    }
    Ok(exit)
}

/// Measures what an event would cost.
fn estimate(global: &Global, ui: &Ui, args: &Estimate) -> Result<Exit, Failure> {
    let event = event(args.event.as_deref())?;
    let key = context::function_key(global, &args.name)?;
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
