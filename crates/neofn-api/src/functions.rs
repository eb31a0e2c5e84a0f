//! Use cases about functions: deploying, changing, listing, versions.

use crate::api::Api;
use crate::error::ApiError;
use crate::policy::Action;
use crate::{decode, view, widening};
use neofn_engine::FunctionState;
use neofn_engine::request::Callers;
use neofn_identity::Principal;
use neofn_identity::policy::Resource;
use neofn_registry::VersionRecord;
use neofn_registry::port::Upon;
use neofn_types::{Code, Error, FunctionKey, FunctionName, Grants, ProjectName, Version};
use neofn_wire::{
    Deleted, Dependencies, DeployRequest, DeployResponse, FunctionAnswer, FunctionList, PatchRequest,
    RollbackRequest, VersionList,
};

/// Rows of a page that asks for no number.
pub(crate) const PAGE_DEFAULT: u32 = 100;
/// Most rows of a page.
pub(crate) const PAGE_MAX: u32 = 1_000;

/// A page of a listing, as asked for.
#[derive(Debug, Clone, Default)]
pub(crate) struct Page {
    pub(crate) limit: u32,
}

impl Page {
    pub(crate) fn of(limit: Option<u32>) -> Result<Self, Error> {
        let limit = limit.unwrap_or(PAGE_DEFAULT);
        if (1..=PAGE_MAX).contains(&limit) {
            return Ok(Self { limit });
        }
        Err(Error::new(
            Code::BadParameter,
            format!("`limit` is {limit}, but must be between 1 and {PAGE_MAX}"),
        ))
    }
}

/// Where a page of functions begins.
pub(crate) fn after_name(cursor: Option<&str>) -> Result<Option<FunctionName>, Error> {
    cursor
        .map(|text| text.parse().map_err(|_| bad_cursor()))
        .transpose()
}

impl Api {
    /// Deploys; the bool says whether the function is new.
    pub async fn deploy(
        &self,
        who: &Principal,
        project: &ProjectName,
        request: DeployRequest,
    ) -> Result<(DeployResponse, bool), ApiError> {
        self.authorise_project(who, Action::Deploy, project)?;
        let mut deploy = decode::deploy(project.clone(), request, &self.inner.limits_max)?;
        // an operator's first deployment makes a project; a project's own key may outlive it
        if !who.is_operator() && !self.engine().project_exists(project).await? {
            return Err(Error::new(
                Code::Forbidden,
                format!("project {project} does not exist, and only an operator's key makes projects"),
            )
            .into());
        }
        // who may give all of it leans on nothing that is live
        if self
            .may_grant(who, project, &Grants::default(), &deploy.grants)
            .is_err()
        {
            let live = match self.engine().function(&deploy.key).await {
                Ok((_, live)) => live.spec.grants.clone(),
                Err(e) if e.code == Code::FunctionNotFound => Grants::default(),
                Err(e) => return Err(e.into()),
            };
            self.may_grant(who, project, &live, &deploy.grants)?;
            deploy.upon = Upon::Grants(live);
        }
        let entry = self.act(who, project, "function.deploy", deploy.key.function.as_str());
        self.log(entry).await?;
        let done = self.engine().deploy(deploy).await?;
        if done.created {
            self.first_credit(project).await;
        }
        Ok((view::deployed(&done), done.created))
    }

    /// May they change a function in any way? For an edge that wants to know before it reads a large body.
    pub fn authorise_changing(&self, who: &Principal, key: &FunctionKey) -> Result<(), Error> {
        let refused = self.authorise_function(who, Action::Patch, key);
        refused.or_else(|refused| {
            let switch = self.authorise_function(who, Action::Switch, key);
            switch.map_err(|_| refused)
        })
    }

    /// Switches on or off, or deploys again with some members changed.
    pub async fn patch(
        &self,
        who: &Principal,
        key: &FunctionKey,
        request: PatchRequest,
    ) -> Result<DeployResponse, ApiError> {
        if request.is_active.is_some() && !decode::changes_version(&request) {
            self.authorise_changing(who, key)?;
        } else {
            self.authorise_function(who, Action::Patch, key)?;
        }
        let (_, live) = self.engine().function(key).await?;
        let active = request.is_active;
        let mut said: Vec<&str> = Vec::new();
        said.extend(active.map(|active| if active { "on" } else { "off" }));
        said.extend(decode::changes_version(&request).then_some("deployed anew"));
        let entry = self.act(who, &key.project, "function.change", key.function.as_str());
        self.log(entry.detail(said.join(", "))).await?;
        let mut answer = None;
        if decode::changes_version(&request) {
            let stored = self.engine().files(key, None).await?;
            let deploy = decode::patch(key.clone(), &live, stored, request, &self.inner.limits_max)?;
            self.may_grant(who, &key.project, &live.spec.grants, &deploy.grants)?;
            answer = Some(view::deployed(&self.engine().deploy(deploy).await?));
        }
        let (function, live) = match active {
            Some(active) => self.engine().set_active(key, active).await?,
            None => self.engine().function(key).await?,
        };
        let function = view::function(&function, &live);
        Ok(match answer {
            Some(answer) => DeployResponse { function, ..answer },
            None => DeployResponse {
                success: true,
                function,
                unchanged: true,
                warnings: Vec::new(),
                timings: std::collections::BTreeMap::new(),
            },
        })
    }

    /// Whoever lets a function reach more has the right to that themself.
    fn may_grant(
        &self,
        who: &Principal,
        project: &ProjectName,
        live: &Grants,
        asked: &Grants,
    ) -> Result<(), Error> {
        let may = |needs: Action| {
            let on = Resource::Project(project);
            self.inner.policies.allows(who, needs.name(), on)
        };
        let wider = widening::wider(live, asked);
        let Some(beyond) = wider.iter().find(|wider| !may(wider.needs)) else {
            return Ok(());
        };
        let right = match beyond.needs {
            Action::WriteSecret => {
                "the right to the project's secrets (developers; keys with the scope `secrets`)"
            }
            Action::ManageGas => "the right to the project's money (admins; keys with the scope `money`)",
            _ => "the right to deploy in the whole project, not for one function alone",
        };
        let text = format!("`allow` newly gives {}, which needs {right}", beyond.what);
        Err(Error::new(Code::Forbidden, text).hint(
            "Have somebody with that right do it once; after that whoever may deploy can change the code.",
        ))
    }

    /// What was taken from a function since does not come back with an older version, but by those who could give it. Says
    /// whether that leans on what is live.
    fn may_go_back(
        &self,
        who: &Principal,
        key: &FunctionKey,
        live: &VersionRecord,
        old: &VersionRecord,
    ) -> Result<Upon, Error> {
        let may_from = |public: bool, grants: &Grants| {
            if old.spec.public && !public {
                self.authorise_function(who, Action::Patch, key)?;
            }
            self.may_grant(who, &key.project, grants, &old.spec.grants)
        };
        if may_from(false, &Grants::default()).is_ok() {
            return Ok(Upon::Anything);
        }
        may_from(live.spec.public, &live.spec.grants)?;
        Ok(Upon::Version(live.digest))
    }

    /// Removes a function and all that belongs to it.
    pub async fn delete(
        &self,
        who: &Principal,
        key: &FunctionKey,
        callers: Callers,
    ) -> Result<Deleted, ApiError> {
        self.authorise_function(who, Action::Delete, key)?;
        let entry = self.act(who, &key.project, "function.delete", key.function.as_str());
        self.log(entry).await?;
        self.engine().delete(key, callers).await?;
        Ok(Deleted { success: true })
    }

    /// One function.
    pub async fn function(&self, who: &Principal, key: &FunctionKey) -> Result<FunctionAnswer, ApiError> {
        self.authorise_function(who, Action::ReadFunction, key)?;
        let (function, live) = self.engine().function(key).await?;
        Ok(FunctionAnswer {
            success: true,
            function: view::function(&function, &live),
        })
    }

    /// What a function calls, and what calls it.
    pub async fn dependencies(&self, who: &Principal, key: &FunctionKey) -> Result<Dependencies, ApiError> {
        self.authorise_function(who, Action::ReadFunction, key)?;
        let (_, live) = self.engine().function(key).await?;
        let callers = self.engine().callers(key).await?;
        Ok(Dependencies {
            calls: live.spec.calls.iter().map(ToString::to_string).collect(),
            called_by: callers.iter().map(ToString::to_string).collect(),
        })
    }

    /// The functions of a project by name; the cursor is the last name of the page before.
    pub async fn functions(
        &self,
        who: &Principal,
        project: &ProjectName,
        limit: Option<u32>,
        cursor: Option<&str>,
    ) -> Result<FunctionList, ApiError> {
        self.authorise_project(who, Action::ListFunctions, project)?;
        let (rows, next) = self.functions_of(project, limit, cursor).await?;
        Ok(FunctionList {
            success: true,
            count: rows.len(),
            next,
            functions: rows.iter().map(|(f, live)| view::function(f, live)).collect(),
        })
    }

    /// A page of a project's functions, and the cursor of the next one.
    pub(crate) async fn functions_of(
        &self,
        project: &ProjectName,
        limit: Option<u32>,
        cursor: Option<&str>,
    ) -> Result<(Vec<FunctionState>, Option<String>), ApiError> {
        let (page, after) = (Page::of(limit)?, after_name(cursor)?);
        let rows = self
            .engine()
            .functions(project, after.as_ref(), page.limit)
            .await?;
        if rows.is_empty() {
            self.must_exist(project).await?;
        }
        let full = u32::try_from(rows.len()).is_ok_and(|n| n == page.limit);
        let last = rows.last().filter(|_| full);
        let next = last.map(|(f, _)| f.key.function.to_string());
        Ok((rows, next))
    }

    /// The versions of a function, newest first; the cursor is the last number of the page before.
    pub async fn versions(
        &self,
        who: &Principal,
        key: &FunctionKey,
        limit: Option<u32>,
        cursor: Option<&str>,
    ) -> Result<VersionList, ApiError> {
        self.authorise_function(who, Action::ListVersions, key)?;
        let page = Page::of(limit)?;
        let before = cursor
            .map(|text| text.parse().map(Version).map_err(|_| bad_cursor()))
            .transpose()?;
        let (function, _) = self.engine().function(key).await?;
        let rows = self.engine().versions(key, before, page.limit).await?;
        let full = u32::try_from(rows.len()).is_ok_and(|n| n == page.limit);
        Ok(VersionList {
            next: rows.last().filter(|_| full).map(|v| v.version.to_string()),
            versions: rows.iter().map(|v| view::version(v, &function)).collect(),
        })
    }

    /// Makes another version live.
    pub async fn rollback(
        &self,
        who: &Principal,
        key: &FunctionKey,
        request: RollbackRequest,
    ) -> Result<FunctionAnswer, ApiError> {
        self.authorise_function(who, Action::Rollback, key)?;
        // the version that is looked at is the one that becomes live, whatever is deployed meanwhile
        let wanted = request.version.map(Version);
        let (live, old) = self.engine().way_back(key, wanted).await?;
        let upon = self.may_go_back(who, key, &live, &old)?;
        let to = old.version;
        let entry = self.act(who, &key.project, "function.rollback", key.function.as_str());
        self.log(entry.detail(format!("to version {to}"))).await?;
        let (function, live) = self.engine().rollback(key, to, upon).await?;
        Ok(FunctionAnswer {
            success: true,
            function: view::function(&function, &live),
        })
    }
}

pub(crate) fn bad_cursor() -> Error {
    Error::new(
        Code::BadParameter,
        "`cursor` is not one that an answer gave as `next`",
    )
}
