//! `ctx.emit`: CloudEvents that are committed together with the result, or not at all.

use crate::overlay::Refusal;
use neofn_event::CloudEvent;
use neofn_types::{Code, FunctionKey, InvocationId, UnixMillis};
use serde_json::{Map, Value, json};

/// Events of one run.
const EVENTS_MAX: usize = 100;
/// Bytes of one event: what an event may have when it comes from outside.
const EVENT_BYTES_MAX: usize = 1 << 20;
/// Bytes of all events of one run.
const BYTES_MAX: usize = 4 << 20;

/// What a run has emitted so far.
#[derive(Debug, Default)]
pub(crate) struct Emitted {
    events: Vec<CloudEvent>,
    bytes: usize,
}

fn bad(message: impl Into<String>) -> Refusal {
    (Code::EmitInvalid, format!("ctx.emit: {}", message.into()))
}

impl Emitted {
    /// Takes an event over; answers its id.
    pub(crate) fn push(
        &mut self,
        input: &[u8],
        key: &FunctionKey,
        id: InvocationId,
        now: UnixMillis,
    ) -> Result<String, Refusal> {
        if self.events.len() >= EVENTS_MAX {
            let message = format!("ctx.emit: a run may emit {EVENTS_MAX} events");
            return Err((Code::HostCallLimit, message));
        }
        if input.len() > EVENT_BYTES_MAX || self.bytes.saturating_add(input.len()) > BYTES_MAX {
            let (one, all) = (EVENT_BYTES_MAX >> 20, BYTES_MAX >> 20);
            return Err(bad(format!(
                "an event may have {one} MiB, those of a run {all} MiB"
            )));
        }
        let mut given: Map<String, Value> =
            serde_json::from_slice(input).map_err(|e| bad(format!("the event is not understood: {e}")))?;
        given.retain(|_, value| !value.is_null());
        // nobody speaks in the name of another function
        given.insert("specversion".into(), json!("1.0"));
        given.insert("source".into(), json!(source(key)));
        let nth = self.events.len();
        given.entry("id").or_insert_with(|| json!(format!("{id}-{nth}")));
        given.entry("time").or_insert_with(|| json!(now.to_iso8601()));
        let event = CloudEvent::from_json(Value::Object(given)).map_err(|e| bad(e.to_string()))?;
        let id = event.id.clone();
        if self.events.iter().any(|known| known.id == id) {
            return Err(bad(format!("this run has emitted an event with the id {id:?}")));
        }
        self.bytes += input.len();
        self.events.push(event);
        Ok(id)
    }
    pub(crate) fn into_events(self) -> Vec<CloudEvent> {
        self.events
    }
}

/// The `source` of a function's events.
fn source(key: &FunctionKey) -> String {
    format!("/neofn/{}/{}", key.project, key.function)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn push(emitted: &mut Emitted, event: &Value) -> Result<String, Refusal> {
        let key = FunctionKey::new("demo".parse().unwrap(), "pay".parse().unwrap());
        let id = InvocationId::from_bytes([1; 16]);
        emitted.push(event.to_string().as_bytes(), &key, id, UnixMillis(0))
    }

    #[test]
    fn events_get_what_they_do_not_say() {
        let mut emitted = Emitted::default();
        let first = push(
            &mut emitted,
            &json!({"type": "a", "data": {"n": 1}, "subject": null}),
        )
        .unwrap();
        let second = push(
            &mut emitted,
            &json!({"type": "a", "id": "mine", "source": "/neofn/other/f"}),
        )
        .unwrap();
        assert!(first.ends_with("-0") && second == "mine");
        let events = emitted.into_events();
        assert_eq!(
            (events[0].source.as_str(), events[1].source.as_str()),
            ("/neofn/demo/pay", "/neofn/demo/pay")
        );
        assert_eq!(events[0].to_json()["data"], json!({"n": 1}));
        assert_eq!(events[0].time.as_deref(), Some("1970-01-01T00:00:00.000Z"));
    }

    #[test]
    fn whatever_an_event_has_goes_along() {
        let mut emitted = Emitted::default();
        let given = json!({
            "specversion": "1.0", "type": "a", "id": "1", "time": "2026-01-02T03:04:05Z", "subject": "s",
            "datacontenttype": "image/png", "dataschema": "https://example.org/s", "data_base64": "AAH/",
            "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "tenant": "acme", "n": 7,
        });
        push(&mut emitted, &given).unwrap();
        let mut wanted = given;
        wanted["source"] = json!("/neofn/demo/pay");
        assert_eq!(emitted.into_events()[0].to_json(), wanted);
    }

    #[test]
    fn what_is_no_event_is_refused() {
        let mut emitted = Emitted::default();
        push(&mut emitted, &json!({"type": "a", "id": "one"})).unwrap();
        for (bad, says) in [
            (json!({"data": 1}), "type"),
            (json!({"type": ""}), "type"),
            (json!({"type": "a", "time": "yesterday"}), "time"),
            (json!({"type": "a", "orderId": 7}), "orderId"),
            (json!({"type": "a", "order": {"id": 7}}), "order"),
            (
                json!({"type": "a", "id": "one"}),
                "has emitted an event with the id",
            ),
            (json!([1]), "not understood"),
            (json!({"type": "a", "data": "x".repeat(1 << 20)}), "1 MiB"),
        ] {
            let (code, message) = push(&mut emitted, &bad).unwrap_err();
            assert_eq!(code, Code::EmitInvalid);
            assert!(message.contains(says), "{message}");
        }
        let mut many = Emitted::default();
        let refused = (0..=EVENTS_MAX).find_map(|_| push(&mut many, &json!({"type": "a"})).err());
        assert_eq!(refused.unwrap().0, Code::HostCallLimit);
    }
}
