//! Where the root key comes from: a file, a passphrase, or a service behind [`KeyWrap`].

use crate::key::Key;
use crate::model::RootKind;
use crate::port::{KeyWrap, WrapError};
use argon2::{Algorithm, Argon2, Params, Version};
use async_trait::async_trait;
use neofn_types::{Code, Entropy, Error};
use std::path::Path;
use std::sync::Arc;
use zeroize::Zeroizing;

/// What deriving a key from a passphrase costs: 64 MiB and three passes, the second choice of RFC 9106.
const MEMORY_KIB: u32 = 64 << 10;
const PASSES: u32 = 3;
/// A stored record may ask for no more than this; it may have been altered.
const MEMORY_KIB_MAX: u32 = 1 << 20;
const PASSES_MAX: u32 = 16;
/// Shortest passphrase.
const PASSPHRASE_BYTES_MIN: usize = 12;
/// A key file: 64 hexadecimal digits and a line end, or 32 bytes.
const KEY_FILE_BYTES_MAX: u64 = 128;

/// What somebody offers as the root.
pub enum RootSource {
    /// 32 bytes.
    Key(Key),
    /// A passphrase.
    Passphrase(Zeroizing<String>),
    /// A key service.
    External(Arc<dyn KeyWrap>),
}

impl std::fmt::Debug for RootSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Key(_) => "RootSource::Key(..)",
            Self::Passphrase(_) => "RootSource::Passphrase(..)",
            Self::External(_) => "RootSource::External(..)",
        })
    }
}

impl RootSource {
    /// How a new root of this source comes about.
    pub(crate) fn new_kind(&self, entropy: &dyn Entropy) -> Result<RootKind, Error> {
        Ok(match self {
            Self::Key(_) => RootKind::Key,
            Self::Passphrase(text) if text.len() < PASSPHRASE_BYTES_MIN => {
                return Err(Error::new(
                    Code::SecretInvalid,
                    format!("a passphrase has at least {PASSPHRASE_BYTES_MIN} bytes"),
                )
                .hint("Take four or more random words."));
            }
            Self::Passphrase(_) => {
                let mut salt = [0; 16];
                entropy.fill(&mut salt);
                RootKind::Passphrase {
                    salt,
                    memory_kib: MEMORY_KIB,
                    passes: PASSES,
                }
            }
            Self::External(wrap) => RootKind::External { name: wrap.name() },
        })
    }

    /// What wraps keys. Deriving from a passphrase takes a good part of a second: call it where that may block.
    pub(crate) fn open(
        &self,
        kind: &RootKind,
        entropy: &Arc<dyn Entropy>,
    ) -> Result<Arc<dyn KeyWrap>, Error> {
        let wrong = |text: &str| Err(Error::new(Code::SecretRootWrong, text));
        match (self, kind) {
            (Self::Key(key), RootKind::Key) => Ok(Arc::new(LocalRoot::new(key.clone(), Arc::clone(entropy)))),
            (
                Self::Passphrase(text),
                RootKind::Passphrase {
                    salt,
                    memory_kib,
                    passes,
                },
            ) => {
                if *memory_kib > MEMORY_KIB_MAX || *passes > PASSES_MAX {
                    return Err(Error::new(
                        Code::SecretDamaged,
                        "the stored root asks for absurd work",
                    ));
                }
                let mut key = Zeroizing::new([0u8; 32]);
                let params = Params::new(*memory_kib, *passes, 1, Some(32));
                params
                    .and_then(|params| {
                        Argon2::new(Algorithm::Argon2id, Version::V0x13, params).hash_password_into(
                            text.as_bytes(),
                            salt,
                            key.as_mut_slice(),
                        )
                    })
                    .map_err(|e| Error::internal(e.to_string()))?;
                Ok(Arc::new(LocalRoot::new(Key::new(*key), Arc::clone(entropy))))
            }
            (Self::External(wrap), RootKind::External { name }) if wrap.name() == *name => {
                Ok(Arc::clone(wrap))
            }
            (_, RootKind::Key) => wrong("the secrets of this node are kept under a key file"),
            (_, RootKind::Passphrase { .. }) => wrong("the secrets of this node are kept under a passphrase"),
            (_, RootKind::External { name }) => wrong(&format!(
                "the secrets of this node are kept under the key {name:?} of a key service"
            )),
        }
    }
}

/// A root key in this process' memory.
pub struct LocalRoot {
    key: Key,
    entropy: Arc<dyn Entropy>,
}

impl LocalRoot {
    /// Around a key.
    #[must_use]
    pub fn new(key: Key, entropy: Arc<dyn Entropy>) -> Self {
        Self { key, entropy }
    }
}

#[async_trait]
impl KeyWrap for LocalRoot {
    fn name(&self) -> String {
        "local".to_owned()
    }
    async fn wrap(&self, key: &Key, context: &[u8]) -> Result<Vec<u8>, WrapError> {
        let wrapped = self.key.wrap(self.entropy.as_ref(), context, key);
        wrapped.map(Vec::from).ok_or(WrapError::Wrong)
    }
    async fn unwrap(&self, wrapped: &[u8], context: &[u8]) -> Result<Key, WrapError> {
        self.key.unwrap(context, wrapped).ok_or(WrapError::Wrong)
    }
}

/// Why a private file is not read.
#[derive(Debug, thiserror::Error)]
pub enum PrivateFileError {
    /// It cannot be read.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// Others may, too.
    #[error("others may use it (mode {0:03o})")]
    Shared(u32),
}

/// At most so many bytes of a file that nobody else may read.
pub fn read_private(path: &Path, bytes_max: u64) -> Result<Zeroizing<Vec<u8>>, PrivateFileError> {
    use std::io::Read as _;
    use std::os::unix::fs::PermissionsExt as _;
    let file = std::fs::File::open(path)?;
    let mode = file.metadata()?.permissions().mode();
    if mode & 0o077 != 0 {
        return Err(PrivateFileError::Shared(mode & 0o777));
    }
    // as much as there can be, so that no shorter copy is left behind
    let room = usize::try_from(bytes_max).unwrap_or_default();
    let mut bytes = Zeroizing::new(Vec::with_capacity(room));
    file.take(bytes_max).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Reads a key file: 64 hexadecimal digits, or 32 bytes as they are. Refuses one that others may read.
pub fn read_key_file(path: &Path) -> Result<Key, Error> {
    let bad = |why: String| {
        Error::new(
            Code::SecretRootWrong,
            format!("root key file {}: {why}", path.display()),
        )
    };
    let bytes = read_private(path, KEY_FILE_BYTES_MAX).map_err(|e| match &e {
        PrivateFileError::Shared(_) => {
            bad(e.to_string()).hint("`chmod 600` it, and make a new root if somebody may have read it.")
        }
        PrivateFileError::Io(_) => bad(e.to_string()),
    })?;
    let mut key = Zeroizing::new([0u8; 32]);
    if bytes.len() == key.len() {
        key.copy_from_slice(&bytes);
    } else if hex::decode_to_slice(bytes.trim_ascii(), key.as_mut_slice()).is_err() {
        return Err(bad(
            "it holds neither 64 hexadecimal digits nor 32 bytes".to_owned()
        ));
    }
    Ok(Key::new(*key))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vault::tests::Dice;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn key_files_are_read_strictly() {
        let dir = std::env::temp_dir().join(format!("neofn-root-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let path = dir.join("root.key");
        let put = |bytes: &[u8], mode| {
            let _ = std::fs::remove_file(&path);
            std::fs::write(&path, bytes).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            read_key_file(&path)
        };
        assert_eq!(put(&[7; 32], 0o600).unwrap(), Key::new([7; 32]));
        assert_eq!(
            put(format!("{}\n", "07".repeat(32)).as_bytes(), 0o400).unwrap(),
            Key::new([7; 32])
        );
        assert!(put(&[7; 32], 0o640).unwrap_err().message.contains("mode 640"));
        for bad in [
            &b""[..],
            &[7; 31],
            &[7; 33],
            &[b'0'; 63],
            &[b'z'; 64],
            &[b'0'; 4096],
        ] {
            assert!(put(bad, 0o600).is_err());
        }
        std::fs::remove_dir_all(&dir).unwrap();
        assert!(read_key_file(&path).is_err());
    }

    #[tokio::test]
    async fn a_passphrase_gives_the_same_key_again_and_another_another() {
        let entropy: Arc<dyn Entropy> = Arc::new(Dice::new(1));
        let source = |text: &str| RootSource::Passphrase(Zeroizing::new(text.to_owned()));
        assert!(source("too short").new_kind(entropy.as_ref()).is_err());
        let right = source("correct horse battery");
        let kind = right.new_kind(entropy.as_ref()).unwrap();
        let key = Key::new([3; 32]);
        let first = right.open(&kind, &entropy).unwrap();
        let wrapped = first.wrap(&key, b"context").await.unwrap();
        let again = source("correct horse battery").open(&kind, &entropy).unwrap();
        assert_eq!(again.unwrap(&wrapped, b"context").await.unwrap(), key);
        assert!(again.unwrap(&wrapped, b"another").await.is_err());
        let other = source("correct horse batterx").open(&kind, &entropy).unwrap();
        assert!(other.unwrap(&wrapped, b"context").await.is_err());
        assert!(RootSource::Key(Key::new([1; 32])).open(&kind, &entropy).is_err());
    }
}
