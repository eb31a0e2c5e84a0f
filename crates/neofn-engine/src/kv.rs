//! ctx.kv: arguments in, overlay and store behind, JSON out.

use crate::overlay::{Condition, Overlay, Refusal, Seen, check_key};
use crate::port::{KvEntry, KvStore, StoreError};
use bytes::Bytes;
use neofn_runtime::port::HostOp;
use neofn_types::{Code, ProjectName, UnixMillis};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::sync::Arc;
use std::time::Duration;

const LIST_DEFAULT: u32 = 100;
const LIST_MAX: u32 = 1_000;
/// Bytes of keys and values in one answer of a list; the cursor leads on.
const LIST_BYTES_MAX: usize = 1 << 20;
/// Rows that are asked of the store at once: values may be large.
const PAGE: u32 = 64;
const TTL_MAX_MS: u64 = 10 * 366 * 86_400_000;

/// The namespace as one invocation sees it.
pub(crate) struct Kv {
    pub(crate) store: Arc<dyn KvStore>,
    pub(crate) project: ProjectName,
    pub(crate) overlay: Mutex<Overlay>,
}

#[derive(Deserialize)]
struct KeyArgs {
    key: String,
}
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PutArgs {
    key: String,
    // absent when JavaScript gave undefined, a function or a symbol; null is a value
    #[serde(default, deserialize_with = "present")]
    value: Option<Box<RawValue>>,
    #[serde(default, deserialize_with = "given")]
    if_revision: Option<Option<u64>>,
    // null is what JavaScript makes of NaN and Infinity: refused, not taken for "no limit"
    #[serde(default, deserialize_with = "present")]
    ttl_ms: Option<u64>,
}
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct DeleteArgs {
    key: String,
    #[serde(default, deserialize_with = "given")]
    if_revision: Option<Option<u64>>,
}
#[derive(Deserialize)]
struct ListArgs {
    #[serde(default)]
    prefix: String,
    cursor: Option<String>,
    limit: Option<u32>,
}
#[derive(Deserialize)]
struct CounterArgs {
    key: String,
    #[serde(default, deserialize_with = "present")]
    by: Option<i64>,
}
#[derive(Serialize)]
struct ValueOut<'a> {
    value: &'a RawValue,
    revision: Option<u64>,
}
#[derive(Serialize)]
struct EntryOut<'a> {
    key: &'a str,
    value: &'a RawValue,
    revision: Option<u64>,
}
#[derive(Serialize)]
struct ListOut<'a> {
    entries: Vec<EntryOut<'a>>,
    cursor: Option<&'a str>,
}

/// A member that is there, whatever it holds.
fn present<'de, D: serde::Deserializer<'de>, T: Deserialize<'de>>(d: D) -> Result<Option<T>, D::Error> {
    T::deserialize(d).map(Some)
}

/// Tells `null` (must be absent) from a member that is not there (no condition).
fn given<'de, D: serde::Deserializer<'de>>(d: D) -> Result<Option<Option<u64>>, D::Error> {
    Option::<u64>::deserialize(d).map(Some)
}

fn condition(if_revision: Option<Option<u64>>) -> Condition {
    match if_revision {
        None => Condition::None,
        Some(None) => Condition::Absent,
        Some(Some(revision)) => Condition::Revision(revision),
    }
}

pub(crate) fn args<'a, T: Deserialize<'a>>(input: &'a [u8]) -> Result<T, Refusal> {
    serde_json::from_slice(input).map_err(|e| (Code::BadHostCall, format!("arguments not understood: {e}")))
}

fn unavailable(error: StoreError) -> Refusal {
    tracing::warn!(%error, "key-value store");
    (
        Code::HostUnavailable,
        "the key-value store did not answer".to_owned(),
    )
}

fn json(out: &impl Serialize) -> Result<Bytes, Refusal> {
    serde_json::to_vec(out)
        .map(Bytes::from)
        .map_err(|e| (Code::Internal, format!("answer not serialisable: {e}")))
}

fn raw(value: &[u8]) -> Result<&RawValue, Refusal> {
    serde_json::from_slice(value).map_err(|_| (Code::KvValue, "the stored value is not JSON".to_owned()))
}

impl Kv {
    pub(crate) async fn call(&self, op: HostOp, input: &[u8], now: UnixMillis) -> Result<Bytes, Refusal> {
        match op {
            HostOp::KvGet => self.get(args(input)?, now).await,
            HostOp::KvPut => self.put(args(input)?, now).await,
            HostOp::KvDelete => self.delete(args(input)?, now).await,
            HostOp::KvList => self.list(args(input)?, now).await,
            HostOp::KvCounter => self.counter(args(input)?, now).await,
            other => Err((Code::Internal, format!("{other:?} is no call of ctx.kv"))),
        }
    }
    async fn stored(&self, key: &str, now: UnixMillis) -> Result<Option<KvEntry>, Refusal> {
        self.store.get(&self.project, key, now).await.map_err(unavailable)
    }
    async fn get(&self, a: KeyArgs, now: UnixMillis) -> Result<Bytes, Refusal> {
        check_key(&a.key)?;
        let stored = self.stored(&a.key, now).await?;
        let seen = self.overlay.lock().see(&a.key, stored)?;
        match seen {
            None => Ok(Bytes::from_static(b"null")),
            Some(seen) => json(&ValueOut {
                value: raw(&seen.value)?,
                revision: seen.revision,
            }),
        }
    }
    async fn put(&self, a: PutArgs, now: UnixMillis) -> Result<Bytes, Refusal> {
        check_key(&a.key)?;
        let value = a.value.ok_or((
            Code::KvValue,
            "the value is not JSON: it is undefined or a function".to_owned(),
        ))?;
        let expires_at = match a.ttl_ms {
            None => None,
            Some(ms @ 1..=TTL_MAX_MS) => Some(now.plus(Duration::from_millis(ms))),
            Some(ms) => {
                return Err((
                    Code::BadHostCall,
                    format!("ttlMs is {ms}, but must be between 1 and {TTL_MAX_MS}"),
                ));
            }
        };
        let condition = condition(a.if_revision);
        // an unconditional put needs no look at what is there
        let stored = match condition {
            Condition::None => None,
            _ => self.stored(&a.key, now).await?,
        };
        let value = Bytes::copy_from_slice(value.get().as_bytes());
        self.overlay
            .lock()
            .put(&a.key, value, expires_at, condition, stored.as_ref())?;
        Ok(Bytes::from_static(br#"{"revision":null}"#))
    }
    async fn delete(&self, a: DeleteArgs, now: UnixMillis) -> Result<Bytes, Refusal> {
        check_key(&a.key)?;
        let stored = self.stored(&a.key, now).await?;
        let deleted = self
            .overlay
            .lock()
            .delete(&a.key, condition(a.if_revision), stored.as_ref())?;
        Ok(Bytes::from(format!("{{\"deleted\":{deleted}}}")))
    }
    async fn counter(&self, a: CounterArgs, now: UnixMillis) -> Result<Bytes, Refusal> {
        check_key(&a.key)?;
        let stored = self.stored(&a.key, now).await?;
        let value = self
            .overlay
            .lock()
            .add(&a.key, a.by.unwrap_or(1), stored.as_ref())?;
        Ok(Bytes::from(format!("{{\"value\":{value}}}")))
    }
    async fn list(&self, a: ListArgs, now: UnixMillis) -> Result<Bytes, Refusal> {
        if a.prefix.len() > crate::overlay::KEY_BYTES_MAX {
            return Err((Code::KvKey, "the prefix is longer than a key can be".to_owned()));
        }
        let limit = a.limit.unwrap_or(LIST_DEFAULT);
        if !(1..=LIST_MAX).contains(&limit) {
            return Err((
                Code::BadHostCall,
                format!("limit is {limit}, but must be between 1 and {LIST_MAX}"),
            ));
        }
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let mut out: Vec<Seen> = Vec::new();
        let (mut after, mut bytes) = (a.cursor, 0);
        // one more than is asked for shows whether there is more
        let page_rows = PAGE.min(u32::try_from(limit).unwrap_or(PAGE).saturating_add(1));
        loop {
            let page = self
                .store
                .list(&self.project, &a.prefix, after.as_deref(), page_rows, now)
                .await
                .map_err(unavailable)?;
            let full = u32::try_from(page.len()).is_ok_and(|n| n >= page_rows);
            let upto = page.last().filter(|_| full).map(|e| e.key.clone());
            let merged = self
                .overlay
                .lock()
                .merge(&a.prefix, after.as_deref(), upto.as_deref(), page)?;
            for seen in merged {
                let size = seen.key.len() + seen.value.len();
                if out.len() == limit || (!out.is_empty() && bytes + size > LIST_BYTES_MAX) {
                    return listed(&out, true);
                }
                bytes += size;
                out.push(seen);
            }
            match upto {
                None => return listed(&out, false),
                // the next round finds out whether there is more
                Some(upto) => after = Some(upto),
            }
        }
    }
}

fn listed(seen: &[Seen], more: bool) -> Result<Bytes, Refusal> {
    let mut entries = Vec::with_capacity(seen.len());
    for s in seen {
        entries.push(EntryOut {
            key: &s.key,
            value: raw(&s.value)?,
            revision: s.revision,
        });
    }
    json(&ListOut {
        entries,
        cursor: seen.last().filter(|_| more).map(|s| s.key.as_str()),
    })
}
