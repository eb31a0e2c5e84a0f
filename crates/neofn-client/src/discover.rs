//! Which node to talk to: what was said on the command line, else the environment, else one that runs here.
//!
//! A `runtime.json` is believed only if it is ours: it says where to send a key.

use crate::Error;
use neofn_wire::RuntimeFile;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Largest file that is read here.
const FILE_BYTES_MAX: u64 = 64 << 10;

/// What decides about the node, gathered by the caller.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Environment {
    /// `--url`, else NEOFN_URL.
    pub url: Option<String>,
    /// `--api-key`, else NEOFN_API_KEY.
    pub key: Option<String>,
    /// Where the search for `data/runtime.json` begins; it goes up from there.
    pub directory: PathBuf,
    /// The user's state directory of neofn.
    pub state: Option<PathBuf>,
}

/// A node that may be there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Its address.
    pub url: String,
    /// A key for it, if one is known.
    pub key: Option<String>,
    /// The `runtime.json` that told, if one did.
    pub file: Option<PathBuf>,
}

fn read_small(path: &Path) -> Option<String> {
    let metadata = fs::metadata(path).ok()?;
    (metadata.is_file() && metadata.len() <= FILE_BYTES_MAX).then(|| fs::read_to_string(path).ok())?
}

/// Whether a file belongs to us (or to root) and nobody else may write or read it.
fn is_private(path: &Path) -> bool {
    let Ok(own) = fs::metadata("/proc/self") else {
        return false;
    };
    fs::symlink_metadata(path)
        .is_ok_and(|m| m.is_file() && (m.uid() == own.uid() || m.uid() == 0) && m.mode() & 0o077 == 0)
}

/// A live node of ours that `path` describes.
fn from_runtime_file(path: &Path) -> Option<Found> {
    if !is_private(path) {
        return None;
    }
    let runtime: RuntimeFile = serde_json::from_str(&read_small(path)?).ok()?;
    if !runtime.is_live() {
        return None;
    }
    let key_file = Path::new(&runtime.admin_key_file);
    let key = if is_private(key_file) {
        read_small(key_file)
    } else {
        None
    };
    Some(Found {
        url: runtime.url,
        key: key.map(|k| k.trim().to_owned()),
        file: Some(path.to_owned()),
    })
}

/// Finds the node to talk to.
pub fn find(environment: &Environment) -> Result<Found, Error> {
    let local = || {
        // `neofn dev` keeps its node inside the project, so both places count at every level.
        let near = environment
            .directory
            .ancestors()
            .flat_map(|dir| [dir.join("data/runtime.json"), dir.join(".neofn/dev/runtime.json")]);
        near.chain(environment.state.iter().map(|dir| dir.join("runtime.json")))
            .find_map(|path| from_runtime_file(&path))
    };
    match &environment.url {
        Some(url) => {
            let key = environment.key.clone().or_else(|| {
                // The key of a node of ours goes to that node only.
                local()
                    .filter(|found| found.url.trim_end_matches('/') == url.trim_end_matches('/'))?
                    .key
            });
            Ok(Found {
                url: url.clone(),
                key,
                file: None,
            })
        }
        None => {
            let mut found = local().ok_or(Error::NotFound)?;
            if environment.key.is_some() {
                found.key.clone_from(&environment.key);
            }
            Ok(found)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    /// What a node leaves, and a file that it has open.
    fn leave(dir: &Path, pid: u32, mode: u32) -> (PathBuf, fs::File) {
        fs::create_dir_all(dir).expect("directory");
        let key = dir.join("admin.key");
        fs::write(&key, "nfk_test\n").expect("key");
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).expect("mode");
        let path = dir.join("runtime.json");
        let runtime = RuntimeFile {
            url: "http://127.0.0.1:1234".to_owned(),
            admin_key_file: key.to_string_lossy().into_owned(),
            pid,
            cert_file: None,
        };
        fs::write(&path, serde_json::to_vec(&runtime).expect("json")).expect("file");
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("mode");
        (path, fs::File::open(&key).expect("open"))
    }

    #[test]
    fn the_nearest_private_file_of_a_live_node_wins() {
        let root = tempfile::tempdir().expect("tempdir");
        let deep = root.path().join("project/src");
        fs::create_dir_all(&deep).expect("directory");
        let environment = Environment {
            directory: deep,
            state: Some(root.path().join("state")),
            ..Environment::default()
        };
        assert_eq!(find(&environment), Err(Error::NotFound));

        let (state, _open) = leave(&root.path().join("state"), std::process::id(), 0o600);
        assert_eq!(find(&environment).expect("found").file, Some(state));
        let (near, open) = leave(&root.path().join("project/data"), std::process::id(), 0o600);
        let found = find(&environment).expect("found");
        assert_eq!(
            (found.file.as_ref(), found.key.as_deref()),
            (Some(&near), Some("nfk_test"))
        );

        // Others could have written it, or the process is gone: not believed.
        fs::set_permissions(&near, fs::Permissions::from_mode(0o644)).expect("mode");
        assert_ne!(find(&environment).expect("found").file, Some(near.clone()));
        fs::set_permissions(&near, fs::Permissions::from_mode(0o600)).expect("mode");
        assert_eq!(find(&environment).expect("found").file.as_ref(), Some(&near));
        // the number of its process is ours, who are not that node
        drop(open);
        assert_ne!(find(&environment).expect("found").file, Some(near));
        let _gone = leave(&root.path().join("project/data"), 0, 0o600);
        let _gone = leave(&root.path().join("state"), u32::MAX, 0o600);
        assert_eq!(find(&environment), Err(Error::NotFound));
    }

    #[test]
    fn a_local_key_is_never_sent_elsewhere() {
        let root = tempfile::tempdir().expect("tempdir");
        let _open = leave(&root.path().join("data"), std::process::id(), 0o600);
        let mut environment = Environment {
            directory: root.path().to_owned(),
            ..Environment::default()
        };
        environment.url = Some("https://elsewhere.example".to_owned());
        assert_eq!(find(&environment).expect("said").key, None);
        environment.url = Some("http://127.0.0.1:1234/".to_owned());
        assert_eq!(find(&environment).expect("said").key.as_deref(), Some("nfk_test"));
    }
}
