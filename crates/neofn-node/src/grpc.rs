//! The gRPC edge of a node: where it listens, and how it ends.

use crate::options::GrpcListen;
use neofn_api::Api;
use neofn_grpc::server::{Bound, Edge, ServerOptions};
use neofn_tls::{Certificates, Protocol};
use neofn_types::{Code, Error};
use std::net::{Ipv4Addr, SocketAddr};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Where gRPC listens unless somebody says otherwise.
const USUAL_PORT: u16 = 9443;

/// Listens, as was chosen; none when it is off.
pub(crate) async fn bind(listen: GrpcListen, tls: Option<&Certificates>) -> Result<Option<Bound>, Error> {
    let tls = tls.map(|tls| tls.acceptor(Protocol::Http2));
    let on = |address| Bound::bind(address, ServerOptions::default(), tls.clone());
    match listen {
        GrpcListen::Off => Ok(None),
        GrpcListen::At(address) => on(address).await.map(Some),
        GrpcListen::Usual => {
            let local = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
            match on(local(USUAL_PORT)).await {
                // another node of this machine has it, most likely
                Err(taken) if taken.code == Code::ListenFailed => {
                    tracing::info!(reason = %taken.message, "gRPC takes a free port");
                    on(local(0)).await.map(Some)
                }
                bound => bound.map(Some),
            }
        }
    }
}

/// A gRPC edge that answers.
pub(crate) struct Serving {
    pub(crate) address: SocketAddr,
    server: JoinHandle<()>,
}

impl Serving {
    /// Answers until `closing`; from `going` on, health says that it goes and streams end.
    pub(crate) async fn start(
        bound: Bound,
        api: Api,
        going: CancellationToken,
        closing: CancellationToken,
    ) -> Result<Self, Error> {
        let address = bound.address();
        let edge = Edge::new(api, going).await?;
        Ok(Self {
            address,
            server: tokio::spawn(bound.serve(edge, closing)),
        })
    }

    /// Ready when the last call has been answered.
    pub(crate) async fn ended(&mut self) {
        if let Err(e) = (&mut self.server).await {
            tracing::error!(error = %e, "the gRPC server ended");
        }
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.server.abort();
    }
}
