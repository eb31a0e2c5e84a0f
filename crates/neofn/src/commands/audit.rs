//! `neofn audit`

use crate::cli::Global;
use crate::cli::money::{Audit, AuditVerify};
use crate::failure::{Exit, Failure};
use crate::render;
use crate::ui::{Tone, Ui};
use crate::{anchors, context};
use neofn_client::{Client, Page};
use neofn_identity::auditlog::{LogVerifier, Verified, verify_export};
use neofn_types::Code;
use serde::Serialize;
use std::path::Path;

/// Longest export that is read.
const EXPORT_BYTES_MAX: u64 = 4 << 30;

/// What was verified, as a document.
#[derive(Serialize)]
struct Shown {
    entries: u64,
    root: String,
    key: String,
    checkpoints: usize,
    anchors: Vec<Anchor>,
    /// Roots that were given, all of which are its own.
    roots_given: usize,
    whole: bool,
}
#[derive(Serialize)]
struct Anchor {
    size: u64,
    root: String,
    transaction: String,
    height: u64,
    /// Whether the chain was asked and has it; else the export claims it.
    checked: bool,
    /// Who wrote it there.
    #[serde(skip_serializing_if = "Option::is_none")]
    by: Option<String>,
}

/// Runs `neofn audit`.
pub fn run(global: &Global, ui: &Ui, args: &Audit) -> Result<Exit, Failure> {
    match args {
        Audit::Ls(args) => {
            let page = Page {
                limit: Some(args.limit),
                ..Page::default()
            };
            let list = context::client(global)?.audit(&page, global.project.as_ref())?;
            if ui.json {
                ui.document(&list);
                return Ok(Exit::Done);
            }
            let rows: Vec<Vec<String>> = list
                .entries
                .into_iter()
                .map(|e| {
                    vec![
                        e.seq.to_string(),
                        e.at,
                        e.project.unwrap_or_default(),
                        e.actor,
                        e.action,
                        e.target,
                        e.detail,
                    ]
                })
                .collect();
            let head = ["#", "TIME", "PROJECT", "WHO", "WHAT", "ON", "MORE"];
            ui.out(&render::table(&head, &rows));
        }
        Audit::Export => ui.out_raw(export(&context::client(global)?)?.as_bytes()),
        Audit::Verify(args) => return verify(global, ui, args),
    }
    Ok(Exit::Done)
}

/// The whole log, page by page.
fn export(client: &Client) -> Result<String, Failure> {
    let (mut all, mut from) = (String::new(), 0u64);
    loop {
        let page = client.audit_export(from)?;
        let entries = page.lines().filter(|l| l.starts_with("{\"entry\"")).count();
        all.push_str(&page);
        if entries == 0 {
            return Ok(all);
        }
        from = from.saturating_add(u64::try_from(entries).unwrap_or(0));
    }
}

/// An export that was kept.
pub fn read(file: &Path) -> Result<String, Failure> {
    let doing = |e: &std::io::Error| Failure::file(file, "read", e);
    let size = std::fs::metadata(file).map_err(|e| doing(&e))?.len();
    if size > EXPORT_BYTES_MAX {
        return Err(Failure::usage("the export is too long", "is it one?"));
    }
    std::fs::read_to_string(file).map_err(|e| doing(&e))
}

/// Checks an export without any node.
pub fn check(text: &str, key: Option<&str>) -> Result<Verified, Failure> {
    let key: Option<LogVerifier> =
        match key {
            Some(key) => Some(key.parse().map_err(|_| {
                Failure::usage("that is no key of a log", "`neofn audit verify` shows the key")
            })?),
            None => None,
        };
    verify_export(text.lines(), key.as_ref()).map_err(broken)
}

fn broken(why: impl std::fmt::Display) -> Failure {
    Failure::new(Code::AuditBroken, why.to_string(), "")
}

fn verify(global: &Global, ui: &Ui, args: &AuditVerify) -> Result<Exit, Failure> {
    let text = match &args.file {
        Some(file) => read(file)?,
        None => export(&context::client(global)?)?,
    };
    let verified = check(&text, args.key.as_deref())?;
    for known in &args.roots {
        verified.agrees(known.size, &known.root).map_err(broken)?;
    }
    let writers = match args.chain.as_slice() {
        [] => None,
        urls => Some(anchors::check(urls, &verified.anchors)?),
    };
    let whole = verified.whole();
    let shown = Shown {
        entries: verified.entries,
        root: hex::encode(verified.root),
        key: verified.key,
        checkpoints: verified.checkpoints.len(),
        anchors: verified
            .anchors
            .into_iter()
            .enumerate()
            .map(|(n, (size, root, tx, height))| Anchor {
                size,
                root: hex::encode(root),
                transaction: tx.to_string(),
                height,
                checked: writers.is_some(),
                by: writers.as_ref().and_then(|w| w.get(n)).map(ToString::to_string),
            })
            .collect(),
        roots_given: args.roots.len(),
        whole,
    };
    let exit = if whole { Exit::Done } else { Exit::Failed };
    if ui.json {
        ui.document(&shown);
        return Ok(exit);
    }
    let row = |what: &str, text: String| vec![what.to_owned(), text];
    let mut rows = vec![
        row("entries", shown.entries.to_string()),
        row("root", shown.root),
        row("signed by", shown.key),
        row("signatures that hold", shown.checkpoints.to_string()),
    ];
    rows.extend(args.roots.iter().map(|known| {
        row(
            &format!("root of {} that you gave", known.size),
            "it is this log's".to_owned(),
        )
    }));
    let claims = shown.anchors.iter().any(|a| !a.checked);
    for anchor in shown.anchors {
        let place = format!(
            "{} in block {}: {}",
            anchor.transaction, anchor.height, anchor.root
        );
        rows.push(match anchor.by {
            Some(by) => row(
                &format!("root of {} on chain", anchor.size),
                format!("{place}, by {by}"),
            ),
            None => row(&format!("root of {} claims to be on chain", anchor.size), place),
        });
    }
    ui.out(&render::table(&["AUDIT LOG", ""], &rows));
    if claims && args.roots.is_empty() {
        ui.note(
            "what is on chain was not asked: read the transactions yourself and give their roots with --root SIZE:HEX, or \
             name a node of the chain with --chain",
        );
    }
    if args.key.is_none() {
        ui.note("compare the key with the one that you trusted first, or give it with --key");
    }
    match exit {
        Exit::Done => ui.say(Tone::Good, "verified"),
        _ if shown.entries == 0 => ui.say(Tone::Bad, "there is no entry that a signature covers"),
        _ => ui.say(Tone::Bad, "the last entries are covered by no signature"),
    }
    Ok(exit)
}
