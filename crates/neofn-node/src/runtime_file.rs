//! `runtime.json`: how the command line finds a running node. Left in the data directory and in the user's state
//! directory, removed at a clean stop; a reader checks the process before it believes one.

use crate::files;
use neofn_types::Error;
use neofn_wire::RuntimeFile;
use std::fs;
use std::path::{Path, PathBuf};

const NAME: &str = "runtime.json";

/// The files of a running node. Dropped: removed.
pub(crate) struct Published {
    paths: Vec<PathBuf>,
    pid: u32,
}

impl Published {
    /// Writes the files. The state directory is a convenience: a node without a home runs all the same.
    pub(crate) fn write(data: &Path, state: Option<&Path>, file: &RuntimeFile) -> Result<Self, Error> {
        let mut text = serde_json::to_string(file).map_err(Error::internal)?;
        text.push('\n');
        let mut published = Self {
            paths: vec![data.join(NAME)],
            pid: file.pid,
        };
        files::write_private(&data.join(NAME), &text)?;
        if let Some(state) = state {
            let path = state.join(NAME);
            match files::write_private(&path, &text) {
                Ok(()) => published.paths.push(path),
                Err(e) => tracing::warn!(error = %e, "the command line will not find this node by itself"),
            }
        }
        Ok(published)
    }
}

impl Drop for Published {
    fn drop(&mut self) {
        for path in &self.paths {
            // another node may have written its own since
            let ours = fs::read_to_string(path)
                .ok()
                .and_then(|text| serde_json::from_str::<RuntimeFile>(&text).ok())
                .is_some_and(|file| file.pid == self.pid);
            if ours && let Err(e) = fs::remove_file(path) {
                tracing::debug!(error = %e, file = %path.display(), "not removed");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn removes_its_own_files_alone() {
        let dir = tempfile::tempdir().unwrap();
        let (data, state) = (dir.path().join("data"), dir.path().join("state/neofn"));
        let file = |pid| RuntimeFile {
            url: "http://127.0.0.1:1".to_owned(),
            admin_key_file: "k".to_owned(),
            pid,
        };
        let first = Published::write(&data, Some(&state), &file(1)).unwrap();
        let other = Published::write(&dir.path().join("other"), Some(&state), &file(2)).unwrap();
        drop(first);
        assert!(!data.join(NAME).exists() && state.join(NAME).exists());
        drop(other);
        assert!(!state.join(NAME).exists());
    }
}
