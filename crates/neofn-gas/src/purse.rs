//! What calls spend in memory: a part of a project's account that was set aside in one durable transaction, so that a
//! synchronous call waits for no disk.
//!
//! A lease is a hold. Each charge travels with the history row of its call and is posted in that row's transaction, under
//! a name made of the invocation: it is written once, or lost together with the row. Whatever a process that died had not
//! written is less than its leases were, and goes back to the projects when the next one begins ([`Purses::recover`]).

use crate::ledger::{
    Account, Charge, Detail, Entry, Hold, HoldRow, OpenHold, Purpose, Refused, TransferId, UnitPrice, Written,
};
use crate::port::{HoldFilter, LedgerError, LedgerStore};
use neofn_types::{
    Caller, Clock, Datoshi, Entropy, FunctionKey, FunctionName, InvocationId, ProjectName, Units,
};
use parking_lot::Mutex;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Holds that one look takes.
const PAGE: u32 = 1_000;
/// Open leases that are looked at when some of them are dead processes'.
const LEASES_MAX: u32 = 100_000;
/// Begins the note of a lease, in front of the name of its process.
const NOTE: &str = "process ";
/// Projects whose purse stays in memory.
const PURSES_MAX: usize = 10_000;

/// How much is set aside at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeaseOptions {
    /// At a time and project, where the account has so much. More when one call may cost more.
    pub size: Datoshi,
    /// What units cost.
    pub price: UnitPrice,
}
impl LeaseOptions {
    /// 0.1 GAS.
    pub const SIZE: Datoshi = Datoshi(10_000_000);
}

/// Why nothing could be reserved.
#[derive(Debug, thiserror::Error)]
pub enum ReserveError {
    /// Account or budget.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The store.
    #[error(transparent)]
    Store(#[from] LedgerError),
}

/// The purses of all projects; cheap to clone.
#[derive(Clone)]
pub struct Purses(Arc<Inner>);

struct Inner {
    store: Arc<dyn LedgerStore>,
    clock: Arc<dyn Clock>,
    options: LeaseOptions,
    /// Makes the names of this process's leases its own.
    process: [u8; 16],
    count: AtomicU64,
    purses: Mutex<HashMap<ProjectName, Arc<Purse>>>,
}

struct Purse {
    project: ProjectName,
    money: Mutex<Money>,
    /// Held while a lease is taken: whoever finds the purse empty waits for the one who fills it.
    filling: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Money {
    leases: Vec<Lease>,
    /// Holds of single calls that ended without a charge, to be given back.
    orphans: Vec<TransferId>,
    /// Functions with a budget of their own; none: not looked up yet.
    budgeted: Option<BTreeSet<FunctionName>>,
    /// Grows when budgets change, so that a look-up that was overtaken is not believed.
    generation: u64,
}

struct Lease {
    id: TransferId,
    /// Neither spent nor reserved.
    free: i64,
}

impl Money {
    fn take(&mut self, amount: Datoshi) -> Option<TransferId> {
        let lease = self.leases.iter_mut().find(|l| l.free >= amount.0)?;
        lease.free -= amount.0;
        Some(lease.id)
    }
    fn give(&mut self, id: TransferId, amount: i64) {
        match self.leases.iter_mut().find(|l| l.id == id) {
            Some(lease) => lease.free += amount,
            None => self.leases.push(Lease { id, free: amount }),
        }
    }
}

impl Purses {
    /// Takes nothing yet. Call [`Purses::recover`] before the first reservation.
    #[must_use]
    pub fn new(
        store: Arc<dyn LedgerStore>,
        clock: Arc<dyn Clock>,
        entropy: &dyn Entropy,
        options: LeaseOptions,
    ) -> Self {
        let mut process = [0u8; 16];
        entropy.fill(&mut process);
        Self(Arc::new(Inner {
            store,
            clock,
            options,
            process,
            count: AtomicU64::new(0),
            purses: Mutex::default(),
        }))
    }

    /// What units cost.
    #[must_use]
    pub fn price(&self) -> UnitPrice {
        self.0.options.price
    }

    /// Gives back what leases of dead processes had left; answers how much. There is one process to a ledger, so every
    /// lease that is open before the first one is taken belongs to a dead one.
    pub async fn recover(&self) -> Result<Datoshi, LedgerError> {
        let mut total = 0_i64;
        loop {
            let filter = HoldFilter {
                purpose: Purpose::Lease,
                project: None,
                open: true,
                limit: PAGE,
            };
            let holds = self.0.store.holds(filter).await?;
            if holds.is_empty() {
                return Ok(Datoshi(total));
            }
            let at = self.0.clock.now();
            let voids = holds.iter().map(|h| Entry::Void { hold: h.id, at }).collect();
            self.0.store.write(voids).await?;
            let sum: i64 = holds.iter().map(|h| h.left.0).fold(0, i64::saturating_add);
            total = total.saturating_add(sum);
            tracing::info!(leases = holds.len(), gas = %Datoshi(sum), "gave back leases of an earlier process");
        }
    }

    /// This process's name, as its leases have it.
    #[must_use]
    pub fn process(&self) -> String {
        hex::encode(self.0.process)
    }
    /// The names of the processes that have leases open, without this one. Where several nodes share a ledger, whoever
    /// knows which of them are dead calls [`Self::recover_of`] instead of [`Self::recover`]. Of a lease that says nothing
    /// of its process the name is empty.
    pub async fn others(&self) -> Result<BTreeSet<String>, LedgerError> {
        let me = self.process();
        let names = self.leases().await?.into_iter().map(|(name, _)| name);
        Ok(names.filter(|name| *name != me).collect())
    }
    /// Gives back what the leases of a dead process had left; answers how much. Should it be alive after all, the charges
    /// that it has not written are lost to the platform; nobody pays twice.
    pub async fn recover_of(&self, process: &str) -> Result<Datoshi, LedgerError> {
        let holds: Vec<HoldRow> = self
            .leases()
            .await?
            .into_iter()
            .filter_map(|(name, hold)| (name == process).then_some(hold))
            .collect();
        let at = self.0.clock.now();
        let voids = holds.iter().map(|h| Entry::Void { hold: h.id, at }).collect();
        self.0.store.write(voids).await?;
        let sum = Datoshi(holds.iter().map(|h| h.left.0).fold(0, i64::saturating_add));
        tracing::info!(process, leases = holds.len(), gas = %sum, "gave back leases of a process that is gone");
        Ok(sum)
    }
    async fn leases(&self) -> Result<Vec<(String, HoldRow)>, LedgerError> {
        let filter = HoldFilter {
            purpose: Purpose::Lease,
            project: None,
            open: true,
            limit: LEASES_MAX,
        };
        let named = |hold: HoldRow| {
            let note = hold.detail.note.as_deref().unwrap_or_default();
            (note.strip_prefix(NOTE).unwrap_or_default().to_owned(), hold)
        };
        Ok(self.0.store.holds(filter).await?.into_iter().map(named).collect())
    }

    /// Sets aside what a call of so many units may cost. Waits for the disk only when the purse is empty, or the function
    /// has a budget of its own.
    pub async fn reserve(&self, key: &FunctionKey, most: Units) -> Result<Reservation, ReserveError> {
        let price = self.price();
        let amount = price.of(most);
        if amount <= Datoshi::ZERO {
            return Ok(Reservation::free(price));
        }
        let purse = self.0.purse(&key.project);
        let reserved = |hold, own| Reservation {
            taken: Some(Taken {
                purse: Some(Arc::clone(&purse)),
                hold,
                amount,
                own,
            }),
            price,
        };
        if self.0.is_budgeted(&purse, &key.function).await? {
            let hold = self.0.hold_one(&purse, &key.function, amount).await?;
            return Ok(reserved(hold, true));
        }
        if let Some(hold) = purse.money.lock().take(amount) {
            return Ok(reserved(hold, false));
        }
        let _filling = purse.filling.lock().await;
        if let Some(hold) = purse.money.lock().take(amount) {
            return Ok(reserved(hold, false));
        }
        let hold = self.0.fill(&purse, amount).await?;
        Ok(reserved(hold, false))
    }

    /// What an invocation that waits sets aside in the transaction that accepts it; none when it costs nothing. The
    /// purse is asked to give back what lies in it first, so that an account is not refused its own money.
    pub async fn admission(
        &self,
        key: &FunctionKey,
        invocation: InvocationId,
        most: Units,
    ) -> Result<Option<Hold>, LedgerError> {
        let price = self.price();
        let amount = price.of(most);
        if amount <= Datoshi::ZERO {
            return Ok(None);
        }
        let debit = Account::Project(key.project.clone());
        let row = self.0.store.account(&debit).await?;
        if row.is_none_or(|row| row.state.available() < amount) {
            self.0.give_back(&self.0.purse(&key.project)).await?;
        }
        Ok(Some(Hold {
            id: TransferId::hold_of(invocation),
            purpose: Purpose::Charge,
            debit,
            credit: Account::Fees,
            amount,
            at_least: amount,
            at: self.0.clock.now(),
            detail: Detail {
                function: Some(key.function.clone()),
                invocation: Some(invocation),
                price: Some(price.0),
                ..Detail::default()
            },
        }))
    }

    /// Budgets of a project have changed: what it has in its purse goes back, so that the next call is held against
    /// them.
    pub async fn forget(&self, project: &ProjectName) -> Result<(), LedgerError> {
        let purse = self.0.purses.lock().get(project).cloned();
        if let Some(purse) = purse {
            {
                let mut money = purse.money.lock();
                money.budgeted = None;
                money.generation += 1;
            }
            self.0.give_back(&purse).await?;
        }
        Ok(())
    }

    /// Gives back everything that no call has reserved: when a node stops, and now and then of projects that are idle.
    pub async fn give_back(&self) -> Result<(), LedgerError> {
        let purses: Vec<_> = self.0.purses.lock().values().cloned().collect();
        for purse in purses {
            self.0.give_back(&purse).await?;
        }
        Ok(())
    }
}

impl Inner {
    fn purse(&self, project: &ProjectName) -> Arc<Purse> {
        let mut purses = self.purses.lock();
        if let Some(purse) = purses.get(project) {
            return Arc::clone(purse);
        }
        if purses.len() >= PURSES_MAX {
            // one that nobody uses and that holds nothing is as good as none
            purses.retain(|_, purse| {
                let money = purse.money.lock();
                Arc::strong_count(purse) > 1
                    || !money.orphans.is_empty()
                    || money.leases.iter().any(|l| l.free > 0)
            });
        }
        let purse = Arc::new(Purse {
            project: project.clone(),
            money: Mutex::default(),
            filling: tokio::sync::Mutex::default(),
        });
        purses.insert(project.clone(), Arc::clone(&purse));
        purse
    }

    async fn is_budgeted(&self, purse: &Purse, function: &FunctionName) -> Result<bool, LedgerError> {
        let generation = {
            let money = purse.money.lock();
            if let Some(budgeted) = &money.budgeted {
                return Ok(budgeted.contains(function));
            }
            money.generation
        };
        let rows = self.store.budgets(&purse.project, self.clock.now()).await?;
        let names: BTreeSet<_> = rows.into_iter().filter_map(|r| r.budget.function).collect();
        let found = names.contains(function);
        let mut money = purse.money.lock();
        if money.generation == generation {
            money.budgeted = Some(names);
        }
        Ok(found)
    }

    fn name(&self, what: &str) -> TransferId {
        let n = self.count.fetch_add(1, Ordering::Relaxed);
        TransferId::of(what, &[&self.process, &n.to_be_bytes()])
    }

    fn lease(&self, purse: &Purse, wants: Datoshi, needs: Datoshi, function: Option<&FunctionName>) -> Hold {
        Hold {
            id: self.name("lease"),
            purpose: Purpose::Lease,
            debit: Account::Project(purse.project.clone()),
            credit: Account::Fees,
            amount: wants,
            at_least: needs,
            at: self.clock.now(),
            detail: Detail {
                function: function.cloned(),
                note: Some(format!("{NOTE}{}", hex::encode(self.process))),
                ..Detail::default()
            },
        }
    }

    /// What there is to give back, taken out of the purse.
    fn returns(&self, purse: &Purse) -> (Vec<Entry>, Vec<(TransferId, i64)>, Vec<TransferId>) {
        let at = self.clock.now();
        let (freed, orphans) = {
            let mut money = purse.money.lock();
            let leases = std::mem::take(&mut money.leases);
            let freed: Vec<_> = leases
                .into_iter()
                .filter(|l| l.free > 0)
                .map(|l| (l.id, l.free))
                .collect();
            (freed, std::mem::take(&mut money.orphans))
        };
        let releases = freed.iter().map(|(hold, free)| Entry::Release {
            id: self.name("release"),
            hold: *hold,
            amount: Datoshi(*free),
            at,
        });
        let voids = orphans.iter().map(|hold| Entry::Void { hold: *hold, at });
        (releases.chain(voids).collect(), freed, orphans)
    }

    async fn give_back(&self, purse: &Purse) -> Result<(), LedgerError> {
        let (entries, _, _) = self.returns(purse);
        if entries.is_empty() {
            return Ok(());
        }
        // should this fail, the money stays on hold until the next process begins: never spent twice
        self.write(entries).await.map(drop)
    }

    /// Returns what is too little, takes a new lease, and takes `amount` of it.
    async fn fill(&self, purse: &Purse, amount: Datoshi) -> Result<TransferId, ReserveError> {
        let (mut entries, _, _) = self.returns(purse);
        let lease = self.lease(purse, self.options.size.max(amount), amount, None);
        let id = lease.id;
        entries.push(Entry::Hold(lease));
        let got = match self.write(entries).await?.pop() {
            Some(answer) => answer?.amount(),
            None => return Err(Refused::NoHold(id).into()),
        };
        let mut money = purse.money.lock();
        money.give(id, got.0.saturating_sub(amount.0));
        Ok(id)
    }

    async fn hold_one(
        &self,
        purse: &Purse,
        function: &FunctionName,
        amount: Datoshi,
    ) -> Result<TransferId, ReserveError> {
        let (mut entries, _, _) = self.returns(purse);
        let hold = self.lease(purse, amount, amount, Some(function));
        let id = hold.id;
        entries.push(Entry::Hold(hold));
        match self.write(entries).await?.pop() {
            Some(answer) => answer.map(|_| id).map_err(ReserveError::from),
            None => Err(Refused::NoHold(id).into()),
        }
    }

    async fn write(&self, entries: Vec<Entry>) -> Result<Vec<Result<Written, Refused>>, LedgerError> {
        self.store.write(entries).await
    }
}

/// Money for one attempt. Dropped without a charge: it goes back.
#[must_use]
pub struct Reservation {
    taken: Option<Taken>,
    price: UnitPrice,
}

struct Taken {
    /// Where it came from; none: a hold of the invocation itself, which stays for its next attempt.
    purse: Option<Arc<Purse>>,
    hold: TransferId,
    amount: Datoshi,
    own: bool,
}

impl Reservation {
    /// For what costs nothing.
    pub const fn free(price: UnitPrice) -> Self {
        Self { taken: None, price }
    }
    /// What an invocation was admitted with: its first attempt to end is charged from there. Dropped without a charge,
    /// the hold stays as it is.
    pub const fn held(hold: OpenHold) -> Self {
        Self {
            taken: Some(Taken {
                purse: None,
                hold: hold.id,
                amount: hold.left,
                own: true,
            }),
            price: hold.price,
        }
    }
    /// How much was set aside.
    #[must_use]
    pub fn amount(&self) -> Datoshi {
        self.taken.as_ref().map_or(Datoshi::ZERO, |t| t.amount)
    }
    /// What so many units cost, to be written with the attempt's end; none when nothing does. What is not needed goes
    /// back into the purse at once.
    #[must_use]
    pub fn settle(mut self, units: Units, caller: Option<&Caller>) -> Option<Charge> {
        let taken = self.taken.take()?;
        // the meter never lets a run use more than the limit that was reserved for
        let amount = self.price.of(units).min(taken.amount);
        let rest = taken.amount.0 - amount.0;
        if let Some(purse) = taken.purse.as_ref().filter(|_| !taken.own && rest > 0) {
            purse.money.lock().give(taken.hold, rest);
        }
        Some(Charge {
            hold: taken.hold,
            amount,
            units: units.0,
            price: self.price,
            closes: taken.own,
            caller: caller.cloned(),
        })
    }
}
impl Drop for Reservation {
    fn drop(&mut self) {
        if let Some(taken) = self.taken.take()
            && let Some(purse) = &taken.purse
        {
            let mut money = purse.money.lock();
            if taken.own {
                money.orphans.push(taken.hold);
            } else {
                money.give(taken.hold, taken.amount.0);
            }
        }
    }
}
