//! Libraries that speak to tokens. A library is initialised once in a process, however many keys are named by it, and ended when
//! the last of them lets go: it must never end while somebody else is inside of it.

use crate::fault::Fault;
use cryptoki::context::{CInitializeArgs, Pkcs11};
use cryptoki::session::Session;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Weak};

/// A library that is initialised.
pub(crate) struct Module(pub(crate) Pkcs11);

/// Held while a library begins or ends.
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
        context.initialize(CInitializeArgs::OsThreads).map_err(failed)?;
        let module = Arc::new(Self(context));
        open.insert(path.to_owned(), Arc::downgrade(&module));
        Ok(module)
    }
    /// Lets go of a session and its library. Whoever is the last ends the library, so that it is begun anew the next time.
    pub(crate) fn let_go(session: Option<Session>, module: Option<Arc<Self>>) {
        let _alone = OPEN.lock();
        drop(session);
        drop(module);
    }
}
