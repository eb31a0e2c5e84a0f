//! Keys, challenges, sessions, members, and the log of what was done to them.

use super::Harness;
use crate::stores::support::{deploy, key as function};
use neofn_identity::audit::AuditEntry;
use neofn_identity::challenge::{ChallengeRecord, Nonce};
use neofn_identity::port::{
    AuditStore, Ceiling, Changed, CreateKey, CreateProject, Created, EndProject, Ended, IdentityStore,
    MemberStore, Put, RemoveMember, Rotate, Rotated, SessionRecord, SessionStore, SetMember, SignIn,
};
use neofn_identity::token::SigningKeyRecord;
use neofn_identity::{ApiKey, KeyId, KeyRecord, Membership, Powers, Role, Scope, SessionId};
use neofn_registry::port::{RegistryStore, RegistryStoreError};
use neofn_types::{FunctionName, ProjectName, ScriptHash, UnixMillis};
use std::sync::Arc;

pub async fn keys_are_kept_oldest_first<H: Harness>() {
    let harness = H::new();
    let store = harness.open().await;
    let make = |n: u8, scope, at| KeyRecord {
        expires_at: (n == 2).then_some(UnixMillis(99)),
        name: format!("key {n}"),
        created_by: (n == 2).then_some(ScriptHash([7; 20])),
        ..KeyRecord::new(&ApiKey::new([n; 8], [n; 24]), scope, UnixMillis(at))
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

fn account(n: u8) -> ScriptHash {
    ScriptHash([n; 20])
}
fn act(at: i64, action: &str) -> AuditEntry {
    AuditEntry::new(UnixMillis(at), "tester", action, "target").detail("detail")
}
pub fn challenge(nonce: u64, who: u8, (from, to): (i64, i64)) -> ChallengeRecord {
    ChallengeRecord {
        nonce: Nonce::new(nonce).unwrap(),
        account: account(who),
        domain: "neofn.example".parse().unwrap(),
        network: 4_294_967_295,
        issued_at: UnixMillis(from),
        expires_at: UnixMillis(to),
    }
}
pub fn sign_in(nonce: u64, who: u8, session: u8, at: i64) -> SignIn {
    SignIn {
        nonce: Nonce::new(nonce).unwrap(),
        session: SessionRecord {
            id: SessionId([session; 16]),
            account: account(who),
            format: "plain".to_owned(),
            created_at: UnixMillis(at),
            expires_at: UnixMillis(at + 1_000),
        },
        refresh: [session; 32],
        at: UnixMillis(at),
        audit: act(at, "session.begin"),
    }
}
/// A session of `who`, whose first refresh token has this number as its hash.
async fn begin(store: &impl SessionStore, who: u8, session: u8, at: i64) {
    let nonce = u64::from(session);
    store
        .put_challenge(challenge(nonce, who, (at, at + 10)), 100)
        .await
        .unwrap();
    assert!(store.sign_in(sign_in(nonce, who, session, at)).await.unwrap());
}

pub async fn a_challenge_is_used_up_once<H: Harness>() {
    let harness = H::new();
    let store = Arc::new(harness.open().await);
    let greatest = (1 << 53) - 1;
    let made = challenge(greatest, 1, (5, 10));
    assert_eq!(store.put_challenge(made.clone(), 10).await.unwrap(), Put::Stored);
    assert_eq!(
        store
            .put_challenge(challenge(greatest, 2, (5, 10)), 10)
            .await
            .unwrap(),
        Put::Taken
    );
    assert_eq!(store.challenge(made.nonce).await.unwrap(), Some(made.clone()));
    // another account's, one too late, an unknown one: nothing changes
    for wrong in [
        sign_in(greatest, 2, 1, 6),
        sign_in(greatest, 1, 1, 10),
        sign_in(7, 1, 1, 6),
    ] {
        assert!(!store.sign_in(wrong).await.unwrap());
    }
    assert!(
        store
            .session(SessionId([1; 16]), UnixMillis(6))
            .await
            .unwrap()
            .is_none()
    );
    let mut tries = tokio::task::JoinSet::new();
    for n in 1..=16 {
        let store = Arc::clone(&store);
        tries.spawn(async move { store.sign_in(sign_in(greatest, 1, n, 6)).await.unwrap() });
    }
    let inside = tries.join_all().await.into_iter().filter(|ok| *ok).count();
    assert_eq!(inside, 1);
    assert_eq!(store.challenge(made.nonce).await.unwrap(), None);
    let Ok(store) = Arc::try_unwrap(store) else {
        panic!("held")
    };
    harness.stop(store).await;
    let store = harness.open().await;
    assert!(
        !store.sign_in(sign_in(greatest, 1, 99, 6)).await.unwrap(),
        "after a crash, too"
    );
    harness.stop(store).await;
}

pub async fn challenges_are_bounded_and_those_that_ended_forgotten<H: Harness>() {
    let harness = H::new();
    let store = harness.open().await;
    for nonce in 0..3 {
        let put = store
            .put_challenge(challenge(nonce, 1, (0, 10)), 3)
            .await
            .unwrap();
        assert_eq!(put, Put::Stored);
    }
    assert_eq!(
        store.put_challenge(challenge(3, 1, (9, 20)), 3).await.unwrap(),
        Put::Full
    );
    assert!(store.sign_in(sign_in(0, 1, 1, 9)).await.unwrap());
    assert_eq!(
        store.put_challenge(challenge(3, 1, (9, 20)), 3).await.unwrap(),
        Put::Stored
    );
    assert_eq!(
        store.put_challenge(challenge(4, 1, (10, 20)), 3).await.unwrap(),
        Put::Stored
    );
    assert_eq!(store.challenge(Nonce::new(1).unwrap()).await.unwrap(), None);
    assert_eq!(
        store.put_challenge(challenge(5, 1, (10, 20)), 3).await.unwrap(),
        Put::Stored
    );
    assert_eq!(
        store.put_challenge(challenge(6, 1, (10, 20)), 3).await.unwrap(),
        Put::Full
    );
    harness.stop(store).await;
}

pub fn rotate(session: u8, presented: u8, next: u8, at: i64) -> Rotate {
    Rotate {
        id: SessionId([session; 16]),
        presented: [presented; 32],
        next: [next; 32],
        at: UnixMillis(at),
        reused: act(at, "session.reused"),
    }
}

pub async fn a_refresh_token_is_exchanged_once<H: Harness>() {
    let harness = H::new();
    let store = harness.open().await;
    begin(&store, 1, 1, 5).await;
    begin(&store, 1, 2, 5).await;
    let Rotated::Done(session) = store.rotate(rotate(1, 1, 11, 6)).await.unwrap() else {
        panic!()
    };
    assert_eq!(
        (session.account, session.expires_at),
        (account(1), UnixMillis(1_005))
    );
    // unknown ones, another session's: nothing changes
    for wrong in [rotate(1, 99, 12, 6), rotate(1, 2, 12, 6), rotate(9, 1, 12, 6)] {
        assert_eq!(store.rotate(wrong).await.unwrap(), Rotated::Gone);
    }
    harness.stop(store).await;
    let store = harness.open().await;
    assert!(matches!(
        store.rotate(rotate(1, 11, 12, 7)).await.unwrap(),
        Rotated::Done(_)
    ));
    assert_eq!(store.rotate(rotate(1, 1, 13, 8)).await.unwrap(), Rotated::Reused);
    for after in [rotate(1, 12, 13, 9), rotate(1, 1, 13, 9)] {
        assert_eq!(store.rotate(after).await.unwrap(), Rotated::Gone);
    }
    assert!(
        store
            .session(SessionId([1; 16]), UnixMillis(9))
            .await
            .unwrap()
            .is_none()
    );
    assert!(
        matches!(store.rotate(rotate(2, 2, 22, 9)).await.unwrap(), Rotated::Done(_)),
        "another session"
    );
    // of many with the same token one gets the next, and the copies end it
    let store = Arc::new(store);
    begin(&*store, 1, 3, 9).await;
    let mut tries = tokio::task::JoinSet::new();
    for n in 0..8 {
        let store = Arc::clone(&store);
        tries.spawn(async move { store.rotate(rotate(3, 3, 100 + n, 10)).await.unwrap() });
    }
    let came = tries.join_all().await;
    let count = |is: fn(&Rotated) -> bool| came.iter().filter(|r| is(r)).count();
    assert_eq!(count(|r| matches!(r, Rotated::Done(_))), 1);
    assert_eq!(count(|r| matches!(r, Rotated::Reused)), 1);
    let Ok(store) = Arc::try_unwrap(store) else {
        panic!("held")
    };
    harness.stop(store).await;
}

pub async fn a_session_ends_once_and_by_its_time<H: Harness>() {
    let harness = H::new();
    let store = harness.open().await;
    begin(&store, 1, 1, 5).await;
    begin(&store, 1, 2, 5).await;
    let id = SessionId([1; 16]);
    let (session, roles) = store.session(id, UnixMillis(1_004)).await.unwrap().unwrap();
    assert_eq!((session.format.as_str(), roles.len()), ("plain", 0));
    assert!(store.session(id, UnixMillis(1_005)).await.unwrap().is_none());
    assert_eq!(
        store.rotate(rotate(1, 1, 11, 1_005)).await.unwrap(),
        Rotated::Gone
    );
    assert!(
        store
            .end_session(id, UnixMillis(6), act(6, "session.end"))
            .await
            .unwrap()
    );
    assert!(
        !store
            .end_session(id, UnixMillis(7), act(7, "session.end"))
            .await
            .unwrap()
    );
    assert!(store.session(id, UnixMillis(8)).await.unwrap().is_none());
    assert_eq!(store.rotate(rotate(1, 1, 11, 8)).await.unwrap(), Rotated::Gone);
    assert!(
        store
            .session(SessionId([2; 16]), UnixMillis(8))
            .await
            .unwrap()
            .is_some()
    );
    // those that are over are cleared away by the next sign-in, and are gone all the same
    begin(&store, 1, 3, 2_000).await;
    assert!(
        store
            .session(SessionId([2; 16]), UnixMillis(8))
            .await
            .unwrap()
            .is_none()
    );
    harness.stop(store).await;
}

pub async fn a_signing_key_has_its_number_alone<H: Harness>() {
    let harness = H::new();
    let store = harness.open().await;
    let key = |seq: u32, name: &str| SigningKeyRecord {
        seq,
        kid: name.to_owned(),
        public: [1; 32],
        sealed: vec![2; 72],
        active_from: UnixMillis(i64::from(seq)),
    };
    assert!(store.add_signing_key(key(2, "b")).await.unwrap());
    assert!(store.add_signing_key(key(1, "a")).await.unwrap());
    assert!(!store.add_signing_key(key(2, "c")).await.unwrap());
    harness.stop(store).await;
    let store = harness.open().await;
    assert_eq!(store.signing_keys().await.unwrap(), [key(1, "a"), key(2, "b")]);
    store.drop_signing_keys(2).await.unwrap();
    assert_eq!(store.signing_keys().await.unwrap(), [key(2, "b")]);
    harness.stop(store).await;
}

fn project(name: &str) -> ProjectName {
    name.parse().unwrap()
}
async fn create(store: &impl MemberStore, name: &str, owner: Option<u8>) -> Created {
    let create = CreateProject {
        name: project(name),
        owner: owner.map(account),
        made_max: 2,
        at: UnixMillis(5),
        audit: act(5, "project.create").within(&project(name)),
    };
    store.create_project(create).await.unwrap()
}
async fn set(
    store: &impl MemberStore,
    name: &str,
    on: Option<&str>,
    who: u8,
    role: Role,
    ceiling: Ceiling,
) -> Changed {
    set_by(store, None, (name, on, who), role, ceiling).await
}
async fn set_by(
    store: &impl MemberStore,
    by: Option<u8>,
    (name, on, who): (&str, Option<&str>, u8),
    role: Role,
    ceiling: Ceiling,
) -> Changed {
    let set = SetMember {
        project: project(name),
        function: on.map(|f| f.parse().unwrap()),
        account: account(who),
        role,
        by: by.map(account),
        ceiling,
        members_max: 4,
        at: UnixMillis(i64::from(who)),
        audit: act(6, "member.set").within(&project(name)),
    };
    store.set_member(set).await.unwrap()
}
async fn remove(
    store: &impl MemberStore,
    name: &str,
    on: Option<&str>,
    who: u8,
    ceiling: Ceiling,
) -> Changed {
    remove_by(store, None, (name, on, who), ceiling).await
}
async fn remove_by(
    store: &impl MemberStore,
    by: Option<u8>,
    (name, on, who): (&str, Option<&str>, u8),
    ceiling: Ceiling,
) -> Changed {
    let remove = RemoveMember {
        project: project(name),
        function: on.map(|f| f.parse().unwrap()),
        account: account(who),
        by: by.map(account),
        ceiling,
        at: UnixMillis(7),
        audit: act(7, "member.remove").within(&project(name)),
    };
    store.remove_member(remove).await.unwrap()
}
const DONE: Changed = Changed::Done { keys_revoked: 0 };
async fn roles(store: &impl MemberStore, name: &str) -> Vec<(u8, Option<FunctionName>, Role)> {
    let members = store.members(project(name)).await.unwrap();
    members
        .into_iter()
        .map(|m| (m.account.0[0], m.function, m.role))
        .collect()
}

pub async fn projects_belong_to_those_who_made_them<H: Harness>() {
    let harness = H::new();
    let store = harness.open().await;
    assert_eq!(create(&store, "shop", Some(1)).await, Created::Done);
    assert_eq!(create(&store, "shop", Some(2)).await, Created::Exists);
    assert_eq!(create(&store, "bank", Some(1)).await, Created::Done);
    assert_eq!(create(&store, "third", Some(1)).await, Created::TooMany);
    assert_eq!(create(&store, "nobodys", None).await, Created::Done);
    harness.stop(store).await;
    let store = harness.open().await;
    let names = async |of: Option<u8>, after: Option<&str>, limit| -> Vec<(String, Option<Role>)> {
        let found = MemberStore::projects(&store, of.map(account), after.map(project), limit)
            .await
            .unwrap();
        found.into_iter().map(|p| (p.name.to_string(), p.role)).collect()
    };
    let own = |name: &str| (name.to_owned(), Some(Role::Owner));
    assert_eq!(names(Some(1), None, 10).await, [own("bank"), own("shop")]);
    assert_eq!(names(Some(1), Some("bank"), 10).await, [own("shop")]);
    assert_eq!(names(Some(2), None, 10).await, []);
    assert_eq!(
        names(None, None, 2).await,
        [("bank".to_owned(), None), ("nobodys".to_owned(), None)]
    );
    assert_eq!(
        MemberStore::projects(&store, None, None, 1).await.unwrap()[0].created_at,
        UnixMillis(5)
    );
    assert_eq!(roles(&store, "shop").await, [(1, None, Role::Owner)]);
    harness.stop(store).await;
}

pub async fn a_project_keeps_an_owner<H: Harness>() {
    let harness = H::new();
    let store = harness.open().await;
    create(&store, "shop", Some(1)).await;
    let owners = Ceiling::Owners;
    assert_eq!(
        set(&store, "shop", None, 1, Role::Admin, owners).await,
        Changed::LastOwner
    );
    assert_eq!(remove(&store, "shop", None, 1, owners).await, Changed::LastOwner);
    assert_eq!(
        set(&store, "shop", None, 1, Role::Owner, owners).await,
        DONE,
        "as it was"
    );
    assert_eq!(set(&store, "shop", None, 2, Role::Owner, owners).await, DONE);
    assert_eq!(
        set_by(&store, Some(2), ("shop", None, 2), Role::Owner, owners).await,
        DONE
    );
    assert_eq!(set(&store, "shop", None, 1, Role::Admin, owners).await, DONE);
    assert_eq!(remove(&store, "shop", None, 2, owners).await, Changed::LastOwner);
    assert_eq!(remove(&store, "shop", None, 1, owners).await, DONE);
    assert_eq!(roles(&store, "shop").await, [(2, None, Role::Owner)]);
    harness.stop(store).await;
}

/// Nobody is made the one owner of something without having said so, and nobody gets rid of what they made by that.
pub async fn nobody_becomes_the_last_owner_unasked<H: Harness>() {
    let harness = H::new();
    let store = harness.open().await;
    let owners = Ceiling::Owners;
    for name in ["one", "two"] {
        assert_eq!(create(&store, name, Some(1)).await, Created::Done);
        let given = set_by(&store, Some(1), (name, None, 2), Role::Owner, owners).await;
        assert_eq!(given, DONE);
        // the one who gave it away has it still
        let down = set_by(&store, Some(1), (name, None, 1), Role::Viewer, owners).await;
        assert_eq!(down, Changed::LastOwner);
        let left = remove_by(&store, Some(1), (name, None, 1), owners).await;
        assert_eq!(left, Changed::LastOwner);
    }
    let accepted = async |name: &str| -> Vec<bool> {
        let members = store.members(project(name)).await.unwrap();
        let of = |n: u8| members.iter().find(|m| m.account == account(n)).unwrap();
        vec![of(1).accepted, of(2).accepted]
    };
    assert_eq!(accepted("one").await, [true, false]);
    // whoever never wanted it leaves
    assert_eq!(remove_by(&store, Some(2), ("one", None, 2), owners).await, DONE);
    // whoever acts as an owner is one, and may then be the last
    let acts = set_by(&store, Some(2), ("two", None, 3), Role::Viewer, owners).await;
    assert_eq!(acts, DONE);
    assert_eq!(accepted("two").await, [true, true]);
    // being made one once more takes nothing back
    let again = set_by(&store, Some(1), ("two", None, 2), Role::Owner, owners).await;
    assert_eq!((again, accepted("two").await), (DONE, vec![true, true]));
    assert_eq!(remove_by(&store, Some(1), ("two", None, 1), owners).await, DONE);
    assert_eq!(
        remove_by(&store, Some(2), ("two", None, 2), owners).await,
        Changed::LastOwner
    );
    // what one account made counts for it, whoever has it and whether it is there, and for nobody else
    assert_eq!(create(&store, "three", Some(1)).await, Created::TooMany);
    let end = EndProject {
        name: project("one"),
        at: UnixMillis(9),
        audit: self::act(9, "project.delete"),
    };
    let _ = store.end_project(end).await.unwrap();
    assert_eq!(create(&store, "three", Some(1)).await, Created::TooMany);
    assert_eq!(create(&store, "three", Some(2)).await, Created::Done);
    assert_eq!(store.maker(project("two")).await.unwrap(), Some(account(1)));
    create(&store, "nobodys", None).await;
    for none in ["nobodys", "nowhere"] {
        assert_eq!(store.maker(project(none)).await.unwrap(), None);
    }
    harness.stop(store).await;
}

pub async fn roles_are_bounded_and_below_the_ceiling<H: Harness>() {
    let harness = H::new();
    let store = harness.open().await;
    create(&store, "shop", Some(1)).await;
    let below = Ceiling::BelowOwners;
    assert_eq!(
        set(&store, "shop", None, 2, Role::Owner, below).await,
        Changed::AboveCeiling
    );
    assert_eq!(
        set(&store, "shop", None, 1, Role::Viewer, below).await,
        Changed::AboveCeiling
    );
    assert_eq!(
        remove(&store, "shop", None, 1, below).await,
        Changed::AboveCeiling
    );
    assert_eq!(
        set(&store, "none", None, 2, Role::Admin, below).await,
        Changed::Missing
    );
    assert_eq!(
        set(&store, "shop", Some("none"), 2, Role::Admin, below).await,
        Changed::Missing
    );
    assert_eq!(remove(&store, "shop", None, 2, below).await, Changed::Missing);
    for who in 2..=4 {
        assert_eq!(set(&store, "shop", None, who, Role::Viewer, below).await, DONE);
    }
    assert_eq!(
        set(&store, "shop", None, 5, Role::Viewer, below).await,
        Changed::TooMany
    );
    assert_eq!(
        set(&store, "shop", None, 4, Role::Admin, below).await,
        DONE,
        "nobody new"
    );
    assert_eq!(
        roles(&store, "shop").await,
        // in the order in which they came
        [
            (2, None, Role::Viewer),
            (3, None, Role::Viewer),
            (4, None, Role::Admin),
            (1, None, Role::Owner)
        ]
    );
    harness.stop(store).await;
}

pub async fn a_role_for_a_function_ends_with_it<H: Harness>() {
    let harness = H::new();
    let store = harness.open().await;
    let hello = function("shop", "hello");
    deploy(&store, &hello).await;
    deploy(&store, &function("shop", "other")).await;
    begin(&store, 2, 1, 5).await;
    let memberships = async || -> Vec<Membership> {
        let found = store.session(SessionId([1; 16]), UnixMillis(6)).await.unwrap();
        found.unwrap().1
    };
    assert_eq!(
        set(
            &store,
            "shop",
            Some("hello"),
            2,
            Role::Viewer,
            Ceiling::BelowOwners
        )
        .await,
        DONE
    );
    let viewer = Membership {
        project: hello.project.clone(),
        function: Some(hello.function.clone()),
        role: Role::Viewer,
    };
    assert_eq!(memberships().await, [viewer]);
    assert_eq!(
        MemberStore::projects(&store, Some(account(2)), None, 10)
            .await
            .unwrap(),
        [],
        "no member of the project"
    );
    store.delete_function(&hello).await.unwrap();
    assert_eq!(memberships().await, []);
    // one of the same name is another function
    deploy(&store, &hello).await;
    assert_eq!(memberships().await, []);
    assert_eq!(roles(&store, "shop").await, []);
    // whoever leaves the project leaves its functions
    set(
        &store,
        "shop",
        Some("hello"),
        2,
        Role::Viewer,
        Ceiling::BelowOwners,
    )
    .await;
    set(
        &store,
        "shop",
        Some("other"),
        2,
        Role::Viewer,
        Ceiling::BelowOwners,
    )
    .await;
    assert_eq!(
        remove(&store, "shop", Some("hello"), 2, Ceiling::BelowOwners).await,
        DONE
    );
    assert_eq!(memberships().await.len(), 1);
    assert_eq!(remove(&store, "shop", None, 2, Ceiling::BelowOwners).await, DONE);
    assert_eq!(memberships().await, []);
    harness.stop(store).await;
}

fn project_key(n: u8, name: &str, by: u8) -> KeyRecord {
    KeyRecord {
        powers: "read deploy".parse::<Powers>().unwrap(),
        name: "ci".to_owned(),
        created_by: Some(account(by)),
        expires_at: (n == 2).then_some(UnixMillis(50)),
        ..KeyRecord::new(
            &ApiKey::new([n; 8], [n; 24]),
            Scope::Project(project(name)),
            UnixMillis(i64::from(n)),
        )
    }
}

/// In a project that may have so many valid keys.
fn create_key(key: KeyRecord, valid_max: u32) -> CreateKey {
    CreateKey {
        audit: act(key.created_at.0, "key.create"),
        key,
        valid_max,
        ended_max: 2,
    }
}

pub async fn keys_of_a_project_are_bounded_and_revoked<H: Harness>() {
    let harness = H::new();
    let store = harness.open().await;
    create(&store, "shop", Some(1)).await;
    create(&store, "bank", Some(1)).await;
    let make = async |key: KeyRecord| store.create_key(create_key(key, 2)).await.unwrap();
    let (one, two) = (project_key(1, "shop", 1), project_key(2, "shop", 1));
    assert_eq!(make(one.clone()).await, Created::Done);
    assert_eq!(make(one.clone()).await, Created::Exists);
    assert_eq!(make(two.clone()).await, Created::Done);
    assert_eq!(make(project_key(3, "shop", 1)).await, Created::TooMany);
    assert_eq!(make(project_key(4, "nowhere", 1)).await, Created::Missing);
    let later = KeyRecord {
        created_at: UnixMillis(50),
        ..project_key(5, "shop", 1)
    };
    assert_eq!(
        make(later.clone()).await,
        Created::Done,
        "the one that ended has no place any more"
    );
    assert_eq!(
        store.project_keys(project("shop")).await.unwrap(),
        [one.clone(), two.clone(), later]
    );
    assert_eq!(store.project_keys(project("bank")).await.unwrap(), []);
    let revoke = async |of: &str, key: &KeyRecord, at| {
        let audit = act(at, "key.revoke");
        store
            .revoke_key(project(of), key.id, UnixMillis(at), audit)
            .await
            .unwrap()
    };
    assert!(!revoke("bank", &one, 8).await, "another project's");
    assert!(!revoke("shop", &two, 60).await, "ended by itself");
    assert!(revoke("shop", &one, 9).await);
    assert!(!revoke("shop", &one, 10).await);
    assert_eq!(
        store.key(one.id).await.unwrap().unwrap().revoked_at,
        Some(UnixMillis(9))
    );
    harness.stop(store).await;
}

/// Whoever makes and revokes keys for ever leaves no more of them than there is room for, and the audit log.
pub async fn keys_that_ended_are_forgotten_in_turn<H: Harness>() {
    let harness = H::new();
    let store = harness.open().await;
    create(&store, "shop", Some(1)).await;
    create(&store, "bank", Some(1)).await;
    let make = async |n: u8, of: &str, parent: Option<u8>, expires_at: Option<i64>| {
        let key = KeyRecord {
            parent: parent.map(|n| KeyId([n; 8])),
            expires_at: expires_at.map(UnixMillis),
            ..project_key(n, of, 1)
        };
        assert_eq!(store.create_key(create_key(key, 2)).await.unwrap(), Created::Done);
    };
    let revoke = async |n: u8, of: &str, at: i64| {
        let (of, audit) = (project(of), act(at, "key.revoke"));
        store
            .revoke_key(of, KeyId([n; 8]), UnixMillis(at), audit)
            .await
            .unwrap()
    };
    let kept = async |of: &str| -> Vec<u8> {
        let keys = store.project_keys(project(of)).await.unwrap();
        keys.iter().map(|k| k.id.0[0]).collect()
    };
    make(1, "bank", None, None).await;
    assert!(revoke(1, "bank", 2).await);
    make(10, "shop", None, None).await;
    make(11, "shop", Some(10), Some(12)).await;
    // that one ends by itself, before the next three are made
    for n in [12, 13, 14] {
        make(n, "shop", Some(10), None).await;
        assert!(revoke(n, "shop", i64::from(n)).await);
    }
    assert_eq!(
        kept("shop").await,
        [10, 12, 13, 14],
        "the one that ended first is gone"
    );
    assert_eq!(store.key(KeyId([11; 8])).await.unwrap(), None);
    make(15, "shop", Some(10), None).await;
    assert_eq!(kept("shop").await, [10, 13, 14, 15]);
    assert_eq!(kept("bank").await, [1], "another project's are no matter here");
    // what was made with it is found, whoever is forgotten
    assert!(revoke(10, "shop", 16).await);
    assert!(!revoke(15, "shop", 17).await);
    make(18, "shop", None, None).await;
    assert_eq!(kept("shop").await.len(), 3);
    harness.stop(store).await;
}

pub async fn who_leaves_takes_their_keys_along<H: Harness>() {
    let harness = H::new();
    let store = harness.open().await;
    create(&store, "shop", Some(1)).await;
    create(&store, "bank", Some(1)).await;
    set(&store, "shop", None, 2, Role::Admin, Ceiling::Owners).await;
    for key in [
        project_key(1, "shop", 1),
        project_key(3, "shop", 2),
        project_key(4, "bank", 2),
    ] {
        store.create_key(create_key(key, 10)).await.unwrap();
    }
    let left = remove(&store, "shop", None, 2, Ceiling::Owners).await;
    assert_eq!(left, Changed::Done { keys_revoked: 1 });
    let valid: Vec<u8> = store
        .keys()
        .await
        .unwrap()
        .into_iter()
        .filter(|k| k.valid_at(UnixMillis(8)))
        .map(|k| k.id.0[0])
        .collect();
    assert_eq!(valid, [1, 4]);
    harness.stop(store).await;
}

pub async fn keys_of_keys_end_with_them<H: Harness>() {
    let harness = H::new();
    let store = harness.open().await;
    create(&store, "shop", Some(1)).await;
    let make = async |n: u8, parent: Option<u8>| {
        let key = KeyRecord {
            parent: parent.map(|n| KeyId([n; 8])),
            expires_at: None,
            ..project_key(n, "shop", 1)
        };
        let made = store.create_key(create_key(key.clone(), 10)).await;
        (made.unwrap(), key)
    };
    for (n, parent) in [(1, None), (2, Some(1)), (3, Some(2)), (4, None), (5, Some(4))] {
        let (made, key) = make(n, parent).await;
        assert_eq!(made, Created::Done);
        assert_eq!(store.key(key.id).await.unwrap(), Some(key));
    }
    assert_eq!(
        make(6, Some(9)).await.0,
        Created::ParentGone,
        "there never was one"
    );
    let audit = act(8, "key.revoke");
    let revoked = store.revoke_key(project("shop"), KeyId([1; 8]), UnixMillis(8), audit);
    assert!(revoked.await.unwrap());
    let valid: Vec<u8> = store
        .project_keys(project("shop"))
        .await
        .unwrap()
        .into_iter()
        .filter(|k| k.valid_at(UnixMillis(8)))
        .map(|k| k.id.0[0])
        .collect();
    assert_eq!(valid, [4, 5], "of another one");
    let late = KeyRecord {
        parent: Some(KeyId([2; 8])),
        created_at: UnixMillis(9),
        ..project_key(7, "shop", 1)
    };
    let late = store.create_key(create_key(late, 10)).await.unwrap();
    assert_eq!(late, Created::ParentGone, "a key that is revoked makes none");
    // what an account is, as keys that it made are asked for it
    let roles = async |who, name| -> Vec<Role> {
        let roles = store.roles(account(who), project(name)).await.unwrap();
        roles.into_iter().map(|m| m.role).collect()
    };
    assert_eq!(roles(1, "shop").await, [Role::Owner]);
    assert_eq!(roles(1, "bank").await, []);
    assert_eq!(roles(2, "shop").await, []);
    harness.stop(store).await;
}

/// Nothing of a project that ended is anybody's, and nobody gets its name.
pub async fn a_project_that_ended_is_nobodys<H: Harness>() {
    let harness = H::new();
    let store = harness.open().await;
    assert_eq!(create(&store, "demo", Some(1)).await, Created::Done);
    assert_eq!(create(&store, "stays", Some(1)).await, Created::Done);
    let hello = function("demo", "hello");
    deploy(&store, &hello).await;
    let make = |n: u8, of: &str| {
        KeyRecord::new(
            &ApiKey::new([n; 8], [n; 24]),
            Scope::Project(of.parse().unwrap()),
            UnixMillis(1),
        )
    };
    for key in [make(1, "demo"), make(2, "stays")] {
        store.add_key(key).await.unwrap();
    }
    let end = |name: &str| EndProject {
        name: name.parse().unwrap(),
        at: UnixMillis(9),
        audit: act(9, "project.delete").within(&project(name)),
    };
    let acts = async || store.entries(None, 0, 100).await.unwrap().len();
    let before = acts().await;
    assert_eq!(store.end_project(end("demo")).await.unwrap(), Ended::NotEmpty);
    assert_eq!(store.end_project(end("none")).await.unwrap(), Ended::Missing);
    assert_eq!(acts().await, before, "nothing was done");
    store.delete_function(&hello).await.unwrap();
    let done = Ended::Done {
        secrets: 0,
        keys_revoked: 1,
    };
    assert_eq!(store.end_project(end("demo")).await.unwrap(), done);
    assert_eq!(store.end_project(end("demo")).await.unwrap(), Ended::Missing);
    assert_eq!(acts().await, before + 1);

    harness.stop(store).await;
    let store = harness.open().await;
    assert!(!store.project_exists(&project("demo")).await.unwrap());
    assert_eq!(RegistryStore::projects(&store).await.unwrap(), [project("stays")]);
    for of in [None, Some(account(1))] {
        let names: Vec<_> = MemberStore::projects(&store, of, None, 9).await.unwrap();
        assert_eq!(
            names.iter().map(|p| p.name.clone()).collect::<Vec<_>>(),
            [project("stays")]
        );
    }
    assert!(store.members(project("demo")).await.unwrap().is_empty());
    let valid = |key: Option<KeyRecord>| key.unwrap().valid_at(UnixMillis(10));
    assert!(!valid(store.key(make(1, "demo").id).await.unwrap()));
    assert!(valid(store.key(make(2, "stays").id).await.unwrap()));
    assert_eq!(create(&store, "demo", Some(2)).await, Created::Exists);
    assert_eq!(
        set(&store, "demo", None, 2, Role::Owner, Ceiling::Owners).await,
        Changed::Missing
    );
    let again = store
        .publish(crate::stores::support::publish_of(&hello, "two", 10))
        .await;
    assert!(
        matches!(again, Err(RegistryStoreError::ProjectEnded)),
        "{again:?}"
    );
    harness.stop(store).await;
}

pub async fn the_audit_log_has_every_act_in_order<H: Harness>() {
    let harness = H::new();
    let store = harness.open().await;
    begin(&store, 1, 1, 5).await;
    create(&store, "shop", Some(1)).await;
    create(&store, "shop", Some(1)).await;
    set(&store, "shop", None, 2, Role::Owner, Ceiling::BelowOwners).await;
    set(&store, "shop", None, 2, Role::Admin, Ceiling::BelowOwners).await;
    let own = act(9, "gas.withdraw");
    assert_eq!(store.append(own.clone()).await.unwrap(), 4);
    harness.stop(store).await;
    let store = harness.open().await;
    assert_eq!(remove(&store, "shop", None, 2, Ceiling::BelowOwners).await, DONE);
    let all = store.entries(None, 0, 10).await.unwrap();
    let told: Vec<(u64, &str)> = all.iter().map(|(seq, e)| (*seq, e.action.as_str())).collect();
    assert_eq!(
        told,
        [
            (1, "session.begin"),
            (2, "project.create"),
            (3, "member.set"),
            (4, "gas.withdraw"),
            (5, "member.remove")
        ],
        "what was refused is not there"
    );
    assert_eq!(all[3].1, own);
    let shop: Vec<u64> = store
        .entries(Some(project("shop")), 2, 10)
        .await
        .unwrap()
        .iter()
        .map(|e| e.0)
        .collect();
    assert_eq!(shop, [3, 5]);
    assert_eq!(store.entries(None, 1, 2).await.unwrap().len(), 2);
    harness.stop(store).await;
}
