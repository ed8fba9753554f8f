//! The manual of the configuration, made from the comments of the `file` structs.

use std::fmt::Write as _;

use schemars::generate::SchemaSettings;
use serde_json::Value;

use super::file::File;
use super::key_schema::{expected, words};

/// The JSON Schema of the configuration.
#[must_use]
pub fn schema() -> Value {
    let settings =
        SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    let mut schema = settings
        .into_generator()
        .into_root_schema_for::<File>()
        .to_value();
    tidy(&mut schema);
    if let Some(root) = schema.as_object_mut() {
        root.insert("title".to_owned(), "Vestibule".into());
    }
    schema
}

/// TOML has no null, and what has a default is not required.
fn tidy(schema: &mut Value) {
    match schema {
        Value::Array(items) => items.iter_mut().for_each(tidy),
        Value::Object(entries) => {
            if let Some(Value::Array(kinds)) = entries.get_mut("type") {
                kinds.retain(|kind| kind != "null");
                if let [kind] = kinds.as_slice() {
                    let kind = kind.clone();
                    entries.insert("type".to_owned(), kind);
                }
            }
            if entries.get("default").is_some_and(Value::is_null) {
                entries.remove("default");
            }
            if let Some(Value::Array(branches)) = entries.get_mut("anyOf") {
                branches.retain(|branch| branch.get("type").is_none_or(|kind| kind != "null"));
                if let [Value::Object(only)] = branches.as_slice() {
                    let only = only.clone();
                    entries.remove("anyOf");
                    for (key, value) in only {
                        entries.entry(key).or_insert(value);
                    }
                }
            }
            forget_defaulted(entries);
            entries.values_mut().for_each(tidy);
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn forget_defaulted(entries: &mut serde_json::Map<String, Value>) {
    let Some(Value::Object(properties)) = entries.get("properties").cloned() else {
        return;
    };
    if let Some(Value::Array(required)) = entries.get_mut("required") {
        required.retain(|key| {
            let property = key.as_str().and_then(|key| properties.get(key));
            property.is_none_or(|property| property.get("default").is_none())
        });
    }
}

/// Every key of the configuration with its type, default and meaning, in Markdown.
#[must_use]
pub fn reference() -> String {
    let schema = schema();
    let mut out = String::from("# Configuration reference\n\n");
    let _ = writeln!(out, "{}\n", description(&schema));
    out.push_str("This page is `vestibule schema --markdown`; as a JSON Schema for editors: `vestibule schema`.\n\n");
    table(&mut out, "", &schema);
    out.truncate(out.trim_end().len());
    out.push('\n');
    out
}

/// The section of one table, then those of the tables in it.
fn table(out: &mut String, label: &str, schema: &Value) {
    let schema = table_of(schema);
    let Some(properties) = schema.get("properties").and_then(Value::as_object) else {
        return;
    };
    let heading = if label.is_empty() {
        "Top level".to_owned()
    } else {
        format!("`{label}`")
    };
    let _ = writeln!(
        out,
        "## {heading}\n\n| key | type | default | meaning |\n|---|---|---|---|"
    );
    let required = schema.get("required").and_then(Value::as_array);
    for (key, entry) in properties {
        let needed = required.is_some_and(|required| required.iter().any(|name| name == key));
        let default = match entry.get("default") {
            Some(Value::Object(inner)) if inner.is_empty() => String::new(),
            Some(default) => format!("`{}`", toml_text(default)),
            None if needed => "needed".to_owned(),
            None => String::new(),
        };
        let meaning = cell(&format!("{}{}", description(entry), details(entry)));
        let _ = writeln!(
            out,
            "| `{key}` | {} | {} | {meaning} |",
            cell(&kind(entry)),
            cell(&default)
        );
    }
    out.push('\n');
    for (key, entry) in properties {
        let path = if label.is_empty() {
            key.clone()
        } else {
            format!("{}.{key}", label.trim_matches(['[', ']']))
        };
        let (path, inner) = match (
            entry.get("items"),
            entry
                .get("additionalProperties")
                .filter(|of| of.is_object()),
        ) {
            (Some(items), _) => (format!("[[{path}]]"), items),
            (None, Some(named)) => (format!("[{path}.NAME]"), named),
            (None, None) => (format!("[{path}]"), entry),
        };
        table(out, &path, inner);
    }
}

/// The schema of a table, also where a string may stand in its place.
fn table_of(schema: &Value) -> &Value {
    let alternatives = schema.get("oneOf").and_then(Value::as_array);
    let mut alternatives = alternatives.into_iter().flatten();
    alternatives
        .find(|of| of.get("properties").is_some())
        .unwrap_or(schema)
}

fn description(schema: &Value) -> String {
    let text = schema
        .get("description")
        .and_then(Value::as_str)
        .unwrap_or_default();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

fn kind(schema: &Value) -> String {
    match schema.get("x-written").and_then(Value::as_str) {
        Some(written) => written.to_owned(),
        None => match schema.get("items") {
            Some(items) => format!("list of {}", kind(items).replace(" or a ", "s or ") + "s"),
            None if words(schema).is_empty() => {
                expected(schema).trim_start_matches("a ").to_owned()
            }
            None => "word".to_owned(),
        },
    }
}

/// The words a key knows, its bounds, and whether it is for a later version.
fn details(schema: &Value) -> String {
    let mut details = String::new();
    let of = schema.get("items").unwrap_or(schema);
    for (word, schema) in words(of) {
        let later = if schema.get("x-not-yet").is_some() {
            " (not supported yet)"
        } else {
            ""
        };
        let _ = write!(details, "<br>`{word}`{later}: {}", description(schema));
    }
    let bound = |name: &str| {
        schema
            .get(name)
            .map(|bound| toml_text(bound).trim_matches('"').to_owned())
    };
    let from = bound("x-from").or_else(|| bound("minimum"));
    let to = bound("x-to").or_else(|| bound("maximum"));
    if let (Some(from), Some(to)) = (from, to) {
        let _ = write!(details, " From {from} to {to}.");
    }
    if schema.get("x-not-yet").is_some() {
        details.push_str(" **Not supported yet.**");
    }
    details
}

/// A default as it would be written.
fn toml_text(value: &Value) -> String {
    match value {
        Value::Object(entries) => {
            let entries: Vec<String> = entries
                .iter()
                .map(|(key, value)| format!("{key} = {}", toml_text(value)))
                .collect();
            format!("{{ {} }}", entries.join(", "))
        }
        Value::Array(items) => format!(
            "[{}]",
            items.iter().map(toml_text).collect::<Vec<_>>().join(", ")
        ),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reference_in_docs_is_this_one() {
        let written = include_str!("../../docs/reference/configuration.md");
        assert!(
            written == reference(),
            "write docs/reference/configuration.md anew: vestibule schema --markdown"
        );
    }

    #[test]
    fn every_key_is_explained() {
        fn look(path: &str, schema: &Value) {
            for (key, entry) in schema
                .get("properties")
                .and_then(Value::as_object)
                .into_iter()
                .flatten()
            {
                let path = format!("{path}.{key}");
                // A secret's own keys are told once, at the top.
                if !matches!(key.as_str(), "env" | "file") {
                    assert!(!description(entry).is_empty(), "{path} has no description");
                }
                look(
                    &path,
                    table_of(
                        entry
                            .get("items")
                            .or(entry.get("additionalProperties"))
                            .unwrap_or(entry),
                    ),
                );
                look(&path, entry);
            }
        }
        look("", &schema());
    }
}
