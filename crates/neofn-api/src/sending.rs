//! Use cases of the operator that send transactions: calling a contract, putting one on chain, updating one.

use crate::api::Api;
use crate::chain::{bad, contract};
use crate::cosign;
use crate::error::ApiError;
use crate::policy::{Action, Target};
use crate::transactions::view;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use neofn_chain::contract::{self as contracts, Manifest, Nef};
use neofn_chain::manager::{Bearer, Request, RequestSigner};
use neofn_chain::stack::StackItem;
use neofn_chain::tx::Scope;
use neofn_identity::Principal;
use neofn_types::{Code, Datoshi, Digest, Error, ProjectName, ScriptHash};
use neofn_wire::{ChainInvoke, ContractRequest, Sending, SentView};
use serde_json::Value;

/// Who sends what once.
#[derive(Debug, Clone, Copy)]
pub struct SendFor<'a> {
    /// The caller.
    pub who: &'a Principal,
    /// Whose the transaction is.
    pub project: &'a ProjectName,
    /// The same key gives the same transaction; absent: a new one each time.
    pub idempotency: Option<&'a str>,
}

impl Api {
    /// May they send? Also for an edge that wants to know before it reads a large body.
    pub fn authorise_sending(&self, who: &Principal) -> Result<(), Error> {
        self.authorise(who, Action::SendTransactions, Target::Node { loopback: false })
    }

    /// Calls a method of a contract, on chain.
    pub async fn chain_invoke(&self, of: SendFor<'_>, request: ChainInvoke) -> Result<SentView, ApiError> {
        self.authorise_sending(of.who)?;
        let target = contract(&request.contract)?;
        let (arguments, returns) = self
            .engine()
            .contract_arguments(target, &request.method, &request.args)
            .await?;
        let must_be_true = contracts::may_move_nothing(&request.method, returns);
        let script =
            contracts::order(target, &request.method, &arguments, must_be_true).map_err(Error::from)?;
        let sent = self.send(of, target, script, &request.send).await;
        sent.map_err(|e| match e {
            ApiError::Plain(error) => contracts::moved_nothing(error, must_be_true).into(),
            other => other,
        })
    }

    /// Puts a contract on chain.
    pub async fn deploy_contract(
        &self,
        of: SendFor<'_>,
        request: ContractRequest,
    ) -> Result<SentView, ApiError> {
        self.authorise_sending(of.who)?;
        let (Some(nef), Some(manifest)) = (nef(&request)?, manifest(&request)?) else {
            return Err(Error::new(Code::RequestInvalid, "give both `nef` and `manifest`").into());
        };
        let sender = self.payer(&request.send).await?;
        let deployment = contracts::deploy(sender, &nef, &manifest, &data(&request)?).map_err(Error::from)?;
        let there = self.engine().chain()?.contract_state(deployment.contract).await;
        if there.map_err(Error::from)?.is_some() {
            let message = format!(
                "{} is on chain already as {}: the same sender, code and name give the same contract",
                manifest.name, deployment.contract
            );
            return Err(Error::new(Code::RequestInvalid, message).into());
        }
        self.send(of, deployment.contract, deployment.script, &request.send)
            .await
    }

    /// Replaces a contract's code, its manifest or both, by the contract's own `update`.
    pub async fn update_contract(
        &self,
        of: SendFor<'_>,
        target: &str,
        request: ContractRequest,
    ) -> Result<SentView, ApiError> {
        self.authorise_sending(of.who)?;
        let (nef, manifest) = (nef(&request)?, manifest(&request)?);
        if nef.is_none() && manifest.is_none() {
            return Err(Error::new(Code::RequestInvalid, "give `nef`, `manifest` or both").into());
        }
        let target = contract(target)?;
        let chain = self.engine().chain()?;
        let (_, found) = contracts::find(&*chain, target).await.map_err(Error::from)?;
        if found.method("update", 3).is_none() {
            let message = format!(
                "{} has no method update(nef, manifest, data): it cannot be updated",
                found.name
            );
            return Err(Error::new(Code::ContractMethod, message).into());
        }
        let data = data(&request)?;
        let script =
            contracts::update(target, nef.as_ref(), manifest.as_ref(), &data).map_err(Error::from)?;
        self.send(of, target, script, &request.send).await
    }

    async fn payer(&self, sending: &Sending) -> Result<ScriptHash, Error> {
        if let Some(account) = &sending.account {
            return account.parse().map_err(|e| bad("account", &e));
        }
        let first = self.payments()?.transactions.account().await?;
        first.ok_or_else(|| {
            let message = "the signer has no account that signs on this network";
            Error::new(Code::SignerNoAccount, message)
        })
    }

    async fn send(
        &self,
        of: SendFor<'_>,
        target: ScriptHash,
        script: Vec<u8>,
        sending: &Sending,
    ) -> Result<SentView, ApiError> {
        let transactions = &self.payments()?.transactions;
        let idempotency = match of.idempotency {
            Some(key) => Digest::of_parts(&[b"neofn/api/tx", key.as_bytes()]),
            None => {
                let mut once = [0; 32];
                self.inner.entropy.fill(&mut once);
                Digest(once)
            }
        };
        let fee_max: Option<Datoshi> = sending
            .gas
            .as_deref()
            .map(str::parse)
            .transpose()
            .map_err(|e| bad("gas", &e))?;
        // where none is named the manager takes the one that pays: another one later is no other request
        let mut signers = Vec::new();
        let cosigners = cosign::cosigners(&sending.cosigners)?;
        if sending.account.is_some() || !cosigners.is_empty() {
            signers.push(RequestSigner {
                account: self.payer(sending).await?,
                // who only pays for others agrees to nothing else
                scope: match cosigners.is_empty() {
                    true => Scope::CalledByEntry,
                    false => Scope::None,
                },
                verification: None,
            });
        }
        signers.extend(cosigners);
        let request = Request {
            fee_max,
            signers,
            bearer: match sending.operator {
                true => Bearer::Operator,
                false => Bearer::Project,
            },
            ..Request::new(of.project.clone(), idempotency, script)
        };
        if sending.dry_run {
            let fee_max = request.fee_max;
            let found = transactions.predict(request).await.map_err(Error::from)?;
            let fee = found
                .system_fee
                .checked_add(found.network_fee)
                .unwrap_or_default();
            if let Some(max) = fee_max.filter(|max| fee > *max) {
                let message = format!("the transaction would cost {fee} GAS; at most {max} GAS are allowed");
                return Err(Error::new(Code::FeeTooHigh, message).into());
            }
            return Ok(SentView {
                contract: target.to_string(),
                sender: found.sender.to_address(),
                fee: fee.0.to_string(),
                system_fee: found.system_fee.0.to_string(),
                network_fee: found.network_fee.0.to_string(),
                transaction: None,
            });
        }
        let most = fee_max.map_or_else(
            || "as much as it takes".to_owned(),
            |max| format!("at most {max} GAS"),
        );
        let entry = self.act(of.who, of.project, "transaction.send", &target.to_string());
        self.log(entry.detail(format!("{}, {most}", request.id())))
            .await?;
        let record = transactions.submit(request).await.map_err(Error::from)?;
        if record.request.fee_max != fee_max {
            let message = format!("transaction {} was asked for with another `gas`", record.id);
            return Err(Error::new(Code::IdempotencyMismatch, message).into());
        }
        Ok(SentView {
            contract: target.to_string(),
            sender: record.sender.to_address(),
            fee: record.fees().0.to_string(),
            system_fee: record.system_fee.0.to_string(),
            network_fee: record.network_fee.0.to_string(),
            transaction: Some(self.with_message(view(&record), &record)),
        })
    }
}

fn nef(request: &ContractRequest) -> Result<Option<Nef>, Error> {
    let Some(text) = &request.nef else { return Ok(None) };
    let bytes = BASE64.decode(text).map_err(|_| bad("nef", &"not base64"))?;
    Nef::read(&bytes).map(Some).map_err(|e| bad("nef", &e))
}

fn manifest(request: &ContractRequest) -> Result<Option<Manifest>, Error> {
    let Some(json) = &request.manifest else {
        return Ok(None);
    };
    Manifest::read(&json.to_string())
        .map(Some)
        .map_err(|e| bad("manifest", &e))
}

/// Plain values, as arguments of any type are.
fn data(request: &ContractRequest) -> Result<StackItem, Error> {
    match &request.data {
        None | Some(Value::Null) => Ok(StackItem::Null),
        Some(value) => neofn_engine::contract_value(value).map_err(|why| bad("data", &why)),
    }
}
