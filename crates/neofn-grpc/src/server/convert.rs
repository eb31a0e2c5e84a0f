//! Between the messages of `neofn.v1` and what use cases take and answer.

use crate::packed::Packed;
use crate::pb;
use base64::Engine as _;
use neofn_api::json;
use neofn_types::{Code, Error, JsonText};
use neofn_wire::{
    DeployRequest, DiagnosticView, FunctionView, InvocationView, LimitsRequest, LogEvent, PublishAnswer,
    SmokeTestRequest,
};
use prost_types::value::Kind;
use serde_json::{Map, Number, Value};

/// Most objects and arrays around a value, as in JSON bodies.
const DEPTH_MAX: usize = json::DEPTH_MAX;

/// A deployment of the function `name`.
pub(super) fn deployment(name: String, request: pb::DeployRequest) -> Result<DeployRequest, Error> {
    use pb::deploy_request::Code as Given;
    let mut deploy = DeployRequest {
        function_name: name,
        main: request.main,
        runtime: request.runtime,
        public: request.public,
        limits: request.limits.map(|limits| LimitsRequest {
            units: limits.units,
            time: limits.time,
            memory: limits.memory,
            concurrency: limits.concurrency,
        }),
        allow: request.allow.map(|allow| object("allow", &allow)).transpose()?,
        on: request.on.map(|on| object("on", &on)).transpose()?,
        test: request.test.map(smoke_test).transpose()?,
        ..DeployRequest::default()
    };
    match request.code {
        None => {}
        Some(Given::Source(source)) => deploy.source = Some(source),
        Some(Given::Files(files)) => deploy.files = Some(files.files.into_iter().collect()),
        Some(Given::Module(module)) => {
            deploy.module = Some(base64::engine::general_purpose::STANDARD.encode(module));
        }
    }
    Ok(deploy)
}

fn smoke_test(test: pb::SmokeTest) -> Result<SmokeTestRequest, Error> {
    Ok(SmokeTestRequest {
        event: test
            .event
            .map(|event| any("test.event", &event, json::EVENT_BYTES_MAX))
            .transpose()?
            .unwrap_or_default(),
        expect: test
            .expect
            .map(|expect| any("test.expect", &expect, json::SETTING_BYTES_MAX))
            .transpose()?,
    })
}

fn object(name: &str, fields: &Packed<prost_types::Struct>) -> Result<JsonText, Error> {
    let fields = unpack(name, fields, json::SETTING_BYTES_MAX)?;
    members(fields, 0).map(|object| JsonText::from(&object))
}

fn any(name: &str, given: &Packed<prost_types::Value>, most: usize) -> Result<JsonText, Error> {
    let given = unpack(name, given, most)?;
    value(given, 0).map(|value| JsonText::from(&value))
}

/// A member of a request, which the packed form is bounded like the text of in other edges.
fn unpack<M: prost::Message + Default>(name: &str, packed: &Packed<M>, most: usize) -> Result<M, Error> {
    if packed.size() > most {
        return Err(json::member_too_large(name, packed.size(), most));
    }
    packed
        .unpack()
        .map_err(|e| Error::new(Code::RequestInvalid, format!("`{name}`: {e}")))
}

fn members(fields: prost_types::Struct, depth: usize) -> Result<Value, Error> {
    let fields = fields.fields.into_iter();
    let members = fields.map(|(name, field)| Ok((name, value(field, depth + 1)?)));
    members.collect::<Result<Map<_, _>, Error>>().map(Value::Object)
}

/// JSON of a value; whole numbers come without a point.
fn value(given: prost_types::Value, depth: usize) -> Result<Value, Error> {
    if depth > DEPTH_MAX {
        return Err(Code::JsonTooDeep.into());
    }
    Ok(match given.kind {
        None | Some(Kind::NullValue(_)) => Value::Null,
        Some(Kind::BoolValue(b)) => Value::Bool(b),
        Some(Kind::StringValue(text)) => Value::String(text),
        Some(Kind::NumberValue(n)) => Value::Number(number(n)?),
        Some(Kind::StructValue(fields)) => members(fields, depth)?,
        Some(Kind::ListValue(list)) => {
            let items = list.values.into_iter().map(|item| value(item, depth + 1));
            Value::Array(items.collect::<Result<_, _>>()?)
        }
    })
}

fn number(n: f64) -> Result<Number, Error> {
    // the shortest form that reads back the same, which for whole numbers is that of an integer
    let text = n.to_string();
    text.parse().map_err(|_| {
        Error::new(
            Code::RequestInvalid,
            format!("{text} is not a number that JSON can say"),
        )
    })
}

/// A function.
pub(super) fn function(view: FunctionView) -> pb::Function {
    pb::Function {
        id: view.id,
        project: view.project,
        function: view.function_name,
        runtime: view.runtime,
        main: view.file_path,
        active: view.is_active,
        public: view.public,
        version: view.version,
        invocation_count: view.invocation_count,
        created_at: view.created_at,
        updated_at: view.updated_at,
    }
}

/// A finding.
pub(super) fn diagnostic(view: DiagnosticView) -> pb::Diagnostic {
    pb::Diagnostic {
        code: view.code,
        severity: view.severity,
        file: view.file,
        line: view.line,
        column: view.column,
        message: view.message,
        hint: view.hint,
    }
}

/// An ended invocation in a log.
pub(super) fn log_entry(entry: LogEvent) -> pb::LogEntry {
    pb::LogEntry {
        invocation_id: entry.invocation_id,
        time: entry.time,
        version: entry.version,
        status: entry.status,
        lines: entry.logs,
        duration_ms: entry.duration,
        units: entry.units,
        code: entry.code.unwrap_or_default(),
        message: entry.message.unwrap_or_default(),
        stack: entry.stack.unwrap_or_default(),
        missed: 0,
    }
}

/// An invocation.
pub(super) fn invocation(view: InvocationView) -> pb::Invocation {
    pb::Invocation {
        id: view.id,
        project: view.project,
        function: view.function,
        version: view.version,
        status: view.status,
        attempt: view.attempt,
        origin: view.origin,
        result: view.result.map(|json| json.get().as_bytes().to_vec()),
        code: view.code.unwrap_or_default(),
        message: view.message.unwrap_or_default(),
        hint: view.hint.unwrap_or_default(),
        stack: view.stack.unwrap_or_default(),
        logs: view.logs,
        duration_ms: view.duration,
        units: view.units.total,
        trace_id: view.trace_id,
        created_at: view.created_at,
        finished_at: view.finished_at.unwrap_or_default(),
        run_at: view.run_at.unwrap_or_default(),
    }
}

/// What became of published events.
pub(super) fn published(answer: PublishAnswer) -> pb::PublishEventsResponse {
    let events = answer.events.into_iter().map(|event| pb::PublishedEvent {
        id: event.id,
        deliveries: event
            .deliveries
            .into_iter()
            .map(|d| pb::Delivery {
                trigger: d.trigger,
                invocation_id: d.invocation_id,
                duplicate: d.duplicate,
            })
            .collect(),
    });
    pb::PublishEventsResponse {
        events: events.collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use prost_types::Value as Given;

    #[test]
    fn what_is_no_code_is_bounded_before_it_is_unpacked() {
        let text = |bytes: usize| Given {
            kind: Some(Kind::StringValue("x".repeat(bytes))),
        };
        let fields = |bytes: usize| prost_types::Struct {
            fields: [("kv".to_owned(), text(bytes))].into(),
        };
        let (much, more) = (json::SETTING_BYTES_MAX, json::EVENT_BYTES_MAX);
        let test = |event: usize, expect: usize| pb::DeployRequest {
            test: Some(pb::SmokeTest {
                event: Some(text(event).into()),
                expect: Some(text(expect).into()),
            }),
            ..pb::DeployRequest::default()
        };
        let allow = |bytes: usize| pb::DeployRequest {
            allow: Some(fields(bytes).into()),
            ..pb::DeployRequest::default()
        };
        let on = pb::DeployRequest {
            on: Some(fields(much).into()),
            ..pb::DeployRequest::default()
        };
        let refused = [allow(much), on, test(more, 1), test(1, much)]
            .map(|request| deployment("f".to_owned(), request).unwrap_err().message);
        assert_eq!(
            refused,
            [
                "`allow` has 262160 bytes; it may have 262144 bytes (256 KiB)",
                "`on` has 262160 bytes; it may have 262144 bytes (256 KiB)",
                "`test.event` has 1048580 bytes; it may have 1048576 bytes (1 MiB)",
                "`test.expect` has 262148 bytes; it may have 262144 bytes (256 KiB)",
            ]
        );
        assert_eq!(
            deployment("f".to_owned(), allow(1)).unwrap().allow.unwrap().get(),
            "{\"kv\":\"x\"}"
        );
    }

    #[test]
    fn values_become_json() {
        let number = |n| {
            value(
                Given {
                    kind: Some(Kind::NumberValue(n)),
                },
                0,
            )
        };
        for (n, shown) in [(1.0, "1"), (-0.5, "-0.5"), (1e15, "1000000000000000")] {
            assert_eq!(number(n).unwrap().to_string(), shown);
        }
        assert!(number(f64::NAN).is_err() && number(f64::INFINITY).is_err());
        let mut deep = Given { kind: None };
        for _ in 0..200 {
            deep = Given {
                kind: Some(Kind::ListValue(prost_types::ListValue { values: vec![deep] })),
            };
        }
        assert_eq!(value(deep, 0).unwrap_err().code, Code::JsonTooDeep);
    }
}
