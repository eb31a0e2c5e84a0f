//! Reads and switches of functions and history. Changes of one function happen one after another.

use crate::engine::{FunctionState, Inner};
use crate::error::{of_registry, of_store};
use crate::port::{InvocationFilter, InvocationRecord, Totals};
use crate::request::{Bundle, Callers};
use neofn_registry::VersionRecord;
use neofn_registry::port::{RegistryStoreError, Upon};
use neofn_types::{Code, Error, FunctionKey, FunctionName, InvocationId, ProjectName, RuntimeKind, Version};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;
use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};

/// Functions looked at in one go when callers are looked for.
const CALLERS_PAGE: u32 = 500;

/// One lock per function that is being changed.
#[derive(Default)]
pub(crate) struct Changes(Mutex<HashMap<FunctionKey, Arc<AsyncMutex<()>>>>);

impl Changes {
    pub(crate) async fn lock(&self, key: &FunctionKey) -> OwnedMutexGuard<()> {
        let lock = {
            let mut locks = self.0.lock();
            // what nobody else holds or waits for is only here
            locks.retain(|_, lock| Arc::strong_count(lock) > 1);
            locks.entry(key.clone()).or_default().clone()
        };
        lock.lock_owned().await
    }
}

impl Inner {
    /// The function as the store has it now.
    pub(crate) async fn current(
        &self,
        key: &FunctionKey,
    ) -> Result<Option<FunctionState>, RegistryStoreError> {
        let Some(function) = self.ports.registry.function(key).await? else {
            return Ok(None);
        };
        let version = self.ports.registry.version(key, function.live).await?;
        let version = version.ok_or(RegistryStoreError::VersionNotFound)?;
        Ok(Some((function, version)))
    }

    pub(crate) async fn function(&self, key: &FunctionKey) -> Result<FunctionState, Error> {
        self.recorder.flushed().await;
        let current = self.current(key).await.map_err(of_registry)?;
        current.ok_or(Code::FunctionNotFound.into())
    }

    pub(crate) async fn functions(
        &self,
        project: &ProjectName,
        after: Option<&FunctionName>,
        limit: u32,
    ) -> Result<Vec<FunctionState>, Error> {
        self.recorder.flushed().await;
        let listed = self.ports.registry.functions(project, after, limit).await;
        let mut states = Vec::new();
        for function in listed.map_err(of_registry)? {
            // a listing must not push what runs out of the memory
            if let Some(loaded) = self.cache.peek(&function.key, function.live) {
                states.push((function, loaded.record.clone()));
                continue;
            }
            let version = self.ports.registry.version(&function.key, function.live).await;
            // one that was deleted since is left out
            if let Some(version) = version.map_err(of_registry)? {
                states.push((function, version));
            }
        }
        Ok(states)
    }

    pub(crate) async fn versions(
        &self,
        key: &FunctionKey,
        before: Option<Version>,
        limit: u32,
    ) -> Result<Vec<VersionRecord>, Error> {
        let versions = self.ports.registry.versions(key, before, limit).await;
        let versions = versions.map_err(of_registry)?;
        if versions.is_empty() && before.is_none() {
            return Err(Code::FunctionNotFound.into());
        }
        Ok(versions)
    }

    /// Does a change in a task of its own, so that it is whole even if its caller goes away.
    async fn change<T, F>(
        self: Arc<Self>,
        key: FunctionKey,
        change: impl FnOnce(Arc<Self>, FunctionKey) -> F,
    ) -> Result<T, Error>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, Error>> + Send + 'static,
    {
        let inner = self.clone();
        let work = change(self.clone(), key.clone());
        let task = self.tasks.spawn(async move {
            let lock = inner.changes.lock(&key).await;
            let done = work.await;
            // also after a failure: the store may have done it before its answer was lost
            inner.cache.forget_live(&key);
            inner.triggers_changed().await;
            drop(lock);
            done
        });
        task.await.map_err(Error::internal)?
    }

    pub(crate) async fn way_back(
        &self,
        key: &FunctionKey,
        version: Option<Version>,
    ) -> Result<(VersionRecord, VersionRecord), Error> {
        let registry = &self.ports.registry;
        let (_, live) = self.function(key).await?;
        let found = match version {
            Some(version) => registry.version(key, version).await.map_err(of_registry)?,
            None => {
                let older = registry.versions(key, Some(live.version), 1).await;
                older.map_err(of_registry)?.pop()
            }
        };
        let missing = || match version {
            Some(_) => Error::from(Code::VersionNotFound),
            None => Error::new(
                Code::VersionNotFound,
                format!("{key} has no version before the live one"),
            ),
        };
        let found = found.ok_or_else(missing)?;
        Ok((live, found))
    }

    pub(crate) async fn rollback(
        self: Arc<Self>,
        key: FunctionKey,
        version: Version,
        upon: Upon,
    ) -> Result<FunctionState, Error> {
        self.change(key, move |inner, key| async move {
            let (function, _) = inner.function(&key).await?;
            let at = inner.options.clock.now();
            let moved = inner.ports.registry.set_live(&key, version, &upon, at).await;
            moved.map_err(of_registry)?;
            inner.gate.forget(&key);
            tracing::info!(function = %key, from = %function.live, to = %version, "rolled back");
            inner.function(&key).await
        })
        .await
    }

    pub(crate) async fn set_active(
        self: Arc<Self>,
        key: FunctionKey,
        active: bool,
    ) -> Result<FunctionState, Error> {
        self.change(key, move |inner, key| async move {
            let at = inner.options.clock.now();
            let switched = inner.ports.registry.set_active(&key, active, at).await;
            switched.map_err(of_registry)?;
            tracing::info!(function = %key, active, "switched");
            inner.function(&key).await
        })
        .await
    }

    pub(crate) async fn delete(self: Arc<Self>, key: FunctionKey, callers: Callers) -> Result<(), Error> {
        self.change(key, move |inner, key| async move {
            if callers == Callers::Refuse {
                inner.function(&key).await?;
                let names: Vec<String> = inner
                    .callers(&key)
                    .await?
                    .iter()
                    .map(ToString::to_string)
                    .collect();
                if !names.is_empty() {
                    let message = format!("{key} is called by {}", names.join(", "));
                    return Err(Error::new(Code::FunctionInUse, message));
                }
            }
            let deleted = inner.ports.registry.delete_function(&key).await;
            inner.cache.forget_function(&key);
            inner.gate.forget(&key);
            deleted.map_err(of_registry)?;
            inner.followers.close(&key);
            tracing::info!(function = %key, "deleted");
            Ok(())
        })
        .await
    }

    /// The other functions of the project whose live versions name this one in `ctx.invoke`, by name.
    pub(crate) async fn callers(&self, key: &FunctionKey) -> Result<Vec<FunctionName>, Error> {
        let mut callers = Vec::new();
        let mut after: Option<FunctionName> = None;
        loop {
            let page = self.functions(&key.project, after.as_ref(), CALLERS_PAGE).await?;
            let full = page.len() >= CALLERS_PAGE as usize;
            after = page.last().map(|(function, _)| function.key.function.clone());
            callers.extend(
                page.into_iter()
                    .filter(|(function, live)| {
                        function.key != *key && live.spec.calls.contains(&key.function)
                    })
                    .map(|(function, _)| function.key.function),
            );
            if !full {
                return Ok(callers);
            }
        }
    }

    pub(crate) async fn files(&self, key: &FunctionKey, version: Option<Version>) -> Result<Bundle, Error> {
        let registry = &self.ports.registry;
        let record = match version {
            Some(version) => {
                let record = registry.version(key, version).await.map_err(of_registry)?;
                record.ok_or(Error::from(Code::VersionNotFound))?
            }
            None => self.function(key).await?.1,
        };
        let stored = match (record.spec.runtime, record.artifact.files) {
            (RuntimeKind::Wasm, _) | (_, None) => {
                let module = registry.blob(record.artifact.code).await;
                return module.map(Bundle::Module).map_err(of_registry);
            }
            (RuntimeKind::Js, Some(files)) => registry.blob(files).await.map_err(of_registry)?,
        };
        serde_json::from_slice(&stored)
            .map(Bundle::Files)
            .map_err(Error::internal)
    }

    pub(crate) async fn invocation(&self, id: InvocationId) -> Result<InvocationRecord, Error> {
        self.recorder.flushed().await;
        let record = self.ports.invocations.invocation(id).await.map_err(of_store)?;
        record.ok_or(Code::InvocationNotFound.into())
    }

    pub(crate) async fn invocations(
        &self,
        key: &FunctionKey,
        filter: InvocationFilter,
    ) -> Result<Vec<InvocationRecord>, Error> {
        self.recorder.flushed().await;
        self.ports
            .invocations
            .invocations(key, filter)
            .await
            .map_err(of_store)
    }

    pub(crate) async fn totals(&self) -> Result<Totals, Error> {
        self.recorder.flushed().await;
        self.ports.invocations.totals().await.map_err(of_store)
    }
}
