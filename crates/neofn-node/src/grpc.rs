//! The gRPC edge of a node: where it listens, with which certificate, and how it ends.

use crate::options::{GrpcListen, NodeOptions, TlsOptions};
use neofn_api::Api;
use neofn_grpc::server::{Bound, Edge, ServerOptions, tls};
use neofn_types::{Code, Error};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use zeroize::Zeroizing;

/// Where gRPC listens unless somebody says otherwise.
const USUAL_PORT: u16 = 9443;
/// A chain of certificates is a few kilobytes.
const PEM_BYTES_MAX: u64 = 1 << 20;

/// Listens, as the options say; none when it is off.
pub(crate) async fn bind(options: &NodeOptions) -> Result<Option<Bound>, Error> {
    let tls = options.tls.as_ref().map(certificate).transpose()?;
    let on = |address| Bound::bind(address, ServerOptions::default(), tls.clone());
    match options.grpc {
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

fn certificate(files: &TlsOptions) -> Result<std::sync::Arc<neofn_grpc::server::TlsConfig>, Error> {
    tls(&read(&files.cert_file)?, &read(&files.key_file)?)
}

fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, Error> {
    let wrong = |why: &dyn std::fmt::Display| {
        Error::new(
            Code::ConfigInvalid,
            format!("cannot read {}: {why}", path.display()),
        )
    };
    let size = std::fs::metadata(path).map_err(|e| wrong(&e))?.len();
    if size > PEM_BYTES_MAX {
        return Err(wrong(&"it is too large for PEM"));
    }
    std::fs::read(path).map(Zeroizing::new).map_err(|e| wrong(&e))
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
