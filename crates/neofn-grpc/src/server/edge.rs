//! From a request to the service that it names, and what happens around every call: the deadline, the bounds of its
//! message, and credentials before a large one is read.

use super::call::{Deadline, Peer, remote, text, too_late, trace};
use super::deadline;
use super::receiving::Receiving;
use super::service::Functions;
use super::status;
use crate::pb;
use crate::pb::function_service_server::FunctionServiceServer;
use http::{Request, Response};
use hyper::body::Incoming;
use neofn_api::{Api, Principal, Room, json};
use neofn_types::{Code, Error};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic::Status;
use tonic::body::Body;
use tonic::metadata::MetadataMap;
use tonic_health::server::HealthReporter;
use tower::util::BoxCloneSyncService;
use tower::{Service, ServiceExt as _};

/// What a message may hold beside its event: names, and the attributes of a CloudEvent.
const BESIDE: usize = 64 << 10;
/// What asks for health or reflection: names.
const QUESTION_BYTES_MAX: usize = 4 << 10;
/// A message has to be here within this time.
const BODY_TIME_MAX: Duration = Duration::from_secs(30);
/// Bytes of messages that are being received: of calls, whoever makes them, and of deployments, whose callers are known.
const CALLS_BYTES_MAX: usize = 256 << 20;
const DEPLOYMENTS_BYTES_MAX: usize = 128 << 20;
const FUNCTIONS: &str = "/neofn.v1.FunctionService/";
const DEPLOY: &str = "/neofn.v1.FunctionService/Deploy";
const PUBLISH: &str = "/neofn.v1.FunctionService/PublishEvents";
const HEALTH: &str = "/grpc.health.v1.Health/";
const REFLECTION: &str = "/grpc.reflection.v1.ServerReflection/";
const REFLECTION_ALPHA: &str = "/grpc.reflection.v1alpha.ServerReflection/";

type Answers = BoxCloneSyncService<Request<Body>, Response<Body>, Infallible>;

/// The edge: every service with all that they share. Cheap to clone.
#[derive(Clone)]
pub struct Edge {
    api: Api,
    going: CancellationToken,
    reporter: HealthReporter,
    calls: Answers,
    deployments: Answers,
    calls_room: Room,
    deployments_room: Room,
    health: Answers,
    reflection: Answers,
    reflection_alpha: Answers,
}

impl Edge {
    /// Over the use cases. When `going` is cancelled, open streams end and health says so.
    pub async fn new(api: Api, going: CancellationToken) -> Result<Self, Error> {
        let functions = || FunctionServiceServer::new(Functions::new(api.clone(), going.clone()));
        // answers hold a result of 1 MiB and the logs of many runs
        let answer_bytes_max = 64 << 20;
        let bounded = |bytes: usize| {
            functions()
                .max_decoding_message_size(bytes)
                .max_encoding_message_size(answer_bytes_max)
        };
        let (reporter, health) = tonic_health::server::health_reporter();
        reporter.set_serving::<FunctionServiceServer<Functions>>().await;
        let reflect = || {
            tonic_reflection::server::Builder::configure()
                .register_encoded_file_descriptor_set(pb::DESCRIPTORS)
                .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        };
        Ok(Self {
            calls: boxed(bounded(json::EVENT_BYTES_MAX + BESIDE)),
            deployments: boxed(bounded(json::DEPLOY_BYTES_MAX + BESIDE)),
            calls_room: Room::new(CALLS_BYTES_MAX),
            deployments_room: Room::new(DEPLOYMENTS_BYTES_MAX),
            health: boxed(health.max_decoding_message_size(QUESTION_BYTES_MAX)),
            reflection: boxed(
                reflect()
                    .build_v1()
                    .map_err(Error::internal)?
                    .max_decoding_message_size(QUESTION_BYTES_MAX),
            ),
            reflection_alpha: boxed(
                reflect()
                    .build_v1alpha()
                    .map_err(Error::internal)?
                    .max_decoding_message_size(QUESTION_BYTES_MAX),
            ),
            reporter,
            api,
            going,
        })
    }

    pub(super) fn api(&self) -> &Api {
        &self.api
    }

    /// Ready when the node goes; then health no longer says that it serves.
    pub(super) async fn gone(&self) {
        self.going.cancelled().await;
        let not_serving = tonic_health::ServingStatus::NotServing;
        self.reporter.set_service_status("", not_serving).await;
        let services = &self.reporter;
        services
            .set_not_serving::<FunctionServiceServer<Functions>>()
            .await;
    }

    /// Answers one call.
    pub(super) async fn answer(
        &self,
        mut request: Request<Incoming>,
        peer: SocketAddr,
    ) -> Result<Response<Body>, Infallible> {
        request.extensions_mut().insert(Peer(peer));
        let Ok(timeout) = deadline::timeout(request.headers()) else {
            let message = "`grpc-timeout` is not up to eight digits and one of H, M, S, m, u and n";
            return Ok(Status::invalid_argument(message).into_http());
        };
        let path = request.uri().path();
        let calls_room = Some(&self.calls_room);
        let (service, room) = match path {
            DEPLOY | PUBLISH => {
                if let Err(status) = self.known(&request).await {
                    return Ok(status.into_http());
                }
                match path {
                    DEPLOY => (&self.deployments, Some(&self.deployments_room)),
                    _ => (&self.calls, calls_room),
                }
            }
            _ if path.starts_with(FUNCTIONS) => (&self.calls, calls_room),
            _ if path.starts_with(HEALTH) => (&self.health, calls_room),
            // dialogues, which may pause
            _ if path.starts_with(REFLECTION) => (&self.reflection, None),
            _ if path.starts_with(REFLECTION_ALPHA) => (&self.reflection_alpha, None),
            _ => return Ok(Status::unimplemented("no such service").into_http()),
        };
        let mut request = request.map(|body| match room {
            Some(room) => Body::new(Receiving::new(body, room, BODY_TIME_MAX)),
            None => Body::new(body),
        });
        let Some(timeout) = timeout else {
            return service.clone().oneshot(request).await.map(bounds_said);
        };
        // a moment that no clock reaches is no deadline
        let Some(at) = Instant::now().checked_add(timeout) else {
            return service.clone().oneshot(request).await.map(bounds_said);
        };
        request.extensions_mut().insert(Deadline(at));
        // dropping the call ends its run in the sandbox
        match tokio::time::timeout_at(at, service.clone().oneshot(request)).await {
            Ok(answer) => answer.map(bounds_said),
            Err(_) => Ok(too_late(Some(timeout)).into_http()),
        }
    }

    /// Refuses those without credentials before sixteen megabytes are read, or a thousand events unpacked.
    async fn known(&self, request: &Request<Incoming>) -> Result<(), Status> {
        let metadata = MetadataMap::from_headers(request.headers().clone());
        let trace = trace(&self.api, &metadata);
        let remote = remote(&self.api, request.extensions().get(), &metadata);
        let who = self.api.caller(text(&metadata, "authorization"), remote).await;
        match who.map_err(|e| status::refuse(&e, &trace))? {
            Principal::Anonymous => Err(status::plain(Code::Unauthenticated.into(), &trace)),
            _ => Ok(()),
        }
    }
}

fn boxed<S>(service: S) -> Answers
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone + Send + Sync + 'static,
    S::Future: Send + 'static,
{
    BoxCloneSyncService::new(service)
}

/// How the library's reader of messages begins.
const UNREADABLE: &str = "failed to decode Protobuf message";

/// The library says of a message that is too large that it is out of range, and of one that cannot be read that it is our
/// fault; the protocol has other words for them.
fn bounds_said(response: Response<Body>) -> Response<Body> {
    match Status::from_header_map(response.headers()) {
        Some(status) if status.code() == tonic::Code::OutOfRange => {
            let error = Error::new(Code::BodyTooLarge, status.message().to_owned());
            status::bare(error).into_http()
        }
        Some(status) if status.message().starts_with(UNREADABLE) => {
            let text = format!("`message`: {}", status.message());
            status::bare(Error::new(Code::BadParameter, text)).into_http()
        }
        _ => response,
    }
}
