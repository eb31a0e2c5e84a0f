//! Versions made ready by workers, and the artifacts in the object store.

use super::run::failure;
use super::{GRACE, Inner, WAIT_MAX};
use crate::wire::{self, Busy, CallId, Made, Make};
use bytes::Bytes;
use neofn_bus::{BusError, Message};
use neofn_runtime::port::{Artifact, Failure, Prepare, PrepareError};
use neofn_types::{Code, Digest};
use std::sync::Arc;
use std::time::Duration;

/// Workers that are asked in vain before a preparation is given back.
const TRIES: u32 = 16;
/// Artifacts whose standing is remembered.
const REMEMBERED_MAX: usize = 65_536;

/// What is known of an artifact in the object store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// It is there.
    Known,
    /// A worker could not read it: what is there under its name is not taken for it.
    Doubted,
}

impl Inner {
    /// Makes sure that the object store has the artifact.
    pub(super) async fn publish(&self, artifact: &Artifact) -> Result<(), Failure> {
        let (blobs, digest) = (&self.options.artifacts, artifact.digest);
        let standing = self.artifacts.lock().get(&digest).copied();
        let there = match standing {
            Some(Standing::Known) => return Ok(()),
            // it may have been mended meanwhile
            Some(Standing::Doubted) => Ok(matches!(blobs.get(digest).await, Ok(Some(_)))),
            None => blobs.has(digest).await,
        };
        let put = match there {
            Ok(true) => Ok(()),
            Ok(false) if artifact.bytes.is_empty() => {
                return Err(failure(
                    Code::SandboxLost,
                    "the version's compiled form is gone from the object store",
                ));
            }
            // only bytes that are what their name says can mend it
            Ok(false) if standing.is_some() && Digest::of(&artifact.bytes) != digest => {
                return Err(failure(
                    Code::SandboxLost,
                    "the version's compiled form is damaged",
                ));
            }
            Ok(false) if standing.is_some() => self.put_anew(digest, &artifact.bytes).await,
            Ok(false) => blobs.put(digest, artifact.bytes.clone()).await,
            Err(error) => Err(error),
        };
        put.map_err(|e| failure(Code::BusUnavailable, e.to_string()))?;
        self.stands(digest, Standing::Known);
        Ok(())
    }

    async fn put_anew(&self, digest: Digest, bytes: &Bytes) -> Result<(), BusError> {
        tracing::warn!(%digest, "what the object store has of it cannot be read: it is put there again");
        self.options.artifacts.discard(digest).await?;
        self.options.artifacts.put(digest, bytes.clone()).await
    }

    fn stands(&self, digest: Digest, standing: Standing) {
        let mut artifacts = self.artifacts.lock();
        if artifacts.len() >= REMEMBERED_MAX {
            artifacts.clear();
        }
        artifacts.insert(digest, standing);
    }

    /// A worker could not have it. The whole bucket may be gone, so nothing is known of the others either; with the next try
    /// the engine brings the bytes.
    pub(super) fn doubt(&self, digest: Digest) {
        self.artifacts
            .lock()
            .retain(|_, standing| *standing == Standing::Doubted);
        self.stands(digest, Standing::Doubted);
    }

    pub(super) async fn make(
        self: &Arc<Self>,
        request: Prepare,
    ) -> Result<(Artifact, Vec<String>), PrepareError> {
        let unavailable = |e: BusError| PrepareError::Nobody(failure(e.code(), e.to_string()));
        let engine = self.engine(request.kind);
        let code = Digest::of(&request.code);
        let blobs = &self.options.artifacts;
        blobs.put(code, request.code.clone()).await.map_err(unavailable)?;
        let make = Make {
            kind: request.kind,
            code,
            memory_bytes: request.memory_bytes,
            time_ms: u64::try_from(request.time.as_millis()).unwrap_or(u64::MAX),
            fuel: request.fuel,
        };
        let message = wire::write(&make).map_err(unavailable)?;
        let (mut without, mut again) = (Vec::new(), false);
        for _ in 0..TRIES {
            let Some(worker) = self.worker(&code.to_string(), &engine, &without, WAIT_MAX).await else {
                break;
            };
            let mut call = CallId::default();
            self.options.entropy.fill(&mut call);
            let asked = Message::new(message.clone()).header(wire::CALL, hex::encode(call));
            let within = request.time + GRACE + GRACE + Duration::from_secs(60);
            let answer = self.answer(&worker, "prepare", call, asked, within).await;
            match answer.and_then(|m| wire::read::<Made>(&m.payload)) {
                Ok(Made::Artifact { digest, engine, logs }) => {
                    let bytes = match blobs.get(digest).await {
                        Ok(Some(bytes)) => bytes,
                        // what was there before under its name looked like it, so the worker left it
                        Ok(None) | Err(BusError::Damaged(_)) if !again => {
                            again = true;
                            blobs.discard(digest).await.map_err(unavailable)?;
                            continue;
                        }
                        Ok(None) => {
                            return Err(PrepareError::Unavailable(
                                "what the worker made is not in the object store".to_owned(),
                            ));
                        }
                        Err(error) => return Err(unavailable(error)),
                    };
                    self.stands(digest, Standing::Known);
                    return Ok((
                        Artifact {
                            digest,
                            engine,
                            bytes,
                        },
                        logs,
                    ));
                }
                Ok(Made::Refused(failure)) => return Err(PrepareError::Refused(failure)),
                Ok(Made::Busy(Busy::NoArtifact)) if !again => {
                    again = true;
                    self.put_anew(code, &request.code).await.map_err(unavailable)?;
                }
                // preparing has no effects: another worker may try
                Ok(Made::Busy(_) | Made::Unavailable(_)) => without.push(worker.id.clone()),
                Err(BusError::NoResponders(_)) => {
                    self.unheeded(&worker.id);
                    without.push(worker.id.clone());
                }
                Err(BusError::Unavailable(_)) => without.push(worker.id.clone()),
                Err(error) => return Err(unavailable(error)),
            }
        }
        let why = self.nobody(engine, "prepare the version");
        Err(PrepareError::Nobody(failure(Code::NoWorker, why)))
    }

    /// Why there was no worker, in words.
    pub(super) fn nobody(&self, engine: Digest, to: &str) -> String {
        let found = self.options.engines.iter().find(|(_, e)| *e == engine);
        match found.and_then(|found| self.members.lock().misfits(*found)) {
            Some(why) => format!("no worker was there to {to}: those that are do not fit; {why}"),
            None => format!("no worker was there to {to}"),
        }
    }
}
