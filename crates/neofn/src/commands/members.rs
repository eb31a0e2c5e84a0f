//! `neofn projects`, `members`, `keys`.

use crate::cli::Global;
use crate::cli::accounts::{AddMember, CreateKey, Keys, Members, Projects};
use crate::context;
use crate::failure::{Exit, Failure};
use crate::last;
use crate::render;
use crate::ui::{Tone, Ui};
use neofn_client::Page;
use neofn_wire::{KeyRequest, MemberRequest};

/// Most projects that are listed.
const LISTED_MAX: usize = 10_000;

/// Runs `neofn projects`.
pub fn projects(global: &Global, ui: &Ui, args: &Projects) -> Result<Exit, Failure> {
    let (client, url) = context::client_and_url(global)?;
    match args {
        Projects::Create(args) => {
            let project = client.create_project(&args.name)?;
            // what follows is about it, unless somebody says otherwise
            if let Ok(who) = client.who_am_i() {
                last::made(&url, &who.id, &project.name);
            }
            if ui.json {
                ui.document(&project);
            } else {
                ui.say(Tone::Good, &format!("made project {}", project.name));
            }
        }
        Projects::Delete(args) => {
            let gone = client.delete_project(&args.name, args.force)?;
            if ui.json {
                ui.document(&gone);
            } else {
                let (secrets, keys) = (gone.secrets, gone.keys_revoked);
                let text = format!(
                    "deleted project {}: {secrets} secrets destroyed, {keys} keys revoked",
                    args.name
                );
                ui.say(Tone::Good, &text);
            }
        }
        Projects::Ls => {
            let mut list = client.projects(&Page::default())?;
            while let Some(cursor) = list.next.take().filter(|_| list.projects.len() < LISTED_MAX) {
                let page = client.projects(&Page {
                    cursor: Some(cursor),
                    ..Page::default()
                })?;
                list.projects.extend(page.projects);
                list.next = page.next;
            }
            if ui.json {
                ui.document(&list);
                return Ok(Exit::Done);
            }
            let rows: Vec<Vec<String>> = list
                .projects
                .into_iter()
                .map(|p| {
                    vec![
                        p.name,
                        p.role.unwrap_or_default(),
                        p.created_at.unwrap_or_default(),
                    ]
                })
                .collect();
            ui.out(&render::table(&["PROJECT", "ROLE", "CREATED"], &rows));
        }
    }
    Ok(Exit::Done)
}

/// Runs `neofn members`.
pub fn members(global: &Global, ui: &Ui, args: &Members) -> Result<Exit, Failure> {
    let client = context::client(global)?;
    match args {
        Members::Add(args) => {
            let AddMember {
                project,
                address,
                role,
                function,
            } = args;
            let request = MemberRequest {
                role: role.clone(),
                function: function.as_ref().map(ToString::to_string),
            };
            let changed = client.set_member(project, address, &request)?;
            if ui.json {
                ui.document(&changed);
            } else {
                let on = function.as_ref().map_or_else(String::new, |f| format!("/{f}"));
                ui.say(Tone::Good, &format!("{address} is {role} in {project}{on}"));
            }
        }
        Members::Ls(args) => {
            let project = match &args.of {
                Some(project) => project.clone(),
                None => context::project_name(global)?,
            };
            let list = client.members(&project)?;
            if ui.json {
                ui.document(&list);
                return Ok(Exit::Done);
            }
            let rows: Vec<Vec<String>> = list
                .members
                .into_iter()
                .map(|m| {
                    vec![
                        m.address,
                        m.role,
                        m.function.unwrap_or_default(),
                        m.added_at,
                        m.added_by,
                    ]
                })
                .collect();
            ui.out(&render::table(
                &["ADDRESS", "ROLE", "FUNCTION", "SINCE", "ADDED BY"],
                &rows,
            ));
        }
        Members::Rm(args) => {
            let changed = client.remove_member(&args.project, &args.address, args.function.as_ref())?;
            if ui.json {
                ui.document(&changed);
            } else {
                let keys = match changed.keys_revoked {
                    0 => String::new(),
                    1 => "; the key they made is revoked".to_owned(),
                    n => format!("; the {n} keys they made are revoked"),
                };
                ui.say(
                    Tone::Good,
                    &format!("{} has left {}{keys}", args.address, args.project),
                );
            }
        }
    }
    Ok(Exit::Done)
}

/// Runs `neofn keys`.
pub fn keys(global: &Global, ui: &Ui, args: &Keys) -> Result<Exit, Failure> {
    let project = context::project_name(global)?;
    let client = context::client(global)?;
    match args {
        Keys::Create(CreateKey {
            name,
            scopes,
            expires,
        }) => {
            let request = KeyRequest {
                name: name.clone(),
                scopes: scopes.clone(),
                expires_in: *expires,
            };
            let created = client.create_key(&project, &request)?;
            if ui.json {
                ui.document(&created);
            } else {
                // the key alone on standard output, so that it can go into a file
                ui.out(&created.key);
                ui.note(&format!(
                    "key {} of {project}: it is not shown again",
                    created.view.id
                ));
            }
        }
        Keys::Ls => {
            let list = client.keys(&project)?;
            if ui.json {
                ui.document(&list);
                return Ok(Exit::Done);
            }
            let rows: Vec<Vec<String>> = list
                .keys
                .into_iter()
                .map(|k| {
                    let state = match (k.revoked_at, k.expires_at) {
                        (Some(at), _) => format!("revoked {at}"),
                        (None, Some(at)) => format!("until {at}"),
                        (None, None) => String::new(),
                    };
                    vec![k.id, k.name, k.scopes.join(" "), k.created_at, state]
                })
                .collect();
            ui.out(&render::table(
                &["ID", "NAME", "SCOPES", "CREATED", "STATE"],
                &rows,
            ));
        }
        Keys::Revoke(args) => {
            let done = client.revoke_key(&project, &args.id)?;
            if ui.json {
                ui.document(&done);
            } else {
                ui.say(Tone::Good, &format!("revoked key {}", args.id));
            }
        }
    }
    Ok(Exit::Done)
}
