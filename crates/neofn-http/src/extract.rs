//! From the parts of a request to what use cases take: names, callers, parameters.

use crate::problem::Refusal;
use crate::router::Edge;
use axum::extract::{FromRequestParts, Path};
use http::header::AUTHORIZATION;
use http::request::Parts;
use neofn_api::{Principal, project_name};
use neofn_event::TriggerId;
use neofn_types::{Code, Error, FunctionKey, ProjectName, SecretName, TraceContext};
use serde::de::DeserializeOwned;
use std::net::SocketAddr;

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
        let authorization = parts.headers.get(AUTHORIZATION).and_then(|v| v.to_str().ok());
        let who = edge.api().principal(authorization).await?;
        let loopback = parts
            .extensions
            .get::<Peer>()
            .is_some_and(|p| p.0.ip().is_loopback());
        let trace = parts
            .extensions
            .get::<TraceContext>()
            .copied()
            .unwrap_or_else(|| TraceContext::start(edge.api().entropy()));
        Ok(Self { who, loopback, trace })
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
