//! A session with a token, and the one key in it. Everything here blocks.

use crate::fault::Fault;
use crate::module::Module;
use crate::uri::Pkcs11Uri;
use cryptoki::error::{Error as Ck, RvError};
use cryptoki::mechanism::Mechanism;
use cryptoki::mechanism::aead::GcmParams;
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::slot::Slot;
use cryptoki::types::AuthPin;
use neofn_secrets::read_private;
use std::path::Path;
use std::sync::Arc;
use zeroize::Zeroizing;

/// Bytes of a nonce, and bits of a tag.
pub(crate) const NONCE: usize = 12;
const TAG_BITS: u64 = 128;
/// Longest PIN.
const PIN_BYTES_MAX: u64 = 256;

/// A session that is logged in.
pub(crate) struct Token {
    open: Option<(Session, Arc<Module>)>,
    key: ObjectHandle,
}

impl Drop for Token {
    fn drop(&mut self) {
        let (session, module) = self.open.take().unzip();
        Module::let_go(session, module);
    }
}

impl Token {
    /// Finds the token, logs in and finds the key.
    pub(crate) fn open(uri: &Pkcs11Uri) -> Result<Self, Fault> {
        let module = Module::open(&uri.module)?;
        match Self::on(&module, uri) {
            Ok((session, key)) => Ok(Self {
                open: Some((session, module)),
                key,
            }),
            Err(fault) => {
                Module::let_go(None, Some(module));
                Err(fault)
            }
        }
    }
    fn session(&self) -> Result<&Session, Fault> {
        let open = self.open.as_ref().map(|(session, _)| session);
        open.ok_or(Fault::Silent)
    }

    fn on(module: &Arc<Module>, uri: &Pkcs11Uri) -> Result<(Session, ObjectHandle), Fault> {
        let slot = slot(module, uri)?;
        let session = module.0.open_ro_session(slot).map_err(Fault::of)?;
        // an application is logged in to a token, not a session: another key of the same token may have done it
        let state = session.get_session_info().map_err(Fault::of)?.session_state();
        if !matches!(
            state,
            cryptoki::session::SessionState::RoUser | cryptoki::session::SessionState::RwUser
        ) {
            let info = module.0.get_token_info(slot).map_err(Fault::of)?;
            if info.user_pin_locked() {
                return Err(Fault::PinLocked);
            }
            if info.user_pin_final_try() {
                return Err(Fault::PinLastTry);
            }
            match session.login(UserType::User, Some(&pin(&uri.pin)?)) {
                Ok(()) | Err(Ck::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => {}
                Err(error) => return Err(Fault::of(error)),
            }
        }
        let key = key(&session, uri)?;
        Ok((session, key))
    }

    /// Nonce, ciphertext and tag.
    pub(crate) fn encrypt(&self, nonce: &[u8; NONCE], context: &[u8], text: &[u8]) -> Result<Vec<u8>, Fault> {
        let how = Mechanism::AesGcm(GcmParams::new(nonce, context, TAG_BITS.into()));
        let sealed = self.session()?.encrypt(&how, self.key, text).map_err(Fault::of)?;
        Ok([nonce.as_slice(), sealed.as_slice()].concat())
    }
    /// What [`Self::encrypt`] made for the same context.
    pub(crate) fn decrypt(&self, context: &[u8], wrapped: &[u8]) -> Result<Zeroizing<Vec<u8>>, Fault> {
        let (nonce, sealed) = wrapped.split_first_chunk::<NONCE>().ok_or(Fault::NotOurs)?;
        let how = Mechanism::AesGcm(GcmParams::new(nonce, context, TAG_BITS.into()));
        let text = self.session()?.decrypt(&how, self.key, sealed);
        text.map(Zeroizing::new).map_err(Fault::of_decrypting)
    }
    /// Whether it encrypts and decrypts. Some tokens say of what is not theirs what they say when they are broken.
    pub(crate) fn works(&self, nonce: &[u8; NONCE]) -> bool {
        let context = b"neofn/check";
        let sealed = self.encrypt(nonce, context, nonce);
        let opened = sealed.and_then(|sealed| self.decrypt(context, &sealed));
        opened.is_ok_and(|opened| opened.as_slice() == nonce)
    }
}

fn slot(module: &Module, uri: &Pkcs11Uri) -> Result<Slot, Fault> {
    let is = |wanted: &Option<String>, found: &str| wanted.as_deref().is_none_or(|w| w == found);
    let mut found = Vec::new();
    for slot in module.0.get_slots_with_initialized_token().map_err(Fault::of)? {
        // a token that is pulled out just now is none of those that are looked for
        let Ok(info) = module.0.get_token_info(slot) else {
            continue;
        };
        if is(&uri.token, info.label())
            && is(&uri.serial, info.serial_number())
            && is(&uri.manufacturer, info.manufacturer_id())
            && is(&uri.model, info.model())
        {
            found.push(slot);
        }
    }
    match found.as_slice() {
        [one] => Ok(*one),
        [] => Err(Fault::NoToken(uri.key())),
        many => Err(Fault::Tokens(many.len(), uri.key())),
    }
}

fn key(session: &Session, uri: &Pkcs11Uri) -> Result<ObjectHandle, Fault> {
    let mut like = vec![
        Attribute::Class(ObjectClass::SECRET_KEY),
        Attribute::KeyType(KeyType::AES),
    ];
    like.extend(
        uri.object
            .as_ref()
            .map(|label| Attribute::Label(label.clone().into_bytes())),
    );
    like.extend(uri.id.as_ref().map(|id| Attribute::Id(id.clone())));
    let found = session.find_objects(&like).map_err(Fault::of)?;
    let key = match found.as_slice() {
        [one] => *one,
        [] => return Err(Fault::NoKey(uri.key())),
        many => return Err(Fault::Keys(many.len(), uri.key())),
    };
    let asked = [
        AttributeType::Sensitive,
        AttributeType::Extractable,
        AttributeType::Encrypt,
        AttributeType::Decrypt,
    ];
    let attributes = session.get_attributes(key, &asked).map_err(Fault::of)?;
    // what a token does not say counts against it
    let says = |wanted: Attribute| attributes.contains(&wanted);
    if !says(Attribute::Sensitive(true)) || !says(Attribute::Extractable(false)) {
        return Err(Fault::Extractable(uri.key()));
    }
    if !says(Attribute::Encrypt(true)) || !says(Attribute::Decrypt(true)) {
        return Err(Fault::Usage(uri.key()));
    }
    Ok(key)
}

/// The PIN, out of a file that nobody else may read.
fn pin(path: &Path) -> Result<AuthPin, Fault> {
    let bad = |why: String| Fault::PinFile(path.to_owned(), why);
    let bytes = read_private(path, PIN_BYTES_MAX + 1).map_err(|e| bad(e.to_string()))?;
    let text = std::str::from_utf8(&bytes).map_err(|e| bad(e.to_string()))?;
    let pin = text.trim_end_matches(['\r', '\n']);
    if pin.is_empty() || pin.len() as u64 > PIN_BYTES_MAX {
        return Err(bad("it holds no PIN of 1 to 256 bytes".to_owned()));
    }
    Ok(AuthPin::new(pin.to_owned()))
}
