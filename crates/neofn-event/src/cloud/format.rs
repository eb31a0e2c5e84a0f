//! The formats of the structured mode, as content types name them.

use super::EventError;
use super::binary::{BATCH_TYPE, STRUCTURED_TYPE};
use super::protobuf::{PROTOBUF_BATCH_TYPE, PROTOBUF_TYPE};
use neofn_types::Code;

/// What every content type of the structured mode begins with.
const PREFIX: &str = "application/cloudevents";
/// Of a content type that is not read, so much is shown.
const SHOWN_MAX: usize = 60;

/// A format that is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// One event in JSON.
    Json,
    /// A batch in JSON.
    JsonBatch,
    /// One event in protobuf.
    Protobuf,
    /// A batch in protobuf.
    ProtobufBatch,
}

impl Format {
    /// The format that a content type names; none when it names nothing of CloudEvents. What names one that is not read is
    /// refused (NF0712): taken for a body of any other kind it would reach a function as something that it is not.
    pub fn of(content_type: &str) -> Result<Option<Self>, EventError> {
        let media_type = content_type.split(';').next().unwrap_or_default().trim();
        let known = [
            (STRUCTURED_TYPE, Self::Json),
            (BATCH_TYPE, Self::JsonBatch),
            (PROTOBUF_TYPE, Self::Protobuf),
            (PROTOBUF_BATCH_TYPE, Self::ProtobufBatch),
        ];
        let found = known
            .into_iter()
            .find(|(name, _)| media_type.eq_ignore_ascii_case(name));
        if let Some((_, format)) = found {
            return Ok(Some(format));
        }
        if !media_type.to_ascii_lowercase().starts_with(PREFIX) {
            return Ok(None);
        }
        let shown: String = media_type.chars().take(SHOWN_MAX).collect();
        let message = format!(
            "{} is not read here: send {STRUCTURED_TYPE} or {PROTOBUF_TYPE}, a batch as {BATCH_TYPE} or \
             {PROTOBUF_BATCH_TYPE}, or `ce-` headers with the data as the body",
            shown.escape_debug()
        );
        Err(EventError {
            code: Code::EventFormat,
            ..EventError::new("", message)
        })
    }
    /// Whether it holds any number of events.
    #[must_use]
    pub fn is_batch(self) -> bool {
        matches!(self, Self::JsonBatch | Self::ProtobufBatch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_read_is_refused_and_never_taken_for_something_else() {
        for (content_type, format) in [
            (STRUCTURED_TYPE, Some(Format::Json)),
            (
                " Application/CloudEvents+JSON ; charset=utf-8",
                Some(Format::Json),
            ),
            (BATCH_TYPE, Some(Format::JsonBatch)),
            (PROTOBUF_TYPE, Some(Format::Protobuf)),
            (PROTOBUF_BATCH_TYPE, Some(Format::ProtobufBatch)),
            ("application/json", None),
            ("text/plain; about=application/cloudevents+avro", None),
            ("", None),
        ] {
            assert_eq!(Format::of(content_type), Ok(format), "{content_type}");
        }
        for unread in [
            "application/cloudevents+avro",
            "application/cloudevents-batch+avro",
            "application/cloudevents+xml; charset=utf-8",
            "application/cloudevents",
            "APPLICATION/CLOUDEVENTS+XML",
        ] {
            let refused = Format::of(unread).expect_err(unread);
            assert_eq!(refused.code, Code::EventFormat);
            for read in [STRUCTURED_TYPE, BATCH_TYPE, PROTOBUF_TYPE, PROTOBUF_BATCH_TYPE] {
                assert!(refused.message.contains(read), "{refused}");
            }
        }
    }
}
