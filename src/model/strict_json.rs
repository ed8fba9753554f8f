//! JSON in which no object has two members of one name.
//!
//! Of two members of one name, one parser keeps the first and another the last, so the same token
//! could mean two things. RFC 7519, section 4, allows a parser to refuse such claims or to take the
//! last one. This one refuses.

use std::fmt;

use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// Parses a JSON object; `None` for anything else, and where a member occurs twice at any depth.
#[must_use]
pub fn object(text: &[u8]) -> Option<Map<String, Value>> {
    match serde_json::from_slice(text) {
        Ok(Unambiguous(Value::Object(members))) => Some(members),
        _ => None,
    }
}

/// A value in which no object has two members of one name.
struct Unambiguous(Value);

impl<'de> Deserialize<'de> for Unambiguous {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader).map(Self)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Value;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("JSON without repeated members")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value)
            .map(Value::Number)
            .ok_or_else(|| E::custom("a number that is not finite"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut values: A) -> Result<Value, A::Error> {
        let mut read = Vec::new();
        while let Some(Unambiguous(value)) = values.next_element()? {
            read.push(value);
        }
        Ok(Value::Array(read))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut read = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            let Unambiguous(value) = members.next_value()?;
            if read.insert(name, value).is_some() {
                return Err(de::Error::custom("a repeated member"));
            }
        }
        Ok(Value::Object(read))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_without_repeated_members_is_parsed_unchanged() {
        let text = r#"{"a":null,"b":[true,-1,1.5,"x\n",{"a":{}}],"c":18446744073709551615}"#;
        assert_eq!(
            object(text.as_bytes()).map(Value::Object),
            serde_json::from_str(text).ok()
        );
    }

    #[test]
    fn repeated_members_are_refused_at_any_depth_and_in_any_spelling() {
        for text in [
            r#"{"a":1,"a":1}"#,
            r#"{"x":[{"a":1,"a":2}]}"#,
            r#"{"a":1,"\u0061":2}"#,
            "[]",
            "",
            "{} {}",
            "1",
        ] {
            assert!(object(text.as_bytes()).is_none(), "{text}");
        }
        assert!(
            object(format!("{{\"a\":{}{}}}", "[".repeat(4000), "]".repeat(4000)).as_bytes())
                .is_none()
        );
    }
}
