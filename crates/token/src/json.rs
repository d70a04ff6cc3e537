//! Strict, bounded JSON: a member that stands twice is an error at every level, where
//! `serde_json::Map` would silently take the last.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// Objects and arrays within each other.
const DEPTH: u8 = 16;
/// Members of one object.
const MEMBERS: usize = 128;

/// A JSON object, its members in their order.
#[derive(Debug, Default)]
pub(crate) struct Object<'a>(Vec<(Cow<'a, str>, Value<'a>)>);

/// A value, as far as the profile is interested.
#[derive(Debug)]
pub(crate) enum Value<'a> {
    String(Cow<'a, str>),
    Integer(i64),
    Object(Object<'a>),
    /// An array, a number that is no `i64`, a boolean or null.
    Other,
}

impl<'a> Object<'a> {
    /// Reads one object that fills `bytes`.
    pub(crate) fn parse(bytes: &'a [u8]) -> Result<Self, serde_json::Error> {
        let mut json = serde_json::Deserializer::from_slice(bytes);
        let object = json.deserialize_map(ValueVisitor { depth: DEPTH })?;
        json.end()?;
        match object {
            Value::Object(object) => Ok(object),
            _ => Err(serde_json::Error::custom("expected an object")),
        }
    }

    /// The value of the member `name`.
    pub(crate) fn get(&self, name: &str) -> Option<&Value<'a>> {
        self.0.iter().find(|(member, _)| member == name).map(|(_, value)| value)
    }

    fn insert<E: Error>(&mut self, name: Cow<'a, str>, value: Value<'a>) -> Result<(), E> {
        if self.0.len() == MEMBERS {
            return Err(E::custom("too many members"));
        }
        if self.get(&name).is_some() {
            return Err(E::custom("a member stands twice"));
        }
        self.0.push((name, value));
        Ok(())
    }
}

/// Reads a value that may nest `depth` levels more.
#[derive(Clone, Copy)]
struct ValueVisitor {
    depth: u8,
}

impl ValueVisitor {
    fn deeper<E: Error>(self) -> Result<Self, E> {
        self.depth.checked_sub(1).map(|depth| Self { depth }).ok_or_else(|| E::custom("nested too deeply"))
    }
}

impl<'de> DeserializeSeed<'de> for ValueVisitor {
    type Value = Value<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value<'de>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Value<'de>, E> {
        Ok(Value::String(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value<'de>, E> {
        Ok(Value::String(Cow::Owned(text.to_owned())))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value<'de>, E> {
        Ok(Value::Integer(number))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Value<'de>, E> {
        Ok(i64::try_from(number).map_or(Value::Other, Value::Integer))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Value<'de>, E> {
        Ok(Value::Other)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Value<'de>, E> {
        Ok(Value::Other)
    }

    fn visit_unit<E>(self) -> Result<Value<'de>, E> {
        Ok(Value::Other)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value<'de>, A::Error> {
        let inner = self.deeper()?;
        while items.next_element_seed(inner)?.is_some() {}
        Ok(Value::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value<'de>, A::Error> {
        let inner = self.deeper()?;
        // Room for the claims of a token of ours: growing would move them twice.
        let mut object = Object(Vec::with_capacity(8));
        while let Some(Value::String(name)) = members.next_key_seed(inner)? {
            let value = members.next_value_seed(inner)?;
            object.insert(name, value)?;
        }
        Ok(Value::Object(object))
    }
}
