//! W3C Trace Context: `traceparent` in and out.

use crate::Entropy;
use std::fmt;
use std::str::FromStr;

/// A header that is not a `traceparent`; it is ignored and a new trace begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a W3C traceparent")]
pub struct TraceParseError;

/// The ids of a trace and of the span that we are in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceContext {
    /// Names the whole trace.
    pub trace_id: [u8; 16],
    /// Names our span in it.
    pub span_id: [u8; 8],
    /// Bit 0: sampled.
    pub flags: u8,
}

impl TraceContext {
    /// A new trace.
    #[must_use]
    pub fn start(entropy: &dyn Entropy) -> Self {
        let mut trace_id = [0u8; 16];
        entropy.fill(&mut trace_id);
        Self {
            trace_id,
            ..Self {
                trace_id,
                span_id: [0; 8],
                flags: 1,
            }
            .child(entropy)
        }
    }
    /// The same trace, a new span.
    #[must_use]
    pub fn child(self, entropy: &dyn Entropy) -> Self {
        let mut span_id = [0u8; 8];
        entropy.fill(&mut span_id);
        Self { span_id, ..self }
    }
    /// The trace id in hex, as logs carry it.
    #[must_use]
    pub fn trace_id_hex(&self) -> String {
        hex::encode(self.trace_id)
    }
}
impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "00-{}-{}-{:02x}",
            hex::encode(self.trace_id),
            hex::encode(self.span_id),
            self.flags
        )
    }
}
impl FromStr for TraceContext {
    type Err = TraceParseError;
    fn from_str(s: &str) -> Result<Self, TraceParseError> {
        let mut parts = s.trim().split('-');
        let (Some(version), Some(trace), Some(span), Some(flags)) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(TraceParseError);
        };
        // version ff is invalid; version 00 has exactly four fields, later ones may have more
        if version.len() != 2
            || version == "ff"
            || (version == "00" && parts.next().is_some())
            || flags.len() != 2
        {
            return Err(TraceParseError);
        }
        if s.bytes().any(|b| b.is_ascii_uppercase()) {
            return Err(TraceParseError);
        }
        let (mut trace_id, mut span_id, mut flag) = ([0u8; 16], [0u8; 8], [0u8; 1]);
        hex::decode_to_slice(trace, &mut trace_id).map_err(|_| TraceParseError)?;
        hex::decode_to_slice(span, &mut span_id).map_err(|_| TraceParseError)?;
        hex::decode_to_slice(flags, &mut flag).map_err(|_| TraceParseError)?;
        if trace_id == [0; 16] || span_id == [0; 8] {
            return Err(TraceParseError);
        }
        let [flags] = flag;
        Ok(Self {
            trace_id,
            span_id,
            flags,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[test]
    fn round_trips_and_refuses() {
        let s = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        assert_eq!(s.parse::<TraceContext>().unwrap().to_string(), s);
        for bad in [
            "",
            "00",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4BF92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x",
        ] {
            assert!(bad.parse::<TraceContext>().is_err(), "{bad}");
        }
    }
}
