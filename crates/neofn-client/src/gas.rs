//! Accounts of projects, the audit log, backups.

use crate::Error;
use crate::api::{Page, json};
use crate::transport::{Call, Client};
use neofn_types::ProjectName;
use neofn_wire::{
    AuditCheckpoint, AuditList, AuditProof, BackupRequest, BackupView, DepositView, GasLimitRequest,
    GasLimits, GasStatement, GasView, ReconcileView, RefillView, WithdrawRequest, WithdrawalList,
    WithdrawalView, WriteOffRequest, WriteOffView,
};

impl Client {
    /// What a project has.
    pub fn gas(&self, project: &ProjectName) -> Result<GasView, Error> {
        self.call(&Call::get(format!("/api/v1/gas/{project}")))
    }
    /// How to pay in.
    pub fn gas_deposit(&self, project: &ProjectName) -> Result<DepositView, Error> {
        self.call(&Call::get(format!("/api/v1/gas/{project}/deposit")))
    }
    /// One page of a statement.
    pub fn gas_statement(&self, project: &ProjectName, page: &Page) -> Result<GasStatement, Error> {
        let path = format!("/api/v1/gas/{project}/statement{}", page.query());
        self.call(&Call::get(path))
    }
    /// A statement as CSV.
    pub fn gas_statement_csv(&self, project: &ProjectName) -> Result<String, Error> {
        self.call_text(&Call::get(format!("/api/v1/gas/{project}/statement?format=csv")))
    }
    /// Limits of spending.
    pub fn gas_limits(&self, project: &ProjectName) -> Result<GasLimits, Error> {
        self.call(&Call::get(format!("/api/v1/gas/{project}/limits")))
    }
    /// Sets one, or takes it away.
    pub fn set_gas_limit(
        &self,
        project: &ProjectName,
        request: &GasLimitRequest,
    ) -> Result<GasLimits, Error> {
        let body = json(request)?;
        let path = format!("/api/v1/gas/{project}/limits");
        self.call(&Call::send("PUT", path, &body))
    }
    /// Has GAS sent, once for a key.
    pub fn withdraw(
        &self,
        project: &ProjectName,
        request: &WithdrawRequest,
        key: Option<&str>,
    ) -> Result<WithdrawalView, Error> {
        let body = json(request)?;
        let path = format!("/api/v1/gas/{project}/withdrawals");
        self.call(&Call::send("POST", path, &body).keyed(key))
    }
    /// What was sent, and is to be.
    pub fn withdrawals(&self, project: &ProjectName) -> Result<WithdrawalList, Error> {
        self.call(&Call::get(format!("/api/v1/gas/{project}/withdrawals")))
    }
    /// What the operator agreed with a project.
    pub fn refill(&self, project: &ProjectName) -> Result<RefillView, Error> {
        self.call(&Call::get(format!("/api/v1/gas/{project}/refill")))
    }
    /// Agrees anew.
    pub fn set_refill(&self, project: &ProjectName, request: &RefillView) -> Result<RefillView, Error> {
        let body = json(request)?;
        let path = format!("/api/v1/gas/{project}/refill");
        self.call(&Call::send("PUT", path, &body))
    }
    /// The ledger against the chain.
    pub fn reconcile(&self) -> Result<ReconcileView, Error> {
        self.call(&Call::get("/api/v1/gas".to_owned()))
    }

    /// Books what is in transit on the operator's account, once for a name.
    pub fn write_off(&self, name: &str) -> Result<WriteOffView, Error> {
        let body = json(&WriteOffRequest {
            name: name.to_owned(),
        })?;
        self.call(&Call::send("POST", "/api/v1/gas".to_owned(), &body))
    }

    /// One page of the audit log.
    pub fn audit(&self, page: &Page) -> Result<AuditList, Error> {
        self.call(&Call::get(format!("/api/v1/audit{}", page.query())))
    }
    /// The signed tree.
    pub fn audit_checkpoint(&self) -> Result<AuditCheckpoint, Error> {
        self.call(&Call::get("/api/v1/audit/checkpoint".to_owned()))
    }
    /// That an entry is in the tree.
    pub fn audit_inclusion(&self, seq: u64) -> Result<AuditProof, Error> {
        self.call(&Call::get(format!("/api/v1/audit/proof?seq={seq}")))
    }
    /// A page of an export.
    pub fn audit_export(&self, from: u64) -> Result<String, Error> {
        self.call_text(&Call::get(format!("/api/v1/audit/export?from={from}")))
    }

    /// Has the node make a backup.
    pub fn backup(&self, request: &BackupRequest) -> Result<BackupView, Error> {
        let body = json(request)?;
        self.call(&Call::send("POST", "/api/v1/backups".to_owned(), &body))
    }
}
