//! `neofn functions`

use crate::cli::Global;
use crate::context;
use crate::failure::{Exit, Failure};
use crate::render;
use crate::ui::Ui;
use neofn_client::Page;
use neofn_wire::FunctionList;

/// Most functions that are listed.
const LISTED_MAX: usize = 10_000;

/// Lists the functions of a project.
pub fn run(global: &Global, ui: &Ui) -> Result<Exit, Failure> {
    let project = context::project_name(global)?;
    let client = context::client(global)?;
    let mut list = client.functions(&project, &Page::default())?;
    while let Some(cursor) = list.next.take().filter(|_| list.functions.len() < LISTED_MAX) {
        let page = client.functions(
            &project,
            &Page {
                cursor: Some(cursor),
                ..Page::default()
            },
        )?;
        list.functions.extend(page.functions);
        list.next = page.next;
    }
    list.count = list.functions.len();
    if ui.json {
        ui.document(&list);
    } else {
        show(ui, &list);
    }
    Ok(Exit::Done)
}

fn show(ui: &Ui, list: &FunctionList) {
    if list.functions.is_empty() {
        ui.note("no functions yet: `neofn deploy` makes the first");
        return;
    }
    let rows: Vec<Vec<String>> = list
        .functions
        .iter()
        .map(|f| {
            vec![
                f.function_name.clone(),
                f.version.to_string(),
                if f.is_active { "enabled" } else { "disabled" }.to_owned(),
                f.runtime.clone(),
                if f.public { "public" } else { "with key" }.to_owned(),
                f.invocation_count.to_string(),
                f.updated_at.clone(),
            ]
        })
        .collect();
    ui.out(&render::table(
        &[
            "FUNCTION", "VERSION", "STATE", "RUNTIME", "ACCESS", "RUNS", "UPDATED",
        ],
        &rows,
    ));
}
