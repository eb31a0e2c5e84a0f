//! `neofn deploy`: the plan, the stages, then the version and its URL on standard output.

use crate::cli::{Deploy, Global};
use crate::context;
use crate::failure::{Exit, Failure};
use crate::plan::{Plan, Record, Sent};
use crate::project::Project;
use crate::render;
use crate::ui::{Tone, Ui};
use crate::upload;
use neofn_client::Client;
use neofn_types::{Code, FunctionKey, FunctionName, ProjectName};
use neofn_wire::{DeployRequest, DeployResponse, FunctionView, Problem};
use serde::Serialize;

/// In the order in which a node does them.
const STAGES: &[&str] = &["validate", "compile", "snapshot", "test", "publish"];

/// What one function became, as JSON.
#[derive(Serialize)]
struct Deployed {
    plan: Plan,
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<String>,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    answer: Option<DeployResponse>,
}

/// What became of one function.
#[derive(Serialize)]
#[serde(untagged)]
enum Outcome {
    Done(Box<Deployed>),
    Refused {
        function: FunctionName,
        problem: Box<Problem>,
    },
}

/// The document of a deployment.
#[derive(Serialize)]
struct Document {
    success: bool,
    dry_run: bool,
    functions: Vec<Outcome>,
}

/// Deploys functions of the project.
pub fn run(global: &Global, ui: &Ui, args: &Deploy) -> Result<Exit, Failure> {
    let project = Project::require(&context::here()?)?;
    let name = global
        .project
        .clone()
        .unwrap_or_else(|| project.manifest.project.clone());
    let chosen = choose(&project, &args.functions)?;
    let client = context::client(global)?;
    let mut record = Record::load(&project);
    let only_one = chosen.len() == 1;
    let (mut done, mut exit) = (Vec::new(), Exit::Done);
    for function in chosen {
        let key = FunctionKey::new(name.clone(), function.clone());
        match one(ui, args, &project, &client, &mut record, &key) {
            Ok(deployed) => done.push(Outcome::Done(Box::new(deployed))),
            Err(failure) if only_one => return Err(failure),
            // the others are not to blame: all are tried, and each refusal is shown where it came
            Err(failure) => {
                ui.note(&format!("{key} was not deployed"));
                if !ui.json {
                    render::problem(ui, &failure.problem);
                }
                exit = exit.max(failure.exit);
                done.push(Outcome::Refused {
                    function,
                    problem: failure.problem,
                });
            }
        }
    }
    if ui.json {
        ui.document(&Document {
            success: exit == Exit::Done,
            dry_run: args.dry_run,
            functions: done,
        });
    }
    Ok(exit)
}

/// Plans and deploys one function.
fn one(
    ui: &Ui,
    args: &Deploy,
    project: &Project,
    client: &Client,
    record: &mut Record,
    key: &FunctionKey,
) -> Result<Deployed, Failure> {
    let request = request(project, &key.function)?;
    let live = live(client, key)?;
    let sent = live
        .as_ref()
        .and_then(|live| record.get(client.url(), key, live.version));
    let plan = Plan::new(key, &request, live.as_ref(), sent);
    for line in plan.lines() {
        ui.note(&line);
    }
    if args.dry_run {
        return Ok(Deployed {
            plan,
            url: None,
            answer: None,
        });
    }
    let answer = send(ui, client, &key.project, &request)?;
    record.put(client.url(), key, Sent::of(&request, answer.function.version));
    show(ui, client, key, &answer);
    Ok(Deployed {
        plan,
        url: Some(format!("{}{}", client.url(), answer.function.url)),
        answer: Some(answer),
    })
}

/// The functions that were named, or all.
fn choose(project: &Project, named: &[String]) -> Result<Vec<FunctionName>, Failure> {
    let all = &project.manifest.functions;
    if named.is_empty() {
        return Ok(all.keys().cloned().collect());
    }
    named
        .iter()
        .map(|text| {
            all.keys()
                .find(|name| name.as_str() == text)
                .cloned()
                .ok_or_else(|| {
                    let hint = match neofn_manifest::closest(text, all.keys().map(FunctionName::as_str)) {
                        Some(near) => format!("did you mean {near}?"),
                        None => format!(
                            "it has: {}",
                            all.keys()
                                .map(FunctionName::as_str)
                                .collect::<Vec<_>>()
                                .join(", ")
                        ),
                    };
                    Failure::usage(format!("neofn.toml has no function {text:?}"), hint)
                })
        })
        .collect()
}

/// The request that deploys `function` as it is on disk now.
pub fn request(project: &Project, function: &FunctionName) -> Result<DeployRequest, Failure> {
    let config =
        project.manifest.functions.get(function).ok_or_else(|| {
            Failure::usage(format!("neofn.toml has no function {:?}", function.as_str()), "")
        })?;
    let source = upload::collect(&project.root, config)?;
    let request = config.deploy_request(function, source);
    let bytes = serde_json::to_vec(&request).map_or(0, |body| body.len());
    if bytes > upload::UPLOAD_BYTES_MAX {
        return Err(Failure::new(
            Code::SourceTooLarge,
            format!(
                "the upload has {}, more than {}",
                render::bytes(bytes),
                render::bytes(upload::UPLOAD_BYTES_MAX)
            ),
            "",
        ));
    }
    Ok(request)
}

/// What is live now; a first deployment finds nothing.
pub fn live(client: &Client, key: &FunctionKey) -> Result<Option<FunctionView>, Failure> {
    match client.function(key) {
        Ok(function) => Ok(Some(function)),
        Err(error) if matches!(error.code(), Code::FunctionNotFound | Code::ProjectNotFound) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn send(
    ui: &Ui,
    client: &Client,
    project: &ProjectName,
    request: &DeployRequest,
) -> Result<DeployResponse, Failure> {
    let progress = ui.progress(&format!("{}: {}", request.function_name, STAGES.join(", ")));
    let answer = client.deploy(project, request);
    drop(progress);
    Ok(answer?)
}

fn show(ui: &Ui, client: &Client, key: &FunctionKey, answer: &DeployResponse) {
    for warning in &answer.warnings {
        render::finding(ui, warning);
    }
    let known = STAGES
        .iter()
        .filter_map(|stage| Some((*stage, *answer.timings.get(*stage)?)));
    let others = answer
        .timings
        .iter()
        .filter(|(name, _)| !STAGES.contains(&name.as_str()));
    let stages: Vec<String> = known
        .chain(others.map(|(name, ms)| (name.as_str(), *ms)))
        .map(|(stage, ms)| format!("{stage} {}", render::millis(ms)))
        .collect();
    if !stages.is_empty() {
        ui.say(Tone::Dim, &format!("  {}", stages.join(", ")));
    }
    if ui.json {
        return;
    }
    let function = &answer.function;
    let state = if answer.unchanged { " (unchanged)" } else { "" };
    ui.out(&format!(
        "{key} version {}{state} {}{}",
        function.version,
        client.url(),
        function.url
    ));
}
