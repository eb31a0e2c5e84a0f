//! The deployment pipeline: validate, compile, snapshot, test, publish. Whatever fails, what was live still is.

use crate::cache::{Compiled, Loaded, millis, prepare};
use crate::call::first_run;
use crate::engine::Inner;
use crate::error::{draining, of_registry};
use crate::expect::mismatch;
use crate::host::Effects;
use crate::port::{CompileRefusal, Source};
use crate::request::{Bundle, Deploy, DeployError, Deployed, Stage};
use crate::stack::DebugInfo;
use crate::stats::count;
use bytes::Bytes;
use neofn_event::spec::Finding;
use neofn_registry::port::{Publish, RegistryStoreError, Upon};
use neofn_registry::{ArtifactRef, SmokeTest, VersionRecord, VersionSpec};
use neofn_runtime::port::{Artifact, PrepareError};
use neofn_types::{
    Code, Diagnostic, Digest, Error, FunctionKey, FunctionName, RuntimeKind, Severity, TraceContext, Version,
};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Code on its way to a version.
struct Built {
    code: Bytes,
    source_map: Option<Bytes>,
    files: Option<BTreeMap<String, String>>,
    warnings: Vec<Diagnostic>,
    calls: Vec<FunctionName>,
}

/// What is published, beside its code.
struct Next {
    key: FunctionKey,
    upon: Upon,
    spec: VersionSpec,
    digest: Digest,
}

impl DeployError {
    pub(crate) fn at(stage: Stage, error: impl Into<Error>) -> Self {
        Self {
            stage,
            error: error.into(),
            diagnostics: Vec::new(),
            logs: Vec::new(),
        }
    }
    /// Refused for its triggers.
    #[must_use]
    pub fn triggers(findings: &[Finding]) -> Self {
        Self::findings(
            Stage::Validate,
            findings.iter().map(Finding::diagnostic).collect(),
        )
    }
    fn findings(stage: Stage, diagnostics: Vec<Diagnostic>) -> Self {
        let error = match diagnostics.first() {
            Some(d) => Error::new(d.code, d.message.clone()).hint(d.hint.clone()),
            None => Code::Syntax.into(),
        };
        Self {
            diagnostics,
            ..Self::at(stage, error)
        }
    }
}

impl Inner {
    pub(crate) async fn deploy(self: Arc<Self>, deploy: Deploy) -> Result<Deployed, DeployError> {
        if self.draining.load(Ordering::Acquire) {
            return Err(DeployError::at(Stage::Validate, draining()));
        }
        let tasks = self.tasks.clone();
        // a task of its own: a client that goes away must not stop between publishing and forgetting the old version
        let task = tasks.spawn(async move {
            let lock = self.changes.lock(&deploy.key).await;
            // after the lock: waiting for one's turn at a function takes no place from others
            let place = self.deploys.acquire().await.ok();
            let key = deploy.key.clone();
            let deployed = self.pipeline(deploy).await;
            drop(place);
            drop(lock);
            match &deployed {
                Ok(d) if d.unchanged => {}
                Ok(d) => {
                    count(&self.counters.deploys);
                    tracing::info!(function = %key, version = %d.version.version, "deployed");
                }
                Err(e) => {
                    count(&self.counters.deploys_refused);
                    tracing::info!(function = %key, stage = ?e.stage, error = %e.error, source = ?e.error.source, "deployment refused");
                }
            }
            deployed
        });
        match task.await {
            Ok(deployed) => deployed,
            Err(panicked) => Err(DeployError::at(Stage::Validate, Error::internal(panicked))),
        }
    }

    async fn pipeline(self: &Arc<Self>, mut deploy: Deploy) -> Result<Deployed, DeployError> {
        let begun = self.options.clock.monotonic();
        self.check_triggers(&mut deploy.on).await?;
        let mut spec = self
            .spec(&deploy)
            .map_err(|e| DeployError::at(Stage::Validate, e))?;
        let digest = spec.digest(self.ports.runtime.engine(spec.runtime));
        let failed = |e| DeployError::at(Stage::Validate, of_registry(e));
        let live = self.current(&deploy.key).await.map_err(failed)?;
        let next = Version(1 + live.as_ref().map_or(0, |(_, v)| v.version.0));
        // the store looks again: this spares the work
        let moved = !deploy.upon.holds(live.as_ref().map(|(_, live)| live));
        if let Some((function, version)) = live
            && version.digest == digest
        {
            return Ok(Deployed {
                function,
                version,
                created: false,
                unchanged: true,
                warnings: Vec::new(),
                timings: vec![(Stage::Validate, self.since(begun))],
            });
        }
        if moved {
            return Err(DeployError::at(Stage::Validate, Code::LiveMoved));
        }
        let mut timings = Vec::new();
        let mut built = self.build_code(deploy.bundle, &spec, &mut timings).await?;
        spec.calls = std::mem::take(&mut built.calls);
        let begun = self.options.clock.monotonic();
        let (artifact, top_level_logs) = self.snapshot(&spec, &built).await?;
        timings.push((Stage::Snapshot, self.since(begun)));
        let artifact = Arc::new(artifact);
        if let Some(test) = &spec.test {
            let begun = self.options.clock.monotonic();
            let candidate = self.candidate(&deploy.key, next, digest, &spec, &artifact);
            self.smoke_test(candidate, test, &built, top_level_logs).await?;
            timings.push((Stage::Test, self.since(begun)));
        }
        let begun = self.options.clock.monotonic();
        let next = Next {
            key: deploy.key.clone(),
            upon: deploy.upon,
            spec,
            digest,
        };
        let published = self.publish(next, &built, &artifact).await;
        let published = published.map_err(|e| DeployError::at(Stage::Publish, of_registry(e)))?;
        timings.push((Stage::Publish, self.since(begun)));
        let loaded = Loaded {
            record: published.version.clone(),
            compiled: Compiled::of(&artifact),
        };
        self.cache.put(
            Arc::new(loaded),
            millis(self.options.clock.monotonic()),
            self.options.cache_entries_max,
        );
        self.cache.forget_live(&deploy.key);
        self.gate.forget(&deploy.key);
        // before the answer, so that "latest" is the newest block of this moment
        self.triggers_changed().await;
        Ok(Deployed {
            function: published.function,
            version: published.version,
            created: published.created,
            unchanged: published.unchanged,
            warnings: built.warnings,
            timings,
        })
    }

    fn since(&self, begun: Duration) -> Duration {
        self.options.clock.monotonic().saturating_sub(begun)
    }

    fn spec(&self, deploy: &Deploy) -> Result<VersionSpec, Error> {
        let invalid = |message: String| Error::new(Code::ManifestInvalid, message);
        deploy
            .limits
            .check(&self.options.limits_max)
            .map_err(|e| invalid(e.to_string()))?;
        let source = match (&deploy.bundle, deploy.runtime) {
            (Bundle::Files(files), RuntimeKind::Js) => {
                let parts = files
                    .iter()
                    .flat_map(|(path, text)| [path.as_bytes(), text.as_bytes()]);
                Digest::of_parts(&parts.collect::<Vec<_>>())
            }
            (Bundle::Module(module), RuntimeKind::Wasm) => Digest::of(module),
            (Bundle::Files(_), RuntimeKind::Wasm) => {
                return Err(invalid(
                    "runtime \"wasm\" takes a module, not source files".to_owned(),
                ));
            }
            (Bundle::Module(_), RuntimeKind::Js) => {
                return Err(invalid(
                    "runtime \"js\" takes source files, not a module".to_owned(),
                ));
            }
        };
        Ok(VersionSpec {
            runtime: deploy.runtime,
            main: deploy.main.clone(),
            source,
            public: deploy.public,
            limits: deploy.limits,
            grants: deploy.grants.clone(),
            on: deploy.on.clone(),
            test: deploy.test.clone(),
            calls: Vec::new(),
        })
    }

    async fn build_code(
        &self,
        bundle: Bundle,
        spec: &VersionSpec,
        timings: &mut Vec<(Stage, Duration)>,
    ) -> Result<Built, DeployError> {
        let files = match bundle {
            // the runtime validates and compiles a module when it makes the artifact
            Bundle::Module(code) => {
                return Ok(Built {
                    code,
                    source_map: None,
                    files: None,
                    warnings: Vec::new(),
                    calls: Vec::new(),
                });
            }
            Bundle::Files(files) => files,
        };
        let source = Source {
            files: &files,
            main: &spec.main,
            grants: &spec.grants,
        };
        let compiled = self
            .ports
            .compiler
            .compile(source)
            .await
            .map_err(|refusal| match refusal {
                CompileRefusal::Rejected {
                    bundling,
                    diagnostics,
                } => {
                    let stage = if bundling { Stage::Compile } else { Stage::Validate };
                    DeployError::findings(stage, diagnostics)
                }
                CompileRefusal::Unavailable(why) => DeployError::at(
                    Stage::Compile,
                    Error::new(Code::HostUnavailable, "the compiler process is not available").because(why),
                ),
                CompileRefusal::Defect(why) => DeployError::at(
                    Stage::Compile,
                    Error::new(Code::Internal, "the compiler failed on this source").because(why),
                ),
            })?;
        timings.push((Stage::Validate, compiled.validate));
        timings.push((Stage::Compile, compiled.compile));
        Ok(Built {
            code: compiled.code,
            source_map: Some(compiled.source_map),
            files: Some(files),
            warnings: compiled.warnings,
            calls: compiled
                .calls
                .iter()
                .filter_map(|name| name.parse().ok())
                .collect(),
        })
    }

    fn debug_of(&self, built: &Built) -> DebugInfo {
        DebugInfo::new(
            &*self.ports.compiler,
            built.source_map.as_deref(),
            built.files.clone().unwrap_or_default(),
        )
    }

    async fn snapshot(
        &self,
        spec: &VersionSpec,
        built: &Built,
    ) -> Result<(Artifact, Vec<String>), DeployError> {
        let prepared = self
            .ports
            .runtime
            .prepare(prepare(spec, built.code.clone()))
            .await;
        let failure = match prepared {
            Ok(ready) => return Ok(ready),
            Err(PrepareError::Unavailable(why)) => {
                return Err(DeployError::at(
                    Stage::Snapshot,
                    Error::from(Code::SandboxLost).because(why),
                ));
            }
            Err(PrepareError::Nobody(failure)) => {
                let nobody = Error::new(failure.code, failure.message);
                return Err(DeployError::at(Stage::Snapshot, nobody));
            }
            Err(PrepareError::Refused(failure)) => failure,
        };
        // a run's codes mean something else before there is a version: the top level failed
        let code = if failure.code.as_str().starts_with("NF01") {
            failure.code
        } else {
            Code::EvaluateFailed
        };
        let finding = self
            .debug_of(built)
            .diagnose(&*self.ports.compiler, code, &failure);
        let mut diagnostics = vec![finding];
        diagnostics.extend(built.warnings.iter().cloned());
        Err(DeployError::findings(Stage::Snapshot, diagnostics))
    }

    /// The version as it would be, for its smoke test.
    fn candidate(
        &self,
        key: &FunctionKey,
        version: Version,
        digest: Digest,
        spec: &VersionSpec,
        artifact: &Arc<Artifact>,
    ) -> Arc<Loaded> {
        let reference = ArtifactRef {
            artifact: artifact.digest,
            engine: artifact.engine,
            code: artifact.digest,
            source_map: None,
            files: None,
        };
        let record = VersionRecord {
            key: key.clone(),
            version,
            digest,
            created_at: self.options.clock.now(),
            spec: spec.clone(),
            artifact: reference,
        };
        Arc::new(Loaded {
            record,
            compiled: Compiled::of(artifact),
        })
    }

    async fn smoke_test(
        self: &Arc<Self>,
        candidate: Arc<Loaded>,
        test: &SmokeTest,
        built: &Built,
        mut logs: Vec<String>,
    ) -> Result<(), DeployError> {
        let (id, _) = self.new_id();
        let event = Bytes::from(test.event.get().to_owned());
        let trace = TraceContext::start(&*self.options.entropy);
        let debug = Arc::new(self.debug_of(built));
        let run = crate::run::Run {
            effects: Effects::Discarded,
            debug: Some(debug.clone()),
            ..first_run(&candidate, id, event, trace)
        };
        let ended = self.run(run).await;
        logs.extend(ended.logs);
        let refuse = |message: String, diagnostics| DeployError {
            logs: logs.clone(),
            diagnostics,
            ..DeployError::at(Stage::Test, Error::new(Code::SmokeTestFailed, message))
        };
        let result = match ended.outcome {
            Ok(result) => result,
            Err(failure) => {
                let finding = debug.finding(Code::SmokeTestFailed, &failure);
                return Err(refuse(failure.message, vec![finding]));
            }
        };
        let Some(expect) = &test.expect else {
            return Ok(());
        };
        let failed = |e| DeployError::at(Stage::Test, Error::internal(e));
        let expect = expect.tree().map_err(failed)?;
        let result = serde_json::from_slice(&result).map_err(failed)?;
        match mismatch(&expect, &result) {
            None => Ok(()),
            Some(difference) => {
                let finding = Diagnostic {
                    code: Code::SmokeTestFailed,
                    severity: Severity::Error,
                    file: candidate.record.spec.main.clone(),
                    line: 0,
                    column: 0,
                    length: 1,
                    message: difference.clone(),
                    hint: "Correct the handler, or `expect` of the function's test.".to_owned(),
                    frame: String::new(),
                };
                Err(refuse(difference, vec![finding]))
            }
        }
    }

    async fn publish(
        &self,
        next: Next,
        built: &Built,
        artifact: &Artifact,
    ) -> Result<neofn_registry::port::Published, RegistryStoreError> {
        let registry = &self.ports.registry;
        let files = built.files.as_ref().map(|files| {
            // a map of strings always serialises
            Bytes::from(serde_json::to_vec(files).unwrap_or_default())
        });
        let optional = |bytes: Option<Bytes>| async {
            match bytes {
                Some(bytes) => registry.put_blob(bytes).await.map(Some),
                None => Ok(None),
            }
        };
        // together: the store commits them in one group
        let (artifact_digest, code, source_map, files) = tokio::try_join!(
            registry.put_blob(artifact.bytes.clone()),
            registry.put_blob(built.code.clone()),
            optional(built.source_map.clone()),
            optional(files),
        )?;
        let (new_id, at) = self.new_id();
        registry
            .publish(Publish {
                key: next.key,
                new_id,
                spec: next.spec,
                digest: next.digest,
                artifact: ArtifactRef {
                    artifact: artifact_digest,
                    engine: artifact.engine,
                    code,
                    source_map,
                    files,
                },
                upon: next.upon,
                at,
            })
            .await
    }
}
