//! Small private files, written so that a crash leaves the old one or the new one, never half of either.

use neofn_types::{Code, Error};
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

/// Writes a file that its owner alone may read; durable when it returns.
pub(crate) fn write_private(path: &Path, text: &str) -> Result<(), Error> {
    let fail = |e: io::Error| {
        Error::new(Code::StoreFailed, format!("cannot write {}: {e}", path.display())).because(e)
    };
    let dir = path.parent().unwrap_or(Path::new("."));
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .map_err(fail)?;
    // one name for each process: two that start at once do not write into each other's file
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let next = dir.join(format!(".{name}.{}", std::process::id()));
    let written = (|| {
        // what a crashed process of the same number left behind
        let _ = fs::remove_file(&next);
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&next)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&next, path)?;
        File::open(dir)?.sync_all()
    })();
    if written.is_err() {
        let _ = fs::remove_file(&next);
    }
    written.map_err(fail)
}

/// The text of a small file.
pub(crate) fn read_text(path: &Path, bytes_max: u64) -> Result<String, Error> {
    let fail = |e: io::Error| {
        Error::new(
            Code::ConfigInvalid,
            format!("cannot read {}: {e}", path.display()),
        )
        .because(e)
    };
    let mut text = String::new();
    let file = File::open(path).map_err(fail)?;
    file.take(bytes_max).read_to_string(&mut text).map_err(fail)?;
    Ok(text)
}
