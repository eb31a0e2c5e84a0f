//! What identity needs from others: storage in four parts, and a word from the chain.
//!
//! Every method is one step: done whole and on disk when it returns, or not done at all. A command that changes who
//! may do what carries the entry of the audit log that is written in the same step.

use crate::audit::AuditEntry;
use crate::challenge::{ChallengeRecord, Nonce};
use crate::token::{SessionId, SigningKeyRecord};
use crate::{KeyId, KeyRecord, Membership, Role};
use async_trait::async_trait;
use neofn_types::{FunctionName, ProjectName, ScriptHash, UnixMillis};

/// The store failed; nothing of the command is done, or at least nothing was promised.
#[derive(Debug, thiserror::Error)]
#[error("store failed")]
pub struct IdentityStoreError(#[source] pub Box<dyn std::error::Error + Send + Sync>);

/// Storage of API keys.
#[async_trait]
pub trait IdentityStore: Send + Sync + 'static {
    /// Adds a key that the node itself made; durable when it returns.
    async fn add_key(&self, key: KeyRecord) -> Result<(), IdentityStoreError>;
    /// A key.
    async fn key(&self, id: KeyId) -> Result<Option<KeyRecord>, IdentityStoreError>;
    /// All keys, oldest first.
    async fn keys(&self) -> Result<Vec<KeyRecord>, IdentityStoreError>;
    /// What an account is in a project now, and for which of its functions.
    async fn roles(
        &self,
        account: ScriptHash,
        project: ProjectName,
    ) -> Result<Vec<Membership>, IdentityStoreError>;
}

/// What became of a new challenge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Put {
    /// It is kept.
    Stored,
    /// There is one of this nonce.
    Taken,
    /// Too many wait for an answer.
    Full,
}

/// A session as the store keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionRecord {
    /// Its id.
    pub id: SessionId,
    /// Whose.
    pub account: ScriptHash,
    /// How the wallet signed.
    pub format: String,
    /// When it began.
    pub created_at: UnixMillis,
    /// When it ends at the latest.
    pub expires_at: UnixMillis,
}

/// Uses a challenge up and begins a session.
#[derive(Debug, Clone)]
pub struct SignIn {
    /// Of the challenge.
    pub nonce: Nonce,
    /// The session; its account is made when it is new.
    pub session: SessionRecord,
    /// Of its first refresh token.
    pub refresh: [u8; 32],
    /// The time: a challenge that ended by then is gone.
    pub at: UnixMillis,
    /// What to write down.
    pub audit: AuditEntry,
}

/// Exchanges a refresh token.
#[derive(Debug, Clone)]
pub struct Rotate {
    /// The session.
    pub id: SessionId,
    /// The hash of the token that came.
    pub presented: [u8; 32],
    /// Of the one that follows it.
    pub next: [u8; 32],
    /// The time.
    pub at: UnixMillis,
    /// What to write down when the token was used before. An exchange as such is not written down.
    pub reused: AuditEntry,
}

/// What became of an exchange.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rotated {
    /// The next token is good, the presented one no longer.
    Done(SessionRecord),
    /// The presented one had been exchanged before: the session has ended with this step.
    Reused,
    /// No such token, or its session has ended. Nothing changed.
    Gone,
}

/// Storage of challenges, sessions and the keys that sign access tokens.
#[async_trait]
pub trait SessionStore: Send + Sync + 'static {
    /// Keeps a challenge, unless `open_max` wait already; forgets those that have ended.
    async fn put_challenge(
        &self,
        challenge: ChallengeRecord,
        open_max: u32,
    ) -> Result<Put, IdentityStoreError>;
    /// A challenge that was not used.
    async fn challenge(&self, nonce: Nonce) -> Result<Option<ChallengeRecord>, IdentityStoreError>;
    /// Uses a challenge up; whether it was there for this account and had not ended. Nothing changes otherwise.
    async fn sign_in(&self, sign_in: SignIn) -> Result<bool, IdentityStoreError>;
    /// Exchanges a refresh token.
    async fn rotate(&self, rotate: Rotate) -> Result<Rotated, IdentityStoreError>;
    /// Ends a session; whether it had not ended.
    async fn end_session(
        &self,
        id: SessionId,
        at: UnixMillis,
        audit: AuditEntry,
    ) -> Result<bool, IdentityStoreError>;
    /// The session, when it has not ended, and its account's roles: oldest first, a bounded number.
    async fn session(
        &self,
        id: SessionId,
        at: UnixMillis,
    ) -> Result<Option<(SessionRecord, Vec<Membership>)>, IdentityStoreError>;
    /// The keys that sign access tokens, in order.
    async fn signing_keys(&self) -> Result<Vec<SigningKeyRecord>, IdentityStoreError>;
    /// Adds one; whether its number was free.
    async fn add_signing_key(&self, key: SigningKeyRecord) -> Result<bool, IdentityStoreError>;
    /// Forgets those with numbers below this one.
    async fn drop_signing_keys(&self, below: u32) -> Result<(), IdentityStoreError>;
}

/// Makes a project.
#[derive(Debug, Clone)]
pub struct CreateProject {
    /// Its name.
    pub name: ProjectName,
    /// Its first owner; none when an operator's key makes it.
    pub owner: Option<ScriptHash>,
    /// Most projects that one account may make, those that ended too.
    pub made_max: u32,
    /// When.
    pub at: UnixMillis,
    /// What to write down.
    pub audit: AuditEntry,
}

/// What became of something new.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Created {
    /// It is there.
    Done,
    /// It was there before.
    Exists,
    /// What it belongs to is not there.
    Missing,
    /// There are as many as there may be.
    TooMany,
    /// The key that it was made with is not valid any more.
    ParentGone,
}

/// A project as it is listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProjectRecord {
    /// Its name.
    pub name: ProjectName,
    /// When it was made; zero when it was before this was kept.
    pub created_at: UnixMillis,
    /// What the asking account is in it.
    pub role: Option<Role>,
}

/// Someone in a project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberRecord {
    /// Who.
    pub account: ScriptHash,
    /// The one function, when it is not the whole project.
    pub function: Option<FunctionName>,
    /// What they are.
    pub role: Role,
    /// Since when.
    pub added_at: UnixMillis,
    /// Who added them.
    pub added_by: String,
    /// Whether they took it on; not so for owners whom others made, until they act as one.
    pub accepted: bool,
}

/// How far the one who changes members may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ceiling {
    /// Owners, too.
    Owners,
    /// All but owners.
    BelowOwners,
}

/// Gives someone a role, or another one.
#[derive(Debug, Clone)]
pub struct SetMember {
    /// Where.
    pub project: ProjectName,
    /// For one function alone.
    pub function: Option<FunctionName>,
    /// Who.
    pub account: ScriptHash,
    /// What.
    pub role: Role,
    /// Who does this, when it is a person: an owner who acts took it on.
    pub by: Option<ScriptHash>,
    /// How far this may go.
    pub ceiling: Ceiling,
    /// Most members of a project.
    pub members_max: u32,
    /// When.
    pub at: UnixMillis,
    /// By whom, and what to write down.
    pub audit: AuditEntry,
}

/// Takes someone's role.
#[derive(Debug, Clone)]
pub struct RemoveMember {
    /// Where.
    pub project: ProjectName,
    /// For one function alone.
    pub function: Option<FunctionName>,
    /// Who.
    pub account: ScriptHash,
    /// Who does this, when it is a person: an owner who acts took it on.
    pub by: Option<ScriptHash>,
    /// How far this may go.
    pub ceiling: Ceiling,
    /// When.
    pub at: UnixMillis,
    /// What to write down.
    pub audit: AuditEntry,
}

/// Adds a key of a project.
#[derive(Debug, Clone)]
pub struct CreateKey {
    /// The key; it is made when it says so.
    pub key: KeyRecord,
    /// Most valid keys of the project.
    pub valid_max: u32,
    /// Most that have ended, by revocation or by themselves: who ended first is forgotten first.
    pub ended_max: u32,
    /// What to write down.
    pub audit: AuditEntry,
}

/// Ends a project that has no functions.
#[derive(Debug, Clone)]
pub struct EndProject {
    /// Which.
    pub name: ProjectName,
    /// When.
    pub at: UnixMillis,
    /// What to write down.
    pub audit: AuditEntry,
}

/// What became of a project that was to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// Its secrets with their keys are destroyed, its data is gone, its keys are revoked and nobody is in it; of it are left the
    /// name, which nobody gets again, the ledger and the audit log.
    Done {
        /// How many secrets it had.
        secrets: u32,
        /// How many valid keys.
        keys_revoked: u32,
    },
    /// There is none of this name.
    Missing,
    /// It has functions.
    NotEmpty,
}

/// What became of a change of members.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Changed {
    /// Done. When someone left a project, their keys to it were revoked: so many.
    Done {
        /// How many.
        keys_revoked: u32,
    },
    /// No such project, function or member.
    Missing,
    /// The project would be left without an owner.
    LastOwner,
    /// It is an owner's to do.
    AboveCeiling,
    /// There are as many members as there may be.
    TooMany,
}

/// Storage of projects, of who is what in them, and of their keys.
#[async_trait]
pub trait MemberStore: Send + Sync + 'static {
    /// Makes a project. The name of one that ended exists, too.
    async fn create_project(&self, create: CreateProject) -> Result<Created, IdentityStoreError>;
    /// Projects by name, without those that ended: an account's own, or all.
    async fn projects(
        &self,
        of: Option<ScriptHash>,
        after: Option<ProjectName>,
        limit: u32,
    ) -> Result<Vec<ProjectRecord>, IdentityStoreError>;
    /// Ends a project, all of it in one transaction.
    async fn end_project(&self, end: EndProject) -> Result<Ended, IdentityStoreError>;
    /// Who made a project; none when no person did, or there is none.
    async fn maker(&self, project: ProjectName) -> Result<Option<ScriptHash>, IdentityStoreError>;
    /// Gives a role. An owner whom somebody else made is not counted as one before they act as one.
    async fn set_member(&self, set: SetMember) -> Result<Changed, IdentityStoreError>;
    /// Takes a role, and with one in the whole project also the keys that the member made there.
    async fn remove_member(&self, remove: RemoveMember) -> Result<Changed, IdentityStoreError>;
    /// Who is in a project.
    async fn members(&self, project: ProjectName) -> Result<Vec<MemberRecord>, IdentityStoreError>;
    /// Adds a key of a project, unless it has as many valid ones as it may, or the key that it was made with is no valid one;
    /// forgets ended ones beyond their number, which the audit log tells of.
    async fn create_key(&self, create: CreateKey) -> Result<Created, IdentityStoreError>;
    /// A project's keys, oldest first; those that ended too, but for the forgotten.
    async fn project_keys(&self, project: ProjectName) -> Result<Vec<KeyRecord>, IdentityStoreError>;
    /// Revokes a key of this project and all that were made with it; whether there was a valid one.
    async fn revoke_key(
        &self,
        project: ProjectName,
        id: KeyId,
        at: UnixMillis,
        audit: AuditEntry,
    ) -> Result<bool, IdentityStoreError>;
}

/// Storage of the audit log.
#[async_trait]
pub trait AuditStore: Send + Sync + 'static {
    /// Writes an entry down; answers its number, from 1 without gaps.
    async fn append(&self, entry: AuditEntry) -> Result<u64, IdentityStoreError>;
    /// Entries after a number, in order; of one project or of all.
    async fn entries(
        &self,
        project: Option<ProjectName>,
        after: u64,
        limit: u32,
    ) -> Result<Vec<(u64, AuditEntry)>, IdentityStoreError>;
}

/// The chain could not be asked.
#[derive(Debug, thiserror::Error)]
#[error("the chain could not be asked")]
pub struct ContractError(#[source] pub Box<dyn std::error::Error + Send + Sync>);

/// Asks a contract whether some people may act for it: Neo's `invokecontractverify`.
#[async_trait]
pub trait ContractVerifier: Send + Sync + 'static {
    /// Whether the contract's `verify` says yes, with these and no other signers, each counting where it is called
    /// from the entry alone. No, too, when there is no such contract or it fails.
    async fn accepts(&self, contract: ScriptHash, signers: &[ScriptHash]) -> Result<bool, ContractError>;
}
