//! Use cases about the audit log: reading it, proving it, taking it along.

use crate::api::Api;
use crate::error::ApiError;
use crate::functions::{Page, bad_cursor};
use crate::policy::{Action, Target};
use neofn_identity::Principal;
use neofn_identity::auditlog::port::{EntryFilter, StoredEntry};
use neofn_identity::auditlog::{AuditLogError, Export, ExportLine, Hash, LoggedEntry, leaf_hash};
use neofn_types::{Code, Error, ProjectName};
use neofn_wire::{AuditAnchor, AuditCheckpoint, AuditEntryView, AuditList, AuditProof};

/// Entries of one page of an export.
const EXPORT_PAGE: u32 = 5_000;
/// Checkpoints and anchors of an export, and anchors that are shown.
const NOTES_MAX: u32 = 10_000;
const ANCHORS_SHOWN: u32 = 20;

fn failed(error: AuditLogError) -> ApiError {
    Error::from(error).into()
}
fn hexes(path: &[Hash]) -> Vec<String> {
    path.iter().map(hex::encode).collect()
}
fn entry(stored: &StoredEntry) -> Result<AuditEntryView, ApiError> {
    let read: LoggedEntry = serde_json::from_slice(&stored.bytes)
        .map_err(|_| Error::new(Code::AuditBroken, format!("entry {} cannot be read", stored.seq)))?;
    Ok(AuditEntryView {
        seq: read.seq,
        at: read.at.to_iso8601(),
        project: read.project.map(|p| p.to_string()),
        actor: read.actor,
        action: read.action,
        target: read.target,
        detail: read.detail,
    })
}

impl Api {
    /// May they read it at all?
    pub fn authorise_auditing(&self, who: &Principal) -> Result<(), Error> {
        self.may_audit(who)
    }
    fn may_audit(&self, who: &Principal) -> Result<(), Error> {
        self.authorise(who, Action::ReadAudit, Target::Node { loopback: false })
    }

    /// Entries, newest first; of one project, for those who manage it, or all.
    pub async fn audit(
        &self,
        who: &Principal,
        project: Option<ProjectName>,
        limit: Option<u32>,
        cursor: Option<&str>,
    ) -> Result<AuditList, ApiError> {
        match &project {
            Some(project) => self.authorise_project(who, Action::ReadProjectAudit, project)?,
            None => self.may_audit(who)?,
        }
        let limit = Page::of(limit)?.limit;
        let before: Option<u64> = cursor.map(str::parse).transpose().map_err(|_| bad_cursor())?;
        let filter = EntryFilter {
            project,
            before,
            limit,
        };
        let stored = self.inner.audit.entries(filter).await.map_err(failed)?;
        let full = u32::try_from(stored.len()).is_ok_and(|n| n == limit);
        Ok(AuditList {
            next: stored.last().filter(|_| full).map(|e| e.seq.to_string()),
            entries: stored.iter().map(entry).collect::<Result<_, _>>()?,
        })
    }

    /// The tree as it is, signed now, and where its roots are on chain.
    pub async fn audit_checkpoint(&self, who: &Principal) -> Result<AuditCheckpoint, ApiError> {
        self.may_audit(who)?;
        let audit = &self.inner.audit;
        let head = audit.head().await.map_err(failed)?;
        let anchors = audit.anchors(ANCHORS_SHOWN).await.map_err(failed)?;
        Ok(AuditCheckpoint {
            size: head.size,
            root: hex::encode(head.root),
            note: head.note,
            key: audit.verifier().to_string(),
            anchors: anchors
                .into_iter()
                .map(|a| AuditAnchor {
                    size: a.size,
                    transaction: a.tx.map(|(tx, _)| tx.to_string()),
                    height: a.tx.map(|(_, height)| height),
                })
                .collect(),
        })
    }

    /// That an entry is among the first `size`.
    pub async fn audit_inclusion(
        &self,
        who: &Principal,
        seq: u64,
        size: Option<u64>,
    ) -> Result<AuditProof, ApiError> {
        self.may_audit(who)?;
        let audit = &self.inner.audit;
        let size = self.audit_size(size).await?;
        let path = audit.inclusion(seq, size).await.map_err(failed)?;
        let stored = audit.entries_from(seq, 1).await.map_err(failed)?;
        let leaf = stored.first().map(|e| leaf_hash(&e.bytes)).unwrap_or_default();
        Ok(AuditProof {
            size,
            root: hex::encode(audit.root(size).await.map_err(failed)?),
            of: hex::encode(leaf),
            path: hexes(&path),
        })
    }

    /// That the first `old` entries are among the first `size`, unchanged.
    pub async fn audit_consistency(
        &self,
        who: &Principal,
        old: u64,
        size: Option<u64>,
    ) -> Result<AuditProof, ApiError> {
        self.may_audit(who)?;
        let audit = &self.inner.audit;
        let size = self.audit_size(size).await?;
        let path = audit.consistency(old, size).await.map_err(failed)?;
        Ok(AuditProof {
            size,
            root: hex::encode(audit.root(size).await.map_err(failed)?),
            of: hex::encode(audit.root(old).await.map_err(failed)?),
            path: hexes(&path),
        })
    }

    async fn audit_size(&self, asked: Option<u64>) -> Result<u64, ApiError> {
        match asked {
            Some(size) => Ok(size),
            None => Ok(self.inner.audit.head().await.map_err(failed)?.size),
        }
    }

    /// A page of the log as lines that `neofn audit verify` checks without a node: the header at `from` 0, entries, and
    /// on the page after the last entry the checkpoints and anchors. A page without an entry is the last one.
    pub async fn audit_export(&self, who: &Principal, from: u64) -> Result<String, ApiError> {
        self.may_audit(who)?;
        let audit = &self.inner.audit;
        let mut lines = Vec::new();
        if from == 0 {
            lines.push(Export::header(&audit.verifier()));
            // so that the export ends with a signature over all of it
            audit.head().await.map_err(failed)?;
        }
        let stored = audit.entries_from(from, EXPORT_PAGE).await.map_err(failed)?;
        let last = stored.is_empty();
        for stored in stored {
            let seq = stored.seq;
            let line = Export::entry(stored);
            lines.push(line.ok_or_else(|| Error::new(Code::AuditBroken, format!("entry {seq} is no text")))?);
        }
        if last {
            let mut notes = audit.checkpoints(NOTES_MAX).await.map_err(failed)?;
            notes.retain(|(size, _)| *size <= from);
            notes.reverse();
            lines.extend(notes.into_iter().map(|(_, note)| ExportLine::Checkpoint(note)));
            let mut anchors = audit.anchors(NOTES_MAX).await.map_err(failed)?;
            anchors.retain(|a| a.size <= from);
            anchors.reverse();
            lines.extend(anchors.iter().filter_map(Export::anchor));
        }
        let mut text = String::new();
        for line in &lines {
            text.push_str(&serde_json::to_string(line).map_err(Error::internal)?);
            text.push('\n');
        }
        Ok(text)
    }
}
