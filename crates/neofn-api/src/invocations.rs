//! Use cases about runs: invoking, queueing, looking back, following, replaying.

use crate::api::{Api, Caller};
use crate::error::{ApiError, FailedRun};
use crate::functions::{Page, bad_cursor};
use crate::policy::{Action, Target};
use crate::reader::{ASK_AGAIN, Reader};
use crate::{json, view, waits};
use bytes::Bytes;
use neofn_engine::port::{InvocationFilter, InvocationRecord, Origin, Status};
use neofn_engine::request::{Invoke, Invoked, RunFailure};
use neofn_engine::{Engine, Follow, Followed};
use neofn_identity::Principal;
use neofn_types::{Code, Digest, Error, FunctionKey, InvocationId, TraceContext, Version};
use neofn_wire::{
    Accepted, Estimate, InvocationList, InvocationView, LogEvent, LogList, ReplayRequest, ReplayResponse,
};
use std::collections::{HashSet, VecDeque};
use tokio_util::sync::CancellationToken;

/// Longest Idempotency-Key.
const IDEMPOTENCY_KEY_BYTES_MAX: usize = 255;

/// A call, as an edge received it.
#[derive(Debug, Clone)]
pub struct Call {
    /// The body, unchecked but bounded by the edge.
    pub body: Bytes,
    /// `Idempotency-Key`.
    pub idempotency_key: Option<String>,
    /// What makes two calls with one key the same; nothing for the body.
    pub fingerprint: Option<Digest>,
    /// The caller's trace, or a new one.
    pub trace: TraceContext,
    /// Whether it comes from a program on the same machine; those are not counted.
    pub here: bool,
}

/// Which invocations to list.
#[derive(Debug, Clone, Default)]
pub struct InvocationQuery {
    /// Rows of the page.
    pub limit: Option<u32>,
    /// `next` of the page before.
    pub cursor: Option<String>,
    /// Only in this state.
    pub status: Option<String>,
}

/// Which log entries to show.
#[derive(Debug, Clone, Default)]
pub struct LogQuery {
    /// Most entries from history.
    pub limit: Option<u32>,
    /// Only what was admitted after this invocation.
    pub after: Option<String>,
}

impl Api {
    /// May they call it? For an edge that wants to know before it looks into an event.
    pub async fn authorise_calling(&self, who: &Principal, key: &FunctionKey) -> Result<(), ApiError> {
        self.authorise_call(who, Action::Invoke, key).await.map(drop)
    }

    /// Runs a function and waits for its end.
    pub async fn invoke(&self, who: &Principal, key: FunctionKey, call: Call) -> Result<Invoked, ApiError> {
        self.invoke_until(who, key, call, CancellationToken::new()).await
    }

    /// The same, for a caller who can give up: when the token is cancelled the run ends.
    pub async fn invoke_until(
        &self,
        who: &Principal,
        key: FunctionKey,
        call: Call,
        given_up: CancellationToken,
    ) -> Result<Invoked, ApiError> {
        self.let_in(who, Action::Invoke, &key, &call).await?;
        let invoke = checked(who, key.clone(), call, Origin::Sync)?;
        let run = self.engine().invoke_until(invoke, given_up).await?;
        succeeded(self.as_told(who, &key, run))
    }

    /// Writes a call down for later.
    pub async fn enqueue(&self, who: &Principal, key: FunctionKey, call: Call) -> Result<Accepted, ApiError> {
        self.let_in(who, Action::Invoke, &key, &call).await?;
        let queued = self
            .engine()
            .enqueue(checked(who, key, call, Origin::Async)?)
            .await?;
        Ok(Accepted {
            invocation_id: queued.id.to_string(),
            status: view::status(queued.status).to_owned(),
        })
    }

    /// A run as its caller is told: its logs, stack and source are for those who may read them in its history, too.
    fn as_told(&self, who: &Principal, key: &FunctionKey, mut run: Invoked) -> Invoked {
        let failure = run.outcome.as_mut().err();
        let has_inside =
            !run.logs.is_empty() || failure.is_some_and(|f| !f.stack.is_empty() || !f.frame.is_empty());
        // most runs have none, and their callers wait
        if has_inside && self.authorise_function(who, Action::ReadLogs, key).is_err() {
            run.logs.clear();
            if let Err(failure) = &mut run.outcome {
                failure.stack.clear();
                failure.frame.clear();
            }
        }
        run
    }

    async fn let_in(
        &self,
        who: &Principal,
        action: Action,
        key: &FunctionKey,
        call: &Call,
    ) -> Result<(), ApiError> {
        let caller = self.authorise_call(who, action, key).await?;
        if caller == Caller::Stranger && !call.here {
            self.count_stranger(&key.project)?;
        }
        Ok(())
    }

    /// Whether a function's own HTTP endpoint takes a request and may be called, and whether anybody may: then its
    /// credentials are its own. `path` is that below the function, and begins with `/`.
    pub async fn endpoint(
        &self,
        who: &Principal,
        key: &FunctionKey,
        method: &str,
        path: &str,
    ) -> Result<bool, ApiError> {
        let public = match self.authorise_call(who, Action::Endpoint, key).await? {
            Caller::Ours => self.engine().is_public(key).await?,
            Caller::Stranger => true,
        };
        if self.engine().serves(key, method, path).await? {
            return Ok(public);
        }
        let shown: String = path.chars().take(100).collect();
        Err(Error::new(
            Code::HttpNotWanted,
            format!("no http trigger of {key} takes {method} {shown}"),
        )
        .into())
    }

    /// Runs a function with an HTTP request as its event, which the edge made itself.
    pub async fn call_endpoint(
        &self,
        who: &Principal,
        key: FunctionKey,
        call: Call,
    ) -> Result<Invoked, ApiError> {
        self.let_in(who, Action::Endpoint, &key, &call).await?;
        let invoke = checked(who, key.clone(), call, Origin::Http)?;
        let run = self.engine().invoke(invoke).await?;
        succeeded(self.as_told(who, &key, run))
    }

    /// What an event would cost: a run that leaves nothing behind.
    pub async fn estimate(
        &self,
        who: &Principal,
        key: &FunctionKey,
        body: Bytes,
    ) -> Result<Estimate, ApiError> {
        self.authorise_function(who, Action::Estimate, key)?;
        let run = self.engine().estimate(key, json::event(body)?).await?;
        let failure = run.outcome.as_ref().err();
        Ok(Estimate {
            units: view::units(&run.units),
            success: failure.is_none(),
            code: failure.map(|f| f.code.to_string()),
            message: failure.map(|f| format!("{}: {}", f.code, f.message)),
            version: run.version.0,
        })
    }

    /// One invocation.
    pub async fn invocation(&self, who: &Principal, id: &str) -> Result<InvocationView, ApiError> {
        let record = self.visible(who, Action::ReadInvocation, id).await?;
        Ok(InvocationView {
            waits: self.engine().waits(&record).await.map(waits::view),
            ..view::invocation(&record)
        })
    }

    /// Runs an ended invocation again on its recorded inputs.
    pub async fn replay(
        &self,
        who: &Principal,
        id: &str,
        request: ReplayRequest,
    ) -> Result<ReplayResponse, ApiError> {
        let record = self.visible(who, Action::Replay, id).await?;
        let done = self
            .engine()
            .replay(record.id, request.version.map(Version))
            .await?;
        Ok(view::replayed(&done))
    }

    /// The invocations of a function, newest first.
    pub async fn invocations(
        &self,
        who: &Principal,
        key: &FunctionKey,
        query: InvocationQuery,
    ) -> Result<InvocationList, ApiError> {
        self.authorise_function(who, Action::ListInvocations, key)?;
        let filter = InvocationFilter {
            status: query.status.as_deref().map(parse_status).transpose()?,
            before: query.cursor.as_deref().map(parse_cursor).transpose()?,
            after: None,
            limit: Page::of(query.limit)?.limit,
        };
        // 404 for a function that does not exist, not an empty list
        self.engine().function(key).await?;
        let rows = self.engine().invocations(key, filter).await?;
        let full = u32::try_from(rows.len()).is_ok_and(|n| n == filter.limit);
        Ok(InvocationList {
            next: rows.last().filter(|_| full).map(|r| r.id.to_string()),
            invocations: rows.iter().map(view::invocation).collect(),
        })
    }

    /// Ended invocations as log entries, oldest first.
    pub async fn logs(
        &self,
        who: &Principal,
        key: &FunctionKey,
        query: LogQuery,
    ) -> Result<LogList, ApiError> {
        self.authorise_function(who, Action::ReadLogs, key)?;
        self.engine().function(key).await?;
        let page = LogPage::read(self.engine(), key, log_filter(&query)?).await?;
        Ok(LogList {
            last: page.entries.last().map(|l| l.invocation_id.clone()),
            logs: page.entries,
        })
    }

    /// The same, and then what ends from here on.
    pub async fn follow(
        &self,
        who: &Principal,
        key: &FunctionKey,
        query: LogQuery,
    ) -> Result<LogStream, ApiError> {
        self.authorise_function(who, Action::ReadLogs, key)?;
        self.engine().function(key).await?;
        // subscribed before history is read: what ends in between comes twice and is dropped once
        let live = self.engine().follow(key);
        let page = LogPage::read(self.engine(), key, log_filter(&query)?).await?;
        let mut log = LogStream {
            api: self.clone(),
            reader: Reader::new(self, who),
            key: key.clone(),
            history: VecDeque::new(),
            next: None,
            seen: HashSet::new(),
            live,
        };
        log.take(page);
        Ok(log)
    }

    async fn visible(&self, who: &Principal, action: Action, id: &str) -> Result<InvocationRecord, ApiError> {
        // without credentials no id is looked up at all
        if *who == Principal::Anonymous {
            return Err(Code::Unauthenticated.into());
        }
        let id: InvocationId = id.parse().map_err(|_| Error::from(Code::InvocationNotFound))?;
        let record = self.engine().invocation(id).await?;
        let target = Target::Function {
            key: &record.key,
            hidden_as: Code::InvocationNotFound,
            public: false,
        };
        self.authorise(who, action, target)?;
        Ok(record)
    }
}

/// What a follower reads next.
#[derive(Debug)]
pub enum LogStep {
    /// An ended attempt.
    Entry(LogEvent),
    /// So many entries were left out because the reader was slow.
    Missed(u64),
}

/// A page of history.
struct LogPage {
    /// Oldest first.
    entries: Vec<LogEvent>,
    /// Where the next page begins, of a reader who goes on from an earlier place.
    next: Option<InvocationFilter>,
}

impl LogPage {
    async fn read(engine: &Engine, key: &FunctionKey, filter: InvocationFilter) -> Result<Self, Error> {
        if filter.limit == 0 {
            return Ok(Self {
                entries: Vec::new(),
                next: None,
            });
        }
        let mut rows = engine.invocations(key, filter).await?;
        let full = u32::try_from(rows.len()).is_ok_and(|n| n == filter.limit);
        let last = rows.last().map(|row| row.id);
        if filter.after.is_none() {
            rows.reverse();
        }
        Ok(Self {
            entries: rows
                .iter()
                .filter(|r| r.finished_at.is_some())
                .map(view::log_record)
                .collect(),
            next: (full && filter.after.is_some()).then_some(InvocationFilter {
                after: last,
                ..filter
            }),
        })
    }
}

fn log_filter(query: &LogQuery) -> Result<InvocationFilter, Error> {
    Ok(InvocationFilter {
        status: None,
        before: None,
        after: query.after.as_deref().map(parse_after).transpose()?,
        limit: match query.limit {
            Some(0) => 0,
            limit => Page::of(limit)?.limit,
        },
    })
}

/// History and then the present of a function's log.
pub struct LogStream {
    api: Api,
    reader: Reader,
    key: FunctionKey,
    history: VecDeque<LogEvent>,
    next: Option<InvocationFilter>,
    seen: HashSet<String>,
    live: Follow,
}

impl LogStream {
    fn take(&mut self, page: LogPage) {
        self.seen
            .extend(page.entries.iter().map(|l| l.invocation_id.clone()));
        self.history.extend(page.entries);
        self.next = page.next;
    }

    async fn goes_on(&mut self) -> bool {
        let may = |who: &Principal| self.api.authorise_function(who, Action::ReadLogs, &self.key);
        self.reader.goes_on(&self.api, may).await.is_ok()
    }

    /// The next step; `None` when its reader may no longer read it, the function was removed, history cannot be read or the
    /// node goes.
    pub async fn next(&mut self) -> Option<LogStep> {
        loop {
            if let Some(entry) = self.history.pop_front() {
                return self.goes_on().await.then_some(LogStep::Entry(entry));
            }
            let Some(filter) = self.next.take() else {
                break;
            };
            let page = LogPage::read(self.api.engine(), &self.key, filter).await.ok()?;
            self.take(page);
        }
        loop {
            let step = tokio::time::timeout(ASK_AGAIN, self.live.next()).await;
            // after the wait: what comes once they may no longer is not for them
            if !self.goes_on().await {
                return None;
            }
            let Ok(step) = step else { continue };
            match step? {
                Followed::Missed(n) => return Some(LogStep::Missed(n)),
                Followed::Entry(entry) => {
                    let entry = view::log_entry(&entry);
                    // each id of history can come once more; after that it is a new attempt
                    if !self.seen.remove(&entry.invocation_id) {
                        return Some(LogStep::Entry(entry));
                    }
                }
            }
        }
    }
}

/// Whether text may be an Idempotency-Key.
pub(crate) fn check_key(text: &str) -> Result<(), Error> {
    let fits = (1..=IDEMPOTENCY_KEY_BYTES_MAX).contains(&text.len());
    if fits && text.bytes().all(|b| b.is_ascii_graphic()) {
        return Ok(());
    }
    let message =
        format!("`Idempotency-Key` must be 1 to {IDEMPOTENCY_KEY_BYTES_MAX} visible ASCII characters");
    Err(Error::new(Code::BadParameter, message))
}

/// Begins a key that an edge made itself, of a message's id. No header of HTTP can have it, and edges whose headers can refuse
/// it there: a name of this kind is nobody's to take before its message comes.
pub const EDGE_KEY: &str = "\0";

/// The name of a call: its caller's own. What one named, another neither gets the answer of nor stands in the way of.
fn named(who: &Principal, text: &str) -> Result<String, Error> {
    let (space, text) = match text.strip_prefix(EDGE_KEY) {
        Some(id) => (&b"neofn/message"[..], id),
        None => {
            check_key(text)?;
            (&b"neofn/call"[..], text)
        }
    };
    let digest = Digest::of_parts(&[space, who.actor().as_bytes(), text.as_bytes()]);
    Ok(digest.to_string())
}

fn checked(who: &Principal, key: FunctionKey, call: Call, origin: Origin) -> Result<Invoke, Error> {
    let idempotency = call.idempotency_key.map(|text| named(who, &text)).transpose()?;
    Ok(Invoke {
        key,
        event: json::event(call.body)?,
        idempotency,
        fingerprint: call.fingerprint,
        trace: call.trace,
        origin,
        caller: Some(who.caller()),
    })
}

/// A run whose result an edge could not use.
#[must_use]
pub fn unusable(run: Invoked, error: &Error) -> ApiError {
    ApiError::Failed(Box::new(FailedRun {
        failure: RunFailure {
            code: error.code,
            message: error.message.clone(),
            hint: String::new(),
            stack: Vec::new(),
            frame: String::new(),
        },
        run,
    }))
}

fn succeeded(run: Invoked) -> Result<Invoked, ApiError> {
    match &run.outcome {
        Ok(_) => Ok(run),
        Err(failure) => Err(ApiError::Failed(Box::new(FailedRun {
            failure: failure.clone(),
            run,
        }))),
    }
}

fn parse_status(text: &str) -> Result<Status, Error> {
    match text {
        "queued" => Ok(Status::Queued),
        "running" => Ok(Status::Running),
        "succeeded" => Ok(Status::Succeeded),
        "failed" => Ok(Status::Failed),
        "dead" => Ok(Status::Dead),
        _ => Err(Error::new(
            Code::BadParameter,
            "`status` is one of queued, running, succeeded, failed and dead",
        )),
    }
}

pub(crate) fn parse_after(text: &str) -> Result<InvocationId, Error> {
    text.parse()
        .map_err(|_| Error::new(Code::BadParameter, "`after` is not the id of an invocation"))
}

pub(crate) fn parse_cursor(text: &str) -> Result<InvocationId, Error> {
    text.parse().map_err(|_| bad_cursor())
}
