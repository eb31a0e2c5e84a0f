//! `neofn invocations`

use crate::cli::{Global, Invocations};
use crate::context;
use crate::failure::{Exit, Failure};
use crate::render::{self, grouped};
use crate::ui::Ui;
use neofn_client::Page;

/// Lists the invocations of a function.
pub fn run(global: &Global, ui: &Ui, args: &Invocations) -> Result<Exit, Failure> {
    let key = context::function_key(global, &args.name)?;
    let page = Page {
        limit: Some(args.limit),
        cursor: None,
        status: args.status.clone(),
    };
    let list = context::client(global)?.invocations(&key, &page)?;
    if ui.json {
        ui.document(&list);
        return Ok(Exit::Done);
    }
    let rows: Vec<Vec<String>> = list
        .invocations
        .iter()
        .map(|i| {
            vec![
                i.id.clone(),
                i.status.clone(),
                i.version.to_string(),
                i.attempt.to_string(),
                i.origin.clone(),
                i.created_at.clone(),
                i.duration.map_or_else(|| "-".to_owned(), render::millis),
                grouped(i.units.total),
                i.code.clone().unwrap_or_default(),
            ]
        })
        .collect();
    ui.out(&render::table(
        &[
            "ID", "STATUS", "VERSION", "TRY", "ORIGIN", "CREATED", "TIME", "UNITS", "CODE",
        ],
        &rows,
    ));
    Ok(Exit::Done)
}
