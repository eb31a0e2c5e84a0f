//! Until when the certificates of running nodes are good.

use super::{Finding, Scene, State, runtime_file};
use neofn_node::SystemClock;
use neofn_tls::concerns_of;
use neofn_types::{Clock as _, UnixMillis};
use std::collections::BTreeSet;
use std::path::Path;

const NAME: &str = "certificate";

/// The nodes that left a note, as in the check of the notes; one without TLS has nothing to show.
pub fn check(scene: &Scene<'_>) -> Vec<Finding> {
    let files: BTreeSet<String> = runtime_file::notes(scene)
        .filter_map(|note| cert_file(&note))
        .collect();
    let now = SystemClock::new().now();
    files.iter().flat_map(|file| look(Path::new(file), now)).collect()
}

fn cert_file(note: &Path) -> Option<String> {
    let note = runtime_file::read(note)?;
    note.is_live().then_some(note.cert_file).flatten()
}

fn look(file: &Path, now: UnixMillis) -> Vec<Finding> {
    let at = file.display();
    let concerns = match concerns_of(file, now) {
        Ok(concerns) => concerns,
        // its owner may be another account, which is no fault
        Err(error) => return vec![Finding::new(NAME, State::Info, error.message)],
    };
    if concerns.is_empty() {
        let detail = format!("{at} is good, and not about to end");
        return vec![Finding::new(NAME, State::Good, detail)];
    }
    concerns
        .iter()
        .map(|concern| {
            let state = if concern.matter.is_refused() {
                State::Bad
            } else {
                State::Warn
            };
            Finding::new(NAME, state, concern.to_string())
                .cure("replace the file and its key in place: the node sees it within ten seconds")
        })
        .collect()
}
