//! The bank over the ledger: what transactions take out of the treasury is set aside before, and settled by what a block
//! shows.

use super::Harness;
use super::support::Counter;
use neofn_gas::ledger::{
    Account, Budget, Detail, Entry, Period, Purpose, Refused, StatementFilter, Transfer, TransferId,
    UnitPrice,
};
use neofn_gas::port::{
    LedgerError, LedgerStore, Payment, PaymentError, PaymentName, PaymentState, Projects, Treasury,
};
use neofn_gas::{Bank, BankError, BankOptions, Given, LeaseOptions, Needs, Policy, Purses, Sponsorship};
use neofn_types::{Datoshi, Hash256, ProjectName, ScriptHash, UnixMillis};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

static ENTROPY: Counter = Counter(AtomicU64::new(1 << 40));
const OURS: ScriptHash = ScriptHash([1; 20]);
const THEIRS: ScriptHash = ScriptHash([2; 20]);
const TOKEN: ScriptHash = ScriptHash([3; 20]);
const TX: Hash256 = Hash256([9; 32]);

/// Transactions end as the test says.
#[derive(Default)]
struct Said {
    ends: Mutex<BTreeMap<[u8; 16], PaymentState>>,
    moved: Mutex<i64>,
    /// What the chain says that the treasury has.
    has: Mutex<i64>,
    locked: AtomicBool,
}
#[async_trait::async_trait]
impl Treasury for Said {
    fn network(&self) -> u32 {
        42
    }
    fn ready(&self) -> Result<(), PaymentError> {
        match self.locked.load(Ordering::SeqCst) {
            true => Err(PaymentError::Later("locked".to_owned())),
            false => Ok(()),
        }
    }
    async fn account(&self) -> Result<Option<ScriptHash>, PaymentError> {
        Ok(Some(OURS))
    }
    async fn balance(&self, _: &[ScriptHash]) -> Result<(u64, Datoshi), PaymentError> {
        Ok((1, Datoshi(*self.has.lock().unwrap())))
    }
    async fn pay(&self, _: Payment) -> Result<PaymentState, PaymentError> {
        Err(PaymentError::Later("not here".to_owned()))
    }
    async fn moved(&self, tx: Hash256, ours: &BTreeSet<ScriptHash>) -> Result<Datoshi, PaymentError> {
        assert_eq!((tx, ours), (TX, &[OURS].into()));
        Ok(Datoshi(*self.moved.lock().unwrap()))
    }
    async fn state(&self, name: &PaymentName) -> Result<Option<PaymentState>, PaymentError> {
        let PaymentName::Managed(id) = name else {
            return Ok(None);
        };
        Ok(self.ends.lock().unwrap().get(id).copied())
    }
}
struct Every;
#[async_trait::async_trait]
impl Projects for Every {
    async fn exists(&self, _: &ProjectName) -> Result<bool, LedgerError> {
        Ok(true)
    }
}

struct Scene {
    store: Arc<dyn LedgerStore>,
    bank: Bank,
    treasury: Arc<Said>,
}

fn shop() -> ProjectName {
    "p1".parse().unwrap()
}

impl Scene {
    fn new(store: Arc<dyn LedgerStore>, clock: Arc<dyn neofn_types::Clock>) -> Self {
        let lease = LeaseOptions {
            size: LeaseOptions::SIZE,
            price: UnitPrice(0),
        };
        let treasury = Arc::new(Said::default());
        let bank = Bank::new(BankOptions {
            store: store.clone(),
            treasury: Some(treasury.clone()),
            projects: Arc::new(Every),
            purses: Purses::new(store.clone(), clock.clone(), &ENTROPY, lease),
            clock,
            allocation: Datoshi(0),
            withdrawal_fee_max: Datoshi(10),
        });
        Self {
            store,
            bank,
            treasury,
        }
    }
    async fn moves(&self, n: u64, purpose: Purpose, debit: Account, credit: Account, amount: i64) {
        let transfer = Transfer {
            id: TransferId::of("test", &[&n.to_be_bytes()]),
            purpose,
            debit,
            credit,
            amount: Datoshi(amount),
            at: UnixMillis(1),
            detail: Detail::default(),
        };
        let answers = self.store.write(vec![Entry::Transfer(transfer)]).await.unwrap();
        assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    }
    async fn pay_in(&self, n: u64, account: Account, amount: i64) {
        self.moves(n, Purpose::Deposit, Account::Treasury, account, amount)
            .await;
    }
    /// Balance and what can be spent of it.
    async fn has(&self, account: &Account) -> (i64, i64) {
        let row = self.store.account(account).await.unwrap();
        row.map_or((0, 0), |r| (r.state.balance.0, r.state.available().0))
    }
    async fn project(&self) -> (i64, i64) {
        self.has(&Account::Project(shop())).await
    }
    async fn transit(&self) -> i64 {
        self.has(&Account::Transit).await.0
    }
    fn ends(&self, id: [u8; 16], state: PaymentState, moved: i64) {
        self.treasury.ends.lock().unwrap().insert(id, state);
        *self.treasury.moved.lock().unwrap() = moved;
    }
    async fn settle(&self, id: [u8; 16], state: PaymentState, moved: i64) {
        self.ends(id, state, moved);
        let report = self.bank.activate().await.unwrap();
        assert_eq!((report.ended, report.failed), (report.open, 0), "{report:?}");
        // once more changes nothing
        assert_eq!(self.bank.activate().await.unwrap().open, 0);
    }
    /// What blocks would show: the treasury has less.
    async fn leaves(&self, n: u64, amount: i64) {
        self.moves(n, Purpose::Movement, Account::Transit, Account::Treasury, amount)
            .await;
    }
}

fn needs(managed: u8, fees: i64, given: i64) -> Needs {
    let gas = Given {
        from: OURS,
        to: Some(THEIRS),
        amount: Datoshi(given),
    };
    Needs {
        managed: [managed; 16],
        project: Some(shop()),
        function: Some("f".parse().unwrap()),
        invocation: None,
        sender: OURS,
        fees: Datoshi(fees),
        gas: vec![gas],
        tokens: Vec::new(),
    }
}
fn paid(fees: i64) -> PaymentState {
    PaymentState::Paid {
        tx: TX,
        fees: Datoshi(fees),
    }
}

/// Runs against a store of its own; the ledger is sound afterwards.
async fn with<H: Harness>(test: impl AsyncFnOnce(&Scene)) {
    let harness = H::new();
    let opened = Arc::new(harness.open().await);
    let scene = Scene::new(H::money(&opened), harness.clock());
    test(&scene).await;
    let totals = scene.store.totals().await.unwrap();
    assert!(totals.sound(), "{totals:?}");
    drop(scene);
    if let Ok(store) = Arc::try_unwrap(opened) {
        harness.stop(store).await;
    }
}

/// Whoever asks again after its hold was given back must not sign without another one.
pub async fn fees_that_were_given_back_are_set_aside_anew<H: Harness>() {
    with::<H>(async |scene| {
        let bank = &scene.bank;
        scene.pay_in(1, Account::Project(shop()), 1_000).await;
        bank.cover(&needs(7, 300, 0)).await.unwrap();
        bank.cover(&needs(7, 300, 0)).await.unwrap();
        assert_eq!(scene.project().await, (1_000, 700));
        bank.release([7; 16]).await.unwrap();
        assert_eq!(scene.project().await, (1_000, 1_000));
        bank.cover(&needs(7, 300, 0)).await.unwrap();
        assert_eq!(scene.project().await, (1_000, 700));
        // built anew it needs more, and then less
        bank.cover(&needs(7, 320, 5)).await.unwrap();
        bank.cover(&needs(7, 310, 0)).await.unwrap();
        assert_eq!(scene.project().await, (1_000, 675));
        // what the manager knows may have been signed: its end decides
        scene.ends([7; 16], PaymentState::Waiting { tx: None }, 0);
        bank.release([7; 16]).await.unwrap();
        assert_eq!(scene.project().await, (1_000, 675));
        scene.settle([7; 16], paid(310), 0).await;
        assert_eq!((scene.project().await, scene.transit().await), ((690, 690), 310));
        // of a transaction that nobody knows there is nothing to give back
        bank.release([8; 16]).await.unwrap();
        assert!(bank.cover(&needs(8, 691, 0)).await.is_err());
        // an account that is in no ledger pays for itself
        let elsewhere = Needs {
            sender: THEIRS,
            ..needs(9, 10_000, 0)
        };
        bank.cover(&elsewhere).await.unwrap();
        assert_eq!(scene.project().await, (690, 690));
    })
    .await;
}

/// What a transaction gives away comes from the project's own money, as much as a block shows.
pub async fn what_a_transaction_gives_away_is_its_projects<H: Harness>() {
    with::<H>(async |scene| {
        let bank = &scene.bank;
        let own = Account::Project(shop());
        let refused = async |needs: &Needs| match bank.cover(needs).await {
            Err(BankError::Refused(why)) => why,
            other => panic!("{other:?}"),
        };
        // credit pays fees, and does not leave
        scene.pay_in(1, Account::Allocation, 100).await;
        scene
            .moves(2, Purpose::Allocation, Account::Allocation, own.clone(), 100)
            .await;
        assert!(matches!(
            refused(&needs(1, 10, 1)).await,
            Refused::Insufficient { .. }
        ));
        bank.release([1; 16]).await.unwrap();
        scene.pay_in(3, own.clone(), 500).await;
        assert!(matches!(
            refused(&needs(1, 10, 491)).await,
            Refused::Insufficient { .. }
        ));
        bank.release([1; 16]).await.unwrap();
        assert_eq!(scene.project().await, (600, 600));

        // done as foretold: fees and gift are two lines
        bank.cover(&needs(2, 10, 200)).await.unwrap();
        assert_eq!(scene.project().await, (600, 390));
        scene.leaves(4, 210).await;
        scene.settle([2; 16], paid(10), 200).await;
        assert_eq!((scene.project().await, scene.transit().await), ((390, 390), 0));
        let filter = StatementFilter {
            before: None,
            since: None,
            limit: 2,
        };
        let mut lines = scene.store.statement(&own, filter).await.unwrap();
        lines.sort_by_key(|l| l.amount);
        let said: Vec<_> = lines
            .iter()
            .map(|l| (l.purpose, l.amount.0, l.detail.tx))
            .collect();
        let tx = Some(TX);
        assert_eq!(
            said,
            [(Purpose::Transfer, -200, tx), (Purpose::NetworkFee, -10, tx)]
        );
        assert_eq!(lines[0].detail.party, Some(THEIRS));
        // what was given away was not spent: the credit is untouched but for the fees
        let credit = bank.balance(&shop()).await.unwrap().state.credit;
        assert_eq!(credit, Datoshi(90));

        // a fault moves nothing but fees, less moved than was set aside comes back, and what never came costs nothing
        bank.cover(&needs(3, 10, 200)).await.unwrap();
        scene.leaves(5, 10).await;
        let faulted = PaymentState::Faulted {
            tx: TX,
            fees: Datoshi(10),
        };
        scene.settle([3; 16], faulted, 200).await;
        bank.cover(&needs(4, 10, 200)).await.unwrap();
        scene.leaves(6, 90).await;
        scene.settle([4; 16], paid(10), 80).await;
        bank.cover(&needs(5, 10, 200)).await.unwrap();
        scene.settle([5; 16], PaymentState::Never, 0).await;
        assert_eq!((scene.project().await, scene.transit().await), ((290, 290), 0));

        // more moved than was foretold is the project's too, while it has it
        bank.cover(&needs(6, 10, 5)).await.unwrap();
        scene.leaves(7, 60).await;
        scene.settle([6; 16], paid(10), 50).await;
        assert_eq!((scene.project().await, scene.transit().await), ((230, 230), 0));
        bank.cover(&needs(7, 10, 0)).await.unwrap();
        scene.leaves(8, 1_010).await;
        scene.settle([7; 16], paid(10), 1_000).await;
        assert_eq!(
            (scene.project().await, scene.transit().await),
            ((220, 220), -1_000)
        );
        scene.pay_in(9, Account::Operator, 1_000).await;
        scene
            .moves(
                10,
                Purpose::Adjustment,
                Account::Operator,
                Account::Transit,
                1_000,
            )
            .await;

        // budgets bound it: of the function and of the project. They know of what was given away before they were set
        let counts = async |budget: &Budget| {
            bank.set_budget(budget.clone()).await.unwrap();
            let rows = bank.budgets(&shop()).await.unwrap();
            assert_eq!(rows.len(), 1, "{rows:?}");
            (rows[0].spent.0, rows[0].held.0)
        };
        let budget = |function: Option<&str>, limit| Budget {
            project: shop(),
            function: function.map(|f| f.parse().unwrap()),
            period: Period::Day,
            limit: Datoshi(limit),
        };
        // also of what nobody foretold: of the sixth 50 for 5
        let spent = 5 * 10 + 200 + 80 + 50;
        for function in [Some("f"), None] {
            let budget = budget(function, spent + 50);
            assert_eq!(counts(&budget).await, (spent, 0), "{function:?}");
            assert!(matches!(refused(&needs(8, 10, 41)).await, Refused::Budget { .. }));
            bank.release([8; 16]).await.unwrap();
            bank.cover(&needs(8, 10, 40)).await.unwrap();
            bank.release([8; 16]).await.unwrap();
            assert!(bank.remove_budget(budget).await.unwrap());
        }
        bank.cover(&needs(8, 10, 41)).await.unwrap();
        let late = budget(Some("f"), 1_000);
        assert_eq!(counts(&late).await, (spent, 51), "set aside before it was set");
        scene.leaves(11, 51).await;
        scene.settle([8; 16], paid(10), 41).await;
        assert_eq!(counts(&late).await, (spent + 51, 0));
        // what nobody foretold counts as well, though no limit could stop it any more
        scene.pay_in(15, own.clone(), 100).await;
        bank.cover(&needs(11, 10, 0)).await.unwrap();
        scene.leaves(16, 70).await;
        scene.settle([11; 16], paid(10), 60).await;
        assert_eq!(counts(&late).await, (spent + 51 + 70, 0));
        assert!(bank.remove_budget(late).await.unwrap());

        // sponsored: the operator bears the fees and nothing else
        let policy = Policy {
            sponsorship: Sponsorship::Platform,
            ..Policy::default()
        };
        bank.set_policy(&shop(), policy).await.unwrap();
        scene.pay_in(12, Account::Operator, 100).await;
        let before = scene.project().await.0;
        bank.cover(&needs(9, 10, 20)).await.unwrap();
        scene.leaves(13, 30).await;
        scene.settle([9; 16], paid(10), 20).await;
        assert_eq!((scene.project().await.0, scene.transit().await), (before - 20, 0));

        // the operator's own are the operator's
        let operators = Needs {
            project: None,
            tokens: vec![TOKEN],
            ..needs(10, 10, 20)
        };
        let had = scene.has(&Account::Operator).await.0;
        bank.cover(&operators).await.unwrap();
        scene.leaves(14, 30).await;
        scene.settle([10; 16], paid(10), 20).await;
        assert_eq!(scene.has(&Account::Operator).await.0, had - 30);
        assert_eq!((scene.project().await.0, scene.transit().await), (before - 20, 0));
    })
    .await;
}

/// A thief who has the treasury's key is seen although the ledger follows the chain, and after a restore nothing that
/// cannot be signed stands in the way of writing off what is missing.
pub async fn what_left_by_no_payment_is_seen_and_written_off<H: Harness>() {
    with::<H>(async |scene| {
        let bank = &scene.bank;
        // the ledger begins here
        bank.mark().await.unwrap();
        scene.pay_in(1, Account::Project(shop()), 1_000).await;
        scene.pay_in(2, Account::Operator, 500).await;
        *scene.treasury.has.lock().unwrap() = 1_500;
        assert!(bank.reconcile().await.unwrap().settled());

        // asked for before the signer was locked, and not signed
        bank.withdraw(&shop(), Datoshi(100), THEIRS, "before")
            .await
            .unwrap();
        assert_eq!(scene.project().await, (1_000, 890));
        scene.treasury.locked.store(true, Ordering::SeqCst);
        let refused = bank.withdraw(&shop(), Datoshi(100), THEIRS, "after").await;
        assert!(
            matches!(refused, Err(BankError::Payment(PaymentError::Later(_)))),
            "{refused:?}"
        );
        assert_eq!(scene.project().await, (1_000, 890), "nothing was set aside");
        // asked again, the one that there is
        bank.withdraw(&shop(), Datoshi(100), THEIRS, "before")
            .await
            .unwrap();
        let report = bank.activate().await.unwrap();
        assert_eq!((report.open, report.ended, report.failed), (1, 0, 0));

        scene.leaves(3, 50).await;
        *scene.treasury.has.lock().unwrap() = 1_450;
        let seen = bank.reconcile().await.unwrap();
        assert_eq!((seen.open, seen.signed, seen.stray()), (1, 0, Datoshi(-50)));
        assert!(!seen.sound() && seen.missing() == Datoshi(0));
        assert_eq!(bank.reconciled(), Some(seen));

        // what was sent may be what is missing: it is waited for
        bank.cover(&needs(1, 60, 0)).await.unwrap();
        scene.ends([1; 16], PaymentState::Waiting { tx: Some(TX) }, 0);
        let seen = bank.reconcile().await.unwrap();
        assert_eq!(
            (seen.signed, seen.held, seen.stray()),
            (1, Datoshi(60), Datoshi(0))
        );
        assert!(bank.write_off("w").await.is_err());
        scene.ends([1; 16], PaymentState::Never, 0);
        bank.activate().await.unwrap();

        assert_eq!(bank.write_off("w").await.unwrap(), Datoshi(-50));
        assert_eq!(scene.has(&Account::Operator).await.0, 450);
        assert!(bank.reconcile().await.unwrap().settled());
    })
    .await;
}

/// Other tokens stay, unless the operator names them.
pub async fn tokens_stay_unless_they_are_named<H: Harness>() {
    with::<H>(async |scene| {
        let bank = &scene.bank;
        scene.pay_in(1, Account::Project(shop()), 100).await;
        let moving = Needs {
            tokens: vec![TOKEN],
            ..needs(1, 10, 0)
        };
        let refused = bank.cover(&moving).await.unwrap_err();
        assert!(matches!(refused, BankError::Token(TOKEN)), "{refused}");
        assert_eq!(neofn_types::Error::from(refused).code.to_string(), "NF1308");
        assert_eq!(scene.project().await, (100, 100));
        let policy = |tokens: Vec<ScriptHash>| Policy {
            tokens,
            ..Policy::default()
        };
        assert!(bank.set_policy(&shop(), policy(vec![TOKEN; 65])).await.is_err());
        bank.set_policy(&shop(), policy(vec![TOKEN])).await.unwrap();
        bank.cover(&moving).await.unwrap();
        let another = Needs {
            tokens: vec![TOKEN, THEIRS],
            ..needs(2, 10, 0)
        };
        assert!(matches!(
            bank.cover(&another).await,
            Err(BankError::Token(THEIRS))
        ));
        scene.leaves(2, 10).await;
        scene.settle([1; 16], paid(10), 0).await;
        assert_eq!(scene.project().await, (90, 90));
    })
    .await;
}
