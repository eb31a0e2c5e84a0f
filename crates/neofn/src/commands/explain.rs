//! `neofn explain`: the catalogue of errors, without a node.

use crate::cli::Explain;
use crate::failure::{Exit, Failure};
use crate::render;
use crate::ui::Ui;
use neofn_types::{Code, Retry};
use serde::Serialize;

/// A page of the catalogue as JSON.
#[derive(Serialize)]
struct Page {
    code: &'static str,
    title: &'static str,
    cause: &'static str,
    cure: &'static str,
    status: u16,
    retry: &'static str,
}

fn page(code: Code) -> Page {
    let info = code.info();
    Page {
        code: info.code,
        title: info.title,
        cause: info.cause,
        cure: info.cure,
        status: info.status,
        retry: match info.retry {
            Retry::Never => "never",
            Retry::Later => "later",
        },
    }
}

/// Prints one page, or the list.
pub fn run(ui: &Ui, args: &Explain) -> Result<Exit, Failure> {
    match &args.code {
        Some(text) => one(ui, text),
        None => {
            list(ui);
            Ok(Exit::Done)
        }
    }
}

fn one(ui: &Ui, text: &str) -> Result<Exit, Failure> {
    let tidy = text.trim().to_ascii_uppercase();
    let code: Code = tidy.parse().map_err(|_| {
        Failure::usage(
            format!("{text:?} is not an error code"),
            "`neofn explain` lists them all",
        )
    })?;
    let page = page(code);
    if ui.json {
        ui.document(&page);
        return Ok(Exit::Done);
    }
    let again = match code.info().retry {
        Retry::Never => "trying again does not help",
        Retry::Later => "trying again later may help",
    };
    ui.out(&format!(
        "{}: {}\n\nWhy   {}\nCure  {}\nHTTP  {}; {again}",
        page.code, page.title, page.cause, page.cure, page.status
    ));
    Ok(Exit::Done)
}

fn list(ui: &Ui) {
    if ui.json {
        let pages: Vec<Page> = Code::ALL.iter().copied().map(page).collect();
        ui.document(&pages);
        return;
    }
    let rows: Vec<Vec<String>> = Code::ALL
        .iter()
        .map(|c| {
            vec![
                c.to_string(),
                c.info().status.to_string(),
                c.info().title.to_owned(),
            ]
        })
        .collect();
    ui.out(&render::table(&["CODE", "HTTP", "MEANING"], &rows));
}
