//! A backup made, checked, damaged, and restored.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use neofn_backup::{
    BackupError, Heads, Identity, Known, MARK_FILE, RestoreMark, Rollback, SeenHeads, Source, create,
    restore, verify,
};
use neofn_types::UnixMillis;
use std::path::{Path, PathBuf};

struct Place {
    dir: tempfile::TempDir,
    identity: Identity,
}
impl Place {
    fn new() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
            identity: Identity::generate(),
        }
    }
    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }
    fn backup(&self) -> PathBuf {
        let big: Vec<u8> = (0..300_000u32).map(|n| n.to_le_bytes()[0]).collect();
        std::fs::write(self.path("db"), &big).unwrap();
        std::fs::write(self.path("blob"), b"canary-secret-value").unwrap();
        let source = |name: &str, path: &str| Source {
            file: self.path(name),
            path: path.to_owned(),
        };
        let sources = [source("db", "neofn.db"), source("blob", "artifacts/ab/cd")];
        let heads = Heads {
            schema: 7,
            transfers: 3,
            audit_size: 40,
            checkpoint: None,
            chain: Some((42, 100)),
        };
        let to = self.path("backup.age");
        create(
            &to,
            &self.identity.to_public(),
            &sources,
            heads,
            (UnixMillis(5), "0.1.0"),
        )
        .unwrap();
        to
    }
    fn restore(&self, from: &Path, seen: SeenHeads, rollback: Rollback) -> Result<PathBuf, BackupError> {
        let to = self.path("restored");
        restore(from, &self.identity, &to, &seen, (rollback, UnixMillis(9)))?;
        Ok(to)
    }
}

#[test]
fn what_was_backed_up_comes_back() {
    let place = Place::new();
    let backup = place.backup();
    let bytes = std::fs::read(&backup).unwrap();
    assert!(!bytes.windows(6).any(|w| w == b"canary"), "it is encrypted");
    assert_eq!(verify(&backup, &place.identity).unwrap().files.len(), 2);
    let to = place
        .restore(&backup, SeenHeads::default(), Rollback::Refuse)
        .unwrap();
    assert_eq!(
        std::fs::read(to.join("neofn.db")).unwrap(),
        std::fs::read(place.path("db")).unwrap()
    );
    assert_eq!(
        std::fs::read(to.join("artifacts/ab/cd")).unwrap(),
        b"canary-secret-value"
    );
    let mark: RestoreMark = serde_json::from_slice(&std::fs::read(to.join(MARK_FILE)).unwrap()).unwrap();
    assert_eq!((mark.entries_missing, mark.heads.audit_size), (0, 40));
    let again = place.restore(&backup, SeenHeads::default(), Rollback::Refuse);
    assert!(matches!(again, Err(BackupError::NotEmpty(_))));
}

#[test]
fn a_rollback_is_refused_unless_it_is_meant() {
    let place = Place::new();
    let backup = place.backup();
    for (here, anchored, whence) in [(41, 0, "here"), (0, 41, "on chain"), (50, 41, "here")] {
        let refused = place.restore(&backup, SeenHeads { here, anchored }, Rollback::Refuse);
        let Err(BackupError::Stale { whence: found, .. }) = refused else {
            panic!("restored");
        };
        assert_eq!(found, whence);
        assert!(!place.path("restored").exists());
        assert!(!place.path("restored.restoring").exists());
    }
    let seen = SeenHeads {
        here: 45,
        anchored: 41,
    };
    let to = place.restore(&backup, seen, Rollback::Accept).unwrap();
    let mark: RestoreMark = serde_json::from_slice(&std::fs::read(to.join(MARK_FILE)).unwrap()).unwrap();
    assert_eq!(mark.entries_missing, 5);
}

#[test]
fn a_damaged_or_foreign_backup_restores_nothing() {
    let place = Place::new();
    let backup = place.backup();
    let whole = std::fs::read(&backup).unwrap();
    assert!(verify(&backup, &Identity::generate()).is_err());
    let mut cases = vec![
        Vec::new(),
        whole[..whole.len() - 1].to_vec(),
        [&whole[..], b"x"].concat(),
    ];
    for n in (0..whole.len()).step_by(whole.len() / 40) {
        let mut changed = whole.clone();
        changed[n] ^= 1;
        cases.push(changed);
    }
    for case in cases {
        std::fs::write(&backup, case).unwrap();
        let refused = place.restore(&backup, SeenHeads::default(), Rollback::Refuse);
        // not "the disk is full": that is what the code of a file that cannot be read or written says
        assert!(matches!(refused, Err(BackupError::Invalid(_))), "{refused:?}");
        assert!(!place.path("restored").exists());
    }
}

#[test]
fn a_backup_of_another_log_is_refused_even_where_going_back_is_meant() {
    struct Other;
    impl Known for Other {
        fn seen(&self) -> SeenHeads {
            SeenHeads::default()
        }
        fn agrees(&self, heads: &Heads) -> Result<(), String> {
            Err(format!("of {} entries", heads.audit_size))
        }
    }
    let place = Place::new();
    let backup = place.backup();
    for rollback in [Rollback::Refuse, Rollback::Accept] {
        let to = place.path("restored");
        let refused = restore(&backup, &place.identity, &to, &Other, (rollback, UnixMillis(9)));
        assert!(matches!(refused, Err(BackupError::OtherLog(why)) if why == "of 40 entries"));
        assert!(!to.exists() && !place.path("restored.restoring").exists());
    }
}
