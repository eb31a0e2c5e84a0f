//! Tells when a file of the project changes. Packages, version control and our own directory are not looked at.

use super::{Event, Session};
use crate::failure::Failure;
use neofn_types::Code;
use notify::event::EventKind;
use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

/// An editor writes, renames and touches within a few milliseconds.
const SETTLE: Duration = Duration::from_millis(20);
/// A program that writes without end must not keep us from deploying.
const SETTLE_TRIES_MAX: u32 = 25;
/// Most directories that are watched; each costs a little of the kernel.
const DIRECTORIES_MAX: usize = 2_000;
const IGNORED: &[&str] = &["node_modules", ".git", ".neofn", "target"];

/// Watches while it lives.
pub struct Watch {
    _thread: std::thread::JoinHandle<()>,
}

/// Starts to watch the project in `root`.
pub fn start(root: &Path, events: Sender<Event>) -> Result<Watch, Failure> {
    let wrong = |reason: notify::Error| {
        Failure::new(
            Code::ConfigInvalid,
            format!("cannot watch {}: {reason}", root.display()),
            "raise fs.inotify.max_user_watches",
        )
    };
    let (sender, changes) = channel();
    let mut watcher = notify::recommended_watcher(sender).map_err(wrong)?;
    let mut left = DIRECTORIES_MAX;
    add(&mut watcher, root, &mut left).map_err(wrong)?;
    let root: PathBuf = root.to_owned();
    let thread = std::thread::spawn(move || {
        for change in changes {
            let Ok(change) = change else { continue };
            if !matters(&root, &change) {
                continue;
            }
            if matches!(change.kind, EventKind::Create(_)) {
                for path in change.paths.iter().filter(|p| p.is_dir()) {
                    // A directory that cannot be watched is noticed when something imports from it.
                    let _ = add(&mut watcher, path, &mut left);
                }
            }
            if events.send(Event::Changed).is_err() {
                return;
            }
        }
    });
    Ok(Watch { _thread: thread })
}

fn add(watcher: &mut RecommendedWatcher, directory: &Path, left: &mut usize) -> notify::Result<()> {
    if *left == 0 {
        return Ok(());
    }
    *left -= 1;
    watcher.watch(directory, RecursiveMode::NonRecursive)?;
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let ignored = IGNORED.iter().any(|name| entry.file_name() == *name);
        if !ignored && entry.file_type().is_ok_and(|t| t.is_dir()) {
            add(watcher, &entry.path(), left)?;
        }
    }
    Ok(())
}

/// Reading is no change, and what lies in an ignored directory is none of ours.
fn matters(root: &Path, change: &notify::Event) -> bool {
    let kind = matches!(
        change.kind,
        EventKind::Create(_) | EventKind::Modify(_) | EventKind::Remove(_)
    );
    let ours = |path: &PathBuf| {
        let inside = path.strip_prefix(root).unwrap_or(path);
        !inside
            .components()
            .any(|part| IGNORED.iter().any(|name| part.as_os_str() == *name))
    };
    kind && change.paths.iter().any(ours)
}

/// Waits until nothing changed for a moment; what else happens meanwhile is not lost.
pub fn settle(events: &Receiver<Event>, session: &mut Session) {
    for _ in 0..SETTLE_TRIES_MAX {
        match events.recv_timeout(SETTLE) {
            Ok(Event::Logged(entry)) => session.logged(&entry),
            Ok(Event::Changed) => {}
            Ok(event) => {
                session.later(event);
                return;
            }
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return,
        }
    }
}
