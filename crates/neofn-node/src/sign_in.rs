//! Signing in on a node: the file whose key seals the seeds of signing keys, the chain that is asked about contracts'
//! accounts, and the clockwork that lets signing keys follow one another.

use crate::{OsEntropy, files};
use async_trait::async_trait;
use neofn_chain::model::VmState;
use neofn_chain::port::{Caller, Chain};
use neofn_chain::script::{CallFlags, ScriptBuilder};
use neofn_chain::stack::StackItem;
use neofn_identity::challenge::Domain;
use neofn_identity::port::{ContractError, ContractVerifier, SessionStore};
use neofn_identity::sign_in::Domainless;
use neofn_identity::token::FileSeal;
use neofn_identity::{Identity, IdentityOptions, SignInSettings};
use neofn_types::{Clock, Code, Digest, Entropy, Error, Scheme, ScriptHash};
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use zeroize::Zeroizing;

/// Holds the key that seals the seeds, beside the database and not in it.
pub(crate) const NAME: &str = "identity.key";
/// How often it is looked whether the next signing key is due. It is published a day early.
const ACTIVATE_EVERY: Duration = Duration::from_secs(600);
/// Neo N3's main network: what wallets sign for on a node that follows no chain.
const MAIN_NETWORK: u32 = 860_833_102;

/// What an operator decides about who may do what.
#[derive(Debug, Clone, Default)]
pub struct AccessOptions {
    /// What people see in their address bar, as a host or with its scheme; none: the address that the node listens on.
    pub domain: Option<String>,
    /// Accounts that run this node.
    pub operators: Vec<ScriptHash>,
    /// A directory with `.cedar` files beside the built-in policies.
    pub policies: Option<PathBuf>,
    /// Sites whose pages may call the API from a browser, such as `https://app.example`.
    pub origins: Vec<String>,
    /// Takes NEP-20 answers in NeoLine's layout, too. It names no domain: what a person signed for another site would sign
    /// that site in here.
    pub accept_domainless: bool,
}

/// What signing in stands on.
pub(crate) struct Footing<'a> {
    pub(crate) access: &'a AccessOptions,
    pub(crate) data: &'a Path,
    pub(crate) address: SocketAddr,
    /// By which it serves.
    pub(crate) scheme: Scheme,
    pub(crate) store: Arc<dyn SessionStore>,
    pub(crate) chain: Option<Arc<dyn Chain>>,
    pub(crate) clock: Arc<dyn Clock>,
}

/// Opens the service.
pub(crate) async fn open(on: Footing<'_>) -> Result<Identity, Error> {
    let wrong =
        |e: neofn_identity::challenge::DomainParseError| Error::new(Code::ConfigInvalid, e.to_string());
    if is_nowhere(on.access.domain.as_deref(), on.address) {
        tracing::warn!(
            address = %on.address,
            "no domain is set, so whoever signs in signs for this address, which nobody sees in an address bar: wallets \
             that compare the two refuse; say with --domain (`domain` in the file) what people see there"
        );
    }
    let own = on.address.to_string();
    let named = on.access.domain.as_deref().unwrap_or(&own);
    let domain: Domain = named.parse().map_err(wrong)?;
    let domain = match named.contains("://") {
        true => domain,
        false => domain.served_by(on.scheme),
    };
    let network = on.chain.as_ref().map_or(MAIN_NETWORK, |chain| chain.network().0);
    let mut settings = SignInSettings::new(domain, network);
    settings.operators = on.access.operators.iter().copied().collect::<BTreeSet<_>>();
    if on.access.accept_domainless {
        settings.domainless = Domainless::Accept;
    }
    let entropy: Arc<dyn Entropy> = Arc::new(OsEntropy);
    let key = seal_key(on.data)?;
    Identity::open(IdentityOptions {
        settings,
        store: on.store,
        seal: Arc::new(FileSeal::new(&key, entropy.clone())),
        contracts: on
            .chain
            .map(|chain| Arc::new(Contracts(chain)) as Arc<dyn ContractVerifier>),
        clock: on.clock,
        entropy,
    })
    .await
}

/// Whether what people sign for is the address of no site: that of every interface.
fn is_nowhere(domain: Option<&str>, address: SocketAddr) -> bool {
    domain.is_none() && address.ip().is_unspecified()
}

/// Lets signing keys follow one another until `gone`.
pub(crate) async fn keep(identity: Identity, gone: CancellationToken) {
    loop {
        tokio::select! {
            () = gone.cancelled() => return,
            () = tokio::time::sleep(ACTIVATE_EVERY) => {}
        }
        if let Err(e) = identity.activate().await {
            tracing::error!(error = %e, "the signing keys of access tokens could not be looked after");
        }
    }
}

/// Makes the key when there is none.
pub(crate) fn make_key(data: &Path) -> Result<(), Error> {
    seal_key(data).map(drop)
}

/// Under which bodies with secrets are told apart: from the key that all nodes of a cluster agree on.
pub(crate) fn fingerprint_key(data: &Path) -> Result<[u8; 32], Error> {
    let key = seal_key(data)?;
    Ok(Digest::of_parts(&[b"neofn/fingerprints/v1", &*key]).0)
}

fn seal_key(data: &Path) -> Result<Zeroizing<[u8; 32]>, Error> {
    let path = data.join(NAME);
    let damaged = |why: &str| {
        Error::new(
            Code::ConfigInvalid,
            format!("cannot use the identity key in {}: {why}", path.display()),
        )
        .hint("Put the file back as it was: without it nobody's session can go on.")
    };
    match std::fs::read_to_string(&path) {
        Ok(text) => {
            let text = Zeroizing::new(text);
            let mut key = Zeroizing::new([0; 32]);
            hex::decode_to_slice(text.trim(), &mut *key)
                .map_err(|_| damaged("it holds no 64 digits in hex"))?;
            Ok(key)
        }
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            let mut key = Zeroizing::new([0; 32]);
            OsEntropy.fill(&mut *key);
            files::write_private(&path, &Zeroizing::new(format!("{}\n", hex::encode(*key))))?;
            Ok(key)
        }
        Err(e) => Err(damaged(&e.to_string()).because(e)),
    }
}

/// Asks contracts by calling `verify` read-only, with the proven signers as those of the transaction.
struct Contracts(Arc<dyn Chain>);

#[async_trait]
impl ContractVerifier for Contracts {
    async fn accepts(&self, contract: ScriptHash, signers: &[ScriptHash]) -> Result<bool, ContractError> {
        let failed = |e: neofn_chain::ChainError| ContractError(Box::new(e));
        if self.0.contract_state(contract).await.map_err(failed)?.is_none() {
            return Ok(false);
        }
        let mut script = ScriptBuilder::new();
        script
            .call(contract, "verify", CallFlags::ReadOnly, &[])
            .map_err(|e| ContractError(Box::new(e)))?;
        let callers: Vec<Caller> = signers.iter().copied().map(Caller::by_entry).collect();
        let run = self
            .0
            .invoke_script(&script.into_bytes(), &callers)
            .await
            .map_err(failed)?;
        // exactly one value that is true, as a node wants it of a witness
        Ok(run.state == VmState::Halt && matches!(run.stack.as_slice(), [StackItem::Boolean(true)]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn an_address_of_every_interface_is_no_domain() {
        for (domain, address, nowhere) in [
            (None, "0.0.0.0:9000", true),
            (None, "[::]:9000", true),
            (None, "127.0.0.1:9000", false),
            (Some("https://neofn.example"), "0.0.0.0:9000", false),
        ] {
            assert_eq!(is_nowhere(domain, address.parse().unwrap()), nowhere, "{address}");
        }
    }

    #[test]
    fn the_key_is_made_once_private_and_never_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let first = seal_key(dir.path()).unwrap();
        assert_eq!(*seal_key(dir.path()).unwrap(), *first);
        let path = dir.path().join(NAME);
        assert_eq!(
            std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        std::fs::write(&path, "half").unwrap();
        assert_eq!(seal_key(dir.path()).unwrap_err().code, Code::ConfigInvalid);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "half");
    }
}
