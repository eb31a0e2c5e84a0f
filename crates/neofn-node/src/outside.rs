//! Secrets and the way to other hosts, as an operator sets them up.

use crate::files;
use crate::options::{NodeOptions, SecretsRoot};
use neofn_egress::{Broker, BrokerOptions, Reach, read_ca_file};
use neofn_engine::Among;
use neofn_secrets::port::SecretStore;
use neofn_secrets::{Key, RootSource, Vault, VaultLimits, read_key_file};
use neofn_types::{Clock, Code, Entropy, Error};
use std::path::Path;
use std::sync::Arc;

/// The root key that a node makes for itself.
const NAME: &str = "secrets.key";

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
    let vault = Arc::new(Vault::new(store, clock, entropy.clone(), VaultLimits::default()));
    let status = vault.status().await?;
    let source = match &options.secrets_root {
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
            Err(error) if error.code == Code::SecretRootWrong && options.secrets_root == SecretsRoot::Own => {
                tracing::warn!(%error, "secrets stay sealed");
            }
            Err(error) => return Err(error),
        },
        None => tracing::warn!("secrets are sealed: `neofn secrets unseal`"),
    }
    Ok(vault)
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
