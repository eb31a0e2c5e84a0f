//! Accepts connections, over TLS or in the clear: bounded in number, in time and in size, and drained when the node goes.

use crate::router::{Edge, EdgeService};
use crate::self_wake::SelfWake;
use crate::slow::Impatient;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
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
    /// For a TLS handshake.
    pub handshake_time_max: Duration,
    /// For the head of a request; also how long an idle connection is kept.
    pub head_time_max: Duration,
    /// Without any progress of a write.
    pub write_time_max: Duration,
    /// Bytes of a head.
    pub head_bytes_max: usize,
    /// Headers of a request.
    pub headers_max: usize,
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            connections_max: 4_096,
            handshake_time_max: Duration::from_secs(10),
            head_time_max: Duration::from_secs(30),
            write_time_max: Duration::from_secs(30),
            head_bytes_max: 64 << 10,
            headers_max: 100,
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

    /// Answers until `closing` is cancelled; then accepts no more, lets requests end, and returns when all have. A
    /// node that drains closes last: until then a caller is told so, and when to come back.
    pub async fn serve(self, edge: Edge, closing: CancellationToken) {
        let service = edge.service();
        let builder = self.builder();
        let connections = edge.api().connections(self.options.connections_max);
        let graceful = GracefulShutdown::new();
        loop {
            let accepted = tokio::select! {
                accepted = connections.accept(&self.listener) => accepted,
                () = closing.cancelled() => break,
            };
            if let Some((stream, peer, place)) = accepted {
                let connection = Connection {
                    edge: edge.clone(),
                    service: service.clone(),
                    peer,
                    tls: self.tls.clone(),
                    options: self.options,
                    watcher: graceful.watcher(),
                    place,
                };
                tokio::spawn(connection.run(builder.clone(), stream));
            }
        }
        drop(self.listener);
        graceful.shutdown().await;
    }

    fn builder(&self) -> http1::Builder {
        let mut builder = http1::Builder::new();
        builder
            .timer(TokioTimer::new())
            .header_read_timeout(self.options.head_time_max)
            .max_buf_size(self.options.head_bytes_max)
            .max_headers(self.options.headers_max);
        builder
    }
}

struct Connection {
    edge: Edge,
    service: EdgeService,
    peer: SocketAddr,
    tls: Option<Acceptor>,
    options: ServerOptions,
    watcher: Watcher,
    place: Opened,
}

impl Connection {
    async fn run(mut self, builder: http1::Builder, stream: TcpStream) {
        if let Err(e) = stream.set_nodelay(true) {
            tracing::debug!(error = %e, "TCP_NODELAY");
        }
        let Some(tls) = self.tls.take() else {
            return self.serve(builder, stream).await;
        };
        let peer = self.peer;
        match tokio::time::timeout(self.options.handshake_time_max, tls.accept(stream)).await {
            Ok(Ok(stream)) => self.serve(builder, stream).await,
            Ok(Err(e)) => tracing::debug!(error = %e, %peer, "handshake failed"),
            Err(_) => tracing::debug!(%peer, "handshake too slow"),
        }
    }

    async fn serve<T>(self, builder: http1::Builder, stream: T)
    where
        T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        self.edge.counters().opened();
        let io = TokioIo::new(Impatient::new(stream, self.options.write_time_max));
        let (service, peer) = (self.service, self.peer);
        let answer = service_fn(move |request| {
            let service = service.clone();
            async move { service.answer(request, Some(peer)).await }
        });
        let answered = self.watcher.watch(builder.serve_connection(io, answer));
        if let Err(e) = SelfWake::new(answered).await {
            tracing::debug!(error = %e, %peer, "connection ended");
        }
        self.edge.counters().closed();
        drop(self.place);
    }
}
