//! Secrets and the way to other hosts, as an operator sets them up.

use crate::files;
use crate::options::{NodeOptions, SecretsRoot};
use neofn_egress::{Broker, BrokerOptions, Reach, read_ca_file};
use neofn_engine::Among;
use neofn_kms_pkcs11::{Pkcs11Root, Pkcs11Uri};
use neofn_secrets::port::{KeyWrap, SecretStore};
use neofn_secrets::{Key, RootSource, Vault, VaultLimits, VaultStatus, read_key_file};
use neofn_types::{Clock, Code, Entropy, Error};
use std::path::Path;
use std::sync::Arc;

/// The root key that a node makes for itself.
pub(crate) const NAME: &str = "secrets.key";

/// The broker, with what the operator opened.
pub(crate) fn broker(options: &NodeOptions, clock: Arc<dyn Clock>) -> Result<Arc<Broker>, Error> {
    let mut broker = BrokerOptions::new(clock);
    broker.reach = Reach::with(options.egress_allow.clone());
    if let Some(file) = &options.egress_ca {
        broker.roots = read_ca_file(file)?;
    }
    for network in &options.egress_allow {
        tracing::warn!(%network, "functions may reach this network: --egress-allow");
    }
    Ok(Arc::new(Broker::new(broker)?))
}

/// The vault, unsealed if its root key is at hand.
pub(crate) async fn vault(
    options: &NodeOptions,
    data: &Path,
    store: Arc<dyn SecretStore>,
    among: Among,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
) -> Result<Arc<Vault>, Error> {
    let vault = Vault::new(store, clock, entropy.clone(), VaultLimits::default());
    let vault = Arc::new(vault.with_service(service(&options.secrets_root, &entropy)?));
    let status = vault.status().await?;
    let source = match &options.secrets_root {
        SecretsRoot::Token { .. } if matches!(status.root, None | Some("external")) => Some(vault.service()?),
        SecretsRoot::Token { before, .. } if status.root == Some("key") => {
            let path = before.clone().unwrap_or_else(|| data.join(NAME));
            tracing::warn!(file = %path.display(), "the root of secrets is still a key in a file: `neofn secrets rotate-root --configured` moves it to the token");
            match path.exists() {
                true => Some(RootSource::Key(read_key_file(&path)?)),
                false => None,
            }
        }
        SecretsRoot::Token { .. } => None,
        SecretsRoot::Sealed => None,
        SecretsRoot::File(path) => Some(RootSource::Key(read_key_file(path)?)),
        SecretsRoot::Own if matches!(status.root, None | Some("key")) => {
            let path = data.join(NAME);
            if among == Among::Others && status.initialised && !path.exists() {
                return Err(missing(&path));
            }
            own(&path, status.initialised, &*entropy)?
        }
        SecretsRoot::Own => None,
    };
    match source {
        Some(source) => match vault.unseal(&source).await {
            Ok(_) => {}
            Err(error) if error.code == Code::SecretRootWrong && among == Among::Others => {
                return Err(error.hint(SHARE));
            }
            // an operator who changed the root over the API unseals with the new one
            Err(error)
                if error.code == Code::SecretRootWrong && may_have_moved(&options.secrets_root, &status) =>
            {
                tracing::warn!(%error, "secrets stay sealed");
            }
            Err(error) => return Err(error),
        },
        None => tracing::warn!("secrets are sealed: `neofn secrets unseal`"),
    }
    Ok(vault)
}

/// Whether the root is looked for where the node left it, so that an operator may have moved it since.
fn may_have_moved(root: &SecretsRoot, status: &VaultStatus) -> bool {
    match root {
        SecretsRoot::Own => true,
        // it came back from a token
        SecretsRoot::Token { .. } => status.root == Some("key"),
        SecretsRoot::File(_) | SecretsRoot::Sealed => false,
    }
}

/// The key service of a root, if it has one. Nothing is asked of it yet.
fn service(root: &SecretsRoot, entropy: &Arc<dyn Entropy>) -> Result<Option<Arc<dyn KeyWrap>>, Error> {
    let SecretsRoot::Token { uri, .. } = root else {
        return Ok(None);
    };
    let wrong = |e: neofn_kms_pkcs11::UriError| {
        Error::new(Code::ConfigInvalid, format!("--secrets-root: {e}"))
            .hint("pkcs11:token=LABEL;object=KEY?module-path=/usr/lib/softhsm/libsofthsm2.so&pin-source=file:/etc/neofn/pin")
    };
    let uri: Pkcs11Uri = uri.parse().map_err(wrong)?;
    let root = Pkcs11Root::new(uri, entropy.clone()).map_err(Error::internal)?;
    Ok(Some(Arc::new(root)))
}

/// What nodes of one database must do.
const SHARE: &str = "Nodes that share a database share the root key of its secrets: copy secrets.key from the data \
     directory of a node that is there already, or start this one with --secrets-sealed and unseal it by hand.";

fn missing(path: &Path) -> Error {
    Error::new(
        Code::ConfigInvalid,
        format!(
            "{} is missing, with which the other nodes of this database work",
            path.display()
        ),
    )
    .hint(SHARE)
}

/// The node's own key file; made before the root is, so that a crash in between loses nothing.
fn own(path: &Path, initialised: bool, entropy: &dyn Entropy) -> Result<Option<RootSource>, Error> {
    if path.exists() {
        return Ok(Some(RootSource::Key(read_key_file(path)?)));
    }
    if initialised {
        tracing::warn!(file = %path.display(), "the root key of the secrets is not there");
        return Ok(None);
    }
    let key = Key::generate(entropy);
    let text = zeroize::Zeroizing::new(format!("{}\n", hex(key.expose())));
    files::write_private(path, &text)?;
    Ok(Some(RootSource::Key(key)))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}
