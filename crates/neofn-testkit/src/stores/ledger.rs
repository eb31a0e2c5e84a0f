//! The ledger: the sentences of its port, and the purses and the bank over it.

use super::Harness;
use super::flaky::{Fails, Flaky};
use super::support::{Counter, LEASE, Rooms, deploy, failure, finish, key, keyed, ok, queued, record};
use neofn_engine::port::{Claimed, InvocationStore as _, NewInvocation, Outcome, Start, StoreError};
use neofn_engine::triggers::port::{Redo, TriggerStore as _};
use neofn_gas::ledger::{
    Account, Budget, Charge, Detail, Entry, Hold, Period, Purpose, Refused, StatementFilter, Transfer,
    TransferId, UnitPrice, UsageFilter, Written,
};
use neofn_gas::port::{HoldFilter, LedgerStore};
use neofn_gas::{LeaseOptions, Purses, ReserveError};
use neofn_registry::port::RegistryStore as _;
use neofn_types::{Caller, Datoshi, Fence, FunctionKey, InvocationId, Units, UnixMillis};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::task::Poll;
use std::time::Duration;

/// No two processes have one name.
static ENTROPY: Counter = Counter(AtomicU64::new(1));

fn project(n: u64) -> Account {
    Account::Project(format!("p{n}").parse().unwrap())
}
fn id(what: &str, n: u64) -> TransferId {
    TransferId::of(what, &[&n.to_be_bytes()])
}
fn transfer(id: TransferId, debit: Account, credit: Account, amount: i64) -> Entry {
    Entry::Transfer(Transfer {
        id,
        purpose: Purpose::Funding,
        debit,
        credit,
        amount: Datoshi(amount),
        at: UnixMillis(1),
        detail: Detail::default(),
    })
}
fn hold(id: TransferId, debit: Account, amount: i64, at_least: i64) -> Entry {
    Entry::Hold(Hold {
        id,
        purpose: Purpose::Lease,
        debit,
        credit: Account::Fees,
        amount: Datoshi(amount),
        at_least: Datoshi(at_least),
        at: UnixMillis(1),
        detail: Detail::default(),
    })
}
fn post(id: TransferId, hold: TransferId, amount: i64) -> Entry {
    Entry::Post {
        id,
        hold,
        amount: Datoshi(amount),
        purpose: Purpose::Charge,
        at: UnixMillis(1),
        detail: Detail::default(),
    }
}

pub async fn a_group_keeps_what_is_allowed<H: Harness>() {
    let harness = H::new();
    let opened = Arc::new(harness.open().await);
    let store = H::money(&opened);
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
    drop(store);
    if let Ok(store) = Arc::try_unwrap(opened) {
        harness.stop(store).await;
    }
}

pub async fn holds_end_once<H: Harness>() {
    let harness = H::new();
    let opened = Arc::new(harness.open().await);
    let store = H::money(&opened);
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
    drop(store);
    if let Ok(store) = Arc::try_unwrap(opened) {
        harness.stop(store).await;
    }
}

pub async fn budgets_stop_and_warn<H: Harness>() {
    let harness = H::new();
    let opened = Arc::new(harness.open().await);
    let store = H::money(&opened);
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
    assert!(!store.remove_budget(budget.clone()).await.unwrap());
    // a budget is of the period, not of the time since it was set: taking it away and back forgets nothing
    let of = |period, function: Option<&str>| Budget {
        period,
        function: function.map(|f| f.parse().unwrap()),
        ..budget.clone()
    };
    let (now, later) = (UnixMillis(2), UnixMillis(86_400_000));
    for (budget, at, spent) in [
        (of(Period::Day, None), now, 100),
        (of(Period::Month, None), later, 100),
        (of(Period::Total, None), later, 100),
        (of(Period::Total, Some("nobody")), now, 0),
        (of(Period::Day, Some("nobody")), later, 0),
    ] {
        store.set_budget(budget.clone(), at).await.unwrap();
        let rows = store.budgets(&name, at).await.unwrap();
        let row = rows
            .iter()
            .find(|r| (&r.budget.function, r.budget.period) == (&budget.function, budget.period));
        assert_eq!(row.unwrap().spent, Datoshi(spent), "{budget:?}");
        assert!(store.remove_budget(budget).await.unwrap());
    }
    let tomorrow = of(Period::Day, None);
    store.set_budget(tomorrow.clone(), later).await.unwrap();
    assert_eq!(store.budgets(&name, later).await.unwrap()[0].spent, Datoshi(0));
    assert!(store.remove_budget(tomorrow).await.unwrap());
    drop(store);
    if let Ok(store) = Arc::try_unwrap(opened) {
        harness.stop(store).await;
    }
}

pub async fn a_purse_spends_no_more_than_its_lease<H: Harness>() {
    let harness = H::new();
    let opened = Arc::new(harness.open().await);
    let store = H::money(&opened);
    let first = vec![transfer(id("t", 1), Account::Treasury, project(1), 10_000)];
    store.write(first).await.unwrap();
    let options = LeaseOptions {
        size: Datoshi(1_000),
        price: UnitPrice(1_000_000),
    };
    let purses = || {
        let store: Arc<dyn LedgerStore> = store.clone();
        Purses::new(store, harness.clock(), &ENTROPY, options)
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
        let charge = reserved.settle(Units(7), None).unwrap();
        let invocation = InvocationId::from_bytes([n; 16]);
        let entries = charge.entries(invocation, Fence(1), UnixMillis(1));
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

    // a budget of the function, of which so much is spent already: each call is held for itself
    let budget = Budget {
        project: key.project.clone(),
        function: Some(key.function.clone()),
        period: Period::Total,
        limit: Datoshi(charged + 100),
    };
    store.set_budget(budget, UnixMillis(1)).await.unwrap();
    next.forget(&key.project).await.unwrap();
    let one = next.reserve(&key, Units(60)).await.unwrap();
    let two = next.reserve(&key, Units(60)).await;
    assert!(matches!(two, Err(ReserveError::Refused(Refused::Budget { .. }))));
    drop(one);
    let three = next.reserve(&key, Units(60)).await.unwrap();
    assert!(three.settle(Units(9), None).unwrap().closes);
    let open = HoldFilter {
        purpose: Purpose::Lease,
        project: None,
        open: true,
        limit: 10,
    };
    assert_eq!(store.holds(open).await.unwrap().len(), 1);
    drop(store);
    if let Ok(store) = Arc::try_unwrap(opened) {
        harness.stop(store).await;
    }
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

/// Whoever leaves while money is set aside for him, be it at the first moment or at the last, takes none of it along.
pub async fn who_leaves_keeps_nothing_on_hold<H: Harness>() {
    let harness = H::new();
    let opened = Arc::new(harness.open().await);
    let store = H::money(&opened);
    let first = vec![transfer(id("t", 1), Account::Treasury, project(1), 1_000)];
    store.write(first).await.unwrap();
    let options = LeaseOptions {
        size: Datoshi(600),
        price: UnitPrice(1_000_000),
    };
    let purses = Purses::new(store.clone(), harness.clock(), &ENTROPY, options);
    let shared = FunctionKey::new("p1".parse().unwrap(), "f".parse().unwrap());
    let own = FunctionKey::new("p1".parse().unwrap(), "g".parse().unwrap());
    let budget = Budget {
        project: own.project.clone(),
        function: Some(own.function.clone()),
        period: Period::Total,
        limit: Datoshi(1_000),
    };
    store.set_budget(budget, UnixMillis(1)).await.unwrap();
    for key in [&shared, &own] {
        for millis in 0..10 {
            // something lies in the purse, but too little
            drop(purses.reserve(&shared, Units(400)).await.unwrap());
            let mut leaving = std::pin::pin!(purses.reserve(key, Units(1_000)));
            let polled = std::future::poll_fn(|cx| Poll::Ready(leaving.as_mut().poll(cx).is_ready()));
            if !polled.await && millis > 0 {
                let _ = tokio::time::timeout(Duration::from_millis(millis), leaving).await;
            }
        }
        drop(purses.reserve(key, Units(1_000)).await.unwrap());
    }
    purses.give_back().await.unwrap();
    let state = store.account(&project(1)).await.unwrap().unwrap().state;
    assert_eq!((state.balance, state.held), (Datoshi(1_000), Datoshi(0)));
    assert!(store.totals().await.unwrap().sound());
    drop((store, purses));
    harness.stop(Arc::into_inner(opened).unwrap()).await;
}

/// What a write that failed may have done, and may not, is found out with the next one.
pub async fn a_failed_write_keeps_nothing_on_hold<H: Harness>() {
    let harness = H::new();
    let opened = Arc::new(harness.open().await);
    let store = H::money(&opened);
    let first = vec![transfer(id("t", 1), Account::Treasury, project(1), 1_000)];
    store.write(first).await.unwrap();
    let options = LeaseOptions {
        size: Datoshi(600),
        price: UnitPrice(1_000_000),
    };
    let flaky = Arc::new(Flaky::over(store.clone()));
    let purses = Purses::new(flaky.clone(), harness.clock(), &ENTROPY, options);
    let key = FunctionKey::new("p1".parse().unwrap(), "f".parse().unwrap());
    for fails in [Fails::Before, Fails::After] {
        drop(purses.reserve(&key, Units(400)).await.unwrap());
        for _ in 0..3 {
            flaky.fail_next(fails);
            let failed = purses.reserve(&key, Units(1_000)).await;
            assert!(matches!(failed, Err(ReserveError::Store(_))));
        }
        drop(purses.reserve(&key, Units(1_000)).await.unwrap());
        flaky.fail_next(fails);
        assert!(purses.give_back().await.is_err());
        purses.give_back().await.unwrap();
        let state = store.account(&project(1)).await.unwrap().unwrap().state;
        assert_eq!((state.balance, state.held), (Datoshi(1_000), Datoshi(0)));
    }
    assert!(store.totals().await.unwrap().sound());
    drop((store, flaky, purses));
    harness.stop(Arc::into_inner(opened).unwrap()).await;
}

pub async fn statements_page_backwards<H: Harness>() {
    let harness = H::new();
    let opened = Arc::new(harness.open().await);
    let store = H::money(&opened);
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
    drop(store);
    if let Ok(store) = Arc::try_unwrap(opened) {
        harness.stop(store).await;
    }
}

/// Credit pays for what is used and never leaves, whatever asks at the same moment: the rule is the ledger's, in the
/// transaction that writes.
pub async fn credit_does_not_leave_whoever_asks<H: Harness>() {
    let harness = H::new();
    let opened = Arc::new(harness.open().await);
    let store = H::money(&opened);
    let moves = |n: u64, purpose, debit: Account, credit: Account, amount: i64| {
        Entry::Transfer(Transfer {
            id: id("moves", n),
            purpose,
            debit,
            credit,
            amount: Datoshi(amount),
            at: UnixMillis(1),
            detail: Detail::default(),
        })
    };
    let leaves = |n: u64, purpose, amount: i64| {
        Entry::Hold(Hold {
            id: id("leaves", n),
            purpose,
            debit: project(1),
            credit: Account::Transit,
            amount: Datoshi(amount),
            at_least: Datoshi(amount),
            at: UnixMillis(1),
            detail: Detail::default(),
        })
    };
    // 60 of its own 100 were spent before it was given 50: that makes none of the credit its own
    let first = vec![
        transfer(id("t", 1), Account::Treasury, Account::Allocation, 1_000),
        transfer(id("t", 2), Account::Treasury, project(1), 100),
        moves(1, Purpose::Charge, project(1), Account::Fees, 60),
        moves(2, Purpose::Allocation, Account::Allocation, project(1), 50),
    ];
    for answer in store.write(first).await.unwrap() {
        assert!(answer.is_ok(), "{answer:?}");
    }
    let state = async || store.account(&project(1)).await.unwrap().unwrap().state;
    let now = state().await;
    assert_eq!(
        (now.balance, now.credit, now.own()),
        (Datoshi(90), Datoshi(50), Datoshi(40))
    );
    let refused = store
        .write(vec![leaves(1, Purpose::Withdrawal, 41)])
        .await
        .unwrap()
        .remove(0);
    let expected = Refused::Insufficient {
        account: project(1),
        available: Datoshi(40),
        needed: Datoshi(41),
    };
    assert_eq!(refused, Err(expected));

    // what is charged and taken back meanwhile is the credit, so exactly five times 7 of the 40 leave
    let all = (100..160u64).map(|n| {
        let store = store.clone();
        let entry = match n % 5 {
            0 | 1 => leaves(n, Purpose::Withdrawal, 7),
            2 => leaves(n, Purpose::Transfer, 7),
            3 => moves(n, Purpose::Charge, project(1), Account::Fees, 1),
            _ => moves(n, Purpose::Reclaim, project(1), Account::Allocation, 3),
        };
        let hold = matches!(entry, Entry::Hold(_)).then(|| id("leaves", n));
        tokio::spawn(async move {
            let answer = store.write(vec![entry]).await.unwrap().remove(0);
            match (hold, answer) {
                (None, answer) => answer.map(|_| None).unwrap(),
                (Some(hold), Ok(_)) => Some(hold),
                (Some(_), Err(_)) => None,
            }
        })
    });
    let mut held = Vec::new();
    for one in all.collect::<Vec<_>>() {
        held.extend(one.await.unwrap());
    }
    assert_eq!(held.len(), 5);
    let now = state().await;
    let spent = 12 + 12 * 3;
    assert_eq!((now.balance, now.held), (Datoshi(90 - spent), Datoshi(35)));
    assert_eq!((now.credit, now.own()), (Datoshi(50 - spent), Datoshi(5)));
    // more than the credit is not taken back, though the balance has it
    let more = moves(3, Purpose::Reclaim, project(1), Account::Allocation, 3);
    assert!(store.write(vec![more]).await.unwrap().remove(0).is_err());
    // what leaves takes its fees along, and no credit; an account keeps what it has over a restart
    for (n, hold) in held.into_iter().enumerate() {
        let entry = Entry::Post {
            id: id("gone", n as u64),
            hold,
            amount: Datoshi(7),
            purpose: Purpose::NetworkFee,
            at: UnixMillis(2),
            detail: Detail::default(),
        };
        assert!(store.write(vec![entry]).await.unwrap().remove(0).is_ok());
    }
    let now = state().await;
    assert_eq!(
        (now.balance, now.credit, now.own()),
        (Datoshi(7), Datoshi(2), Datoshi(5))
    );
    assert!(store.totals().await.unwrap().sound());
    drop(store);
    harness.stop(Arc::into_inner(opened).unwrap()).await;
}

/// An invocation with what is set aside for it.
fn with_hold(mut new: NewInvocation, amount: i64) -> NewInvocation {
    new.hold = Some(Hold {
        id: TransferId::hold_of(new.id),
        purpose: Purpose::Charge,
        debit: Account::Project(new.key.project.clone()),
        credit: Account::Fees,
        amount: Datoshi(amount),
        at_least: Datoshi(amount),
        at: new.at,
        detail: Detail {
            function: Some(new.key.function.clone()),
            price: Some(9),
            ..Detail::default()
        },
    });
    new
}
/// What an attempt is charged of that.
fn charged(claim: &Claimed, amount: i64) -> Charge {
    let hold = claim.hold.unwrap();
    assert_eq!(hold.price, UnitPrice(9));
    Charge {
        function: claim.key.function.clone(),
        hold: hold.id,
        amount: Datoshi(amount),
        units: 3,
        price: hold.price,
        closes: true,
        caller: claim.caller.clone(),
    }
}

/// What an invocation is accepted with, and what its attempts cost, is written with the invocation or not at all.
pub async fn an_end_and_its_charge_are_one<H: Harness>() {
    let harness = H::new();
    let opened = Arc::new(harness.open().await);
    let (store, money) = (&*opened, H::money(&opened));
    let f = key("p1", "f");
    deploy(store, &f).await;
    money
        .write(vec![transfer(id("t", 1), Account::Treasury, project(1), 100)])
        .await
        .unwrap();
    let state = async || {
        let row = money.account(&project(1)).await.unwrap().unwrap();
        (row.state.balance.0, row.state.held.0)
    };

    // accepted twice, set aside once; what cannot be paid is not accepted, and its key stays free
    let first = with_hold(queued(&f, 1), 40);
    for _ in 0..2 {
        store.admit(first.clone()).await.unwrap();
    }
    assert_eq!(state().await, (100, 40));
    let poor = with_hold(queued(&f, 1), 61);
    assert!(matches!(
        store.admit(poor.clone()).await,
        Err(StoreError::Unpaid(_))
    ));
    assert!(store.invocation(poor.id).await.unwrap().is_none());
    let poor = with_hold(keyed(&f, 2, "k", "body", Start::Queued), 61);
    assert!(matches!(store.admit(poor).await, Err(StoreError::Unpaid(_))));
    let second = with_hold(keyed(&f, 2, "k", "body", Start::Queued), 50);
    store.admit(second.clone()).await.unwrap();
    assert_eq!(state().await, (100, 90));

    // an attempt is charged with its end, and what it was accepted with goes back
    let claims = store
        .claim(UnixMillis(3), LEASE, 10, &Rooms::default())
        .await
        .unwrap();
    assert_eq!(claims.len(), 2);
    let ended = &claims[0];
    assert_eq!((ended.id, ended.hold.unwrap().left), (first.id, Datoshi(40)));
    let mut end = finish(ended.id, ended.fence, ok(), 4);
    end.charge = Some(charged(ended, 7));
    let mut late = end.clone();
    late.fence = Fence(99);
    assert!(matches!(store.finish(late).await, Err(StoreError::Fenced)));
    assert_eq!(state().await, (100, 90));
    store.finish(end.clone()).await.unwrap();
    assert!(matches!(store.finish(end).await, Err(StoreError::Fenced)));
    assert_eq!(state().await, (93, 50));

    // so is one that will be tried again; the next has nothing left
    let failed = &claims[1];
    let retry = Outcome::Retry {
        failure: failure(),
        at: UnixMillis(5),
    };
    let mut end = finish(failed.id, failed.fence, retry, 4);
    end.charge = Some(charged(failed, 5));
    store.finish(end).await.unwrap();
    assert_eq!(state().await, (88, 0));
    let claims = store
        .claim(UnixMillis(6), LEASE, 10, &Rooms::default())
        .await
        .unwrap();
    assert_eq!((claims.len(), claims[0].hold), (1, None));

    // a call that was never queued pays out of a lease, of which the rest stays
    money
        .write(vec![hold(id("lease", 1), project(1), 30, 30)])
        .await
        .unwrap();
    let mut call = record(&f, 7);
    call.finish.charge = Some(Charge {
        function: f.function.clone(),
        hold: id("lease", 1),
        amount: Datoshi(4),
        units: 2,
        price: UnitPrice(9),
        closes: false,
        caller: Some(Caller::new("account:N1")),
    });
    store.record(call.clone()).await.unwrap();
    assert!(matches!(store.record(call).await, Err(StoreError::Fenced)));
    assert_eq!(state().await, (84, 26));

    // each line says who had it run: whoever queued it, also when a later attempt is charged, and whoever called
    let filter = StatementFilter {
        before: None,
        since: None,
        limit: 10,
    };
    let lines = money.statement(&project(1), filter).await.unwrap();
    let charges = lines.iter().filter(|l| l.purpose == Purpose::Charge);
    let who: Vec<_> = charges
        .map(|l| l.detail.caller.as_ref().map(|c| c.as_str().to_owned()))
        .collect();
    let queuer = || Some("key:01 test".to_owned());
    assert_eq!(who, [Some("account:N1".to_owned()), queuer(), queuer()]);
    let kept = store.invocation(first.id).await.unwrap().unwrap();
    assert_eq!(kept.caller, first.caller);

    // what waits when its function goes gets its money back
    let waiting = with_hold(queued(&f, 8), 50);
    store.admit(waiting).await.unwrap();
    assert_eq!(state().await, (84, 76));
    store.delete_function(&f).await.unwrap();
    assert_eq!(state().await, (84, 26));
    let usage = UsageFilter {
        project: f.project.clone(),
        function: None,
        from: UnixMillis(0),
        until: UnixMillis(i64::MAX),
        after: None,
        limit: 10,
    };
    let used = money.usage(usage).await.unwrap();
    assert_eq!(
        (used[0].invocations, used[0].units, used[0].amount),
        (3, 8, Datoshi(16))
    );
    assert!(money.totals().await.unwrap().sound());
    drop(money);
    harness.stop(Arc::into_inner(opened).unwrap()).await;
}

/// Who deletes a function while it runs pays for its runs, and has back what those that died with their process had.
pub async fn runs_of_a_deleted_function_are_paid_for<H: Harness>() {
    let harness = H::new();
    let opened = Arc::new(harness.open().await);
    let (store, money) = (&*opened, H::money(&opened));
    let f = key("p1", "f");
    deploy(store, &f).await;
    let paid_in = transfer(id("t", 1), Account::Treasury, project(1), 100);
    let lease = hold(id("lease", 1), project(1), 10, 10);
    money.write(vec![paid_in, lease]).await.unwrap();
    for at in 1..=3 {
        store.admit(with_hold(queued(&f, at), 30)).await.unwrap();
    }
    let claims = store
        .claim(UnixMillis(10), LEASE, 2, &Rooms::default())
        .await
        .unwrap();
    let state = async || {
        let row = money.account(&project(1)).await.unwrap().unwrap();
        (row.state.balance.0, row.state.held.0)
    };
    assert_eq!(state().await, (100, 100));
    store.delete_function(&f).await.unwrap();
    assert_eq!(state().await, (100, 70), "of the one that waits");
    // nor does another function of the same name take anything along
    deploy(store, &f).await;
    store.delete_function(&f).await.unwrap();

    let mut end = finish(claims[0].id, claims[0].fence, ok(), 11);
    end.charge = Some(charged(&claims[0], 7));
    let mut call = record(&f, 11);
    call.finish.charge = Some(Charge {
        function: f.function.clone(),
        hold: id("lease", 1),
        amount: Datoshi(4),
        units: 2,
        price: UnitPrice(9),
        closes: false,
        caller: None,
    });
    for _ in 0..2 {
        let ended = store.finish(end.clone()).await;
        assert!(matches!(ended, Err(StoreError::NotFound)));
        assert_eq!(state().await, (93, 40));
    }
    for _ in 0..2 {
        let ended = store.record(call.clone()).await;
        assert!(matches!(ended, Err(StoreError::NotFound)));
        assert_eq!(state().await, (89, 36));
    }
    let options = LeaseOptions {
        size: Datoshi(10),
        price: UnitPrice(9),
    };
    let purses = Purses::new(money.clone(), harness.clock(), &ENTROPY, options);
    for process in purses.others().await.unwrap() {
        purses.recover_of(&process).await.unwrap();
    }
    assert_eq!(state().await, (89, 0));
    let mut late = finish(claims[1].id, claims[1].fence, ok(), 12);
    late.charge = Some(charged(&claims[1], 7));
    assert!(matches!(store.finish(late).await, Err(StoreError::NotFound)));
    assert_eq!(state().await, (89, 0));
    assert!(money.totals().await.unwrap().sound());
    drop((money, purses));
    harness.stop(Arc::into_inner(opened).unwrap()).await;
}

/// A dead letter that is tried again is a first attempt once more, and is paid for like any other.
pub async fn a_retried_dead_letter_is_charged_again<H: Harness>() {
    let harness = H::new();
    let opened = Arc::new(harness.open().await);
    let (store, money) = (&*opened, H::money(&opened));
    let f = key("p1", "f");
    deploy(store, &f).await;
    let lease = |n| hold(id("lease", n), project(1), 10, 10);
    money
        .write(vec![
            transfer(id("t", 1), Account::Treasury, project(1), 100),
            lease(1),
            lease(2),
            lease(3),
        ])
        .await
        .unwrap();
    let letter = queued(&f, 1);
    store.admit(letter.clone()).await.unwrap();
    for (n, outcome) in [
        (1, Outcome::Dead(failure())),
        (2, Outcome::Dead(failure())),
        (3, ok()),
    ] {
        let claim = store
            .claim(UnixMillis(10), LEASE, 1, &Rooms::default())
            .await
            .unwrap()
            .remove(0);
        assert_eq!(claim.attempt.0, 1);
        let last = matches!(outcome, Outcome::Succeeded(_));
        let mut end = finish(claim.id, claim.fence, outcome, 11);
        end.charge = Some(Charge {
            function: f.function.clone(),
            hold: id("lease", n),
            amount: Datoshi(4),
            units: 2,
            price: UnitPrice(2),
            closes: false,
            caller: None,
        });
        store.finish(end).await.unwrap();
        let state = money.account(&project(1)).await.unwrap().unwrap().state;
        let paid = 4 * i64::try_from(n).unwrap();
        assert_eq!(
            (state.balance, state.held),
            (Datoshi(100 - paid), Datoshi(30 - paid))
        );
        if !last {
            store.redo(letter.id, Redo::Retry, UnixMillis(10)).await.unwrap();
        }
    }
    assert!(money.totals().await.unwrap().sound());
    drop(money);
    harness.stop(Arc::into_inner(opened).unwrap()).await;
}

/// Where several processes write one ledger, what one sets aside is given back when it is known to be gone.
pub async fn of_a_shared_ledger_the_dead_give_back<H: Harness>() {
    let harness = H::new();
    let opened = Arc::new(harness.open().await);
    let store = H::money(&opened);
    let first = vec![transfer(id("t", 1), Account::Treasury, project(1), 10_000)];
    store.write(first).await.unwrap();
    let options = LeaseOptions {
        size: Datoshi(1_000),
        price: UnitPrice(1_000_000),
    };
    let purses = || Purses::new(store.clone(), harness.clock(), &ENTROPY, options);
    let key = FunctionKey::new("p1".parse().unwrap(), "f".parse().unwrap());
    let (gone, alive) = (purses(), purses());
    for purse in [&gone, &alive] {
        purse
            .reserve(&key, Units(40))
            .await
            .unwrap()
            .settle(Units(7), None)
            .unwrap();
    }
    assert_eq!(alive.others().await.unwrap(), [gone.process()].into());
    assert_eq!(alive.recover_of(&gone.process()).await.unwrap(), Datoshi(1_000));
    assert!(alive.others().await.unwrap().is_empty());
    let state = store.account(&project(1)).await.unwrap().unwrap().state;
    assert_eq!(state.held, Datoshi(1_000), "of the one that is alive");
    alive.give_back().await.unwrap();
    assert!(store.totals().await.unwrap().sound());
    drop((store, gone, alive));
    harness.stop(Arc::into_inner(opened).unwrap()).await;
}
