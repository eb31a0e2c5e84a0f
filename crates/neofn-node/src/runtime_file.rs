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
    file: RuntimeFile,
}

fn read(path: &Path) -> Option<RuntimeFile> {
    serde_json::from_str(&fs::read_to_string(path).ok()?).ok()
}

impl Published {
    /// Writes the files. The state directory is a convenience: a node without a home runs all the same.
    pub(crate) fn write(data: &Path, state: Option<&Path>, file: &RuntimeFile) -> Result<Self, Error> {
        let mut text = serde_json::to_string(file).map_err(Error::internal)?;
        text.push('\n');
        let mut published = Self {
            paths: vec![data.join(NAME)],
            file: file.clone(),
        };
        files::write_private(&data.join(NAME), &text)?;
        if let Some(state) = state {
            let path = state.join(NAME);
            if let Some(other) = read(&path).filter(|other| other.url != file.url && other.is_live()) {
                tracing::info!(
                    url = other.url,
                    "the command line goes on finding the node that ran first"
                );
                return Ok(published);
            }
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
            let ours = read(path).is_some_and(|file| file == self.file);
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
        let file = |port, data: &Path| RuntimeFile {
            url: format!("http://127.0.0.1:{port}"),
            admin_key_file: data.join("k").display().to_string(),
            pid: std::process::id(),
            cert_file: None,
        };
        let told = || read(&state.join(NAME)).map(|file| file.url);
        let first = Published::write(&data, Some(&state), &file(1, &data)).unwrap();
        let open = fs::File::create(data.join("lock")).unwrap();
        // the first one lives: its note stays, and stays when the second one goes
        let second_dir = dir.path().join("second");
        let second = Published::write(&second_dir, Some(&state), &file(2, &second_dir)).unwrap();
        assert!(second_dir.join(NAME).exists());
        assert_eq!(told().as_deref(), Some("http://127.0.0.1:1"));
        drop(second);
        assert_eq!(told().as_deref(), Some("http://127.0.0.1:1"));
        // killed: the next one takes the place, which is its own to clear
        drop(open);
        let third_dir = dir.path().join("third");
        let third = Published::write(&third_dir, Some(&state), &file(3, &third_dir)).unwrap();
        assert_eq!(told().as_deref(), Some("http://127.0.0.1:3"));
        drop(first);
        assert!(!data.join(NAME).exists() && state.join(NAME).exists());
        drop(third);
        assert!(!state.join(NAME).exists());
    }
}
