//! From a deployment request to what the engine deploys. Every refusal names the member.
//!
//! Knows no HTTP; the sizes of bodies are bounded before they come here.

use crate::error::ApiError;
use crate::json;
use base64::Engine as _;
use bytes::Bytes;
use neofn_engine::request::{Bundle, Deploy, DeployError};
use neofn_event::Triggers;
use neofn_registry::port::Upon;
use neofn_registry::{SmokeTest, VersionRecord};
use neofn_types::{
    ChainGrant, Code, Error, FunctionKey, FunctionName, Grants, JsonText, Limits, ProjectName, RuntimeKind,
    Units, parse_duration_ms, parse_memory,
};
use neofn_wire::{DeployRequest, LimitsRequest, PatchRequest, SmokeTestRequest};
use serde_json::Value;
use std::collections::BTreeMap;

/// Most files of an upload.
const FILES_MAX: usize = 10_000;
/// Longest path of a file, in bytes.
const PATH_BYTES_MAX: usize = 512;
/// The main file of a single `source`.
const MAIN_DEFAULT: &str = "index.ts";
/// What a module is called when nothing names it.
const MODULE_DEFAULT: &str = "module.wasm";
/// Services of the design that this build does not give.
const GRANTS_ELSEWHERE: [&str; 3] = ["oracle", "tee", "emit"];

/// A function's name, from a path or a body.
pub fn function_name(text: &str) -> Result<FunctionName, Error> {
    text.parse()
        .map_err(|e| Error::new(Code::InvalidName, format!("{e}")))
}

/// A project's name, from a path.
pub fn project_name(text: &str) -> Result<ProjectName, Error> {
    text.parse()
        .map_err(|e| Error::new(Code::InvalidName, format!("{e}")))
}

/// A function's key, from a path.
pub fn function_key(project: &str, function: &str) -> Result<FunctionKey, Error> {
    Ok(FunctionKey::new(project_name(project)?, function_name(function)?))
}

/// A first or a full deployment.
pub fn deploy(project: ProjectName, request: DeployRequest, most: &Limits) -> Result<Deploy, ApiError> {
    let key = FunctionKey::new(project, function_name(&request.function_name)?);
    let code = code(request.source, request.files, request.module, request.main)?.ok_or_else(|| {
        invalid("one of `source`, `files` and `module` is needed: the function has no code")
    })?;
    let runtime = runtime(request.runtime.as_deref(), &code.bundle)?;
    Ok(Deploy {
        key,
        bundle: code.bundle,
        main: code.main,
        runtime,
        on: triggers(request.on.as_ref())?,
        public: request.public.unwrap_or(false),
        limits: limits(Limits::default(), request.limits.as_ref(), runtime, most)?,
        grants: grants(Grants::default(), request.allow.as_ref())?,
        test: request.test.map(smoke_test).transpose()?,
        upon: Upon::Anything,
    })
}

/// A change to a deployed function: what is absent stays as it is in `live`, whose code is `stored`.
pub fn patch(
    key: FunctionKey,
    live: &VersionRecord,
    stored: Bundle,
    request: PatchRequest,
    most: &Limits,
) -> Result<Deploy, ApiError> {
    let spec = &live.spec;
    let main = request.main.clone();
    let code = match code(request.source, request.files, request.module, request.main)? {
        Some(code) => code,
        None => {
            let main = main.unwrap_or_else(|| spec.main.clone());
            if let Bundle::Files(files) = &stored {
                main_exists(files, &main)?;
            }
            UploadedCode { bundle: stored, main }
        }
    };
    let runtime = runtime(request.runtime.as_deref(), &code.bundle)?;
    let on = match &request.on {
        None => spec.on.clone(),
        Some(on) => triggers(Some(on))?,
    };
    Ok(Deploy {
        on,
        key,
        bundle: code.bundle,
        main: code.main,
        runtime,
        public: request.public.unwrap_or(spec.public),
        limits: limits(spec.limits, request.limits.as_ref(), runtime, most)?,
        grants: grants(spec.grants.clone(), request.allow.as_ref())?,
        test: request
            .test
            .map(smoke_test)
            .transpose()?
            .or_else(|| spec.test.clone()),
        upon: Upon::Version(live.digest),
    })
}

/// Whether a change touches the version at all.
#[must_use]
pub fn changes_version(request: &PatchRequest) -> bool {
    let untouched = PatchRequest {
        is_active: request.is_active,
        ..PatchRequest::default()
    };
    *request != untouched
}

struct UploadedCode {
    bundle: Bundle,
    main: String,
}

fn code(
    source: Option<String>,
    files: Option<BTreeMap<String, String>>,
    module: Option<String>,
    main: Option<String>,
) -> Result<Option<UploadedCode>, Error> {
    match (source, files, module) {
        (None, None, None) => Ok(None),
        (Some(text), None, None) => {
            let main = main.unwrap_or_else(|| MAIN_DEFAULT.to_owned());
            path(&main)?;
            let files = BTreeMap::from([(main.clone(), text)]);
            Ok(Some(UploadedCode {
                bundle: Bundle::Files(files),
                main,
            }))
        }
        (None, Some(files), None) => {
            let main = main_of(&files, main)?;
            Ok(Some(UploadedCode {
                bundle: Bundle::Files(files),
                main,
            }))
        }
        (None, None, Some(text)) => {
            let bytes = base64::engine::general_purpose::STANDARD
                .decode(text.trim_end())
                .map_err(|e| invalid(format!("`module` is not base64: {e}")))?;
            Ok(Some(UploadedCode {
                bundle: Bundle::Module(Bytes::from(bytes)),
                main: main.unwrap_or_else(|| MODULE_DEFAULT.to_owned()),
            }))
        }
        _ => Err(invalid(
            "only one of `source`, `files` and `module` can be the code",
        )),
    }
}

fn main_of(files: &BTreeMap<String, String>, main: Option<String>) -> Result<String, Error> {
    if files.len() > FILES_MAX {
        return Err(invalid(format!(
            "`files` holds {} files, at most {FILES_MAX}",
            files.len()
        )));
    }
    for name in files.keys() {
        path(name)?;
    }
    let main = match (main, files.len()) {
        (Some(main), _) => main,
        (None, 1) => files.keys().next().cloned().unwrap_or_default(),
        (None, _) => MAIN_DEFAULT.to_owned(),
    };
    main_exists(files, &main)?;
    Ok(main)
}

fn main_exists(files: &BTreeMap<String, String>, main: &str) -> Result<(), Error> {
    if files.contains_key(main) {
        return Ok(());
    }
    Err(
        invalid(format!("`main` is {main:?}, which is not among the files"))
            .hint("Name the file with the handler in `main`, as it is written in `files`."),
    )
}

fn path(name: &str) -> Result<(), Error> {
    let tidy = !name.is_empty()
        && name.len() <= PATH_BYTES_MAX
        && !name.contains('\\')
        && !name.chars().any(char::is_control)
        && name.split('/').all(|part| !matches!(part, "" | "." | ".."));
    if tidy {
        return Ok(());
    }
    let shown: String = name.chars().take(80).collect();
    Err(invalid(format!(
        "{shown:?} is not a path within the project: relative, `/` between its parts, no `.` or `..`, at most {PATH_BYTES_MAX} bytes"
    )))
}

fn runtime(name: Option<&str>, bundle: &Bundle) -> Result<RuntimeKind, Error> {
    let fits = match bundle {
        Bundle::Files(_) => RuntimeKind::Js,
        Bundle::Module(_) => RuntimeKind::Wasm,
    };
    let Some(name) = name else { return Ok(fits) };
    let asked: RuntimeKind = name
        .parse()
        .map_err(|e| Error::new(Code::RuntimeUnknown, format!("runtime: {e}")))?;
    if asked == fits {
        return Ok(asked);
    }
    Err(invalid(match asked {
        RuntimeKind::Js => "`runtime` is \"js\", but the code is a `module`: give `source` or `files`",
        RuntimeKind::Wasm => {
            "`runtime` is \"wasm\", but there is no `module`: give the compiled module in base64"
        }
    }))
}

fn limits(
    base: Limits,
    asked: Option<&LimitsRequest>,
    runtime: RuntimeKind,
    most: &Limits,
) -> Result<Limits, Error> {
    let mut limits = base;
    if let Some(asked) = asked {
        if let Some(units) = asked.units {
            limits.units = Units(units);
        }
        if let Some(time) = &asked.time {
            limits.time_ms = parse_duration_ms(time).map_err(|e| invalid(format!("limits.time: {e}")))?;
        }
        if let Some(memory) = &asked.memory {
            limits.memory_bytes = parse_memory(memory).map_err(|e| invalid(format!("limits.memory: {e}")))?;
        }
        if let Some(concurrency) = asked.concurrency {
            limits.concurrency = concurrency;
        }
    } else {
        // an operator may allow less than the defaults
        limits.units = limits.units.min(most.units);
        limits.time_ms = limits.time_ms.min(most.time_ms);
        limits.memory_bytes = limits.memory_bytes.min(most.memory_bytes);
        limits.concurrency = limits.concurrency.min(most.concurrency);
    }
    let engine_max = runtime.memory_bytes_max();
    if engine_max < most.memory_bytes && limits.memory_bytes > engine_max {
        let mib = engine_max >> 20;
        let asked = limits.memory_bytes;
        return Err(invalid(format!(
            "limits.memory: {asked} bytes are more than the {mib} MiB that runtime \"{runtime}\" has at the most"
        ))
        .hint(format!("Ask for \"{mib}MiB\" or less.")));
    }
    limits.check(most).map_err(|e| {
        invalid(format!("limits: {e}")).hint("Ask for less, or have the operator raise the node's limits.")
    })?;
    Ok(limits)
}

fn grants(base: Grants, asked: Option<&JsonText>) -> Result<Grants, Error> {
    let Some(asked) = asked else { return Ok(base) };
    let members = match json::tree("allow", asked, json::SETTING_BYTES_MAX)? {
        Value::Null => return Ok(Grants::default()),
        Value::Object(members) => members,
        _ => return Err(invalid("`allow` is an object such as {\"kv\": true}")),
    };
    let mut grants = Grants::default();
    for (name, value) in &members {
        match (name.as_str(), value) {
            ("kv", Value::Bool(kv)) => grants.kv = *kv,
            ("kv", _) => return Err(invalid("`allow.kv` is true or false")),
            ("chain", Value::Null) => {}
            ("chain", value) => grants.chain = chain(value)?,
            ("net" | "secrets", Value::Null) => {}
            ("net", value) => grants.net = named(name, value)?.net,
            ("secrets", value) => grants.secrets = named(name, value)?.secrets,
            (other, _) if GRANTS_ELSEWHERE.contains(&other) => {
                return Err(invalid(format!(
                    "`allow.{other}`: this build does not have the service; it grants `kv`, `chain`, `net` and `secrets`"
                ))
                .hint("Remove the grant, or deploy to a node that has the service."));
            }
            (other, _) => {
                let shown: String = other.chars().take(40).collect();
                return Err(invalid(format!(
                    "`allow.{shown}` is unknown; this build grants `kv`, `chain`, `net` and `secrets`"
                )));
            }
        }
    }
    Ok(grants)
}

/// Origins and secrets are read as they are written everywhere else.
fn named(name: &str, value: &Value) -> Result<Grants, Error> {
    let hint = match name {
        "net" => "Write origins: [\"https://api.example.org\", \"GET https://*.example.org\"].",
        _ => "Write names: [\"API_KEY\"], or [{\"name\": \"API_KEY\", \"plaintext\": true}].",
    };
    serde_json::from_value::<Grants>(serde_json::json!({ name: value }))
        .map_err(|e| invalid(format!("`allow.{name}`: {e}")).hint(hint))
}

fn chain(value: &Value) -> Result<ChainGrant, Error> {
    const HINT: &str = "Write \"read\", or {\"write\": {\"contracts\": [\"0x…\"], \"gas\": \"0.5\"}}.";
    let is_write = value
        .as_object()
        .is_some_and(|o| o.len() == 1 && o.get("write").is_some_and(Value::is_object));
    if value != "read" && !is_write {
        return Err(invalid("`allow.chain` is \"read\", or an object with `write`").hint(HINT));
    }
    let grants = serde_json::from_value::<Grants>(serde_json::json!({ "chain": value }));
    grants
        .map(|g| g.chain)
        .map_err(|e| invalid(format!("`allow.chain`: {e}")).hint(HINT))
}

/// Triggers, with every mistake in them; what only the chain knows is checked by the deployment itself.
fn triggers(on: Option<&JsonText>) -> Result<Triggers, ApiError> {
    let Some(on) = on else {
        return Ok(Triggers::default());
    };
    let on = json::tree("on", on, json::SETTING_BYTES_MAX)?;
    Triggers::read(&on).map_err(|findings| DeployError::triggers(&findings).into())
}

fn smoke_test(test: SmokeTestRequest) -> Result<SmokeTest, Error> {
    // a version's digest is over trees, so what has none is nothing to keep
    json::tree("test.event", &test.event, json::EVENT_BYTES_MAX)?;
    if let Some(expect) = &test.expect {
        json::tree("test.expect", expect, json::SETTING_BYTES_MAX)?;
    }
    Ok(SmokeTest {
        event: test.event,
        expect: test.expect,
    })
}

fn invalid(message: impl Into<String>) -> Error {
    Error::new(Code::ManifestInvalid, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use neofn_registry::VersionSpec;
    use serde_json::json;

    fn decode(body: Value) -> Result<Deploy, String> {
        let request: DeployRequest = serde_json::from_value(body).unwrap();
        deploy("demo".parse().unwrap(), request, &Limits::default())
            .map_err(|e| format!("{}: {}", e.code(), e.chain()))
    }

    #[test]
    fn one_source_is_index_ts_with_the_defaults() {
        let d = decode(json!({"function_name": "a", "source": "x"})).unwrap();
        assert!(matches!(&d.bundle, Bundle::Files(f) if f["index.ts"] == "x"));
        assert_eq!(
            (d.main.as_str(), d.runtime, d.public),
            ("index.ts", RuntimeKind::Js, false)
        );
        assert_eq!(d.limits, Limits::default());
        let d = decode(json!({"function_name": "a", "files": {"src/a.js": ""}, "limits": {"time": "2s", "memory": "8MiB"}, "allow": {"kv": true}, "on": {"cron": []}})).unwrap();
        assert_eq!(
            (
                d.main.as_str(),
                d.limits.time_ms,
                d.limits.memory_bytes,
                d.grants.kv
            ),
            ("src/a.js", 2_000, 8 << 20, true)
        );
        let d = decode(json!({"function_name": "a", "module": "AGFzbQ=="})).unwrap();
        assert_eq!(d.runtime, RuntimeKind::Wasm);
    }

    #[test]
    fn refusals_name_the_member() {
        let base = json!({"function_name": "a", "source": ""});
        let with = |extra: Value| {
            let mut body = base.clone();
            for (k, v) in extra.as_object().unwrap() {
                body[k] = v.clone();
            }
            decode(body).unwrap_err()
        };
        let mut lines = vec![decode(json!({"function_name": "a"})).unwrap_err()];
        for extra in [
            json!({"function_name": "A"}),
            json!({"files": {"a.ts": ""}}),
            json!({"source": null, "files": {"a.ts": "", "b.ts": ""}}),
            json!({"source": null, "files": {"../a.ts": ""}}),
            json!({"main": "/etc/passwd"}),
            json!({"source": null, "module": "*"}),
            json!({"runtime": "python"}),
            json!({"runtime": "wasm"}),
            json!({"limits": {"time": "soon"}}),
            json!({"limits": {"memory": "1GiB"}}),
            json!({"limits": {"units": 1}}),
            json!({"limits": {"concurrency": 0}}),
            json!({"allow": {"net": ["api.example.org"]}}),
            json!({"allow": {"secrets": ["A", "A"]}}),
            json!({"allow": {"chain": "write"}}),
            json!({"allow": {"chain": {"write": {"contracts": ["GAS"], "gas": "lots"}}}}),
            json!({"allow": {"kvv": true}}),
            json!({"allow": {"kv": "yes"}}),
            json!({"allow": ["kv"]}),
            json!({"on": [1]}),
            json!({"on": {"nonsense": 1}}),
        ] {
            lines.push(with(extra));
        }
        for on in [
            json!({"cron": [{"schedule": "61 * * * *"}]}),
            json!({"notification": [{"contract": "GAS", "event": "Transfer", "where": "amonut > 5"}]}),
            json!({"price": [{}]}),
            json!({"cron": {"schedule": "@daily", "where": "true"}}),
        ] {
            lines.push(with(json!({ "on": on })));
        }
        insta::assert_snapshot!(lines.join("\n"));
    }

    #[test]
    fn what_is_no_code_is_bounded_before_a_tree_is_made_of_it() {
        let small_objects = |bytes: usize| format!("[{}0]", "{\"\":0},".repeat(bytes / 7));
        let with = |member: &str| {
            let body = format!("{{\"function_name\":\"a\",\"source\":\"\",{member}}}");
            let request = json::request::<DeployRequest>(body.as_bytes()).unwrap();
            deploy("demo".parse().unwrap(), request, &Limits::default())
                .map_err(|e| format!("{}: {}", e.code(), e.chain()))
        };
        let (large, more) = (small_objects(15 << 20), small_objects(256 << 10));
        let refused: Vec<String> = [
            format!("\"test\":{{\"event\":{large}}}"),
            format!("\"test\":{{\"event\":0,\"expect\":{more}}}"),
            format!("\"allow\":{large}"),
            format!("\"on\":{more}"),
        ]
        .iter()
        .map(|member| with(member).unwrap_err())
        .collect();
        insta::assert_snapshot!(refused.join("\n"));
        let event = small_objects(1_000_000);
        let taken = with(&format!("\"test\":{{\"event\":{event}}}")).unwrap();
        assert_eq!(taken.test.unwrap().event.get(), event);
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib: u64 = peak.unwrap().trim().trim_end_matches(" kB").parse().unwrap();
        assert!(kib < 320 << 10, "{kib} KiB at the peak");
    }

    #[test]
    fn memory_is_rounded_up_and_bounded_by_the_engine() {
        let most = Limits {
            memory_bytes: 512 << 20,
            ..Limits::default()
        };
        let of = |memory: &str, kind| {
            let asked = LimitsRequest {
                memory: Some(memory.to_owned()),
                ..LimitsRequest::default()
            };
            limits(Limits::default(), Some(&asked), kind, &most).map(|l| l.memory_bytes)
        };
        assert_eq!(of("5MB", RuntimeKind::Js).unwrap(), 77 << 16);
        assert_eq!(of("4194305", RuntimeKind::Js).unwrap(), (4 << 20) + (1 << 16));
        assert_eq!(of("256MiB", RuntimeKind::Js).unwrap(), 256 << 20);
        assert_eq!(of("300MiB", RuntimeKind::Wasm).unwrap(), 300 << 20);
        let refused = of("300MiB", RuntimeKind::Js).unwrap_err().to_string();
        assert!(
            refused.contains("256 MiB that runtime \"js\" has at the most"),
            "{refused}"
        );
        assert!(of("600MiB", RuntimeKind::Wasm).is_err());
    }

    #[test]
    fn a_patch_keeps_what_it_does_not_name() {
        let spec = VersionSpec {
            runtime: RuntimeKind::Js,
            main: "a.ts".to_owned(),
            source: neofn_types::Digest([0; 32]),
            public: true,
            limits: Limits {
                time_ms: 1_000,
                ..Limits::default()
            },
            grants: Grants {
                kv: true,
                ..Grants::default()
            },
            on: Triggers::read(&json!({"cron": [{"schedule": "@daily"}]})).unwrap(),
            test: None,
            calls: Vec::new(),
        };
        let digest = neofn_types::Digest([1; 32]);
        let live = VersionRecord {
            key: function_key("demo", "a").unwrap(),
            version: neofn_types::Version(1),
            digest,
            created_at: neofn_types::UnixMillis(1),
            artifact: neofn_registry::ArtifactRef {
                artifact: digest,
                engine: digest,
                code: digest,
                source_map: None,
                files: None,
            },
            spec,
        };
        let stored = || Bundle::Files(BTreeMap::from([("a.ts".to_owned(), "old".to_owned())]));
        let change = |body: Value| {
            patch(
                live.key.clone(),
                &live,
                stored(),
                serde_json::from_value(body).unwrap(),
                &Limits::default(),
            )
        };
        let d = change(json!({"limits": {"memory": "8MiB"}})).unwrap();
        assert_eq!(
            (d.public, d.limits.time_ms, d.limits.memory_bytes, d.grants.kv),
            (true, 1_000, 8 << 20, true)
        );
        assert_eq!(d.upon, Upon::Version(digest), "what it keeps is that version's");
        assert!(matches!(&d.bundle, Bundle::Files(f) if f["a.ts"] == "old"));
        let d = change(json!({"allow": {}, "source": "new"})).unwrap();
        assert!(!d.grants.kv && d.main == "index.ts");
        assert_eq!(d.on.0.len(), 1);
        assert!(change(json!({"on": {}})).unwrap().on.is_empty());
        assert!(change(json!({"main": "b.ts"})).is_err());
        let only = |body: Value| changes_version(&serde_json::from_value(body).unwrap());
        assert!(!only(json!({"is_active": false})) && only(json!({"public": false})));
    }
}
