//! Brings rotations of secrets about, and has values erased that have expired.

use crate::engine::Inner;
use crate::port::{Act, Origin};
use crate::request::Invoke;
use crate::service::{Reconciler, Report};
use bytes::Bytes;
use neofn_secrets::{Action, DueRotation, Vault};
use neofn_types::{Caller, Error, FunctionKey, FunctionName, ProjectName, TraceContext};
use std::sync::Arc;

/// Asks the vault what is due.
pub(crate) struct Rotations {
    inner: Arc<Inner>,
    vault: Arc<Vault>,
}

impl Rotations {
    /// None on a node without secrets.
    pub(crate) fn new(inner: &Arc<Inner>) -> Option<Self> {
        let vault = inner.ports.vault.clone()?;
        Some(Self {
            inner: inner.clone(),
            vault,
        })
    }

    /// What the clock brought about; done already, so that a log that fails stops no rotation.
    async fn act(&self, project: Option<ProjectName>, action: &'static str, target: &str, detail: String) {
        let Some(acts) = &self.inner.ports.acts else {
            return;
        };
        let act = Act {
            project,
            actor: "node".to_owned(),
            action,
            target: target.to_owned(),
            detail,
        };
        if let Err(error) = acts.write(act).await {
            tracing::error!(%error, action, "not written to the audit log");
        }
    }

    /// Queues the function. One telling is one invocation, however often it is made: the key says which it is.
    async fn queue(&self, due: &DueRotation, function: &FunctionName) -> Result<(), Error> {
        let event = serde_json::json!({
            "type": "neofn.secret.rotate",
            "secret": due.name,
            "version": due.version,
            "dueAt": due.due_at.to_iso8601(),
        });
        let call = Invoke {
            key: FunctionKey::new(due.project.clone(), function.clone()),
            event: Bytes::from(event.to_string()),
            idempotency: Some(format!("neofn-rotate-{}-{}", hex::encode(due.id.0), due.act_at.0)),
            fingerprint: None,
            trace: TraceContext::start(&*self.inner.options.entropy),
            origin: Origin::Cron,
            caller: Some(Caller::node()),
        };
        self.inner.clone().enqueue(call).await.map(drop)
    }
}

impl Reconciler for Rotations {
    const NAME: &'static str = "secret-rotations";

    async fn activate(&mut self) -> Report {
        let upkeep = match self.vault.activate().await {
            Ok(upkeep) => upkeep,
            Err(error) => {
                tracing::warn!(%error, "secrets not looked after");
                return Report::default();
            }
        };
        let mut did = u64::from(upkeep.expired);
        if upkeep.expired > 0 {
            let detail = format!("{} values whose time was over", upkeep.expired);
            self.act(None, "secret.expire", "vault", detail).await;
        }
        for due in &upkeep.due {
            let (project, secret) = (&due.project, &due.name);
            let told = match &due.action {
                Action::Remind => {
                    tracing::warn!(%project, %secret, since = due.due_at.to_iso8601(), "a secret is due to be rotated");
                    Ok(())
                }
                Action::Function(function) => self.queue(due, function).await,
            };
            // what could not be queued is tried again at the next activation
            let noted = match told {
                Ok(()) => self.vault.told(due).await,
                Err(error) => Err(error),
            };
            match noted {
                Ok(()) => {
                    did += 1;
                    let said = match &due.action {
                        Action::Remind => "somebody was reminded".to_owned(),
                        Action::Function(function) => format!("function {function} was queued"),
                    };
                    self.act(Some(project.clone()), "secret.rotate", secret.as_str(), said)
                        .await;
                }
                Err(error) => tracing::warn!(%project, %secret, %error, "a rotation was not begun"),
            }
        }
        Report { did, again: None }
    }
}
