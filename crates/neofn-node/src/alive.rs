//! Which processes of a shared ledger are alive: each holds a lease under its own name. What one that is gone had set
//! aside goes back to the projects.

use crate::storage::AnyStore;
use neofn_engine::port::{Lease, StoreError};
use neofn_gas::{BankError, Purses};
use neofn_types::{Clock, Entropy, Error, Fence};
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;

/// How long a process counts as alive without a word of it. Longer than a restart of the database takes.
const SILENCE: Duration = Duration::from_secs(60);
/// Between two words.
const WORD: Duration = Duration::from_secs(10);
/// With more than this between two words the database was away. Well below [`SILENCE`]: others may have said their last word
/// before this node did, and say their next one after it.
const GAP: Duration = Duration::from_secs(30);
/// How long the lease of a process that is gone is remembered. Without it a process counts as one that is silent.
const REMEMBERED: Duration = Duration::from_secs(600);
/// Holds the lease of whoever is gone.
const GRAVE: &str = "gone";

/// This process's lease, renewed until it is dropped.
pub(crate) struct Alive {
    process: Arc<Process>,
    task: JoinHandle<()>,
}

struct Process {
    store: Arc<dyn AnyStore>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    purses: Purses,
    words: Mutex<Words>,
    /// Of its lease, with its last word.
    fence: Mutex<Fence>,
}

/// When this process's words were heard, by its monotonic clock.
#[derive(Clone, Copy)]
struct Words {
    /// Each one soon after the one before it.
    since: Duration,
    last: Duration,
}

impl Words {
    const fn first(now: Duration) -> Self {
        Self {
            since: now,
            last: now,
        }
    }
    fn next(self, now: Duration) -> Self {
        if self.is_cut_off(now) {
            return Self::first(now);
        }
        Self { last: now, ..self }
    }
    fn is_cut_off(self, now: Duration) -> bool {
        now.saturating_sub(self.last) > GAP
    }
    /// Whether everybody who lives has had the time for a word.
    fn judge_others(self, now: Duration) -> bool {
        !self.is_cut_off(now) && now.saturating_sub(self.since) >= SILENCE
    }
}

impl Alive {
    /// Nothing may be set aside before this process is known to be alive.
    pub(crate) async fn begin(
        store: Arc<dyn AnyStore>,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
        purses: Purses,
    ) -> Result<Arc<Self>, Error> {
        let process = Arc::new(Process {
            words: Mutex::new(Words::first(clock.monotonic())),
            fence: Mutex::new(Fence(0)),
            store,
            clock,
            entropy,
            purses,
        });
        let me = process.purses.process();
        let lease = process.take(&me, &me).await.map_err(Error::internal)?;
        *process.fence.lock() = lease.fence;
        let task = tokio::spawn({
            let process = process.clone();
            async move {
                loop {
                    tokio::time::sleep(WORD).await;
                    if let Err(error) = process.word().await {
                        tracing::warn!(%error, "nobody knows that this node is alive");
                    }
                }
            }
        });
        Ok(Arc::new(Self { process, task }))
    }
    /// Gives back what processes that are gone had set aside.
    pub(crate) async fn bury(&self) -> Result<(), BankError> {
        self.process.bury().await
    }
    /// This process has given everything back.
    pub(crate) async fn end(&self) {
        self.task.abort();
        let me = self.process.purses.process();
        if let Err(error) = self.process.store.give_lease(&name(&me), &me).await {
            tracing::warn!(%error, "lease not given back");
        }
    }
}
impl Drop for Alive {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Process {
    /// Says that this process is alive, under a new name if it was taken for dead.
    async fn word(&self) -> Result<(), StoreError> {
        let me = self.purses.process();
        let mut lease = self.take(&me, &me).await?;
        let now = self.clock.monotonic();
        let words = *self.words.lock();
        // one change of hands is its own, who let it end; and after so long nobody remembers whether there were more
        let buried = lease.fence.0 > self.fence.lock().0.saturating_add(1);
        if lease.holder != me || buried || now.saturating_sub(words.last) >= REMEMBERED {
            tracing::error!(
                "this node was silent for so long that it was taken for dead; what it had set aside is given back"
            );
            let mut process = [0; 16];
            self.entropy.fill(&mut process);
            let anew = hex::encode(process);
            lease = self.take(&anew, &anew).await?;
            self.purses.begin_again(process);
        }
        *self.words.lock() = words.next(now);
        *self.fence.lock() = lease.fence;
        Ok(())
    }

    async fn bury(&self) -> Result<(), BankError> {
        // who is silent because the database was away lives, and says so as soon as it is back
        if !self.words.lock().judge_others(self.clock.monotonic()) {
            return Ok(());
        }
        for process in self.purses.others().await? {
            match self.take(&process, GRAVE).await {
                Ok(lease) if lease.holder == GRAVE => {
                    self.purses.recover_of(&process).await?;
                }
                Ok(_) => {}
                Err(error) => tracing::warn!(%error, process, "nobody knows whether it is alive"),
            }
        }
        // each life has a name of its own
        let now = self.clock.now();
        if let Err(error) = self.store.forget_leases(Purses::ALIVE, now, REMEMBERED).await {
            tracing::warn!(%error, "leases of processes that are gone stay");
        }
        Ok(())
    }

    async fn take(&self, process: &str, holder: &str) -> Result<Lease, StoreError> {
        let now = self.clock.now();
        self.store
            .take_lease(&name(process), holder, now, now.plus(SILENCE))
            .await
    }
}

fn name(process: &str) -> String {
    format!("{}{process}", Purses::ALIVE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ThreadEntropy;
    use neofn_gas::LeaseOptions;
    use neofn_gas::ledger::{Account, Detail, Entry, Purpose, Transfer, TransferId, UnitPrice};
    use neofn_gas::port::LedgerStore as _;
    use neofn_store_sqlite::{Store, StoreOptions};
    use neofn_types::{Datoshi, FunctionKey, Units, UnixMillis};
    use std::sync::atomic::{AtomicU64, Ordering};

    #[derive(Default)]
    struct Seconds(AtomicU64);
    impl Clock for Seconds {
        fn now(&self) -> UnixMillis {
            UnixMillis(0).plus(self.monotonic())
        }
        fn monotonic(&self) -> Duration {
            Duration::from_secs(self.0.load(Ordering::SeqCst))
        }
    }

    /// Two processes on one ledger with 100 datoshi; a call may cost 20, and a lease is as much.
    struct Two {
        clock: Arc<Seconds>,
        store: Arc<Store>,
        a: Arc<Alive>,
        b: Arc<Alive>,
        _dir: tempfile::TempDir,
    }
    impl Two {
        async fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let clock = Arc::new(Seconds::default());
            let store = Arc::new(Store::open(StoreOptions::new(dir.path(), clock.clone())).unwrap());
            let deposit = Entry::Transfer(Transfer {
                id: TransferId::of("test", &[]),
                purpose: Purpose::Deposit,
                debit: Account::Treasury,
                credit: Account::Project("shop".parse().unwrap()),
                amount: Datoshi(100),
                at: UnixMillis(0),
                detail: Detail::default(),
            });
            store.write(vec![deposit]).await.unwrap();
            Self {
                a: begin(&store, &clock).await,
                b: begin(&store, &clock).await,
                clock,
                store,
                _dir: dir,
            }
        }
        /// So many seconds go by, in which these are heard of.
        async fn pass(&self, seconds: u64, heard: &[&Alive]) {
            for _ in 0..seconds / 10 {
                self.clock.0.fetch_add(10, Ordering::SeqCst);
                for alive in heard {
                    alive.process.word().await.unwrap();
                }
            }
        }
        async fn held(&self) -> i64 {
            let account = Account::Project("shop".parse().unwrap());
            self.store.account(&account).await.unwrap().unwrap().state.held.0
        }
    }
    async fn begin(store: &Arc<Store>, clock: &Arc<Seconds>) -> Arc<Alive> {
        let entropy = Arc::new(ThreadEntropy);
        let lease = LeaseOptions {
            size: Datoshi(20),
            price: UnitPrice(1_000_000),
        };
        let purses = Purses::new(store.clone(), clock.clone(), &*entropy, lease);
        let alive = Alive::begin(store.clone(), clock.clone(), entropy, purses).await;
        alive.unwrap()
    }
    /// A call that runs for nothing: its lease stays in the purse.
    async fn call(alive: &Alive) {
        let key = FunctionKey::new("shop".parse().unwrap(), "f".parse().unwrap());
        drop(alive.process.purses.reserve(&key, Units(20)).await.unwrap());
    }

    #[tokio::test]
    async fn who_was_silent_with_everybody_is_not_buried() {
        let two = Two::new().await;
        call(&two.b).await;
        // the database is away for longer than leases last, and the one who buries is back first
        two.pass(120, &[&two.a, &two.b]).await;
        two.pass(70, &[]).await;
        for _ in 0..5 {
            two.a.bury().await.unwrap();
            two.pass(10, &[&two.a]).await;
        }
        let name = two.b.process.purses.process();
        two.pass(10, &[&two.a, &two.b]).await;
        two.pass(120, &[&two.a, &two.b]).await;
        two.a.bury().await.unwrap();
        assert_eq!((two.held().await, two.b.process.purses.process()), (20, name));
        // nor by one that has only just begun
        two.pass(70, &[]).await;
        begin(&two.store, &two.clock).await.bury().await.unwrap();
        assert_eq!(two.held().await, 20);
    }

    #[tokio::test]
    async fn who_was_buried_goes_on_with_money_of_its_own() {
        // while its grave is held, when that has ended, and when nobody knows of it any more
        for seconds in [70, 120, 900] {
            let two = Two::new().await;
            call(&two.b).await;
            assert_eq!(two.held().await, 20);
            for _ in 0..seconds / 10 {
                two.pass(10, &[&two.a]).await;
                two.a.bury().await.unwrap();
            }
            assert_eq!(two.held().await, 0, "{seconds} s: it is taken for dead");
            let name = two.b.process.purses.process();
            two.b.process.word().await.unwrap();
            assert_ne!(two.b.process.purses.process(), name);
            call(&two.b).await;
            assert_eq!(two.held().await, 20, "{seconds} s: set aside anew");
            two.pass(120, &[&two.a, &two.b]).await;
            two.a.bury().await.unwrap();
            assert_eq!(two.held().await, 20, "{seconds} s: it is known to be alive");
        }
    }
}
