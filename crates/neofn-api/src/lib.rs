//! The use cases, and who may ask for them. Every edge calls these and nothing below.
//!
//! Knows no HTTP, GraphQL or gRPC: it takes a principal and typed input, and answers wire types or an error.

mod accounts;
mod api;
mod audit;
mod auth;
mod backup;
mod books;
mod chain;
mod cosign;
mod decode;
mod deferred;
mod error;
mod event_stream;
mod functions;
mod gas;
mod invocations;
pub mod json;
mod members;
mod node;
mod once;
pub mod policy;
mod rate;
mod secrets;
mod sending;
mod services;
mod signer;
mod transactions;
mod triggers;
mod view;
mod waits;

pub use api::{Api, ApiOptions, Development, NodeFacts, Payments};
pub use auth::Authenticator;
pub use backup::Backups;
pub use books::UsageQuery;
pub use chain::NotificationQuery;
pub use decode::{function_key, project_name};
pub use error::{ApiError, FailedRun};
pub use event_stream::{EventStep, EventStream};
pub use invocations::{Call, InvocationQuery, LogQuery, LogStep, LogStream, unusable};
pub use neofn_engine::port::{Promise, Totals};
pub use neofn_engine::request::{Callers, Invoked};
pub use neofn_engine::{ChainState, EngineStats, HistogramData, TriggerStats};
pub use neofn_engine::{Follow, Followed};
pub use neofn_identity::limit::Standing;
pub use neofn_identity::{ApiKey, Principal, RefreshToken};
pub use neofn_runtime::port::RuntimeStatus;
pub use node::{NodeMetrics, TriggerMetrics};
pub use once::{Naming, Once};
pub use policy::Action;
pub use rate::{RateLimits, TooMany};
pub use secrets::secret_name;
pub use sending::SendFor;
pub use services::{Services, Wanted};
pub use triggers::{FiredQuery, TestQuery};
pub use view::{millis, units};
