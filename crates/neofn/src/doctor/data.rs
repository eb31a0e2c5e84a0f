//! Who may read the data directory: it holds the admin key, sources and results.

use super::{Finding, Scene, State};
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// The directory should be 0700, the key must be 0600.
pub fn check(scene: &Scene<'_>) -> Vec<Finding> {
    let Err(reason) = fs::read_dir(scene.data) else {
        let mut findings = vec![private("data directory", scene.data, 0o700, scene.fix)];
        let key = scene.data.join("admin.key");
        if key.exists() {
            findings.push(private("admin key", &key, 0o600, scene.fix));
        }
        return findings;
    };
    let name = "data directory";
    let at = scene.data.display();
    vec![if reason.kind() == ErrorKind::NotFound {
        Finding::new(
            name,
            State::Info,
            format!("{at} does not exist yet; `neofn up` makes it"),
        )
    } else {
        Finding::new(name, State::Bad, format!("{at} cannot be opened: {reason}"))
            .cure("check its owner and mode")
    }]
}

fn private(name: &str, path: &Path, mode: u32, fix: bool) -> Finding {
    let at = path.display();
    let Ok(metadata) = fs::metadata(path) else {
        return Finding::new(name, State::Bad, format!("{at} cannot be looked at")).cure("check its owner");
    };
    let now = metadata.permissions().mode() & 0o777;
    if now & 0o077 == 0 {
        return Finding::new(name, State::Good, format!("{at} is {now:o}, private"));
    }
    if !fix {
        return Finding::new(
            name,
            State::Bad,
            format!("{at} is {now:o}: others on this machine may look into it"),
        )
        .cure(format!("`neofn doctor --fix`, or chmod {mode:o} {at}"));
    }
    match fs::set_permissions(path, fs::Permissions::from_mode(mode)) {
        Ok(()) => Finding::new(name, State::Fixed, format!("{at} was {now:o}, is {mode:o} now")),
        Err(reason) => Finding::new(
            name,
            State::Bad,
            format!("{at} is {now:o} and could not be changed: {reason}"),
        )
        .cure("check its owner"),
    }
}
