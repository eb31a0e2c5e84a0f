//! Where to look for triggers: by contract and name, by account, by contract called.

use crate::calls::called_contracts;
use crate::env::Item;
use neofn_chain::model::TransactionInfo;
use neofn_event::spec::On;
use neofn_types::ScriptHash;
use std::collections::HashMap;

/// Positions of triggers.
type Slots = Vec<usize>;

/// A way to a trigger on transactions: the rarest thing that it asks for.
#[derive(Default)]
struct Accounts {
    by_sender: HashMap<ScriptHash, Slots>,
    by_signer: HashMap<ScriptHash, Slots>,
    by_contract: HashMap<ScriptHash, Slots>,
    any: Slots,
}

#[derive(Default)]
pub(super) struct Index {
    blocks: Vec<(u64, usize)>,
    transactions: Accounts,
    /// Executions: those that take failures only, and the others.
    faults: Accounts,
    executions: Accounts,
    by_contract: HashMap<ScriptHash, Notifications>,
    by_name: HashMap<String, Slots>,
}

/// The triggers of one contract.
#[derive(Default)]
struct Notifications {
    by_name: HashMap<String, Slots>,
    any: Slots,
}

impl Accounts {
    fn add(
        &mut self,
        slot: usize,
        sender: Option<ScriptHash>,
        signer: Option<ScriptHash>,
        contract: Option<ScriptHash>,
    ) {
        match (sender, signer, contract) {
            (Some(sender), ..) => self.by_sender.entry(sender).or_default().push(slot),
            (None, Some(signer), _) => self.by_signer.entry(signer).or_default().push(slot),
            (None, None, Some(contract)) => self.by_contract.entry(contract).or_default().push(slot),
            (None, None, None) => self.any.push(slot),
        }
    }
    fn find(&self, tx: &TransactionInfo, out: &mut Slots) {
        out.extend_from_slice(&self.any);
        out.extend(self.by_sender.get(&tx.sender).into_iter().flatten());
        if !self.by_signer.is_empty() {
            for signer in &tx.signers {
                out.extend(self.by_signer.get(&signer.account).into_iter().flatten());
            }
        }
        if !self.by_contract.is_empty() {
            for contract in called_contracts(&tx.script) {
                out.extend(self.by_contract.get(&contract).into_iter().flatten());
            }
        }
    }
}

fn sorted(mut slots: Slots) -> Slots {
    slots.sort_unstable();
    slots.dedup();
    slots
}

impl Index {
    pub(super) fn add(&mut self, slot: usize, on: &On) {
        match on {
            On::Block(on) => self.blocks.push((u64::from(on.every), slot)),
            On::Transaction(on) => self.transactions.add(slot, on.sender, on.signer, on.contract),
            On::Execution(on) => {
                let faults_only = !on.state.admits(true);
                let of = if faults_only {
                    &mut self.faults
                } else {
                    &mut self.executions
                };
                of.add(slot, on.sender, None, on.contract);
            }
            On::Notification(on) => match (on.contract, &on.event) {
                (Some(contract), event) => {
                    let of = self.by_contract.entry(contract).or_default();
                    match event {
                        Some(event) => of.by_name.entry(event.clone()).or_default().push(slot),
                        None => of.any.push(slot),
                    }
                }
                (None, Some(event)) => self.by_name.entry(event.clone()).or_default().push(slot),
                // the reader refuses such triggers
                (None, None) => {}
            },
            On::Cron(_) | On::Event(_) | On::Http(_) => {}
        }
    }

    pub(super) fn blocks(&self, height: u64) -> Slots {
        self.blocks
            .iter()
            .filter(|(every, _)| height.checked_rem(*every) == Some(0))
            .map(|(_, slot)| *slot)
            .collect()
    }
    pub(super) fn transaction(&self, tx: &TransactionInfo) -> Slots {
        let mut out = Vec::new();
        self.transactions.find(tx, &mut out);
        sorted(out)
    }
    pub(super) fn execution(&self, tx: &TransactionInfo, halted: bool) -> Slots {
        let mut out = Vec::new();
        self.executions.find(tx, &mut out);
        if !halted {
            self.faults.find(tx, &mut out);
        }
        sorted(out)
    }
    pub(super) fn notification(&self, contract: ScriptHash, name: &str) -> Slots {
        let mut out = Vec::new();
        if let Some(of) = self.by_contract.get(&contract) {
            out.extend_from_slice(&of.any);
            out.extend(of.by_name.get(name).into_iter().flatten());
        }
        out.extend(self.by_name.get(name).into_iter().flatten());
        sorted(out)
    }
}

/// Whether a transaction is of the accounts and contracts that a trigger asks for.
pub(super) fn transaction_fits(
    sender: Option<ScriptHash>,
    signer: Option<ScriptHash>,
    contract: Option<ScriptHash>,
    item: &Item<'_>,
) -> bool {
    let Some((_, tx)) = item.transaction else {
        return false;
    };
    sender.is_none_or(|sender| tx.sender == sender)
        && signer.is_none_or(|signer| tx.signers.iter().any(|s| s.account == signer))
        && contract.is_none_or(|contract| called_contracts(&tx.script).contains(&contract))
}
