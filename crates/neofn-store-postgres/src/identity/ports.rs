//! The ports of identity.

use super::{audit, keys, members, sessions};
use crate::conn::{Tries, read, transact};
use crate::open::PostgresStore;
use async_trait::async_trait;
use neofn_identity::audit::AuditEntry;
use neofn_identity::challenge::{ChallengeRecord, Nonce};
use neofn_identity::port::{
    AuditStore, Changed, CreateKey, CreateProject, Created, EndProject, Ended, IdentityStore,
    IdentityStoreError, MemberRecord, MemberStore, ProjectRecord, Put, RemoveMember, Rotate, Rotated,
    SessionRecord, SessionStore, SetMember, SignIn,
};
use neofn_identity::token::SigningKeyRecord;
use neofn_identity::{KeyId, KeyRecord, Membership, SessionId};
use neofn_types::{ProjectName, ScriptHash, UnixMillis};

type Answer<T> = Result<T, IdentityStoreError>;

#[async_trait]
impl IdentityStore for PostgresStore {
    async fn add_key(&self, key: KeyRecord) -> Answer<()> {
        Ok(transact!(self.pool, Tries::new(), |conn, again| keys::add(
            conn, &key, again
        ))?)
    }
    async fn key(&self, id: KeyId) -> Answer<Option<KeyRecord>> {
        Ok(read!(self.pool, |conn| keys::key(conn, id))?)
    }
    async fn keys(&self) -> Answer<Vec<KeyRecord>> {
        Ok(read!(self.pool, |conn| keys::keys(conn))?)
    }
    async fn roles(&self, account: ScriptHash, project: ProjectName) -> Answer<Vec<Membership>> {
        Ok(read!(self.pool, |conn| sessions::roles(
            conn,
            account,
            Some(&project)
        ))?)
    }
}

#[async_trait]
impl SessionStore for PostgresStore {
    async fn put_challenge(&self, challenge: ChallengeRecord, open_max: u32) -> Answer<Put> {
        Ok(transact!(self.pool, |conn| sessions::put_challenge(
            conn, &challenge, open_max
        ))?)
    }
    async fn challenge(&self, nonce: Nonce) -> Answer<Option<ChallengeRecord>> {
        Ok(read!(self.pool, |conn| sessions::challenge(conn, nonce))?)
    }
    async fn sign_in(&self, sign_in: SignIn) -> Answer<bool> {
        Ok(transact!(self.pool, Tries::new(), |conn, again| {
            sessions::sign_in(conn, &sign_in, again)
        })?)
    }
    async fn rotate(&self, rotate: Rotate) -> Answer<Rotated> {
        Ok(transact!(self.pool, Tries::new(), |conn, again| {
            sessions::rotate(conn, &rotate, again)
        })?)
    }
    async fn end_session(&self, id: SessionId, at: UnixMillis, audit: AuditEntry) -> Answer<bool> {
        Ok(transact!(self.pool, |conn| sessions::end_session(
            conn, id, at, &audit
        ))?)
    }
    async fn session(
        &self,
        id: SessionId,
        at: UnixMillis,
    ) -> Answer<Option<(SessionRecord, Vec<Membership>)>> {
        Ok(read!(self.pool, |conn| sessions::session(conn, id, at))?)
    }
    async fn signing_keys(&self) -> Answer<Vec<SigningKeyRecord>> {
        Ok(read!(self.pool, |conn| sessions::signing_keys(conn))?)
    }
    async fn add_signing_key(&self, key: SigningKeyRecord) -> Answer<bool> {
        Ok(transact!(self.pool, Tries::new(), |conn, again| {
            sessions::add_signing_key(conn, &key, again)
        })?)
    }
    async fn drop_signing_keys(&self, below: u32) -> Answer<()> {
        Ok(transact!(self.pool, |conn| sessions::drop_signing_keys(
            conn, below
        ))?)
    }
}

#[async_trait]
impl MemberStore for PostgresStore {
    async fn create_project(&self, create: CreateProject) -> Answer<Created> {
        Ok(transact!(self.pool, |conn| members::create_project(
            conn, &create
        ))?)
    }
    async fn end_project(&self, end: EndProject) -> Result<Ended, IdentityStoreError> {
        Ok(transact!(self.pool, |conn| members::end_project(conn, &end))?)
    }
    async fn projects(
        &self,
        of: Option<ScriptHash>,
        after: Option<ProjectName>,
        limit: u32,
    ) -> Answer<Vec<ProjectRecord>> {
        Ok(read!(self.pool, |conn| members::projects(
            conn,
            of,
            after.as_ref(),
            limit
        ))?)
    }
    async fn maker(&self, project: ProjectName) -> Answer<Option<ScriptHash>> {
        Ok(read!(self.pool, |conn| members::maker(conn, &project))?)
    }
    async fn set_member(&self, set: SetMember) -> Answer<Changed> {
        Ok(transact!(self.pool, |conn| members::set(conn, &set))?)
    }
    async fn remove_member(&self, remove: RemoveMember) -> Answer<Changed> {
        Ok(transact!(self.pool, |conn| members::remove(conn, &remove))?)
    }
    async fn members(&self, project: ProjectName) -> Answer<Vec<MemberRecord>> {
        Ok(read!(self.pool, |conn| members::members(conn, &project))?)
    }
    async fn create_key(&self, create: CreateKey) -> Answer<Created> {
        Ok(transact!(self.pool, |conn| keys::create(conn, &create))?)
    }
    async fn project_keys(&self, project: ProjectName) -> Answer<Vec<KeyRecord>> {
        Ok(read!(self.pool, |conn| keys::of_project(conn, &project))?)
    }
    async fn revoke_key(
        &self,
        project: ProjectName,
        id: KeyId,
        at: UnixMillis,
        audit: AuditEntry,
    ) -> Answer<bool> {
        Ok(transact!(self.pool, |conn| keys::revoke(
            conn, &project, id, at, &audit
        ))?)
    }
}

#[async_trait]
impl AuditStore for PostgresStore {
    async fn append(&self, entry: AuditEntry) -> Answer<u64> {
        Ok(transact!(self.pool, |conn| audit::append(conn, &entry))?)
    }
    async fn entries(
        &self,
        project: Option<ProjectName>,
        after: u64,
        limit: u32,
    ) -> Answer<Vec<(u64, AuditEntry)>> {
        Ok(read!(self.pool, |conn| audit::entries(
            conn,
            project.as_ref(),
            after,
            limit
        ))?)
    }
}
