//! Requests that name themselves with an Idempotency-Key: done once, and answered the same when they come again.
//!
//! Only what succeeded is kept: a request that was refused changed nothing, and is looked at anew.

use crate::api::Api;
use crate::error::ApiError;
use crate::invocations::check_key;
use crate::policy::{Action, Rule, Target};
use bytes::Bytes;
use neofn_engine::port::{Begun, NamedRequest, Reply};
use neofn_identity::Principal;
use neofn_types::{Code, Digest, Error, FunctionKey};
use std::time::Duration;

/// How long answers are kept.
const KEPT: Duration = Duration::from_secs(24 * 3_600);
/// A request that was begun so long ago and has no end died with its node.
const DONE_WITHIN: Duration = Duration::from_secs(120);
/// Longer answers are not kept.
const BODY_BYTES_MAX: usize = 256 << 10;

/// What is to be done with a request.
#[derive(Debug)]
pub enum Once {
    /// Do it, and say how it ended.
    Do(Naming),
    /// It was done: that is the answer.
    Done(u16, Bytes),
}

/// A request that is being done under its name.
#[derive(Debug, Clone, Copy)]
pub struct Naming(NamedRequest);

impl Api {
    /// A name for what was asked for without one: it is done once, and the next is another.
    pub(crate) fn fresh_name(&self) -> String {
        let mut random = [0u8; 16];
        self.inner.entropy.fill(&mut random);
        hex::encode(random)
    }

    /// What tells a body apart that may hold a secret which is easy to guess: nobody who reads the database can try guesses.
    #[must_use]
    pub fn fingerprint(&self, body: &[u8]) -> Digest {
        Digest::of_parts(&[b"neofn/once/body", &self.inner.fingerprint_key, body])
    }

    /// Whether somebody may have the answer of a request again: whoever may not ask any more is not answered either. The
    /// project is what the path or the query named.
    pub fn authorise_reply(
        &self,
        who: &Principal,
        action: Action,
        project: Option<&str>,
        function: Option<&str>,
    ) -> Result<(), Error> {
        if !matches!(action.rule(), Rule::Member(_) | Rule::PublicOrMember) {
            return self.authorise(who, action, Target::Node { loopback: false });
        }
        let project = self.project_of(who, project)?;
        match function {
            Some(name) => {
                let key = FunctionKey::new(project, crate::decode::function_name(name)?);
                self.authorise_function(who, action, &key)
            }
            None => self.authorise_project(who, action, &project),
        }
    }

    /// Whether a request was done before. `parts` are all that makes it this request.
    pub async fn begin_once(&self, who: &Principal, key: &str, parts: &[&[u8]]) -> Result<Once, ApiError> {
        check_key(key)?;
        let mut doer = [0; 16];
        self.inner.entropy.fill(&mut doer);
        let named = NamedRequest {
            name: Digest::of_parts(&[b"neofn/once", who.actor().as_bytes(), key.as_bytes()]),
            request: Digest::of_parts(parts),
            doer,
        };
        let now = self.inner.clock.now();
        let begun = self
            .inner
            .replies
            .begin_reply(named, now, now.plus(DONE_WITHIN), now.minus(KEPT));
        match begun.await.map_err(Error::from)? {
            Begun::Fresh => Ok(Once::Do(Naming(named))),
            Begun::Done(reply) => Ok(Once::Done(reply.status, reply.body)),
            Begun::Running => Err(Code::IdempotencyBusy.into()),
            Begun::Other => Err(Code::IdempotencyMismatch.into()),
        }
    }

    /// How it ended: with an answer to keep, or without one.
    pub async fn end_once(&self, naming: Naming, answer: Option<(u16, Bytes)>) {
        let reply = answer
            .filter(|(_, body)| body.len() <= BODY_BYTES_MAX)
            .map(|(status, body)| Reply { status, body });
        if let Err(error) = self.inner.replies.end_reply(naming.0, reply).await {
            // it is answered as it ended; when it comes again, it waits and is then done again
            tracing::warn!(%error, "the answer to a named request is not kept");
        }
    }
}
