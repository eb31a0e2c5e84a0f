//! Use cases about projects, who is what in them, and their keys.
//!
//! Nobody gives away more than they have: what a role or a key would be allowed is asked of the policies, power by
//! power, and the giver must be allowed the same.

use crate::accounts::address;
use crate::api::Api;
use crate::error::ApiError;
use crate::functions::{Page, bad_cursor};
use crate::policy::{Action, Target};
use neofn_identity::audit::AuditEntry;
use neofn_identity::policy::Resource;
use neofn_identity::port::{
    Ceiling, Changed, CreateKey, CreateProject, Created, IdentityStoreError, MemberRecord, RemoveMember,
    SetMember,
};
use neofn_identity::{
    KeyId, KeyRecord, Membership, Power, Powers, Principal, Role, Scope, SessionId, SignedIn,
};
use neofn_types::{Code, Error, FunctionName, ProjectName, ScriptHash, UnixMillis};
use neofn_wire::{
    KeyCreated, KeyList, KeyRequest, KeyView, MemberChanged, MemberList, MemberRequest, MemberView,
    ProjectList, ProjectRequest, ProjectView,
};
use std::sync::Arc;
use std::time::Duration;

/// Most projects that one account may make, for ever; members of a project, valid keys of a project.
const MADE_MAX: u32 = 100;
const MEMBERS_MAX: u32 = 1_000;
const KEYS_MAX: u32 = 100;
/// Keys of a project that are listed after their end; the audit log tells of them all.
const KEYS_ENDED_MAX: u32 = 100;
/// Longest name of a key.
const KEY_NAME_CHARS_MAX: usize = 64;
/// Longest life of a key that ends: ten years.
const KEY_LIFE_S_MAX: u64 = 10 * 366 * 86_400;

fn failed(e: IdentityStoreError) -> Error {
    Error::from(Code::StoreFailed).because(e)
}

impl Api {
    /// The caller's projects by name; of an operator's key: all.
    pub async fn projects(
        &self,
        who: &Principal,
        limit: Option<u32>,
        cursor: Option<&str>,
    ) -> Result<ProjectList, ApiError> {
        self.authorise(who, Action::ListProjects, Target::Node { loopback: false })?;
        let limit = Page::of(limit)?.limit;
        let after: Option<ProjectName> = cursor.map(str::parse).transpose().map_err(|_| bad_cursor())?;
        let mut rows = match who {
            // a project's key sees its own
            Principal::Key {
                scope: Scope::Project(own),
                ..
            } => {
                let projects = vec![ProjectView {
                    name: own.to_string(),
                    created_at: None,
                    role: None,
                }];
                return Ok(ProjectList { projects, next: None });
            }
            who => {
                self.inner
                    .members
                    .projects(who.account(), after.clone(), limit)
                    .await
            }
        }
        .map_err(failed)?;
        if who.is_operator() && who.account().is_some() {
            rows = self
                .inner
                .members
                .projects(None, after, limit)
                .await
                .map_err(failed)?;
        }
        let full = u32::try_from(rows.len()).is_ok_and(|n| n == limit);
        Ok(ProjectList {
            next: rows.last().filter(|_| full).map(|p| p.name.to_string()),
            projects: rows
                .into_iter()
                .map(|p| ProjectView {
                    name: p.name.to_string(),
                    created_at: (p.created_at.0 > 0).then(|| p.created_at.to_iso8601()),
                    role: p.role.map(|r| r.to_string()),
                })
                .collect(),
        })
    }

    /// May they make projects? For an edge that wants to know before it reads a body.
    pub fn authorise_making_projects(&self, who: &Principal) -> Result<(), Error> {
        self.authorise(who, Action::CreateProject, Target::Node { loopback: false })
    }

    /// Makes a project; the person who makes it owns it.
    pub async fn create_project(
        &self,
        who: &Principal,
        request: &ProjectRequest,
    ) -> Result<ProjectView, ApiError> {
        self.authorise_making_projects(who)?;
        let name = crate::project_name(&request.name)?;
        let now = self.inner.clock.now();
        let create = CreateProject {
            name: name.clone(),
            owner: who.account(),
            made_max: MADE_MAX,
            at: now,
            audit: self.act(who, &name, "project.create", name.as_str()),
        };
        match self.inner.members.create_project(create).await.map_err(failed)? {
            Created::Done => {}
            Created::Exists | Created::Missing | Created::ParentGone => {
                return Err(Code::ProjectExists.into());
            }
            Created::TooMany => return Err(too_many(MADE_MAX, "projects that one account makes").into()),
        }
        self.inner.accounts.forget();
        self.first_credit(&name).await;
        Ok(ProjectView {
            name: name.to_string(),
            created_at: Some(now.to_iso8601()),
            role: who.account().map(|_| Role::Owner.to_string()),
        })
    }

    /// Who is in a project.
    pub async fn members(&self, who: &Principal, project: &ProjectName) -> Result<MemberList, ApiError> {
        self.authorise_project(who, Action::ListMembers, project)?;
        let members = self
            .inner
            .members
            .members(project.clone())
            .await
            .map_err(failed)?;
        Ok(MemberList {
            members: members.into_iter().map(member_view).collect(),
        })
    }

    /// Gives someone a role, or another one.
    pub async fn set_member(
        &self,
        who: &Principal,
        project: &ProjectName,
        account: &str,
        request: &MemberRequest,
    ) -> Result<MemberChanged, ApiError> {
        self.authorise_project(who, Action::ManageMembers, project)?;
        let account = address(account)?;
        let role: Role = request
            .role
            .parse()
            .map_err(|e: neofn_identity::RoleParseError| Error::new(Code::RequestInvalid, e.to_string()))?;
        let function = function(request.function.as_deref())?;
        self.may_give(who, project, self.powers_of(account, project, role))?;
        let on = function.as_ref().map_or(String::new(), |f| format!(" for {f}"));
        let set = SetMember {
            project: project.clone(),
            function,
            account,
            role,
            by: who.account(),
            ceiling: self.ceiling(who, project),
            members_max: MEMBERS_MAX,
            at: self.inner.clock.now(),
            audit: self
                .act(who, project, "member.set", &account.to_address())
                .detail(format!("{role}{on}")),
        };
        self.changed(self.inner.members.set_member(set).await)
    }

    /// Takes someone's role.
    pub async fn remove_member(
        &self,
        who: &Principal,
        project: &ProjectName,
        account: &str,
        of_function: Option<&str>,
    ) -> Result<MemberChanged, ApiError> {
        self.authorise_project(who, Action::ManageMembers, project)?;
        let account = address(account)?;
        let remove = RemoveMember {
            project: project.clone(),
            function: function(of_function)?,
            account,
            by: who.account(),
            ceiling: self.ceiling(who, project),
            at: self.inner.clock.now(),
            audit: self.act(who, project, "member.remove", &account.to_address()),
        };
        self.changed(self.inner.members.remove_member(remove).await)
    }

    fn changed(&self, changed: Result<Changed, IdentityStoreError>) -> Result<MemberChanged, ApiError> {
        match changed.map_err(failed)? {
            Changed::Done { keys_revoked } => {
                self.inner.accounts.forget();
                self.inner.auth.forget();
                Ok(MemberChanged {
                    success: true,
                    keys_revoked,
                })
            }
            Changed::Missing => Err(Code::MemberNotFound.into()),
            Changed::LastOwner => Err(Code::LastOwner.into()),
            Changed::AboveCeiling => {
                Err(Error::new(Code::Forbidden, "only an owner makes, changes or removes owners").into())
            }
            Changed::TooMany => Err(too_many(MEMBERS_MAX, "members of a project").into()),
        }
    }

    /// A project's keys.
    pub async fn keys(&self, who: &Principal, project: &ProjectName) -> Result<KeyList, ApiError> {
        self.authorise_project(who, Action::ManageKeys, project)?;
        let keys = self
            .inner
            .members
            .project_keys(project.clone())
            .await
            .map_err(failed)?;
        Ok(KeyList {
            keys: keys.iter().map(key_view).collect(),
        })
    }

    /// Makes a key of a project. Its text is answered here and never again.
    pub async fn create_key(
        &self,
        who: &Principal,
        project: &ProjectName,
        request: &KeyRequest,
    ) -> Result<KeyCreated, ApiError> {
        self.authorise_project(who, Action::ManageKeys, project)?;
        let powers: Powers = request
            .scopes
            .iter()
            .map(|word| word.parse::<Power>())
            .collect::<Result<_, _>>()
            .map_err(|e| Error::new(Code::RequestInvalid, e.to_string()))?;
        let named = (1..=KEY_NAME_CHARS_MAX).contains(&request.name.chars().count())
            && !request.name.chars().any(char::is_control);
        if powers.is_empty() || powers.has(Power::Own) || !named {
            return Err(Error::new(
                Code::RequestInvalid,
                format!(
                    "a key has a name of 1 to {KEY_NAME_CHARS_MAX} characters and at least one scope, and never `own`"
                ),
            )
            .into());
        }
        let now = self.inner.clock.now();
        let key = self.inner.accounts.new_key();
        let parent = match who {
            Principal::Key { id, .. } => {
                let parent = self.inner.auth.record(*id).await?;
                Some(parent.ok_or(Code::Unauthenticated)?)
            }
            _ => None,
        };
        let asked = request.expires_in.map(|s| end(now, s)).transpose()?;
        let ends = [asked, parent.as_ref().and_then(|parent| parent.expires_at)];
        let record = KeyRecord {
            powers,
            name: request.name.clone(),
            // whoever made the key that makes keys made those, too
            created_by: who
                .account()
                .or_else(|| parent.as_ref().and_then(|parent| parent.created_by)),
            expires_at: ends.into_iter().flatten().min(),
            parent: parent.map(|parent| parent.id),
            ..KeyRecord::new(&key, Scope::Project(project.clone()), now)
        };
        self.may_give(who, project, powers)?;
        let audit = self
            .act(who, project, "key.create", &record.id.to_string())
            .detail(format!("scopes: {powers}"));
        let create = CreateKey {
            key: record.clone(),
            valid_max: KEYS_MAX,
            ended_max: KEYS_ENDED_MAX,
            audit,
        };
        match self.inner.members.create_key(create).await.map_err(failed)? {
            Created::Done => {}
            Created::Missing => return Err(Code::ProjectNotFound.into()),
            Created::TooMany => return Err(too_many(KEYS_MAX, "valid keys of a project").into()),
            Created::ParentGone => return Err(Code::Unauthenticated.into()),
            Created::Exists => return Err(Error::internal("a key of this id exists").into()),
        }
        self.inner.auth.forget();
        Ok(KeyCreated {
            key: key.reveal().to_string(),
            view: key_view(&record),
        })
    }

    /// Revokes a key of a project.
    pub async fn revoke_key(&self, who: &Principal, project: &ProjectName, id: &str) -> Result<(), ApiError> {
        self.authorise_project(who, Action::ManageKeys, project)?;
        let id: KeyId = id.parse().map_err(|_| Error::from(Code::KeyNotFound))?;
        let audit = self.act(who, project, "key.revoke", &id.to_string());
        let now = self.inner.clock.now();
        let revoked = self
            .inner
            .members
            .revoke_key(project.clone(), id, now, audit)
            .await;
        self.inner.auth.forget();
        if !revoked.map_err(failed)? {
            return Err(Code::KeyNotFound.into());
        }
        Ok(())
    }

    /// An act in a project, as the audit log has it.
    pub(crate) fn act(
        &self,
        who: &Principal,
        project: &ProjectName,
        action: &str,
        target: &str,
    ) -> AuditEntry {
        AuditEntry::new(self.inner.clock.now(), who.actor(), action, target).within(project)
    }

    fn ceiling(&self, who: &Principal, project: &ProjectName) -> Ceiling {
        let own = Power::Own.as_str();
        if self.inner.policies.allows(who, own, Resource::Project(project)) {
            Ceiling::Owners
        } else {
            Ceiling::BelowOwners
        }
    }

    /// What an account would be allowed with a role.
    fn powers_of(&self, account: ScriptHash, project: &ProjectName, role: Role) -> Powers {
        let would_be = Principal::Account(Arc::new(SignedIn {
            account,
            session: SessionId([0; 16]),
            operator: false,
            memberships: vec![Membership {
                project: project.clone(),
                function: None,
                role,
            }],
        }));
        self.allowed(&would_be, project)
    }
    /// See [`crate::policy::powers`].
    fn allowed(&self, who: &Principal, project: &ProjectName) -> Powers {
        crate::policy::powers(&self.inner.policies, who, project)
    }

    fn may_give(&self, who: &Principal, project: &ProjectName, powers: Powers) -> Result<(), Error> {
        let own = self.allowed(who, project);
        match powers.iter().find(|p| !own.has(*p)) {
            None => Ok(()),
            Some(missing) => Err(Error::new(
                Code::Forbidden,
                format!("nobody gives away more than they have, and `{missing}` is not yours here"),
            )),
        }
    }
}

fn function(name: Option<&str>) -> Result<Option<FunctionName>, Error> {
    name.map(str::parse)
        .transpose()
        .map_err(|e: neofn_types::NameError| Error::new(Code::InvalidName, e.to_string()))
}

fn end(now: UnixMillis, seconds: u64) -> Result<UnixMillis, Error> {
    if (1..=KEY_LIFE_S_MAX).contains(&seconds) {
        return Ok(now.plus(Duration::from_secs(seconds)));
    }
    Err(Error::new(
        Code::RequestInvalid,
        format!("`expires_in` must be between 1 and {KEY_LIFE_S_MAX} seconds"),
    ))
}

fn too_many(most: u32, of: &str) -> Error {
    Error::new(Code::AccountLimit, format!("there are {most} {of} at most"))
}

fn member_view(member: MemberRecord) -> MemberView {
    MemberView {
        address: member.account.to_address(),
        role: member.role.to_string(),
        function: member.function.map(|f| f.to_string()),
        added_at: member.added_at.to_iso8601(),
        added_by: member.added_by,
        invited: !member.accepted,
    }
}

fn key_view(key: &KeyRecord) -> KeyView {
    KeyView {
        id: key.id.to_string(),
        name: key.name.clone(),
        scopes: key.powers.iter().map(|p| p.to_string()).collect(),
        created_at: key.created_at.to_iso8601(),
        created_by: key.created_by.map(|a| a.to_address()),
        parent: key.parent.map(|id| id.to_string()),
        expires_at: key.expires_at.map(UnixMillis::to_iso8601),
        revoked_at: key.revoked_at.map(UnixMillis::to_iso8601),
    }
}
