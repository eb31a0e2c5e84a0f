//! The user's cache directory, where compiled engines are kept.

use super::{Finding, Scene, State};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::PathBuf;

/// It must be ours and not writable by others: what is in it is executed.
pub fn check(_: &Scene<'_>) -> Vec<Finding> {
    let absolute = |name: &str| {
        std::env::var_os(name)
            .map(PathBuf::from)
            .filter(|p| p.is_absolute())
    };
    let Some(base) = absolute("XDG_CACHE_HOME").or_else(|| Some(absolute("HOME")?.join(".cache"))) else {
        return vec![
            Finding::new("cache", State::Warn, "neither XDG_CACHE_HOME nor HOME is set").cure("set HOME"),
        ];
    };
    let path = base.join("neofn");
    let at = path.display();
    let Ok(metadata) = fs::metadata(&path) else {
        return vec![Finding::new(
            "cache",
            State::Info,
            format!("{at} does not exist yet"),
        )];
    };
    let ours = fs::metadata("/proc/self").is_ok_and(|own| own.uid() == metadata.uid());
    let closed = metadata.permissions().mode() & 0o022 == 0;
    vec![match (ours, closed) {
        (true, true) => Finding::new("cache", State::Good, format!("{at}")),
        (false, _) => Finding::new("cache", State::Warn, format!("{at} belongs to somebody else"))
            .cure("remove it, or set XDG_CACHE_HOME"),
        (true, false) => Finding::new("cache", State::Warn, format!("{at} may be written by others"))
            .cure(format!("chmod go-w {at}")),
    }]
}
