//! Signer and transaction manager against a real Neo N3 node.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "tests stop loudly and wait for the real world"
)]

mod support;

use async_trait::async_trait;
use neofn_chain::dev::DevAccount;
use neofn_chain::fee::{multisig_script, network_fee};
use neofn_chain::key::{PrivateKey, PublicKey};
use neofn_chain::manager::*;
use neofn_chain::model::{Presence, VmState};
use neofn_chain::port::{Chain, Cover, Reserved, TxStore, TxStoreError, Uncovered};
use neofn_chain::script::{CallFlags, ScriptBuilder};
use neofn_chain::signer::{Calls, Import, SignerOptions, SignerProcess, Signing as _, SigningPolicy};
use neofn_chain::stack::StackItem;
use neofn_chain::tx::{Scope, Signer, Transaction, script_hash};
use neofn_testkit::Neo;
use neofn_types::*;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

const LONG: Duration = Duration::from_secs(30);

fn gas() -> ScriptHash {
    "0xd2a4cff31913016155e38e474a2c06d08be276cf".parse().unwrap()
}
fn transfer(from: ScriptHash, to: ScriptHash, amount: i64) -> Vec<u8> {
    let mut script = ScriptBuilder::new();
    let arguments = [from.into(), to.into(), StackItem::from(amount), StackItem::Null];
    script
        .call(gas(), "transfer", CallFlags::All, &arguments)
        .unwrap();
    script.op(0x39);
    script.into_bytes()
}

/// The store's rules in memory; the real one has the same and is tested with it in its own crate.
#[derive(Default)]
struct Memory(Mutex<BTreeMap<TxId, TxRecord>>);

#[async_trait]
impl TxStore for Memory {
    async fn reserve(&self, record: TxRecord, balance: Datoshi) -> Result<Reserved, TxStoreError> {
        let mut all = self.0.lock();
        if let Some(found) = all.get(&record.id) {
            return Ok(Reserved::Existing(Box::new(found.clone())));
        }
        let open = all
            .values()
            .filter(|r| r.sender == record.sender && !r.state.is_final());
        let pending: i64 = open
            .filter(|r| Some(r.id) != record.replaces)
            .map(|r| r.fees().0)
            .sum();
        if pending + record.fees().0 > balance.0 {
            return Ok(Reserved::OverBudget {
                pending: Datoshi(pending),
            });
        }
        if let Some(old) = record.replaces.and_then(|id| all.get_mut(&id)) {
            old.replaced_by = Some(record.id);
            old.revision += 1;
        }
        all.insert(record.id, record);
        Ok(Reserved::New)
    }
    async fn advance(&self, record: TxRecord) -> Result<bool, TxStoreError> {
        let mut all = self.0.lock();
        let fits = all
            .get(&record.id)
            .is_some_and(|r| r.revision + 1 == record.revision);
        if fits {
            all.insert(record.id, record);
        }
        Ok(fits)
    }
    async fn abandon(&self, id: TxId, _: u64) -> Result<bool, TxStoreError> {
        Ok(self.0.lock().remove(&id).is_some())
    }
    async fn transaction(&self, id: TxId) -> Result<Option<TxRecord>, TxStoreError> {
        Ok(self.0.lock().get(&id).cloned())
    }
    async fn open_transactions(&self, _: u32) -> Result<Vec<TxRecord>, TxStoreError> {
        Ok(self
            .0
            .lock()
            .values()
            .filter(|r| !r.state.is_final())
            .cloned()
            .collect())
    }
    async fn transactions(
        &self,
        _: &ProjectName,
        _: Option<TxId>,
        _: u32,
    ) -> Result<Vec<TxRecord>, TxStoreError> {
        Ok(self.0.lock().values().cloned().collect())
    }
}

struct Random;
impl Entropy for Random {
    fn fill(&self, buf: &mut [u8]) {
        getrandom::fill(buf).unwrap();
    }
}

struct Rig {
    neo: Neo,
    chain: Arc<dyn Chain>,
    signer: Arc<SignerProcess>,
    store: Arc<Memory>,
    transactions: Transactions,
    runner: tokio::task::JoinHandle<()>,
    directory: tempfile::TempDir,
}
impl Drop for Rig {
    fn drop(&mut self) {
        self.runner.abort();
    }
}
impl Rig {
    async fn start() -> Self {
        let neo = Neo::start();
        let chain: Arc<dyn Chain> = Arc::new(support::pool(&[neo.rpc()]).await);
        let directory = tempfile::tempdir().unwrap();
        let signer = Arc::new(
            SignerProcess::start(signer_options(directory.path()))
                .await
                .unwrap(),
        );
        let wif = Import::Wif(zeroize::Zeroizing::new(neo.accounts()[0].wif.to_owned()));
        signer
            .import(wif, "development", SigningPolicy::default())
            .await
            .unwrap();
        let store = Arc::new(Memory::default());
        let transactions = Transactions::new(TransactionsOptions {
            chain: chain.clone(),
            signer: signer.clone(),
            store: store.clone(),
            cover: None,
            clock: support::clock(),
            entropy: Arc::new(Random),
        });
        let running = transactions.clone();
        let runner = tokio::spawn(async move { running.run(std::future::pending()).await });
        Self {
            neo,
            chain,
            signer,
            store,
            transactions,
            runner,
            directory,
        }
    }
    fn account(&self, n: usize) -> &'static DevAccount {
        &self.neo.accounts()[n]
    }
    fn request(&self, what: &str, script: Vec<u8>) -> Request {
        Request::new("default".parse().unwrap(), Digest::of(what.as_bytes()), script)
    }
    fn payment(&self, what: &str, amount: i64) -> Request {
        self.request(
            what,
            transfer(
                self.account(0).script_hash(),
                self.account(1).script_hash(),
                amount,
            ),
        )
    }
    async fn mined(&self, id: TxId) -> TxRecord {
        let record = self.transactions.wait(id, Until::Final, LONG).await.unwrap();
        assert_eq!(record.state, TxState::Mined, "{record:?}");
        record
    }
    async fn balance(&self, account: ScriptHash) -> i64 {
        self.chain
            .balance(gas(), account)
            .await
            .unwrap()
            .try_into()
            .unwrap()
    }
}
fn signer_options(directory: &std::path::Path) -> SignerOptions {
    SignerOptions {
        exe: env!("CARGO_BIN_EXE_neofn-signer-child").into(),
        args: vec![],
        directory: directory.to_owned(),
        secret: None,
        insecure_no_jail: false,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_payment_is_made_once_however_often_it_is_asked_for() {
    let rig = Rig::start().await;
    let to = rig.account(1).script_hash();
    let before = rig.balance(to).await;
    let first = rig.transactions.submit(rig.payment("once", 5)).await.unwrap();
    assert_eq!(first.state, TxState::Broadcast, "{first:?}");
    let other = rig.transactions.submit(rig.payment("once", 7)).await;
    assert!(
        matches!(other, Err(TxError::Mismatch(id)) if id == first.id),
        "{other:?}"
    );
    let again = rig.transactions.submit(rig.payment("once", 5)).await.unwrap();
    assert_eq!((again.id, again.hash), (first.id, first.hash));
    let all =
        futures_util::future::join_all((0..20).map(|_| rig.transactions.submit(rig.payment("race", 11))))
            .await;
    let race = all[0].as_ref().unwrap().hash;
    assert!(all.iter().all(|r| r.as_ref().unwrap().hash == race));
    let record = rig.mined(first.id).await;
    rig.mined(all[0].as_ref().unwrap().id).await;
    assert_eq!(record.outcome.as_ref().unwrap().state, VmState::Halt);
    assert_eq!(rig.balance(to).await - before, 16);
    let found = rig.chain.transaction(record.hash).await.unwrap();
    assert_eq!(
        (found.transaction.system_fee, found.transaction.network_fee),
        (record.system_fee, record.network_fee)
    );
    let after = rig.transactions.submit(rig.payment("once", 5)).await.unwrap();
    assert_eq!((after.state, after.hash), (TxState::Mined, first.hash));
    let signatures = rig.signer.signatures(0, 100).await.unwrap();
    assert_eq!(signatures.len(), 2, "{signatures:?}");
    assert_eq!(
        signatures[0].calls.as_deref(),
        Some(&[format!("{}::transfer", gas())][..])
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fees_are_the_nodes_own() {
    let rig = Rig::start().await;
    let policy = rig.chain.policy().await.unwrap();
    let keys: Vec<PrivateKey> = (1..=5)
        .map(|n| PrivateKey::from_bytes(&[n; 32]).unwrap())
        .collect();
    let public: Vec<PublicKey> = keys.iter().map(PrivateKey::public).collect();
    let single = |n: usize| public[n].verification_script();
    let multi = |m: usize, n: usize| multisig_script(m, &public[..n]).unwrap();
    for scripts in [
        vec![single(0)],
        vec![single(0), single(1)],
        vec![multi(1, 1)],
        vec![multi(2, 3)],
        vec![multi(3, 5), single(4)],
    ] {
        for long in [10, 300, 3_000] {
            let mut transaction = Transaction {
                nonce: 1,
                system_fee: Datoshi(100),
                network_fee: Datoshi(0),
                valid_until: 100,
                signers: scripts
                    .iter()
                    .map(|s| Signer {
                        account: script_hash(s),
                        scope: Scope::CalledByEntry,
                    })
                    .collect(),
                attributes: vec![],
                script: vec![0x21; long],
                witnesses: vec![],
            };
            let ours = network_fee(&transaction, &scripts, &policy).unwrap();
            transaction.witnesses = scripts
                .iter()
                .map(|s| neofn_chain::tx::Witness {
                    invocation: vec![],
                    verification: s.clone(),
                })
                .collect();
            let theirs = rig.chain.network_fee(&transaction.to_bytes()).await.unwrap();
            assert_eq!(ours, theirs, "{} scripts, {long} bytes", scripts.len());
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_would_fail_is_said_before_anything_is_signed() {
    let rig = Rig::start().await;
    let code = |e: TxError| (e.code(), e.to_string());
    // ABORT
    let fault = rig
        .transactions
        .submit(rig.request("abort", vec![0x38]))
        .await
        .unwrap_err();
    let (fault, why) = code(fault);
    assert_eq!(fault, Code::ScriptFault, "{why}");
    let unsigned = rig.payment("cap", 0);
    let capped = Request {
        fee_max: Some(Datoshi(10)),
        ..unsigned
    };
    assert_eq!(
        code(rig.transactions.submit(capped).await.unwrap_err()).0,
        Code::FeeTooHigh
    );
    // the signer's own cap of 1 GAS, then of a method
    let (refused, why) = code(
        rig.transactions
            .submit(rig.payment("much", 200_000_000))
            .await
            .unwrap_err(),
    );
    assert_eq!(refused, Code::SignerRefused, "{why}");
    // an account that nobody gave any GAS
    let poor = PrivateKey::from_bytes(&[9; 32]).unwrap();
    rig.signer
        .import(Import::Wif(poor.to_wif()), "poor", SigningPolicy::default())
        .await
        .unwrap();
    let broke = Request {
        signers: vec![RequestSigner {
            account: poor.public().account(),
            scope: Scope::CalledByEntry,
            verification: None,
        }],
        ..rig.request("poor", vec![0x40])
    };
    let (funds, why) = code(rig.transactions.submit(broke).await.unwrap_err());
    assert_eq!(funds, Code::InsufficientFunds, "{why}");
    let stranger = Request {
        signers: vec![RequestSigner {
            account: ScriptHash([5; 20]),
            scope: Scope::None,
            verification: None,
        }],
        ..rig.request("stranger", vec![0x40])
    };
    assert_eq!(
        code(rig.transactions.submit(stranger).await.unwrap_err()).0,
        Code::SignerNoAccount
    );
    assert!(rig.store.0.lock().is_empty() && rig.signer.signatures(0, 9).await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fault_on_chain_is_told_with_its_reason() {
    let rig = Rig::start().await;
    let (chain, transactions) = held(&rig);
    let sender = rig.account(0).script_hash();
    let anything = SigningPolicy {
        calls: Calls::Any,
        ..SigningPolicy::default()
    };
    rig.signer.set_policy(sender, anything).await.unwrap();
    let before = rig.balance(sender).await;
    // asserts that it runs before a height: true when it is tried out, no longer true once it is let through
    let height = rig.chain.head().height + 30;
    let mut script = ScriptBuilder::new();
    let ledger: ScriptHash = "0xda65b600f7124ce6c79950c1772a36403104f2be".parse().unwrap();
    script
        .call(ledger, "currentIndex", CallFlags::ReadOnly, &[])
        .unwrap();
    script.integer(&height.into());
    // LT, ASSERT
    script.op(0xb5).op(0x39);
    let signed = transactions
        .submit(rig.request("early", script.into_bytes()))
        .await
        .unwrap();
    assert_eq!(signed.state, TxState::Signed);
    rig.neo.wait_for_height(height + 1);
    chain.1.store(false, std::sync::atomic::Ordering::SeqCst);
    let mut record = signed;
    for _ in 0..200 {
        transactions.activate().await.unwrap();
        record = transactions.get(record.id).await.unwrap();
        if record.state.is_final() {
            break;
        }
        rig.neo.wait_for_height(rig.chain.head().height + 1);
    }
    assert_eq!(record.state, TxState::Mined, "{record:?}");
    let outcome = record.outcome.clone().unwrap();
    assert_eq!(outcome.state, VmState::Fault, "{outcome:?}");
    let exception = outcome.exception.unwrap();
    assert!(exception.contains("ASSERT"), "{exception}");
    let burnt = before - rig.balance(sender).await;
    assert_eq!(burnt, record.fees().0, "the fees are gone, and nothing else");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_platform_pays_for_a_user_who_has_nothing() {
    let rig = Rig::start().await;
    let user = PrivateKey::from_bytes(&[21; 32]).unwrap();
    let account = user.public().account();
    rig.neo.pay_gas(&account.to_address(), "0.0000005");
    let sponsor = rig.account(0).script_hash();
    let request = Request {
        signers: vec![
            RequestSigner {
                account: sponsor,
                scope: Scope::None,
                verification: None,
            },
            RequestSigner {
                account,
                scope: Scope::CalledByEntry,
                verification: Some(user.public().verification_script()),
            },
        ],
        ..rig.request("sponsored", transfer(account, rig.account(1).script_hash(), 50))
    };
    let forgotten = Request {
        valid_blocks: Some(3),
        idempotency: Digest::of(b"forgotten"),
        ..request.clone()
    };
    let forgotten = rig.transactions.submit(forgotten).await.unwrap();
    let record = rig.transactions.submit(request).await.unwrap();
    assert_eq!(
        (record.state, record.awaited()),
        (TxState::Reserved, vec![account])
    );
    let message = |network| neofn_chain::tx::message(network, record.hash);
    let network = rig.chain.network().0;
    let stranger = PrivateKey::from_bytes(&[22; 32]).unwrap();
    for bad in [
        stranger.witness(&message(network)),
        user.witness(&message(network + 1)),
    ] {
        let error = rig
            .transactions
            .cosign(record.id, account, bad)
            .await
            .unwrap_err();
        assert_eq!(error.code(), Code::CosignatureInvalid, "{error}");
    }
    let witness = user.witness(&message(network));
    let before = rig.balance(sponsor).await;
    let sent = rig
        .transactions
        .cosign(record.id, account, witness.clone())
        .await
        .unwrap();
    assert_eq!(sent.state, TxState::Broadcast, "{sent:?}");
    assert_eq!(
        rig.transactions
            .cosign(record.id, account, witness)
            .await
            .unwrap()
            .hash,
        sent.hash
    );
    let record = rig.mined(record.id).await;
    assert_eq!(record.outcome.as_ref().unwrap().state, VmState::Halt);
    assert_eq!(rig.balance(account).await, 0);
    assert_eq!(before - rig.balance(sponsor).await, record.fees().0);
    let forgotten = rig
        .transactions
        .wait(forgotten.id, Until::Final, LONG)
        .await
        .unwrap();
    assert_eq!(
        forgotten.state,
        TxState::Expired,
        "nobody signed it: {forgotten:?}"
    );
}

/// The real chain, to which nothing is sent until it is allowed.
struct Held(Arc<dyn Chain>, std::sync::atomic::AtomicBool);
macro_rules! pass {
    ($($name:ident($($arg:ident: $type:ty),*) -> $answer:ty;)*) => {
        #[async_trait]
        impl Chain for Held {
            fn network(&self) -> neofn_chain::model::NetworkId { self.0.network() }
            fn watch(&self) -> tokio::sync::watch::Receiver<neofn_chain::model::Head> { self.0.watch() }
            fn nodes(&self) -> Vec<neofn_chain::model::NodeStatus> { self.0.nodes() }
            async fn block_names(&self, height: u64) -> Vec<neofn_chain::model::BlockName> { self.0.block_names(height).await }
            async fn send(&self, bytes: &[u8]) -> Result<neofn_chain::model::Sent, neofn_chain::ChainError> {
                if self.1.load(std::sync::atomic::Ordering::SeqCst) {
                    return Err(neofn_chain::ChainError::Unreachable("held back".to_owned()));
                }
                self.0.send(bytes).await
            }
            $(async fn $name(&self, $($arg: $type),*) -> Result<$answer, neofn_chain::ChainError> { self.0.$name($($arg),*).await })*
        }
    };
}
use neofn_chain::model as m;
pass! {
    block(height: u64) -> m::Block;
    blocks(heights: std::ops::Range<u64>) -> Vec<m::Block>;
    transaction(hash: Hash256) -> m::FoundTransaction;
    settled(hash: Hash256) -> m::FoundTransaction;
    application_log(hash: Hash256) -> Vec<m::Execution>;
    presence(hash: Hash256, after: u64) -> Presence;
    invoke_script(script: &[u8], callers: &[neofn_chain::port::Caller]) -> m::Invocation;
    invoke_read(contract: ScriptHash, method: &str, arguments: &[StackItem]) -> m::Invocation;
    iterate(session: &m::Session, iterator: &str, count: u32) -> Vec<StackItem>;
    end_session(session: &m::Session) -> ();
    network_fee(bytes: &[u8]) -> Datoshi;
    policy() -> m::Policy;
    contract_state(contract: ScriptHash) -> Option<m::ContractState>;
    balance(token: ScriptHash, account: ScriptHash) -> num_bigint::BigInt;
}

fn held(rig: &Rig) -> (Arc<Held>, Transactions) {
    let chain = Arc::new(Held(rig.chain.clone(), true.into()));
    let transactions = Transactions::new(TransactionsOptions {
        chain: chain.clone(),
        signer: rig.signer.clone(),
        store: Arc::new(Memory::default()),
        cover: None,
        clock: support::clock(),
        entropy: Arc::new(Random),
    });
    (chain, transactions)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_that_exclude_each_other_one_is_mined() {
    let rig = Rig::start().await;
    let (chain, transactions) = held(&rig);
    let to = rig.account(1).script_hash();
    let before = rig.balance(to).await;
    let old = transactions.submit(rig.payment("old", 1_000)).await.unwrap();
    assert_eq!(old.state, TxState::Signed);
    chain.1.store(false, std::sync::atomic::Ordering::SeqCst);
    let new = transactions
        .replace(old.id, Replacement::Cancel, None)
        .await
        .unwrap();
    assert_eq!(
        (new.state, new.replaces),
        (TxState::Broadcast, Some(old.id)),
        "{new:?}"
    );
    assert_eq!(
        transactions
            .replace(old.id, Replacement::Cancel, None)
            .await
            .unwrap()
            .id,
        new.id
    );
    for _ in 0..200 {
        rig.neo.wait_for_height(rig.chain.head().height + 1);
        transactions.activate().await.unwrap();
        if transactions.get(old.id).await.unwrap().state.is_final() {
            break;
        }
    }
    assert_eq!(transactions.get(new.id).await.unwrap().state, TxState::Mined);
    let old = transactions.get(old.id).await.unwrap();
    assert_eq!(old.state, TxState::Replaced, "{old:?}");
    assert_eq!(rig.balance(to).await, before);
    let late = rig.chain.send(old.raw.as_deref().unwrap()).await;
    assert!(late.is_err(), "the replaced one is refused for good: {late:?}");
    let error = transactions
        .replace(new.id, Replacement::Faster, None)
        .await
        .unwrap_err();
    assert_eq!(error.code(), Code::NotReplaceable);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_expired_is_proved_to_be_nowhere_and_then_built_anew() {
    let rig = Rig::start().await;
    let (chain, transactions) = held(&rig);
    let short = |what: &str, renewals| Request {
        valid_blocks: Some(3),
        renewals,
        ..rig.payment(what, 3)
    };
    let given_up = transactions.submit(short("no", 0)).await.unwrap();
    let renewed = transactions.submit(short("yes", 100)).await.unwrap();
    let end = given_up.valid_until.max(renewed.valid_until);
    rig.neo.wait_for_height(end + 1);
    let mut heads = rig.chain.watch();
    let seen = heads.wait_for(|head| head.height > end);
    tokio::time::timeout(LONG, seen).await.unwrap().unwrap();
    chain.1.store(false, std::sync::atomic::Ordering::SeqCst);
    for _ in 0..100 {
        transactions.activate().await.unwrap();
        let (a, b) = (
            transactions.get(given_up.id).await.unwrap(),
            transactions.get(renewed.id).await.unwrap(),
        );
        if a.state.is_final() && b.state.is_final() {
            break;
        }
        rig.neo.wait_for_height(rig.chain.head().height + 1);
    }
    let over = transactions.get(given_up.id).await.unwrap();
    assert_eq!(over.state, TxState::Expired);
    assert!(
        over.reason
            .as_deref()
            .unwrap()
            .contains("the only node configured"),
        "{over:?}"
    );
    let record = transactions.get(renewed.id).await.unwrap();
    assert_eq!(record.state, TxState::Mined, "{record:?}");
    assert_eq!(record.earlier.first(), Some(&renewed.hash));
    assert!(rig.chain.transaction(renewed.hash).await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_signer_is_killed_and_comes_back_with_its_keys() {
    let rig = Rig::start().await;
    let pid = rig.signer.pid().await.unwrap();
    let status = std::process::Command::new("kill")
        .args(["-9", &pid.to_string()])
        .status()
        .unwrap();
    assert!(status.success());
    // until it is dead it may answer once more
    let lives = || {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let state = stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next());
        state.is_some_and(|state| state != 'Z')
    };
    let died = async {
        while lives() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), died).await.unwrap();
    // the first question may still be asked of the dead one
    let mut accounts = rig.signer.accounts().await;
    for _ in 0..50 {
        if accounts.is_ok() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
        accounts = rig.signer.accounts().await;
    }
    assert_eq!(accounts.unwrap()[0].account, rig.account(0).script_hash());
    let record = rig.transactions.submit(rig.payment("after", 1)).await.unwrap();
    rig.mined(record.id).await;
    // nobody else may use the journal meanwhile
    let other = SignerProcess::start(signer_options(rig.directory.path()))
        .await
        .err()
        .unwrap()
        .to_string();
    assert!(other.contains("another signer"), "{other}");
}

/// Bears what it is told to, and remembers what it was asked.
#[derive(Default)]
struct Bearing {
    answer: Mutex<Option<bool>>,
    asked: Mutex<Vec<TxRecord>>,
    released: Mutex<Vec<TxId>>,
}
#[async_trait]
impl Cover for Bearing {
    async fn cover(&self, record: &TxRecord) -> Result<(), Uncovered> {
        assert!(record.raw.is_none(), "asked before it is signed");
        self.asked.lock().push(record.clone());
        match *self.answer.lock() {
            Some(true) => Ok(()),
            Some(false) => Err(Uncovered::Refused(Code::AccountEmpty.into())),
            None => Err(Uncovered::Later(Code::TreasuryUnavailable.into())),
        }
    }
    async fn release(&self, id: TxId) {
        self.released.lock().push(id);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_signed_that_nobody_bears() {
    let rig = Rig::start().await;
    let bearing = Arc::new(Bearing::default());
    let transactions = Transactions::new(TransactionsOptions {
        chain: rig.chain.clone(),
        signer: rig.signer.clone(),
        store: Arc::new(Memory::default()),
        cover: Some(bearing.clone()),
        clock: support::clock(),
        entropy: Arc::new(Random),
    });
    // refused: nothing is kept
    *bearing.answer.lock() = Some(false);
    let request = rig.payment("gift", 7);
    let refused = transactions.submit(request.clone()).await.unwrap_err();
    assert_eq!(refused.code(), Code::AccountEmpty, "{refused}");
    assert!(transactions.get(request.id()).await.is_err());
    assert_eq!(*bearing.released.lock(), [request.id()]);
    // what it would take is known
    let asked = bearing.asked.lock().pop().unwrap();
    let (from, to) = (rig.account(0).script_hash(), rig.account(1).script_hash());
    let leaving = Leaving {
        token: gas(),
        from,
        to: Some(to),
        amount: 7,
    };
    assert_eq!(asked.leaving, [leaving]);
    assert!(asked.fees() > Datoshi::ZERO && asked.sender == from);
    // not known now: it waits unsigned, and goes on when it is
    *bearing.answer.lock() = None;
    let waiting = transactions.submit(request.clone()).await.unwrap();
    assert_eq!((waiting.state, waiting.raw), (TxState::Reserved, None));
    assert_eq!(transactions.activate().await.unwrap().failed, 1);
    *bearing.answer.lock() = Some(true);
    transactions.activate().await.unwrap();
    let sent = transactions.get(request.id()).await.unwrap();
    assert_eq!(sent.state, TxState::Broadcast, "{sent:?}");
    // who has set everything aside already is not asked
    let count = bearing.asked.lock().len();
    let own = Request {
        bearer: Bearer::Asker,
        ..rig.payment("own", 1)
    };
    let sent = transactions.submit(own).await.unwrap();
    assert_eq!(sent.state, TxState::Broadcast);
    assert_eq!(bearing.asked.lock().len(), count);
}
