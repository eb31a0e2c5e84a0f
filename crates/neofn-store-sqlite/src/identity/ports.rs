//! The ports of identity. Keys and sessions are read without waiting for the writer: whoever changed them was
//! answered after the commit.

use super::{audit, keys, members, sessions};
use crate::open::Store;
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

#[async_trait]
impl IdentityStore for Store {
    async fn add_key(&self, key: KeyRecord) -> Result<(), IdentityStoreError> {
        Ok(self.queue.call(0, move |work| keys::add(work.conn, &key)).await?)
    }
    async fn key(&self, id: KeyId) -> Result<Option<KeyRecord>, IdentityStoreError> {
        Ok(self.readers.read(move |conn| keys::key(conn, id)).await?)
    }
    async fn keys(&self) -> Result<Vec<KeyRecord>, IdentityStoreError> {
        Ok(self.readers.read(keys::keys).await?)
    }
    async fn roles(
        &self,
        account: ScriptHash,
        project: ProjectName,
    ) -> Result<Vec<Membership>, IdentityStoreError> {
        Ok(self
            .readers
            .read(move |conn| sessions::roles(conn, account, Some(&project)))
            .await?)
    }
}

#[async_trait]
impl SessionStore for Store {
    async fn put_challenge(
        &self,
        challenge: ChallengeRecord,
        open_max: u32,
    ) -> Result<Put, IdentityStoreError> {
        let work = self.queue.call(0, move |work| {
            sessions::put_challenge(work.conn, &challenge, open_max)
        });
        Ok(work.await?)
    }
    async fn challenge(&self, nonce: Nonce) -> Result<Option<ChallengeRecord>, IdentityStoreError> {
        Ok(self
            .readers
            .read(move |conn| sessions::challenge(conn, nonce))
            .await?)
    }
    async fn sign_in(&self, sign_in: SignIn) -> Result<bool, IdentityStoreError> {
        Ok(self
            .queue
            .call(0, move |work| sessions::sign_in(work.conn, &sign_in))
            .await?)
    }
    async fn rotate(&self, rotate: Rotate) -> Result<Rotated, IdentityStoreError> {
        Ok(self
            .queue
            .call(0, move |work| sessions::rotate(work.conn, &rotate))
            .await?)
    }
    async fn end_session(
        &self,
        id: SessionId,
        at: UnixMillis,
        audit: AuditEntry,
    ) -> Result<bool, IdentityStoreError> {
        Ok(self
            .queue
            .call(0, move |work| sessions::end_session(work.conn, id, at, &audit))
            .await?)
    }
    async fn session(
        &self,
        id: SessionId,
        at: UnixMillis,
    ) -> Result<Option<(SessionRecord, Vec<Membership>)>, IdentityStoreError> {
        Ok(self
            .readers
            .read(move |conn| sessions::session(conn, id, at))
            .await?)
    }
    async fn signing_keys(&self) -> Result<Vec<SigningKeyRecord>, IdentityStoreError> {
        Ok(self.readers.read(sessions::signing_keys).await?)
    }
    async fn add_signing_key(&self, key: SigningKeyRecord) -> Result<bool, IdentityStoreError> {
        Ok(self
            .queue
            .call(0, move |work| sessions::add_signing_key(work.conn, &key))
            .await?)
    }
    async fn drop_signing_keys(&self, below: u32) -> Result<(), IdentityStoreError> {
        Ok(self
            .queue
            .call(0, move |work| sessions::drop_signing_keys(work.conn, below))
            .await?)
    }
}

#[async_trait]
impl MemberStore for Store {
    async fn create_project(&self, create: CreateProject) -> Result<Created, IdentityStoreError> {
        Ok(self
            .queue
            .call(0, move |work| members::create_project(work.conn, &create))
            .await?)
    }
    async fn end_project(&self, end: EndProject) -> Result<Ended, IdentityStoreError> {
        Ok(self
            .queue
            .call(0, move |work| members::end_project(work.conn, &end))
            .await?)
    }
    async fn projects(
        &self,
        of: Option<ScriptHash>,
        after: Option<ProjectName>,
        limit: u32,
    ) -> Result<Vec<ProjectRecord>, IdentityStoreError> {
        Ok(self
            .read_after(move |conn| members::projects(conn, of, after.as_ref(), limit))
            .await?)
    }
    async fn maker(&self, project: ProjectName) -> Result<Option<ScriptHash>, IdentityStoreError> {
        Ok(self
            .readers
            .read(move |conn| members::maker(conn, &project))
            .await?)
    }
    async fn set_member(&self, set: SetMember) -> Result<Changed, IdentityStoreError> {
        Ok(self
            .queue
            .call(0, move |work| members::set(work.conn, &set))
            .await?)
    }
    async fn remove_member(&self, remove: RemoveMember) -> Result<Changed, IdentityStoreError> {
        Ok(self
            .queue
            .call(0, move |work| members::remove(work.conn, &remove))
            .await?)
    }
    async fn members(&self, project: ProjectName) -> Result<Vec<MemberRecord>, IdentityStoreError> {
        Ok(self
            .read_after(move |conn| members::members(conn, &project))
            .await?)
    }
    async fn create_key(&self, create: CreateKey) -> Result<Created, IdentityStoreError> {
        Ok(self
            .queue
            .call(0, move |work| keys::create(work.conn, &create))
            .await?)
    }
    async fn project_keys(&self, project: ProjectName) -> Result<Vec<KeyRecord>, IdentityStoreError> {
        Ok(self
            .read_after(move |conn| keys::of_project(conn, &project))
            .await?)
    }
    async fn revoke_key(
        &self,
        project: ProjectName,
        id: KeyId,
        at: UnixMillis,
        audit: AuditEntry,
    ) -> Result<bool, IdentityStoreError> {
        Ok(self
            .queue
            .call(0, move |work| keys::revoke(work.conn, &project, id, at, &audit))
            .await?)
    }
}

#[async_trait]
impl AuditStore for Store {
    async fn append(&self, entry: AuditEntry) -> Result<u64, IdentityStoreError> {
        Ok(self
            .queue
            .call(0, move |work| audit::append(work.conn, &entry))
            .await?)
    }
    async fn entries(
        &self,
        project: Option<ProjectName>,
        after: u64,
        limit: u32,
    ) -> Result<Vec<(u64, AuditEntry)>, IdentityStoreError> {
        Ok(self
            .read_after(move |conn| audit::entries(conn, project.as_ref(), after, limit))
            .await?)
    }
}
