//! Use cases about triggers, published events and dead letters.

use crate::api::Api;
use crate::error::ApiError;
use crate::functions::Page;
use crate::invocations::{parse_after, parse_cursor};
use crate::json;
use crate::policy::Action;
use crate::view;
use neofn_engine::triggers::port::{Fired, FiredFilter, Redo, TriggerStatus};
use neofn_engine::triggers::request::{Switch, TestOn, TriggerInfo};
use neofn_event::{CloudEvent, TriggerId};
use neofn_identity::Principal;
use neofn_types::{Code, Error, FunctionName, InvocationId, ProjectName, TraceContext};
use neofn_wire::{
    BacktestRequest, BacktestView, CandidateView, ConditionView, DeadLetterAnswer, DeadLetterRequest,
    FiredList, FiredView, PublishAnswer, PublishedDelivery, PublishedEvent, TriggerList, TriggerPatch,
    TriggerTest, TriggerView,
};
use serde_json::value::RawValue;

/// Dead letters that one request treats.
const REDO_MAX: u32 = 500;

/// Which events or dead letters to list.
#[derive(Debug, Clone, Default)]
pub struct FiredQuery {
    /// Of one function.
    pub function: Option<String>,
    /// Of one trigger, by its name within the function.
    pub trigger: Option<String>,
    /// Only of this block or later ones.
    pub from: Option<u64>,
    /// Only of this block or earlier ones.
    pub to: Option<u64>,
    /// Only what came after this invocation.
    pub after: Option<String>,
    /// Rows of the page.
    pub limit: Option<u32>,
    /// `next` of the page before.
    pub cursor: Option<String>,
}

/// What a trigger is tried on: exactly one of them.
#[derive(Debug, Clone, Default)]
pub struct TestQuery {
    /// A transaction in a block.
    pub transaction: Option<String>,
    /// A block.
    pub block: Option<u64>,
}

/// Messages that could never work, shown at once.
const MESSAGES_MAX: usize = 100;

impl Api {
    /// The project that a request without one means: the key's own.
    pub fn project_of(&self, who: &Principal, named: Option<&str>) -> Result<ProjectName, Error> {
        match (named, who) {
            (Some(name), _) => crate::project_name(name),
            (
                None,
                Principal::Key {
                    scope: neofn_identity::Scope::Project(project),
                    ..
                },
            ) => Ok(project.clone()),
            (None, _) => crate::project_name("default"),
        }
    }

    /// Takes events for the triggers of a project.
    pub async fn publish(
        &self,
        who: &Principal,
        project: &ProjectName,
        events: Vec<CloudEvent>,
        trace: TraceContext,
    ) -> Result<PublishAnswer, ApiError> {
        self.authorise_project(who, Action::Publish, project)?;
        for (nth, event) in events.iter().enumerate() {
            json::cloud_event(event).map_err(|mut error| {
                if events.len() > 1 {
                    error.message = format!("event {nth} of the batch: {}", error.message);
                }
                error
            })?;
        }
        let published = self.engine().publish(project, events, trace).await?;
        Ok(PublishAnswer {
            events: published
                .into_iter()
                .map(|event| PublishedEvent {
                    id: event.id,
                    deliveries: event
                        .deliveries
                        .into_iter()
                        .map(|d| PublishedDelivery {
                            trigger: d.trigger.to_string(),
                            invocation_id: d.id.to_string(),
                            duplicate: d.known,
                        })
                        .collect(),
                })
                .collect(),
        })
    }

    /// The triggers of a project's live versions.
    pub async fn triggers(
        &self,
        who: &Principal,
        project: &ProjectName,
        function: Option<&str>,
    ) -> Result<TriggerList, ApiError> {
        self.authorise_project(who, Action::ListTriggers, project)?;
        let function = function.map(function_name).transpose()?;
        let found = self.engine().triggers(project, function.as_ref()).await?;
        Ok(TriggerList {
            triggers: found.iter().map(trigger).collect(),
        })
    }

    /// Why a trigger takes a transaction or a block, or which condition fails.
    pub async fn test_trigger(
        &self,
        who: &Principal,
        id: &TriggerId,
        query: TestQuery,
    ) -> Result<TriggerTest, ApiError> {
        self.authorise_function(who, Action::TestTrigger, &id.function)?;
        let on = match (query.transaction, query.block) {
            (Some(hash), None) => TestOn::Transaction(
                hash.parse()
                    .map_err(|e| Error::new(Code::BadParameter, format!("`transaction`: {e}")))?,
            ),
            (None, Some(height)) => TestOn::Block(height),
            _ => {
                let message = "give either `transaction` or `block`";
                return Err(Error::new(Code::BadParameter, message).into());
            }
        };
        let explained = self.engine().test_trigger(id, on).await?;
        Ok(TriggerTest {
            trigger: explained.trigger,
            kind: explained.kind.to_string(),
            matched: explained.matched,
            candidates: explained
                .candidates
                .into_iter()
                .map(|c| CandidateView {
                    event_id: c.event_id,
                    what: c.what,
                    matched: c.matched,
                    conditions: c
                        .conditions
                        .into_iter()
                        .map(|c| ConditionView {
                            text: c.text,
                            held: c.held,
                            actual: c.actual,
                            fault: c.fault,
                        })
                        .collect(),
                })
                .collect(),
            left_out: u64::try_from(explained.left_out).unwrap_or(u64::MAX),
        })
    }

    /// What a trigger would have fired on.
    pub async fn backtest_trigger(
        &self,
        who: &Principal,
        id: &TriggerId,
        request: BacktestRequest,
    ) -> Result<BacktestView, ApiError> {
        self.authorise_function(who, Action::TestTrigger, &id.function)?;
        let found = self
            .engine()
            .backtest_trigger(id, request.from, request.to)
            .await?;
        Ok(BacktestView {
            trigger: found.trigger.to_string(),
            from: found.from,
            to: found.to,
            matched: found.matched,
            samples: found.samples,
            units_each: found.units_each,
            units: found.units_each.map(|each| each.saturating_mul(found.matched)),
            fees_each: found.fees_each.map(|each| each.0.to_string()),
            fees: found
                .fees_each
                .and_then(|each| each.checked_mul(i64::try_from(found.matched).ok()?))
                .map(|all| all.0.to_string()),
            measured: found.measured,
            failure: found.failure,
        })
    }

    /// Pauses or resumes a trigger.
    pub async fn patch_trigger(
        &self,
        who: &Principal,
        id: &TriggerId,
        request: TriggerPatch,
    ) -> Result<TriggerView, ApiError> {
        self.authorise_function(who, Action::SwitchTrigger, &id.function)?;
        let switch = match (request.status.as_str(), request.from.as_deref()) {
            ("paused", None) => Switch::Pause,
            ("running", None) => Switch::Resume,
            ("running", Some("latest")) => Switch::ResumeLatest,
            _ => {
                let message = "`status` is paused or running; running may have `from`: \"latest\"";
                return Err(Error::new(Code::RequestInvalid, message).into());
            }
        };
        let target = format!("{}/{}", id.function.function, id.name);
        let entry = self.act(who, &id.function.project, "trigger.switch", &target);
        self.log(entry.detail(request.status.as_str())).await?;
        Ok(trigger(&self.engine().switch_trigger(id, switch).await?))
    }

    /// Events that reached triggers, with what became of them; newest first.
    pub async fn events(
        &self,
        who: &Principal,
        project: &ProjectName,
        query: FiredQuery,
    ) -> Result<FiredList, ApiError> {
        self.authorise_project(who, Action::ListEvents, project)?;
        self.listed(project, query, false).await
    }

    /// Invocations that failed for good and wait for somebody; newest first.
    pub async fn dead_letters(
        &self,
        who: &Principal,
        project: &ProjectName,
        query: FiredQuery,
    ) -> Result<FiredList, ApiError> {
        self.authorise_project(who, Action::ListDeadLetters, project)?;
        let first = query.cursor.is_none() && query.after.is_none();
        // a message names no trigger, and was in no block
        let any =
            query.function.is_none() && query.trigger.is_none() && query.from.is_none() && query.to.is_none();
        let limit = Page::of(query.limit)?.limit;
        let mut list = self.listed(project, query, true).await?;
        if let (Some(services), true) = (self.inner.services.get(), first && any) {
            let most = usize::try_from(limit).unwrap_or(MESSAGES_MAX).min(MESSAGES_MAX);
            match services.dead_messages(project, most).await {
                Ok(messages) => list.messages = messages,
                // the others are here all the same
                Err(error) => tracing::warn!(%error, "dead messages are not known"),
            }
        }
        Ok(list)
    }

    async fn listed(
        &self,
        project: &ProjectName,
        query: FiredQuery,
        dead: bool,
    ) -> Result<FiredList, ApiError> {
        let filter = FiredFilter {
            function: query.function.as_deref().map(function_name).transpose()?,
            trigger: query.trigger,
            dead,
            from: query.from,
            to: query.to,
            before: query.cursor.as_deref().map(parse_cursor).transpose()?,
            after: query.after.as_deref().map(parse_after).transpose()?,
            limit: Page::of(query.limit)?.limit,
        };
        let limit = filter.limit;
        let rows = self.engine().fired(project, filter).await?;
        let full = u32::try_from(rows.len()).is_ok_and(|n| n == limit);
        Ok(FiredList {
            next: rows.last().filter(|_| full).map(|r| r.record.id.to_string()),
            events: rows.iter().map(fired).collect::<Result<_, _>>()?,
            messages: Vec::new(),
        })
    }

    /// Queues dead letters again, with all their attempts, on the live version.
    pub async fn retry_dead_letters(
        &self,
        who: &Principal,
        project: &ProjectName,
        request: DeadLetterRequest,
    ) -> Result<DeadLetterAnswer, ApiError> {
        self.redo(who, project, request, Redo::Retry).await
    }

    /// Lays dead letters to rest: they stay in history as failed.
    pub async fn drop_dead_letters(
        &self,
        who: &Principal,
        project: &ProjectName,
        request: DeadLetterRequest,
    ) -> Result<DeadLetterAnswer, ApiError> {
        self.redo(who, project, request, Redo::Drop).await
    }

    async fn redo(
        &self,
        who: &Principal,
        project: &ProjectName,
        request: DeadLetterRequest,
        redo: Redo,
    ) -> Result<DeadLetterAnswer, ApiError> {
        self.authorise_project(who, Action::RedoDeadLetters, project)?;
        let chosen = request.function.is_some()
            || request.trigger.is_some()
            || request.from.is_some()
            || request.to.is_some();
        let ids = match (&request.id, chosen || request.all) {
            (Some(id), false) => {
                let missing = || Error::new(Code::DeadLetterNotFound, format!("{id} is no dead letter"));
                let id: InvocationId = id.parse().map_err(|_| missing())?;
                // of another project it does not exist
                let record = self.engine().invocation(id).await.map_err(|_| missing())?;
                if record.key.project != *project {
                    return Err(missing().into());
                }
                vec![id]
            }
            (None, true) => {
                let filter = FiredFilter {
                    function: request.function.as_deref().map(function_name).transpose()?,
                    trigger: request.trigger,
                    dead: true,
                    from: request.from,
                    to: request.to,
                    before: None,
                    after: None,
                    limit: REDO_MAX,
                };
                let rows = self.engine().fired(project, filter).await?;
                // oldest first: the order that they came in
                rows.iter().rev().map(|row| row.record.id).collect()
            }
            _ => {
                let message =
                    "say which: `id`, or any of `function`, `trigger`, `from` and `to`, or `all`: true";
                return Err(Error::new(Code::RequestInvalid, message).into());
            }
        };
        let action = match redo {
            Redo::Retry => "deadletters.retry",
            Redo::Drop => "deadletters.drop",
        };
        let said = match &request.id {
            Some(id) => id.clone(),
            None => format!("{} of them", ids.len()),
        };
        self.log(self.act(who, project, action, &said)).await?;
        let more = u32::try_from(ids.len()).is_ok_and(|n| n == REDO_MAX);
        let mut done = Vec::new();
        for id in ids {
            match self.engine().redo(id, redo).await {
                Ok(()) => done.push(id.to_string()),
                // somebody else was faster; of a range that is nobody's error
                Err(error) if error.code == Code::DeadLetterNotFound && request.id.is_none() => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(DeadLetterAnswer { ids: done, more })
    }
}

pub(crate) fn function_name(text: &str) -> Result<FunctionName, Error> {
    text.parse()
        .map_err(|e| Error::new(Code::BadParameter, format!("`function`: {e}")))
}

fn trigger(info: &TriggerInfo) -> TriggerView {
    let state = &info.state;
    TriggerView {
        id: state.id.to_string(),
        function: state.id.function.function.to_string(),
        name: state.id.name.to_string(),
        kind: info.spec.on.kind().to_string(),
        on: info.spec.to_json(),
        version: info.version.0,
        status: match state.status {
            TriggerStatus::Running => "running",
            TriggerStatus::Paused => "paused",
            TriggerStatus::Off => "off",
        }
        .to_owned(),
        reason: state.reason.clone(),
        lag: info.lag,
        position: state.position,
        matched: state.matched,
        skipped: state.skipped,
        matched_at: state.matched_at.map(neofn_types::UnixMillis::to_iso8601),
    }
}

pub(crate) fn fired(row: &Fired) -> Result<FiredView, Error> {
    let text = String::from_utf8(row.event.to_vec()).map_err(Error::internal)?;
    Ok(FiredView {
        trigger: row.trigger.clone(),
        event_id: row.event_id.clone(),
        height: row.height,
        event: RawValue::from_string(text).map_err(Error::internal)?,
        invocation: view::invocation(&row.record),
    })
}
