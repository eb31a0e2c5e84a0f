//! When certificates are read anew: at SIGHUP, and when the files are other ones than a moment ago; and what is said of
//! those that have ended or soon will.

use crate::options::TlsOptions;
use neofn_tls::{Certificates, Matter, TlsFiles};
use neofn_types::{Clock, Error};
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// A certificate that was replaced is shown this much later, without anybody saying so.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// What stays the matter with a certificate is said again so often.
const SAY_EVERY: Duration = Duration::from_secs(86_400);

/// Certificates, and the signal that has them read again; it is caught before anybody is told to send one.
pub(crate) struct Reloading {
    pub(crate) certificates: Certificates,
    hangup: Signal,
    clock: Arc<dyn Clock>,
    /// What was the matter when it was last said, and when that was.
    said: (Vec<Matter>, Duration),
}

impl Reloading {
    /// Reads the files of the options.
    pub(crate) fn open(options: TlsOptions, clock: Arc<dyn Clock>) -> Result<Self, Error> {
        let mut this = Self {
            certificates: Certificates::load(TlsFiles {
                cert_file: options.cert_file,
                key_file: options.key_file,
                client_ca_file: options.client_ca_file,
            })?,
            hangup: signal(SignalKind::hangup()).map_err(Error::internal)?,
            clock,
            said: (Vec::new(), Duration::ZERO),
        };
        this.look(Read::Anew);
        Ok(this)
    }

    /// Says what is the matter with the certificates: those that were just read, or when it is another matter than before,
    /// or a day has passed.
    fn look(&mut self, read: Read) {
        let concerns = self.certificates.concerns(self.clock.now());
        let matters: Vec<Matter> = concerns.iter().map(|concern| concern.matter).collect();
        let now = self.clock.monotonic();
        let (before, at) = &self.said;
        if read == Read::Before && matters == *before && now.saturating_sub(*at) < SAY_EVERY {
            return;
        }
        for concern in &concerns {
            tracing::warn!("TLS: {concern}");
        }
        self.said = (matters, now);
    }

    /// Looks until `gone`.
    pub(crate) async fn keep(mut self, gone: CancellationToken) {
        // what was said last: a file that stays wrong is told of once
        let mut said = None;
        loop {
            tokio::select! {
                () = gone.cancelled() => return,
                asked = self.hangup.recv() => if asked.is_some() { said = None },
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
            let certificates = self.certificates.clone();
            let read = tokio::task::spawn_blocking(move || certificates.reload()).await;
            match read.map_err(Error::internal).and_then(|read| read) {
                Ok(true) => {
                    said = None;
                    tracing::info!("a new certificate is shown from here on");
                    self.look(Read::Anew);
                }
                Ok(false) => {
                    said = None;
                    self.look(Read::Before);
                }
                Err(error) => {
                    let now = error.to_string();
                    if said.as_ref() != Some(&now) {
                        tracing::error!(%error, "the certificate was not replaced; the one before goes on");
                    }
                    said = Some(now);
                    self.look(Read::Before);
                }
            }
        }
    }
}

/// Whether the certificates are other ones than those that were looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Read {
    Anew,
    Before,
}
