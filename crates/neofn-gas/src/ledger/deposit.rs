//! From a movement of GAS on chain to the account that it belongs to. Knows no node and no script: whoever reads blocks
//! says what moved and what was written beside it.

use super::{Account, Detail, Entry, Purpose, Transfer, TransferId};
use neofn_types::{Datoshi, Digest, Hash256, ProjectName, ScriptHash, UnixMillis};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

/// What a deposit says it is for: `neofn:shop:1a2b3c4d`. The last part is a checksum over network and project, so that a
/// slip of the pen pays nobody else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Memo {
    /// Which network.
    pub network: u32,
    /// For whom.
    pub project: ProjectName,
}
/// Text that is not a memo, or of another network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a deposit memo of this network")]
pub struct MemoError;

impl Memo {
    const PREFIX: &str = "neofn:";
    /// Longest text that is looked at.
    pub const BYTES_MAX: usize = 96;

    fn checksum(&self) -> String {
        let parts: [&[u8]; 3] = [
            b"neofn/memo/v1",
            &self.network.to_be_bytes(),
            self.project.as_ref().as_bytes(),
        ];
        let hex = Digest::of_parts(&parts).to_string();
        hex.get(..8).unwrap_or_default().to_owned()
    }
    /// Reads a memo of `network`.
    pub fn parse(network: u32, bytes: &[u8]) -> Result<Self, MemoError> {
        if bytes.len() > Self::BYTES_MAX {
            return Err(MemoError);
        }
        let text = std::str::from_utf8(bytes).map_err(|_| MemoError)?;
        let rest = text.trim().strip_prefix(Self::PREFIX).ok_or(MemoError)?;
        let (name, sum) = rest.rsplit_once(':').ok_or(MemoError)?;
        let memo = Self {
            network,
            project: ProjectName::from_str(name).map_err(|_| MemoError)?,
        };
        if memo.checksum() == sum {
            Ok(memo)
        } else {
            Err(MemoError)
        }
    }
}
impl fmt::Display for Memo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}:{}", Self::PREFIX, self.project, self.checksum())
    }
}

/// GAS that moved on chain, as a block says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Movement {
    /// Where: the transaction, or the block for what it does itself.
    pub container: Hash256,
    /// Which transaction; none for what the block does itself.
    pub tx: Option<Hash256>,
    /// The position of the notification among all of its container.
    pub index: u32,
    /// Who had it; none: it was made.
    pub from: Option<ScriptHash>,
    /// Who has it; none: it was burnt.
    pub to: Option<ScriptHash>,
    /// How much; below one it is ignored.
    pub amount: Datoshi,
    /// What was given along.
    pub memo: Option<Vec<u8>>,
    /// When its block was made.
    pub at: UnixMillis,
}

/// Which addresses are ours, and whose.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Routes {
    /// The accounts whose balance is the treasury's.
    pub treasury: BTreeSet<ScriptHash>,
    /// Addresses, ours too, that belong to one project each.
    pub deposit: BTreeMap<ScriptHash, ProjectName>,
    /// Accounts of others that were proved to be a project's: what they send is its own.
    pub senders: BTreeMap<ScriptHash, ProjectName>,
}
impl Routes {
    /// Every account whose GAS the treasury counts.
    #[must_use]
    pub fn all(&self) -> BTreeSet<ScriptHash> {
        let deposit = self.deposit.keys();
        self.treasury.iter().chain(deposit).copied().collect()
    }
    fn ours(&self, account: Option<ScriptHash>) -> bool {
        account.is_some_and(|a| self.treasury.contains(&a) || self.deposit.contains_key(&a))
    }
}

/// What a movement means for the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Routed {
    /// Nothing: it is not ours, or from one hand of ours into the other.
    Nothing,
    /// It came in, for this account.
    In(Account),
    /// It went out, or was burnt for fees.
    Out,
}

/// Who a movement is for. `known` tells whether there is such a project.
pub fn route(
    network: u32,
    movement: &Movement,
    routes: &Routes,
    known: impl Fn(&ProjectName) -> bool,
) -> Routed {
    if movement.amount <= Datoshi::ZERO {
        return Routed::Nothing;
    }
    match (routes.ours(movement.from), routes.ours(movement.to)) {
        (true, false) => return Routed::Out,
        (false, true) => {}
        _ => return Routed::Nothing,
    }
    // what the chain itself makes (rewards of NEO) is nobody's deposit
    let Some(from) = movement.from else {
        return Routed::In(Account::Operator);
    };
    let by_address = movement.to.and_then(|to| routes.deposit.get(&to));
    if let Some(project) = by_address.filter(|p| known(p)) {
        return Routed::In(Account::Project(project.clone()));
    }
    // a memo that names nobody must not fall through to the sender: it was meant for somebody
    if let Some(memo) = &movement.memo {
        return match Memo::parse(network, memo) {
            Ok(memo) if known(&memo.project) => Routed::In(Account::Project(memo.project)),
            _ => Routed::In(Account::Suspense),
        };
    }
    match routes.senders.get(&from).filter(|p| known(p)) {
        Some(project) => Routed::In(Account::Project(project.clone())),
        None => Routed::In(Account::Suspense),
    }
}

impl Movement {
    /// What is written for it; none when it means nothing. Its name is made of network, container and index, so that a
    /// block that is read twice is written once.
    #[must_use]
    pub fn entry(&self, network: u32, routed: &Routed) -> Option<Entry> {
        let (purpose, debit, credit, party) = match routed {
            Routed::Nothing => return None,
            Routed::In(account) => (Purpose::Deposit, Account::Treasury, account.clone(), self.from),
            Routed::Out => (Purpose::Movement, Account::Transit, Account::Treasury, self.to),
        };
        let detail = Detail {
            tx: self.tx,
            party,
            ..Detail::default()
        };
        let memo = self.memo.as_deref().filter(|_| purpose == Purpose::Deposit);
        let detail = match memo.map(String::from_utf8_lossy) {
            Some(memo) => detail.note(&memo),
            None => detail,
        };
        Some(Entry::Transfer(Transfer {
            id: TransferId::of_movement(network, &self.container, self.index),
            purpose,
            debit,
            credit,
            amount: self.amount,
            at: self.at,
            detail,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(n: u8) -> ScriptHash {
        ScriptHash([n; 20])
    }
    fn shop() -> ProjectName {
        "shop".parse().unwrap()
    }
    fn movement(from: Option<u8>, to: Option<u8>, memo: Option<&str>) -> Movement {
        Movement {
            container: Hash256([9; 32]),
            tx: Some(Hash256([9; 32])),
            index: 3,
            from: from.map(hash),
            to: to.map(hash),
            amount: Datoshi(5),
            memo: memo.map(|m| m.as_bytes().to_vec()),
            at: UnixMillis(1),
        }
    }
    fn routes() -> Routes {
        Routes {
            treasury: [hash(1)].into(),
            deposit: [(hash(2), shop())].into(),
            senders: [(hash(3), shop())].into(),
        }
    }

    #[test]
    fn a_memo_reads_back_and_forgives_nothing() {
        let memo = Memo {
            network: 42,
            project: shop(),
        };
        let text = memo.to_string();
        assert_eq!(Memo::parse(42, text.as_bytes()), Ok(memo));
        assert!(Memo::parse(43, text.as_bytes()).is_err());
        for n in 0..text.len() {
            let mut bytes = text.clone().into_bytes();
            bytes[n] ^= 1;
            assert!(Memo::parse(42, &bytes).is_err(), "{n}");
        }
        assert!(Memo::parse(42, &[b'n'; 1 << 20]).is_err());
    }

    #[test]
    fn money_goes_to_whom_it_names_or_to_suspense() {
        let memo = Memo {
            network: 42,
            project: shop(),
        }
        .to_string();
        let project = Routed::In(Account::Project(shop()));
        let suspense = Routed::In(Account::Suspense);
        let cases = [
            (movement(Some(8), Some(1), Some(&memo)), project.clone()),
            (movement(Some(8), Some(2), None), project.clone()),
            (movement(Some(3), Some(1), None), project),
            (movement(Some(8), Some(1), None), suspense.clone()),
            (movement(Some(8), Some(1), Some("neofn:shop")), suspense.clone()),
            // somebody who is known, paying for somebody who is not
            (movement(Some(3), Some(1), Some("neofn:other:00000000")), suspense),
            (movement(None, Some(1), None), Routed::In(Account::Operator)),
            (movement(Some(1), Some(8), None), Routed::Out),
            (movement(Some(1), None, None), Routed::Out),
            (movement(Some(1), Some(2), None), Routed::Nothing),
            (movement(Some(8), Some(9), None), Routed::Nothing),
        ];
        for (movement, expected) in cases {
            assert_eq!(
                route(42, &movement, &routes(), |_| true),
                expected,
                "{movement:?}"
            );
        }
        let gone = route(42, &movement(Some(8), Some(1), Some(&memo)), &routes(), |_| false);
        assert_eq!(gone, Routed::In(Account::Suspense));
        let mut zero = movement(Some(8), Some(1), None);
        zero.amount = Datoshi(0);
        assert_eq!(route(42, &zero, &routes(), |_| true), Routed::Nothing);
    }
}
