//! What the commands share: where the node is, and which function a name means.

use crate::cli::Global;
use crate::failure::Failure;
use crate::project::Project;
use neofn_client::{Client, Environment, Found, Options};
use neofn_types::{FunctionKey, ProjectName};
use std::path::PathBuf;
use std::time::Duration;

/// Longer than any run may take by default, shorter than forever.
const TIMEOUT: Duration = Duration::from_secs(330);

/// The user's state directory of neofn, where a running node leaves a note.
#[must_use]
pub fn state_dir() -> Option<PathBuf> {
    let absolute = |name: &str| {
        std::env::var_os(name)
            .map(PathBuf::from)
            .filter(|p| p.is_absolute())
    };
    absolute("XDG_STATE_HOME")
        .or_else(|| Some(absolute("HOME")?.join(".local/state")))
        .map(|dir| dir.join("neofn"))
}

/// The working directory.
pub fn here() -> Result<PathBuf, Failure> {
    std::env::current_dir().map_err(|reason| {
        Failure::usage(
            format!("no working directory: {reason}"),
            "change to one that exists",
        )
    })
}

/// Looks for a node.
pub fn find_node(global: &Global) -> Result<Found, Failure> {
    let key = match &global.api_key_file {
        None => global.api_key.clone().filter(|k| !k.is_empty()),
        Some(path) => {
            let text = std::fs::read_to_string(path).map_err(|e| Failure::file(path, "read", &e))?;
            Some(text.trim().to_owned())
        }
    };
    let url = global.url.clone().filter(|u| !u.is_empty());
    Ok(neofn_client::find(&Environment {
        url,
        key,
        directory: here()?,
        state: state_dir(),
    })?)
}

/// A client of the node to talk to.
pub fn client(global: &Global) -> Result<Client, Failure> {
    let found = find_node(global)?;
    let said = global.api_key_file.is_some() || global.api_key.as_ref().is_some_and(|k| !k.is_empty());
    if !said {
        // a person who signed in acts as that person, also where this machine holds the node's own key
        let open = || client_of(found.url.clone(), None);
        if let Some(token) = crate::session::access_token(&found.url, open)? {
            return client_of(found.url, Some(token));
        }
    }
    client_of(found.url, found.key)
}

/// A client of a node that is known.
pub fn client_of(url: String, key: Option<String>) -> Result<Client, Failure> {
    let user_agent = concat!("neofn-cli/", env!("CARGO_PKG_VERSION")).to_owned();
    Ok(Client::new(Options {
        url,
        key,
        timeout: TIMEOUT,
        user_agent,
    })?)
}

/// The project that names belong to: said, else the manifest's, else the default.
pub fn project_name(global: &Global) -> Result<ProjectName, Failure> {
    if let Some(project) = &global.project {
        return Ok(project.clone());
    }
    let project = Project::find(&here()?)?;
    Ok(project.map_or_else(ProjectName::default_project, |p| p.manifest.project))
}

/// The trigger that `name` means: `function/trigger` or `project/function/trigger`.
pub fn trigger_name(global: &Global, name: &str) -> Result<(FunctionKey, String), Failure> {
    match name.rsplit_once('/') {
        Some((function, trigger)) if !trigger.is_empty() => {
            Ok((function_key(global, function)?, trigger.to_owned()))
        }
        _ => Err(Failure::usage(
            format!("{name:?} names no trigger"),
            "write FUNCTION/TRIGGER; `neofn triggers` lists them",
        )),
    }
}

/// The function that `name` means: `function` or `project/function`.
pub fn function_key(global: &Global, name: &str) -> Result<FunctionKey, Failure> {
    let wrong = |reason: neofn_types::NameError| {
        Failure::usage(format!("{name:?}: {reason}"), "write NAME or PROJECT/NAME")
    };
    match name.split_once('/') {
        Some((project, function)) => Ok(FunctionKey::new(
            project.parse().map_err(wrong)?,
            function.parse().map_err(wrong)?,
        )),
        None => {
            let function = name.parse().map_err(wrong)?;
            Ok(FunctionKey::new(project_name(global)?, function))
        }
    }
}
