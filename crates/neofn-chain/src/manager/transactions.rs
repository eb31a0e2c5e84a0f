//! The manager: takes requests, and moves what is open on with every block.

use super::TxError;
use super::build::InPlaceOf;
use super::machine::{self, Fact, Known, Step, Unsigned, apply};
use super::record::{Bearer, Outcome, Request, TxId, TxRecord, TxState};
use crate::error::{ChainError, Refusal};
use crate::model::{Execution, FoundTransaction, Presence};
use crate::port::{Chain, Cover, Reserved, TxStore, Uncovered};
use crate::signer::{Asked, Purpose, SignError, SignRequest, Signing};
use crate::tx::{Transaction, Witness};
use futures_util::StreamExt as _;
use neofn_types::{Clock, Datoshi, Entropy, Hash256, ProjectName, ScriptHash};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// Open transactions that one activation looks at.
const OPEN_MAX: u32 = 1_000;
/// Looked at side by side.
const ABREAST: usize = 16;
/// Steps that one transaction takes in one activation: more would be a defect.
const STEPS_MAX: usize = 12;
/// Without a new block, look again after this.
const IDLE: Duration = Duration::from_secs(15);

/// What the manager stands on.
pub struct TransactionsOptions {
    /// The chain.
    pub chain: Arc<dyn Chain>,
    /// Who signs.
    pub signer: Arc<dyn Signing>,
    /// Where transactions are kept.
    pub store: Arc<dyn TxStore>,
    /// Who sees to it that somebody bears them; none: they cost nobody anything here.
    pub cover: Option<Arc<dyn Cover>>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub entropy: Arc<dyn Entropy>,
}

/// The handle; cheap to clone.
#[derive(Clone)]
pub struct Transactions(Arc<Shared>);

pub(super) struct Shared {
    pub(super) chain: Arc<dyn Chain>,
    pub(super) signer: Arc<dyn Signing>,
    pub(super) store: Arc<dyn TxStore>,
    pub(super) cover: Option<Arc<dyn Cover>>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) entropy: Arc<dyn Entropy>,
    changes: watch::Sender<u64>,
}

/// How far [`Transactions::wait`] waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// A node has taken it, or it ended.
    Sent,
    /// It ended.
    Final,
}

/// What an activation did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Report {
    /// Looked at.
    pub open: u32,
    /// Of these, ended now.
    pub ended: u32,
    /// Of these, not moved because something failed; the log says what.
    pub failed: u32,
}

impl Transactions {
    /// Starts nothing: whoever has it runs [`Transactions::run`] beside it.
    #[must_use]
    pub fn new(options: TransactionsOptions) -> Self {
        let TransactionsOptions {
            chain,
            signer,
            store,
            cover,
            clock,
            entropy,
        } = options;
        Self(Arc::new(Shared {
            chain,
            signer,
            store,
            cover,
            clock,
            entropy,
            changes: watch::Sender::new(0),
        }))
    }
    pub(super) fn shared(&self) -> &Shared {
        &self.0
    }

    /// The account that pays and signs where a request names none; none when the signer has none for this network.
    pub async fn account(&self) -> Result<Option<ScriptHash>, TxError> {
        self.0.account().await
    }
    /// Whether anything is signed at this time; else why not.
    pub fn ready(&self) -> Result<(), TxError> {
        Ok(self.0.signer.ready()?)
    }
    /// What a request would cost and do: built and tried out, then forgotten.
    pub async fn predict(&self, request: Request) -> Result<Unsigned, TxError> {
        let request = self.0.complete(request).await?;
        self.0.build(&request, None).await
    }

    /// Takes a request; answers when its bytes are signed, on disk and sent, or as far as it came. The same project and
    /// idempotency key give the same transaction for ever; a request for another one under them is an error.
    pub async fn submit(&self, request: Request) -> Result<TxRecord, TxError> {
        if let Some(found) = self.0.store.transaction(request.id()).await? {
            same(&found, &request)?;
            return match found.state {
                // whoever asked first died before it was sent: this one is told what becomes of it all the same
                TxState::Reserved | TxState::Signed => self.0.finish_submit(found).await,
                _ => Ok(found),
            };
        }
        // what is kept would only be in the way until it may be signed
        self.ready()?;
        let request = self.0.complete(request).await?;
        let unsigned = self.0.build(&request, None).await?;
        let record = self.0.reserve(request.clone(), unsigned, None).await?;
        same(&record, &request)?;
        self.0.finish_submit(record).await
    }

    /// One transaction.
    pub async fn get(&self, id: TxId) -> Result<TxRecord, TxError> {
        self.0.get(id).await
    }
    /// A project's, newest first.
    pub async fn list(
        &self,
        project: &ProjectName,
        before: Option<TxId>,
        limit: u32,
    ) -> Result<Vec<TxRecord>, TxError> {
        Ok(self.0.store.transactions(project, before, limit).await?)
    }
    /// Waits for a transaction; answers as it is at the latest after `within`.
    pub async fn wait(&self, id: TxId, until: Until, within: Duration) -> Result<TxRecord, TxError> {
        let mut changes = self.0.changes.subscribe();
        let reached = async {
            loop {
                changes.mark_unchanged();
                let record = self.0.get(id).await?;
                let there = match until {
                    Until::Sent => record.state.is_final() || record.state == TxState::Broadcast,
                    Until::Final => record.state.is_final(),
                };
                if there || changes.changed().await.is_err() {
                    return Ok(record);
                }
            }
        };
        match tokio::time::timeout(within, reached).await {
            Ok(record) => record,
            Err(_) => self.0.get(id).await,
        }
    }

    /// Moves every open transaction as far as it goes at the present height. Harmless to repeat, at any time.
    pub async fn activate(&self) -> Result<Report, TxError> {
        let open = self.0.store.open_transactions(OPEN_MAX).await?;
        let mut report = Report {
            open: u32::try_from(open.len()).unwrap_or(u32::MAX),
            ..Report::default()
        };
        let moves = open.into_iter().map(|record| async move {
            let id = record.id;
            (id, self.0.drive(record).await)
        });
        let mut moves = futures_util::stream::iter(moves).buffer_unordered(ABREAST);
        while let Some((id, moved)) = moves.next().await {
            match moved {
                Ok(record) if record.state.is_final() => {
                    report.ended += 1;
                    tracing::info!(tx = %id, hash = %record.hash, state = %record.state, "transaction ended");
                }
                Ok(_) => {}
                Err(e) => {
                    report.failed += 1;
                    tracing::warn!(tx = %id, error = %e, "transaction not moved");
                }
            }
        }
        Ok(report)
    }

    /// Activates with every block, until `stop`.
    pub async fn run(&self, stop: impl Future<Output = ()>) {
        let mut head = self.0.chain.watch();
        tokio::pin!(stop);
        loop {
            head.mark_unchanged();
            if let Err(e) = self.activate().await {
                tracing::warn!(error = %e, "transactions not looked at");
            }
            tokio::select! {
                () = &mut stop => return,
                changed = head.changed() => if changed.is_err() {
                    tokio::select! { () = &mut stop => return, () = tokio::time::sleep(IDLE) => {} }
                },
                () = tokio::time::sleep(IDLE) => {}
            }
        }
    }
}

impl Shared {
    pub(super) async fn get(&self, id: TxId) -> Result<TxRecord, TxError> {
        self.store.transaction(id).await?.ok_or(TxError::Unknown(id))
    }

    /// Sets the fees aside and puts the unsigned bytes on disk.
    pub(super) async fn reserve(
        &self,
        request: Request,
        unsigned: Unsigned,
        replaces: Option<TxId>,
    ) -> Result<TxRecord, TxError> {
        let balance = self.chain.balance(ScriptHash::GAS, unsigned.sender).await?;
        let balance = Datoshi(i64::try_from(balance).unwrap_or(i64::MAX));
        let now = self.clock.now();
        let record = TxRecord {
            id: request.id(),
            request,
            state: TxState::Reserved,
            revision: 1,
            hash: unsigned.hash,
            sender: unsigned.sender,
            unsigned: unsigned.bytes,
            cosigned: Vec::new(),
            raw: None,
            system_fee: unsigned.system_fee,
            network_fee: unsigned.network_fee,
            valid_until: unsigned.valid_until,
            leaving: unsigned.leaving,
            outcome: None,
            reason: None,
            missing_at: None,
            attempt: 1,
            earlier: Vec::new(),
            replaces,
            replaced_by: None,
            created_at: now,
            updated_at: now,
        };
        match self.store.reserve(record.clone(), balance).await? {
            Reserved::New => Ok(record),
            Reserved::Existing(found) => Ok(*found),
            Reserved::OverBudget { pending } => Err(TxError::Funds {
                sender: record.sender.to_address(),
                balance,
                pending,
                fees: record.fees(),
            }),
        }
    }

    /// Drives a transaction that was just reserved. Where the signer refuses, or nobody bears it, nothing was signed and
    /// nothing is kept.
    pub(super) async fn finish_submit(&self, record: TxRecord) -> Result<TxRecord, TxError> {
        let (id, revision, state) = (record.id, record.revision, record.state);
        let driven = match self.cover_early(&record).await {
            Ok(()) => self.drive(record).await,
            Err(error) => Err(error),
        };
        match driven {
            Err(
                refused @ (TxError::Sign(SignError::Refused(_) | SignError::NoAccount(_))
                | TxError::Uncovered(_)),
            ) => {
                if state == TxState::Reserved && self.store.abandon(id, revision).await? {
                    // only now: until it is forgotten somebody else may have it signed
                    if let Some(cover) = &self.cover {
                        cover.release(id).await;
                    }
                    return Err(refused);
                }
                self.get(id).await
            }
            // it is on disk and will be moved on with the next block
            Err(TxError::Sign(_) | TxError::Chain(_) | TxError::CoverUnknown(_)) => self.get(id).await,
            driven => driven,
        }
    }

    /// One that waits for signatures of others learns now whether it will be borne, not when they have signed.
    async fn cover_early(&self, record: &TxRecord) -> Result<(), TxError> {
        match record.state == TxState::Reserved && !record.awaited().is_empty() {
            true => self.cover(record).await,
            false => Ok(()),
        }
    }

    /// Sees to it that somebody bears a transaction. Nothing is signed before.
    async fn cover(&self, record: &TxRecord) -> Result<(), TxError> {
        match &self.cover {
            Some(cover) if record.request.bearer != Bearer::Asker => {
                cover.cover(record).await.map_err(|error| match error {
                    Uncovered::Refused(e) => TxError::Uncovered(e),
                    Uncovered::Later(e) => TxError::CoverUnknown(e),
                })
            }
            _ => Ok(()),
        }
    }

    /// Moves a transaction as far as it goes at the present height.
    pub(super) async fn drive(&self, mut record: TxRecord) -> Result<TxRecord, TxError> {
        let head = self.chain.head().height;
        let mut looked = false;
        for _ in 0..STEPS_MAX {
            let rival = self.rival(&record).await?;
            if let Some(by) = rival.as_ref().filter(|r| r.state == TxState::Mined) {
                let by = format!("transaction {} ({}) is in a block in its place", by.id, by.hash);
                record = self.learn(record, Fact::Superseded(by)).await?;
                continue;
            }
            let known = Known {
                head,
                looked,
                contested: record.replaced_by.is_some() && rival.is_some_and(|r| !r.state.is_final()),
            };
            let step = machine::next(&record, known);
            let fact = match step {
                Step::Done | Step::Wait => return Ok(record),
                // while nothing is signed at all, what was never signed stays as it is: it is no failure of its own
                Step::Sign | Step::Renew | Step::GiveUp
                    if record.raw.is_none() && self.signer.ready().is_err() =>
                {
                    return Ok(record);
                }
                Step::Sign => Fact::Signed(self.sign(&record).await?),
                Step::Send => {
                    looked = true;
                    self.send(&record).await?
                }
                Step::Look => self.look(record.hash).await?,
                Step::Prove => {
                    looked = true;
                    self.prove(&record, head).await?
                }
                Step::GiveUp => {
                    Fact::NotRenewed(format!("it expired {} times without a signature", record.attempt))
                }
                Step::Renew => self.renew(&record).await?,
            };
            // what nodes have in their pools is waited for; so is the proof that an old one is nowhere
            looked |= step == Step::Look
                && (head >= record.valid_until || !matches!(fact, Fact::Seen(Presence::Absent { .. })));
            record = self.learn(record, fact).await?;
        }
        Ok(record)
    }

    /// Applies a fact and puts the result on disk; whoever was faster wins.
    pub(super) async fn learn(&self, mut record: TxRecord, fact: Fact) -> Result<TxRecord, TxError> {
        let before = record.clone();
        apply(&mut record, fact)?;
        if record == before {
            return Ok(record);
        }
        record.revision += 1;
        record.updated_at = self.clock.now();
        if !self.store.advance(record.clone()).await? {
            return self.get(record.id).await;
        }
        self.changes.send_modify(|n| *n = n.wrapping_add(1));
        Ok(record)
    }

    /// The transaction of the other kind (the one replaced, the one replacing), while this one has not ended.
    async fn rival(&self, record: &TxRecord) -> Result<Option<TxRecord>, TxError> {
        match record.replaces.or(record.replaced_by) {
            Some(rival) if !record.state.is_final() => Ok(self.store.transaction(rival).await?),
            _ => Ok(None),
        }
    }

    async fn sign(&self, record: &TxRecord) -> Result<Vec<u8>, TxError> {
        self.cover(record).await?;
        let mut transaction =
            Transaction::read(&record.unsigned).map_err(|e| TxError::Request(e.to_string()))?;
        let mut witnesses: Vec<Witness> = Vec::with_capacity(transaction.signers.len());
        for signer in &record.request.signers {
            let given = record
                .cosigned
                .iter()
                .find(|(account, _)| *account == signer.account);
            witnesses.push(match given {
                Some((_, witness)) => witness.clone(),
                None => {
                    let request = SignRequest {
                        transaction: record.unsigned.clone(),
                        network: self.chain.network().0,
                        account: signer.account,
                        asked: Asked {
                            scope: signer.scope.clone(),
                            fee_max: record.request.fee_max.unwrap_or(Datoshi(i64::MAX)),
                        },
                        purpose: Purpose {
                            project: record.request.project.clone(),
                            idempotency: record.request.idempotency,
                        },
                    };
                    self.signer.sign(request).await?
                }
            });
        }
        transaction.witnesses = witnesses;
        Ok(transaction.to_bytes())
    }

    async fn send(&self, record: &TxRecord) -> Result<Fact, TxError> {
        let Some(raw) = &record.raw else {
            return Err(TxError::Request("a signed transaction has no bytes".to_owned()));
        };
        match self.chain.send(raw).await {
            Ok(sent) => Ok(Fact::Sent(sent)),
            Err(ChainError::Refused { message, .. }) => Ok(Fact::NotTaken(message)),
            Err(e) => Err(e.into()),
        }
    }

    async fn look(&self, hash: Hash256) -> Result<Fact, TxError> {
        match self.chain.settled(hash).await {
            Ok(found) => Ok(mined(&found).unwrap_or(Fact::Seen(Presence::Pooled))),
            Err(e) if e.refusal() == Some(Refusal::UnknownTransaction) => {
                Ok(Fact::Seen(Presence::Absent { witnesses: 1 }))
            }
            Err(e) => Err(e.into()),
        }
    }

    async fn prove(&self, record: &TxRecord, head: u64) -> Result<Fact, TxError> {
        let past = record.valid_until.saturating_add(machine::PROOF_BLOCKS);
        match self.chain.presence(record.hash, past).await? {
            Presence::Absent { witnesses: 1 } if record.missing_at.is_none_or(|at| at >= head) => {
                Ok(Fact::Missing { at: head })
            }
            Presence::Absent { witnesses } => Ok(Fact::ProvedAbsent { witnesses }),
            Presence::Pooled => Ok(Fact::Seen(Presence::Pooled)),
            Presence::OnChain(_) => self.look(record.hash).await,
        }
    }

    async fn renew(&self, record: &TxRecord) -> Result<Fact, TxError> {
        if record.request.signers.iter().any(|s| s.verification.is_some()) {
            // whoever agreed to the old one has not agreed to a new one
            return Ok(Fact::NotRenewed(
                "it expired, and others would have to sign a new one".to_owned(),
            ));
        }
        let instead = match record.replaces {
            Some(old) => {
                let old = self.get(old).await?;
                Some(InPlaceOf {
                    hash: old.hash,
                    network_fee: old.network_fee,
                })
            }
            None => None,
        };
        match self.build(&record.request, instead).await {
            Ok(new) => Ok(Fact::Renewed(new)),
            Err(TxError::Chain(e)) if e.is_the_nodes_fault() => Err(e.into()),
            Err(e @ (TxError::Sign(SignError::Unavailable(_)) | TxError::Store(_))) => Err(e),
            Err(e) => Ok(Fact::NotRenewed(format!("cannot be built anew: {e}"))),
        }
    }
}

/// Whether a request asks for the transaction that there is: the same script, agreed to by the same accounts where it
/// names any. Its bounds may differ: they are those of who came first.
fn same(found: &TxRecord, request: &Request) -> Result<(), TxError> {
    let signers = request.signers.is_empty() || request.signers == found.request.signers;
    if request.script == found.request.script && signers {
        Ok(())
    } else {
        Err(TxError::Mismatch(found.id))
    }
}

fn mined(found: &FoundTransaction) -> Option<Fact> {
    let place = found.included?;
    let run: &Execution = found.transaction.executions.first()?;
    Some(Fact::Mined(Outcome {
        state: run.state,
        height: place.height,
        exception: run.exception.clone(),
    }))
}
