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
use neofn_gas::{Bank, BankOptions, LeaseOptions, Policy, Purses, Refill, Sponsorship};
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
const FEE_MAX: i64 = 2_000_000;
const WITHDRAWAL_FEE_MAX: i64 = 5_000_000;
/// A deposit without a memo; its owner turns up, and closes their account.
const LOST: i64 = 20_000_000;
const CLOSED: i64 = LOST - WITHDRAWAL_FEE_MAX;
/// What left the treasury without anybody's order.
const STRAY: i64 = 7_000;
const CREDIT: i64 = 300;
const REFILLED: i64 = 200;
/// Transactions with fees: of a project, of one that is sponsored, of the node itself, and one that was refused.
const OWN_FEES: [u8; 16] = [0x11; 16];
const SPONSORED: [u8; 16] = [0x22; 16];
const NODES: [u8; 16] = [0x33; 16];
const REFUSED: [u8; 16] = [0x44; 16];
const CALLS: u8 = 6;
const OURS: ScriptHash = ScriptHash([1; 20]);
const THEIRS: ScriptHash = ScriptHash([2; 20]);

/// Every step of the bank: calls of the treasury, and writes by what they write.
const STEPS: &[&str] = &[
    "pay",
    "state",
    "step deposit",
    "step movement",
    "step opening",
    "write adjustment",
    "write allocation",
    "write attribution",
    "write funding",
    "write hold-lease",
    "write hold-network-fee",
    "write hold-sponsored-fee",
    "write hold-withdrawal",
    "write post-charge",
    "write post-network-fee+post-withdrawal+void",
    "write post-network-fee+void",
    "write post-sponsored-fee+void",
    "write reclaim",
    "write refill",
    "write release",
    "write void",
];

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

/// A block a line: `deposit`, `lost`, `stray`, a payment by its name and amount, or a managed transaction by its id.
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
    /// What the treasury had besides when the ledger began.
    fn balance(&self) -> i64 {
        let moved = (11..=self.height()).flat_map(|height| self.movements(height));
        moved.fold(OPENING, |sum, m| match m.to {
            Some(OURS) => sum + m.amount.0,
            _ => sum - m.amount.0,
        })
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
        match (line.as_str(), line.rsplit_once(' ')) {
            ("lost", _) => vec![moved(0, Some(THEIRS), Some(OURS), LOST, None)],
            ("stray", _) => vec![moved(0, Some(OURS), None, STRAY, None)],
            (_, Some((_, amount))) => vec![
                moved(0, Some(OURS), None, FEE, None),
                moved(1, Some(OURS), Some(THEIRS), amount.parse().unwrap(), None),
            ],
            (_managed, None) => vec![moved(0, Some(OURS), None, FEE, None)],
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
        Ok((self.height(), Datoshi(FileChain::balance(self))))
    }
    async fn pay(&self, payment: Payment) -> Result<PaymentState, PaymentError> {
        let amount = if payment.project.as_ref() == "shop" {
            WITHDRAWN
        } else {
            CLOSED
        };
        assert_eq!((payment.to, payment.amount), (THEIRS, Datoshi(amount)));
        assert!(payment.fee_max >= Datoshi(FEE));
        self.points.reach("pay:before");
        let name = PaymentName::Payment {
            project: payment.project,
            idempotency: payment.idempotency,
        };
        self.once(&format!("{} {amount}", Self::line_of(&name)));
        Ok(self.points.around("pay", PaymentState::Waiting { tx: None }))
    }
    async fn state(&self, name: &PaymentName) -> Result<Option<PaymentState>, PaymentError> {
        self.points.reach("state:before");
        let line = Self::line_of(name);
        let paid = format!("{line} ");
        let found = self.lines().iter().any(|l| *l == line || l.starts_with(&paid));
        let state = found.then_some(PaymentState::Paid {
            tx: Hash256([3; 32]),
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
            allocation: Datoshi(CREDIT),
            withdrawal_fee_max: Datoshi(WITHDRAWAL_FEE_MAX),
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
        settle(&bank, &chain).await;
        credit_and_fees(&bank, &chain, &key).await;
        if !dir.join("refused").exists() {
            // its manager refused it before anything was signed; that it was is known to whoever asked for it
            bank.hold_fees(&key, None, REFUSED, Datoshi(FEE_MAX))
                .await
                .unwrap();
            bank.release_fees(REFUSED).await.unwrap();
            std::fs::write(dir.join("refused"), "").unwrap();
        }
        a_lost_deposit_and_an_end(&bank, &chain).await;
        chain.once("stray");
        follow(&bank, &chain).await;
        bank.write_off("stray").await.unwrap();
        bank.purses().give_back().await.unwrap();
        store.close().await.unwrap();
    });
}

/// Moves payments until none is open.
async fn settle(bank: &Bank, chain: &FileChain) {
    for _ in 0..10 {
        let report = bank.activate().await.unwrap();
        follow(bank, chain).await;
        if report.open == 0 {
            break;
        }
    }
}

/// A project that is given credit by a threshold and whose fees the operator pays, one that pays its own, and the node's.
async fn credit_and_fees(bank: &Bank, chain: &FileChain, shop: &FunctionKey) {
    let poor: ProjectName = "poor".parse().unwrap();
    let agreed = Policy {
        sponsorship: Sponsorship::Platform,
        refill: Some(Refill {
            below: Datoshi(50),
            to: Datoshi(REFILLED),
        }),
        ..Policy::default()
    };
    bank.set_policy(&poor, agreed).await.unwrap();
    bank.activate().await.unwrap();
    let sponsored = FunctionKey::new(poor, "g".parse().unwrap());
    let fee_max = Datoshi(FEE_MAX);
    bank.hold_fees(shop, None, OWN_FEES, fee_max).await.unwrap();
    chain.once(&hex(&OWN_FEES));
    bank.hold_fees(&sponsored, None, SPONSORED, fee_max)
        .await
        .unwrap();
    chain.once(&hex(&SPONSORED));
    bank.hold_own_fees(NODES, fee_max).await.unwrap();
    chain.once(&hex(&NODES));
    settle(bank, chain).await;
}

/// Somebody paid in without saying who they are, is known later, and leaves.
async fn a_lost_deposit_and_an_end(bank: &Bank, chain: &FileChain) {
    let old: ProjectName = "old".parse().unwrap();
    bank.open_account(&old).await.unwrap();
    chain.once("lost");
    follow(bank, chain).await;
    let (found, _) = bank
        .suspense(StatementFilter {
            before: None,
            since: None,
            limit: 10,
        })
        .await
        .unwrap();
    assert_eq!(found.len(), 1, "one deposit in suspense: {found:?}");
    bank.attribute(found[0].line.id, &old).await.unwrap();
    bank.close(&old, Some(THEIRS), "c1", "r1").await.unwrap();
    settle(bank, chain).await;
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
    // all there are: a step that nobody kills at, or a new one that nobody thought of, is a failure
    let all = STEPS
        .iter()
        .flat_map(|step| [format!("{step}:before"), format!("{step}:after")]);
    let all: BTreeSet<String> = all.collect();
    assert_eq!(names, all.iter().map(String::as_str).collect());
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
        8,
        "two deposits, two payments, three transactions with fees, and what nobody ordered: {chain}"
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
        let on_chain = OPENING + DEPOSIT + LOST - WITHDRAWN - CLOSED - 5 * FEE - STRAY;
        assert_eq!(balance(Account::Treasury).await, -on_chain, "equal to the chain");
        assert_eq!(balance(Account::Transit).await, 0);
        let charged = 100 * i64::from(CALLS);
        assert_eq!(balance(Account::Fees).await, charged, "each call once");
        let shop = Account::Project("shop".parse().unwrap());
        assert_eq!(
            balance(shop).await,
            DEPOSIT + CREDIT - charged - WITHDRAWN - 2 * FEE
        );
        assert_eq!(balance(Account::Suspense).await, 0, "found its owner");
        let poor = Account::Project("poor".parse().unwrap());
        assert_eq!(balance(poor).await, REFILLED, "once");
        // a project that leaves and is killed at it may have spent its credit on the fee of its own payment
        let old = balance(Account::Project("old".parse().unwrap())).await;
        let left = LOST - CLOSED - FEE;
        let kept = old - left;
        assert!(kept == 0 || kept == CREDIT, "{old}");
        // 900 at first, and what the sponsored fee needed besides
        let first = 900 - CREDIT - REFILLED;
        let funded = 900 + FEE_MAX - first;
        let allocation = FEE_MAX - FEE - kept;
        assert_eq!(balance(Account::Allocation).await, allocation);
        let operator = OPENING - funded - FEE - STRAY;
        assert_eq!(balance(Account::Operator).await, operator);
        store.close().await.unwrap();
    });
}
