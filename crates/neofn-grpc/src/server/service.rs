//! The calls of `FunctionService`, one after the other.

use super::call::{Caller, function_key, project_in, project_of, text, too_late};
use super::{convert, status};
use crate::pb;
use crate::pb::execute_function_response::Result as Outcome;
use bytes::Bytes;
use futures_util::stream::{self, Stream};
use neofn_api::{Action, Api, ApiError, Call, InvocationQuery, Invoked, LogQuery, LogStep};
use neofn_event::CloudEvent;
use neofn_event::cloud::proto;
use neofn_types::{Code, Error};
use std::pin::Pin;
use tokio_util::sync::CancellationToken;
use tonic::metadata::{MetadataMap, MetadataValue};
use tonic::{Request, Response, Status};

/// Answers calls. Cheap to clone.
#[derive(Clone)]
pub(super) struct Functions {
    api: Api,
    /// Ends streams.
    going: CancellationToken,
}

impl Functions {
    pub(super) fn new(api: Api, going: CancellationToken) -> Self {
        Self { api, going }
    }
}

/// What a handler asks of a caller and a message, with errors of use cases as statuses.
macro_rules! ask {
    ($caller:expr, $asked:expr) => {
        $asked.map_err(|e| status::refuse(&ApiError::from(e), &$caller.trace))?
    };
}

type Answer<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl pb::function_service_server::FunctionService for Functions {
    async fn execute_function(
        &self,
        request: Request<pb::ExecuteFunctionRequest>,
    ) -> Answer<pb::ExecuteFunctionResponse> {
        let mut caller =
            Caller::of(&self.api, &request, project_of(&request.get_ref().name).as_ref()).await?;
        let key = text(request.metadata(), "idempotency-key").map(str::to_owned);
        let traced = request.metadata().contains_key("traceparent");
        let message = request.into_inner();
        let function = ask!(caller, function_key(&message.name));
        // before a tree is made of what it carries
        ask!(caller, self.api.authorise_calling(&caller.who, &function).await);
        let event = ask!(caller, message.event.map(event).transpose());
        if let Some(inner) = event.as_ref().filter(|_| !traced).and_then(CloudEvent::trace) {
            caller.trace = inner.child(self.api.entropy());
        }
        let body = match &event {
            Some(event) => ask!(caller, neofn_api::json::cloud_event(event)),
            None => Bytes::new(),
        };
        let call = Call {
            body,
            idempotency_key: key,
            fingerprint: None,
            trace: caller.trace,
            here: caller.here,
        };
        // dropped with this call: by its end, its deadline, or a caller who cancels it
        let given_up = CancellationToken::new();
        let _gone = given_up.clone().drop_guard();
        match self.api.invoke_until(&caller.who, function, call, given_up).await {
            Ok(run) => Ok(ran(&run, data(&run))),
            Err(ApiError::Failed(failed)) if is_functions_own(failed.failure.code) => {
                let (code, message) = (failed.failure.code, &failed.failure.message);
                Ok(ran(&failed.run, Outcome::Error(format!("{code}: {message}"))))
            }
            Err(error) => Err(status::refuse(&error, &caller.trace)),
        }
    }

    async fn deploy(&self, request: Request<pb::DeployRequest>) -> Answer<pb::DeployResponse> {
        let caller = Caller::of(&self.api, &request, project_of(&request.get_ref().name).as_ref()).await?;
        let message = request.into_inner();
        let key = ask!(caller, function_key(&message.name));
        ask!(
            caller,
            self.api
                .authorise_project(&caller.who, Action::Deploy, &key.project)
        );
        let deploy = ask!(caller, convert::deployment(key.function.to_string(), message));
        let (done, created) = ask!(caller, self.api.deploy(&caller.who, &key.project, deploy).await);
        Ok(Response::new(pb::DeployResponse {
            function: Some(convert::function(done.function)),
            created,
            unchanged: done.unchanged,
            warnings: done.warnings.into_iter().map(convert::diagnostic).collect(),
        }))
    }

    async fn get_function(&self, request: Request<pb::GetFunctionRequest>) -> Answer<pb::Function> {
        let caller = Caller::of(&self.api, &request, project_of(&request.get_ref().name).as_ref()).await?;
        let key = ask!(caller, function_key(&request.into_inner().name));
        let found = ask!(caller, self.api.function(&caller.who, &key).await);
        Ok(Response::new(convert::function(found.function)))
    }

    async fn list_functions(
        &self,
        request: Request<pb::ListFunctionsRequest>,
    ) -> Answer<pb::ListFunctionsResponse> {
        let caller = Caller::of(
            &self.api,
            &request,
            project_in(&request.get_ref().project).as_ref(),
        )
        .await?;
        let message = request.into_inner();
        let named = given(message.project).unwrap_or_else(|| "default".to_owned());
        let project = ask!(caller, neofn_api::project_name(&named));
        let cursor = given(message.page_token);
        let page = self
            .api
            .functions(&caller.who, &project, message.page_size, cursor.as_deref())
            .await
            .map_err(|e| status::renamed(e, status::PAGES));
        let page = ask!(caller, page);
        Ok(Response::new(pb::ListFunctionsResponse {
            functions: page.functions.into_iter().map(convert::function).collect(),
            next_page_token: page.next.unwrap_or_default(),
        }))
    }

    type LogsStream = Pin<Box<dyn Stream<Item = Result<pb::LogEntry, Status>> + Send>>;

    async fn logs(&self, request: Request<pb::LogsRequest>) -> Answer<Self::LogsStream> {
        let caller = Caller::of(&self.api, &request, project_of(&request.get_ref().name).as_ref()).await?;
        let message = request.into_inner();
        let key = ask!(caller, function_key(&message.name));
        let query = LogQuery {
            limit: message.limit,
            after: given(message.after),
        };
        if !message.follow {
            let page = ask!(caller, self.api.logs(&caller.who, &key, query).await);
            let entries = page.logs.into_iter().map(|entry| Ok(convert::log_entry(entry)));
            return Ok(Response::new(Box::pin(stream::iter(entries))));
        }
        let log = ask!(caller, self.api.follow(&caller.who, &key, query).await);
        let going = self.going.clone();
        let steps = stream::unfold(Some((log, caller, going)), |state| async move {
            let (mut log, caller, going) = state?;
            let step = tokio::select! {
                step = log.next() => step?,
                () = going.cancelled() => {
                    let gone = Error::from(Code::Overloaded);
                    return Some((Err(status::plain(gone, &caller.trace)), None));
                }
                () = caller.gave_up() => return Some((Err(too_late(None)), None)),
            };
            let entry = match step {
                LogStep::Entry(entry) => convert::log_entry(entry),
                LogStep::Missed(missed) => pb::LogEntry {
                    missed,
                    ..pb::LogEntry::default()
                },
            };
            Some((Ok(entry), Some((log, caller, going))))
        });
        Ok(Response::new(Box::pin(steps)))
    }

    async fn get_invocation(&self, request: Request<pb::GetInvocationRequest>) -> Answer<pb::Invocation> {
        let caller = Caller::of(&self.api, &request, None).await?;
        let id = request.into_inner().id;
        let found = ask!(caller, self.api.invocation(&caller.who, &id).await);
        Ok(Response::new(convert::invocation(found)))
    }

    async fn list_invocations(
        &self,
        request: Request<pb::ListInvocationsRequest>,
    ) -> Answer<pb::ListInvocationsResponse> {
        let caller = Caller::of(&self.api, &request, project_of(&request.get_ref().name).as_ref()).await?;
        let message = request.into_inner();
        let key = ask!(caller, function_key(&message.name));
        let query = InvocationQuery {
            limit: message.page_size,
            cursor: given(message.page_token),
            status: given(message.status),
        };
        let page = self.api.invocations(&caller.who, &key, query).await;
        let page = ask!(caller, page.map_err(|e| status::renamed(e, status::PAGES)));
        Ok(Response::new(pb::ListInvocationsResponse {
            invocations: page.invocations.into_iter().map(convert::invocation).collect(),
            next_page_token: page.next.unwrap_or_default(),
        }))
    }

    async fn publish_events(
        &self,
        request: Request<pb::PublishEventsRequest>,
    ) -> Answer<pb::PublishEventsResponse> {
        let caller = Caller::of(
            &self.api,
            &request,
            request.get_ref().project.parse().ok().as_ref(),
        )
        .await?;
        let message = request.into_inner();
        let named = given(message.project);
        let project = ask!(caller, self.api.project_of(&caller.who, named.as_deref()));
        ask!(
            caller,
            self.api.authorise_project(&caller.who, Action::Publish, &project)
        );
        let events = CloudEvent::batch_from_proto(message.events).map_err(Error::from);
        let events = ask!(caller, events.map_err(|e| status::renamed(e, status::EVENT)));
        let done = self
            .api
            .publish(&caller.who, &project, events, caller.trace)
            .await;
        Ok(Response::new(convert::published(ask!(caller, done))))
    }
}

/// An empty string says nothing.
fn given(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}

fn event(message: proto::CloudEvent) -> Result<CloudEvent, ApiError> {
    CloudEvent::from_proto(message).map_err(|e| status::renamed(Error::from(e), status::EVENT))
}

/// Whether a failed run is the function's answer. What failed on our side is a status, so that clients try again.
fn is_functions_own(code: Code) -> bool {
    !matches!(code.info().status, 502 | 503) && code != Code::Internal
}

fn data(run: &Invoked) -> Outcome {
    let json = run.outcome.as_deref().unwrap_or(b"null");
    Outcome::Data(json.to_vec())
}

fn ran(run: &Invoked, outcome: Outcome) -> Response<pb::ExecuteFunctionResponse> {
    let mut response = Response::new(pb::ExecuteFunctionResponse {
        result: Some(outcome),
    });
    let metadata = response.metadata_mut();
    put(metadata, "neofn-invocation-id", &run.id.to_string());
    put(metadata, "neofn-version", &run.version.0.to_string());
    put(metadata, "neofn-units", &run.units.total.to_string());
    put(
        metadata,
        "neofn-duration-ms",
        &neofn_api::millis(run.duration).to_string(),
    );
    response
}

fn put(metadata: &mut MetadataMap, name: &'static str, value: &str) {
    // numbers and ids are visible ASCII
    if let Ok(value) = MetadataValue::try_from(value) {
        metadata.insert(name, value);
    }
}
