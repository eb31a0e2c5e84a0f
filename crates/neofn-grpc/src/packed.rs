//! A message within a message, as the bytes that came, so that its size can be judged first: a `Struct` of two bytes
//! becomes a map of hundreds.

use bytes::{Buf, BufMut};
use prost::encoding::{self, DecodeContext, WireType};
use prost::{DecodeError, Message};
use std::fmt::Debug;
use std::marker::PhantomData;

/// An `M` that is not unpacked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packed<M> {
    bytes: Vec<u8>,
    of: PhantomData<M>,
}

impl<M: Message + Default> Packed<M> {
    /// Bytes that it takes packed.
    #[must_use]
    pub fn size(&self) -> usize {
        self.bytes.len()
    }
    /// The message.
    pub fn unpack(&self) -> Result<M, DecodeError> {
        M::decode(self.bytes.as_slice())
    }
}

impl<M> Default for Packed<M> {
    fn default() -> Self {
        Self {
            bytes: Vec::new(),
            of: PhantomData,
        }
    }
}
impl<M: Message> From<M> for Packed<M> {
    fn from(message: M) -> Self {
        Self {
            bytes: message.encode_to_vec(),
            of: PhantomData,
        }
    }
}

impl<M: Debug + Send + Sync> Message for Packed<M> {
    fn encode_raw(&self, buf: &mut impl BufMut) {
        buf.put_slice(&self.bytes);
    }
    fn merge_field(
        &mut self,
        tag: u32,
        wire: WireType,
        buf: &mut impl Buf,
        ctx: DecodeContext,
    ) -> Result<(), DecodeError> {
        let out = &mut self.bytes;
        match wire {
            WireType::Varint => {
                let mut number = 0;
                encoding::uint64::merge(wire, &mut number, buf, ctx)?;
                encoding::uint64::encode(tag, &number, out);
            }
            WireType::SixtyFourBit => {
                let mut number = 0;
                encoding::fixed64::merge(wire, &mut number, buf, ctx)?;
                encoding::fixed64::encode(tag, &number, out);
            }
            WireType::ThirtyTwoBit => {
                let mut number = 0;
                encoding::fixed32::merge(wire, &mut number, buf, ctx)?;
                encoding::fixed32::encode(tag, &number, out);
            }
            WireType::LengthDelimited => {
                let mut field = Vec::new();
                encoding::bytes::merge(wire, &mut field, buf, ctx)?;
                encoding::bytes::encode(tag, &field, out);
            }
            // the third version of the language has none
            WireType::StartGroup | WireType::EndGroup => encoding::skip_field(wire, tag, buf, ctx)?,
        }
        Ok(())
    }
    fn encoded_len(&self) -> usize {
        self.bytes.len()
    }
    fn clear(&mut self) {
        self.bytes.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pb;
    use prost_types::value::Kind;
    use prost_types::{ListValue, Struct, Value};

    fn of(kind: Kind) -> Value {
        Value { kind: Some(kind) }
    }

    #[test]
    fn a_message_is_the_same_packed_and_unpacked() {
        let list = |values| of(Kind::ListValue(ListValue { values }));
        let fields = [
            ("a".to_owned(), of(Kind::NumberValue(1.5))),
            (
                "b".to_owned(),
                list(vec![of(Kind::NullValue(0)), of(Kind::BoolValue(true))]),
            ),
            ("c".to_owned(), of(Kind::StringValue("x".to_owned()))),
        ];
        let allow = Struct {
            fields: fields.into_iter().collect(),
        };
        for event in allow.fields.values() {
            let request = pb::DeployRequest {
                name: "f".to_owned(),
                allow: Some(allow.clone().into()),
                test: Some(pb::SmokeTest {
                    event: Some(event.clone().into()),
                    expect: None,
                }),
                ..pb::DeployRequest::default()
            };
            let bytes = request.encode_to_vec();
            let read = pb::DeployRequest::decode(bytes.as_slice()).unwrap();
            assert_eq!(read, request);
            assert_eq!(read.allow.unwrap().unpack().unwrap(), allow);
            assert_eq!(read.test.unwrap().event.unwrap().unpack().unwrap(), *event);
        }
        let cut = [0x1a, 0x05, 0x01];
        assert!(Packed::<Value>::decode(cut.as_slice()).is_err());
    }
}
