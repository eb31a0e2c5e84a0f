//! Notes of nodes that are gone.

use super::{Finding, Scene, State};
use crate::context;
use neofn_wire::RuntimeFile;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// A stale note does no harm, but it is litter; one that others may write is a danger.
pub fn check(scene: &Scene<'_>) -> Vec<Finding> {
    notes(scene).filter_map(|path| look(&path, scene.fix)).collect()
}

/// Where nodes leave their notes.
pub(super) fn notes(scene: &Scene<'_>) -> impl Iterator<Item = PathBuf> {
    let places = [Some(scene.data.to_owned()), context::state_dir()];
    places.into_iter().flatten().map(|dir| dir.join("runtime.json"))
}

/// What a note says; none when there is none, or it says nothing.
pub(super) fn read(path: &Path) -> Option<RuntimeFile> {
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}

fn look(path: &Path, fix: bool) -> Option<Finding> {
    let name = "runtime.json";
    let metadata = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata,
        Err(reason) if reason.kind() == ErrorKind::NotFound => return None,
        Err(reason) => {
            return Some(Finding::new(
                name,
                State::Warn,
                format!("{}: {reason}", path.display()),
            ));
        }
    };
    let alive = read(path).as_ref().is_some_and(RuntimeFile::is_live);
    if alive && metadata.permissions().mode() & 0o077 == 0 {
        return Some(Finding::new(
            name,
            State::Good,
            format!("{} names a running node", path.display()),
        ));
    }
    let why = if alive {
        "may be read or written by others"
    } else {
        "names a node that is gone"
    };
    Some(mend(name, path, why, fix, alive))
}

fn mend(name: &str, path: &Path, why: &str, fix: bool, alive: bool) -> Finding {
    let at = path.display();
    if !fix {
        return Finding::new(name, State::Warn, format!("{at} {why}")).cure("`neofn doctor --fix`");
    }
    let result = if alive {
        fs::set_permissions(path, fs::Permissions::from_mode(0o600))
    } else {
        fs::remove_file(path)
    };
    match result {
        Ok(()) => Finding::new(
            name,
            State::Fixed,
            format!(
                "{at} {why}: {}",
                if alive { "mode set to 0600" } else { "removed" }
            ),
        ),
        Err(reason) => Finding::new(
            name,
            State::Warn,
            format!("{at} {why}, and could not be mended: {reason}"),
        ),
    }
}
