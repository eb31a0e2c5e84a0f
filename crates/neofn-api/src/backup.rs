//! The use case of backups. What is in one, and where it goes, is the port's.

use crate::api::Api;
use crate::error::ApiError;
use crate::policy::{Action, Target};
use async_trait::async_trait;
use neofn_identity::Principal;
use neofn_identity::audit::AuditEntry;
use neofn_types::{Code, Error};
use neofn_wire::{BackupRequest, BackupView};

/// Makes backups of the node.
#[async_trait]
pub trait Backups: Send + Sync + 'static {
    /// Makes one that the holder of this age recipient can read.
    async fn create(&self, recipient: &str) -> Result<BackupView, Error>;
}

impl Api {
    /// May they? For an edge that wants to know before it reads a body.
    pub fn authorise_backups(&self, who: &Principal) -> Result<(), Error> {
        self.authorise(who, Action::MakeBackup, Target::Node { loopback: false })
    }

    /// Makes a backup.
    pub async fn backup(&self, who: &Principal, request: &BackupRequest) -> Result<BackupView, ApiError> {
        self.authorise_backups(who)?;
        let Some(backups) = &self.inner.backups else {
            let why = "this node keeps its state in PostgreSQL, so `neofn backup` has nothing to archive";
            return Err(Error::new(Code::BackupElsewhere, why).into());
        };
        // written first, so that the backup itself tells of it
        let now = self.inner.clock.now();
        self.log(AuditEntry::new(
            now,
            who.actor(),
            "backup.create",
            request.recipient.as_str(),
        ))
        .await?;
        Ok(backups.create(&request.recipient).await?)
    }
}
