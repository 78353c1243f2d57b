//! How the values of a letter are written in JSON, where serde has no form of its own for them.

/// A [`Receipt`](crate::event::Receipt): 32 digits in hex.
pub(super) mod receipt {
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    use crate::event::Receipt;

    pub(in super::super) fn serialize<S: Serializer>(receipt: &Receipt, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(receipt)
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Receipt, D::Error> {
        let text = String::deserialize(from)?;
        let receipt = u128::from_str_radix(&text, 16).map(Receipt);
        // Also of what the number alone would let pass, such as a sign.
        receipt.ok().filter(|receipt| receipt.to_string() == text).ok_or_else(|| D::Error::custom("not a receipt"))
    }
}

/// A time: RFC 3339 with microseconds, in UTC.
pub(super) mod time {
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    use crate::event::Micros;

    pub(in super::super) fn serialize<S: Serializer>(time: &Micros, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(time)
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Micros, D::Error> {
        // A row may have been refused just because its time is one that the table does not hold.
        Micros::parse_any_rfc3339(&String::deserialize(from)?).map_err(D::Error::custom)
    }
}

/// An [`EventType`](crate::event::EventType): its name.
pub(super) mod kind {
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    use crate::event::EventType;

    pub(in super::super) fn serialize<S: Serializer>(kind: &EventType, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(kind.as_str())
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<EventType, D::Error> {
        EventType::from_name(&String::deserialize(from)?).ok_or_else(|| D::Error::custom("not a type"))
    }
}

/// A [`Source`](crate::event::Source): its name.
pub(super) mod source {
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    use crate::event::Source;

    pub(in super::super) fn serialize<S: Serializer>(source: &Source, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(source.as_str())
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Source, D::Error> {
        Source::from_name(&String::deserialize(from)?).ok_or_else(|| D::Error::custom("not a source"))
    }
}

/// The text of a JSON object, kept letter for letter. A line break has to go, for a line is a
/// letter; in JSON it can only stand between tokens, where a space says the same. A text that is no
/// JSON object (a processor of one's own may err) is written as a string, and read back as it was.
pub(super) mod json {
    use std::borrow::Cow;

    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer, de::Error as _};
    use serde_json::value::RawValue;

    pub(in super::super) fn serialize<S: Serializer>(text: &str, to: S) -> Result<S::Ok, S::Error> {
        let line = match text.contains(['\n', '\r']) {
            true => Cow::Owned(text.replace(['\n', '\r'], " ")),
            false => Cow::Borrowed(text),
        };
        match serde_json::from_str::<&RawValue>(&line) {
            Ok(raw) if line.starts_with('{') => raw.serialize(to),
            _ => text.serialize(to),
        }
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
        let raw = Box::<RawValue>::deserialize(from)?;
        match raw.get().as_bytes().first() {
            Some(b'{') => Ok(String::from(Box::<str>::from(raw))),
            Some(b'"') => serde_json::from_str(raw.get()).map_err(D::Error::custom),
            _ => Err(D::Error::custom("neither an object nor a string")),
        }
    }
}
