//! An engine with everything around it, and shorthands.

use crate::chain_fakes::{FakeChain, FakeWriter};
use crate::fakes::{FakeCompiler, FakeRuntime, TestClock, TestEntropy};
use crate::stores::Switched;
use bytes::Bytes;
use neofn_engine::port::{InvocationRecord, KvStore, Origin, Status};
use neofn_engine::request::{Bundle, Deploy, DeployError, Deployed, Invoke, Invoked};
use neofn_engine::{Engine, EngineOptions, Ports};
use neofn_store_sqlite::{Store, StoreOptions};
use neofn_types::{
    Clock, Error, FunctionKey, Grants, InvocationId, Limits, RuntimeKind, TraceContext, UnixMillis,
};
use serde_json::Value;
use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub struct Rig {
    pub engine: Engine,
    pub runtime: Arc<FakeRuntime>,
    pub clock: Arc<TestClock>,
    pub store: Arc<Switched>,
    pub entropy: Arc<TestEntropy>,
    pub stop: CancellationToken,
    pub service: Option<JoinHandle<()>>,
    pub dir: Arc<TempDir>,
}

pub fn key(name: &str) -> FunctionKey {
    FunctionKey::new("demo".parse().unwrap(), name.parse().unwrap())
}

pub fn deploy_of(name: &str, code: &str) -> Deploy {
    Deploy {
        key: key(name),
        bundle: Bundle::Files(BTreeMap::from([("index.ts".into(), code.into())])),
        main: "index.ts".into(),
        runtime: RuntimeKind::Js,
        public: false,
        limits: Limits::default(),
        grants: Grants {
            kv: true,
            ..Grants::default()
        },
        on: Default::default(),
        test: None,
        upon: neofn_registry::port::Upon::Anything,
    }
}

/// Waits for a condition, ten seconds at the most.
pub async fn eventually<F: Future<Output = bool>>(what: &str, mut condition: impl FnMut() -> F) {
    let met = async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), met)
        .await
        .unwrap_or_else(|_| panic!("never happened: {what}"));
}

impl Rig {
    pub fn new() -> Self {
        Self::with(|_| {})
    }
    pub fn with(change: impl FnOnce(&mut EngineOptions)) -> Self {
        let dir = Arc::new(tempfile::tempdir().unwrap());
        Self::at(dir, Arc::new(TestClock::new()), change)
    }
    /// With a chain, and an account that can send.
    pub fn on_chain() -> (Self, Arc<FakeChain>, Arc<FakeWriter>) {
        let (chain, writer) = (Arc::new(FakeChain::default()), Arc::new(FakeWriter::default()));
        let dir = Arc::new(tempfile::tempdir().unwrap());
        let rig = Self::built(
            dir,
            Arc::new(TestClock::new()),
            |_| {},
            |ports| {
                ports.chain = Some(chain.clone());
                ports.writer = Some(writer.clone());
            },
        );
        (rig, chain, writer)
    }
    /// Where calls cost money: so many datoshi per million units.
    pub fn priced(dir: Arc<TempDir>, clock: Arc<TestClock>, price: u64) -> Self {
        Self::made(
            dir,
            clock,
            |_| {},
            |ports, store| ports.purses = Some(crate::money::purses(store, price)),
        )
    }
    pub fn at(dir: Arc<TempDir>, clock: Arc<TestClock>, change: impl FnOnce(&mut EngineOptions)) -> Self {
        Self::built(dir, clock, change, |_| {})
    }
    pub fn following(
        dir: Arc<TempDir>,
        clock: Arc<TestClock>,
        chain: Option<Arc<dyn neofn_chain::port::Chain>>,
        change: impl FnOnce(&mut EngineOptions),
    ) -> Self {
        Self::built(dir, clock, change, |ports| ports.chain = chain)
    }
    fn built(
        dir: Arc<TempDir>,
        clock: Arc<TestClock>,
        change: impl FnOnce(&mut EngineOptions),
        equip: impl FnOnce(&mut Ports),
    ) -> Self {
        Self::made(dir, clock, change, |ports, _| equip(ports))
    }
    fn made(
        dir: Arc<TempDir>,
        clock: Arc<TestClock>,
        change: impl FnOnce(&mut EngineOptions),
        equip: impl FnOnce(&mut Ports, &Arc<Store>),
    ) -> Self {
        let store = Store::open(StoreOptions::new(dir.path(), clock.clone())).unwrap();
        let store = Arc::new(Switched::new(Arc::new(store)));
        let runtime = Arc::new(FakeRuntime::default());
        let entropy = Arc::new(TestEntropy(7.into()));
        let mut options = EngineOptions::new(clock.clone(), entropy.clone());
        options.tick = Duration::from_millis(3);
        options.sweep_every = Duration::from_millis(5);
        change(&mut options);
        let mut ports = Ports {
            registry: store.clone(),
            invocations: store.clone(),
            kv: store.store.clone(),
            triggers: store.store.clone(),
            leases: store.store.clone(),
            neighbours: None,
            runtime: runtime.clone(),
            compiler: Arc::new(FakeCompiler),
            chain: None,
            writer: None,
            purses: None,
            vault: None,
            broker: None,
            acts: None,
        };
        equip(&mut ports, &store.store);
        let (engine, service) = Engine::build(options, ports);
        let stop = CancellationToken::new();
        let stopped = stop.clone().cancelled_owned();
        Self {
            engine,
            runtime,
            clock,
            store,
            entropy,
            stop,
            service: Some(tokio::spawn(service.run(stopped))),
            dir,
        }
    }
    /// Ends the engine as a dying process would: nothing is drained.
    pub async fn crash(mut self) -> (Arc<TempDir>, Arc<TestClock>) {
        self.service.take().unwrap().abort();
        self.store.store.close().await.unwrap();
        (self.dir.clone(), self.clock.clone())
    }
    pub async fn deploy(&self, name: &str, code: &str) -> Deployed {
        self.engine.deploy(deploy_of(name, code)).await.unwrap()
    }
    pub async fn try_deploy(&self, name: &str, code: &str) -> Result<Deployed, DeployError> {
        self.engine.deploy(deploy_of(name, code)).await
    }
    pub fn call(&self, name: &str, event: &str) -> Invoke {
        Invoke {
            key: key(name),
            event: Bytes::from(event.to_owned()),
            idempotency: None,
            fingerprint: None,
            trace: TraceContext::start(&*self.entropy),
            origin: Origin::Sync,
            caller: None,
        }
    }
    pub async fn invoke(&self, name: &str, event: &str) -> Result<Invoked, Error> {
        self.engine.invoke(self.call(name, event)).await
    }
    pub async fn result(&self, name: &str, event: &str) -> Value {
        let invoked = self.invoke(name, event).await.unwrap();
        serde_json::from_slice(&invoked.outcome.unwrap()).unwrap()
    }
    pub async fn enqueue(&self, name: &str, event: &str) -> InvocationId {
        let invoke = Invoke {
            origin: Origin::Async,
            ..self.call(name, event)
        };
        self.engine.enqueue(invoke).await.unwrap().id
    }
    pub async fn record(&self, id: InvocationId) -> InvocationRecord {
        self.engine.invocation(id).await.unwrap()
    }
    pub async fn until(&self, id: InvocationId, status: Status) -> InvocationRecord {
        eventually(&format!("{status:?}"), || async {
            self.record(id).await.status == status
        })
        .await;
        self.record(id).await
    }
    /// Moves time past every back-off until the invocation is in `status`; in steps well under a lease, which may
    /// have begun since the record was read.
    pub async fn until_later(&self, id: InvocationId, status: Status) -> InvocationRecord {
        eventually(&format!("{status:?}"), || async {
            let now = self.record(id).await.status;
            if now == Status::Queued {
                self.clock.advance(Duration::from_secs(5));
            }
            now == status
        })
        .await;
        self.record(id).await
    }
    pub fn clock_now(&self) -> UnixMillis {
        self.clock.now()
    }
    pub async fn kv(&self, k: &str) -> Option<String> {
        let project = "demo".parse().unwrap();
        let entry = KvStore::get(&*self.store.store, &project, k, self.clock.now()).await;
        entry
            .unwrap()
            .map(|e| String::from_utf8(e.value.to_vec()).unwrap())
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}
