//! Whose money is whose: refills, sponsored fees, credit and own money, deposits that named nobody, closing.

use super::{Real, block_on, id, open, project, transfer};
use neofn_gas::ledger::{
    Account, Detail, Entry, Purpose, Refused, StatementFilter, Transfer, TransferId, UnitPrice,
};
use neofn_gas::port::{
    LedgerError, LedgerStore, Payment, PaymentError, PaymentName, PaymentState, Projects, Treasury,
};
use neofn_gas::{Bank, BankError, BankOptions, LeaseOptions, Needs, Policy, Purses, Refill, Sponsorship};
use neofn_store_sqlite::Store;
use neofn_types::{Clock, Datoshi, Hash256, ProjectName, ScriptHash, UnixMillis};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

type Test = (&'static str, fn());
pub const TESTS: &[Test] = &[
    ("a_refill_tops_up_once_an_hour", a_refill_tops_up_once_an_hour),
    (
        "fees_are_borne_by_whom_was_agreed",
        fees_are_borne_by_whom_was_agreed,
    ),
    (
        "first_credit_is_for_persons_not_for_projects_and_for_so_many_a_day",
        first_credit_is_for_persons_not_for_projects_and_for_so_many_a_day,
    ),
    ("credit_cannot_be_taken_out", credit_cannot_be_taken_out),
    (
        "a_deposit_of_nobody_is_given_once",
        a_deposit_of_nobody_is_given_once,
    ),
    (
        "closing_parts_credit_from_own_money",
        closing_parts_credit_from_own_money,
    ),
];

const HOUR: i64 = 3_600_000;
const FEE_MAX: i64 = 10;

/// A clock that stands until it is moved.
struct Hand(AtomicI64);
impl Clock for Hand {
    fn now(&self) -> UnixMillis {
        UnixMillis(self.0.load(Ordering::SeqCst))
    }
    fn monotonic(&self) -> Duration {
        Duration::from_millis(self.now().0.unsigned_abs())
    }
}

/// A treasury whose payments end as the test says.
#[derive(Default)]
struct Said {
    states: Mutex<BTreeMap<String, PaymentState>>,
    paid: Mutex<Vec<Payment>>,
}
fn name(name: &PaymentName) -> String {
    format!("{name:?}")
}
#[async_trait::async_trait]
impl Treasury for Said {
    fn network(&self) -> u32 {
        42
    }
    async fn account(&self) -> Result<Option<ScriptHash>, PaymentError> {
        Ok(Some(ScriptHash([1; 20])))
    }
    async fn balance(&self, _: &[ScriptHash]) -> Result<(u64, Datoshi), PaymentError> {
        Ok((1, Datoshi(0)))
    }
    async fn pay(&self, payment: Payment) -> Result<PaymentState, PaymentError> {
        self.paid.lock().unwrap().push(payment);
        Ok(PaymentState::Waiting { tx: None })
    }
    async fn moved(&self, _: Hash256, _: &BTreeSet<ScriptHash>) -> Result<Datoshi, PaymentError> {
        let paid = self.paid.lock().unwrap();
        Ok(paid.last().map_or(Datoshi::ZERO, |payment| payment.amount))
    }
    async fn state(&self, of: &PaymentName) -> Result<Option<PaymentState>, PaymentError> {
        Ok(self.states.lock().unwrap().get(&name(of)).copied())
    }
}
struct Every;
#[async_trait::async_trait]
impl Projects for Every {
    async fn exists(&self, _: &ProjectName) -> Result<bool, LedgerError> {
        Ok(true)
    }
    /// `of3-x` is of the third person; other names are an operator's.
    async fn maker(&self, project: &ProjectName) -> Result<Option<ScriptHash>, LedgerError> {
        let person = project
            .as_str()
            .strip_prefix("of")
            .and_then(|n| n.split('-').next());
        Ok(person.and_then(|n| n.parse().ok()).map(|n| ScriptHash([n; 20])))
    }
}

struct Scene {
    store: Arc<Store>,
    bank: Bank,
    clock: Arc<Hand>,
    treasury: Arc<Said>,
}

fn scene(dir: &Path) -> Scene {
    let store = open(dir);
    let clock = Arc::new(Hand(AtomicI64::new(1_000 * HOUR)));
    let treasury = Arc::new(Said::default());
    let lease = LeaseOptions {
        size: LeaseOptions::SIZE,
        price: UnitPrice(0),
    };
    let bank = Bank::new(BankOptions {
        store: store.clone(),
        treasury: Some(treasury.clone()),
        projects: Arc::new(Every),
        purses: Purses::new(store.clone(), clock.clone(), &Real, lease),
        clock: clock.clone(),
        allocation: Datoshi(100),
        withdrawal_fee_max: Datoshi(FEE_MAX),
    });
    Scene {
        store,
        bank,
        clock,
        treasury,
    }
}

/// A transaction of the shop's function `f` that costs its fees alone.
fn costs(managed: [u8; 16], amount: i64) -> Needs {
    Needs {
        managed,
        project: Some(shop()),
        function: Some("f".parse().unwrap()),
        invocation: None,
        sender: ScriptHash([1; 20]),
        fees: Datoshi(amount),
        gas: Vec::new(),
        tokens: Vec::new(),
    }
}

fn shop() -> ProjectName {
    "p1".parse().unwrap()
}

impl Scene {
    async fn write(&self, entry: Entry) {
        let answers = self.store.write(vec![entry]).await.unwrap();
        assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    }
    async fn pay_in(&self, n: u64, to: Account, amount: i64) {
        self.write(transfer(id("in", n), Account::Treasury, to, amount))
            .await;
    }
    async fn available(&self, account: &Account) -> i64 {
        let row = self.store.account(account).await.unwrap();
        row.map_or(0, |r| r.state.available().0)
    }
    /// Spends, as the fees of a transaction do.
    async fn charge(&self, n: u64, amount: i64) {
        self.write(Entry::Transfer(Transfer {
            id: id("charge", n),
            purpose: Purpose::NetworkFee,
            debit: project(1),
            credit: Account::Transit,
            amount: Datoshi(amount),
            at: self.clock.now(),
            detail: Detail::default(),
        }))
        .await;
    }
    async fn end(self) {
        assert!(self.store.totals().await.unwrap().sound());
        drop(self.bank);
        self.store.close().await.unwrap();
    }
}

fn run(test: impl AsyncFnOnce(&Scene)) {
    let dir = tempfile::tempdir().unwrap();
    block_on(async {
        let scene = scene(dir.path());
        test(&scene).await;
        scene.end().await;
    });
}

fn a_refill_tops_up_once_an_hour() {
    run(async |scene| {
        let Scene { bank, clock, .. } = scene;
        scene.pay_in(1, Account::Operator, 1_000).await;
        scene.pay_in(2, project(1), 60).await;
        let refill = |below, to| Policy {
            refill: Some(Refill {
                below: Datoshi(below),
                to: Datoshi(to),
            }),
            ..Policy::default()
        };
        for wrong in [refill(0, 5), refill(5, 4), refill(-1, 4)] {
            assert!(bank.set_policy(&shop(), wrong).await.is_err());
        }
        bank.set_policy(&shop(), refill(50, 200)).await.unwrap();
        assert_eq!(bank.activate().await.unwrap().refilled, 0, "60 is enough");
        scene.charge(1, 11).await;
        assert_eq!(bank.activate().await.unwrap().refilled, 1);
        assert_eq!(scene.available(&project(1)).await, 200);
        assert_eq!(scene.available(&Account::Operator).await, 1_000 - 151);
        assert_eq!(scene.available(&Account::Allocation).await, 0);

        // burnt within the hour: not again before the next one
        scene.charge(2, 190).await;
        assert_eq!(bank.activate().await.unwrap().refilled, 0);
        assert_eq!(scene.available(&project(1)).await, 10);
        clock.0.fetch_add(HOUR, Ordering::SeqCst);
        assert_eq!(bank.activate().await.unwrap().refilled, 1);
        assert_eq!(bank.activate().await.unwrap().refilled, 0);
        assert_eq!(scene.available(&project(1)).await, 200);

        // an operator without money gives nothing, and stops nobody else
        scene.charge(3, 200).await;
        bank.set_policy(&shop(), refill(50, 5_000)).await.unwrap();
        scene.pay_in(3, project(2), 1).await;
        bank.set_policy(&"p2".parse().unwrap(), refill(50, 60))
            .await
            .unwrap();
        clock.0.fetch_add(HOUR, Ordering::SeqCst);
        assert_eq!(bank.activate().await.unwrap().refilled, 1);
        assert_eq!(scene.available(&project(1)).await, 0);
        assert_eq!(scene.available(&project(2)).await, 60);
        // what was agreed ends: nothing comes any more
        bank.set_policy(&"p2".parse().unwrap(), Policy::default())
            .await
            .unwrap();
        clock.0.fetch_add(HOUR, Ordering::SeqCst);
        assert_eq!(bank.activate().await.unwrap().refilled, 0);
    });
}

fn fees_are_borne_by_whom_was_agreed() {
    run(async |scene| {
        let Scene { bank, treasury, .. } = scene;
        scene.pay_in(1, project(1), 100).await;
        scene.pay_in(2, Account::Allocation, 100).await;
        let mined = |id: [u8; 16], state| {
            treasury
                .states
                .lock()
                .unwrap()
                .insert(name(&PaymentName::Managed(id)), state);
        };
        let tx = Hash256([3; 32]);

        // the project's own transaction: what it may cost is set aside, what it cost is charged, also when it faults
        bank.cover(&costs([1; 16], 30)).await.unwrap();
        bank.cover(&costs([2; 16], 30)).await.unwrap();
        assert_eq!(scene.available(&project(1)).await, 40);
        let fees = Datoshi(12);
        mined([1; 16], PaymentState::Paid { tx, fees });
        mined([2; 16], PaymentState::Faulted { tx, fees });
        assert_eq!(bank.activate().await.unwrap().ended, 2);
        assert_eq!(scene.available(&project(1)).await, 100 - 24);
        let filter = StatementFilter {
            before: None,
            since: None,
            limit: 10,
        };
        let line = bank.statement(&shop(), filter).await.unwrap().remove(0);
        assert_eq!((line.purpose, line.amount), (Purpose::NetworkFee, Datoshi(-12)));
        assert_eq!(
            (line.detail.tx, line.detail.function),
            (Some(tx), Some("f".parse().unwrap()))
        );
        // it cannot set aside what it does not have
        let refused = bank.cover(&costs([3; 16], 77)).await;
        assert!(matches!(
            refused,
            Err(BankError::Refused(Refused::Insufficient { .. }))
        ));

        // sponsored: the operator's gifts bear it, and nothing of the project's moves
        let sponsored = Policy {
            sponsorship: Sponsorship::Platform,
            ..Policy::default()
        };
        bank.set_policy(&shop(), sponsored).await.unwrap();
        bank.cover(&costs([4; 16], 80)).await.unwrap();
        assert_eq!(scene.available(&project(1)).await, 76);
        assert_eq!(scene.available(&Account::Allocation).await, 20);
        // beyond what there is to give, nothing is signed
        assert!(bank.cover(&costs([5; 16], 21)).await.is_err());
        mined([4; 16], PaymentState::Paid { tx, fees });
        assert_eq!(bank.activate().await.unwrap().ended, 1);
        assert_eq!(scene.available(&project(1)).await, 76);
        assert_eq!(scene.available(&Account::Allocation).await, 88);
        // where there is nothing to give, it comes from the operator's own
        scene.pay_in(3, Account::Operator, 100).await;
        bank.cover(&costs([5; 16], 90)).await.unwrap();
        bank.cover(&costs([5; 16], 90)).await.unwrap();
        assert_eq!(scene.available(&Account::Operator).await, 98);
        mined([5; 16], PaymentState::Paid { tx, fees });
        assert_eq!(bank.activate().await.unwrap().ended, 1);
        assert_eq!(scene.available(&Account::Allocation).await, 78);
        assert_eq!(scene.available(&project(1)).await, 76);
        // one that never came on chain costs nobody anything
        bank.cover(&costs([6; 16], 50)).await.unwrap();
        mined([6; 16], PaymentState::Never);
        assert_eq!(bank.activate().await.unwrap().ended, 1);
        assert_eq!(scene.available(&Account::Allocation).await, 78);
    });
}

fn first_credit_is_for_persons_not_for_projects_and_for_so_many_a_day() {
    run(async |scene| {
        scene.pay_in(1, Account::Operator, 100_000).await;
        let open = async |name: &str| scene.bank.open_account(&name.parse().unwrap()).await.unwrap().0;
        let has = async |name: &str| scene.available(&Account::Project(name.parse().unwrap())).await;
        assert_eq!(open("of1-one").await, 100);
        // whatever they make after that, and however often it is asked for
        for name in ["of1-two", "of1-three", "of1-two"] {
            assert_eq!((open(name).await, has(name).await), (0, 0));
        }
        assert_eq!(has("of1-one").await, 100);
        for person in 2..=50 {
            assert_eq!(open(&format!("of{person}-one")).await, 100);
        }
        // also of those that a start finds without
        let found: Vec<_> = (40..=101)
            .map(|person| format!("of{person}-one").parse().unwrap())
            .collect();
        scene.bank.open_accounts(&found).await;
        assert_eq!((has("of100-one").await, has("of101-one").await), (100, 0));
        assert_eq!(open("of101-one").await, 0, "addresses cost nothing");
        assert_eq!(
            open("operators").await,
            100,
            "what an operator makes is not counted"
        );
        scene.clock.0.fetch_add(25 * HOUR, Ordering::SeqCst);
        assert_eq!(open("of101-one").await, 100, "the day after");
    });
}

fn credit_cannot_be_taken_out() {
    run(async |scene| {
        let Scene { bank, .. } = scene;
        scene.pay_in(1, Account::Operator, 1_000).await;
        assert_eq!(bank.open_account(&shop()).await.unwrap(), Datoshi(100));
        assert_eq!(bank.open_account(&shop()).await.unwrap(), Datoshi(100));
        assert_eq!(scene.available(&project(1)).await, 100, "once");
        let to = ScriptHash([9; 20]);
        let refused = bank.withdraw(&shop(), Datoshi(1), to, "w").await;
        assert!(matches!(
            refused,
            Err(BankError::Refused(Refused::Insufficient { .. }))
        ));

        scene.pay_in(2, project(1), 50).await;
        // credit is spent first: own money stays
        scene.charge(1, 30).await;
        let estate = bank.estate(&shop()).await.unwrap();
        assert_eq!((estate.credit, estate.own), (Datoshi(70), Datoshi(50)));
        assert!(bank.withdraw(&shop(), Datoshi(41), to, "w").await.is_err());
        bank.withdraw(&shop(), Datoshi(30), to, "w").await.unwrap();
        // the same again is the same one, and the rest is not enough for another
        bank.withdraw(&shop(), Datoshi(30), to, "w").await.unwrap();
        assert!(bank.withdraw(&shop(), Datoshi(1), to, "x").await.is_err());
        assert_eq!(scene.available(&project(1)).await, 80);
        // more was spent than was given: all that is left is its own
        scene.charge(2, 75).await;
        let estate = bank.estate(&shop()).await.unwrap();
        assert_eq!(
            (estate.credit, estate.own, estate.held),
            (Datoshi(0), Datoshi(5), Datoshi(40))
        );

        // many at once do not get more than there is
        scene
            .pay_in(3, Account::Project("p2".parse().unwrap()), 100)
            .await;
        bank.open_account(&"p2".parse().unwrap()).await.unwrap();
        let all = (0..8).map(|n| {
            let bank = bank.clone();
            tokio::spawn(async move {
                bank.withdraw(&"p2".parse().unwrap(), Datoshi(20), to, format!("{n}").as_str())
                    .await
                    .is_ok()
            })
        });
        let mut done = 0;
        for one in all.collect::<Vec<_>>() {
            done += i32::from(one.await.unwrap());
        }
        assert_eq!(done, 3, "of 100 at 30 each; the credit stays");
    });
}

fn a_deposit_of_nobody_is_given_once() {
    run(async |scene| {
        let Scene { bank, .. } = scene;
        let (tx, party) = (Hash256([7; 32]), ScriptHash([8; 20]));
        let deposit = |n: u64, amount| {
            Entry::Transfer(Transfer {
                id: id("deposit", n),
                purpose: Purpose::Deposit,
                debit: Account::Treasury,
                credit: Account::Suspense,
                amount: Datoshi(amount),
                at: UnixMillis(1),
                detail: Detail {
                    tx: Some(tx),
                    party: Some(party),
                    ..Detail::default()
                }
                .note("shop, please"),
            })
        };
        for n in 1..=3 {
            scene.write(deposit(n, i64::try_from(n).unwrap() * 10)).await;
        }
        let other: ProjectName = "p2".parse().unwrap();
        let given = bank.attribute(id("deposit", 2), &shop()).await.unwrap();
        assert_eq!((given.line.amount, given.line.detail.tx), (Datoshi(20), Some(tx)));
        // again is nothing new; to another is refused
        bank.attribute(id("deposit", 2), &shop()).await.unwrap();
        let twice = bank.attribute(id("deposit", 2), &other).await;
        assert!(
            matches!(twice, Err(BankError::Refused(Refused::Mismatch(_)))),
            "{twice:?}"
        );
        assert_eq!(scene.available(&project(1)).await, 20);
        assert_eq!(scene.available(&Account::Suspense).await, 40);
        // what is no deposit in suspense is nobody's to give
        scene.pay_in(1, project(1), 5).await;
        for wrong in [
            id("in", 1),
            id("deposit", 9),
            TransferId::of("attribution", &[&id("deposit", 2).0]),
        ] {
            assert!(bank.attribute(wrong, &other).await.is_err());
        }
        let filter = |before, limit| StatementFilter {
            before,
            since: None,
            limit,
        };
        let (all, next) = bank.suspense(filter(None, 10)).await.unwrap();
        let shown: Vec<_> = all
            .iter()
            .map(|s| (s.line.amount.0, s.given.as_ref().map(|(to, _)| to.to_string())))
            .collect();
        assert_eq!(shown, [(30, None), (20, Some("p1".to_owned())), (10, None)]);
        assert_eq!(all[0].line.detail.note.as_deref(), Some("shop, please"));
        assert_eq!(next, None);
        let (page, next) = bank.suspense(filter(None, 2)).await.unwrap();
        assert_eq!(page.len(), 1, "the gift itself is no deposit");
        let (rest, _) = bank.suspense(filter(next, 2)).await.unwrap();
        assert_eq!(rest.len(), 2);
        // the project sees where it came from, and may take it out
        assert_eq!(bank.estate(&shop()).await.unwrap().own, Datoshi(25));
        let line = bank.statement(&shop(), filter(None, 10)).await.unwrap().remove(1);
        assert_eq!(
            (line.purpose, line.detail.party),
            (Purpose::Attribution, Some(party))
        );
    });
}

fn closing_parts_credit_from_own_money() {
    run(async |scene| {
        let Scene { bank, treasury, .. } = scene;
        scene.pay_in(1, Account::Operator, 1_000).await;
        bank.open_account(&shop()).await.unwrap();
        scene.pay_in(2, project(1), 200).await;
        scene.charge(1, 40).await;
        let policy = Policy {
            refill: Some(Refill {
                below: Datoshi(500),
                to: Datoshi(600),
            }),
            sponsorship: Sponsorship::Platform,
            ..Policy::default()
        };
        bank.set_policy(&shop(), policy.clone()).await.unwrap();
        let to = ScriptHash([9; 20]);
        assert!(
            bank.close(&shop(), None, "c", "1").await.is_err(),
            "its own money goes somewhere"
        );
        assert_eq!(
            bank.policy(&shop()).await.unwrap(),
            policy,
            "a refusal changes nothing"
        );

        let closed = bank.close(&shop(), Some(to), "c", "2").await.unwrap();
        assert_eq!(closed.reclaimed, Datoshi(60));
        assert_eq!(closed.withdrawal.as_ref().unwrap().amount, Datoshi(200 - FEE_MAX));
        assert_eq!(closed.left, Datoshi(0));
        assert_eq!(bank.policy(&shop()).await.unwrap(), Policy::default());
        assert_eq!(scene.available(&Account::Allocation).await, 60);
        // asking again, as after a lost answer, is the same withdrawal
        let again = bank.close(&shop(), Some(to), "c", "3").await.unwrap();
        assert_eq!(
            (again.reclaimed, again.withdrawal.unwrap().id),
            (Datoshi(0), closed.withdrawal.unwrap().id)
        );
        let open = bank.withdrawals(&shop(), 10).await.unwrap();
        assert_eq!(open.len(), 1);

        bank.activate().await.unwrap();
        let payment = treasury.paid.lock().unwrap()[0].clone();
        assert_eq!((payment.amount, payment.to), (Datoshi(190), to));
        let paid = PaymentName::Payment {
            project: shop(),
            idempotency: payment.idempotency,
        };
        let state = PaymentState::Paid {
            tx: Hash256([3; 32]),
            fees: Datoshi(4),
        };
        treasury.states.lock().unwrap().insert(name(&paid), state);
        assert_eq!(
            bank.activate().await.unwrap().refilled,
            0,
            "nothing is given any more"
        );
        // what the fees did not need is less than it costs to send, and stays its own
        let last = bank.close(&shop(), None, "d", "4").await.unwrap();
        assert_eq!(
            (last.reclaimed, last.withdrawal, last.left),
            (Datoshi(0), None, Datoshi(6))
        );
    });
}
