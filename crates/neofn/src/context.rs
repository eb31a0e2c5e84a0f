//! What the commands share: where the node is, and which function a name means.

use crate::cli::Global;
use crate::failure::Failure;
use crate::project::Project;
use neofn_client::{Client, Environment, Found, Options, Page, TlsFiles};
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
    Ok(client_and_url(global)?.0)
}

/// A client of the node to talk to, and where that is.
pub fn client_and_url(global: &Global) -> Result<(Client, String), Failure> {
    let found = find_node(global)?;
    let said = global.api_key_file.is_some() || global.api_key.as_ref().is_some_and(|k| !k.is_empty());
    if !said {
        // a person who signed in acts as that person, also where this machine holds the node's own key
        let open = || client_of(global, found.url.clone(), None);
        if let Some(token) = crate::session::access_token(&found.url, open)? {
            let client = client_of(global, found.url.clone(), Some(token))?;
            return Ok((client, found.url));
        }
    }
    Ok((client_of(global, found.url.clone(), found.key)?, found.url))
}

/// A client of a node that is known.
pub fn client_of(global: &Global, url: String, key: Option<String>) -> Result<Client, Failure> {
    let tls = TlsFiles {
        ca: global.ca.clone(),
        own: global.client_cert.clone().zip(global.client_key.clone()),
    };
    let user_agent = concat!("neofn-cli/", env!("CARGO_PKG_VERSION")).to_owned();
    Ok(Client::new(Options {
        url,
        key,
        timeout: TIMEOUT,
        tls,
        user_agent,
    })?)
}

/// The project that names belong to: said, else the manifest's, else the one that the caller must mean.
pub fn project_name(global: &Global) -> Result<ProjectName, Failure> {
    if let Some(project) = &global.project {
        return Ok(project.clone());
    }
    match Project::find(&here()?)? {
        Some(project) => Ok(project.manifest.project),
        None => meant(global),
    }
}

/// Most projects that are looked through, and shown, to find the one that is meant.
const PROJECTS_MAX: usize = 1_000;
const SHOWN_MAX: usize = 10;

/// A key's own project; the one that the caller made last here; `default` where they have it; their only one.
fn meant(global: &Global) -> Result<ProjectName, Failure> {
    let (client, url) = client_and_url(global)?;
    let who = match client.who_am_i() {
        Ok(who) => who,
        // nobody in particular, who may run what is public
        Err(neofn_client::Error::Problem(p)) if matches!(p.status, 401 | 404) => {
            return Ok(ProjectName::default_project());
        }
        Err(other) => return Err(other.into()),
    };
    let named = |name: &str| {
        name.parse()
            .map_err(|e| Failure::usage(format!("the node names a project {name:?}: {e}"), ""))
    };
    if let Some(own) = &who.project {
        return named(own);
    }
    let mine = projects(&client)?;
    let have = |name: &String| mine.contains(name);
    if let Some(last) = crate::last::of(&url, &who.id).filter(have) {
        return named(&last);
    }
    let default = ProjectName::default_project();
    match mine.as_slice() {
        // the first deployment of who runs the node makes it
        [] => Ok(default),
        [only] => named(only),
        _ if have(&default.to_string()) => Ok(default),
        several => Err(Failure::usage(
            format!("which of your {} projects?", several.len()),
            format!("say it with --project: {}", listed(several)),
        )),
    }
}

fn projects(client: &Client) -> Result<Vec<String>, Failure> {
    let mut names = Vec::new();
    let mut page = Page::default();
    loop {
        let list = client.projects(&page)?;
        names.extend(list.projects.into_iter().map(|p| p.name));
        match list.next {
            Some(cursor) if names.len() < PROJECTS_MAX => page.cursor = Some(cursor),
            _ => return Ok(names),
        }
    }
}

fn listed(names: &[String]) -> String {
    let shown = names.get(..SHOWN_MAX).unwrap_or(names).join(", ");
    match names.len().saturating_sub(SHOWN_MAX) {
        0 => shown,
        more => format!("{shown} and {more} more; `neofn projects ls` lists them"),
    }
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
