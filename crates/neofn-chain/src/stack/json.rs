//! `{"type": "Integer", "value": "5"}` and the like, both ways. Bytes are base64; integers are decimal strings.
//!
//! Reads in one pass without an intermediate tree: logs of thousands of blocks a second come through here.

use super::{Interop, StackItem};
use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use num_bigint::BigInt;
use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, SerializeMap as _, Serializer};
use std::borrow::Cow;
use std::fmt;

/// Longest decimal notation of a 256-bit integer, with its sign.
const DIGITS_MAX: usize = 79;
/// How a number arrives while the JSON library keeps every digit.
const NUMBER_KEY: &str = "$serde_json::private::Number";

impl Serialize for StackItem {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut map = to.serialize_map(None)?;
        map.serialize_entry("type", self.type_name())?;
        match self {
            Self::Null => {}
            Self::Boolean(b) => map.serialize_entry("value", b)?,
            Self::Integer(n) => map.serialize_entry("value", &n.to_string())?,
            Self::ByteString(b) | Self::Buffer(b) => map.serialize_entry("value", &BASE64.encode(b))?,
            Self::Array(items) | Self::Struct(items) => map.serialize_entry("value", items)?,
            Self::Map(pairs) => map.serialize_entry("value", &Pairs(pairs))?,
            Self::Pointer(n) => map.serialize_entry("value", n)?,
            Self::Interop(interop) => {
                if let Some(id) = &interop.iterator {
                    map.serialize_entry("interface", "IIterator")?;
                    map.serialize_entry("id", id)?;
                }
                if !interop.items.is_empty() {
                    map.serialize_entry("iterator", &interop.items)?;
                    map.serialize_entry("truncated", &interop.truncated)?;
                }
            }
        }
        map.end()
    }
}

struct Pairs<'a>(&'a [(StackItem, StackItem)]);
impl Serialize for Pairs<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        #[derive(serde::Serialize)]
        struct Pair<'a> {
            key: &'a StackItem,
            value: &'a StackItem,
        }
        to.collect_seq(self.0.iter().map(|(key, value)| Pair { key, value }))
    }
}

impl<'de> Deserialize<'de> for StackItem {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_map(ObjectVisitor)?.into_item()
    }
}

/// An item or a pair of a map: which of them is known only after `type` was seen, or not.
#[derive(Default)]
struct Object<'de> {
    kind: Option<Cow<'de, str>>,
    key: Option<Box<Object<'de>>>,
    value: Payload<'de>,
    id: Option<String>,
    iterator: Vec<Object<'de>>,
    truncated: bool,
}
#[derive(Default)]
enum Payload<'de> {
    #[default]
    Nothing,
    Boolean(bool),
    Text(Cow<'de, str>),
    Number(u64),
    List(Vec<Object<'de>>),
    Object(Box<Object<'de>>),
}

impl Object<'_> {
    fn into_item<E: de::Error>(self) -> Result<StackItem, E> {
        let wrong = |kind: &str| E::custom(format!("a value that does not fit its type {kind}"));
        let kind = self.kind.ok_or_else(|| E::missing_field("type"))?;
        Ok(match (&*kind, self.value) {
            ("Any", _) => StackItem::Null,
            ("Boolean", Payload::Boolean(b)) => StackItem::Boolean(b),
            ("Integer", Payload::Text(t)) => StackItem::Integer(integer(&t).ok_or_else(|| wrong("Integer"))?),
            ("Integer", Payload::Number(n)) => StackItem::Integer(n.into()),
            ("ByteString", Payload::Text(t)) => StackItem::ByteString(BASE64.decode(&*t).map_err(E::custom)?),
            ("Buffer", Payload::Text(t)) => StackItem::Buffer(BASE64.decode(&*t).map_err(E::custom)?),
            ("Array", Payload::List(list)) => StackItem::Array(items(list)?),
            ("Struct", Payload::List(list)) => StackItem::Struct(items(list)?),
            ("Map", Payload::List(list)) => StackItem::Map(
                list.into_iter()
                    .map(Object::into_pair)
                    .collect::<Result<_, E>>()?,
            ),
            ("Pointer", Payload::Number(n)) => StackItem::Pointer(n),
            ("InteropInterface", _) => StackItem::Interop(Interop {
                iterator: self.id,
                items: items(self.iterator)?,
                truncated: self.truncated,
            }),
            (kind, _) => return Err(wrong(kind)),
        })
    }
    fn into_pair<E: de::Error>(self) -> Result<(StackItem, StackItem), E> {
        match (self.key, self.value) {
            (Some(key), Payload::Object(value)) => Ok((key.into_item()?, value.into_item()?)),
            _ => Err(E::custom("a pair of a map without key or value")),
        }
    }
}

fn items<E: de::Error>(list: Vec<Object<'_>>) -> Result<Vec<StackItem>, E> {
    list.into_iter().map(Object::into_item).collect()
}

fn integer(text: &str) -> Option<BigInt> {
    (text.len() <= DIGITS_MAX).then(|| text.parse().ok()).flatten()
}

impl<'de> Deserialize<'de> for Object<'de> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_map(ObjectVisitor)
    }
}

struct ObjectVisitor;
impl<'de> Visitor<'de> for ObjectVisitor {
    type Value = Object<'de>;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a stack item")
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object<'de>, A::Error> {
        let mut object = Object::default();
        while let Some(Text(key)) = map.next_key()? {
            match &*key {
                "type" => object.kind = Some(map.next_value::<Text<'de>>()?.0),
                "key" => object.key = Some(map.next_value()?),
                "value" => object.value = map.next_value()?,
                "id" => object.id = Some(map.next_value()?),
                "iterator" => object.iterator = map.next_value()?,
                "truncated" => object.truncated = map.next_value()?,
                _ => {
                    map.next_value::<de::IgnoredAny>()?;
                }
            }
        }
        Ok(object)
    }
}

impl<'de> Deserialize<'de> for Payload<'de> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(PayloadVisitor)
    }
}

struct PayloadVisitor;
impl<'de> Visitor<'de> for PayloadVisitor {
    type Value = Payload<'de>;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the value of a stack item")
    }
    fn visit_unit<E: de::Error>(self) -> Result<Payload<'de>, E> {
        Ok(Payload::Nothing)
    }
    fn visit_bool<E: de::Error>(self, b: bool) -> Result<Payload<'de>, E> {
        Ok(Payload::Boolean(b))
    }
    fn visit_u64<E: de::Error>(self, n: u64) -> Result<Payload<'de>, E> {
        Ok(Payload::Number(n))
    }
    fn visit_str<E: de::Error>(self, text: &str) -> Result<Payload<'de>, E> {
        Ok(Payload::Text(Cow::Owned(text.to_owned())))
    }
    fn visit_borrowed_str<E: de::Error>(self, text: &'de str) -> Result<Payload<'de>, E> {
        Ok(Payload::Text(Cow::Borrowed(text)))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Payload<'de>, A::Error> {
        let mut list = Vec::new();
        while let Some(object) = seq.next_element()? {
            list.push(object);
        }
        Ok(Payload::List(list))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Payload<'de>, A::Error> {
        let mut object = Object::default();
        while let Some(Text(key)) = map.next_key()? {
            match &*key {
                NUMBER_KEY => {
                    let Text(digits) = map.next_value()?;
                    return digits
                        .parse()
                        .map(Payload::Number)
                        .map_err(|_| de::Error::custom("a number that is not a place in a script"));
                }
                "type" => object.kind = Some(map.next_value::<Text<'de>>()?.0),
                "value" => object.value = map.next_value()?,
                _ => {
                    map.next_value::<de::IgnoredAny>()?;
                }
            }
        }
        Ok(Payload::Object(Box::new(object)))
    }
}

/// Text that is borrowed where it can be: a plain `Cow` never is.
struct Text<'de>(Cow<'de, str>);
impl<'de> Deserialize<'de> for Text<'de> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct TextVisitor;
        impl<'de> Visitor<'de> for TextVisitor {
            type Value = Text<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("text")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
            fn visit_borrowed_str<E: de::Error>(self, text: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Borrowed(text)))
            }
            fn visit_string<E: de::Error>(self, text: String) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(text)))
            }
        }
        from.deserialize_str(TextVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(json: &str) -> Result<StackItem, serde_json::Error> {
        serde_json::from_str(json)
    }

    #[test]
    fn reads_what_a_node_writes() {
        let json = r#"{"type":"Array","value":[{"type":"ByteString","value":"R0FTL1VTRA=="},{"type":"Any"},
            {"type":"Integer","value":"57896044618658097711785492504343953926634992332820282019728792003956564819967"},
            {"type":"Map","value":[{"key":{"type":"Integer","value":"1"},"value":{"type":"Boolean","value":true}}]},
            {"type":"Pointer","value":7},{"type":"InteropInterface","interface":"IIterator","id":"a-b"},
            {"type":"InteropInterface","interface":"IIterator","iterator":[{"type":"Any"}],"truncated":true}]}"#;
        let item = read(json).unwrap();
        let items = item.as_items().unwrap();
        assert_eq!(items[0].as_text(), Some("GAS/USD"));
        assert_eq!(items[1], StackItem::Null);
        assert_eq!(items[2].to_integer().unwrap().bits(), 255);
        assert_eq!(
            items[3],
            StackItem::Map(vec![(1.into(), StackItem::Boolean(true))])
        );
        assert_eq!(items[4], StackItem::Pointer(7));
        let StackItem::Interop(named) = &items[5] else {
            panic!("{:?}", items[5])
        };
        assert_eq!(named.iterator.as_deref(), Some("a-b"));
        assert_eq!(read(&serde_json::to_string(&item).unwrap()).unwrap(), item);
    }

    #[test]
    fn refuses_what_does_not_fit() {
        for bad in [
            "{}",
            "[]",
            "5",
            r#"{"type":"Integer","value":true}"#,
            r#"{"type":"Integer","value":"0x5"}"#,
            r#"{"type":"ByteString","value":"~"}"#,
            r#"{"type":"Whatever","value":"1"}"#,
            r#"{"type":"Map","value":[{"value":{"type":"Any"}}]}"#,
            r#"{"value":"1"}"#,
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
        let digits = "9".repeat(100_000);
        assert!(read(&format!(r#"{{"type":"Integer","value":"{digits}"}}"#)).is_err());
    }

    #[test]
    fn nesting_is_bounded() {
        let nested = |depth: usize| {
            let open = r#"{"type":"Array","value":["#.repeat(depth);
            format!(r#"{open}{{"type":"Any"}}{}"#, "]}".repeat(depth))
        };
        assert!(read(&nested(super::super::DEPTH_MAX)).is_ok());
        assert!(read(&nested(5_000)).is_err());
    }

    fn any_item() -> impl Strategy<Value = StackItem> {
        let leaf = prop_oneof![
            Just(StackItem::Null),
            any::<bool>().prop_map(StackItem::Boolean),
            any::<i128>().prop_map(|n| StackItem::Integer(n.into())),
            any::<Vec<u8>>().prop_map(StackItem::ByteString),
            any::<Vec<u8>>().prop_map(StackItem::Buffer),
            any::<u64>().prop_map(StackItem::Pointer),
        ];
        leaf.prop_recursive(4, 32, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(StackItem::Array),
                prop::collection::vec(inner.clone(), 0..5).prop_map(StackItem::Struct),
                prop::collection::vec((inner.clone(), inner), 0..5).prop_map(StackItem::Map),
            ]
        })
    }
    proptest! {
        #[test]
        fn every_item_reads_back(item in any_item()) {
            let json = serde_json::to_string(&item).unwrap();
            prop_assert_eq!(read(&json).unwrap(), item);
        }
        #[test]
        fn no_text_makes_it_panic(text in ".*") {
            let _ = read(&text);
        }
    }
}
