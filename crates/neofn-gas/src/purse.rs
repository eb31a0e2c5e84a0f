//! What calls spend in memory: a part of a project's account that was set aside in one durable transaction, so that a
//! synchronous call waits for no disk.
//!
//! A lease is a hold. Each charge travels with the history row of its call and is posted in that row's transaction, under
//! a name made of the invocation: it is written once, or lost together with the row. Whatever a process that died had not
//! written is less than its leases were, and goes back to the projects when the next one begins ([`Purses::recover`]).

use crate::ledger::{
    Account, Charge, Detail, Entry, Hold, HoldRow, OpenHold, Purpose, Refused, TransferId, UnitPrice,
};
use crate::port::{HoldFilter, LedgerError, LedgerStore};
use neofn_types::{
    Caller, Clock, Datoshi, Entropy, FunctionKey, FunctionName, InvocationId, ProjectName, Units, UnixMillis,
};
use parking_lot::Mutex;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Holds that one look takes.
const PAGE: u32 = 1_000;
/// Open leases that are looked at when some of them are dead processes'.
const LEASES_MAX: u32 = 100_000;
/// Projects whose purse stays in memory.
const PURSES_MAX: usize = 10_000;
/// Holds that a purse gives back without knowing whether there are any. The store has been away for long when there are more, and
/// what it was asked for last was hardly set aside.
const VOIDS_MAX: usize = 1_000;

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
    count: AtomicU64,
    life: Mutex<Life>,
}

/// Ends with the process, or when the process is taken for dead. Purses of an earlier life are those of calls under way alone.
struct Life {
    /// Makes the names of its leases its own.
    process: [u8; 16],
    purses: HashMap<ProjectName, Arc<Purse>>,
}

struct Purse {
    project: ProjectName,
    /// Whose life it belongs to.
    process: [u8; 16],
    money: Mutex<Money>,
    /// Held while a lease is taken: whoever finds the purse empty waits for the one who fills it.
    filling: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Money {
    leases: Vec<Lease>,
    /// What was to be given back by a write that failed or that nobody waited for. It may be written: it keeps its name.
    releases: Vec<Release>,
    /// Holds of single calls that ended without a charge, and those that nobody knows to be made, to be given back.
    voids: Vec<TransferId>,
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

/// A part of a lease that goes back.
struct Release {
    name: TransferId,
    lease: TransferId,
    amount: i64,
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
    /// Begins the note of a lease of money, in front of the name of its process.
    pub const NOTE: &str = "process ";
    /// Begins the name of the lease that a process of a shared ledger holds while it is alive, in front of its own name.
    pub const ALIVE: &str = "purses/";

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
            count: AtomicU64::new(0),
            life: Mutex::new(Life {
                process,
                purses: HashMap::new(),
            }),
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
        hex::encode(self.0.life.lock().process)
    }
    /// This process was taken for dead: what it had set aside is given back by others. It spends none of that any more, and sets
    /// aside anew under another name. What calls under way had reserved is lost with the rest, and so are their charges.
    pub fn begin_again(&self, process: [u8; 16]) {
        *self.0.life.lock() = Life {
            process,
            purses: HashMap::new(),
        };
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
            (note.strip_prefix(Self::NOTE).unwrap_or_default().to_owned(), hold)
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
                function: key.function.clone(),
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
        let purse = self.0.life.lock().purses.get(project).cloned();
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
        let purses: Vec<_> = self.0.life.lock().purses.values().cloned().collect();
        for purse in purses {
            self.0.give_back(&purse).await?;
        }
        Ok(())
    }
}

impl Inner {
    fn purse(&self, project: &ProjectName) -> Arc<Purse> {
        let mut life = self.life.lock();
        let Life { process, purses } = &mut *life;
        if let Some(purse) = purses.get(project) {
            return Arc::clone(purse);
        }
        if purses.len() >= PURSES_MAX {
            // one that nobody uses and that holds nothing is as good as none
            purses.retain(|_, purse| {
                let money = purse.money.lock();
                Arc::strong_count(purse) > 1
                    || !money.releases.is_empty()
                    || !money.voids.is_empty()
                    || money.leases.iter().any(|l| l.free > 0)
            });
        }
        let purse = Arc::new(Purse {
            project: project.clone(),
            process: *process,
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

    fn name(&self, what: &str, purse: &Purse) -> TransferId {
        let n = self.count.fetch_add(1, Ordering::Relaxed);
        TransferId::of(what, &[&purse.process, &n.to_be_bytes()])
    }

    fn lease(&self, purse: &Purse, wants: Datoshi, needs: Datoshi, function: Option<&FunctionName>) -> Hold {
        Hold {
            id: self.name("lease", purse),
            purpose: Purpose::Lease,
            debit: Account::Project(purse.project.clone()),
            credit: Account::Fees,
            amount: wants,
            at_least: needs,
            at: self.clock.now(),
            detail: Detail {
                function: function.cloned(),
                note: Some(format!("{}{}", Purses::NOTE, hex::encode(purse.process))),
                ..Detail::default()
            },
        }
    }

    /// What there is to give back, taken out of the purse.
    fn returns<'a>(&self, purse: &'a Purse) -> Returns<'a> {
        let mut money = purse.money.lock();
        let leases = std::mem::take(&mut money.leases);
        let freed = leases.into_iter().filter(|l| l.free > 0).map(|l| Release {
            name: self.name("release", purse),
            lease: l.id,
            amount: l.free,
        });
        Returns {
            purse,
            releases: std::mem::take(&mut money.releases)
                .into_iter()
                .chain(freed)
                .collect(),
            voids: std::mem::take(&mut money.voids),
            hold: None,
        }
    }

    async fn give_back(&self, purse: &Purse) -> Result<(), LedgerError> {
        let returns = self.returns(purse);
        let entries = returns.entries(self.clock.now());
        if !entries.is_empty() {
            self.store.write(entries).await?;
        }
        returns.done();
        Ok(())
    }

    /// Gives back what is in the purse and takes `hold`, together; answers how much that is.
    async fn exchange(&self, purse: &Purse, hold: Hold) -> Result<Datoshi, ReserveError> {
        let mut returns = self.returns(purse);
        let mut entries = returns.entries(hold.at);
        let id = hold.id;
        entries.push(Entry::Hold(hold));
        returns.hold = Some(id);
        let answer = self.store.write(entries).await?.pop();
        returns.done();
        Ok(answer.ok_or(Refused::NoHold(id))??.amount())
    }

    /// Returns what is too little, takes a new lease, and takes `amount` of it.
    async fn fill(&self, purse: &Purse, amount: Datoshi) -> Result<TransferId, ReserveError> {
        let lease = self.lease(purse, self.options.size.max(amount), amount, None);
        let id = lease.id;
        let got = self.exchange(purse, lease).await?;
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
        let hold = self.lease(purse, amount, amount, Some(function));
        let id = hold.id;
        self.exchange(purse, hold).await?;
        Ok(id)
    }
}

/// On its way back to the account. Dropped before the write was answered, because it failed or because nobody waits for it any
/// more, it lies in the purse again: the next write comes after this one, whatever has become of it.
struct Returns<'a> {
    purse: &'a Purse,
    releases: Vec<Release>,
    voids: Vec<TransferId>,
    /// What is taken by the same write.
    hold: Option<TransferId>,
}
impl Returns<'_> {
    fn entries(&self, at: UnixMillis) -> Vec<Entry> {
        let releases = self.releases.iter().map(|r| Entry::Release {
            id: r.name,
            hold: r.lease,
            amount: Datoshi(r.amount),
            at,
        });
        let voids = self.voids.iter().map(|hold| Entry::Void { hold: *hold, at });
        releases.chain(voids).collect()
    }
    /// It is written.
    fn done(mut self) {
        self.releases.clear();
        self.voids.clear();
        self.hold = None;
    }
}
impl Drop for Returns<'_> {
    fn drop(&mut self) {
        let mut money = self.purse.money.lock();
        money.releases.append(&mut self.releases);
        money.voids.append(&mut self.voids);
        if let Some(hold) = self.hold {
            if money.voids.len() < VOIDS_MAX {
                money.voids.push(hold);
            } else {
                tracing::warn!(project = %self.purse.project, %hold, "should this be set aside, it stays so until the next start");
            }
        }
    }
}

/// Money for one attempt. Dropped without a charge: it goes back.
#[must_use]
pub struct Reservation {
    taken: Option<Taken>,
    price: UnitPrice,
}

struct Taken {
    /// For whose attempt.
    function: FunctionName,
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
    pub const fn held(hold: OpenHold, function: FunctionName) -> Self {
        Self {
            taken: Some(Taken {
                function,
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
            function: taken.function,
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
                money.voids.push(taken.hold);
            } else {
                money.give(taken.hold, taken.amount.0);
            }
        }
    }
}
