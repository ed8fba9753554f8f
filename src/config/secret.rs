//! Secrets: written in place, or in a variable or file. The only place that looks around in the
//! machine.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::model::secret::Secret;
use crate::model::timestamp::Timestamp;

/// Where variables and files come from.
pub trait Environment {
    /// The value of an environment variable; `None` when it is not set or not UTF-8.
    fn variable(&self, name: &str) -> Option<String>;

    /// The content of a file.
    ///
    /// # Errors
    /// Whatever keeps it from being read as UTF-8.
    fn file(&self, path: &Path) -> io::Result<String>;

    /// At most so many bytes of a file, from its beginning.
    ///
    /// # Errors
    /// Whatever keeps it from being read.
    fn bytes(&self, path: &Path, most: usize) -> io::Result<Vec<u8>>;

    /// The names in a folder, in order. What is not UTF-8 is left out.
    ///
    /// # Errors
    /// Whatever keeps it from being read.
    fn names(&self, folder: &Path) -> io::Result<Vec<String>>;

    /// When a file was written last; `None` where nobody knows.
    fn written_at(&self, path: &Path) -> Option<Timestamp>;
}

/// The machine this program runs on.
#[derive(Clone, Copy, Debug)]
pub struct SystemEnvironment;

impl Environment for SystemEnvironment {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that reads variables"
    )]
    fn variable(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }

    fn file(&self, path: &Path) -> io::Result<String> {
        std::fs::read_to_string(path)
    }

    fn bytes(&self, path: &Path, most: usize) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let most = u64::try_from(most).unwrap_or(u64::MAX);
        std::fs::File::open(path)?
            .take(most)
            .read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn names(&self, folder: &Path) -> io::Result<Vec<String>> {
        let mut names: Vec<String> = std::fs::read_dir(folder)?
            .filter_map(|entry| {
                entry
                    .map(|entry| entry.file_name().into_string().ok())
                    .transpose()
            })
            .collect::<io::Result<_>>()?;
        names.sort();
        Ok(names)
    }

    fn written_at(&self, path: &Path) -> Option<Timestamp> {
        let since = std::fs::metadata(path)
            .ok()?
            .modified()
            .ok()?
            .duration_since(UNIX_EPOCH)
            .ok()?;
        Some(Timestamp::from_secs(since.as_secs()))
    }
}

/// Environment for tests and rehearsals: only what was put in.
#[derive(Clone, Default)]
pub struct FakeEnvironment {
    /// By name.
    pub variables: BTreeMap<String, String>,
    /// By path, as the configuration's folder and the written path make it.
    pub files: BTreeMap<PathBuf, String>,
}

impl Environment for FakeEnvironment {
    fn variable(&self, name: &str) -> Option<String> {
        self.variables.get(name).cloned()
    }

    fn file(&self, path: &Path) -> io::Result<String> {
        self.files
            .get(path)
            .cloned()
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn bytes(&self, path: &Path, most: usize) -> io::Result<Vec<u8>> {
        self.file(path)
            .map(|text| text.bytes().take(most).collect())
    }

    fn names(&self, folder: &Path) -> io::Result<Vec<String>> {
        let beneath = |path: &PathBuf| Some(path.strip_prefix(folder).ok()?.to_str()?.to_owned());
        let names: Vec<String> = self
            .files
            .keys()
            .filter_map(beneath)
            .filter(|name| !name.contains('/'))
            .collect();
        if names.is_empty() {
            Err(io::ErrorKind::NotFound.into())
        } else {
            Ok(names)
        }
    }

    fn written_at(&self, _: &Path) -> Option<Timestamp> {
        None
    }
}

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
        surroundings: &dyn Environment,
    ) -> Result<Secret, (String, String)> {
        match self {
            Self::Text(secret) => Ok(secret.clone()),
            Self::Env(name) => surroundings.variable(name).map(Secret::new).ok_or_else(|| {
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
                surroundings.file(&path).map(cut).map_err(|error| {
                    let what = format!("the file \"{}\" cannot be read: {error}", path.display());
                    (
                        what,
                        "relative paths start from the folder of the configuration".to_owned(),
                    )
                })
            }
        }
    }
}

impl SecretSource {
    /// When its file was written last; `None` for a secret that stands elsewhere.
    pub(super) fn written_at(
        &self,
        folder: &Path,
        surroundings: &dyn Environment,
    ) -> Option<Timestamp> {
        match self {
            Self::File(path) => surroundings.written_at(&folder.join(path)),
            Self::Text(_) | Self::Env(_) => None,
        }
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
