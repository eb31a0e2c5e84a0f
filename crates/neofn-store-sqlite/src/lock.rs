//! One node per data directory: an exclusive lock that the kernel drops with the process.

use crate::error::Fault;
use crate::open::make_private;
use neofn_types::{Code, Error};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Held as long as anything may write to the directory.
#[derive(Debug)]
pub struct DirLock {
    _file: File,
}

impl DirLock {
    /// Makes a directory for its owner alone unless it is there, and takes its lock.
    pub fn of_private(dir: &Path) -> Result<Self, Error> {
        make_private(dir)?;
        Self::take(dir)
    }
    /// Takes the lock, or says who has it.
    pub(crate) fn take(dir: &Path) -> Result<Self, Error> {
        let path = dir.join("neofn.lock");
        let fail = |e| Fault::file(format!("lock {}", path.display()), e);
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(fail)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(busy(dir, &mut file)),
            Err(TryLockError::Error(e)) => return Err(fail(e).into()),
        }
        // the number is for people; the lock itself is the kernel's
        file.set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| writeln!(file, "{}", std::process::id()))
            .map_err(fail)?;
        Ok(Self { _file: file })
    }
}

fn busy(dir: &Path, file: &mut File) -> Error {
    let mut text = String::new();
    // a holder that has not written its number yet is still a holder
    let _ = file.take(32).read_to_string(&mut text);
    let holder = match text.trim().parse::<u32>() {
        Ok(pid) => format!("process {pid}"),
        Err(_) => "another process".to_owned(),
    };
    Error::new(
        Code::DataDirBusy,
        format!("data directory {} is in use by {holder}", dir.display()),
    )
}
