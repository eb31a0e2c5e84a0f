//! Payments through kill -9: the real store, the real signer and a real Neo N3 node, the process between them killed
//! at arbitrary moments. Each payment is made once.
//!
//! The test binary is also the payer that is killed, and the payer's signer: hence its own `main`.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test without the standard harness: clippy does not see that it is one"
)]

use libtest_mimic::{Arguments, Trial};
use neofn_chain::dev::DEV_ACCOUNTS;
use neofn_chain::key::PrivateKey;
use neofn_chain::manager::{Request, Transactions, TransactionsOptions, TxState};
use neofn_chain::pool::{Pool, PoolOptions};
use neofn_chain::port::{Chain as _, TxStore as _};
use neofn_chain::script::{CallFlags, ScriptBuilder};
use neofn_chain::signer::{Import, SignerOptions, SignerProcess, SigningPolicy, Surroundings};
use neofn_chain::stack::StackItem;
use neofn_store_sqlite::{Store, StoreOptions};
use neofn_testkit::Neo;
use neofn_types::{Clock, Datoshi, Digest, Entropy, ScriptHash, UnixMillis};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

const PAYMENTS: i64 = 40;
const KILLS: u64 = 25;
const PAYER: &str = "__payer";
const SIGNER: &str = "__signer";

struct Real;
impl Clock for Real {
    fn now(&self) -> UnixMillis {
        UnixMillis(i64::try_from(self.monotonic().as_millis()).unwrap())
    }
    fn monotonic(&self) -> Duration {
        SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap()
    }
}
impl Entropy for Real {
    fn fill(&self, buf: &mut [u8]) {
        getrandom::fill(buf).unwrap();
    }
}

fn gas() -> ScriptHash {
    "0xd2a4cff31913016155e38e474a2c06d08be276cf".parse().unwrap()
}
fn receiver() -> ScriptHash {
    PrivateKey::from_bytes(&[33; 32]).unwrap().public().account()
}

fn payment(n: i64) -> Request {
    let mut script = ScriptBuilder::new();
    let from = DEV_ACCOUNTS[0].script_hash();
    let arguments = [
        from.into(),
        receiver().into(),
        StackItem::from(1_000 + n),
        StackItem::Null,
    ];
    script
        .call(gas(), "transfer", CallFlags::All, &arguments)
        .unwrap();
    let name = Digest::of(format!("payment {n}").as_bytes());
    Request {
        // short, so that some expire while nobody is there
        valid_blocks: Some(15),
        renewals: 1_000,
        ..Request::new("default".parse().unwrap(), name, script.into_bytes())
    }
}

/// Makes all payments, as a node does, and ends when each has ended.
async fn pay(directory: &Path, url: &str) {
    let store = Arc::new(Store::open(StoreOptions::new(directory.join("data"), Arc::new(Real))).unwrap());
    let signer = SignerProcess::start(SignerOptions {
        exe: std::env::current_exe().unwrap(),
        args: vec![SIGNER.into()],
        directory: directory.join("signer"),
        secret: None,
        insecure_no_jail: false,
    })
    .await
    .unwrap();
    let wif = Import::Wif(DEV_ACCOUNTS[0].wif.to_owned().into());
    let policy = SigningPolicy {
        per_day: Datoshi(100_000_000_000),
        ..SigningPolicy::default()
    };
    signer.import(wif, "payer", policy).await.unwrap();
    let pool = Pool::connect(PoolOptions::new(vec![url.to_owned()], Arc::new(Real)))
        .await
        .unwrap();
    let transactions = Transactions::new(TransactionsOptions {
        chain: Arc::new(pool),
        signer: Arc::new(signer),
        store: store.clone(),
        cover: None,
        clock: Arc::new(Real),
        entropy: Arc::new(Real),
    });
    let running = transactions.clone();
    let runner = tokio::spawn(async move { running.run(std::future::pending()).await });
    for n in 0..PAYMENTS {
        transactions.submit(payment(n)).await.unwrap();
    }
    for n in 0..PAYMENTS {
        let ended = transactions
            .wait(
                payment(n).id(),
                neofn_chain::manager::Until::Final,
                Duration::from_secs(60),
            )
            .await
            .unwrap();
        assert_eq!(ended.state, TxState::Mined, "{ended:?}");
    }
    runner.abort();
    store.close().await.unwrap();
}

fn payer(directory: &Path, url: &str) -> std::process::Child {
    Command::new(std::env::current_exe().unwrap())
        .arg(PAYER)
        .arg(directory)
        .arg(url)
        .stdin(Stdio::null())
        .spawn()
        .unwrap()
}

fn each_payment_is_made_once() {
    let neo = Neo::start();
    let directory = tempfile::tempdir().unwrap();
    let mut dice = u64::from(std::process::id());
    eprintln!("seed {dice}");
    for _ in 0..KILLS {
        let mut child = payer(directory.path(), &neo.rpc());
        dice = dice
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        // not to wait for anything: the moment is what is drawn
        let end = Instant::now() + Duration::from_millis((dice >> 33) % 900);
        while Instant::now() < end {
            std::thread::sleep(Duration::from_millis(5));
        }
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let status = payer(directory.path(), &neo.rpc()).wait().unwrap();
    assert!(status.success(), "{status}");

    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let pool = Pool::connect(PoolOptions::new(vec![neo.rpc()], Arc::new(Real)))
            .await
            .unwrap();
        let received = pool.balance(gas(), receiver()).await.unwrap();
        let expected: i64 = (0..PAYMENTS).map(|n| 1_000 + n).sum();
        assert_eq!(received, expected.into(), "each payment once");
        let store = Store::open(StoreOptions::new(directory.path().join("data"), Arc::new(Real))).unwrap();
        assert!(store.open_transactions(10).await.unwrap().is_empty());
        let project = "default".parse().unwrap();
        let all = store.transactions(&project, None, 100).await.unwrap();
        assert_eq!(i64::try_from(all.len()), Ok(PAYMENTS));
        let rest = store.transactions(&project, Some(all[9].id), 100).await.unwrap();
        assert_eq!(rest, all[10..]);
        let renewed = all.iter().filter(|r| r.attempt > 1).count();
        eprintln!("{renewed} of {PAYMENTS} were built anew after they had expired");
        store.close().await.unwrap();
    });
}

fn main() -> ExitCode {
    let args: Vec<_> = std::env::args_os().collect();
    match args.get(1) {
        Some(role) if role == SIGNER => {
            let with = Surroundings {
                clock: Arc::new(Real),
                entropy: Arc::new(Real),
            };
            return neofn_chain::signer::main(&args[2..], with);
        }
        Some(role) if role == PAYER => {
            let runtime = tokio::runtime::Runtime::new().unwrap();
            runtime.block_on(pay(&PathBuf::from(&args[2]), args[3].to_str().unwrap()));
            return ExitCode::SUCCESS;
        }
        _ => {}
    }
    let test = Trial::test("each_payment_is_made_once_through_kills", || {
        each_payment_is_made_once();
        Ok(())
    });
    libtest_mimic::run(&Arguments::from_args(), vec![test]).exit_code()
}
