//! The audit log: what is appended is proved, signed, exported and verified, also after a restart.

use super::{Harness, support::TestClock};
use neofn_identity::audit::AuditEntry;
use neofn_identity::auditlog::port::{AnchorChain, AnchorState, AuditStore, EntryFilter};
use neofn_identity::auditlog::{
    AuditLog, AuditLogOptions, Export, ExportLine, Head, LogKey, leaf_hash, verify_consistency,
    verify_export, verify_inclusion,
};
use neofn_types::{Hash256, UnixMillis};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Takes a root the first time and shows it on chain the second.
#[derive(Default)]
struct Slow(Mutex<Vec<Vec<u8>>>);
#[async_trait::async_trait]
impl AnchorChain for Slow {
    async fn anchor(&self, bytes: Vec<u8>) -> Result<AnchorState, Box<dyn std::error::Error + Send + Sync>> {
        let mut seen = self.0.lock().unwrap();
        if seen.contains(&bytes) {
            return Ok(AnchorState::OnChain(Hash256([4; 32]), 77));
        }
        seen.push(bytes);
        Ok(AnchorState::Waiting)
    }
}

fn log_of(store: &Arc<dyn AuditStore>, clock: &Arc<TestClock>, chain: &Arc<Slow>) -> AuditLog {
    AuditLog::new(AuditLogOptions {
        store: store.clone(),
        key: LogKey::from_seed("log.example/audit", &[7; 32]).unwrap(),
        clock: clock.clone(),
        chain: Some(chain.clone()),
        anchor_every: Duration::from_millis(1_000),
    })
}
fn act(n: u64) -> AuditEntry {
    let entry = AuditEntry::new(UnixMillis(1), "account:N1", "key.revoke", format!("k{n}"));
    match n % 3 {
        0 => entry.within(&"shop".parse().unwrap()),
        _ => entry,
    }
}

pub async fn what_is_appended_is_proved_and_anchored<H: Harness>() {
    let harness = H::new();
    let (clock, chain) = (harness.clock(), Arc::<Slow>::default());
    let opened = Arc::new(harness.open().await);
    let (store, log) = (H::log(&opened), log_of(&H::log(&opened), &clock, &chain));
    let first = log.head().await.unwrap();
    assert_eq!(first.size, 0);
    for n in 0..20 {
        assert_eq!(log.append(act(n)).await.unwrap(), n);
    }
    let middle = log.head().await.unwrap();
    assert_eq!(store.append((20..45).map(act).collect()).await.unwrap(), 20);
    drop((store, log));
    harness.stop(Arc::into_inner(opened).unwrap()).await;

    let opened = Arc::new(harness.open().await);
    let log = log_of(&H::log(&opened), &clock, &chain);
    let head = log.head().await.unwrap();
    assert_eq!(log.head().await.unwrap(), head, "signed once");
    assert_eq!(
        (head.size, log.verifier().open(&head.note).unwrap().root),
        (45, head.root)
    );
    for entry in log.entries_from(0, 100).await.unwrap() {
        let proof = log.inclusion(entry.seq, head.size).await.unwrap();
        verify_inclusion(&leaf_hash(&entry.bytes), entry.seq, head.size, &proof, &head.root).unwrap();
    }
    let proof = log.consistency(middle.size, head.size).await.unwrap();
    verify_consistency((middle.size, &middle.root), (head.size, &head.root), &proof).unwrap();
    assert!(log.inclusion(3, 46).await.is_err());
    assert!(log.inclusion(45, 45).await.is_err());
    let filter = EntryFilter {
        project: Some("shop".parse().unwrap()),
        before: Some(40),
        limit: 2,
    };
    let shown: Vec<_> = log.entries(filter).await.unwrap().iter().map(|e| e.seq).collect();
    assert_eq!(shown, [39, 36]);

    // anchored: once, and again only when there is something new and the time has come
    log.activate().await.unwrap();
    assert_eq!(log.anchors(10).await.unwrap()[0].tx, None);
    log.activate().await.unwrap();
    assert_eq!(log.anchors(10).await.unwrap()[0].tx, Some((Hash256([4; 32]), 77)));
    clock.0.store(5_000, Ordering::SeqCst);
    log.activate().await.unwrap();
    assert_eq!(log.anchors(10).await.unwrap().len(), 1, "nothing new");
    log.append(act(45)).await.unwrap();
    log.activate().await.unwrap();
    assert_eq!(log.anchors(10).await.unwrap().len(), 2);
    assert_eq!(chain.0.lock().unwrap()[0], Head::anchor_bytes(45, &head.root));

    let mut lines = vec![Export::header(&log.verifier())];
    lines.extend(
        log.entries_from(0, 100)
            .await
            .unwrap()
            .into_iter()
            .filter_map(Export::entry),
    );
    for (_, note) in log.checkpoints(10).await.unwrap().into_iter().rev() {
        lines.push(ExportLine::Checkpoint(note));
    }
    lines.extend(log.anchors(10).await.unwrap().iter().filter_map(Export::anchor));
    let text: Vec<_> = lines.iter().map(|l| serde_json::to_string(l).unwrap()).collect();
    let verified = verify_export(text.iter().map(String::as_str), Some(&log.verifier())).unwrap();
    assert_eq!((verified.entries, verified.anchors[0].1), (46, head.root));
    drop(log);
    harness.stop(Arc::into_inner(opened).unwrap()).await;
}

/// Of many that append at once each has a number of its own, and the tree has every one of them.
pub async fn many_append_at_once<H: Harness>() {
    let harness = H::new();
    let opened = Arc::new(harness.open().await);
    let store = H::log(&opened);
    let mut tasks = Vec::new();
    for n in 0..8 {
        let store = store.clone();
        tasks.push(tokio::spawn(async move {
            let mut firsts = Vec::new();
            for _ in 0..4 {
                firsts.push(store.append((n..n + 3).map(act).collect()).await.unwrap());
            }
            firsts
        }));
    }
    let mut firsts = Vec::new();
    for task in tasks {
        firsts.extend(task.await.unwrap());
    }
    firsts.sort_unstable();
    assert_eq!(firsts, (0..32).map(|n| n * 3).collect::<Vec<_>>());
    let log = log_of(&store, &harness.clock(), &Arc::default());
    let head = log.head().await.unwrap();
    assert_eq!(head.size, 96);
    for entry in log.entries_from(0, 100).await.unwrap() {
        let proof = log.inclusion(entry.seq, head.size).await.unwrap();
        verify_inclusion(&leaf_hash(&entry.bytes), entry.seq, head.size, &proof, &head.root).unwrap();
    }
    drop((store, log));
    harness.stop(Arc::into_inner(opened).unwrap()).await;
}
