//! The shortest way through the store: deploy, admit, claim, finish, read back, open again.

mod support;

use neofn_engine::port::{InvocationStore, Status};
use neofn_registry::port::RegistryStore;
use neofn_store_sqlite::{Store, StoreOptions};
use neofn_types::UnixMillis;
use std::sync::Arc;
use support::{LEASE, TestClock, deploy, finish, key, ok, queued, record};

#[tokio::test]
async fn an_invocation_lives_through_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let open = || Store::open(StoreOptions::new(dir.path(), Arc::new(TestClock::default()))).unwrap();
    let store = open();
    let f = key("demo", "hello");
    deploy(&store, &f).await;
    let new = queued(&f, 10);
    let id = new.id;
    store.admit(new).await.unwrap();
    store.record(record(&f, 11)).await.unwrap();
    let claims = store.claim(UnixMillis(10), LEASE, 5, &[]).await.unwrap();
    assert_eq!(claims.iter().map(|c| c.id).collect::<Vec<_>>(), [id]);
    store.finish(finish(id, claims[0].fence, ok(), 20)).await.unwrap();
    store.close().await.unwrap();

    let store = open();
    let found = store.invocation(id).await.unwrap().unwrap();
    assert_eq!(found.status, Status::Succeeded);
    assert_eq!(found.logs, ["[LOG] hello"]);
    assert_eq!(store.totals().await.unwrap().succeeded, 2);
    assert_eq!(store.function(&f).await.unwrap().unwrap().invocation_count, 2);
    store.close().await.unwrap();
}
