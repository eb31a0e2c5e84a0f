//! The bank at every one of its steps. Each call of a port has a name; in turn the process is killed before and after each
//! of them, and before it each time that it is made; the next process goes on. The chain outlives them all: it is a file.

mod chain;
mod named;

use super::{Dice, Real, block_on, open};
use async_trait::async_trait;
use chain::{
    CLOSED, DEPOSIT, EXPIRED, FAULTED, FEE, FEE_MAX, FileChain, GIFT, GIVEN, LOST, MORE, MORE_GIVEN, NODES,
    NODES_GIVEN, OPENING, OURS, OWN_FEES, Points, REFUSED, SPONSORED, STRAY, THEIRS, WITHDRAWAL_FEE_MAX,
    WITHDRAWN,
};
use named::Named;
use neofn_gas::ledger::{Account, StatementFilter, TransferId, UnitPrice, Written};
use neofn_gas::port::{LedgerError, LedgerStore, Projects};
use neofn_gas::{Bank, BankOptions, Given, LeaseOptions, Needs, Policy, Purses, Refill, Sponsorship};
use neofn_types::{Datoshi, Fence, FunctionKey, InvocationId, ProjectName, Units, UnixMillis};
use std::collections::BTreeSet;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

pub const ROLE: &str = "__steps";
/// What the operator gives away: set aside at first, to each new account, and to one that has too little.
const FUNDED: i64 = 900;
const CREDIT: i64 = 300;
const REFILLED: i64 = 200;
const CALLS: u8 = 6;

/// Every step of the bank: calls of the treasury, and writes by what they write.
const STEPS: &[&str] = &[
    "moved",
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
    "write hold-transfer",
    "write hold-withdrawal",
    "write post-charge",
    "write post-network-fee+post-transfer+void",
    "write post-network-fee+post-withdrawal+void",
    "write post-network-fee+transfer+void",
    "write post-network-fee+void",
    "write post-sponsored-fee+post-transfer+void",
    "write post-sponsored-fee+void",
    "write reclaim",
    "write refill",
    "write release",
    "write void",
];

struct AllThere;
#[async_trait]
impl Projects for AllThere {
    async fn exists(&self, _project: &ProjectName) -> Result<bool, LedgerError> {
        Ok(true)
    }
}

/// A day in the life of a bank. Whatever an earlier process has done of it is found done.
pub fn child(dir: &Path, fail_at: Option<&str>) {
    block_on(async {
        let store = open(dir);
        let points = Arc::new(Points {
            seen: dir.join("seen"),
            fail_at: fail_at.map(|n| n.parse().unwrap()),
            reached: AtomicUsize::new(0),
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
        bank.fund(Datoshi(FUNDED), "first").await.unwrap();
        bank.open_account(&shop).await.unwrap();
        let key = FunctionKey::new(shop.clone(), "f".parse().unwrap());
        for n in 1..=CALLS {
            let invocation = InvocationId::from_bytes([n; 16]);
            // a call that has ended is not run again: its charge was written with its end
            if store
                .transfer(TransferId::charge_of(invocation, Fence(1)))
                .await
                .unwrap()
                .is_some()
            {
                continue;
            }
            let reserved = bank.purses().reserve(&key, Units(300)).await.unwrap();
            let charge = reserved.settle(Units(100), None).unwrap();
            let entries = charge.entries(invocation, Fence(1), UnixMillis(1));
            let answer = named.write(entries).await.unwrap();
            assert_eq!(answer, [Ok(Written::Now(Datoshi(100)))]);
        }
        bank.withdraw(&shop, Datoshi(WITHDRAWN), THEIRS, "w1")
            .await
            .unwrap();
        // what an earlier process set aside and did not sign stays, until it is asked for again
        settle(&bank, &chain).await;
        credit(&bank).await;
        transactions(&bank, &chain, &key).await;
        a_lost_deposit_and_an_end(&bank, &chain).await;
        chain.once("stray");
        follow(&bank, &chain).await;
        bank.write_off("stray").await.unwrap();
        bank.purses().give_back().await.unwrap();
        store.close().await.unwrap();
    });
}

/// Moves payments until none is open; whether that came to be.
async fn settle(bank: &Bank, chain: &FileChain) -> bool {
    for _ in 0..10 {
        let report = bank.activate().await.unwrap();
        assert_eq!(report.failed, 0, "{report:?}");
        follow(bank, chain).await;
        if report.open == 0 {
            return true;
        }
    }
    false
}

fn poor() -> ProjectName {
    "poor".parse().unwrap()
}

/// A project that is given credit by a threshold, and whose fees the operator bears.
async fn credit(bank: &Bank) {
    let agreed = Policy {
        sponsorship: Sponsorship::Platform,
        refill: Some(Refill {
            below: Datoshi(50),
            to: Datoshi(REFILLED),
        }),
        ..Policy::default()
    };
    bank.set_policy(&poor(), agreed).await.unwrap();
    bank.activate().await.unwrap();
}

/// What a transaction of a function, or of the operator, would take.
fn needs(key: Option<&FunctionKey>, managed: [u8; 16], given: i64) -> Needs {
    let gift = Given {
        from: OURS,
        to: Some(THEIRS),
        amount: Datoshi(given),
    };
    Needs {
        managed,
        project: key.map(|k| k.project.clone()),
        function: key.map(|k| k.function.clone()),
        invocation: None,
        sender: OURS,
        fees: Datoshi(FEE_MAX),
        gas: vec![gift],
        tokens: Vec::new(),
    }
}

/// As the manager does: it asks before it signs, and sends what it signed.
async fn transactions(bank: &Bank, chain: &FileChain, shop: &FunctionKey) {
    let sponsored = FunctionKey::new(poor(), "g".parse().unwrap());
    let ask = async |needs: Needs| {
        if !chain.has(needs.managed) {
            bank.cover(&needs).await.unwrap();
            chain.sends(needs.managed);
        }
    };
    ask(needs(Some(shop), OWN_FEES, 0)).await;
    ask(needs(Some(shop), GIFT, GIVEN)).await;
    ask(needs(Some(shop), FAULTED, GIVEN)).await;
    ask(needs(Some(&sponsored), SPONSORED, 0)).await;
    ask(needs(None, NODES, NODES_GIVEN)).await;
    if !chain.has(MORE) {
        // as it was built at first
        let first = Needs {
            fees: Datoshi(FEE_MAX / 2),
            ..needs(Some(shop), MORE, 0)
        };
        bank.cover(&first).await.unwrap();
        ask(needs(Some(shop), MORE, 0)).await;
    }
    // what costs nobody anything leaves no trace, and may be asked for by each process again
    bank.cover(&needs(Some(shop), EXPIRED, GIVEN)).await.unwrap();
    bank.cover(&needs(Some(shop), REFUSED, GIVEN)).await.unwrap();
    bank.release(REFUSED).await.unwrap();
    follow(bank, chain).await;
    assert!(settle(bank, chain).await, "payments stay open");
}

/// Somebody paid in without saying who they are, is known later, and leaves.
async fn a_lost_deposit_and_an_end(bank: &Bank, chain: &FileChain) {
    let old: ProjectName = "old".parse().unwrap();
    bank.open_account(&old).await.unwrap();
    chain.once("lost");
    follow(bank, chain).await;
    let filter = StatementFilter {
        before: None,
        since: None,
        limit: 10,
    };
    let (found, _) = bank.suspense(filter).await.unwrap();
    assert_eq!(found.len(), 1, "one deposit in suspense: {found:?}");
    bank.attribute(found[0].line.id, &old).await.unwrap();
    bank.close(&old, Some(THEIRS), "c1", "r1").await.unwrap();
    assert!(settle(bank, chain).await, "payments stay open");
}

async fn follow(bank: &Bank, chain: &FileChain) {
    let mut mark = bank.mark().await.unwrap();
    while mark.next <= chain.height() {
        let movements = chain.movements(mark.next);
        mark = bank.take(mark, mark.next + 1, &movements).await.unwrap();
    }
}

fn run(dir: &Path, fail_at: Option<usize>) -> ExitStatus {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.arg(ROLE).arg(dir).stdin(Stdio::null());
    if let Some(n) = fail_at {
        command.arg(n.to_string());
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
    let mut known = BTreeSet::new();
    for (n, name) in seen.lines().enumerate() {
        // after one is before the next: once for each is enough
        if !known.insert(name) && name.ends_with(":after") {
            continue;
        }
        let dir = tempfile::tempdir().unwrap();
        let status = run(dir.path(), Some(n));
        assert_eq!(status.signal(), Some(9), "{n}, {name}: {status}");
        assert!(run(dir.path(), None).success(), "after a kill at {n}, {name}");
        check(dir.path());
    }
    // and killed again and again, in any order
    let mut dice = Dice(7);
    let steps = seen.lines().count() as u64;
    for _ in 0..5 {
        let dir = tempfile::tempdir().unwrap();
        for _ in 0..6 {
            let n = usize::try_from(dice.roll(steps)).unwrap();
            let status = run(dir.path(), Some(n));
            // what was done is not done again: there may be fewer steps
            assert!(status.success() || status.signal() == Some(9), "{n}: {status}");
        }
        assert!(run(dir.path(), None).success());
        check(dir.path());
    }
}

fn check(dir: &Path) {
    let chain = std::fs::read_to_string(dir.join("chain")).unwrap();
    assert_eq!(
        chain.lines().count(),
        11,
        "two deposits, two payments, six transactions, and what nobody ordered: {chain}"
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
        let given = GIVEN + MORE_GIVEN;
        let on_chain = OPENING + DEPOSIT + LOST - WITHDRAWN - CLOSED - given - NODES_GIVEN - STRAY - 8 * FEE;
        assert_eq!(balance(Account::Treasury).await, -on_chain, "equal to the chain");
        assert_eq!(balance(Account::Transit).await, 0);
        assert_eq!(balance(Account::Suspense).await, 0, "found its owner");
        let charged = 100 * i64::from(CALLS);
        assert_eq!(balance(Account::Fees).await, charged, "each call once");
        // the fees of its withdrawal, and of four transactions
        let shop = balance(Account::Project("shop".parse().unwrap())).await;
        assert_eq!(shop, DEPOSIT + CREDIT - charged - WITHDRAWN - given - 5 * FEE);
        assert_eq!(balance(Account::Project(poor())).await, REFILLED, "once");
        // a project that leaves and is killed at it may have spent its credit on the fee of its own payment
        let old = balance(Account::Project("old".parse().unwrap())).await;
        let kept = old - (LOST - CLOSED - FEE);
        assert!(kept == 0 || kept == CREDIT, "{old}");
        // what was funded at first, and what the sponsored fee needed besides
        let funded = FUNDED + FEE_MAX - (FUNDED - CREDIT - REFILLED);
        assert_eq!(balance(Account::Allocation).await, FEE_MAX - FEE - kept);
        let operator = OPENING - funded - FEE - NODES_GIVEN - STRAY;
        assert_eq!(balance(Account::Operator).await, operator);
        store.close().await.unwrap();
    });
}
