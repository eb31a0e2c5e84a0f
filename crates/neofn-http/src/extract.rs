//! From the parts of a request to what use cases take: names, callers, parameters.

use crate::problem::Refusal;
use crate::router::Edge;
use crate::shield::Counted;
use axum::extract::{FromRequestParts, Path, RawPathParams};
use http::header::{AUTHORIZATION, FORWARDED, HeaderName};
use http::request::Parts;
use neofn_api::{ApiError, Forwarded, Principal, Remote, Standing, TooMany, project_name};
use neofn_event::TriggerId;
use neofn_types::{Code, Error, FunctionKey, ProjectName, SecretName, TraceContext};
use serde::de::DeserializeOwned;
use std::net::SocketAddr;

static X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
static X_REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");

/// The other end of the connection; absent in tests that have none.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer(pub(crate) SocketAddr);

/// Who calls, from where, within which trace.
pub(crate) struct Caller {
    pub(crate) who: Principal,
    pub(crate) loopback: bool,
    pub(crate) trace: TraceContext,
}

impl FromRequestParts<Edge> for Caller {
    type Rejection = Refusal;
    async fn from_request_parts(parts: &mut Parts, edge: &Edge) -> Result<Self, Refusal> {
        let remote = remote(parts, edge);
        let who = who(parts, edge, remote).await?;
        let loopback = remote.is_some_and(|r| r.here);
        let project = path_project(parts).await;
        count(parts, edge.api().count_request(&who, remote, project.as_ref()))?;
        let trace = parts
            .extensions
            .get::<TraceContext>()
            .copied()
            .unwrap_or_else(|| TraceContext::start(edge.api().entropy()));
        Ok(Self { who, loopback, trace })
    }
}

/// Who sends the request from there.
pub(crate) async fn who(parts: &Parts, edge: &Edge, remote: Option<Remote>) -> Result<Principal, ApiError> {
    let authorization = parts.headers.get(AUTHORIZATION).and_then(|v| v.to_str().ok());
    let who = edge.api().caller(authorization, remote).await;
    if let (Err(ApiError::TooMany(too_many)), Some(slot)) = (&who, parts.extensions.get::<Counted>()) {
        slot.refused(too_many);
    }
    who
}

/// Where the request comes from; none in tests that have no connection.
pub(crate) fn remote(parts: &Parts, edge: &Edge) -> Option<Remote> {
    let connected = parts.extensions.get::<Peer>()?.0.ip();
    let named = [&FORWARDED, &X_FORWARDED_FOR, &X_REAL_IP];
    let values = parts.headers.get_all(&X_FORWARDED_FOR).iter();
    // a value that is no text is one that nobody can read, and ends the chain where it stands
    let hops: Vec<&str> = values.map(|v| v.to_str().unwrap_or("?")).collect();
    let hops = (!hops.is_empty()).then(|| hops.join(","));
    let forwarded = Forwarded {
        x_forwarded_for: hops.as_deref(),
        by_anyone: named.into_iter().any(|name| parts.headers.contains_key(name)),
    };
    Some(edge.api().remote(connected, forwarded))
}

/// The `{project}` of the path, when there is one.
async fn path_project(parts: &mut Parts) -> Option<ProjectName> {
    let params = RawPathParams::from_request_parts(parts, &()).await.ok()?;
    let (_, name) = params.iter().find(|(name, _)| *name == "project")?;
    name.parse().ok()
}

/// Leaves the count for the headers, and refuses one too many.
fn count(parts: &Parts, counted: Result<Option<Standing>, TooMany>) -> Result<(), Refusal> {
    let slot = parts.extensions.get::<Counted>();
    match counted {
        Ok(standing) => {
            if let (Some(slot), Some(standing)) = (slot, standing) {
                slot.left(standing);
            }
            Ok(())
        }
        Err(too_many) => {
            if let Some(slot) = slot {
                slot.refused(&too_many);
            }
            Err((*too_many.error).into())
        }
    }
}

/// Counts a request that is answered before its handler would count it.
pub(crate) fn count_again(
    parts: &Parts,
    edge: &Edge,
    who: &Principal,
    project: Option<&ProjectName>,
) -> Result<(), TooMany> {
    let counted = edge.api().count_request(who, remote(parts, edge), project);
    if let (Ok(Some(standing)), Some(slot)) = (&counted, parts.extensions.get::<Counted>()) {
        slot.left(*standing);
    }
    counted.map(drop)
}

/// An attempt to sign in, counted by the address that it comes from.
pub(crate) struct SignInAttempt;

impl FromRequestParts<Edge> for SignInAttempt {
    type Rejection = Refusal;
    async fn from_request_parts(parts: &mut Parts, edge: &Edge) -> Result<Self, Refusal> {
        count(parts, edge.api().count_sign_in(remote(parts, edge)))?;
        Ok(Self)
    }
}

/// `{project}/{address}` of the path; the address as text.
pub(crate) struct MemberPath(pub(crate) ProjectName, pub(crate) String);

impl FromRequestParts<Edge> for MemberPath {
    type Rejection = Refusal;
    async fn from_request_parts(parts: &mut Parts, edge: &Edge) -> Result<Self, Refusal> {
        #[derive(serde::Deserialize)]
        struct Names {
            project: String,
            address: String,
        }
        let Path(names) = Path::<Names>::from_request_parts(parts, edge)
            .await
            .map_err(bad_path)?;
        Ok(Self(project_name(&names.project)?, names.address))
    }
}

/// `{project}/{id}` of the path; the id as text.
pub(crate) struct KeyIdPath(pub(crate) ProjectName, pub(crate) String);

impl FromRequestParts<Edge> for KeyIdPath {
    type Rejection = Refusal;
    async fn from_request_parts(parts: &mut Parts, edge: &Edge) -> Result<Self, Refusal> {
        #[derive(serde::Deserialize)]
        struct Names {
            project: String,
            id: String,
        }
        let Path(names) = Path::<Names>::from_request_parts(parts, edge)
            .await
            .map_err(bad_path)?;
        Ok(Self(project_name(&names.project)?, names.id))
    }
}

/// `{project}/{function}` of the path.
pub(crate) struct KeyPath(pub(crate) FunctionKey);

impl FromRequestParts<Edge> for KeyPath {
    type Rejection = Refusal;
    async fn from_request_parts(parts: &mut Parts, edge: &Edge) -> Result<Self, Refusal> {
        #[derive(serde::Deserialize)]
        struct Names {
            project: String,
            function: String,
        }
        let Path(names) = Path::<Names>::from_request_parts(parts, edge)
            .await
            .map_err(bad_path)?;
        Ok(Self(neofn_api::function_key(&names.project, &names.function)?))
    }
}

/// `{project}` of the path.
pub(crate) struct ProjectPath(pub(crate) ProjectName);

impl FromRequestParts<Edge> for ProjectPath {
    type Rejection = Refusal;
    async fn from_request_parts(parts: &mut Parts, edge: &Edge) -> Result<Self, Refusal> {
        let Path(name) = Path::<String>::from_request_parts(parts, edge)
            .await
            .map_err(bad_path)?;
        Ok(Self(project_name(&name)?))
    }
}

/// `{project}/{name}` of the path of a secret.
pub(crate) struct SecretPath(pub(crate) ProjectName, pub(crate) SecretName);

impl FromRequestParts<Edge> for SecretPath {
    type Rejection = Refusal;
    async fn from_request_parts(parts: &mut Parts, edge: &Edge) -> Result<Self, Refusal> {
        #[derive(serde::Deserialize)]
        struct Names {
            project: String,
            name: String,
        }
        let Path(names) = Path::<Names>::from_request_parts(parts, edge)
            .await
            .map_err(bad_path)?;
        Ok(Self(
            project_name(&names.project)?,
            neofn_api::secret_name(&names.name)?,
        ))
    }
}

/// `{project}/{function}/{trigger}` of the path.
pub(crate) struct TriggerPath(pub(crate) TriggerId);

impl FromRequestParts<Edge> for TriggerPath {
    type Rejection = Refusal;
    async fn from_request_parts(parts: &mut Parts, edge: &Edge) -> Result<Self, Refusal> {
        #[derive(serde::Deserialize)]
        struct Names {
            project: String,
            function: String,
            trigger: String,
        }
        let Path(names) = Path::<Names>::from_request_parts(parts, edge)
            .await
            .map_err(bad_path)?;
        let function = neofn_api::function_key(&names.project, &names.function)?;
        let name = names
            .trigger
            .parse()
            .map_err(|_| Error::from(Code::TriggerNotFound))?;
        Ok(Self(TriggerId::new(function, name)))
    }
}

/// `{height}` of the path.
pub(crate) struct HeightPath(pub(crate) u64);

impl FromRequestParts<Edge> for HeightPath {
    type Rejection = Refusal;
    async fn from_request_parts(parts: &mut Parts, edge: &Edge) -> Result<Self, Refusal> {
        let Path(text) = Path::<String>::from_request_parts(parts, edge)
            .await
            .map_err(bad_path)?;
        let height = text
            .parse()
            .map_err(|_| Error::new(Code::BadParameter, "a height is a whole number"))?;
        Ok(Self(height))
    }
}

/// `{id}` of the path, as text.
pub(crate) struct IdPath(pub(crate) String);

impl FromRequestParts<Edge> for IdPath {
    type Rejection = Refusal;
    async fn from_request_parts(parts: &mut Parts, edge: &Edge) -> Result<Self, Refusal> {
        let Path(id) = Path::<String>::from_request_parts(parts, edge)
            .await
            .map_err(bad_path)?;
        Ok(Self(id))
    }
}

/// The query. An unknown or misspelt parameter is an error, not silence.
pub(crate) struct Query<T>(pub(crate) T);

impl<T: DeserializeOwned + Default> FromRequestParts<Edge> for Query<T> {
    type Rejection = Refusal;
    async fn from_request_parts(parts: &mut Parts, _: &Edge) -> Result<Self, Refusal> {
        if parts.uri.query().is_none_or(str::is_empty) {
            return Ok(Self(T::default()));
        }
        match axum::extract::Query::<T>::try_from_uri(&parts.uri) {
            Ok(axum::extract::Query(value)) => Ok(Self(value)),
            Err(e) => Err(Error::new(Code::BadParameter, e.body_text()).into()),
        }
    }
}

fn bad_path(e: axum::extract::rejection::PathRejection) -> Refusal {
    Error::new(Code::BadParameter, e.body_text()).into()
}
