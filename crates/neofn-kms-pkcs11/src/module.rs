//! Libraries that speak to tokens. A library is initialised once in a process, however many keys are named by it, and
//! again when the last of them has let go.

use crate::fault::Fault;
use cryptoki::context::{CInitializeArgs, Pkcs11};
use cryptoki::error::{Error, RvError};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Weak};

/// A library that is initialised.
pub(crate) struct Module(pub(crate) Pkcs11);

static OPEN: LazyLock<Mutex<HashMap<PathBuf, Weak<Module>>>> = LazyLock::new(Mutex::default);

impl Module {
    /// Loads it, or shares the one that is loaded.
    pub(crate) fn open(path: &Path) -> Result<Arc<Self>, Fault> {
        let failed = |error| Fault::Module(path.to_owned(), error);
        let mut open = OPEN.lock();
        if let Some(module) = open.get(path).and_then(Weak::upgrade) {
            return Ok(module);
        }
        let context = Pkcs11::new(path).map_err(failed)?;
        match context.initialize(CInitializeArgs::OsThreads) {
            // somebody still holds what was forgotten. When he lets go the library ends for everybody; then our session fails
            // and a new one begins it again
            Ok(()) | Err(Error::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => {}
            Err(error) => return Err(failed(error)),
        }
        let module = Arc::new(Self(context));
        open.insert(path.to_owned(), Arc::downgrade(&module));
        Ok(module)
    }
    /// Nobody who opens this library from now on gets what is loaded: it does not answer any more.
    pub(crate) fn forget(self: &Arc<Self>) {
        OPEN.lock()
            .retain(|_, open| !std::ptr::eq(open.as_ptr(), Arc::as_ptr(self)));
    }
}
