//! The sentences of the port, each held by a test.

use super::{Real, block_on, hold, id, open, post, project, transfer};
use neofn_gas::ledger::{
    Account, Budget, Entry, Period, Purpose, Refused, StatementFilter, UnitPrice, UsageFilter, Written,
};
use neofn_gas::port::{
    HoldFilter, LedgerError, LedgerStore, Payment, PaymentError, PaymentName, PaymentState, Projects,
    Treasury,
};
use neofn_gas::{Bank, BankOptions, LeaseOptions, Purses, ReserveError};
use neofn_types::{Datoshi, FunctionKey, InvocationId, ProjectName, ScriptHash, Units, UnixMillis};
use std::sync::Arc;

type Test = (&'static str, fn());
pub const TESTS: &[Test] = &[
    ("a_group_keeps_what_is_allowed", a_group_keeps_what_is_allowed),
    ("holds_end_once", holds_end_once),
    ("budgets_stop_and_warn", budgets_stop_and_warn),
    ("transfers_cannot_be_changed", transfers_cannot_be_changed),
    (
        "a_purse_spends_no_more_than_its_lease",
        a_purse_spends_no_more_than_its_lease,
    ),
    ("statements_page_backwards", statements_page_backwards),
    (
        "fees_that_were_given_back_are_set_aside_anew",
        fees_that_were_given_back_are_set_aside_anew,
    ),
];

fn a_group_keeps_what_is_allowed() {
    let dir = tempfile::tempdir().unwrap();
    block_on(async {
        let store = open(dir.path());
        let (a, b) = (project(1), project(2));
        let answers = store
            .write(vec![
                transfer(id("t", 1), a.clone(), b.clone(), 1),
                transfer(id("t", 2), Account::Treasury, a.clone(), 10),
                transfer(id("t", 3), a.clone(), b.clone(), 11),
                transfer(id("t", 4), a.clone(), b.clone(), 4),
                transfer(id("t", 4), a.clone(), b.clone(), 4),
                transfer(id("t", 5), a.clone(), a.clone(), 1),
                transfer(id("t", 6), a.clone(), b.clone(), 0),
            ])
            .await
            .unwrap();
        assert!(matches!(answers[0], Err(Refused::Insufficient { .. })));
        assert_eq!(answers[1], Ok(Written::Now(Datoshi(10))));
        assert!(matches!(
            answers[2],
            Err(Refused::Insufficient {
                available: Datoshi(10),
                ..
            })
        ));
        assert_eq!(answers[3], Ok(Written::Now(Datoshi(4))));
        assert_eq!(answers[4], Ok(Written::Before(Datoshi(4))));
        assert!(matches!(answers[5], Err(Refused::Senseless(_))));
        assert!(matches!(answers[6], Err(Refused::Senseless(_))));
        assert_eq!(
            store.account(&a).await.unwrap().unwrap().state.balance,
            Datoshi(6)
        );
        assert!(store.totals().await.unwrap().sound());
        store.close().await.unwrap();
    });
}

fn holds_end_once() {
    let dir = tempfile::tempdir().unwrap();
    block_on(async {
        let store = open(dir.path());
        let a = project(1);
        let h = id("h", 1);
        let release = |amount| Entry::Release {
            id: id("r", 1),
            hold: h,
            amount: Datoshi(amount),
            at: UnixMillis(2),
        };
        let void = Entry::Void {
            hold: h,
            at: UnixMillis(2),
        };
        let answers = store
            .write(vec![
                transfer(id("t", 1), Account::Treasury, a.clone(), 100),
                hold(h, a.clone(), 500, 60),
                hold(h, a.clone(), 500, 60),
                transfer(id("t", 2), a.clone(), Account::Fees, 1),
                post(id("p", 1), h, 30),
                post(id("p", 1), h, 30),
                post(id("p", 1), h, 31),
                release(20),
                release(20),
                post(id("p", 2), h, 51),
                void.clone(),
                void,
                post(id("p", 3), h, 1),
            ])
            .await
            .unwrap();
        let now = |n| Ok(Written::Now(Datoshi(n)));
        let before = |n| Ok(Written::Before(Datoshi(n)));
        assert_eq!(answers[1..3], [now(100), before(100)], "as much as there is");
        assert!(matches!(answers[3], Err(Refused::Insufficient { .. })));
        assert_eq!(answers[4..6], [now(30), before(30)]);
        assert_eq!(answers[6], Err(Refused::Mismatch(id("p", 1))));
        assert_eq!(answers[7..9], [now(20), before(20)]);
        assert!(matches!(
            answers[9],
            Err(Refused::HoldSpent {
                left: Datoshi(50),
                ..
            })
        ));
        assert_eq!(answers[10..12], [now(50), before(0)]);
        assert!(matches!(answers[12], Err(Refused::HoldSpent { .. })));
        let state = store.account(&a).await.unwrap().unwrap().state;
        assert_eq!((state.balance, state.held), (Datoshi(70), Datoshi(0)));
        assert!(store.totals().await.unwrap().sound());
        assert_eq!(store.prune_holds(UnixMillis(3), 10).await.unwrap(), 1);
        assert_eq!(store.hold(h).await.unwrap(), None);
        store.close().await.unwrap();
    });
}

fn budgets_stop_and_warn() {
    let dir = tempfile::tempdir().unwrap();
    block_on(async {
        let store = open(dir.path());
        let name: neofn_types::ProjectName = "p1".parse().unwrap();
        let budget = Budget {
            project: name.clone(),
            function: None,
            period: Period::Day,
            limit: Datoshi(100),
        };
        let first = vec![transfer(id("t", 1), Account::Treasury, project(1), 1_000)];
        store.write(first).await.unwrap();
        store.set_budget(budget.clone(), UnixMillis(1)).await.unwrap();
        let (a, b) = (id("h", 1), id("h", 2));
        let answers = store
            .write(vec![
                hold(a, project(1), 80, 80),
                hold(b, project(1), 21, 21),
                post(id("p", 1), a, 60),
                Entry::Void {
                    hold: a,
                    at: UnixMillis(1),
                },
                hold(b, project(1), 41, 41),
                hold(b, project(1), 80, 40),
                post(id("p", 2), b, 40),
            ])
            .await
            .unwrap();
        assert!(answers[0].is_ok());
        assert!(
            matches!(
                answers[1],
                Err(Refused::Budget {
                    left: Datoshi(20),
                    ..
                })
            ),
            "{:?}",
            answers[1]
        );
        assert!(matches!(
            answers[4],
            Err(Refused::Budget {
                left: Datoshi(40),
                ..
            })
        ));
        assert_eq!(answers[5], Ok(Written::Now(Datoshi(40))));
        let alerts = store.alerts(&name, 10).await.unwrap();
        let percents: Vec<_> = alerts.iter().map(|a| a.percent).collect();
        assert_eq!(percents, [100, 50], "once each, the newest first");
        let rows = store.budgets(&name, UnixMillis(1)).await.unwrap();
        assert_eq!((rows[0].spent, rows[0].held), (Datoshi(100), Datoshi(0)));
        let tomorrow = store.budgets(&name, UnixMillis(86_400_000)).await.unwrap();
        assert_eq!(tomorrow[0].spent, Datoshi(0));
        assert!(store.remove_budget(budget.clone()).await.unwrap());
        assert!(!store.remove_budget(budget).await.unwrap());
        store.close().await.unwrap();
    });
}

fn transfers_cannot_be_changed() {
    let dir = tempfile::tempdir().unwrap();
    block_on(async {
        let store = open(dir.path());
        let first = vec![transfer(id("t", 1), Account::Treasury, project(1), 1_000)];
        store.write(first).await.unwrap();
        store.close().await.unwrap();
    });
    let db = dir.path().join("data/neofn.db");
    for sql in [
        "UPDATE ledger_transfer SET amount = 1",
        "DELETE FROM ledger_transfer",
    ] {
        let out = std::process::Command::new("python3")
            .args([
                "-c",
                "import sqlite3, sys\nsqlite3.connect(sys.argv[1]).execute(sys.argv[2])",
            ])
            .arg(&db)
            .arg(sql)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&out.stderr).into_owned();
        assert!(
            !out.status.success() && said.contains("a transfer is never"),
            "{said}"
        );
    }
}

fn a_purse_spends_no_more_than_its_lease() {
    let dir = tempfile::tempdir().unwrap();
    block_on(async {
        let store = open(dir.path());
        let first = vec![transfer(id("t", 1), Account::Treasury, project(1), 10_000)];
        store.write(first).await.unwrap();
        let options = LeaseOptions {
            size: Datoshi(1_000),
            price: UnitPrice(1_000_000),
        };
        let purses = || {
            let store: Arc<dyn LedgerStore> = store.clone();
            Purses::new(store, Arc::new(Real), &Real, options)
        };
        let key = FunctionKey::new("p1".parse().unwrap(), "f".parse().unwrap());
        let purse = purses();
        // 200 calls of up to 40, each of which costs 7; some are never run
        let mut charged = 0;
        for n in 0..200u8 {
            let reserved = purse.reserve(&key, Units(40)).await.unwrap();
            if n % 5 == 0 {
                continue;
            }
            let charge = reserved.settle(Units(7)).unwrap();
            let invocation = InvocationId::from_bytes([n; 16]);
            let entries = charge.entries(&key.function, invocation, 1, UnixMillis(1));
            for answer in store.write(entries).await.unwrap() {
                assert_eq!(answer, Ok(Written::Now(Datoshi(7))));
                charged += 7;
            }
        }
        let state = store.account(&project(1)).await.unwrap().unwrap().state;
        assert_eq!(state.balance, Datoshi(10_000 - charged));
        assert!(state.held <= Datoshi(1_000), "{state:?}");
        assert!(store.totals().await.unwrap().sound());
        let usage = store
            .usage(UsageFilter {
                project: key.project.clone(),
                function: None,
                from: UnixMillis(0),
                until: UnixMillis(i64::MAX),
                after: None,
                limit: 10,
            })
            .await
            .unwrap();
        assert_eq!(
            (usage.len(), usage[0].invocations, usage[0].units),
            (1, 160, 160 * 7)
        );
        assert_eq!(usage[0].amount, Datoshi(charged));

        // a process that dies leaves its lease behind; the next one gives it back
        let next = purses();
        assert_eq!(next.recover().await.unwrap(), state.held);
        let state = store.account(&project(1)).await.unwrap().unwrap().state;
        assert_eq!(
            (state.balance, state.held),
            (Datoshi(10_000 - charged), Datoshi(0))
        );

        // what a call may cost is refused before it runs
        let refused = next.reserve(&key, Units(10_000)).await;
        assert!(matches!(
            refused,
            Err(ReserveError::Refused(Refused::Insufficient { .. }))
        ));
        // reservations side by side cannot have more than there is
        let all = futures(&next, &key, 30, 400).await;
        let got = all.iter().filter(|r| r.is_ok()).count();
        let has = usize::try_from(state.balance.0 / 400).unwrap();
        assert_eq!(got, has.min(30));
        drop(all);
        next.give_back().await.unwrap();
        let state = store.account(&project(1)).await.unwrap().unwrap().state;
        assert_eq!(state.held, Datoshi(0));

        // a budget of the function: each call is held for itself
        let budget = Budget {
            project: key.project.clone(),
            function: Some(key.function.clone()),
            period: Period::Total,
            limit: Datoshi(100),
        };
        store.set_budget(budget, UnixMillis(1)).await.unwrap();
        next.forget(&key.project).await.unwrap();
        let one = next.reserve(&key, Units(60)).await.unwrap();
        let two = next.reserve(&key, Units(60)).await;
        assert!(matches!(two, Err(ReserveError::Refused(Refused::Budget { .. }))));
        drop(one);
        let three = next.reserve(&key, Units(60)).await.unwrap();
        assert!(three.settle(Units(9)).unwrap().closes);
        let open = HoldFilter {
            purpose: Purpose::Lease,
            project: None,
            open: true,
            limit: 10,
        };
        assert_eq!(store.holds(open).await.unwrap().len(), 1);
        store.close().await.unwrap();
    });
}

async fn futures(
    purses: &Purses,
    key: &FunctionKey,
    count: usize,
    units: u64,
) -> Vec<Result<neofn_gas::Reservation, ReserveError>> {
    let mut tasks = Vec::new();
    for _ in 0..count {
        let (purses, key) = (purses.clone(), key.clone());
        tasks.push(tokio::spawn(
            async move { purses.reserve(&key, Units(units)).await },
        ));
    }
    let mut all = Vec::new();
    for task in tasks {
        all.push(task.await.unwrap());
    }
    all
}

fn statements_page_backwards() {
    let dir = tempfile::tempdir().unwrap();
    block_on(async {
        let store = open(dir.path());
        let mut entries = Vec::new();
        for n in 1..=9 {
            entries.push(transfer(id("in", n), Account::Treasury, project(1), 10));
            entries.push(transfer(id("out", n), project(1), Account::Fees, 3));
        }
        store.write(entries).await.unwrap();
        let mut filter = StatementFilter {
            before: None,
            since: None,
            limit: 4,
        };
        let mut amounts = Vec::new();
        loop {
            let lines = store.statement(&project(1), filter).await.unwrap();
            let Some(last) = lines.last() else { break };
            filter.before = Some(last.seq);
            amounts.extend(lines.iter().map(|l| l.amount.0));
        }
        assert_eq!(amounts, [-3, 10].repeat(9));
        store.close().await.unwrap();
    });
}

/// Knows one transaction, or none.
struct Forgetful(Option<[u8; 16]>);
#[async_trait::async_trait]
impl Treasury for Forgetful {
    fn network(&self) -> u32 {
        42
    }
    async fn account(&self) -> Result<Option<ScriptHash>, PaymentError> {
        Ok(None)
    }
    async fn balance(&self, _: &[ScriptHash]) -> Result<(u64, Datoshi), PaymentError> {
        Ok((1, Datoshi(0)))
    }
    async fn pay(&self, _: Payment) -> Result<PaymentState, PaymentError> {
        Err(PaymentError::Later("not here".to_owned()))
    }
    async fn state(&self, name: &PaymentName) -> Result<Option<PaymentState>, PaymentError> {
        let known = matches!((name, self.0), (PaymentName::Managed(id), Some(mine)) if *id == mine);
        Ok(known.then_some(PaymentState::Waiting { tx: None }))
    }
}
struct Every;
#[async_trait::async_trait]
impl Projects for Every {
    async fn exists(&self, _: &ProjectName) -> Result<bool, LedgerError> {
        Ok(true)
    }
}

/// Whoever asks again after its hold was given back must not sign without another one.
fn fees_that_were_given_back_are_set_aside_anew() {
    let dir = tempfile::tempdir().unwrap();
    block_on(async {
        let store = open(dir.path());
        let bank = |knows: Option<[u8; 16]>| {
            let lease = LeaseOptions {
                size: LeaseOptions::SIZE,
                price: UnitPrice(0),
            };
            Bank::new(BankOptions {
                store: store.clone(),
                treasury: Some(Arc::new(Forgetful(knows))),
                projects: Arc::new(Every),
                purses: Purses::new(store.clone(), Arc::new(Real), &Real, lease),
                clock: Arc::new(Real),
                allocation: Datoshi(0),
                withdrawal_fee_max: Datoshi(10),
            })
        };
        let key = FunctionKey::new("p1".parse().unwrap(), "f".parse().unwrap());
        let first = transfer(id("in", 1), Account::Treasury, project(1), 1_000);
        store.write(vec![first]).await.unwrap();
        let (name, other) = ([7; 16], [8; 16]);
        let left = async || {
            let row = store.account(&project(1)).await.unwrap().unwrap();
            row.state.available().0
        };
        bank(None)
            .hold_fees(&key, None, name, Datoshi(300))
            .await
            .unwrap();
        bank(None)
            .hold_fees(&key, None, name, Datoshi(300))
            .await
            .unwrap();
        assert_eq!(left().await, 700);
        bank(None).release_fees(name).await.unwrap();
        assert_eq!(left().await, 1_000);
        bank(None)
            .hold_fees(&key, None, name, Datoshi(300))
            .await
            .unwrap();
        assert_eq!(left().await, 700);
        bank(None).release_fees(name).await.unwrap();
        // what the manager knows has its end already, or will: asking again changes nothing
        bank(Some(name))
            .hold_fees(&key, None, name, Datoshi(300))
            .await
            .unwrap();
        assert_eq!(left().await, 1_000);
        bank(None).release_fees(other).await.unwrap();
        assert!(
            bank(None)
                .hold_fees(&key, None, other, Datoshi(1_001))
                .await
                .is_err()
        );
        assert!(store.totals().await.unwrap().sound());
        store.close().await.unwrap();
    });
}
