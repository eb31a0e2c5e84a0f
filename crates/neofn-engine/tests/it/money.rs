//! What runs cost: set aside before, settled after, refused when there is nothing, never charged twice.

use crate::fakes::TestClock;
use crate::rig::{Rig, eventually};
use neofn_engine::port::Status;
use neofn_engine::request::Invoke;
use neofn_gas::ledger::{
    Account, Detail, Entry, Purpose, StatementFilter, StatementLine, Transfer, TransferId, UnitPrice,
};
use neofn_gas::port::LedgerStore as _;
use neofn_gas::{LeaseOptions, Purses};
use neofn_store_sqlite::Store;
use neofn_types::{Code, Datoshi, Entropy, UnixMillis};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// A datoshi for every hundred units: the fakes use 10 000 units, so a call costs 100 and sets aside 100 000.
const PRICE: u64 = 10_000;
const COST: i64 = 100;
const MOST: i64 = 100_000;

struct Bytes;
impl Entropy for Bytes {
    fn fill(&self, out: &mut [u8]) {
        // names of leases must differ between processes
        static NEXT: std::sync::atomic::AtomicU8 = std::sync::atomic::AtomicU8::new(1);
        out.fill(NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed));
    }
}

pub fn purses(store: &Arc<Store>, price: u64) -> Purses {
    let lease = LeaseOptions {
        size: Datoshi(3 * MOST),
        price: UnitPrice(price),
    };
    Purses::new(store.clone(), Arc::new(TestClock::new()), &Bytes, lease)
}

fn new() -> Rig {
    Rig::priced(
        Arc::new(tempfile::tempdir().unwrap()),
        Arc::new(TestClock::new()),
        PRICE,
    )
}
fn demo() -> Account {
    Account::Project("demo".parse().unwrap())
}
async fn pay_in(rig: &Rig, amount: i64) {
    let transfer = Transfer {
        id: TransferId::of("test", &[&amount.to_be_bytes()]),
        purpose: Purpose::Deposit,
        debit: Account::Treasury,
        credit: demo(),
        amount: Datoshi(amount),
        at: UnixMillis(1),
        detail: Detail::default(),
    };
    let answers = rig
        .store
        .store
        .write(vec![Entry::Transfer(transfer)])
        .await
        .unwrap();
    for answer in answers {
        answer.unwrap();
    }
}
async fn charges(rig: &Rig) -> Vec<StatementLine> {
    let filter = StatementFilter {
        before: None,
        since: None,
        limit: 1_000,
    };
    let lines = rig.store.store.statement(&demo(), filter).await.unwrap();
    lines
        .into_iter()
        .filter(|l| l.purpose == Purpose::Charge)
        .collect()
}
async fn balance(rig: &Rig) -> i64 {
    let row = rig.store.store.account(&demo()).await.unwrap();
    row.map_or(0, |r| r.state.balance.0)
}
async fn sound(rig: &Rig) {
    let totals = rig.store.store.totals().await.unwrap();
    assert!(totals.sound(), "{totals:?}");
}

#[tokio::test]
async fn nothing_runs_on_an_empty_account() {
    let rig = new();
    rig.deploy("f", "count").await;
    let refused = rig.invoke("f", "null").await.unwrap_err();
    assert_eq!(refused.code, Code::AccountEmpty, "{refused}");
    let mut keyed = rig.call("f", "null");
    keyed.idempotency = Some("once".to_owned());
    let refused = rig.engine.invoke(keyed.clone()).await.unwrap_err();
    assert_eq!(refused.code, Code::AccountEmpty);
    let refused = rig.engine.enqueue(rig.call("f", "null")).await.unwrap_err();
    assert_eq!(refused.code, Code::AccountEmpty);
    // one datoshi short of what a call may cost
    pay_in(&rig, MOST - 1).await;
    assert_eq!(
        rig.invoke("f", "null").await.unwrap_err().code,
        Code::AccountEmpty
    );
    assert_eq!(rig.kv("n").await, None, "not a half run");
    assert_eq!(charges(&rig).await, []);
    // the same key works once there is money: the refusal left no trace of it
    pay_in(&rig, MOST).await;
    rig.engine.invoke(keyed).await.unwrap();
    assert_eq!(balance(&rig).await, 2 * MOST - 1 - COST);
    sound(&rig).await;
}

#[tokio::test]
async fn a_run_costs_what_it_used_once() {
    let rig = new();
    rig.deploy("f", "echo").await;
    pay_in(&rig, 10 * MOST).await;
    for n in 1..=20 {
        rig.invoke("f", "1").await.unwrap();
        eventually("charged", || async { charges(&rig).await.len() == n }).await;
    }
    let keyed = Invoke {
        idempotency: Some("once".to_owned()),
        ..rig.call("f", "1")
    };
    for _ in 0..3 {
        rig.engine.invoke(keyed.clone()).await.unwrap();
    }
    assert_eq!(charges(&rig).await.len(), 21);
    assert_eq!(balance(&rig).await, 10 * MOST - 21 * COST);
    let line = charges(&rig).await.remove(0);
    assert_eq!(
        (line.detail.units, line.detail.price, line.amount.0),
        (Some(10_000), Some(PRICE), -COST)
    );
    sound(&rig).await;
}

#[tokio::test]
async fn every_attempt_of_a_queued_call_is_charged_once_and_its_hold_goes_back() {
    let rig = new();
    rig.deploy("flaky", "flaky 3").await;
    rig.deploy("bad", "fail NF0203").await;
    pay_in(&rig, 20 * MOST).await;
    let flaky = rig.enqueue("flaky", "null").await;
    rig.until_later(flaky, Status::Succeeded).await;
    assert_eq!(charges(&rig).await.len(), 3);
    let bad = rig.enqueue("bad", "null").await;
    rig.until(bad, Status::Failed).await;
    assert_eq!(charges(&rig).await.len(), 4);
    assert_eq!(balance(&rig).await, 20 * MOST - 4 * COST);
    rig.engine
        .delete(&crate::rig::key("bad"), neofn_engine::request::Callers::Refuse)
        .await
        .unwrap();
    let hold = rig
        .store
        .store
        .hold(TransferId::hold_of(flaky))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(hold.left, Datoshi(0));
    sound(&rig).await;
}

#[tokio::test]
async fn what_waits_in_the_queue_of_a_deleted_function_gives_its_money_back() {
    let rig = new();
    rig.deploy("f", "echo").await;
    pay_in(&rig, 5 * MOST).await;
    rig.engine.set_active(&crate::rig::key("f"), true).await.unwrap();
    // not yet run when the process ends
    let (dir, clock) = {
        let _ = rig.enqueue("f", "1").await;
        rig.crash().await
    };
    let rig = Rig::priced(dir, clock, PRICE);
    let _ = rig
        .engine
        .delete(&crate::rig::key("f"), neofn_engine::request::Callers::Refuse)
        .await;
    eventually("nothing is set aside", || async {
        rig.store
            .store
            .account(&demo())
            .await
            .unwrap()
            .unwrap()
            .state
            .held
            == Datoshi(0)
    })
    .await;
    sound(&rig).await;
}

/// What its runs did outside stays; so does what they cost.
#[tokio::test]
async fn who_deletes_a_function_while_it_runs_pays_for_its_runs() {
    let rig = new();
    rig.deploy("f", "block").await;
    rig.deploy("writes", "count-block").await;
    pay_in(&rig, 20 * MOST).await;
    let _ = rig.enqueue("f", "1").await;
    let keyed = Invoke {
        idempotency: Some("once".to_owned()),
        ..rig.call("f", "1")
    };
    let calls = [rig.call("f", "1"), keyed, rig.call("writes", "1")].map(|call| {
        let engine = rig.engine.clone();
        tokio::spawn(async move { engine.invoke(call).await })
    });
    eventually("all run", || async {
        rig.runtime.running.load(Ordering::SeqCst) == 4
    })
    .await;
    for name in ["f", "writes"] {
        let callers = neofn_engine::request::Callers::Refuse;
        rig.engine.delete(&crate::rig::key(name), callers).await.unwrap();
    }
    rig.runtime.gate.0.add_permits(4);
    for call in calls {
        let _ = call.await.unwrap();
    }
    eventually("all are charged", || async { charges(&rig).await.len() == 4 }).await;
    assert_eq!(balance(&rig).await, 20 * MOST - 4 * COST);
    sound(&rig).await;
}

#[tokio::test]
async fn leases_of_a_dead_process_come_back() {
    let rig = new();
    rig.deploy("f", "echo").await;
    pay_in(&rig, 3 * MOST).await;
    rig.invoke("f", "1").await.unwrap();
    eventually("charged", || async { charges(&rig).await.len() == 1 }).await;
    let held = |rig: &Rig| {
        let store = rig.store.store.clone();
        async move { store.account(&demo()).await.unwrap().unwrap().state.held }
    };
    assert!(held(&rig).await > Datoshi(0));
    let (dir, clock) = rig.crash().await;
    let rig = Rig::priced(dir, clock, PRICE);
    purses(&rig.store.store, PRICE).recover().await.unwrap();
    assert_eq!(held(&rig).await, Datoshi(0));
    assert_eq!(balance(&rig).await, 3 * MOST - COST);
    sound(&rig).await;
}

/// A caller who leaves at any moment leaves a call behind that runs and is paid for, and the account's money with the account.
#[tokio::test]
async fn who_leaves_while_money_is_set_aside_takes_none_along() {
    let rig = new();
    rig.deploy("f", "echo").await;
    // loaded, and its budgets looked up: what is waited for next is the money
    let refused = rig.invoke("f", "1").await.unwrap_err();
    assert_eq!(refused.code, Code::AccountEmpty);
    pay_in(&rig, 2 * MOST).await;
    {
        let mut call = std::pin::pin!(rig.engine.invoke(rig.call("f", "1")));
        let polled = std::future::poll_fn(|cx| std::task::Poll::Ready(call.as_mut().poll(cx).is_pending()));
        assert!(polled.await, "it has not ended");
    }
    rig.invoke("f", "1").await.unwrap();
    eventually("both are charged", || async { charges(&rig).await.len() == 2 }).await;
    assert_eq!(balance(&rig).await, 2 * MOST - 2 * COST);
    sound(&rig).await;
}

#[tokio::test]
async fn a_free_node_keeps_no_accounts() {
    let rig = Rig::priced(
        Arc::new(tempfile::tempdir().unwrap()),
        Arc::new(TestClock::new()),
        0,
    );
    rig.deploy("f", "echo").await;
    rig.invoke("f", "1").await.unwrap();
    let id = rig.enqueue("f", "1").await;
    rig.until(id, Status::Succeeded).await;
    assert_eq!(rig.store.store.account(&demo()).await.unwrap(), None);
}
