//! The bank at every one of its steps. Each call of a port has a name; in turn the process is killed before and after each
//! of them, and the next process goes on. The chain outlives them all: it is a file.

use super::{Dice, Real, block_on, open};
use async_trait::async_trait;
use neofn_gas::ledger::{
    Account, AccountRow, Alert, Budget, BudgetRow, Entry, HoldRow, Memo, Movement, Refused, Routes,
    StatementFilter, StatementLine, Totals, TransferId, UnitPrice, UsageFilter, UsageLine, Written,
};
use neofn_gas::port::{
    ChainMark, ChainStep, HoldFilter, LedgerError, LedgerStore, Payment, PaymentError, PaymentName,
    PaymentState, Projects, RouteKind, Stepped, Treasury,
};
use neofn_gas::{Bank, BankOptions, Given, LeaseOptions, Needs, Purses};
use neofn_store_sqlite::Store;
use neofn_types::{Datoshi, FunctionKey, Hash256, InvocationId, ProjectName, ScriptHash, Units, UnixMillis};
use std::collections::BTreeSet;
use std::io::Write as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::Arc;

pub const ROLE: &str = "__steps";
const NETWORK: u32 = 42;
const OPENING: i64 = 100_000_000_000;
const DEPOSIT: i64 = 5_000_000_000;
const WITHDRAWN: i64 = 700_000_000;
const FEE: i64 = 1_200_000;
const GIVEN: i64 = 90_000_000;
/// The manager's name of a transaction that a function asked for.
const MANAGED: [u8; 16] = [5; 16];
const CALLS: u8 = 6;
const OURS: ScriptHash = ScriptHash([1; 20]);
const THEIRS: ScriptHash = ScriptHash([2; 20]);

/// Names each step in a file, and dies at one of them.
struct Points {
    seen: PathBuf,
    fail_at: Option<String>,
}
impl Points {
    fn reach(&self, name: &str) {
        let mut file = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.seen)
            .unwrap();
        writeln!(file, "{name}").unwrap();
        if self.fail_at.as_deref() == Some(name) {
            let me = std::process::id().to_string();
            Command::new("kill").args(["-9", &me]).status().unwrap();
            loop {
                std::thread::park();
            }
        }
    }
    fn around<T>(&self, name: &str, result: T) -> T {
        self.reach(&format!("{name}:after"));
        result
    }
}

/// A block a line: `deposit`, or a payment by its name.
struct FileChain {
    file: PathBuf,
    points: Arc<Points>,
}
impl FileChain {
    fn lines(&self) -> Vec<String> {
        let text = std::fs::read_to_string(&self.file).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }
    /// As the transaction manager does: one line for one name, on disk.
    fn once(&self, name: &str) {
        if self.lines().iter().any(|l| l == name) {
            return;
        }
        let mut file = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.file)
            .unwrap();
        writeln!(file, "{name}").unwrap();
        file.sync_all().unwrap();
    }
    fn height(&self) -> u64 {
        10 + self.lines().len() as u64
    }
    fn movements(&self, height: u64) -> Vec<Movement> {
        let line = &self.lines()[usize::try_from(height - 11).unwrap()];
        let container = Hash256([u8::try_from(height).unwrap(); 32]);
        let moved = |index, from, to, amount, memo: Option<String>| Movement {
            container,
            tx: Some(container),
            index,
            from,
            to,
            amount: Datoshi(amount),
            memo: memo.map(String::into_bytes),
            at: UnixMillis(5),
        };
        if line == "deposit" {
            let memo = Memo {
                network: NETWORK,
                project: "shop".parse().unwrap(),
            };
            return vec![moved(
                0,
                Some(THEIRS),
                Some(OURS),
                DEPOSIT,
                Some(memo.to_string()),
            )];
        }
        vec![
            moved(0, Some(OURS), None, FEE, None),
            moved(1, Some(OURS), Some(THEIRS), Self::sent(line), None),
        ]
    }
    /// What leaves by a line, without its fees.
    fn sent(line: &str) -> i64 {
        match line == hex(&MANAGED) {
            true => GIVEN,
            false => WITHDRAWN,
        }
    }
    fn line_of(name: &PaymentName) -> String {
        match name {
            PaymentName::Payment { project, idempotency } => format!("{project} {idempotency}"),
            PaymentName::Managed(id) => hex(id),
        }
    }
}
fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}
#[async_trait]
impl Treasury for FileChain {
    fn network(&self) -> u32 {
        NETWORK
    }
    async fn account(&self) -> Result<Option<ScriptHash>, PaymentError> {
        Ok(Some(OURS))
    }
    async fn balance(&self, accounts: &[ScriptHash]) -> Result<(u64, Datoshi), PaymentError> {
        assert_eq!(accounts, [OURS]);
        let lines = self.lines();
        let mut balance = OPENING;
        for line in &lines {
            balance += if line == "deposit" {
                DEPOSIT
            } else {
                -Self::sent(line) - FEE
            };
        }
        Ok((10 + lines.len() as u64, Datoshi(balance)))
    }
    async fn pay(&self, payment: Payment) -> Result<PaymentState, PaymentError> {
        assert_eq!((payment.to, payment.amount), (THEIRS, Datoshi(WITHDRAWN)));
        assert!(payment.fee_max >= Datoshi(FEE));
        self.points.reach("pay:before");
        let name = PaymentName::Payment {
            project: payment.project,
            idempotency: payment.idempotency,
        };
        self.once(&Self::line_of(&name));
        Ok(self.points.around("pay", PaymentState::Waiting { tx: None }))
    }
    async fn moved(&self, tx: Hash256, ours: &BTreeSet<ScriptHash>) -> Result<Datoshi, PaymentError> {
        assert_eq!(*ours, [OURS].into());
        self.points.reach("moved:before");
        let moved = match tx == Hash256([4; 32]) {
            true => GIVEN,
            false => WITHDRAWN,
        };
        Ok(self.points.around("moved", Datoshi(moved)))
    }
    async fn state(&self, name: &PaymentName) -> Result<Option<PaymentState>, PaymentError> {
        self.points.reach("state:before");
        let line = Self::line_of(name);
        let found = self.lines().contains(&line);
        let state = found.then_some(PaymentState::Paid {
            tx: Hash256([if line == hex(&MANAGED) { 4 } else { 3 }; 32]),
            fees: Datoshi(FEE),
        });
        Ok(self.points.around("state", state))
    }
}

struct AllThere;
#[async_trait]
impl Projects for AllThere {
    async fn exists(&self, _project: &ProjectName) -> Result<bool, LedgerError> {
        Ok(true)
    }
}

/// The store, with a name for each write.
struct Named {
    store: Arc<Store>,
    points: Arc<Points>,
}
fn name_of(entries: &[Entry]) -> String {
    let one = |entry: &Entry| match entry {
        Entry::Transfer(t) => t.purpose.to_string(),
        Entry::Hold(h) => format!("hold-{}", h.purpose),
        Entry::Post { purpose, .. } => format!("post-{purpose}"),
        Entry::Release { .. } => "release".to_owned(),
        Entry::Void { .. } => "void".to_owned(),
    };
    let kinds: BTreeSet<_> = entries.iter().map(one).collect();
    kinds.into_iter().collect::<Vec<_>>().join("+")
}
type Answers = Vec<Result<Written, Refused>>;
#[async_trait]
impl LedgerStore for Named {
    async fn write(&self, entries: Vec<Entry>) -> Result<Answers, LedgerError> {
        let name = name_of(&entries);
        self.points.reach(&format!("write {name}:before"));
        let answers = self.store.write(entries).await;
        self.points.around(&format!("write {name}"), answers)
    }
    async fn step(&self, step: ChainStep) -> Result<Stepped, LedgerError> {
        let name = format!("step {}", name_of(&step.entries));
        self.points.reach(&format!("{name}:before"));
        let answer = self.store.step(step).await;
        self.points.around(&name, answer)
    }
    async fn account(&self, account: &Account) -> Result<Option<AccountRow>, LedgerError> {
        self.store.account(account).await
    }
    async fn accounts(&self, after: Option<&Account>, limit: u32) -> Result<Vec<AccountRow>, LedgerError> {
        self.store.accounts(after, limit).await
    }
    async fn transfer(&self, id: TransferId) -> Result<Option<(Account, StatementLine)>, LedgerError> {
        self.store.transfer(id).await
    }
    async fn statement(
        &self,
        account: &Account,
        filter: StatementFilter,
    ) -> Result<Vec<StatementLine>, LedgerError> {
        self.store.statement(account, filter).await
    }
    async fn hold(&self, id: TransferId) -> Result<Option<HoldRow>, LedgerError> {
        self.store.hold(id).await
    }
    async fn holds(&self, filter: HoldFilter) -> Result<Vec<HoldRow>, LedgerError> {
        self.store.holds(filter).await
    }
    async fn given(&self, project: &ProjectName) -> Result<Datoshi, LedgerError> {
        self.store.given(project).await
    }
    async fn spent(&self, project: &ProjectName) -> Result<Datoshi, LedgerError> {
        self.store.spent(project).await
    }
    async fn usage(&self, filter: UsageFilter) -> Result<Vec<UsageLine>, LedgerError> {
        self.store.usage(filter).await
    }
    async fn set_budget(&self, budget: Budget, at: UnixMillis) -> Result<(), LedgerError> {
        self.store.set_budget(budget, at).await
    }
    async fn remove_budget(&self, budget: Budget) -> Result<bool, LedgerError> {
        self.store.remove_budget(budget).await
    }
    async fn budgets(&self, project: &ProjectName, at: UnixMillis) -> Result<Vec<BudgetRow>, LedgerError> {
        self.store.budgets(project, at).await
    }
    async fn alerts(&self, project: &ProjectName, limit: u32) -> Result<Vec<Alert>, LedgerError> {
        self.store.alerts(project, limit).await
    }
    async fn policy(&self, project: &ProjectName) -> Result<Option<String>, LedgerError> {
        self.store.policy(project).await
    }
    async fn set_policy(&self, project: &ProjectName, policy: String) -> Result<(), LedgerError> {
        self.store.set_policy(project, policy).await
    }
    async fn policies(&self) -> Result<Vec<(ProjectName, String)>, LedgerError> {
        self.store.policies().await
    }
    async fn set_route(
        &self,
        account: ScriptHash,
        kind: RouteKind,
        project: &ProjectName,
    ) -> Result<(), LedgerError> {
        self.store.set_route(account, kind, project).await
    }
    async fn routes(&self) -> Result<Routes, LedgerError> {
        self.store.routes().await
    }
    async fn mark(&self, network: u32) -> Result<Option<ChainMark>, LedgerError> {
        self.store.mark(network).await
    }
    async fn totals(&self) -> Result<Totals, LedgerError> {
        self.store.totals().await
    }
    async fn prune_holds(&self, before: UnixMillis, limit: u32) -> Result<u32, LedgerError> {
        self.store.prune_holds(before, limit).await
    }
}

/// A day in the life of a bank. Whatever an earlier process has done of it is found done.
pub fn child(dir: &Path, fail_at: Option<&str>) {
    block_on(async {
        let store = open(dir);
        let points = Arc::new(Points {
            seen: dir.join("seen"),
            fail_at: fail_at.map(str::to_owned),
        });
        let chain = Arc::new(FileChain {
            file: dir.join("chain"),
            points: Arc::clone(&points),
        });
        let named: Arc<dyn LedgerStore> = Arc::new(Named {
            store: Arc::clone(&store),
            points,
        });
        let price = UnitPrice(1_000_000);
        let options = LeaseOptions {
            size: Datoshi(1_000),
            price,
        };
        let purses = Purses::new(Arc::clone(&named), Arc::new(Real), &Real, options);
        purses.recover().await.unwrap();
        let bank = Bank::new(BankOptions {
            store: named.clone(),
            treasury: Some(chain.clone()),
            projects: Arc::new(AllThere),
            purses,
            clock: Arc::new(Real),
            allocation: Datoshi(300),
            withdrawal_fee_max: Datoshi(5_000_000),
        });
        let shop: ProjectName = "shop".parse().unwrap();
        bank.mark().await.unwrap();
        chain.once("deposit");
        follow(&bank, &chain).await;
        bank.fund(Datoshi(900), "first").await.unwrap();
        bank.open_account(&shop).await.unwrap();
        let key = FunctionKey::new(shop.clone(), "f".parse().unwrap());
        for n in 1..=CALLS {
            let invocation = InvocationId::from_bytes([n; 16]);
            // a call that has ended is not run again: its charge was written with its end
            if store
                .transfer(TransferId::charge_of(invocation, 1))
                .await
                .unwrap()
                .is_some()
            {
                continue;
            }
            let reserved = bank.purses().reserve(&key, Units(300)).await.unwrap();
            let charge = reserved.settle(Units(100)).unwrap();
            let entries = charge.entries(&key.function, invocation, 1, UnixMillis(1));
            let answer = named.write(entries).await.unwrap();
            assert_eq!(answer, [Ok(Written::Now(Datoshi(100)))]);
        }
        bank.withdraw(&shop, Datoshi(WITHDRAWN), THEIRS, "w1")
            .await
            .unwrap();
        if !chain.lines().contains(&hex(&MANAGED)) {
            // the manager asks before it signs, and sends what it signed
            let gift = Given {
                from: OURS,
                to: Some(THEIRS),
                amount: Datoshi(GIVEN),
            };
            let needs = Needs {
                managed: MANAGED,
                project: Some(shop.clone()),
                function: Some(key.function.clone()),
                invocation: None,
                sender: OURS,
                fees: Datoshi(FEE),
                gas: vec![gift],
                tokens: Vec::new(),
            };
            bank.cover(&needs).await.unwrap();
            chain.once(&hex(&MANAGED));
        }
        for _ in 0..10 {
            let report = bank.activate().await.unwrap();
            follow(&bank, &chain).await;
            if report.open == 0 {
                break;
            }
        }
        bank.purses().give_back().await.unwrap();
        store.close().await.unwrap();
    });
}

async fn follow(bank: &Bank, chain: &FileChain) {
    let mut mark = bank.mark().await.unwrap();
    while mark.next <= chain.height() {
        let movements = chain.movements(mark.next);
        mark = bank.take(mark, mark.next + 1, &movements).await.unwrap();
    }
}

fn run(dir: &Path, fail_at: Option<&str>) -> ExitStatus {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.arg(ROLE).arg(dir).stdin(Stdio::null());
    if let Some(name) = fail_at {
        command.arg(name);
    }
    command.status().unwrap()
}

pub fn every_step_survives_a_kill() {
    let whole = tempfile::tempdir().unwrap();
    assert!(run(whole.path(), None).success());
    check(whole.path());
    let seen = std::fs::read_to_string(whole.path().join("seen")).unwrap();
    let names: BTreeSet<&str> = seen.lines().collect();
    for expected in [
        "pay:before",
        "pay:after",
        "state:before",
        "step opening:after",
        "step deposit:before",
        "step movement:after",
        "write allocation:after",
        "write funding:before",
        "write hold-lease:after",
        "write post-charge:before",
        "write hold-withdrawal:after",
        "write post-network-fee+post-withdrawal+void:before",
        "write hold-network-fee:before",
        "write hold-transfer:after",
        "moved:after",
        "write post-network-fee+post-transfer+void:after",
    ] {
        assert!(names.contains(expected), "{expected} is not among {names:?}");
    }
    for name in &names {
        let dir = tempfile::tempdir().unwrap();
        let status = run(dir.path(), Some(name));
        assert_eq!(status.signal(), Some(9), "{name}: {status}");
        assert!(run(dir.path(), None).success(), "after a kill at {name}");
        check(dir.path());
    }
    // and killed again and again, in any order
    let mut dice = Dice(7);
    let all: Vec<_> = names.iter().copied().collect();
    for _ in 0..5 {
        let dir = tempfile::tempdir().unwrap();
        for _ in 0..6 {
            let name = all[usize::try_from(dice.roll(all.len() as u64)).unwrap()];
            run(dir.path(), Some(name));
        }
        assert!(run(dir.path(), None).success());
        check(dir.path());
    }
}

fn check(dir: &Path) {
    let chain = std::fs::read_to_string(dir.join("chain")).unwrap();
    assert_eq!(
        chain.lines().count(),
        3,
        "one deposit, one payment, one gift: {chain}"
    );
    block_on(async {
        let store = open(dir);
        let totals = store.totals().await.unwrap();
        assert!(totals.sound(), "{totals:?}");
        assert_eq!((totals.held, totals.left), (0, 0), "nothing stays set aside");
        let balance = async |account: Account| match store.account(&account).await.unwrap() {
            Some(row) => row.state.balance.0,
            None => 0,
        };
        let on_chain = OPENING + DEPOSIT - WITHDRAWN - GIVEN - 2 * FEE;
        assert_eq!(balance(Account::Treasury).await, -on_chain, "equal to the chain");
        assert_eq!(balance(Account::Transit).await, 0);
        let charged = 100 * i64::from(CALLS);
        assert_eq!(balance(Account::Fees).await, charged, "each call once");
        let shop = Account::Project("shop".parse().unwrap());
        let left = DEPOSIT + 300 - charged - WITHDRAWN - GIVEN - 2 * FEE;
        assert_eq!(balance(shop).await, left);
        assert_eq!(balance(Account::Allocation).await, 600);
        assert_eq!(balance(Account::Operator).await, OPENING - 900);
        store.close().await.unwrap();
    });
}
