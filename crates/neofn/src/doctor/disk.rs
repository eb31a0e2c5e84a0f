//! Room on the disk of the data directory.

use super::{Finding, Scene, State};
use crate::render::bytes;
use std::path::Path;
use std::process::Command;

/// Below this a node may soon be unable to write.
const FREE_BYTES_LOW: u64 = 512 << 20;

/// Asks `df`, which every system has, for the nearest directory that exists.
pub fn check(scene: &Scene<'_>) -> Vec<Finding> {
    let name = "disk space";
    let existing = std::path::absolute(scene.data).ok();
    let existing = existing
        .as_deref()
        .and_then(|path| path.ancestors().find(|p| p.is_dir()))
        .unwrap_or(Path::new("/"));
    let output = Command::new("df")
        .arg("-Pk")
        .arg(existing)
        .env("LC_ALL", "C")
        .output();
    let free = output.ok().and_then(|o| {
        let text = String::from_utf8_lossy(&o.stdout).into_owned();
        text.lines()
            .nth(1)?
            .split_whitespace()
            .nth(3)?
            .parse::<u64>()
            .ok()?
            .checked_mul(1024)
    });
    vec![match free {
        None => Finding::new(name, State::Info, "could not be found out"),
        Some(free) => {
            let detail = format!(
                "{} free at {}",
                bytes(usize::try_from(free).unwrap_or(usize::MAX)),
                existing.display()
            );
            if free >= FREE_BYTES_LOW {
                Finding::new(name, State::Good, detail)
            } else {
                Finding::new(name, State::Warn, detail).cure("free some space, or use another --data")
            }
        }
    }]
}
