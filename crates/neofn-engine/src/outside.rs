//! ctx.secrets and fetch: what leaves the node, and what keeps it from telling more than it should.
//!
//! Values that a run was given, or that went out for it by handle, are remembered for as long as it lasts: nothing that
//! the run leaves behind may hold one. A recording names the version of a secret and never its value.

use crate::host::{Caller, Effects, denied};
use crate::kv::args;
use crate::overlay::Refusal;
use crate::port::{Act, ActLog};
use crate::request::RunFailure;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use neofn_egress::{Broker, Fetch, Fetched, Handle, Redirects, handle_names};
use neofn_gas::{HostCharge, SCHEDULE_V1};
use neofn_secrets::{Revealed, Scrubber, SecretValue, SetSecret, Settings, Vault, Which};
use neofn_types::{Code, Error, FunctionKey, SecretGrant, SecretName};
use parking_lot::Mutex;
use serde::Deserialize;
use serde_json::{Value, json};
use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;
use zeroize::Zeroizing;

/// Bytes of an answer of `fetch` that are kept for a replay; a larger one is told to the run alone.
pub(crate) const RECORDED_BYTES_MAX: usize = 256 << 10;
/// Bytes of an answer that reach a sandbox in one message.
const REPLY_BYTES_MAX: usize = 4_000_000;

/// An answer, and what is kept of it when that is something else.
pub(crate) struct Told {
    pub(crate) reply: Bytes,
    pub(crate) kept: Option<Result<Bytes, Refusal>>,
    pub(crate) units: u64,
}

impl Told {
    /// An answer that is kept as it is.
    pub(crate) fn whole(reply: Bytes) -> Self {
        Self {
            reply,
            kept: None,
            units: 0,
        }
    }
    fn of(value: &Value) -> Self {
        Self::whole(value.to_string().into())
    }
}

/// The end of a run without the values that it was given: its result, its console, its error.
pub(crate) fn scrub_end(
    scrubber: &Scrubber,
    outcome: Result<Bytes, RunFailure>,
    logs: Vec<String>,
) -> (Result<Bytes, RunFailure>, Vec<String>) {
    if scrubber.is_none() {
        return (outcome, logs);
    }
    let logs = logs
        .iter()
        .map(|line| scrubber.cut_text(line).into_owned())
        .collect();
    let outcome = match outcome {
        Ok(result) => scrubber
            .json(&result)
            .map(Cow::into_owned)
            .map(Bytes::from)
            .ok_or_else(|| {
                let message = "the result contains the value of a secret where it cannot be taken out";
                crate::error::failure(Code::SecretLeak, message.to_owned())
            }),
        Err(failure) => Err(RunFailure {
            code: failure.code,
            message: scrubber.cut_text(&failure.message).into_owned(),
            hint: scrubber.text(&failure.hint).into_owned(),
            stack: failure
                .stack
                .iter()
                .map(|line| scrubber.text(line).into_owned())
                .collect(),
            frame: scrubber.text(&failure.frame).into_owned(),
        }),
    };
    (outcome, logs)
}

/// The services of one run.
pub(crate) struct Outside {
    vault: Option<Arc<Vault>>,
    broker: Option<Arc<Broker>>,
    acts: Option<Arc<dyn ActLog>>,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    values: Vec<(SecretName, SecretValue)>,
    scrubber: Scrubber,
}

#[derive(Deserialize)]
struct GetArgs {
    name: String,
}
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RotateArgs {
    name: String,
    value: Zeroizing<String>,
    if_version: Option<u32>,
}
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct FetchArgs {
    url: String,
    method: String,
    headers: Vec<(String, String)>,
    body: Option<String>,
    body_base64: Option<String>,
    #[serde(default)]
    redirect: RedirectArg,
    timeout_ms: Option<u64>,
}
#[derive(Deserialize, Default)]
#[serde(rename_all = "lowercase")]
enum RedirectArg {
    #[default]
    Follow,
    Manual,
    Error,
}

/// What a value stands for in a recording.
#[derive(Deserialize)]
pub(crate) struct Recorded {
    pub(crate) name: SecretName,
    pub(crate) version: u32,
}

fn refusal(error: Error) -> Refusal {
    if let Some(source) = &error.source {
        tracing::debug!(code = %error.code, %source, "a host service refused");
    }
    let text = if error.hint.is_empty() {
        error.message
    } else {
        format!("{}. {}", error.message.trim_end_matches('.'), error.hint)
    };
    (error.code, text)
}

fn secret_name(text: &str) -> Result<SecretName, Refusal> {
    text.parse()
        .map_err(|e| (Code::BadHostCall, format!("ctx.secrets: {e}")))
}

impl Outside {
    pub(crate) fn new(
        vault: Option<Arc<Vault>>,
        broker: Option<Arc<Broker>>,
        acts: Option<Arc<dyn ActLog>>,
    ) -> Self {
        Self {
            vault,
            broker,
            acts,
            known: Mutex::default(),
        }
    }
    fn vault(&self) -> Result<&Vault, Refusal> {
        let none = (Code::HostUnavailable, "this node keeps no secrets".to_owned());
        self.vault.as_deref().ok_or(none)
    }
    /// Finds the values that the run knows by now.
    pub(crate) fn scrubber(&self) -> Scrubber {
        self.known.lock().scrubber.clone()
    }
    fn learn(&self, name: &SecretName, value: &SecretValue) -> Result<(), Refusal> {
        let mut known = self.known.lock();
        if known.values.iter().any(|(n, v)| n == name && v == value) {
            return Ok(());
        }
        known.values.push((name.clone(), value.clone()));
        let scrubber = Scrubber::new(known.values.iter().map(|(n, v)| (n, v)));
        match scrubber {
            Some(scrubber) => known.scrubber = scrubber,
            // what cannot be kept out of logs is not given out
            None => {
                known.values.pop();
                return Err((
                    Code::HostCallLimit,
                    "the run uses too many secrets at once".to_owned(),
                ));
            }
        }
        Ok(())
    }
    /// Refuses to carry a value to where it would stay in the clear.
    pub(crate) fn check_leak(&self, what: &str, input: &[u8]) -> Result<(), Refusal> {
        match self.known.lock().scrubber.find(input) {
            None => Ok(()),
            Some(name) => Err((
                Code::SecretLeak,
                format!("{what}: what is passed on contains the value of the secret {name}"),
            )),
        }
    }

    async fn reveal(&self, key: &FunctionKey, name: &SecretName, which: Which) -> Result<Revealed, Refusal> {
        let revealed = self.vault()?.reveal(&key.project, name, &key.function, which);
        let revealed = revealed.await.map_err(refusal)?;
        self.learn(name, &revealed.value)?;
        Ok(revealed)
    }
    fn grant<'g>(caller: &'g Caller, name: &SecretName) -> Result<&'g SecretGrant, Refusal> {
        caller.grants.secret(name).ok_or_else(|| {
            let what = format!("the secret {name}");
            denied(
                caller,
                &what,
                &grant_line(caller, SecretGrant::handle(name.clone())),
            )
        })
    }

    /// `ctx.secrets.get`
    pub(crate) async fn get(&self, caller: &Caller, input: &[u8]) -> Result<Told, Refusal> {
        let name = secret_name(&args::<GetArgs>(input)?.name)?;
        if !Self::grant(caller, &name)?.plaintext {
            // whether there is such a secret is found out when the handle is used
            return Ok(Told::of(&json!({ "handle": name.handle() })));
        }
        let revealed = self.reveal(&caller.key, &name, Which::Current).await?;
        let reply = plaintext(&revealed)?;
        let kept = json!({ "name": name, "version": revealed.version }).to_string();
        Ok(Told {
            reply,
            kept: Some(Ok(kept.into())),
            units: 0,
        })
    }
    /// The value that a run was given, for its replay.
    pub(crate) async fn again(&self, key: &FunctionKey, recorded: &Recorded) -> Result<Bytes, Refusal> {
        let which = Which::Version(recorded.version);
        plaintext(&self.reveal(key, &recorded.name, which).await?)
    }

    /// `ctx.secrets.rotate`
    pub(crate) async fn rotate(&self, caller: &Caller, input: &[u8]) -> Result<Told, Refusal> {
        let asked: RotateArgs = args(input).map_err(|(code, _)| {
            // what the reader would say may have the value in it
            (
                code,
                "ctx.secrets.rotate: the name and the value are strings".to_owned(),
            )
        })?;
        let name = secret_name(&asked.name)?;
        let grant = Self::grant(caller, &name)?;
        if !grant.rotate {
            let wanted = SecretGrant {
                rotate: true,
                ..grant.clone()
            };
            return Err(denied(
                caller,
                &format!("ctx.secrets.rotate of {name}"),
                &grant_line(caller, wanted),
            ));
        }
        let value = SecretValue::new(asked.value.as_bytes()).map_err(refusal)?;
        self.learn(&name, &value)?;
        if caller.effects != Effects::Kept {
            return Ok(Told::of(&json!({ "version": null })));
        }
        let by = format!("function:{}", caller.key.function);
        if let Some(acts) = &self.acts {
            let act = Act {
                project: Some(caller.key.project.clone()),
                actor: by.clone(),
                action: "secret.set",
                target: name.to_string(),
                detail: format!("in invocation {}", caller.id),
            };
            acts.write(act).await.map_err(refusal)?;
        }
        let set = SetSecret {
            value,
            expected: asked.if_version,
            by,
            settings: Settings::default(),
        };
        let record = self.vault()?.set(&caller.key.project, &name, set).await;
        Ok(Told::of(&json!({ "version": record.map_err(refusal)?.latest })))
    }

    /// `fetch`
    pub(crate) async fn fetch(&self, caller: &Caller, input: &[u8]) -> Result<Told, Refusal> {
        let fetch = request(caller, args(input)?)?;
        if caller.effects == Effects::Estimated {
            // what another host gets is an effect that nobody can discard, and nobody pays for this run
            return Err((
                Code::Denied,
                "fetch: an estimate sends nothing to other hosts; invoke the function instead".to_owned(),
            ));
        }
        let broker = self.broker.as_deref().ok_or_else(|| {
            (
                Code::HostUnavailable,
                "this node makes no requests to other hosts".to_owned(),
            )
        })?;
        let mut handles = Vec::new();
        for name in handle_names(&fetch).map_err(refusal)? {
            Self::grant(caller, &name)?;
            let revealed = self.reveal(&caller.key, &name, Which::Current).await?;
            handles.push(Handle {
                name,
                value: Zeroizing::new(revealed.value.expose().to_vec()),
                hosts: revealed.hosts,
            });
        }
        let fetched = broker.fetch(&fetch, &handles).await;
        let scrubber = self.scrubber();
        let fetched = fetched.map_err(|error| {
            let (code, text) = refusal(error);
            (code, scrubber.text(&text).into_owned())
        })?;
        let reply = answer(&fetched, &scrubber)?;
        let kib = u64::try_from(reply.len().div_ceil(1024)).unwrap_or(u64::MAX);
        let units = SCHEDULE_V1.price(HostCharge::Fetch).per_kib.saturating_mul(kib);
        let kept = (reply.len() > RECORDED_BYTES_MAX).then(|| {
            let text = format!("replay: the answer had {} bytes, more than are kept", reply.len());
            Err((Code::NotReplayable, text))
        });
        Ok(Told { reply, kept, units })
    }
}

/// The whole line that would allow it, with what is granted already.
fn grant_line(caller: &Caller, wanted: SecretGrant) -> String {
    let others = caller.grants.secrets.iter().filter(|g| g.name != wanted.name);
    let mut all: Vec<String> = others.map(SecretGrant::to_string).collect();
    all.push(wanted.to_string());
    format!("secrets = [{}]", all.join(", "))
}

fn plaintext(revealed: &Revealed) -> Result<Bytes, Refusal> {
    let version = revealed.version;
    let value = match revealed.value.expose_text() {
        Some(text) => json!({ "value": text, "version": version }),
        None => json!({ "valueBase64": STANDARD.encode(revealed.value.expose()), "version": version }),
    };
    serde_json::to_vec(&value)
        .map(Bytes::from)
        .map_err(|_| (Code::Internal, "internal error".to_owned()))
}

fn request(caller: &Caller, asked: FetchArgs) -> Result<Fetch, Refusal> {
    let body = match (asked.body, asked.body_base64) {
        (Some(text), _) => Some(Bytes::from(text)),
        (None, Some(base64)) => {
            let bytes = STANDARD.decode(base64);
            Some(Bytes::from(bytes.map_err(|_| {
                (Code::BadHostCall, "fetch: the body is not base64".to_owned())
            })?))
        }
        (None, None) => None,
    };
    Ok(Fetch {
        function: caller.key.clone(),
        allow: caller.grants.net.clone(),
        method: asked.method,
        url: asked.url,
        headers: asked.headers,
        body,
        redirects: match asked.redirect {
            RedirectArg::Follow => Redirects::Follow,
            RedirectArg::Manual => Redirects::Manual,
            RedirectArg::Error => Redirects::Error,
        },
        time: asked.timeout_ms.map(Duration::from_millis),
    })
}

/// As JSON, without the values that the host sent back.
fn answer(fetched: &Fetched, scrubber: &Scrubber) -> Result<Bytes, Refusal> {
    let headers: Vec<_> = fetched
        .headers
        .iter()
        .map(|(name, value)| (scrubber.text(name), scrubber.text(value)))
        .collect();
    let body = scrubber.bytes(&fetched.body);
    let mut reply = json!({
        "url": scrubber.text(&fetched.url),
        "redirected": fetched.redirected,
        "status": fetched.status,
        "statusText": fetched.status_text,
        "headers": headers,
    });
    let (member, value) = match std::str::from_utf8(&body) {
        Ok(text) => ("body", Value::from(text)),
        Err(_) => ("bodyBase64", Value::from(STANDARD.encode(&body))),
    };
    if let Some(reply) = reply.as_object_mut() {
        reply.insert(member.to_owned(), value);
    }
    let reply = reply.to_string();
    if reply.len() > REPLY_BYTES_MAX {
        return Err((
            Code::EgressTooLarge,
            format!("fetch: the answer is larger than the {REPLY_BYTES_MAX} bytes that reach a function"),
        ));
    }
    Ok(reply.into())
}
