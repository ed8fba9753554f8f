//! `headers` of `[[sites]]`: a preset, or a table of header names and templates.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::super::spans::At;

/// The identity headers for the application.
pub(in crate::config) enum Headers {
    /// A preset by its name.
    Preset(String),
    /// Header names and templates.
    Table(Vec<(At<String>, At<String>)>),
}

impl<'de> Deserialize<'de> for Headers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(HeadersVisitor)
    }
}

struct HeadersVisitor;

impl<'de> Visitor<'de> for HeadersVisitor {
    type Value = Headers;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a preset or a table of headers")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Headers, E> {
        Ok(Headers::Preset(text.to_owned()))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Headers, A::Error> {
        let mut headers = Vec::new();
        while let Some(header) = map.next_entry()? {
            headers.push(header);
        }
        Ok(Headers::Table(headers))
    }
}

impl JsonSchema for Headers {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Headers".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "oneOf": [
            { "type": "string", "enum": ["remote-user", "x-forwarded-user"] },
            { "type": "object", "additionalProperties": { "type": "string" } }
        ] })
    }
}
