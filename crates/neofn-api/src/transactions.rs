//! Use cases that look at the transactions that the node manages.

use crate::api::Api;
use crate::chain::{execution, script_call};
use crate::error::ApiError;
use crate::functions::{Page, bad_cursor};
use crate::policy::{Action, Target};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use neofn_chain::decode::decode;
use neofn_chain::manager::{TxError, TxId, TxRecord, TxState, Until};
use neofn_chain::model::VmState;
use neofn_chain::tx::{Transaction, message};
use neofn_identity::Principal;
use neofn_types::{Code, Error, ProjectName, ScriptHash};
use neofn_wire::{ScriptCallView, TransactionList, TransactionSignerView, TransactionView};
use std::time::Duration;

/// Longest time that a request may wait for an end.
const WAIT_S_MAX: u32 = 60;

impl Api {
    /// A project's transactions, newest first.
    pub async fn transactions(
        &self,
        who: &Principal,
        project: &ProjectName,
        limit: Option<u32>,
        cursor: Option<&str>,
    ) -> Result<TransactionList, ApiError> {
        self.authorise_project(who, Action::ReadTransactions, project)?;
        let before: Option<TxId> = cursor.map(str::parse).transpose().map_err(|_| bad_cursor())?;
        let limit = Page::of(limit)?.limit;
        let transactions = &self.payments()?.transactions;
        let rows = transactions
            .list(project, before, limit)
            .await
            .map_err(Error::from)?;
        let full = u32::try_from(rows.len()).is_ok_and(|n| n == limit);
        Ok(TransactionList {
            next: rows.last().filter(|_| full).map(|r| r.id.to_string()),
            transactions: rows.iter().map(view).collect(),
        })
    }

    /// One transaction with what it did; with `wait`, once it has ended or so many seconds later.
    pub async fn transaction(
        &self,
        who: &Principal,
        id: &str,
        wait_s: Option<u32>,
    ) -> Result<TransactionView, ApiError> {
        let mut record = self.managed(who, Action::ReadTransactions, id).await?;
        if let Some(seconds) = wait_s {
            let within = Duration::from_secs(seconds.min(WAIT_S_MAX).into());
            let transactions = &self.payments()?.transactions;
            record = transactions
                .wait(record.id, Until::Final, within)
                .await
                .map_err(Error::from)?;
        }
        let mut shown = self.with_message(view(&record), &record);
        if record.state == TxState::Mined {
            // what became of it is known without the chain; what it did is left out while nobody can be asked
            let log = match self.engine().chain() {
                Ok(chain) => chain.application_log(record.hash).await.map_err(Error::from),
                Err(e) => Err(e),
            };
            shown.effects = log.ok().map(|log| log.iter().map(execution).collect());
        }
        Ok(shown)
    }

    /// A transaction that the caller may do this with.
    pub(crate) async fn managed(
        &self,
        who: &Principal,
        action: Action,
        id: &str,
    ) -> Result<TxRecord, ApiError> {
        // without credentials no id is looked up at all
        if *who == Principal::Anonymous {
            return Err(Code::Unauthenticated.into());
        }
        // in the words that are said of another tenant's, so that nobody finds out which there are
        let missing = || Error::from(Code::NoSuchTransaction);
        let transactions = &self.payments()?.transactions;
        let id: TxId = id.parse().map_err(|_| missing())?;
        let record = match transactions.get(id).await {
            Err(TxError::Unknown(_)) => return Err(missing().into()),
            found => found.map_err(Error::from)?,
        };
        let target = match action {
            Action::SendTransactions => Target::Node { loopback: false },
            _ => Target::Project {
                project: &record.request.project,
                hidden_as: Code::NoSuchTransaction,
            },
        };
        self.authorise(who, action, target)?;
        Ok(record)
    }

    /// What those sign who are waited for. It names the network, which only the chain knows.
    pub(crate) fn with_message(&self, mut shown: TransactionView, record: &TxRecord) -> TransactionView {
        if !shown.awaited.is_empty()
            && let Ok(chain) = self.engine().chain()
        {
            shown.to_sign = Some(hex::encode(message(chain.network().0, record.hash)));
        }
        shown
    }
}

/// `halt` and `fault` for what is in a block.
fn state(record: &TxRecord) -> &'static str {
    match (&record.outcome, record.state) {
        (Some(outcome), TxState::Mined) if outcome.state == VmState::Halt => "halt",
        (Some(_), TxState::Mined) => "fault",
        (_, state) => state.as_str(),
    }
}

/// How it failed; none while it has not.
fn code(record: &TxRecord) -> Option<Code> {
    match (state(record), record.state) {
        ("fault", _) => Some(Code::ScriptFault),
        (_, TxState::Expired) => Some(Code::TransactionExpired),
        _ => None,
    }
}

fn calls(unsigned: &[u8]) -> Vec<ScriptCallView> {
    let script = Transaction::read(unsigned)
        .map(|tx| tx.script)
        .unwrap_or_default();
    decode(&script).calls.iter().map(script_call).collect()
}

/// A transaction without its effects.
pub(crate) fn view(record: &TxRecord) -> TransactionView {
    let signers = record.request.signers.iter();
    let awaited: Vec<String> = record.awaited().iter().map(ScriptHash::to_address).collect();
    TransactionView {
        id: record.id.to_string(),
        project: record.request.project.to_string(),
        state: state(record).to_owned(),
        hash: record.raw.is_some().then(|| record.hash.to_string()),
        sender: record.sender.to_address(),
        signers: signers
            .map(|s| TransactionSignerView {
                account: s.account.to_address(),
                scope: s.scope.to_string(),
            })
            .collect(),
        calls: calls(&record.unsigned),
        fee: record.fees().0.to_string(),
        system_fee: record.system_fee.0.to_string(),
        network_fee: record.network_fee.0.to_string(),
        valid_until: record.valid_until,
        height: record.outcome.as_ref().map(|o| o.height),
        code: code(record).map(|code| code.as_str().to_owned()),
        exception: record.outcome.as_ref().and_then(|o| o.exception.clone()),
        reason: record.reason.clone(),
        attempt: record.attempt,
        earlier: record.earlier.iter().map(ToString::to_string).collect(),
        replaces: record.replaces.map(|id| id.to_string()),
        replaced_by: record.replaced_by.map(|id| id.to_string()),
        created_at: record.created_at.to_iso8601(),
        updated_at: record.updated_at.to_iso8601(),
        unsigned: (!awaited.is_empty()).then(|| BASE64.encode(&record.unsigned)),
        to_sign: None,
        awaited,
        effects: None,
    }
}
