//! From records to what answers show. Pure translation.

use crate::error::stage;
use neofn_engine::LogEntry;
use neofn_engine::port::{InvocationRecord, Origin, Status, StoredFailure};
use neofn_engine::request::{Deployed, Replayed, RunFailure};
use neofn_registry::{FunctionRecord, VersionRecord};
use neofn_types::{Diagnostic, Severity, UnitsBill};
use neofn_wire::{
    DeployResponse, DiagnosticView, FunctionView, InvocationView, LogEvent, ReplayResponse, ReplaySide,
    UnitsView, VersionView,
};
use serde_json::value::RawValue;
use std::time::Duration;

/// Milliseconds with microseconds behind the point.
#[must_use]
pub fn millis(d: Duration) -> f64 {
    micros_as_millis(u64::try_from(d.as_micros()).unwrap_or(u64::MAX))
}

fn micros_as_millis(us: u64) -> f64 {
    // a run is bounded by minutes: far below where f64 loses microseconds
    u32::try_from(us).map_or(f64::INFINITY.min(1e12), f64::from) / 1_000.0
}

/// Units by kind.
#[must_use]
pub fn units(bill: &UnitsBill) -> UnitsView {
    UnitsView {
        total: bill.total,
        base: bill.base,
        compute: bill.compute,
        memory: bill.memory,
        host: bill.host,
        schedule: bill.schedule,
    }
}

pub(crate) fn diagnostic(d: &Diagnostic) -> DiagnosticView {
    DiagnosticView {
        code: d.code.to_string(),
        severity: match d.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        }
        .to_owned(),
        file: d.file.clone(),
        line: d.line,
        column: d.column,
        message: d.message.clone(),
        hint: d.hint.clone(),
        frame: d.frame.clone(),
    }
}

pub(crate) fn function(f: &FunctionRecord, live: &VersionRecord) -> FunctionView {
    FunctionView {
        id: f.id.to_string(),
        function_name: f.key.function.to_string(),
        project: f.key.project.to_string(),
        file_path: live.spec.main.clone(),
        runtime: live.spec.runtime.to_string(),
        is_active: f.active,
        public: live.spec.public,
        invocation_count: f.invocation_count,
        created_at: f.created_at.to_iso8601(),
        updated_at: f.updated_at.to_iso8601(),
        version: f.live.0,
        url: format!("/api/v1/functions/{}/{}", f.key.project, f.key.function),
    }
}

pub(crate) fn version(v: &VersionRecord, f: &FunctionRecord) -> VersionView {
    VersionView {
        version: v.version.0,
        digest: v.digest.to_string(),
        created_at: v.created_at.to_iso8601(),
        live: v.version == f.live,
    }
}

pub(crate) fn deployed(d: &Deployed) -> DeployResponse {
    DeployResponse {
        success: true,
        function: function(&d.function, &d.version),
        unchanged: d.unchanged,
        warnings: d.warnings.iter().map(diagnostic).collect(),
        timings: d
            .timings
            .iter()
            .map(|(at, took)| (stage(*at).to_owned(), millis(*took)))
            .collect(),
    }
}

/// As answers and filters name a state.
#[must_use]
pub fn status(status: Status) -> &'static str {
    match status {
        Status::Queued => "queued",
        Status::Running => "running",
        Status::Succeeded => "succeeded",
        Status::Failed => "failed",
        Status::Dead => "dead",
    }
}

fn origin(origin: Origin) -> &'static str {
    match origin {
        Origin::Sync => "sync",
        Origin::Async => "async",
        Origin::Chain => "chain",
        Origin::Http => "http",
        Origin::Replay => "replay",
        Origin::Block => "block",
        Origin::Cron => "cron",
        Origin::Event => "event",
    }
}

/// Stored results were checked when they were made; one that is damaged is shown as absent.
fn raw(json: &[u8]) -> Option<Box<RawValue>> {
    serde_json::from_slice(json).ok()
}

fn ended(status: Status) -> bool {
    matches!(status, Status::Succeeded | Status::Failed | Status::Dead)
}

fn succeeded(status: Status) -> Option<bool> {
    ended(status).then_some(status == Status::Succeeded)
}

pub(crate) fn invocation(r: &InvocationRecord) -> InvocationView {
    let failure = r.failure.as_ref();
    InvocationView {
        id: r.id.to_string(),
        status: status(r.status).to_owned(),
        project: r.key.project.to_string(),
        function: r.key.function.to_string(),
        version: r.version.0,
        attempt: r.attempt.0,
        origin: origin(r.origin).to_owned(),
        caller: r.caller.clone().map(Into::into),
        success: succeeded(r.status),
        result: r.result.as_deref().and_then(raw),
        code: failure.map(|f| f.code.to_string()),
        error: failure.map(|_| "Function execution failed".to_owned()),
        message: failure.map(|f| f.message.clone()),
        hint: failure.map(|f| f.code.info().cure.to_owned()),
        stack: failure.map(|f| f.stack.clone()),
        duration: ended(r.status).then(|| micros_as_millis(r.duration_us)),
        logs: r.logs.clone(),
        units: units(&r.units),
        trace_id: trace_id(&r.trace_id),
        created_at: r.created_at.to_iso8601(),
        finished_at: r.finished_at.map(neofn_types::UnixMillis::to_iso8601),
        run_at: r.run_at.map(neofn_types::UnixMillis::to_iso8601),
        waits: None,
    }
}

fn trace_id(id: &[u8; 16]) -> String {
    use std::fmt::Write as _;
    id.iter().fold(String::with_capacity(32), |mut text, byte| {
        // writing to a String cannot fail
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// An attempt that ended just now.
pub(crate) fn log_entry(e: &LogEntry) -> LogEvent {
    LogEvent {
        invocation_id: e.id.to_string(),
        time: e.at.to_iso8601(),
        version: e.version.0,
        status: status(e.status).to_owned(),
        logs: e.logs.clone(),
        duration: millis(e.duration),
        units: e.units.total,
        ..failure_of(e.failure.as_ref())
    }
}

/// The same of one in history.
pub(crate) fn log_record(r: &InvocationRecord) -> LogEvent {
    LogEvent {
        invocation_id: r.id.to_string(),
        time: r.finished_at.unwrap_or(r.created_at).to_iso8601(),
        version: r.version.0,
        status: status(r.status).to_owned(),
        logs: r.logs.clone(),
        duration: micros_as_millis(r.duration_us),
        units: r.units.total,
        ..failure_of(r.failure.as_ref())
    }
}

fn failure_of(failure: Option<&StoredFailure>) -> LogEvent {
    LogEvent {
        invocation_id: String::new(),
        time: String::new(),
        version: 0,
        status: String::new(),
        logs: Vec::new(),
        duration: 0.0,
        units: 0,
        code: failure.map(|f| f.code.to_string()),
        message: failure.map(|f| f.message.clone()),
        stack: failure.map(|f| f.stack.clone()),
    }
}

pub(crate) fn replayed(r: &Replayed) -> ReplayResponse {
    let before = &r.recorded;
    let recorded = ReplaySide {
        version: before.version.0,
        result: before.result.as_deref().and_then(raw),
        error: before
            .failure
            .as_ref()
            .map(|f| format!("{}: {}", f.code, f.message)),
        logs: before.logs.clone(),
        units: units(&before.units),
    };
    let now = r.outcome.as_ref();
    let replayed = ReplaySide {
        version: r.version.0,
        result: now.ok().and_then(|json| raw(json)),
        error: now
            .err()
            .map(|f: &RunFailure| format!("{}: {}", f.code, f.message)),
        logs: r.logs.clone(),
        units: units(&r.units),
    };
    let same_result = before.result.as_ref() == now.ok() && recorded.error == replayed.error;
    ReplayResponse {
        identical: r.diverged.is_none()
            && same_result
            && recorded.logs == replayed.logs
            && recorded.units == replayed.units,
        diverged: r.diverged.clone(),
        recorded,
        replayed,
    }
}
