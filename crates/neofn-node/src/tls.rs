//! When certificates are read anew: at SIGHUP, and when the files are other ones than a moment ago.

use crate::options::TlsOptions;
use neofn_tls::{Certificates, TlsFiles};
use neofn_types::Error;
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// A certificate that was replaced is shown this much later, without anybody saying so.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// Certificates, and the signal that has them read again; it is caught before anybody is told to send one.
pub(crate) struct Reloading {
    pub(crate) certificates: Certificates,
    hangup: Signal,
}

impl Reloading {
    /// Reads the files of the options.
    pub(crate) fn open(options: TlsOptions) -> Result<Self, Error> {
        Ok(Self {
            certificates: Certificates::load(TlsFiles {
                cert_file: options.cert_file,
                key_file: options.key_file,
                client_ca_file: options.client_ca_file,
            })?,
            hangup: signal(SignalKind::hangup()).map_err(Error::internal)?,
        })
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
                }
                Ok(false) => said = None,
                Err(error) => {
                    let now = error.to_string();
                    if said.as_ref() != Some(&now) {
                        tracing::error!(%error, "the certificate was not replaced; the one before goes on");
                    }
                    said = Some(now);
                }
            }
        }
    }
}
