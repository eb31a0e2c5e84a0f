//! `neofn services`: functions as something to be called: where, in which version, and on which nodes.

use crate::cli::{Global, Services};
use crate::context;
use crate::failure::{Exit, Failure};
use crate::render;
use crate::ui::Ui;
use neofn_client::Page;
use neofn_wire::{Catalogue, FunctionService};

/// Most functions that are listed.
const LISTED_MAX: usize = 10_000;

/// The catalogue of a project, or one function.
pub fn run(global: &Global, ui: &Ui, args: &Services) -> Result<Exit, Failure> {
    match &args.name {
        Some(name) => one(global, ui, name),
        None => all(global, ui),
    }
}

fn one(global: &Global, ui: &Ui, name: &str) -> Result<Exit, Failure> {
    let key = context::function_key(global, name)?;
    let found = context::client(global)?.look_up(&key)?;
    if ui.json {
        ui.document(&found);
        return Ok(Exit::Done);
    }
    ui.out(&format!(
        "{}/{} version {}, {}, {}",
        found.project,
        found.function,
        found.version,
        found.runtime,
        state(&found)
    ));
    ui.out(&format!("http  POST {}", found.http));
    if let Some(subject) = &found.nats {
        ui.out(&format!("nats  {subject}"));
    }
    for node in &found.nodes {
        let warm = if node.warm { "warm" } else { "cold" };
        let busy = if node.busy { ", takes no run now" } else { "" };
        ui.out(&format!("node  {} {warm}{busy}", node.id));
    }
    if found.nodes.is_empty() {
        ui.note("no node runs it at the moment: `neofn worker` starts one");
    }
    Ok(Exit::Done)
}

fn all(global: &Global, ui: &Ui) -> Result<Exit, Failure> {
    let project = context::project_name(global)?;
    let client = context::client(global)?;
    let mut list: Catalogue = client.catalogue(&project, &Page::default())?;
    while let Some(cursor) = list.next.take().filter(|_| list.functions.len() < LISTED_MAX) {
        let next = Page {
            cursor: Some(cursor),
            ..Page::default()
        };
        let page = client.catalogue(&project, &next)?;
        list.functions.extend(page.functions);
        list.next = page.next;
    }
    if ui.json {
        ui.document(&list);
        return Ok(Exit::Done);
    }
    if list.functions.is_empty() {
        ui.note("no functions yet: `neofn deploy` makes the first");
        return Ok(Exit::Done);
    }
    let rows: Vec<Vec<String>> = list
        .functions
        .iter()
        .map(|f| {
            vec![
                f.function.clone(),
                f.version.to_string(),
                f.runtime.clone(),
                state(f).to_owned(),
                format!("{} of {}", f.warm, f.able),
                f.nats.clone().unwrap_or_else(|| f.http.clone()),
            ]
        })
        .collect();
    ui.out(&render::table(
        &["FUNCTION", "VERSION", "RUNTIME", "STATE", "WARM ON", "AT"],
        &rows,
    ));
    Ok(Exit::Done)
}

fn state(f: &FunctionService) -> &'static str {
    match (f.is_active, f.public) {
        (false, _) => "disabled",
        (true, true) => "public",
        (true, false) => "with key",
    }
}
