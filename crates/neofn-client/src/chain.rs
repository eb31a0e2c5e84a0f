//! The chain, transactions and the signer. What the chain itself says is JSON as the node gives it.

use crate::Error;
use crate::api::{Page, escape, json};
use crate::transport::{Call, Client};
use neofn_types::{FunctionName, ProjectName};
use neofn_wire::{
    ChainCall, ChainInvoke, ChainView, ContractRequest, DecodeRequest, KeyImport, PolicyView, RecheckRequest,
    RecheckView, ReplaceRequest, SentView, ServiceList, SignatureList, SignerAccountView, SignerView,
    TransactionList, TransactionView, WitnessRequest,
};
use serde_json::Value;

/// Which notifications to list.
#[derive(Debug, Clone, Default)]
pub struct Notifications {
    /// Hash or name.
    pub contract: String,
    /// Only those of this name.
    pub event: Option<String>,
    /// The first block.
    pub from: Option<u64>,
    /// The last block.
    pub to: Option<u64>,
}

/// Which events or dead letters to list.
#[derive(Debug, Clone, Default)]
pub struct FiredFilter {
    /// Of one function.
    pub function: Option<FunctionName>,
    /// Of one trigger.
    pub trigger: Option<String>,
    /// Of this block or later ones.
    pub from: Option<u64>,
    /// Of this block or earlier ones.
    pub to: Option<u64>,
    /// Most rows.
    pub limit: Option<u32>,
    /// The `next` of the page before.
    pub cursor: Option<String>,
}

/// `?name=value&…` of those that are there.
pub(crate) fn query(members: &[(&str, Option<String>)]) -> String {
    let mut query = String::new();
    for (name, value) in members {
        let Some(value) = value else { continue };
        query.push(if query.is_empty() { '?' } else { '&' });
        query.push_str(&format!("{name}={}", escape(value)));
    }
    query
}

impl Client {
    /// GET `/api/v1/chain`.
    pub fn chain(&self) -> Result<ChainView, Error> {
        self.call(&Call::get("/api/v1/chain".to_owned()))
    }
    /// A block with what happened in it.
    pub fn block(&self, height: u64) -> Result<Value, Error> {
        self.call(&Call::get(format!("/api/v1/chain/blocks/{height}")))
    }
    /// Compares the last block that was read with what nodes call it; with `apply` it is read again.
    pub fn recheck_chain(&self, apply: bool) -> Result<RecheckView, Error> {
        let body = json(&RecheckRequest { apply })?;
        self.call(&Call::send("POST", "/api/v1/chain/recheck".to_owned(), &body))
    }
    /// A transaction of the chain.
    pub fn chain_transaction(&self, hash: &str) -> Result<Value, Error> {
        self.call(&Call::get(format!("/api/v1/chain/transactions/{}", escape(hash))))
    }
    /// Notifications of a contract, oldest first.
    pub fn notifications(&self, of: &Notifications) -> Result<Value, Error> {
        let query = query(&[
            ("contract", Some(of.contract.clone())),
            ("event", of.event.clone()),
            ("from", of.from.map(|n| n.to_string())),
            ("to", of.to.map(|n| n.to_string())),
        ]);
        self.call(&Call::get(format!("/api/v1/chain/notifications{query}")))
    }
    /// How much of a token an account has.
    pub fn balance(&self, account: &str, token: &str) -> Result<Value, Error> {
        let query = query(&[("token", Some(token.to_owned()))]);
        self.call(&Call::get(format!(
            "/api/v1/chain/balances/{}{query}",
            escape(account)
        )))
    }
    /// Calls a method, read-only.
    pub fn chain_call(&self, call: &ChainCall) -> Result<Value, Error> {
        let body = json(call)?;
        self.call(&Call::send("POST", "/api/v1/chain/call".to_owned(), &body))
    }
    /// Takes a script apart.
    pub fn decode(&self, script: &str) -> Result<Value, Error> {
        let body = json(&DecodeRequest {
            script: script.to_owned(),
        })?;
        self.call(&Call::send("POST", "/api/v1/chain/decode".to_owned(), &body))
    }
    /// Calls a method on chain. `key`: the same key is the same transaction.
    pub fn chain_invoke(
        &self,
        project: &ProjectName,
        request: &ChainInvoke,
        key: Option<&str>,
    ) -> Result<SentView, Error> {
        let body = json(request)?;
        let path = format!("/api/v1/chain/invoke?project={project}");
        self.call(&Call::send("POST", path, &body).keyed(key))
    }
    /// Puts a contract on chain.
    pub fn deploy_contract(
        &self,
        project: &ProjectName,
        request: &ContractRequest,
        key: Option<&str>,
    ) -> Result<SentView, Error> {
        let body = json(request)?;
        let path = format!("/api/v1/chain/contracts?project={project}");
        self.call(&Call::send("POST", path, &body).keyed(key))
    }
    /// Updates a contract.
    pub fn update_contract(
        &self,
        project: &ProjectName,
        contract: &str,
        request: &ContractRequest,
        key: Option<&str>,
    ) -> Result<SentView, Error> {
        let body = json(request)?;
        let path = format!(
            "/api/v1/chain/contracts/{}/update?project={project}",
            escape(contract)
        );
        self.call(&Call::send("POST", path, &body).keyed(key))
    }
    /// A project's transactions, newest first, one page.
    pub fn transactions(&self, project: &ProjectName, page: &Page) -> Result<TransactionList, Error> {
        let query = query(&[
            ("project", Some(project.to_string())),
            ("limit", page.limit.map(|n| n.to_string())),
            ("cursor", page.cursor.clone()),
        ]);
        self.call(&Call::get(format!("/api/v1/transactions{query}")))
    }
    /// One transaction; with `wait_s` once it has ended, or so many seconds later.
    pub fn transaction(&self, id: &str, wait_s: Option<u32>) -> Result<TransactionView, Error> {
        let query = query(&[("wait", wait_s.map(|n| n.to_string()))]);
        self.call(&Call::get(format!("/api/v1/transactions/{}{query}", escape(id))))
    }
    /// Hands in a signature that a transaction waits for.
    pub fn cosign(&self, id: &str, request: &WitnessRequest) -> Result<TransactionView, Error> {
        let body = json(request)?;
        let path = format!("/api/v1/transactions/{}/witness", escape(id));
        self.call(&Call::send("POST", path, &body))
    }
    /// Puts another transaction in the place of one that is in no block yet.
    pub fn replace_transaction(&self, id: &str, request: &ReplaceRequest) -> Result<TransactionView, Error> {
        let body = json(request)?;
        let path = format!("/api/v1/transactions/{}/replace", escape(id));
        self.call(&Call::send("POST", path, &body))
    }
    /// The nodes of the cluster.
    pub fn services(&self) -> Result<ServiceList, Error> {
        self.call(&Call::get("/api/v1/services".to_owned()))
    }
    /// The accounts that sign.
    pub fn signer(&self) -> Result<SignerView, Error> {
        self.call(&Call::get("/api/v1/signer".to_owned()))
    }
    /// Gives the signer a key.
    pub fn import_key(&self, request: &KeyImport) -> Result<SignerAccountView, Error> {
        let body = json(request)?;
        self.call(&Call::send("POST", "/api/v1/signer/accounts".to_owned(), &body))
    }
    /// Changes what an account may be used for.
    pub fn set_policy(&self, account: &str, policy: &PolicyView) -> Result<SignerAccountView, Error> {
        let body = json(policy)?;
        let path = format!("/api/v1/signer/accounts/{}", escape(account));
        self.call(&Call::send("PATCH", path, &body))
    }
    /// What was signed, oldest first.
    pub fn signatures(&self, after: u64, limit: u32) -> Result<SignatureList, Error> {
        self.call(&Call::get(format!(
            "/api/v1/signer/signatures?after={after}&limit={limit}"
        )))
    }
}
