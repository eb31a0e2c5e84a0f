//! What a message asks for: which function by its subject, with what by its headers and content.

use bytes::Bytes;
use neofn_api::{Call, json};
use neofn_bus::Message;
use neofn_event::CloudEvent;
use neofn_event::cloud::{Announced, Format, trace_of};
use neofn_types::{Code, Digest, Entropy, Error, FunctionKey, RuntimeKind, TraceContext};

/// The languages of subjects. `result`, `status` and `health` stand at their place for something else, which is why
/// they are listed.
pub(crate) const LANGUAGES: [&str; 6] = ["js", "wasm", "deno", "python", "go", "plugin"];
/// The project of a subject that names none.
const PROJECT: &str = "default";
/// Beside the id that a gateway gives a message in the queue: what its sender's is called.
pub(crate) const REQUEST_ID: &str = "Neofn-Request-Id";

/// What a subject names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Address {
    pub(crate) runtime: RuntimeKind,
    pub(crate) key: FunctionKey,
}

impl Address {
    /// Reads `PREFIX.LANGUAGE.NAME` or `PREFIX.LANGUAGE.PROJECT.NAME`.
    pub(crate) fn read(subject: &str) -> Result<Self, Error> {
        let unknown = |why: String| Error::new(Code::SubjectUnknown, why);
        let tokens: Vec<&str> = subject.split('.').collect();
        let (language, project, name) = match tokens[..] {
            [_, language, name] => (language, PROJECT, name),
            [_, language, project, name] => (language, project, name),
            _ => return Err(unknown(format!("{subject} does not name a function"))),
        };
        let runtime = language.parse().map_err(|e| unknown(format!("{subject}: {e}")))?;
        let key = neofn_api::function_key(project, name)
            .map_err(|e| unknown(format!("{subject}: {}", e.message)))?;
        Ok(Self { runtime, key })
    }
    /// What a sender's id is called for everybody: two functions may be sent the same id, and neither may take the other's
    /// place in the queue, which knows ids alone, or among the results. What has the form already keeps it.
    pub(crate) fn request_id(&self, id: &str) -> String {
        let place = format!("{}.{}.", self.key.project, self.key.function);
        let own = id.strip_prefix(&place).unwrap_or(id);
        format!("{place}{}", token(own))
    }
    /// The subject of the queue for it.
    pub(crate) fn job(&self) -> String {
        format!("jobs.{}.{}.{}", self.runtime, self.key.project, self.key.function)
    }
}

/// Refuses what is larger than an event may be, before anybody looks into it.
pub(crate) fn bounded(message: &Message) -> Result<(), Error> {
    match message.payload.len() <= json::EVENT_BYTES_MAX {
        true => Ok(()),
        false => Err(json::too_large(json::EVENT_BYTES_MAX)),
    }
}

/// Refuses a message whose headers could not be read: without them it would be another message.
pub(crate) fn readable(message: &Message) -> Result<(), Error> {
    message.unreadable.as_ref().map_or(Ok(()), |why| {
        let text = format!("the headers of this message cannot be read: {why}");
        Err(Error::new(Code::BadParameter, text))
    })
}

/// The event of a call: any JSON, or a CloudEvent in any form, which the function then gets as one object.
pub(crate) fn event(message: &Message) -> Result<Bytes, Error> {
    match announced(message)? {
        Announced::Plain => Ok(message.payload.clone()),
        Announced::Event(event) => json::cloud_event(&event),
        Announced::Batch(_) => Err(Error::new(
            Code::BadParameter,
            "a batch of CloudEvents is not one call: send them one by one, or to `events.PROJECT`",
        )),
    }
}

/// The CloudEvents of a message: one, or a batch. Without a word of what it is, it is one in JSON.
pub(crate) fn events(message: &Message) -> Result<Vec<CloudEvent>, Error> {
    Ok(match announced(message)? {
        Announced::Plain => vec![CloudEvent::from_json(json::request(&message.payload)?)?],
        Announced::Event(event) => vec![*event],
        Announced::Batch(events) => events,
    })
}

fn announced(message: &Message) -> Result<Announced, Error> {
    let content_type = message.get("content-type").unwrap_or_default();
    // the depth is ours to bound, before anybody builds a tree
    match Format::of(content_type)? {
        Some(Format::Json) => {
            let event = CloudEvent::from_json(json::request(&message.payload)?)?;
            return Ok(Announced::Event(Box::new(event)));
        }
        Some(Format::JsonBatch) => {
            let events = CloudEvent::batch_from_json(json::request(&message.payload)?)?;
            return Ok(Announced::Batch(events));
        }
        Some(Format::Protobuf | Format::ProtobufBatch) | None => {}
    }
    let binary = message.get("ce-specversion").is_some();
    if binary && (content_type.is_empty() || content_type.contains("json")) {
        json::event(message.payload.clone())?;
    }
    let headers: Vec<(&str, &str)> = message.iter().collect();
    Ok(Announced::read(&headers, &message.payload)?)
}

/// The idempotency key of a message that has none, in a namespace that no client can name a key in: for a public function
/// everybody is the same caller, and a key that was taken over HTTP before would keep the message from running.
pub(crate) fn key_of(token: &str) -> String {
    format!("{}{token}", neofn_api::EDGE_KEY)
}

/// The call of a message; without an idempotency key of its own it has `key`.
pub(crate) fn call(message: &Message, key: Option<&str>, entropy: &dyn Entropy) -> Result<Call, Error> {
    let own = message.get("idempotency-key");
    if own.is_some_and(|own| own.starts_with(neofn_api::EDGE_KEY)) {
        return Err(Error::new(
            Code::BadParameter,
            "`Idempotency-Key` must be visible ASCII characters",
        ));
    }
    let own = own.or(key).map(str::to_owned);
    Ok(Call {
        body: event(message)?,
        idempotency_key: own,
        fingerprint: None,
        trace: trace(message, entropy),
        here: false,
    })
}

/// The caller's trace, or that of his event, with a span of ours; or a new one.
pub(crate) fn trace(message: &Message, entropy: &dyn Entropy) -> TraceContext {
    let outer = match message
        .get("traceparent")
        .or_else(|| message.get("ce-traceparent"))
    {
        Some(text) => text.parse().ok(),
        None => {
            let headers: Vec<(&str, &str)> = message.iter().collect();
            trace_of(&headers, &message.payload)
        }
    };
    outer.map_or_else(|| TraceContext::start(entropy), |outer| outer.child(entropy))
}

/// Where the end of a request is said.
pub(crate) fn result_subject(request_id: &str) -> String {
    format!("function.result.{request_id}")
}

/// The project that a subject of a queue names; none when it names none that there could be.
pub(crate) fn project_of(subject: &str) -> Option<String> {
    let tokens: Vec<&str> = subject.split('.').collect();
    let name = match tokens[..] {
        ["events", project] | [_, _, project, _] => project,
        ["jobs", _, _] => PROJECT,
        _ => return None,
    };
    neofn_api::project_name(name).ok().map(|name| name.to_string())
}

/// Stands where a function stands in the name of a request. No function can be called so: their names begin with a letter
/// or a digit.
const EVENTS: &str = "_events";

/// What an id of an event is called for everybody, as [`Address::request_id`] for calls.
pub(crate) fn event_token(subject: &str, id: &str) -> String {
    let Some(project) = project_of(subject) else {
        return token(id);
    };
    let place = format!("{project}.{EVENTS}.");
    let own = id.strip_prefix(&place).unwrap_or(id);
    format!("{place}{}", token(own))
}

/// An id as a token of a subject: as it is, or its hash when it could not be one.
pub(crate) fn token(id: &str) -> String {
    let fits = (1..=64).contains(&id.len())
        && id
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
    if fits {
        id.to_owned()
    } else {
        Digest::of(id.as_bytes()).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use neofn_event::cloud::{BATCH_TYPE, PROTOBUF_TYPE, STRUCTURED_TYPE};

    #[test]
    fn subjects_name_functions() {
        let read = |s: &str| Address::read(s).map(|a| (a.runtime.as_str(), a.key.to_string()));
        assert_eq!(
            read("function.js.hello").unwrap(),
            ("js", "default/hello".to_owned())
        );
        assert_eq!(
            read("jobs.wasm.demo.sum").unwrap(),
            ("wasm", "demo/sum".to_owned())
        );
        for wrong in [
            "function.js",
            "function.cobol.x",
            "function.js.a.b.c",
            "function.js.UPPER",
            "function.js.-",
        ] {
            assert_eq!(read(wrong).unwrap_err().code, Code::SubjectUnknown, "{wrong}");
        }
        let address = Address::read("function.js.hello").unwrap();
        assert_eq!(Address::read(&address.job()).unwrap(), address);
    }

    #[test]
    fn what_is_larger_than_an_event_is_refused_unread() {
        let sent = |bytes| bounded(&Message::new(vec![b'{'; bytes])).map_err(|e| e.code);
        assert_eq!(sent(1 << 20), Ok(()));
        assert_eq!(sent((1 << 20) + 1), Err(Code::BodyTooLarge));
    }

    #[test]
    fn ids_become_tokens() {
        let [a, b] = ["jobs.js.demo.a", "jobs.js.demo.b"].map(|s| Address::read(s).unwrap());
        assert_eq!(a.request_id("order-7"), "demo.a.order-7");
        assert_eq!(b.request_id("order-7"), "demo.b.order-7");
        for id in ["order-7", "a b"] {
            assert_eq!(
                a.request_id(&a.request_id(id)),
                a.request_id(id),
                "it is derived once"
            );
        }
        assert_eq!(token("order-7"), "order-7");
        for odd in ["", "a.b", "a b", "*", &"x".repeat(65)] {
            assert_eq!(token(odd).len(), 64, "{odd:?}");
        }
    }

    #[test]
    fn an_event_is_not_told_where_a_function_is() {
        assert_eq!(event_token("events.demo", "order-7"), "demo._events.order-7");
        assert_eq!(
            event_token("events.demo", "demo._events.order-7"),
            "demo._events.order-7"
        );
        let function = Address::read("jobs.js.demo.events").unwrap();
        assert_ne!(
            function.request_id("order-7"),
            event_token("events.demo", "order-7")
        );
        assert!(
            EVENTS.parse::<neofn_types::FunctionName>().is_err(),
            "a function could be called so"
        );
    }

    #[test]
    fn an_event_brings_its_trace_along() {
        let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let json =
            format!(r#"{{"specversion":"1.0","id":"1","source":"/s","type":"t","traceparent":"{parent}"}}"#);
        let structured = Message::new(json).header("Content-Type", STRUCTURED_TYPE);
        let binary = Message::new("1")
            .header("ce-specversion", "1.0")
            .header("ce-traceparent", parent);
        for message in [
            structured,
            binary,
            Message::new("1").header("traceparent", parent),
        ] {
            let found = trace(&message, &Zeros);
            assert_eq!(found.trace_id_hex(), "0af7651916cd43dd8448eb211c80319c");
        }
        assert_ne!(
            trace(&Message::new("1"), &Zeros).trace_id_hex(),
            "0af7651916cd43dd8448eb211c80319c"
        );
    }

    #[test]
    fn no_client_can_send_the_key_that_a_message_gets() {
        let key = key_of("demo.echo.order-9");
        let kept = call(&Message::new("1"), Some(&key), &Zeros).unwrap();
        assert_eq!(kept.idempotency_key.as_deref(), Some(&*key));
        assert!(!key.bytes().all(|b| b.is_ascii_graphic()), "HTTP could send it");
        let own = Message::new("1").header("Idempotency-Key", &*key);
        let refused = call(&own, None, &Zeros).err().map(|e| e.code);
        assert_eq!(refused, Some(Code::BadParameter));
        let own = Message::new("1").header("Idempotency-Key", "order-9");
        let kept = call(&own, Some(&key), &Zeros).unwrap();
        assert_eq!(kept.idempotency_key.as_deref(), Some("order-9"));
    }

    struct Zeros;
    impl Entropy for Zeros {
        fn fill(&self, bytes: &mut [u8]) {
            bytes.fill(0);
        }
    }

    #[test]
    fn events_come_as_json_or_as_cloudevents() {
        let json = br#"{"specversion":"1.0","id":"1","source":"/s","type":"t","data":{"n":1}}"#;
        let structured =
            Message::new(&json[..]).header("Content-Type", "application/cloudevents+json; charset=utf-8");
        let binary = Message::new(&br#"{"n":1}"#[..])
            .header("ce-specversion", "1.0")
            .header("ce-id", "1")
            .header("ce-source", "/s")
            .header("ce-type", "t");
        assert_eq!(event(&structured).unwrap(), &json[..]);
        assert_eq!(event(&binary).unwrap(), &json[..]);
        // without its type it is JSON as any other
        assert_eq!(event(&Message::new("[1]")).unwrap(), "[1]");
        let protobuf = CloudEvent::from_json(serde_json::from_slice(json).unwrap()).unwrap();
        let protobuf = Message::new(protobuf.to_protobuf()).header("Content-Type", PROTOBUF_TYPE);
        assert_eq!(event(&protobuf).unwrap(), &json[..]);
        assert_eq!(events(&protobuf).unwrap().len(), 1);
        let unread = Message::new("<event/>").header("Content-Type", "application/cloudevents+xml");
        assert_eq!(event(&unread).unwrap_err().code, Code::EventFormat);
        assert_eq!(events(&unread).unwrap_err().code, Code::EventFormat);
        let wrong = Message::new("{}").header("Content-Type", STRUCTURED_TYPE);
        assert_eq!(event(&wrong).unwrap_err().code, Code::EventInvalid);
        assert_eq!(events(&binary).unwrap().len(), 1);
        let batch = Message::new(format!("[{0},{0}]", String::from_utf8_lossy(json)))
            .header("Content-Type", BATCH_TYPE);
        assert_eq!(events(&batch).unwrap().len(), 2);
    }
}
