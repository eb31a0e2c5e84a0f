//! `neofn gas usage | close | suspense | attribute`

use crate::cli::money::{Attribute, Close, Suspense, Usage};
use crate::failure::Failure;
use crate::render::{self, grouped};
use crate::ui::{Tone, Ui};
use neofn_client::{Client, Page};
use neofn_types::ProjectName;
use neofn_wire::{AttributeRequest, CloseRequest};

/// A part of a query; times hold `+` and `:`.
fn escaped(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

pub(super) fn usage(ui: &Ui, client: &Client, project: &ProjectName, args: &Usage) -> Result<(), Failure> {
    let function = args.function.as_ref().map(ToString::to_string);
    let limit = (!args.csv).then(|| args.limit.to_string());
    let parts = [
        ("from", &args.from),
        ("until", &args.until),
        ("function", &function),
        ("limit", &limit),
    ];
    let query: Vec<String> = parts
        .into_iter()
        .filter_map(|(name, value)| Some(format!("{name}={}", escaped(value.as_deref()?))))
        .collect();
    let query = query.join("&");
    if args.csv {
        ui.out_raw(client.gas_usage_csv(project, &query)?.as_bytes());
        return Ok(());
    }
    let usage = client.gas_usage(project, &query)?;
    if ui.json {
        ui.document(&usage);
        return Ok(());
    }
    let rows: Vec<Vec<String>> = usage
        .lines
        .into_iter()
        .map(|l| {
            vec![
                l.hour,
                l.function,
                grouped(l.invocations),
                grouped(l.units),
                l.amount,
            ]
        })
        .collect();
    ui.out(&render::table(
        &["HOUR", "FUNCTION", "RUNS", "UNITS", "GAS"],
        &rows,
    ));
    if usage.next.is_some() {
        ui.note("there is more: give --from or --limit");
    }
    Ok(())
}

pub(super) fn close(ui: &Ui, client: &Client, project: &ProjectName, args: &Close) -> Result<(), Failure> {
    let request = CloseRequest { to: args.to.clone() };
    let closed = client.close_account(project, &request, args.idempotency_key.as_deref())?;
    if ui.json {
        ui.document(&closed);
        return Ok(());
    }
    let sent = closed.withdrawal.map_or_else(|| "0".to_owned(), |w| w.amount);
    let row = |what: &str, amount: String| vec![what.to_owned(), amount];
    let rows = [
        row("credit that went back", closed.reclaimed),
        row("sent", sent),
        row("left", closed.left),
    ];
    ui.out(&render::table(&["CLOSED", "GAS"], &rows));
    Ok(())
}

pub(super) fn suspense(ui: &Ui, client: &Client, args: &Suspense) -> Result<(), Failure> {
    let page = Page {
        limit: Some(args.limit),
        ..Page::default()
    };
    let list = client.suspense(&page)?;
    if ui.json {
        ui.document(&list);
        return Ok(());
    }
    let rows: Vec<Vec<String>> = list
        .deposits
        .into_iter()
        .map(|d| {
            let given = d.given_to.unwrap_or_else(|| "nobody".to_owned());
            vec![
                d.id,
                d.at,
                d.amount,
                d.from.unwrap_or_default(),
                given,
                d.memo.unwrap_or_default(),
            ]
        })
        .collect();
    let head = ["DEPOSIT", "TIME", "GAS", "FROM", "GIVEN TO", "MEMO"];
    ui.out(&render::table(&head, &rows));
    Ok(())
}

pub(super) fn attribute(
    ui: &Ui,
    client: &Client,
    project: &ProjectName,
    args: &Attribute,
) -> Result<(), Failure> {
    let given = client.attribute(&AttributeRequest {
        deposit: args.deposit.clone(),
        project: project.to_string(),
    })?;
    if ui.json {
        ui.document(&given);
        return Ok(());
    }
    ui.say(Tone::Good, &format!("{} GAS belong to {project}", given.amount));
    Ok(())
}

#[cfg(test)]
mod tests {
    #[test]
    fn times_survive_a_query() {
        let text = super::escaped("2026-05-01T00:00:00+02:00");
        assert_eq!(text, "2026-05-01T00%3A00%3A00%2B02%3A00");
    }
}
