//! The end of a project: its functions, its money, and then everything at once.

use crate::api::Api;
use crate::error::ApiError;
use crate::gas::failed;
use crate::policy::Action;
use neofn_engine::request::Callers;
use neofn_identity::Principal;
use neofn_identity::port::{EndProject, Ended};
use neofn_types::{Code, Datoshi, Error, FunctionKey, FunctionName, ProjectName};
use neofn_wire::ProjectDeleted;

/// Functions that are deleted at a time.
const PAGE: u32 = 100;
/// Where requests without a project go.
const DEFAULT: &str = "default";

/// What of a project's functions, when it is to be deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Functions {
    /// It stays while it has some.
    Keep,
    /// They go first.
    Delete,
}

impl Api {
    /// An error that names the project, when there is none.
    pub(crate) async fn must_exist(&self, project: &ProjectName) -> Result<(), ApiError> {
        if self.engine().project_exists(project).await? {
            return Ok(());
        }
        Err(Error::new(Code::ProjectNotFound, format!("there is no project {project}")).into())
    }

    /// Deletes a project: what the operator gave it goes back, its secrets and their keys are destroyed, and its name is used up.
    /// Stopped in between, it can be asked again.
    pub async fn delete_project(
        &self,
        who: &Principal,
        project: &ProjectName,
        functions: Functions,
    ) -> Result<ProjectDeleted, ApiError> {
        self.authorise_project(who, Action::DeleteProject, project)?;
        if project.as_str() == DEFAULT {
            let message = "the default project stays: requests that name none mean it";
            return Err(Error::new(Code::RequestInvalid, message).into());
        }
        if !self.engine().project_exists(project).await? {
            return Err(Code::ProjectNotFound.into());
        }
        let names = self.first_functions(project).await?;
        if let (Functions::Keep, Some(name)) = (functions, names.first()) {
            let message = format!("project {project} has functions: {name} and perhaps others");
            return Err(Error::new(Code::ProjectNotEmpty, message).into());
        }
        // looked at before anything is deleted, and again when nothing can be spent any more
        self.check_money(project).await?;
        let functions = self.delete_functions(who, project, names).await?;
        self.check_money(project).await?;
        if let Some(bank) = &self.inner.bank {
            let once = self.fresh_name();
            let name = format!("close/{once}");
            bank.close(project, None, name.as_str(), &once)
                .await
                .map_err(failed)?;
        }
        let end = EndProject {
            name: project.clone(),
            at: self.inner.clock.now(),
            audit: self.act(who, project, "project.delete", project.as_str()),
        };
        let ended = self.inner.members.end_project(end).await;
        // whatever became of it, nobody is to be let in by what was remembered
        self.inner.accounts.forget();
        self.inner.auth.forget();
        let (secrets, keys) = match ended.map_err(|e| Error::from(Code::StoreFailed).because(e))? {
            Ended::Done {
                secrets,
                keys_revoked,
            } => (secrets, keys_revoked),
            Ended::Missing => return Err(Code::ProjectNotFound.into()),
            Ended::NotEmpty => {
                let message = format!("project {project} got a function meanwhile");
                return Err(Error::new(Code::ProjectNotEmpty, message).into());
            }
        };
        // what is in memory of its keys, and a secret that somebody was just setting
        let late = match &self.inner.vault {
            Some(vault) => vault.destroy_project(project).await?,
            None => 0,
        };
        Ok(ProjectDeleted {
            success: true,
            functions,
            secrets: secrets.saturating_add(late),
            keys_revoked: keys,
        })
    }

    async fn first_functions(&self, project: &ProjectName) -> Result<Vec<FunctionName>, Error> {
        let page = self.engine().functions(project, None, PAGE).await?;
        Ok(page.into_iter().map(|(f, _)| f.key.function).collect())
    }

    async fn delete_functions(
        &self,
        who: &Principal,
        project: &ProjectName,
        mut names: Vec<FunctionName>,
    ) -> Result<u32, ApiError> {
        let mut deleted = 0u32;
        while !names.is_empty() {
            for name in names {
                let key = FunctionKey::new(project.clone(), name);
                self.log(self.act(who, project, "function.delete", key.function.as_str()))
                    .await?;
                match self.engine().delete(&key, Callers::Ignore).await {
                    Ok(()) => deleted = deleted.saturating_add(1),
                    // somebody else was faster
                    Err(error) if error.code == Code::FunctionNotFound => {}
                    Err(error) => return Err(error.into()),
                }
            }
            names = self.first_functions(project).await?;
        }
        Ok(deleted)
    }

    /// Money that can be sent to its owner is sent first, by him; what is on its way is waited for.
    async fn check_money(&self, project: &ProjectName) -> Result<(), ApiError> {
        let Some(bank) = &self.inner.bank else {
            return Ok(());
        };
        bank.purses().forget(project).await.map_err(failed)?;
        let estate = bank.estate(project).await.map_err(failed)?;
        let refused = |message: String| Err(Error::new(Code::ProjectNotEmpty, message).into());
        if estate.held > Datoshi::ZERO {
            return refused(format!(
                "{} GAS of project {project} are set aside for what is under way",
                estate.held
            ));
        }
        if bank.can_be_sent(estate.own) {
            return refused(format!(
                "{} GAS on the account of project {project} are its own",
                estate.own
            ));
        }
        Ok(())
    }
}
