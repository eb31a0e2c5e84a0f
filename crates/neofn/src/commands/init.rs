//! `neofn init`: a directory that can be deployed at once.

use crate::cli::{Global, Init};
use crate::context;
use crate::failure::{Exit, Failure};
use crate::templates;
use crate::ui::{Tone, Ui};
use neofn_types::FunctionName;
use serde::Serialize;
use std::fs;
use std::path::Path;

/// The project of a new directory; `--project` chooses another.
const PROJECT: &str = "demo";

/// What was made, as JSON.
#[derive(Serialize)]
struct Made<'a> {
    directory: String,
    template: &'a str,
    files: Vec<String>,
}

/// Makes a project.
pub fn run(global: &Global, ui: &Ui, args: &Init) -> Result<Exit, Failure> {
    let name: FunctionName = args
        .name
        .parse()
        .map_err(|reason| Failure::usage(format!("{:?}: {reason}", args.name), "choose another name"))?;
    let project = global.project.as_ref().map_or(PROJECT, |p| p.as_str());
    let mut files = templates::fill(&args.template, name.as_str(), project).ok_or_else(|| {
        Failure::usage(
            format!("no template {:?}", args.template),
            "see `neofn init --help`",
        )
    })?;
    files.push((
        ".neofn/manifest.schema.json".to_owned(),
        neofn_manifest::json_schema(),
    ));
    if files.iter().any(|(path, _)| path == "tsconfig.json") {
        files.push((
            ".neofn/types/neofn/index.d.ts".to_owned(),
            templates::TYPES.to_owned(),
        ));
    }
    let directory = context::here()?.join(name.as_str());
    refuse_non_empty(&directory)?;
    for (path, text) in &files {
        let path = directory.join(path);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).map_err(|e| Failure::file(parent, "create", &e))?;
        }
        fs::write(&path, text).map_err(|e| Failure::file(&path, "write", &e))?;
    }
    if ui.json {
        let files = files.into_iter().map(|(path, _)| path).collect();
        ui.document(&Made {
            directory: directory.display().to_string(),
            template: &args.template,
            files,
        });
        return Ok(Exit::Done);
    }
    ui.say(
        Tone::Good,
        &format!("made {name}/ from the template {}", args.template),
    );
    for (path, _) in &files {
        ui.say(Tone::Dim, &format!("  {name}/{path}"));
    }
    ui.note(&format!("next: cd {name} && neofn dev"));
    Ok(Exit::Done)
}

/// An empty directory is fine; anything else belongs to somebody.
fn refuse_non_empty(directory: &Path) -> Result<(), Failure> {
    let refuse = |why: &str| {
        Err(Failure::usage(
            format!("{} {why}", directory.display()),
            "choose another name, or move it away",
        ))
    };
    match fs::read_dir(directory) {
        Ok(mut entries) => entries.next().map_or(Ok(()), |_| refuse("is not empty")),
        Err(reason) if reason.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(reason) if reason.kind() == std::io::ErrorKind::NotADirectory => refuse("is a file"),
        Err(reason) => Err(Failure::file(directory, "open", &reason)),
    }
}
