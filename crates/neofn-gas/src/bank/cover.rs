//! What transactions take out of the treasury: set aside before they are signed, settled by what a block shows. Fees and
//! what is given away are apart, because others may bear the fees. Knows no node and no signer.
//!
//! One transaction may come to need more when it is built anew. Then more is set aside under the next name, made of the
//! transaction's and a number: whoever asks twice, or dies in between, finds what is there.

use super::{Bank, BankError, Sponsorship};
use crate::ledger::{Account, Detail, Entry, Hold, HoldRow, Purpose, Refused, Transfer, TransferId};
use crate::port::{PaymentError, PaymentName, Treasury};
use neofn_types::{
    Caller, Datoshi, FunctionKey, FunctionName, Hash256, InvocationId, ProjectName, ScriptHash,
};

/// How often something is set aside for one transaction.
const GENERATIONS_MAX: u32 = 64;
/// In the note of a hold that is not named after its transaction.
const MANAGED: &str = "managed:";

/// GAS that a transaction would give away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Given {
    /// From whom.
    pub from: ScriptHash,
    /// To whom; none: it is burnt.
    pub to: Option<ScriptHash>,
    /// How much.
    pub amount: Datoshi,
}

/// What a transaction would take, as it is built now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Needs {
    /// Its manager's own id.
    pub managed: [u8; 16],
    /// Whose it is; none: the operator's own, who bears all of it.
    pub project: Option<ProjectName>,
    /// The function that asked.
    pub function: Option<FunctionName>,
    /// In which invocation.
    pub invocation: Option<InvocationId>,
    /// Who pays its fees on chain.
    pub sender: ScriptHash,
    /// Both fees.
    pub fees: Datoshi,
    /// GAS beside them.
    pub gas: Vec<Given>,
    /// Other tokens that would leave accounts of the platform.
    pub tokens: Vec<ScriptHash>,
}

impl Needs {
    /// As the statement names it.
    fn caller(&self) -> Option<Caller> {
        let key = FunctionKey::new(self.project.clone()?, self.function.clone()?);
        Some(Caller::function(&key))
    }
}

/// What is set aside apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Fees,
    Gift,
}
impl Part {
    fn id(self, managed: [u8; 16], generation: u32) -> TransferId {
        match (self, generation) {
            (Self::Fees, 0) => TransferId(managed),
            (Self::Fees, n) => TransferId::of("fees", &[&managed, &n.to_be_bytes()]),
            (Self::Gift, n) => TransferId::of("gift", &[&managed, &n.to_be_bytes()]),
        }
    }
}

/// The transaction that a hold of fees or of a gift is for.
pub(super) fn managed_of(hold: &HoldRow) -> Option<[u8; 16]> {
    let note = hold.detail.note.as_deref().and_then(|n| n.strip_prefix(MANAGED));
    let mut id = hold.id.0;
    if let Some(note) = note {
        hex::decode_to_slice(note, &mut id).ok()?;
    }
    Some(id)
}

fn sum(mut amounts: impl Iterator<Item = Datoshi>) -> Result<Datoshi, Refused> {
    amounts
        .try_fold(Datoshi::ZERO, Datoshi::checked_add)
        .ok_or(Refused::Overflow)
}

impl Bank {
    /// Sets aside what a transaction would take. Whoever is refused here must not sign.
    pub async fn cover(&self, needs: &Needs) -> Result<(), BankError> {
        let ours = self.routes().await?.all();
        let detail = Detail {
            function: needs.function.clone(),
            invocation: needs.invocation,
            caller: needs.caller(),
            ..Detail::default()
        };
        let leaves = |g: &&Given| ours.contains(&g.from) && g.to.is_none_or(|to| !ours.contains(&to));
        let gifts: Vec<&Given> = needs.gas.iter().filter(leaves).collect();
        let given = sum(gifts.iter().map(|g| g.amount))?;
        let fees = match ours.contains(&needs.sender) {
            true => needs.fees,
            // of an account whose GAS is in no ledger
            false => Datoshi::ZERO,
        };
        let Some(project) = &needs.project else {
            let whose = (Purpose::Sponsored, Account::Operator);
            self.set_aside(Part::Fees, whose, needs.managed, fees, &detail)
                .await?;
            let whose = (Purpose::Transfer, Account::Operator);
            return self
                .set_aside(Part::Gift, whose, needs.managed, given, &detail)
                .await;
        };
        let policy = self.policy(project).await?;
        if let Some(token) = needs.tokens.iter().find(|t| !policy.tokens.contains(t)) {
            return Err(BankError::Token(*token));
        }
        let own = Account::Project(project.clone());
        let whose = match policy.sponsorship {
            Sponsorship::Off => (Purpose::NetworkFee, own.clone()),
            Sponsorship::Platform => (Purpose::Sponsored, Account::Allocation),
        };
        self.set_aside(Part::Fees, whose, needs.managed, fees, &detail)
            .await?;
        if given <= Datoshi::ZERO {
            return Ok(());
        }
        let detail = Detail {
            party: match gifts.as_slice() {
                [one] => one.to,
                _ => None,
            },
            ..detail
        };
        // as with a withdrawal: what lies in the purse may be the project's own, which alone leaves
        self.purses().forget(project).await?;
        let whose = (Purpose::Transfer, own);
        self.set_aside(Part::Gift, whose, needs.managed, given, &detail)
            .await
    }

    /// Holds of a transaction that have something left, and the number of the next one.
    async fn open(&self, part: Part, managed: [u8; 16]) -> Result<(Vec<HoldRow>, u32), BankError> {
        let mut open = Vec::new();
        for generation in 0..GENERATIONS_MAX {
            match self.store().hold(part.id(managed, generation)).await? {
                Some(row) if row.left > Datoshi::ZERO => open.push(row),
                Some(_) => {}
                None => return Ok((open, generation)),
            }
        }
        Err(PaymentError::Refused("something was set aside for this transaction too often".to_owned()).into())
    }

    async fn set_aside(
        &self,
        part: Part,
        (purpose, debit): (Purpose, Account),
        managed: [u8; 16],
        amount: Datoshi,
        detail: &Detail,
    ) -> Result<(), BankError> {
        loop {
            let (open, generation) = self.open(part, managed).await?;
            let missing = Datoshi(amount.0.saturating_sub(sum(open.iter().map(|h| h.left))?.0));
            if missing <= Datoshi::ZERO {
                return Ok(());
            }
            let id = part.id(managed, generation);
            if debit == Account::Allocation {
                // between two accounts of the operator: that it may happen once more after a crash gives nobody anything
                let name = format!("sponsor/{id}/{}", self.0.options.clock.now().0);
                self.fund_for(missing, &name).await?;
            }
            let detail = match id == TransferId(managed) {
                true => detail.clone(),
                false => detail.clone().note(&format!("{MANAGED}{}", hex::encode(managed))),
            };
            let hold = Hold {
                id,
                purpose,
                debit: debit.clone(),
                credit: Account::Transit,
                amount: missing,
                at_least: missing,
                at: self.0.options.clock.now(),
                detail,
            };
            // whoever was faster may have set less aside: looked at again
            self.write_one(Entry::Hold(hold)).await?;
        }
    }

    /// Gives back what [`Bank::cover`] set aside for a transaction that was forgotten before anything was signed. Of one
    /// that its manager knows, its end decides.
    pub async fn release(&self, managed: [u8; 16]) -> Result<(), BankError> {
        let at = self.0.options.clock.now();
        if let Some(treasury) = &self.0.options.treasury
            && treasury.state(&PaymentName::Managed(managed)).await?.is_some()
        {
            return Ok(());
        }
        for part in [Part::Fees, Part::Gift] {
            let (open, _) = self.open(part, managed).await?;
            let entries = open.iter().map(|h| Entry::Void { hold: h.id, at }).collect();
            for answer in self.store().write(entries).await? {
                answer?;
            }
        }
        Ok(())
    }

    /// Ends everything that was set aside for a transaction in a block: what it burnt, and what it really moved. More than
    /// was set aside is taken from whoever bears it, if it is there; what is not stays in transit, for the operator to see.
    pub(super) async fn settle(
        &self,
        treasury: &dyn Treasury,
        managed: [u8; 16],
        tx: Hash256,
        (fees, halted): (Datoshi, bool),
    ) -> Result<(), BankError> {
        let (for_fees, _) = self.open(Part::Fees, managed).await?;
        let (for_gift, _) = self.open(Part::Gift, managed).await?;
        let Some(first) = for_gift.first().or(for_fees.first()) else {
            return Ok(());
        };
        let moved = match halted {
            true => treasury.moved(tx, &self.routes().await?.all()).await?,
            false => Datoshi::ZERO,
        };
        let at = self.0.options.clock.now();
        let mut entries = Vec::new();
        let mut beyond = Datoshi::ZERO;
        for (what, holds, mut left) in [("paid-fees", &for_fees, fees), ("given", &for_gift, moved)] {
            for hold in holds {
                let amount = left.min(hold.left);
                if amount > Datoshi::ZERO {
                    left = Datoshi(left.0.saturating_sub(amount.0));
                    entries.push(Entry::Post {
                        id: TransferId::of(what, &[&hold.id.0]),
                        hold: hold.id,
                        amount,
                        purpose: hold.purpose,
                        at,
                        detail: said(hold, tx),
                    });
                }
                entries.push(Entry::Void { hold: hold.id, at });
            }
            beyond = Datoshi(beyond.0.saturating_add(left.0));
        }
        if beyond > Datoshi::ZERO {
            entries.push(Entry::Transfer(Transfer {
                id: TransferId::of("beyond", &[&managed]),
                purpose: Purpose::Transfer,
                debit: first.debit.clone(),
                credit: Account::Transit,
                amount: beyond,
                at,
                detail: said(first, tx),
            }));
        }
        for answer in self.store().write(entries).await? {
            if let Err(why) = answer {
                tracing::error!(%tx, %beyond, %why, "a transaction moved more than was set aside; it stays in transit");
            }
        }
        Ok(())
    }
}

fn said(hold: &HoldRow, tx: Hash256) -> Detail {
    Detail {
        tx: Some(tx),
        units: None,
        ..hold.detail.clone()
    }
}
