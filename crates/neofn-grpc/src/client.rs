//! Calls a node: a channel with the key on every call, and functions by name.

use crate::pb;
use crate::pb::execute_function_response::Result as Outcome;
use crate::pb::function_service_client::FunctionServiceClient;
use neofn_event::CloudEvent;
use std::time::Duration;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};
use tonic_types::StatusExt as _;

pub use tonic::Code as StatusCode;

/// Largest answer that is taken: those of logs are the largest.
const ANSWER_BYTES_MAX: usize = 64 << 20;

/// Why there is no result.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The address, the key, or the way there.
    #[error("cannot reach the node: {0}")]
    Connect(String),
    /// The node did not run the function, or could not end it.
    #[error("{}", .0.message())]
    Refused(Box<Status>),
    /// The function ran and failed: `NF0201: Error: no`.
    #[error("{0}")]
    Failed(String),
}

impl CallError {
    /// The code of the catalogue, when the node gave one.
    #[must_use]
    pub fn code(&self) -> Option<String> {
        match self {
            Self::Connect(_) => None,
            Self::Refused(status) => Some(status.get_details_error_info()?.reason),
            Self::Failed(text) => text.split(':').next().map(str::to_owned),
        }
    }
}

impl From<Status> for CallError {
    fn from(status: Status) -> Self {
        Self::Refused(Box::new(status))
    }
}

/// Puts the key on every call.
#[derive(Clone)]
pub struct Credentials(Option<MetadataValue<Ascii>>);

impl Interceptor for Credentials {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(value) = &self.0 {
            request.metadata_mut().insert("authorization", value.clone());
        }
        Ok(request)
    }
}

/// A node. Cheap to clone; calls share a connection.
#[derive(Clone)]
pub struct Client {
    inner: FunctionServiceClient<InterceptedService<Channel, Credentials>>,
}

impl Client {
    /// Connects to `http://ADDRESS`; without a key only public functions can be called.
    pub async fn connect(url: &str, key: Option<&str>) -> Result<Self, CallError> {
        let wrong = |e: &dyn std::fmt::Display| CallError::Connect(e.to_string());
        let credentials = key
            .map(|key| {
                let mut value = MetadataValue::try_from(format!("Bearer {key}")).map_err(|e| wrong(&e))?;
                value.set_sensitive(true);
                Ok::<_, CallError>(value)
            })
            .transpose()?;
        let endpoint = Endpoint::from_shared(url.to_owned()).map_err(|e| wrong(&e))?;
        let channel = endpoint.connect().await.map_err(|e| wrong(&e))?;
        let inner = FunctionServiceClient::with_interceptor(channel, Credentials(credentials))
            .max_decoding_message_size(ANSWER_BYTES_MAX);
        Ok(Self { inner })
    }

    /// Every call of the service.
    pub fn calls(&mut self) -> &mut FunctionServiceClient<InterceptedService<Channel, Credentials>> {
        &mut self.inner
    }

    /// Runs `function` or `project/function` and answers the JSON that it returned.
    pub async fn execute(
        &mut self,
        name: &str,
        event: Option<&CloudEvent>,
        timeout: Option<Duration>,
    ) -> Result<Vec<u8>, CallError> {
        let mut request = Request::new(pb::ExecuteFunctionRequest {
            name: name.to_owned(),
            event: event.map(CloudEvent::to_proto),
        });
        if let Some(timeout) = timeout {
            request.set_timeout(timeout);
        }
        let answer = self.inner.execute_function(request).await?.into_inner();
        match answer.result {
            Some(Outcome::Data(json)) => Ok(json),
            Some(Outcome::Error(text)) => Err(CallError::Failed(text)),
            None => Err(Status::internal("the answer holds no result").into()),
        }
    }
}
