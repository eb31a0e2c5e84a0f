//! Accounts of projects, the audit log, backups.

use crate::Error;
use crate::api::{Page, json};
use crate::transport::{Call, Client};
use neofn_types::ProjectName;
use neofn_wire::{
    AttributeRequest, AuditCheckpoint, AuditList, AuditProof, BackupRequest, BackupView, CloseRequest,
    CloseView, DepositView, GasLimitRequest, GasLimits, GasStatement, GasUsage, GasView, ReconcileView,
    RefillView, SuspenseList, SuspenseView, WithdrawRequest, WithdrawalList, WithdrawalView, WriteOffRequest,
    WriteOffView,
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
    pub fn gas_statement_csv(&self, project: &ProjectName, limit: Option<u32>) -> Result<String, Error> {
        let limit = limit.map_or_else(String::new, |limit| format!("&limit={limit}"));
        self.call_text(&Call::get(format!(
            "/api/v1/gas/{project}/statement?format=csv{limit}"
        )))
    }
    /// One page of what was used; `query` as the path has it: `from=2026-05-01&until=…&function=…`.
    pub fn gas_usage(&self, project: &ProjectName, query: &str) -> Result<GasUsage, Error> {
        self.call(&Call::get(format!("/api/v1/gas/{project}/usage?{query}")))
    }
    /// The same as CSV.
    pub fn gas_usage_csv(&self, project: &ProjectName, query: &str) -> Result<String, Error> {
        let path = format!("/api/v1/gas/{project}/usage?format=csv&{query}");
        self.call_text(&Call::get(path))
    }
    /// Ends an account, once for a key.
    pub fn close_account(
        &self,
        project: &ProjectName,
        request: &CloseRequest,
        key: Option<&str>,
    ) -> Result<CloseView, Error> {
        let body = json(request)?;
        let path = format!("/api/v1/gas/{project}/close");
        self.call(&Call::send("POST", path, &body).keyed(key))
    }
    /// Deposits that named nobody.
    pub fn suspense(&self, page: &Page) -> Result<SuspenseList, Error> {
        self.call(&Call::get(format!("/api/v1/suspense{}", page.query())))
    }
    /// Gives one of them to a project.
    pub fn attribute(&self, request: &AttributeRequest) -> Result<SuspenseView, Error> {
        let body = json(request)?;
        self.call(&Call::send("POST", "/api/v1/suspense".to_owned(), &body))
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
    pub fn audit(&self, page: &Page, project: Option<&ProjectName>) -> Result<AuditList, Error> {
        let query = page.query();
        let query = match project {
            Some(project) if query.is_empty() => format!("?project={project}"),
            Some(project) => format!("{query}&project={project}"),
            None => query,
        };
        self.call(&Call::get(format!("/api/v1/audit{query}")))
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
