//! Which project somebody made last with which node: what commands are about when nobody says it.
//!
//! A convenience. A file that is lost or cannot be read costs one `--project`, never a command.

use crate::context::state_dir;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};

/// Largest file that is read.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// Nodes that are remembered.
const NODES_MAX: usize = 1_000;

#[derive(Serialize, Deserialize)]
struct Last {
    /// The address, or the id of the key.
    who: String,
    project: String,
}

type File = BTreeMap<String, Last>;

fn node(url: &str) -> String {
    url.trim_end_matches('/').to_owned()
}

fn read() -> File {
    let read = || {
        let path = state_dir()?.join("projects.json");
        let size = fs::metadata(&path).ok()?.len();
        (size <= FILE_BYTES_MAX).then_some(())?;
        serde_json::from_str(&fs::read_to_string(path).ok()?).ok()
    };
    read().unwrap_or_default()
}

fn write(file: &File) -> Option<()> {
    let dir = state_dir()?;
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&dir)
        .ok()?;
    let next = dir.join(format!("projects.{}.new", std::process::id()));
    // of a killed process that had this number
    let _ = fs::remove_file(&next);
    let mut to = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&next)
        .ok()?;
    to.write_all(&serde_json::to_vec_pretty(file).ok()?).ok()?;
    fs::rename(&next, dir.join("projects.json")).ok()
}

/// Remembers a project that was made.
pub fn made(url: &str, who: &str, project: &str) {
    let mut file = read();
    if file.len() >= NODES_MAX {
        file.clear();
    }
    file.insert(
        node(url),
        Last {
            who: who.to_owned(),
            project: project.to_owned(),
        },
    );
    let _ = write(&file);
}

/// The project that they made last with this node.
pub fn of(url: &str, who: &str) -> Option<String> {
    read()
        .remove(&node(url))
        .filter(|l| l.who == who)
        .map(|l| l.project)
}

/// Forgets what was made with a node.
pub fn forget(url: &str) {
    let mut file = read();
    if file.remove(&node(url)).is_some() {
        let _ = write(&file);
    }
}
