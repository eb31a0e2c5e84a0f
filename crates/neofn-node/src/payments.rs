//! Signing and sending for functions: the signer's process, the transaction manager, and the engine's view of them.

use crate::chain::ChainFacts;
use crate::child::{CHILD_ARGUMENT, SIGNER};
use crate::options::{NodeOptions, PayingWallet};
use crate::signer_lock::{Guarded, SignerLock};
use crate::storage::Storage;
use async_trait::async_trait;
use neofn_api::Development;
use neofn_chain::contract as contracts;
use neofn_chain::dev::DEV_ACCOUNTS;
use neofn_chain::manager::{Request, Transactions, TransactionsOptions, TxId, TxRecord, TxState, Until};
use neofn_chain::model::VmState;
use neofn_chain::port::{Chain, Cover};
use neofn_chain::signer::{Calls, Import, SignerOptions, SignerProcess, SigningPolicy};
use neofn_chain::tx::Scope;
use neofn_chain::wallet::Wallet;
use neofn_engine::Leading;
use neofn_engine::port::{ChainReceipt, ChainRequest, ChainWriter};
use neofn_types::{Clock, Code, Datoshi, Entropy, Error, ProjectName, ScriptHash};
use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use zeroize::Zeroizing;

/// Where the signer keeps its journal, below the data directory.
const SIGNER_DIRECTORY: &str = "signer";
/// How long a function's `confirm` waits; its own time limit is mostly shorter.
const CONFIRM: Duration = Duration::from_secs(120);
/// Before the loop of transactions begins anew.
const AFTER_FAILURE: Duration = Duration::from_secs(1);
/// Longest wallet file; longer ones are cut and then are no JSON.
const WALLET_BYTES_MAX: u64 = 1 << 20;
/// What the development account may spend: it is worth nothing, and a limit in the way of a developer helps nobody.
const DEV_PER_TRANSACTION: Datoshi = Datoshi(100_000_000_000);
const DEV_PER_DAY: Datoshi = Datoshi(10_000_000_000_000);

/// What signs and sends.
pub(crate) struct Payments {
    pub(crate) signer: Arc<SignerProcess>,
    pub(crate) transactions: Transactions,
    stop: CancellationToken,
    runner: Option<JoinHandle<()>>,
}

/// What payments stand on.
pub(crate) struct Footing<'a> {
    pub(crate) options: &'a NodeOptions,
    pub(crate) data: &'a Path,
    pub(crate) chain: Arc<dyn Chain>,
    pub(crate) storage: &'a Storage,
    /// This node's name.
    pub(crate) node: &'a str,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) entropy: Arc<dyn Entropy>,
    pub(crate) lock: SignerLock,
    /// Who sees to it that somebody bears transactions; none on a node without money.
    pub(crate) cover: Option<Arc<dyn Cover>>,
}

impl Payments {
    /// Starts the signer and goes on with what was open. On a development chain the first funded account signs.
    pub(crate) async fn open(on: Footing<'_>, development: bool) -> Result<Self, Error> {
        let signer = SignerProcess::start(SignerOptions {
            exe: on.options.exe.clone(),
            args: vec![CHILD_ARGUMENT.into(), SIGNER.into()],
            directory: on.data.join(SIGNER_DIRECTORY),
            secret: on.options.signer_secret.clone(),
            insecure_no_jail: on.options.insecure_no_jail,
        })
        .await?;
        let signer = Arc::new(signer);
        if development && let Some(account) = DEV_ACCOUNTS.first() {
            let policy = SigningPolicy {
                per_transaction: DEV_PER_TRANSACTION,
                per_day: DEV_PER_DAY,
                calls: Calls::Any,
                scope: Scope::CalledByEntry,
                network: Some(on.chain.network().0),
            };
            let wif = Import::Wif(account.wif.to_owned().into());
            signer.import(wif, "development", policy).await?;
        }
        if let Some(wallet) = &on.options.wallet {
            let wif = opened(wallet.clone()).await?;
            let network = on.chain.network().0;
            let caps = |policy: SigningPolicy| SigningPolicy {
                per_transaction: wallet.per_transaction,
                per_day: wallet.per_day,
                network: on.options.chain.network().or(policy.network).or(Some(network)),
                ..policy
            };
            let policy = caps(SigningPolicy::default());
            let held = signer.import(Import::Wif(wif), "wallet", policy).await?;
            // an account signs for the network that it came for, whatever nodes say they are on
            if let Some(signs_for) = caps(held.policy.clone()).network.filter(|n| *n != network) {
                return Err(Error::new(
                    Code::ChainNetwork,
                    format!(
                        "{} signs for network {signs_for}, and the nodes of --chain are on {network}",
                        held.account.to_address()
                    ),
                ));
            }
            // of one that it held before, what the options say; what it may call is the operator's own word
            let policy = caps(held.policy.clone());
            if policy != held.policy {
                signer.set_policy(held.account, policy).await?;
            }
            signer.set_payer(held.account).await?;
            tracing::info!(account = held.account.to_address(), "pays for transactions");
        }
        let transactions = Transactions::new(TransactionsOptions {
            chain: on.chain,
            signer: Arc::new(Guarded {
                signer: signer.clone(),
                lock: on.lock,
            }),
            store: on.storage.store.clone(),
            cover: on.cover,
            clock: on.clock.clone(),
            entropy: on.entropy.clone(),
        });
        let leading = on.storage.leading("transactions", &on.clock, on.node);
        let stop = CancellationToken::new();
        let (running, stopped) = (transactions.clone(), stop.clone());
        let runner = tokio::spawn(async move { follow(running, leading, stopped).await });
        Ok(Self {
            signer,
            transactions,
            stop,
            runner: Some(runner),
        })
    }
    /// As the port through which functions send.
    pub(crate) fn writer(&self) -> Arc<dyn ChainWriter> {
        Arc::new(Writer {
            transactions: self.transactions.clone(),
        })
    }
    /// As the use cases have it.
    pub(crate) fn shown(&self, facts: Option<&ChainFacts>) -> neofn_api::Payments {
        let development = facts.and_then(|facts| {
            Some(Development {
                wallet: facts.wallet.as_ref()?.display().to_string(),
                password: facts.password.clone()?,
            })
        });
        neofn_api::Payments {
            transactions: self.transactions.clone(),
            signer: self.signer.clone(),
            development,
        }
    }
    /// Ends in order; what is open goes on with the next start.
    pub(crate) async fn close(mut self) {
        self.stop.cancel();
        if let Some(runner) = self.runner.take()
            && let Err(e) = runner.await
        {
            tracing::error!(error = %e, "the loop of transactions ended");
        }
    }
}
impl Drop for Payments {
    fn drop(&mut self) {
        if let Some(runner) = &self.runner {
            runner.abort();
        }
    }
}

/// Looks after open transactions whenever this node is the one that does. What is open must never be left alone: should
/// the loop itself fail, it begins anew.
async fn follow(transactions: Transactions, leading: Leading, stop: CancellationToken) {
    let lease = tokio::spawn({
        let (leading, stop) = (leading.clone(), stop.clone());
        async move { leading.run(stop.cancelled_owned()).await }
    });
    let mut changes = leading.changes();
    while !stop.is_cancelled() {
        let leads = *changes.borrow_and_update();
        let turn = stop.child_token();
        let mut tasks = tokio::task::JoinSet::new();
        if leads {
            let (running, turned) = (transactions.clone(), turn.clone());
            tasks.spawn(async move { running.run(turned.cancelled_owned()).await });
        }
        tokio::select! {
            () = stop.cancelled() => {}
            _ = changes.changed() => {}
            Some(Err(e)) = tasks.join_next() => {
                tracing::error!(error = %e, "the loop of transactions ended; it begins anew");
                tokio::select! { () = stop.cancelled() => {}, () = tokio::time::sleep(AFTER_FAILURE) => {} }
            }
        }
        turn.cancel();
        while let Some(ended) = tasks.join_next().await {
            if let Err(e) = ended {
                tracing::error!(error = %e, "the loop of transactions ended");
            }
        }
    }
    if let Err(e) = lease.await {
        tracing::error!(error = %e, "the lease of transactions ended");
    }
}

/// The key of the wallet's default account. Opening it is made costly on purpose, so it happens beside the runtime.
async fn opened(wallet: PayingWallet) -> Result<Zeroizing<String>, Error> {
    let opening = tokio::task::spawn_blocking(move || {
        let password = Zeroizing::new(text_of(&wallet.password_file)?);
        let shown = wallet.file.display();
        let refused =
            |e: neofn_chain::wallet::WalletError| Error::new(Code::ConfigInvalid, format!("{shown}: {e}"));
        let file = Wallet::read(&text_of(&wallet.file)?).map_err(refused)?;
        let key = file
            .key(None, password.trim_end_matches(['\r', '\n']))
            .map_err(refused)?;
        Ok(key.to_wif())
    });
    opening.await.map_err(Error::internal)?
}

fn text_of(path: &Path) -> Result<String, Error> {
    let fail = |e: std::io::Error| {
        Error::new(
            Code::ConfigInvalid,
            format!("cannot read {}: {e}", path.display()),
        )
        .because(e)
    };
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(fail)?;
    file.take(WALLET_BYTES_MAX)
        .read_to_string(&mut text)
        .map_err(fail)?;
    Ok(text)
}

struct Writer {
    transactions: Transactions,
}

#[async_trait]
impl ChainWriter for Writer {
    async fn account(&self, _: &ProjectName) -> Option<ScriptHash> {
        self.transactions.account().await.ok().flatten()
    }
    async fn dry_run(&self, request: ChainRequest) -> Result<ChainReceipt, Error> {
        let must_be_true = request.must_be_true;
        let unsigned = self.transactions.predict(asked(request)?).await;
        let unsigned = unsigned.map_err(|e| contracts::moved_nothing(e.into(), must_be_true))?;
        Ok(ChainReceipt {
            id: None,
            hash: None,
            state: "dry-run".to_owned(),
            fee: unsigned
                .system_fee
                .checked_add(unsigned.network_fee)
                .unwrap_or_default(),
            valid_until: None,
            height: None,
        })
    }
    async fn submit(&self, request: ChainRequest) -> Result<ChainReceipt, Error> {
        let must_be_true = request.must_be_true;
        let record = self.transactions.submit(asked(request)?).await;
        let record = record.map_err(|e| contracts::moved_nothing(e.into(), must_be_true))?;
        Ok(receipt(&record))
    }
    async fn confirm(&self, id: &str) -> Result<ChainReceipt, Error> {
        let id: TxId = id
            .parse()
            .map_err(|_| Error::new(Code::NoSuchTransaction, format!("there is no transaction {id:?}")))?;
        let record = self.transactions.wait(id, Until::Final, CONFIRM).await?;
        Ok(receipt(&record))
    }
}

/// One call, paid and agreed to by the signer's first account; its witness counts in the called contract alone.
fn asked(request: ChainRequest) -> Result<Request, Error> {
    let (contract, arguments) = (request.contract, &request.arguments);
    let script = contracts::order(contract, &request.method, arguments, request.must_be_true)
        .map_err(|e| Error::new(Code::ContractMethod, e.to_string()))?;
    Ok(Request {
        fee_max: Some(request.fee_max),
        function: Some(request.key.function),
        invocation: Some(request.invocation),
        ..Request::new(request.key.project, request.idempotency, script)
    })
}

fn receipt(record: &TxRecord) -> ChainReceipt {
    let state = match (&record.outcome, record.state) {
        (Some(outcome), TxState::Mined) if outcome.state == VmState::Halt => "halt",
        (Some(_), TxState::Mined) => "fault",
        (_, state) => state.as_str(),
    };
    ChainReceipt {
        id: Some(record.id.to_string()),
        hash: record.raw.is_some().then_some(record.hash),
        state: state.to_owned(),
        fee: record.fees(),
        valid_until: Some(record.valid_until),
        height: record.outcome.as_ref().map(|o| o.height),
    }
}
