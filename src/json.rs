//! JSON that is read member by member. Values that no one reads are not decoded, so they cannot make a request
//! fail, whatever they contain.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// The members of an object, in order, with repetitions.
pub(crate) struct Object<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'a> Object<'a> {
    /// Returns `None` if the value is not an object.
    pub(crate) fn parse(value: &'a RawValue) -> Option<Self> {
        serde_json::from_str(value.get()).ok()
    }

    pub(crate) fn members(&self) -> impl Iterator<Item = (&str, &'a RawValue)> {
        self.0.iter().map(|(name, value)| (name.as_ref(), *value))
    }

    /// The value of a member that is not null. Of two members of this name, the last one counts.
    pub(crate) fn get(&self, name: &str) -> Option<&'a RawValue> {
        let named = self.members().filter(|(known, _)| *known == name);
        named
            .last()
            .map(|(_, value)| value)
            .filter(|value| value.get() != "null")
    }

    /// The value of a member that is a string.
    pub(crate) fn string(&self, name: &str) -> Option<Cow<'a, str>> {
        string(self.get(name)?)
    }

    /// Whether all members are null.
    pub(crate) fn is_empty(&self) -> bool {
        self.members().all(|(_, value)| value.get() == "null")
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Object<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ObjectVisitor;
        impl<'de> Visitor<'de> for ObjectVisitor {
            type Value = Object<'de>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
                let mut found = Vec::new();
                while let Some((name, value)) = members.next_entry::<&RawValue, &RawValue>()? {
                    // A name with half of a surrogate pair is not text. It equals no name that is looked up.
                    found.push((string(name).unwrap_or(name.get().into()), value));
                }
                Ok(Object(found))
            }
        }
        deserializer.deserialize_map(ObjectVisitor)
    }
}

/// The text of a value that is a string.
pub(crate) fn string(value: &RawValue) -> Option<Cow<'_, str>> {
    #[derive(Deserialize)]
    struct Text<'a>(#[serde(borrow)] Cow<'a, str>);
    let Text(text) = serde_json::from_str(value.get()).ok()?;
    Some(text)
}

/// The items of a value that is an array.
pub(crate) fn array(value: &RawValue) -> Option<Vec<&RawValue>> {
    serde_json::from_str(value.get()).ok()
}
