//! Calls a node: a channel with the key on every call, and functions by name. What is `https` goes over TLS or not at all.

use crate::pb;
use crate::pb::execute_function_response::Result as Outcome;
use crate::pb::function_service_client::FunctionServiceClient;
use neofn_event::CloudEvent;
use std::time::Duration;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};
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
    /// Connects to `https://HOST:PORT`, whose certificate an authority of the web signed, or to `http://HOST:PORT` in the
    /// clear. Without a key only public functions can be called.
    pub async fn connect(url: &str, key: Option<&str>) -> Result<Self, CallError> {
        Self::open(url, key, ClientTlsConfig::new().with_webpki_roots()).await
    }

    /// As [`Self::connect`] to `https://HOST:PORT`, believing the authorities in `ca_pem` in place of those of the web.
    pub async fn connect_trusting(url: &str, key: Option<&str>, ca_pem: &str) -> Result<Self, CallError> {
        if !is_https(url) {
            let why = format!("{url} has no certificate to check: it begins with https://");
            return Err(CallError::Connect(why));
        }
        let authorities = Certificate::from_pem(ca_pem);
        Self::open(url, key, ClientTlsConfig::new().ca_certificate(authorities)).await
    }

    async fn open(url: &str, key: Option<&str>, tls: ClientTlsConfig) -> Result<Self, CallError> {
        let credentials = key
            .map(|key| {
                let mut value = MetadataValue::try_from(format!("Bearer {key}"))
                    .map_err(|e| CallError::Connect(e.to_string()))?;
                value.set_sensitive(true);
                Ok::<_, CallError>(value)
            })
            .transpose()?;
        let mut endpoint = Endpoint::from_shared(url.to_owned()).map_err(failed)?;
        if is_https(url) {
            endpoint = endpoint.tls_config(tls).map_err(failed)?;
        }
        let channel = endpoint.connect().await.map_err(failed)?;
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

/// A scheme is written in any case.
fn is_https(url: &str) -> bool {
    let scheme = url.split_once("://").map_or("", |(scheme, _)| scheme);
    scheme.eq_ignore_ascii_case("https")
}

/// The transport says what went wrong in its sources alone, such as a certificate that nobody signed.
fn failed(error: impl std::error::Error) -> CallError {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    CallError::Connect(text)
}
