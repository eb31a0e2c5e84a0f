//! `neofn migrate`: from a data directory to PostgreSQL.

use crate::cli::Migrate;
use crate::config::check_postgres_url;
use crate::failure::{Exit, Failure};
use crate::ui::{Tone, Ui};
use neofn_node::{Moved, PostgresOptions, SecretText};
use serde::Serialize;
use std::path::Path;

/// What was moved, as JSON.
#[derive(Serialize)]
struct Document {
    success: bool,
    tables: Vec<Row>,
    artifacts: u64,
    /// Files that the data directory of the node needs.
    keys: Vec<&'static str>,
    /// What cannot be read or run on the other side, and why.
    warnings: Vec<String>,
}

#[derive(Serialize)]
struct Row {
    table: String,
    rows: u64,
    digest: String,
}

/// Moves everything, or nothing.
pub fn run(ui: &Ui, args: &Migrate) -> Result<Exit, Failure> {
    check_postgres_url("`--to`", &args.to)?;
    let to = PostgresOptions {
        url: SecretText::new(args.to.clone()),
        password_file: args.password_file.clone(),
    };
    let runtime = neofn_node::runtime()?;
    let moved = runtime.block_on(neofn_node::migrate(&args.from, &to))?;
    show(ui, &args.from, moved);
    Ok(Exit::Done)
}

fn show(ui: &Ui, from: &Path, moved: Moved) {
    if ui.json {
        let tables = moved.tables.into_iter().map(|table| Row {
            table: table.name,
            rows: table.rows,
            digest: table.digest,
        });
        ui.document(&Document {
            success: true,
            tables: tables.collect(),
            artifacts: moved.artifacts,
            keys: moved.keys.here,
            warnings: [moved.keys.wanting, moved.missing].concat(),
        });
        return;
    }
    for table in &moved.tables {
        let digest = table.digest.get(..16).unwrap_or_default();
        ui.out(&format!("{:<14} {:>10} rows  {digest}", table.name, table.rows));
    }
    ui.out(&format!("{:<14} {:>10}", "artifacts", moved.artifacts));
    let lists = [
        (
            "every row arrived, and not all of it can be read:",
            &moved.keys.wanting,
        ),
        ("every row arrived, but not every artifact:", &moved.missing),
    ];
    for (says, list) in lists.iter().filter(|(_, list)| !list.is_empty()) {
        ui.say(Tone::Warn, says);
        for line in list.iter() {
            ui.say(Tone::Warn, &format!("  {line}"));
        }
    }
    if lists.iter().all(|(_, list)| list.is_empty()) {
        ui.say(Tone::Good, "everything arrived");
    }
    if !moved.keys.here.is_empty() {
        ui.note(&format!(
            "keys do not move: the data directory of the node needs {} from {}",
            moved.keys.here.join(", "),
            from.display()
        ));
    }
    ui.note("start the node with [postgres], and do not start it on the old database again");
}
