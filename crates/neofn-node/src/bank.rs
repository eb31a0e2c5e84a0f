//! The GAS bank of a node: the ledger on its store, its treasury on chain, and the loop that keeps the two together.
//!
//! The treasury is the signer's first account: what it has on chain is what the ledger owes to everybody together.

use crate::alive::Alive;
use crate::audit::read_anchor;
use crate::signer_lock::SignerLock;
use crate::storage::{AnyStore, Storage};
use crate::treasury::{Treasurer, movements};
use async_trait::async_trait;
use neofn_chain::manager::Transactions;
use neofn_chain::model::Block;
use neofn_chain::port::Chain;
use neofn_engine::Leading;
use neofn_gas::ledger::{Movement, UnitPrice};
use neofn_gas::port::{LedgerError, Projects, Treasury};
use neofn_gas::{Bank, BankError, BankOptions, LeaseOptions, Purses, Reconciled};
use neofn_identity::audit::AuditEntry;
use neofn_identity::auditlog::port::AuditStore;
use neofn_identity::auditlog::{AuditLog, AuditLogError};
use neofn_identity::port::MemberStore;
use neofn_registry::port::RegistryStore;
use neofn_types::{Clock, Datoshi, Entropy, Error, ProjectName, ScriptHash};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Blocks that are read at once.
const BATCH: u64 = 100;
/// Without a new block, look again after this.
const IDLE: Duration = Duration::from_secs(5);
/// How long a start waits for first credit of projects that had none.
const ALLOCATE_WAIT: Duration = Duration::from_secs(2);
/// The most that the fees of a withdrawal may be: 0.5 GAS.
const WITHDRAWAL_FEE_MAX: Datoshi = Datoshi(50_000_000);

/// What an operator decides about money. Without it nothing costs anything, and there is no bank.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BankChoice {
    /// Datoshi per million units.
    pub price: UnitPrice,
    /// Credit of a new project.
    pub initial: Datoshi,
    /// What is set aside at a time for calls that wait for no disk.
    pub lease: Datoshi,
}
impl Default for BankChoice {
    fn default() -> Self {
        Self {
            price: UnitPrice(0),
            initial: Datoshi::ZERO,
            lease: LeaseOptions::SIZE,
        }
    }
}

/// A bank that is open.
pub(crate) struct OpenBank {
    pub(crate) bank: Bank,
    stop: CancellationToken,
    alive: Option<Arc<Alive>>,
    runner: Option<JoinHandle<()>>,
}

/// What a bank stands on.
pub(crate) struct Footing<'a> {
    pub(crate) choice: BankChoice,
    pub(crate) storage: &'a Storage,
    /// This node's name.
    pub(crate) node: &'a str,
    pub(crate) chain: Option<(Arc<dyn Chain>, Transactions)>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) entropy: Arc<dyn Entropy>,
    pub(crate) lock: SignerLock,
    /// For the roots of the log as it is here.
    pub(crate) audit: AuditLog,
}

struct Registered(Arc<dyn AnyStore>);
#[async_trait]
impl Projects for Registered {
    async fn exists(&self, project: &ProjectName) -> Result<bool, LedgerError> {
        let found = self.0.project_exists(project).await;
        found.map_err(|e| LedgerError(Box::new(e)))
    }
    async fn maker(&self, project: &ProjectName) -> Result<Option<ScriptHash>, LedgerError> {
        let found = MemberStore::maker(&*self.0, project.clone()).await;
        found.map_err(|e| LedgerError(Box::new(e)))
    }
}

impl OpenBank {
    /// Gives back what a process that died had set aside, and begins to follow the chain.
    pub(crate) async fn open(on: Footing<'_>) -> Result<Self, Error> {
        let store = on.storage.store.clone();
        let lease = LeaseOptions {
            size: on.choice.lease,
            price: on.choice.price,
        };
        let purses = Purses::new(store.clone(), on.clock.clone(), &*on.entropy, lease);
        let alive = match on.storage.neighbours {
            None => {
                purses.recover().await.map_err(BankError::from)?;
                None
            }
            Some(_) => {
                let (clock, entropy) = (on.clock.clone(), on.entropy.clone());
                Some(Alive::begin(store.clone(), clock, entropy, purses.clone()).await?)
            }
        };
        let treasurer = on
            .chain
            .clone()
            .map(|(chain, transactions)| Arc::new(Treasurer { chain, transactions }));
        let bank = Bank::new(BankOptions {
            store: store.clone(),
            treasury: treasurer.clone().map(|t| t as Arc<dyn Treasury>),
            projects: Arc::new(Registered(store.clone())),
            purses,
            clock: on.clock.clone(),
            allocation: on.choice.initial,
            withdrawal_fee_max: WITHDRAWAL_FEE_MAX,
        });
        if treasurer.is_some()
            && let Err(error) = bank.mark().await
        {
            tracing::warn!(%error, "the ledger does not follow the chain yet");
        }
        let stop = CancellationToken::new();
        let keeper = Keeper {
            bank: bank.clone(),
            store: store.clone(),
            leading: on.storage.leading("bank", &on.clock, on.node),
            chain: on.chain.map(|(chain, _)| chain),
            lock: on.lock,
            audit: on.audit,
            clock: on.clock,
            alive: alive.clone(),
            difference: None,
        };
        let giving = allocate(bank.clone(), store);
        let mut giving = tokio::spawn(stop.clone().run_until_cancelled_owned(giving));
        // those of a small node are there before its first call; of a large one nobody waits for strangers'
        if let Ok(Err(error)) = tokio::time::timeout(ALLOCATE_WAIT, &mut giving).await {
            tracing::error!(%error, "first credit is given with the next start");
        }
        let runner = tokio::spawn(keeper.run(stop.clone()));
        Ok(Self {
            bank,
            stop,
            alive,
            runner: Some(runner),
        })
    }

    /// Ends in order: what no call has reserved goes back to the projects.
    pub(crate) async fn close(mut self) {
        self.stop.cancel();
        if let Some(runner) = self.runner.take()
            && let Err(e) = runner.await
        {
            tracing::error!(error = %e, "the loop of the bank ended");
        }
        if let Err(error) = self.bank.purses().give_back().await {
            tracing::warn!(%error, "leases are given back with the next start");
        }
        if let Some(alive) = &self.alive {
            alive.end().await;
        }
    }
}
impl Drop for OpenBank {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Some(runner) = &self.runner {
            runner.abort();
        }
    }
}

/// Follows the chain for the ledger, moves payments, refills.
struct Keeper {
    bank: Bank,
    store: Arc<dyn AnyStore>,
    /// Of several nodes one keeps the bank at a time.
    leading: Leading,
    alive: Option<Arc<Alive>>,
    chain: Option<Arc<dyn Chain>>,
    lock: SignerLock,
    audit: AuditLog,
    clock: Arc<dyn Clock>,
    /// What the ledger lacks of the chain, when it was seen first.
    difference: Option<Difference>,
}

#[derive(Clone, Copy)]
struct Difference {
    missing: i64,
    stray: i64,
    height: u64,
    told: bool,
}

/// Says once what somebody has to look at.
fn tell(seen: &Reconciled) {
    let (stray, height) = (seen.stray(), seen.height);
    if seen.missing() != Datoshi::ZERO {
        tracing::error!(chain = %seen.chain, ledger = %seen.ledger, height, "ledger and chain differ");
    }
    if stray < Datoshi::ZERO {
        tracing::error!(
            %stray, height,
            "GAS left the treasury that no payment of this node accounts for: its key was used elsewhere"
        );
    } else if stray > Datoshi::ZERO {
        tracing::error!(%stray, height, "the ledger counts payments that no block shows");
    }
}

impl Keeper {
    async fn run(mut self, stop: CancellationToken) {
        let mut head = self.chain.as_ref().map(|chain| chain.watch());
        loop {
            if let Some(head) = &mut head {
                head.mark_unchanged();
            }
            if self.leading.try_lead().await
                && let Err(error) = self.turn().await
            {
                tracing::warn!(%error, source = ?std::error::Error::source(&error), "the bank stands still");
            }
            let news = async {
                let changed = match &mut head {
                    Some(head) => head.changed().await.is_ok(),
                    None => false,
                };
                if !changed {
                    std::future::pending::<()>().await;
                }
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = news => {}
                () = tokio::time::sleep(IDLE) => {}
            }
        }
    }

    async fn turn(&mut self) -> Result<(), BankError> {
        if let Some(alive) = &self.alive {
            alive.bury().await?;
        }
        if let Some(chain) = self.chain.clone() {
            self.follow(&*chain).await?;
        }
        self.bank.activate().await?;
        if self.chain.is_some() {
            self.reconcile().await?;
        }
        Ok(())
    }

    /// Reads what blocks say of the treasury, up to the newest.
    async fn follow(&self, chain: &dyn Chain) -> Result<(), BankError> {
        let mut mark = self.bank.mark().await?;
        loop {
            let head = chain.head().height;
            if mark.next > head {
                return Ok(());
            }
            let to = (head + 1).min(mark.next.saturating_add(BATCH));
            let blocks = chain.blocks(mark.next..to).await;
            let blocks = blocks.map_err(|e| neofn_gas::port::PaymentError::Later(e.to_string()))?;
            let Some(last) = blocks.last() else {
                return Ok(());
            };
            let next = last.height + 1;
            let moved: Vec<_> = blocks.iter().flat_map(movements).collect();
            self.compare(&blocks, &moved).await?;
            mark = self.bank.take(mark, next, &moved).await?;
        }
    }

    /// After a restore: a root on chain that this log does not have is of acts that were done since the backup was made.
    async fn compare(&self, blocks: &[Block], moved: &[Movement]) -> Result<(), BankError> {
        if !self.lock.is_locked() {
            return Ok(());
        }
        let ours = self.bank.routes().await?.treasury;
        for movement in moved {
            // what the treasury gives to itself, it alone can have said; not only of its own accord
            let own = movement
                .from
                .filter(|from| ours.contains(from) && movement.to == Some(*from));
            let script = || {
                let mut all = blocks.iter().flat_map(|b| &b.transactions);
                all.find(|t| Some(t.hash) == movement.tx).map(|t| &t.script)
            };
            let anchor = own.and_then(|own| read_anchor(own, script()?));
            let Some((size, root)) = anchor else { continue };
            let known = match self.audit.root(size).await {
                Ok(here) => here == root,
                Err(AuditLogError::Store(e)) => return Err(BankError::Store(LedgerError(Box::new(e)))),
                Err(_) => false,
            };
            if !known {
                let noted = self.lock.beyond(size, movement.tx);
                noted.map_err(|e| BankError::Store(LedgerError(Box::new(e))))?;
            }
        }
        Ok(())
    }

    async fn reconcile(&mut self) -> Result<(), BankError> {
        let seen = self.bank.reconcile().await?;
        if !seen.comparable() {
            return Ok(());
        }
        // a node may answer a balance from the block that it is about to announce: a difference that is the same at two
        // heights is one
        let (missing, stray) = (seen.missing().0, seen.stray().0);
        match self.difference {
            Some(before) if (before.missing, before.stray) == (missing, stray) => {
                if !before.told && before.height < seen.height {
                    tell(&seen);
                    self.difference = Some(Difference { told: true, ..before });
                }
            }
            _ => {
                self.difference = (missing != 0 || stray != 0).then_some(Difference {
                    missing,
                    stray,
                    height: seen.height,
                    told: false,
                });
            }
        }
        if self.lock.is_locked() && seen.settled() && !self.lock.is_rollback() {
            self.unlock().await;
        }
        Ok(())
    }

    /// The ledger agrees with the chain after a restore: written down first, then the signer signs again.
    async fn unlock(&self) {
        let entry =
            AuditEntry::new(self.clock.now(), "node", "signer.unlock", "signer").detail(self.lock.said());
        if let Err(error) = AuditStore::append(&*self.store, vec![entry]).await {
            tracing::error!(%error, "the end of the signer's lock was not written down; it stays locked");
            return;
        }
        match self.lock.open() {
            Ok(()) => tracing::info!("ledger and chain agree: the signer signs again"),
            Err(error) => tracing::error!(%error, "the signer stays locked"),
        }
    }
}

/// First credit for every project that has had none: also for those whose maker died in between.
async fn allocate(bank: Bank, store: Arc<dyn AnyStore>) {
    match RegistryStore::projects(&*store).await {
        Ok(projects) => bank.open_accounts(&projects).await,
        Err(error) => tracing::warn!(%error, "projects cannot be listed"),
    }
}
