//! `neofn versions`

use crate::cli::{Global, Name};
use crate::context;
use crate::failure::{Exit, Failure};
use crate::render;
use crate::ui::Ui;
use neofn_client::Page;

/// Most versions that are listed.
const LISTED_MAX: usize = 10_000;

/// Lists the versions of a function.
pub fn run(global: &Global, ui: &Ui, args: &Name) -> Result<Exit, Failure> {
    let key = context::function_key(global, &args.name)?;
    let client = context::client(global)?;
    let mut list = client.versions(&key, &Page::default())?;
    while let Some(cursor) = list.next.take().filter(|_| list.versions.len() < LISTED_MAX) {
        let page = client.versions(
            &key,
            &Page {
                cursor: Some(cursor),
                ..Page::default()
            },
        )?;
        list.versions.extend(page.versions);
        list.next = page.next;
    }
    if ui.json {
        ui.document(&list);
        return Ok(Exit::Done);
    }
    let rows: Vec<Vec<String>> = list
        .versions
        .iter()
        .map(|v| {
            let live = if v.live { "live" } else { "" };
            vec![
                v.version.to_string(),
                live.to_owned(),
                v.created_at.clone(),
                v.digest.chars().take(12).collect(),
            ]
        })
        .collect();
    ui.out(&render::table(&["VERSION", "STATE", "CREATED", "DIGEST"], &rows));
    Ok(Exit::Done)
}
