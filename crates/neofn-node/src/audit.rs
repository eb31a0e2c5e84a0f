//! The audit log of a node: the key that signs its tree, and the loop that signs and anchors.
//!
//! An anchor is a transfer of nothing from the treasury to itself, with size and root as its data: any node of the chain
//! shows it for ever, and no contract is needed.

use crate::{OsEntropy, files};
use async_trait::async_trait;
use neofn_chain::decode::transfer_calls;
use neofn_chain::manager::{Bearer, Request, Transactions, TxState};
use neofn_chain::model::VmState;
use neofn_chain::script::{CallFlags, NotAnArgument, ScriptBuilder};
use neofn_chain::stack::StackItem;
use neofn_engine::Leading;
use neofn_engine::port::{Act, ActLog};
use neofn_gas::TREASURY_PROJECT;
use neofn_identity::audit::AuditEntry;
use neofn_identity::auditlog::port::{AnchorChain, AnchorState};
use neofn_identity::auditlog::{AuditLog, Hash, Head, LogKey};
use neofn_types::{Clock, Code, Datoshi, Digest, Entropy as _, Error, ProjectName, ScriptHash};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use zeroize::Zeroizing;

/// Holds the seed of the key that signs, beside the database and not in it.
pub(crate) const NAME: &str = "audit.key";
/// How often the tree is signed when there is something new.
const SIGN_EVERY: Duration = Duration::from_secs(60);
/// The most that the fees of an anchor may be: 0.5 GAS.
const ANCHOR_FEE_MAX: Datoshi = Datoshi(50_000_000);

/// Acts of functions and of the engine, as entries of the log.
pub(crate) struct Acts {
    log: AuditLog,
    clock: Arc<dyn Clock>,
}
impl Acts {
    pub(crate) fn new(log: AuditLog, clock: Arc<dyn Clock>) -> Self {
        Self { log, clock }
    }
}
#[async_trait]
impl ActLog for Acts {
    async fn write(&self, act: Act) -> Result<(), Error> {
        let entry = AuditEntry::new(self.clock.now(), act.actor, act.action, act.target).detail(act.detail);
        let entry = match &act.project {
            Some(project) => entry.within(project),
            None => entry,
        };
        self.log.append(entry).await.map(drop).map_err(Error::from)
    }
}

/// The key of the log, made when there is none. The log's name is made of the key, so that two logs never have one name.
pub(crate) fn key(data: &Path) -> Result<LogKey, Error> {
    let path = data.join(NAME);
    let damaged = |why: String| {
        Error::new(
            Code::ConfigInvalid,
            format!("cannot use the audit log's key in {}: {why}", path.display()),
        )
        .hint("Put the file back as it was: with another key, what was signed before is of another log.")
    };
    let mut seed = Zeroizing::new([0u8; 32]);
    match std::fs::read_to_string(&path) {
        Ok(text) => hex::decode_to_slice(Zeroizing::new(text).trim(), &mut *seed)
            .map_err(|_| damaged("it holds no 64 digits in hex".to_owned()))?,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            OsEntropy.fill(&mut *seed);
            files::write_private(&path, &Zeroizing::new(format!("{}\n", hex::encode(*seed))))?;
        }
        Err(e) => return Err(damaged(e.to_string())),
    }
    let name = Digest::of_parts(&[b"neofn/audit/name/v1", &*seed]).to_string();
    let origin = format!("neofn/audit/{}", name.get(..16).unwrap_or_default());
    LogKey::from_seed(&origin, &seed).map_err(|e| damaged(e.to_string()))
}

/// Signs and anchors until `gone`; of several nodes one at a time.
pub(crate) async fn keep(log: AuditLog, leading: Leading, every: Option<Duration>, gone: CancellationToken) {
    let pause = every
        .unwrap_or(SIGN_EVERY)
        .clamp(Duration::from_secs(1), SIGN_EVERY);
    loop {
        if leading.try_lead().await
            && let Err(error) = log.activate().await
        {
            tracing::error!(%error, "the audit log was not signed");
        }
        tokio::select! {
            () = gone.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// What an account runs to write a root: exactly this, so that who checks it has nothing to interpret.
pub fn anchor_script(account: ScriptHash, bytes: Vec<u8>) -> Result<Vec<u8>, NotAnArgument> {
    let mut script = ScriptBuilder::new();
    script.call(
        ScriptHash::GAS,
        "transfer",
        CallFlags::All,
        &to_itself(account, bytes),
    )?;
    Ok(script.into_bytes())
}

/// The arguments of a transfer that moves nothing and says `bytes`.
fn to_itself(account: ScriptHash, bytes: Vec<u8>) -> [StackItem; 4] {
    let own = StackItem::ByteString(account.0.to_vec());
    [
        own.clone(),
        own,
        StackItem::Integer(0.into()),
        StackItem::ByteString(bytes),
    ]
}

/// The size and the root that a script of `account` writes. None of any other script, whatever it moves: others may have
/// transactions signed by the same account, and give the same data along.
pub(crate) fn read_anchor(account: ScriptHash, script: &[u8]) -> Option<(u64, Hash)> {
    let bytes = transfer_calls(script).pop()?.data?;
    let said = Head::read_anchor(&bytes)?;
    let ours = anchor_script(account, bytes).ok()?;
    (ours == script).then_some(said)
}

/// Writes roots to the chain through the transaction manager.
pub(crate) struct Anchors {
    pub(crate) transactions: Transactions,
}

type Failed = Box<dyn std::error::Error + Send + Sync>;

#[async_trait]
impl AnchorChain for Anchors {
    async fn anchor(&self, bytes: Vec<u8>) -> Result<AnchorState, Failed> {
        let Some(account) = self.transactions.account().await? else {
            return Err("the signer has no account".into());
        };
        let project: ProjectName = TREASURY_PROJECT.parse()?;
        let idempotency = Digest::of_parts(&[b"neofn/anchor", &bytes]);
        let request = Request {
            fee_max: Some(ANCHOR_FEE_MAX),
            bearer: Bearer::Operator,
            ..Request::new(project, idempotency, anchor_script(account, bytes)?)
        };
        let record = self.transactions.submit(request).await?;
        Ok(match (record.state, &record.outcome) {
            (TxState::Mined, Some(outcome)) if outcome.state == VmState::Halt => {
                AnchorState::OnChain(record.hash, outcome.height)
            }
            (TxState::Mined | TxState::Expired | TxState::Replaced, _) => AnchorState::Never,
            _ => AnchorState::Waiting,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use neofn_chain::contract;

    #[test]
    fn only_what_a_node_writes_itself_is_a_root() {
        let account = ScriptHash([7; 20]);
        let bytes = Head::anchor_bytes(9, &[3; 32]);
        let script = anchor_script(account, bytes.clone()).unwrap();
        assert_eq!(read_anchor(account, &script), Some((9, [3; 32])));
        assert_eq!(read_anchor(ScriptHash([8; 20]), &script), None);
        assert_eq!(read_anchor(account, &[script.clone(), script].concat()), None);
        assert_eq!(
            read_anchor(account, &anchor_script(account, b"rent".to_vec()).unwrap()),
            None
        );
        // as `ctx.neo.invoke` has it
        let arguments = to_itself(account, bytes);
        let asked = contract::order(ScriptHash::GAS, "transfer", &arguments, true).unwrap();
        assert_eq!(read_anchor(account, &asked), None);
    }
}
