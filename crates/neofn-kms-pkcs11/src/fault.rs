//! What goes wrong with a token, in words that say what to do. Nothing here ever holds a PIN.

use cryptoki::error::{Error as Ck, RvError};
use neofn_secrets::port::WrapError;
use neofn_types::{Code, Error};
use std::path::PathBuf;

/// Why a key was not wrapped or unwrapped.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    #[error("{0} is no PKCS #11 library that can be loaded")]
    Module(PathBuf, #[source] Ck),
    #[error("there is no token {0}")]
    NoToken(String),
    #[error("{0} tokens answer to {1}")]
    Tokens(usize, String),
    #[error("PIN file {0}: {1}")]
    PinFile(PathBuf, String),
    #[error("the token does not take the PIN")]
    PinWrong,
    #[error("the token has locked its PIN")]
    PinLocked,
    #[error("the token allows one more PIN before it locks itself")]
    PinLastTry,
    #[error("there is no AES key {0} on the token")]
    NoKey(String),
    #[error("{0} AES keys on the token answer to {1}")]
    Keys(usize, String),
    #[error("key {0} could leave its token")]
    Extractable(String),
    #[error("key {0} may not encrypt and decrypt")]
    Usage(String),
    /// Not of this key, or for something else.
    #[error("not wrapped by this key")]
    NotOurs,
    /// The token or its library fails; the next try begins with a new session.
    #[error("the token does not answer")]
    Gone(#[source] Ck),
    #[error("the token has not answered in time")]
    Silent,
    #[error("too much waits for the token")]
    Busy,
}

impl Fault {
    /// What a call on a session says.
    pub(crate) fn of(error: Ck) -> Self {
        match &error {
            Ck::Pkcs11(RvError::PinIncorrect | RvError::PinInvalid | RvError::PinLenRange, _) => {
                Self::PinWrong
            }
            Ck::Pkcs11(RvError::PinLocked | RvError::PinExpired, _) => Self::PinLocked,
            _ => Self::Gone(error),
        }
    }
    /// What decrypting says. Tokens disagree about the word for a tag that does not fit.
    pub(crate) fn of_decrypting(error: Ck) -> Self {
        match &error {
            Ck::Pkcs11(
                RvError::EncryptedDataInvalid
                | RvError::EncryptedDataLenRange
                | RvError::DataInvalid
                | RvError::DataLenRange
                | RvError::SignatureInvalid,
                _,
            ) => Self::NotOurs,
            _ => Self::of(error),
        }
    }
    /// Whether another try would hurt: a token counts wrong PINs and locks itself.
    pub(crate) const fn is_final(&self) -> bool {
        matches!(self, Self::PinWrong | Self::PinLocked)
    }
    fn cure(&self) -> Option<String> {
        Some(match self {
            Self::Module(..) => "Install the token's library and name it by module-path; `ldd` says what it misses.".to_owned(),
            Self::NoToken(_) => "Plug it in, or write its label as `pkcs11-tool --module LIB --list-slots` shows it; the \
                 library's own configuration must be readable for the node."
                .to_owned(),
            Self::Tokens(..) => "Add `serial=…` to the URI.".to_owned(),
            Self::PinFile(..) => "Write the PIN alone into the file, `chmod 600` it, and give it to the user that runs the node.".to_owned(),
            Self::PinWrong => "Put the right PIN into the file that pin-source names, and start the node again: it tries a PIN \
                 once, because tokens lock themselves after a few wrong ones."
                .to_owned(),
            Self::PinLocked => "The token's security officer sets a new PIN; put it into the file that pin-source names.".to_owned(),
            Self::PinLastTry => "Log in to the token once with the right PIN by its own tool, such as `pkcs11-tool --login \
                 --list-objects`; then start the node again."
                .to_owned(),
            Self::NoKey(_) => "Make one: `pkcs11-tool --module LIB --token-label TOKEN --login --keygen --key-type AES:32 \
                 --label OBJECT --sensitive --private`."
                .to_owned(),
            Self::Keys(..) => "Add `id=…` to the URI.".to_owned(),
            Self::Extractable(_) => "Make a key that is sensitive and not extractable, and name that one.".to_owned(),
            Self::Usage(_) => "Make an AES key with CKA_ENCRYPT and CKA_DECRYPT.".to_owned(),
            Self::NotOurs | Self::Gone(_) | Self::Silent | Self::Busy => return None,
        })
    }
}

impl From<Fault> for WrapError {
    fn from(fault: Fault) -> Self {
        match (&fault, fault.cure()) {
            (Fault::NotOurs, _) => Self::Wrong,
            (_, Some(cure)) => Self::Refused(Box::new(
                Error::new(Code::SecretRootService, fault.to_string())
                    .hint(cure)
                    .because(fault),
            )),
            (_, None) => Self::Unavailable(Box::new(fault)),
        }
    }
}
