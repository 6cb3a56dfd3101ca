//! JSON that keeps duplicate members.
//!
//! `serde_json::Value` keeps the last of two members with the same name. Another reader may keep the
//! first one, and the two would see different callers. The values of booleans and of numbers that are
//! not whole are dropped, because no field of a request may have such a value.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

/// Any JSON value.
pub(crate) enum Json<'a> {
    Null,
    Bool,
    /// A number without fraction or exponent, in its decimal form.
    Integer(String),
    /// Any other number.
    Number,
    String(Cow<'a, str>),
    Array(Vec<Json<'a>>),
    Object(Members<'a>),
}

impl Json<'_> {
    pub(crate) fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    pub(crate) fn as_object(&self) -> Option<&Members<'_>> {
        match self {
            Self::Object(members) => Some(members),
            _ => None,
        }
    }

    pub(crate) fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// Whether an object in this value has two members of the same name.
    pub(crate) fn is_ambiguous(&self) -> bool {
        match self {
            Self::Object(members) => members.is_ambiguous(),
            Self::Array(items) => items.iter().any(Json::is_ambiguous),
            _ => false,
        }
    }
}

/// The members of an object, in order, duplicates included.
#[derive(Default)]
pub(crate) struct Members<'a>(Vec<(Cow<'a, str>, Json<'a>)>);

impl<'a> Members<'a> {
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &Json<'a>)> {
        self.0.iter().map(|(name, value)| (name.as_ref(), value))
    }

    /// The first member of that name that is not null. Check [`is_ambiguous`](Self::is_ambiguous) first
    /// if a duplicate matters.
    pub(crate) fn get(&self, name: &str) -> Option<&Json<'a>> {
        self.iter()
            .find(|(known, value)| *known == name && !value.is_null())
            .map(|(_, value)| value)
    }

    /// Whether any name occurs twice, at any depth.
    pub(crate) fn is_ambiguous(&self) -> bool {
        let mut names: Vec<&str> = self.iter().map(|(name, _)| name).collect();
        names.sort_unstable();
        let repeats = names.iter().zip(names.iter().skip(1)).any(|(a, b)| a == b);
        repeats || self.iter().any(|(_, value)| value.is_ambiguous())
    }

    /// Whether every member is null.
    pub(crate) fn has_only_nulls(&self) -> bool {
        self.0.iter().all(|(_, value)| value.is_null())
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Json<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(JsonVisitor)
    }
}

struct JsonVisitor;

impl<'de> Visitor<'de> for JsonVisitor {
    type Value = Json<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("any JSON value")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(Json::Bool)
    }

    fn visit_i64<E>(self, value: i64) -> Result<Self::Value, E> {
        Ok(Json::Integer(value.to_string()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Self::Value, E> {
        Ok(Json::Integer(value.to_string()))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(Json::Number)
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Json::String(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Json::String(Cow::Owned(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        let mut array = Vec::new();
        while let Some(item) = items.next_element()? {
            array.push(item);
        }
        Ok(Json::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
        let mut object = Vec::new();
        while let Some(Text(name)) = members.next_key()? {
            object.push((name, members.next_value()?));
        }
        Ok(Json::Object(Members(object)))
    }
}

/// A string that is borrowed from the input unless it contains escapes. Serde's `Cow` always copies map
/// keys.
pub(crate) struct Text<'a>(pub(crate) Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(TextVisitor)
    }
}

struct TextVisitor;

impl<'de> Visitor<'de> for TextVisitor {
    type Value = Text<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a string")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Text(Cow::Owned(text.to_owned())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(text: &str) -> Json<'_> {
        serde_json::from_str(text).expect("JSON")
    }

    #[test]
    fn a_duplicate_name_is_ambiguous_at_any_depth() {
        for (text, ambiguous) in [
            (r#"{"a":1,"b":{"a":1}}"#, false),
            (r#"{"a":1,"b":2,"a":1}"#, true),
            (r#"{"a":null,"a":1}"#, true),
            (r#"{"x":{"y":[{"a":1,"a":1}]}}"#, true),
            (r#"{"sub":1,"s\u0075b":2}"#, true),
        ] {
            assert_eq!(object(text).is_ambiguous(), ambiguous, "{text}");
        }
    }

    #[test]
    fn only_whole_numbers_are_integers() {
        let whole = |text| match object(text) {
            Json::Integer(digits) => Some(digits),
            _ => None,
        };
        assert_eq!(
            whole("18446744073709551615").as_deref(),
            Some("18446744073709551615")
        );
        assert_eq!(whole("-7").as_deref(), Some("-7"));
        for other in ["1.0", "1e3", "18446744073709551616", "\"1\"", "true"] {
            assert_eq!(whole(other), None, "{other}");
        }
    }

    #[test]
    fn an_object_without_other_values_has_only_nulls() {
        for (text, expected) in [("{}", true), (r#"{"a":null}"#, true), (r#"{"a":0}"#, false)] {
            assert_eq!(
                object(text)
                    .as_object()
                    .expect("an object")
                    .has_only_nulls(),
                expected,
                "{text}"
            );
        }
    }
}
