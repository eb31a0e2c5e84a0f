//! The bank's side of the chain: what it has, what it pays, and what blocks say of GAS that moved.

use async_trait::async_trait;
use neofn_chain::contract;
use neofn_chain::decode::{TransferCall, transfer_calls};
use neofn_chain::manager::{Bearer, Request, Transactions, TxError, TxId, TxRecord, TxState};
use neofn_chain::model::{Block, Execution, ExecutionTrigger, VmState};
use neofn_chain::port::Chain;
use neofn_chain::signer::SignError;
use neofn_chain::stack::StackItem;
use neofn_gas::ledger::Movement;
use neofn_gas::port::{Payment, PaymentError, PaymentName, PaymentState, Treasury};
use neofn_types::{Datoshi, Hash256, ScriptHash};
use std::collections::BTreeSet;
use std::sync::Arc;

/// How often the height may move on while balances are read, before that is given up.
const READS_MAX: u32 = 20;

/// The signer's first account, through the transaction manager.
pub(crate) struct Treasurer {
    pub(crate) chain: Arc<dyn Chain>,
    pub(crate) transactions: Transactions,
}

fn later(error: impl std::fmt::Display) -> PaymentError {
    PaymentError::Later(error.to_string())
}

/// Whether a refusal is for good. What is not known may have been signed.
fn refusal(error: TxError) -> PaymentError {
    match error {
        TxError::FeeTooHigh { .. }
        | TxError::Funds { .. }
        | TxError::Request(_)
        | TxError::Sign(SignError::Refused(_) | SignError::NoAccount(_)) => {
            PaymentError::Refused(error.to_string())
        }
        other => later(other),
    }
}

fn state_of(record: &TxRecord) -> PaymentState {
    let halted = |o: &neofn_chain::manager::Outcome| o.state == VmState::Halt;
    let (tx, fees) = (record.hash, record.fees());
    match (record.state, &record.outcome) {
        (TxState::Mined, Some(outcome)) if halted(outcome) => PaymentState::Paid { tx, fees },
        (TxState::Mined, _) => PaymentState::Faulted { tx, fees },
        (TxState::Expired | TxState::Replaced, _) => PaymentState::Never,
        _ => PaymentState::Waiting {
            tx: record.raw.is_some().then_some(tx),
        },
    }
}

fn id_of(name: &PaymentName) -> TxId {
    match name {
        PaymentName::Payment { project, idempotency } => TxId::of(project, *idempotency),
        PaymentName::Managed(id) => TxId(*id),
    }
}

#[async_trait]
impl Treasury for Treasurer {
    fn network(&self) -> u32 {
        self.chain.network().0
    }
    fn ready(&self) -> Result<(), PaymentError> {
        self.transactions.ready().map_err(later)
    }
    async fn account(&self) -> Result<Option<ScriptHash>, PaymentError> {
        self.transactions.account().await.map_err(later)
    }
    async fn balance(&self, accounts: &[ScriptHash]) -> Result<(u64, Datoshi), PaymentError> {
        for _ in 0..READS_MAX {
            let before = self.chain.head();
            let mut sum = Datoshi::ZERO;
            for account in accounts {
                let balance = self
                    .chain
                    .balance(ScriptHash::GAS, *account)
                    .await
                    .map_err(later)?;
                let balance = Datoshi(i64::try_from(balance).unwrap_or(i64::MAX));
                sum = sum.checked_add(balance).unwrap_or(Datoshi(i64::MAX));
            }
            if self.chain.head().height == before.height {
                return Ok((before.height, sum));
            }
        }
        Err(later("the chain moved on while its balances were read"))
    }
    async fn pay(&self, payment: Payment) -> Result<PaymentState, PaymentError> {
        let from = self
            .account()
            .await?
            .ok_or_else(|| later("the signer has no account"))?;
        let account = |account: ScriptHash| StackItem::ByteString(account.0.to_vec());
        let arguments = [
            account(from),
            account(payment.to),
            StackItem::Integer(payment.amount.0.into()),
            StackItem::Null,
        ];
        // a transfer that moved nothing must not look like a payment
        let script = contract::call_or_fault(ScriptHash::GAS, "transfer", &arguments)
            .map_err(|e| PaymentError::Refused(e.to_string()))?;
        let request = Request {
            fee_max: Some(payment.fee_max),
            // the bank has set its amount and its fees aside
            bearer: Bearer::Asker,
            ..Request::new(payment.project, payment.idempotency, script)
        };
        let record = self.transactions.submit(request).await.map_err(refusal)?;
        Ok(state_of(&record))
    }
    async fn moved(&self, tx: Hash256, ours: &BTreeSet<ScriptHash>) -> Result<Datoshi, PaymentError> {
        let found = self.chain.settled(tx).await.map_err(later)?;
        if found.included.is_none() {
            return Err(later(format!("nodes do not agree yet on what {tx} did")));
        }
        let mut sum = Datoshi::ZERO;
        for transfer in found.transaction.executions.iter().flat_map(transfers) {
            let from_us = transfer.from.is_some_and(|from| ours.contains(&from));
            if from_us && !transfer.to.is_some_and(|to| ours.contains(&to)) {
                sum = sum.checked_add(transfer.amount).unwrap_or(Datoshi(i64::MAX));
            }
        }
        Ok(sum)
    }
    async fn state(&self, name: &PaymentName) -> Result<Option<PaymentState>, PaymentError> {
        match self.transactions.get(id_of(name)).await {
            // a payment that another transaction was to take the place of has that one's end
            Ok(TxRecord {
                state: TxState::Replaced | TxState::Expired,
                replaced_by: Some(by),
                ..
            }) if matches!(name, PaymentName::Payment { .. }) => {
                let by = self.transactions.get(by).await.map_err(later)?;
                Ok(Some(state_of(&by)))
            }
            Ok(record) => Ok(Some(state_of(&record))),
            Err(TxError::Unknown(_)) => Ok(None),
            Err(error) => Err(later(error)),
        }
    }
}

/// GAS that a block moved, whoever's it is.
pub(crate) fn movements(block: &Block) -> Vec<Movement> {
    let mut found = Vec::new();
    let own = Container {
        name: block.hash,
        tx: None,
        calls: Vec::new(),
        block,
    };
    own.read(&block.executions, &mut found);
    for transaction in &block.transactions {
        let of = Container {
            name: transaction.hash,
            tx: Some(transaction.hash),
            calls: transfer_calls(&transaction.script),
            block,
        };
        of.read(&transaction.executions, &mut found);
    }
    found
}

/// What notifications are counted within.
struct Container<'a> {
    name: Hash256,
    tx: Option<Hash256>,
    /// What its script asks for, not yet seen to happen.
    calls: Vec<TransferCall>,
    block: &'a Block,
}

/// Nobody, for what is made or burnt; `None` for what is no account at all.
fn party(item: &StackItem) -> Option<Option<ScriptHash>> {
    match item {
        StackItem::Null => Some(None),
        other => other.to_script_hash().map(Some),
    }
}

/// GAS that changed hands.
struct Moved {
    /// The position of its notification.
    index: u32,
    from: Option<ScriptHash>,
    to: Option<ScriptHash>,
    amount: Datoshi,
}

/// What an execution moved; nothing, when it faulted.
fn transfers(execution: &Execution) -> Vec<Moved> {
    let counts = execution.state == VmState::Halt && execution.trigger != ExecutionTrigger::Verification;
    let said = execution.notifications.iter().zip(0u32..).filter(|_| counts);
    said.filter(|(said, _)| said.contract == ScriptHash::GAS && said.name == "Transfer")
        .filter_map(|(said, index)| {
            let [from, to, amount, ..] = said.state.as_slice() else {
                return None;
            };
            Some(Moved {
                index,
                from: party(from)?,
                to: party(to)?,
                amount: Datoshi(i64::try_from(amount.to_integer()?).unwrap_or(i64::MAX)),
            })
        })
        .collect()
}

impl Container<'_> {
    fn read(mut self, executions: &[Execution], found: &mut Vec<Movement>) {
        let mut before = 0u32;
        for execution in executions {
            for Moved {
                index,
                from,
                to,
                amount,
            } in transfers(execution)
            {
                let memo = self.memo(from, to, amount);
                found.push(Movement {
                    container: self.name,
                    tx: self.tx,
                    index: before.saturating_add(index),
                    from,
                    to,
                    amount,
                    memo,
                    at: self.block.time,
                });
            }
            let said = u32::try_from(execution.notifications.len()).unwrap_or(u32::MAX);
            before = before.saturating_add(said);
        }
    }

    /// What was given along with a transfer that happened: notifications do not tell, the script does. Each call of the
    /// script is believed once.
    fn memo(&mut self, from: Option<ScriptHash>, to: Option<ScriptHash>, amount: Datoshi) -> Option<Vec<u8>> {
        let same = |c: &TransferCall| {
            c.token == ScriptHash::GAS
                && Some(c.from) == from
                && Some(c.to) == to
                && c.amount == amount.0.into()
        };
        let place = self.calls.iter().position(same)?;
        self.calls.remove(place).data
    }
}
