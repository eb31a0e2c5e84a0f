//! `neofn backup`

use crate::cli::Global;
use crate::cli::money::{Backup, BackupKeygen, BackupRestore};
use crate::commands::audit;
use crate::context;
use crate::failure::{Exit, Failure};
use crate::render;
use crate::ui::{Tone, Ui};
use neofn_backup::{Heads, Identity, Known, Manifest, Rollback, SeenHeads};
use neofn_identity::auditlog::Verified;
use neofn_node::SystemClock;
use neofn_types::{Clock as _, Code, Error};
use neofn_wire::BackupRequest;
use serde::Serialize;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

/// What a backup says of itself.
#[derive(Serialize)]
struct Shown {
    at: String,
    version: String,
    files: usize,
    bytes: u64,
    audit_size: u64,
    transfers: u64,
}
impl Shown {
    fn of(manifest: &Manifest) -> Self {
        Self {
            at: manifest.at.to_iso8601(),
            version: manifest.version.clone(),
            files: manifest.files.len(),
            bytes: manifest.files.iter().map(|f| f.bytes).sum(),
            audit_size: manifest.heads.audit_size,
            transfers: manifest.heads.transfers,
        }
    }
    fn table(&self) -> String {
        let row = |what: &str, text: String| vec![what.to_owned(), text];
        render::table(
            &["BACKUP", ""],
            &[
                row("made", self.at.clone()),
                row("by version", self.version.clone()),
                row("files", self.files.to_string()),
                row("bytes", self.bytes.to_string()),
                row("audit entries", self.audit_size.to_string()),
                row("transfers", self.transfers.to_string()),
            ],
        )
    }
}

/// Runs `neofn backup`.
pub fn run(global: &Global, ui: &Ui, args: &Backup) -> Result<Exit, Failure> {
    match args {
        Backup::Create(args) => {
            let request = BackupRequest {
                recipient: args.recipient.clone(),
            };
            let made = context::client(global)?.backup(&request)?;
            if ui.json {
                ui.document(&made);
            } else {
                ui.out(&made.file);
                let text = format!("{} files, {} audit entries", made.files, made.audit_size);
                ui.say(Tone::Good, &text);
            }
        }
        Backup::Verify(args) => {
            let identity = identity(&args.identity)?;
            readable(&args.file)?;
            let manifest = neofn_backup::verify(&args.file, &identity).map_err(Error::from)?;
            show(ui, &manifest, "whole");
        }
        Backup::Restore(args) => restore(ui, args)?,
        Backup::Keygen(args) => keygen(ui, args)?,
    }
    Ok(Exit::Done)
}

fn show(ui: &Ui, manifest: &Manifest, word: &str) {
    let shown = Shown::of(manifest);
    if ui.json {
        ui.document(&shown);
    } else {
        ui.out(&shown.table());
        ui.say(Tone::Good, word);
    }
}

/// An export of the log that was kept.
struct KnownLog(Verified);
impl KnownLog {
    fn of(file: &Path) -> Result<Self, Failure> {
        let known = audit::check(&audit::read(file)?, None)?;
        if !known.whole() {
            return Err(Failure::new(
                Code::AuditBroken,
                format!("{}: no signature covers its last entry", file.display()),
                "",
            ));
        }
        Ok(Self(known))
    }
}
impl Known for KnownLog {
    fn seen(&self) -> SeenHeads {
        SeenHeads {
            here: self.0.entries,
            anchored: self.0.anchors.iter().map(|a| a.0).max().unwrap_or_default(),
        }
    }
    fn agrees(&self, heads: &Heads) -> Result<(), String> {
        match &heads.checkpoint {
            Some(note) => self.0.is_of(note),
            None if heads.audit_size == 0 => Ok(()),
            None => Err("it has no signed checkpoint to be compared with".to_owned()),
        }
    }
}

/// A file that is not there is no damaged backup, and no full disk.
fn readable(file: &Path) -> Result<(), Failure> {
    let opened = std::fs::File::open(file);
    opened.map(drop).map_err(|e| Failure::file(file, "read", &e))
}

fn restore(ui: &Ui, args: &BackupRestore) -> Result<(), Failure> {
    let identity = identity(&args.identity)?;
    let known = match &args.known {
        Some(file) => Some(KnownLog::of(file)?),
        None => None,
    };
    let nothing = SeenHeads::default();
    let known: &dyn Known = match &known {
        Some(known) => known,
        None => &nothing,
    };
    readable(&args.file)?;
    let rollback = if args.accept_rollback {
        Rollback::Accept
    } else {
        Rollback::Refuse
    };
    let at = SystemClock::new().now();
    let restored = neofn_backup::restore(&args.file, &identity, &args.data, known, (rollback, at));
    let manifest = restored.map_err(Error::from)?;
    show(ui, &manifest, "restored");
    ui.note("its node signs nothing until ledger and chain agree: start it with its chain and `--bank`");
    Ok(())
}

fn keygen(ui: &Ui, args: &BackupKeygen) -> Result<(), Failure> {
    let (secret, recipient) = neofn_backup::generate();
    let doing = |e: std::io::Error| Failure::file(&args.file, "write", &e);
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&args.file)
        .map_err(doing)?;
    writeln!(file, "{}", secret.as_str())
        .and_then(|()| file.sync_all())
        .map_err(doing)?;
    ui.out(&recipient);
    ui.note("keep the file away from the node: whoever has it reads every backup made for this recipient");
    Ok(())
}

fn identity(file: &Path) -> Result<Identity, Failure> {
    let text = std::fs::read_to_string(file).map_err(|e| Failure::file(file, "read", &e))?;
    let line = text
        .lines()
        .map(str::trim)
        .find(|l| l.starts_with("AGE-SECRET-KEY-"));
    line.and_then(|line| line.parse().ok()).ok_or_else(|| {
        Failure::usage(
            format!("{} holds no age identity", file.display()),
            "`neofn backup keygen FILE` makes one",
        )
    })
}
