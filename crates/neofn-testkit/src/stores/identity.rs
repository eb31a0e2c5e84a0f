//! API keys.

use super::Harness;
use neofn_identity::port::IdentityStore;
use neofn_identity::{ApiKey, KeyRecord, Scope};
use neofn_types::UnixMillis;

pub async fn keys_are_kept_oldest_first<H: Harness>() {
    let harness = H::new();
    let store = harness.open().await;
    let make = |n: u8, scope, at| {
        let key = ApiKey::new([n; 8], [n; 24]);
        KeyRecord {
            id: key.id,
            hash: key.hash(),
            scope,
            created_at: UnixMillis(at),
            expires_at: (n == 2).then_some(UnixMillis(99)),
            revoked_at: None,
        }
    };
    let younger = make(1, Scope::Operator, 20);
    let older = make(2, Scope::Project("demo".parse().unwrap()), 10);
    store.add_key(younger.clone()).await.unwrap();
    store.add_key(older.clone()).await.unwrap();
    assert!(store.add_key(older.clone()).await.is_err());
    assert_eq!(store.keys().await.unwrap(), [older.clone(), younger.clone()]);
    harness.stop(store).await;
    let store = harness.open().await;
    assert_eq!(store.key(older.id).await.unwrap(), Some(older));
    assert_eq!(store.key(younger.id).await.unwrap(), Some(younger));
    assert_eq!(store.key(neofn_identity::KeyId([9; 8])).await.unwrap(), None);
    harness.stop(store).await;
}
