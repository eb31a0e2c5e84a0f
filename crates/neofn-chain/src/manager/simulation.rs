//! The manager in a world that forgets, loses and crashes: before and after every single input or output.

use super::{Bearer, Replacement, Request, Transactions, TransactionsOptions, TxId, TxRecord, TxState};
use crate::error::{ChainError, Refusal};
use crate::model::*;
use crate::port::{Caller, Chain, Reserved, TxStore, TxStoreError};
use crate::signer::{AccountInfo, SignError, SignRequest, Signing, SigningPolicy};
use crate::stack::StackItem;
use crate::tx::{Transaction, Witness};
use async_trait::async_trait;
use neofn_types::*;
use num_bigint::BigInt;
use parking_lot::Mutex;
use proptest::prelude::*;
use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

struct World {
    state: Mutex<State>,
    head: watch::Sender<Head>,
    key: crate::key::PrivateKey,
}
#[derive(Default)]
struct State {
    height: u64,
    pool: Vec<Transaction>,
    mined: HashMap<Hash256, u64>,
    records: BTreeMap<TxId, TxRecord>,
    /// Operations until the next crash, and whether it comes after the effect.
    crash: Option<(u32, bool)>,
    crashed: bool,
    dice: u64,
    lossy: bool,
}
impl State {
    fn roll(&mut self, sides: u64) -> u64 {
        self.dice = self
            .dice
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.dice >> 33) % sides
    }
}
impl World {
    /// One operation; none when the process dies before it, or after it and nobody hears the answer.
    fn operate<T>(&self, effect: impl FnOnce(&mut State) -> T) -> Option<T> {
        let mut state = self.state.lock();
        if state.crashed {
            return None;
        }
        let now = match &mut state.crash {
            Some((0, after)) => Some(*after),
            Some((n, _)) => {
                *n -= 1;
                None
            }
            None => None,
        };
        match now {
            Some(false) => {
                state.crashed = true;
                None
            }
            Some(true) => {
                effect(&mut state);
                state.crashed = true;
                None
            }
            None => Some(effect(&mut state)),
        }
    }
    fn tick(&self) {
        let mut state = self.state.lock();
        state.height += 1;
        let height = state.height;
        for transaction in std::mem::take(&mut state.pool) {
            let hash = transaction.hash();
            match state.roll(4) {
                _ if u64::from(transaction.valid_until) < height => {}
                0 if state.lossy => {}
                1 => state.pool.push(transaction),
                _ => {
                    state.mined.insert(hash, height);
                }
            }
        }
        self.head.send_replace(Head {
            height,
            hash: Hash256::ZERO,
            time: UnixMillis(0),
        });
    }
}
fn dead() -> ChainError {
    ChainError::Unreachable("crash".to_owned())
}
fn lost() -> TxStoreError {
    TxStoreError("crash".into())
}
fn unused<T>() -> Result<T, ChainError> {
    Err(ChainError::Unreachable("not part of this world".to_owned()))
}
fn run(state: VmState) -> Execution {
    Execution {
        trigger: ExecutionTrigger::Application,
        state,
        gas: Datoshi(5),
        exception: None,
        stack: vec![],
        notifications: vec![],
    }
}

#[async_trait]
impl Chain for World {
    fn network(&self) -> NetworkId {
        NetworkId(42)
    }
    fn watch(&self) -> watch::Receiver<Head> {
        self.head.subscribe()
    }
    fn nodes(&self) -> Vec<NodeStatus> {
        vec![]
    }
    async fn block(&self, _: u64) -> Result<Block, ChainError> {
        unused()
    }
    async fn blocks(&self, _: Range<u64>) -> Result<Vec<Block>, ChainError> {
        unused()
    }
    async fn transaction(&self, hash: Hash256) -> Result<FoundTransaction, ChainError> {
        let unknown = || ChainError::Refused {
            why: Refusal::UnknownTransaction,
            rpc: -103,
            message: String::new(),
        };
        self.operate(|state| {
            let included = state.mined.get(&hash).map(|height| Inclusion {
                height: *height,
                block: Hash256::ZERO,
                time: UnixMillis(0),
            });
            if included.is_none() && !state.pool.iter().any(|t| t.hash() == hash) {
                return Err(unknown());
            }
            let transaction = TransactionInfo {
                hash,
                sender: ScriptHash([0; 20]),
                signers: vec![],
                script: vec![],
                system_fee: Datoshi(0),
                network_fee: Datoshi(0),
                valid_until: 0,
                nonce: 0,
                size: 0,
                attributes: vec![],
                executions: vec![run(VmState::Halt)],
            };
            Ok(FoundTransaction {
                transaction,
                included,
            })
        })
        .ok_or_else(dead)?
    }
    async fn block_names(&self, _: u64) -> Vec<crate::model::BlockName> {
        Vec::new()
    }
    async fn settled(&self, hash: Hash256) -> Result<FoundTransaction, ChainError> {
        Chain::transaction(self, hash).await
    }
    async fn application_log(&self, _: Hash256) -> Result<Vec<Execution>, ChainError> {
        unused()
    }
    async fn presence(&self, hash: Hash256, after: u64) -> Result<Presence, ChainError> {
        self.operate(|state| {
            if let Some(height) = state.mined.get(&hash) {
                let place = Inclusion {
                    height: *height,
                    block: Hash256::ZERO,
                    time: UnixMillis(0),
                };
                return Ok(Presence::OnChain(place));
            }
            if state.pool.iter().any(|t| t.hash() == hash) {
                return Ok(Presence::Pooled);
            }
            // now and then too few nodes answer
            if state.height < after || state.roll(3) == 0 {
                return Err(dead());
            }
            // one behind which there may be several, or two
            let witnesses = 1 + u32::try_from(state.roll(2)).unwrap();
            Ok(Presence::Absent { witnesses })
        })
        .ok_or_else(dead)?
    }
    async fn invoke_script(&self, _: &[u8], _: &[Caller]) -> Result<Invocation, ChainError> {
        self.operate(|_| Invocation {
            state: VmState::Halt,
            gas: Datoshi(5),
            exception: None,
            stack: vec![],
            notifications: vec![],
            session: None,
        })
        .ok_or_else(dead)
    }
    async fn invoke_read(&self, _: ScriptHash, _: &str, _: &[StackItem]) -> Result<Invocation, ChainError> {
        unused()
    }
    async fn iterate(&self, _: &Session, _: &str, _: u32) -> Result<Vec<StackItem>, ChainError> {
        unused()
    }
    async fn end_session(&self, _: &Session) -> Result<(), ChainError> {
        unused()
    }
    async fn send(&self, bytes: &[u8]) -> Result<Sent, ChainError> {
        let transaction = Transaction::read(bytes).unwrap();
        self.operate(|state| {
            let hash = transaction.hash();
            let on_disk = state
                .records
                .values()
                .any(|r| r.raw.as_deref() == Some(bytes) || r.earlier.contains(&hash));
            assert!(on_disk, "bytes were sent that are not on disk");
            let refused = |rpc| ChainError::Refused {
                why: Refusal::Expired,
                rpc,
                message: "no".to_owned(),
            };
            if state.mined.contains_key(&hash) {
                return Ok(Sent::AlreadyOnChain);
            }
            if state.pool.iter().any(|t| t.hash() == hash) {
                return Ok(Sent::AlreadyPooled);
            }
            if u64::from(transaction.valid_until) <= state.height {
                return Err(refused(-510));
            }
            match state.roll(6) {
                0 => return Err(dead()),
                1 => return Err(refused(-500)),
                2 if state.lossy => {}
                _ => state.pool.push(transaction.clone()),
            }
            Ok(Sent::Accepted)
        })
        .ok_or_else(dead)?
    }
    async fn network_fee(&self, _: &[u8]) -> Result<Datoshi, ChainError> {
        unused()
    }
    async fn policy(&self) -> Result<Policy, ChainError> {
        Ok(Policy {
            fee_per_byte: Datoshi(1),
            exec_fee_factor: 1,
            storage_price: 1,
            conflicts_fee: Datoshi(0),
            block_ms: 1_000,
            valid_until_increment_max: 100,
        })
    }
    async fn contract_state(&self, _: ScriptHash) -> Result<Option<ContractState>, ChainError> {
        unused()
    }
    async fn balance(&self, _: ScriptHash, _: ScriptHash) -> Result<BigInt, ChainError> {
        self.operate(|_| BigInt::from(i64::MAX)).ok_or_else(dead)
    }
}

#[async_trait]
impl TxStore for World {
    async fn reserve(&self, record: TxRecord, _: Datoshi) -> Result<Reserved, TxStoreError> {
        self.operate(|state| match state.records.get(&record.id) {
            Some(found) => Reserved::Existing(Box::new(found.clone())),
            None => {
                if let Some(old) = record.replaces.and_then(|old| state.records.get_mut(&old)) {
                    assert!(record.can_replace(old));
                    old.replaced_by = Some(record.id);
                    old.revision += 1;
                }
                state.records.insert(record.id, record.clone());
                Reserved::New
            }
        })
        .ok_or_else(lost)
    }
    async fn advance(&self, record: TxRecord) -> Result<bool, TxStoreError> {
        self.operate(|state| {
            let fits = state
                .records
                .get(&record.id)
                .is_some_and(|r| r.revision + 1 == record.revision);
            if fits {
                state.records.insert(record.id, record.clone());
            }
            fits
        })
        .ok_or_else(lost)
    }
    async fn abandon(&self, id: TxId, _: u64) -> Result<bool, TxStoreError> {
        self.operate(|state| state.records.remove(&id).is_some())
            .ok_or_else(lost)
    }
    async fn transaction(&self, id: TxId) -> Result<Option<TxRecord>, TxStoreError> {
        self.operate(|state| state.records.get(&id).cloned())
            .ok_or_else(lost)
    }
    async fn open_transactions(&self, _: u32) -> Result<Vec<TxRecord>, TxStoreError> {
        self.operate(|state| {
            state
                .records
                .values()
                .filter(|r| !r.state.is_final())
                .cloned()
                .collect()
        })
        .ok_or_else(lost)
    }
    async fn transactions(
        &self,
        _: &ProjectName,
        _: Option<TxId>,
        _: u32,
    ) -> Result<Vec<TxRecord>, TxStoreError> {
        Err(lost())
    }
}

#[async_trait]
impl Signing for World {
    async fn accounts(&self) -> Result<Vec<AccountInfo>, SignError> {
        Ok(vec![AccountInfo {
            account: self.key.public().account(),
            verification: self.key.public().verification_script(),
            label: String::new(),
            policy: SigningPolicy::default(),
            spent: Datoshi(0),
        }])
    }
    async fn sign(&self, request: SignRequest) -> Result<Witness, SignError> {
        let transaction = Transaction::read(&request.transaction).unwrap();
        self.operate(|_| self.key.witness(&transaction.message(request.network)))
            .ok_or_else(|| SignError::Unavailable("crash".to_owned()))
    }
}

struct Hands(Mutex<u64>);
impl Clock for Hands {
    fn now(&self) -> UnixMillis {
        UnixMillis(0)
    }
    fn monotonic(&self) -> Duration {
        Duration::ZERO
    }
}
impl Entropy for Hands {
    fn fill(&self, buf: &mut [u8]) {
        let mut n = self.0.lock();
        *n += 1;
        let n = *n;
        buf.iter_mut()
            .zip(n.to_le_bytes())
            .for_each(|(to, from)| *to = from);
    }
}

fn world(seed: u64, lossy: bool) -> Arc<World> {
    let head = Head {
        height: 10,
        hash: Hash256::ZERO,
        time: UnixMillis(0),
    };
    Arc::new(World {
        state: Mutex::new(State {
            height: 10,
            dice: seed,
            lossy,
            ..State::default()
        }),
        head: watch::Sender::new(head),
        key: crate::key::PrivateKey::from_bytes(&[7; 32]).unwrap(),
    })
}
fn manager(world: &Arc<World>, hands: &Arc<Hands>) -> Transactions {
    Transactions::new(TransactionsOptions {
        chain: world.clone(),
        signer: world.clone(),
        store: world.clone(),
        cover: None,
        clock: hands.clone(),
        entropy: hands.clone(),
    })
}

/// Submits the same request again and again, as a function that is retried does, through crashes and losses.
async fn story(seed: u64, lossy: bool, crashes: Vec<(u32, bool)>) -> (Arc<World>, TxId) {
    let world = world(seed, lossy);
    let hands = Arc::new(Hands(Mutex::new(seed)));
    let request = Request {
        valid_blocks: Some(3),
        renewals: 1_000,
        ..Request::new("default".parse().unwrap(), Digest::of(b"once"), vec![0x40])
    };
    let id = request.id();
    let mut crashes = crashes.into_iter();
    for _ in 0..400 {
        {
            // a new process
            let mut state = world.state.lock();
            (state.crash, state.crashed) = (crashes.next(), false);
        }
        let transactions = manager(&world, &hands);
        while !world.state.lock().crashed {
            let first = transactions.submit(request.clone()).await.map(|r| r.id);
            assert!(first.is_err() || first.is_ok_and(|found| found == id));
            drop(transactions.activate().await);
            world.tick();
            let ended = world
                .state
                .lock()
                .records
                .get(&id)
                .is_some_and(|r| r.state.is_final());
            if ended {
                return (world, id);
            }
        }
    }
    (world, id)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn what_is_asked_for_once_is_on_chain_once(
        seed: u64, lossy: bool, crashes in prop::collection::vec((0u32..25, any::<bool>()), 0..40),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let (world, id) = runtime.block_on(story(seed, lossy, crashes));
        for _ in 0..20 {
            world.tick();
        }
        let state = world.state.lock();
        let record = &state.records[&id];
        prop_assert_eq!(record.state, TxState::Mined);
        prop_assert_eq!(state.mined.len(), 1, "on chain: {:?}", state.mined);
        prop_assert!(state.mined.contains_key(&record.hash));
    }
}

#[test]
fn a_kill_at_every_single_point_changes_nothing() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    for point in 0..30 {
        for after in [false, true] {
            let (world, id) = runtime.block_on(story(7, false, vec![(point, after)]));
            let state = world.state.lock();
            assert_eq!(
                (state.records[&id].state, state.mined.len()),
                (TxState::Mined, 1),
                "killed at {point}"
            );
        }
    }
}

/// Of one that is replaced shortly before its last block: which of the two did what was asked for is told by the later one.
#[test]
fn who_is_being_replaced_does_not_end_before_its_replacement() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    for (seed, mined) in (0..8).flat_map(|seed| [(seed, true), (seed, false)]) {
        let world = world(seed, false);
        let transactions = manager(&world, &Arc::new(Hands(Mutex::new(seed))));
        // a block that takes nothing, and nodes that forget
        let empty_block = || {
            let mut state = world.state.lock();
            state.pool.clear();
            state.height += 1;
            world.head.send_modify(|head| head.height = state.height);
        };
        let ends = |id: TxId| world.state.lock().records[&id].state;
        runtime.block_on(async {
            let request = Request {
                valid_blocks: Some(5),
                ..Request::new("default".parse().unwrap(), Digest::of(b"once"), vec![0x40])
            };
            let old = transactions.submit(request).await.unwrap();
            while world.head.borrow().height + 1 < old.valid_until {
                empty_block();
                drop(transactions.activate().await);
            }
            let new = transactions
                .replace(old.id, Replacement::Faster, None)
                .await
                .unwrap();
            while world.head.borrow().height < new.valid_until {
                empty_block();
                for _ in 0..10 {
                    drop(transactions.activate().await);
                }
                assert!(!ends(old.id).is_final(), "the other one may still come");
            }
            if mined {
                let mut state = world.state.lock();
                let height = state.height;
                state.mined.insert(new.hash, height);
            }
            for _ in 0..4 {
                empty_block();
                for _ in 0..10 {
                    drop(transactions.activate().await);
                }
            }
            let expected = match mined {
                true => (TxState::Replaced, TxState::Mined),
                false => (TxState::Expired, TxState::Expired),
            };
            assert_eq!((ends(old.id), ends(new.id)), expected);
        });
    }
}

/// What the account says to itself on chain is the operator's word.
#[test]
fn no_project_has_the_account_give_gas_to_itself() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    let world = world(1, false);
    let transactions = manager(&world, &Arc::new(Hands(Mutex::new(1))));
    let own = StackItem::ByteString(world.key.public().account().0.to_vec());
    let arguments = [own.clone(), own.clone(), StackItem::Integer(0.into()), own];
    let script = crate::contract::call(ScriptHash::GAS, "transfer", &arguments).unwrap();
    let asked = |bearer, what: &[u8]| Request {
        bearer,
        ..Request::new("default".parse().unwrap(), Digest::of(what), script.clone())
    };
    runtime.block_on(async {
        let refused = transactions
            .submit(asked(Bearer::Project, b"1"))
            .await
            .unwrap_err();
        assert_eq!(refused.code(), Code::TransactionInvalid, "{refused}");
        transactions.submit(asked(Bearer::Operator, b"2")).await.unwrap();
    });
}
