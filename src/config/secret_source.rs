//! Secrets in the configuration: written in place, in an environment variable, or in a file.

use std::borrow::Cow;
use std::fmt;
use std::path::{Path, PathBuf};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::environment::Environment;
use crate::model::secret::Secret;
use crate::model::timestamp::Timestamp;

/// Where a secret is written.
#[derive(Clone)]
pub(super) enum SecretSource {
    Text(Secret),
    Env(String),
    File(PathBuf),
}

impl SecretSource {
    /// The secret itself. One newline at the end of a file is cut: editors put it there.
    ///
    /// # Errors
    /// What is wrong and how to mend it.
    pub(super) fn read(
        &self,
        folder: &Path,
        environment: &dyn Environment,
    ) -> Result<Secret, (String, String)> {
        match self {
            Self::Text(secret) => Ok(secret.clone()),
            Self::Env(name) => environment.variable(name).map(Secret::new).ok_or_else(|| {
                (
                    format!("the variable {name:?} is not set"),
                    "set it in the environment of vestibule".to_owned(),
                )
            }),
            Self::File(path) => {
                let path = folder.join(path);
                let cut = |text: String| {
                    let line = text
                        .strip_suffix('\n')
                        .map(|line| line.strip_suffix('\r').unwrap_or(line));
                    Secret::new(line.unwrap_or(&text))
                };
                environment.file(&path).map(cut).map_err(|error| {
                    let what = format!("the file \"{}\" cannot be read: {error}", path.display());
                    (
                        what,
                        "relative paths start from the folder of the configuration".to_owned(),
                    )
                })
            }
        }
    }

    /// The file that holds it; `None` for a secret that stands elsewhere.
    pub(super) fn file(&self, folder: &Path) -> Option<PathBuf> {
        match self {
            Self::File(path) => Some(folder.join(path)),
            Self::Text(_) | Self::Env(_) => None,
        }
    }

    /// When its file was written last; `None` for a secret that stands elsewhere.
    pub(super) fn written_at(
        &self,
        folder: &Path,
        environment: &dyn Environment,
    ) -> Option<Timestamp> {
        environment.written_at(&self.file(folder)?)
    }
}

impl<'de> Deserialize<'de> for SecretSource {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SourceVisitor)
    }
}

struct SourceVisitor;

impl<'de> Visitor<'de> for SourceVisitor {
    type Value = SecretSource;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a secret")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<SecretSource, E> {
        Ok(SecretSource::Text(Secret::new(text)))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<SecretSource, A::Error> {
        match map.next_entry::<String, String>()? {
            Some((key, name)) if key == "env" => Ok(SecretSource::Env(name)),
            Some((key, path)) if key == "file" => Ok(SecretSource::File(path.into())),
            Some(_) | None => Err(A::Error::custom(
                "a secret is a string, { env } or { file }",
            )),
        }
    }
}

impl JsonSchema for SecretSource {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Secret".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "x-written": "secret",
            "oneOf": [
                { "type": "string" },
                {
                    "type": "object",
                    "properties": { "env": { "type": "string" } },
                    "required": ["env"],
                    "additionalProperties": false
                },
                {
                    "type": "object",
                    "properties": { "file": { "type": "string" } },
                    "required": ["file"],
                    "additionalProperties": false
                }
            ]
        })
    }
}
