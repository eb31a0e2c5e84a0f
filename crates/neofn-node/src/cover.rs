//! Between the transaction manager and the bank: nothing is signed before the ledger has set aside what it would take.
//! Knows no rule of either.

use async_trait::async_trait;
use neofn_chain::manager::{Bearer, TxId, TxRecord};
use neofn_chain::port::{Cover, Uncovered};
use neofn_gas::port::PaymentError;
use neofn_gas::{Bank, BankError, Given, Needs};
use neofn_types::{Code, Datoshi, Error, ScriptHash};
use std::sync::OnceLock;

/// The bank of this node. The manager is there before it, and waits for it.
#[derive(Default)]
pub(crate) struct BankCover(OnceLock<Bank>);

impl BankCover {
    /// From now on it answers.
    pub(crate) fn open(&self, bank: Bank) {
        if self.0.set(bank).is_err() {
            tracing::error!("a second bank was opened; the first one goes on");
        }
    }
}

fn needs(record: &TxRecord) -> Needs {
    let gas = record.leaving.iter().filter(|l| l.token == ScriptHash::GAS);
    let others = record.leaving.iter().filter(|l| l.token != ScriptHash::GAS);
    Needs {
        managed: record.id.0,
        project: (record.request.bearer == Bearer::Project).then(|| record.request.project.clone()),
        function: record.request.function.clone(),
        invocation: record.request.invocation,
        sender: record.sender,
        fees: record.fees(),
        gas: gas
            .map(|l| Given {
                from: l.from,
                to: l.to,
                amount: Datoshi(l.amount),
            })
            .collect(),
        tokens: others.map(|l| l.token).collect(),
    }
}

fn uncovered(error: BankError) -> Uncovered {
    match error {
        BankError::Store(_) | BankError::Payment(PaymentError::Later(_)) | BankError::NoTreasury => {
            Uncovered::Later(error.into())
        }
        refused => Uncovered::Refused(refused.into()),
    }
}

#[async_trait]
impl Cover for BankCover {
    async fn cover(&self, record: &TxRecord) -> Result<(), Uncovered> {
        let Some(bank) = self.0.get() else {
            let why = "the ledger is not open yet";
            return Err(Uncovered::Later(Error::new(Code::TreasuryUnavailable, why)));
        };
        bank.cover(&needs(record)).await.map_err(uncovered)
    }
    async fn release(&self, id: TxId) {
        let Some(bank) = self.0.get() else { return };
        if let Err(error) = bank.release(id.0).await {
            // nobody knows the transaction any more: the bank gives it back within the hour
            tracing::warn!(tx = %id, %error, "what was set aside is given back later");
        }
    }
}
