//! Contracts: put on chain and updated, asked with the right number of arguments, their iterators read to the end.

mod manifest;
mod nef;

pub use manifest::{Event, Manifest, ManifestError, Method};
pub use nef::{Nef, NefError};

use crate::error::{ChainError, Refusal};
use crate::model::{ContractState, Invocation};
use crate::port::Chain;
use crate::script::{CallFlags, NotAnArgument, ScriptBuilder};
use crate::stack::StackItem;
use neofn_event::ParameterType;
use neofn_types::{Code, Error, ScriptHash};

/// The native contract that keeps all others.
pub const MANAGEMENT: &str = "0xfffdc93764dbaddd97c48f252a53ea4643faa3fd";
const ABORT: u8 = 0x38;
/// Items that one question to an iterator's node asks for.
const PAGE: u32 = 100;

/// A deployment that can be tried, paid and sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deployment {
    /// What the transaction runs.
    pub script: Vec<u8>,
    /// Where the contract will be.
    pub contract: ScriptHash,
}

/// Where a contract will be: its hash is made of who deploys it, its code's checksum and its name.
#[must_use]
pub fn contract_hash(sender: ScriptHash, nef: &Nef, manifest: &Manifest) -> ScriptHash {
    let mut script = ScriptBuilder::new();
    script
        .op(ABORT)
        .bytes(&sender.0)
        .integer(&nef.checksum.into())
        .bytes(manifest.name.as_bytes());
    crate::tx::script_hash(&script.into_bytes())
}

/// Puts a contract on chain. `data` is handed to its `_deploy` method.
pub fn deploy(
    sender: ScriptHash,
    nef: &Nef,
    manifest: &Manifest,
    data: &StackItem,
) -> Result<Deployment, ChainError> {
    let arguments = [
        StackItem::ByteString(nef.bytes().to_vec()),
        manifest.text().into(),
        data.clone(),
    ];
    Ok(Deployment {
        script: call(parse(MANAGEMENT)?, "deploy", &arguments)?,
        contract: contract_hash(sender, nef, manifest),
    })
}

/// Replaces a contract's code, its manifest or both, through the `update` method that the contract itself offers: who
/// may do that is its own business.
pub fn update(
    contract: ScriptHash,
    nef: Option<&Nef>,
    manifest: Option<&Manifest>,
    data: &StackItem,
) -> Result<Vec<u8>, ChainError> {
    let nef = nef.map_or(StackItem::Null, |nef| StackItem::ByteString(nef.bytes().to_vec()));
    let manifest = manifest.map_or(StackItem::Null, |m| m.text().into());
    call(contract, "update", &[nef, manifest, data.clone()])
}

/// A script that calls a method with all rights.
pub fn call(contract: ScriptHash, method: &str, arguments: &[StackItem]) -> Result<Vec<u8>, ChainError> {
    let mut script = ScriptBuilder::new();
    script.call(contract, method, CallFlags::All, arguments)?;
    Ok(script.into_bytes())
}

/// Faults unless the call before it answered true.
const ASSERT: u8 = 0x39;

/// Whether a method answers false instead of faulting when it moves nothing: a token's `transfer`. Sent like any other, it
/// would burn its fees and look like a success.
#[must_use]
pub fn may_move_nothing(method: &str, returns: ParameterType) -> bool {
    method == "transfer" && returns == ParameterType::Boolean
}

/// A script that calls a method with all rights, and faults when it answers false.
pub fn call_or_fault(
    contract: ScriptHash,
    method: &str,
    arguments: &[StackItem],
) -> Result<Vec<u8>, ChainError> {
    let mut script = call(contract, method, arguments)?;
    script.push(ASSERT);
    Ok(script)
}

/// What is sent for a call: [`call_or_fault`] where the method's answer `must_be_true`, as [`may_move_nothing`] says,
/// otherwise [`call`].
pub fn order(
    contract: ScriptHash,
    method: &str,
    arguments: &[StackItem],
    must_be_true: bool,
) -> Result<Vec<u8>, ChainError> {
    match must_be_true {
        true => call_or_fault(contract, method, arguments),
        false => call(contract, method, arguments),
    }
}

/// The error of an [`order`] that was tried out, in words that say what false means. An ASSERT of the contract's own has
/// its own words.
#[must_use]
pub fn moved_nothing(error: Error, must_be_true: bool) -> Error {
    let refused =
        error.code == Code::ScriptFault && error.message.contains("ASSERT is executed with false result");
    if !must_be_true || !refused {
        return error;
    }
    Error::new(
        Code::InsufficientFunds,
        "the transfer would move nothing: it answers false, so the account has less of the token than that, or does not agree",
    )
    .hint("Compare the amount with `neofn chain balance ADDRESS --token TOKEN`; only the account itself can send what it has.")
}

/// A contract that is there, with its manifest.
pub async fn find(chain: &dyn Chain, contract: ScriptHash) -> Result<(ContractState, Manifest), ChainError> {
    let state = chain.contract_state(contract).await?.ok_or_else(|| {
        ChainError::Contract(
            Refusal::UnknownContract,
            format!("there is no contract {contract}"),
        )
    })?;
    let manifest = Manifest::of_state(&state)
        .map_err(|e| ChainError::Contract(Refusal::Method, format!("contract {contract}: {e}")))?;
    Ok((state, manifest))
}

/// Calls a method against the present state, after a look into the manifest: what fails there has a clearer reason
/// than the machine's. A fault is an error.
pub async fn read(
    chain: &dyn Chain,
    contract: ScriptHash,
    method: &str,
    arguments: &[StackItem],
) -> Result<Invocation, ChainError> {
    must_have(chain, contract, method, arguments.len()).await?;
    let ended = chain.invoke_read(contract, method, arguments).await?;
    if let Some(session) = &ended.session
        && let Err(error) = chain.end_session(session).await
    {
        tracing::debug!(%error, "iterator session left to its time-out");
    }
    ended.halted()
}

/// An error that says what is missing, the contract or its method with so many parameters.
pub async fn must_have(
    chain: &dyn Chain,
    contract: ScriptHash,
    method: &str,
    parameters: usize,
) -> Result<(), ChainError> {
    let (_, manifest) = find(chain, contract).await?;
    match manifest.method(method, parameters) {
        Some(_) => Ok(()),
        None => Err(ChainError::Contract(
            Refusal::Method,
            no_method(&manifest, method, parameters),
        )),
    }
}

fn no_method(manifest: &Manifest, method: &str, arguments: usize) -> String {
    let shown: Vec<String> = manifest
        .methods
        .iter()
        .filter(|m| m.name == method)
        .map(|m| {
            let parameters = m.parameters.iter();
            let parameters: Vec<String> = parameters
                .map(|(name, kind)| format!("{name}: {}", kind.as_str()))
                .collect();
            format!("{method}({})", parameters.join(", "))
        })
        .collect();
    if shown.is_empty() {
        let names: Vec<&str> = manifest.methods.iter().map(|m| m.name.as_str()).collect();
        return format!(
            "{} has no method {method:?}; it has {}",
            manifest.name,
            names.join(", ")
        );
    }
    format!(
        "{method} was given {arguments} arguments, but it is {}",
        shown.join(" or ")
    )
}

/// The items of an iterator that an invocation left on top of its stack, at most `max` of them, and whether there were
/// more. The session is given up. An answer that is no iterator is none.
pub async fn items(
    chain: &dyn Chain,
    invocation: &Invocation,
    max: usize,
) -> Result<Option<(Vec<StackItem>, bool)>, ChainError> {
    let Some(StackItem::Interop(interop)) = invocation.stack.first() else {
        return Ok(None);
    };
    let (Some(session), Some(iterator)) = (&invocation.session, &interop.iterator) else {
        let more = interop.truncated || interop.items.len() > max;
        return Ok(Some((interop.items.iter().take(max).cloned().collect(), more)));
    };
    let mut all = Vec::new();
    let ended = loop {
        match chain.iterate(session, iterator, PAGE).await {
            Err(e) => break Err(e),
            Ok(page) => {
                let last = page.len() < usize::try_from(PAGE).unwrap_or(usize::MAX);
                all.extend(page);
                if last || all.len() > max {
                    break Ok(());
                }
            }
        }
    };
    if let Err(e) = chain.end_session(session).await {
        tracing::debug!(error = %e, "a session ends by itself after a while");
    }
    ended?;
    let more = all.len() > max;
    all.truncate(max);
    Ok(Some((all, more)))
}

fn parse(hash: &str) -> Result<ScriptHash, ChainError> {
    hash.parse()
        .map_err(|e| ChainError::Contract(Refusal::UnknownContract, format!("{e}")))
}
impl From<NotAnArgument> for ChainError {
    fn from(error: NotAnArgument) -> Self {
        Self::Contract(Refusal::Method, error.to_string())
    }
}
impl From<NefError> for ChainError {
    fn from(error: NefError) -> Self {
        Self::Contract(Refusal::Invalid, error.to_string())
    }
}
impl From<ManifestError> for ChainError {
    fn from(error: ManifestError) -> Self {
        Self::Contract(Refusal::Invalid, error.to_string())
    }
}
