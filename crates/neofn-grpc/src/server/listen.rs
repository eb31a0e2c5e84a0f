//! Accepts connections: HTTP/2, over TLS or in the clear, bounded in number and in time, drained when the node goes.

use super::edge::Edge;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use neofn_api::Opened;
use neofn_tls::Acceptor;
use neofn_types::{Code, Error};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

/// Bounds of the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServerOptions {
    /// Open connections; more wait in the kernel's queue. One address has a quarter of them, what comes beyond is closed.
    pub connections_max: usize,
    /// Calls under way on one connection; more wait at their sender.
    pub calls_max: u32,
    /// For a TLS handshake.
    pub handshake_time_max: Duration,
    /// After so long without a word the other end is asked whether it is there.
    pub ping_after: Duration,
    /// For its answer.
    pub ping_time_max: Duration,
    /// Bytes of the metadata of a call.
    pub metadata_bytes_max: u32,
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            connections_max: 4_096,
            calls_max: 200,
            handshake_time_max: Duration::from_secs(10),
            ping_after: Duration::from_secs(30),
            ping_time_max: Duration::from_secs(20),
            metadata_bytes_max: 32 << 10,
        }
    }
}

/// A server that listens but does not answer yet.
pub struct Bound {
    listener: TcpListener,
    address: SocketAddr,
    options: ServerOptions,
    tls: Option<Acceptor>,
}

impl Bound {
    /// Listens; port 0 takes a free one.
    pub async fn bind(
        address: SocketAddr,
        options: ServerOptions,
        tls: Option<Acceptor>,
    ) -> Result<Self, Error> {
        let fail = |e: std::io::Error| {
            Error::new(Code::ListenFailed, format!("cannot listen on {address}: {e}")).because(e)
        };
        let listener = TcpListener::bind(address).await.map_err(fail)?;
        let address = listener.local_addr().map_err(fail)?;
        Ok(Self {
            listener,
            address,
            options,
            tls,
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers until `closing` is cancelled; then accepts no more, lets calls end, and returns when all have.
    pub async fn serve(self, edge: Edge, closing: CancellationToken) {
        let builder = self.builder();
        let connections = edge.api().connections(self.options.connections_max);
        let graceful = GracefulShutdown::new();
        let said = edge.clone();
        let health = tokio::spawn(async move { said.gone().await });
        loop {
            let accepted = tokio::select! {
                accepted = connections.accept(&self.listener) => accepted,
                () = closing.cancelled() => break,
            };
            if let Some((stream, peer, place)) = accepted {
                let connection = Connection {
                    edge: edge.clone(),
                    tls: self.tls.clone(),
                    handshake_time_max: self.options.handshake_time_max,
                    watcher: graceful.watcher(),
                    peer,
                    place,
                };
                tokio::spawn(connection.run(builder.clone(), stream));
            }
        }
        drop(self.listener);
        health.abort();
        graceful.shutdown().await;
    }

    fn builder(&self) -> http2::Builder<TokioExecutor> {
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder
            .timer(TokioTimer::new())
            .keep_alive_interval(self.options.ping_after)
            .keep_alive_timeout(self.options.ping_time_max)
            .max_concurrent_streams(self.options.calls_max)
            .max_header_list_size(self.options.metadata_bytes_max)
            .initial_connection_window_size(4 << 20)
            .initial_stream_window_size(1 << 20);
        builder
    }
}

struct Connection {
    edge: Edge,
    tls: Option<Acceptor>,
    handshake_time_max: Duration,
    watcher: Watcher,
    peer: SocketAddr,
    place: Opened,
}

impl Connection {
    async fn run(mut self, builder: http2::Builder<TokioExecutor>, stream: TcpStream) {
        if let Err(e) = stream.set_nodelay(true) {
            tracing::debug!(error = %e, "TCP_NODELAY");
        }
        let Some(tls) = self.tls.take() else {
            return self.serve(builder, stream).await;
        };
        match tokio::time::timeout(self.handshake_time_max, tls.accept(stream)).await {
            Ok(Ok(stream)) => self.serve(builder, stream).await,
            Ok(Err(e)) => tracing::debug!(error = %e, "handshake failed"),
            Err(_) => tracing::debug!("handshake too slow"),
        }
    }

    async fn serve<T>(self, builder: http2::Builder<TokioExecutor>, stream: T)
    where
        T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (edge, peer) = (self.edge, self.peer);
        let answer = service_fn(move |request| {
            let edge = edge.clone();
            async move { edge.answer(request, peer).await }
        });
        let connection = builder.serve_connection(TokioIo::new(stream), answer);
        if let Err(e) = self.watcher.watch(connection).await {
            tracing::debug!(error = %e, "connection ended");
        }
        drop(self.place);
    }
}
