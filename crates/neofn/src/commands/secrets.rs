//! `neofn secrets`: values come from standard input or a prompt, and are never shown.

use crate::cli::Global;
use crate::cli::secrets::{Destroy, OfProject, RootKey, SecretSettings, SecretVersionArgs, Secrets, Set};
use crate::context;
use crate::failure::{Exit, Failure};
use crate::hidden;
use crate::ui::Ui;
use neofn_types::{ProjectName, SecretName};
use neofn_wire::{RootKeyRequest, SecretPut, SecretText, SecretVersions, SecretView, VaultView};

/// Runs a command.
pub fn run(global: &Global, ui: &Ui, args: &Secrets) -> Result<Exit, Failure> {
    // the vault is the node's: these are about no project
    match args {
        Secrets::Status => Ok(vault(ui, &context::client(global)?.vault()?)),
        Secrets::Seal => Ok(vault(ui, &context::client(global)?.seal_vault()?)),
        Secrets::Unseal(args) => unseal(global, ui, args),
        Secrets::RotateRoot(args) => rotate_root(global, ui, args),
        Secrets::OfProject(command) => of_project(global, ui, command),
    }
}

fn of_project(global: &Global, ui: &Ui, args: &OfProject) -> Result<Exit, Failure> {
    let project = context::project_name(global)?;
    match args {
        OfProject::Set(args) => set(global, ui, &project, args),
        OfProject::Configure(args) => {
            let request = settings(&args.settings);
            let view = context::client(global)?.put_secret(&project, &args.name, &request)?;
            Ok(shown(ui, &view, "is changed"))
        }
        OfProject::Ls => list(global, ui, &project),
        OfProject::Versions(args) => versions(global, ui, &project, &args.name),
        OfProject::Rollback(args) => {
            let view = context::client(global)?.rollback_secret(&project, &args.name, args.version)?;
            Ok(shown(
                ui,
                &view,
                &format!("has the value of version {} again", args.version),
            ))
        }
        OfProject::Rotate(args) => {
            if let Some(value) = hidden::piped(ui)? {
                let request = with_value(SecretPut::default(), value);
                let view = context::client(global)?.put_secret(&project, &args.name, &request)?;
                return Ok(shown(ui, &view, "has the new value"));
            }
            let done = context::client(global)?.rotate_secret(&project, &args.name)?;
            said(ui, &done, &format!("the rotation of {} has begun", args.name))
        }
        OfProject::Delete(args) => {
            let view = context::client(global)?.delete_secret(&project, &args.name)?;
            Ok(shown(
                ui,
                &view,
                "is deleted; `neofn secrets undelete` brings it back",
            ))
        }
        OfProject::Undelete(args) => undelete(global, ui, &project, args),
        OfProject::Destroy(args) => destroy(global, ui, &project, args),
        OfProject::Rewrap => {
            let done = context::client(global)?.rewrap_secrets(&project)?;
            let text = match done.values {
                1 => "1 value is under a new key".to_owned(),
                n => format!("{n} values are under a new key"),
            };
            said(ui, &done, &format!("{project}: {text}"))
        }
    }
}

fn set(global: &Global, ui: &Ui, project: &ProjectName, args: &Set) -> Result<Exit, Failure> {
    let client = context::client(global)?;
    let value = hidden::value(ui, &format!("value of {}: ", args.name))?;
    let mut request = with_value(settings(&args.settings), value);
    request.if_version = args.if_version;
    let view = client.put_secret(project, &args.name, &request)?;
    Ok(shown(ui, &view, "is set"))
}

fn with_value(mut request: SecretPut, value: hidden::Value) -> SecretPut {
    match value {
        hidden::Value::Text(text) => request.value = Some(SecretText(text)),
        hidden::Value::Base64(text) => request.value_base64 = Some(SecretText(text)),
    }
    request
}

fn settings(args: &SecretSettings) -> SecretPut {
    let named = |list: &Vec<String>| (!list.is_empty()).then(|| list.clone());
    SecretPut {
        hosts: named(&args.hosts),
        functions: named(&args.functions),
        ttl: args.ttl.clone(),
        rotate_every: args.rotate_every.clone(),
        rotate_by: args.rotate_by.clone(),
        versions_max: args.keep,
        ..SecretPut::default()
    }
}

fn shown(ui: &Ui, view: &SecretView, what: &str) -> Exit {
    if ui.json {
        ui.document(view);
    } else {
        ui.note(&format!("{} {what} (version {})", view.name, view.version));
        if view.hosts.is_empty() {
            ui.note("it goes to no host: `--host api.example.org` lets requests carry it");
        }
    }
    Exit::Done
}

fn said(ui: &Ui, document: &impl serde::Serialize, text: &str) -> Result<Exit, Failure> {
    if ui.json {
        ui.document(document);
    } else {
        ui.note(text);
    }
    Ok(Exit::Done)
}

fn list(global: &Global, ui: &Ui, project: &ProjectName) -> Result<Exit, Failure> {
    let client = context::client(global)?;
    let mut all = client.secrets(project, None)?;
    while let Some(cursor) = all.next.take() {
        let more = client.secrets(project, Some(&cursor))?;
        all.secrets.extend(more.secrets);
        all.next = more.next;
    }
    if ui.json {
        ui.document(&all);
        return Ok(Exit::Done);
    }
    if all.secrets.is_empty() {
        ui.note(&format!(
            "{project} has no secrets: `neofn secrets set NAME` makes one"
        ));
    }
    for secret in &all.secrets {
        let state = if secret.readable { "" } else { "  (cannot be read)" };
        let hosts = if secret.hosts.is_empty() {
            "-".to_owned()
        } else {
            secret.hosts.join(", ")
        };
        let due = secret
            .rotation
            .as_ref()
            .map(|r| format!("  rotate by {}", r.due_at));
        ui.out(&format!(
            "{}  version {}  {hosts}{}{state}",
            secret.name,
            secret.version,
            due.unwrap_or_default()
        ));
    }
    Ok(Exit::Done)
}

fn versions(global: &Global, ui: &Ui, project: &ProjectName, name: &SecretName) -> Result<Exit, Failure> {
    let list = context::client(global)?.secret_versions(project, name)?;
    if ui.json {
        ui.document(&list);
        return Ok(Exit::Done);
    }
    for v in &list.versions {
        ui.out(&format!(
            "{}  {}  {}  {}  {}",
            v.version, v.state, v.created_at, v.fingerprint, v.by
        ));
    }
    Ok(Exit::Done)
}

fn undelete(
    global: &Global,
    ui: &Ui,
    project: &ProjectName,
    args: &SecretVersionArgs,
) -> Result<Exit, Failure> {
    let versions = SecretVersions {
        versions: args.versions.clone(),
        all: false,
    };
    let view = context::client(global)?.undelete_secret(project, &args.name, &versions)?;
    Ok(shown(ui, &view, "is back"))
}

fn destroy(global: &Global, ui: &Ui, project: &ProjectName, args: &Destroy) -> Result<Exit, Failure> {
    let versions = SecretVersions {
        versions: args.versions.clone(),
        all: args.all,
    };
    let done = context::client(global)?.destroy_secret(project, &args.name, &versions)?;
    said(ui, &done, &format!("{}: destroyed", args.name))
}

fn unseal(global: &Global, ui: &Ui, args: &RootKey) -> Result<Exit, Failure> {
    let client = context::client(global)?;
    Ok(vault(ui, &client.unseal_vault(&root_key(ui, args, "")?)?))
}

fn rotate_root(global: &Global, ui: &Ui, args: &RootKey) -> Result<Exit, Failure> {
    let client = context::client(global)?;
    let exit = vault(ui, &client.rotate_vault(&root_key(ui, args, "new ")?)?);
    // it was read from there at the start, and is read again at the next one
    if !args.configured {
        ui.note("put the new key where the node reads it at its start (secrets.key in its data, or --secrets-key-file)");
    }
    ui.note("keep the old one for as long as you keep backups that were made under it");
    Ok(exit)
}

fn root_key(ui: &Ui, args: &RootKey, which: &str) -> Result<RootKeyRequest, Failure> {
    if args.configured {
        return Ok(RootKeyRequest {
            configured: true,
            ..RootKeyRequest::default()
        });
    }
    let prompt = if args.passphrase {
        format!("{which}passphrase: ")
    } else {
        format!("{which}root key (64 hexadecimal digits): ")
    };
    let text = match hidden::value(ui, &prompt)? {
        // a passphrase in a file ends with a line end that is not meant
        hidden::Value::Text(text) => SecretText(text.trim_end_matches(['\r', '\n']).to_owned().into()),
        hidden::Value::Base64(_) => return Err(hidden::not_text()),
    };
    let (passphrase, key) = if args.passphrase {
        (Some(text), None)
    } else {
        (None, Some(text))
    };
    Ok(RootKeyRequest {
        passphrase,
        key,
        configured: false,
    })
}

fn vault(ui: &Ui, view: &VaultView) -> Exit {
    if ui.json {
        ui.document(view);
    } else {
        let root = view.root.as_deref().unwrap_or("no root yet");
        let state = if view.sealed { "sealed" } else { "unsealed" };
        ui.out(&format!("{state}  ({root}, generation {})", view.generation));
    }
    Exit::Done
}
