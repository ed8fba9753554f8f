//! What the schema says about one key.

use serde_json::Value;
use toml::de::DeValue;

/// The schema of `key` in a table.
pub(super) fn entry_of<'s>(schema: &'s Value, key: &str) -> Option<&'s Value> {
    let additional = schema
        .get("additionalProperties")
        .filter(|additional| additional.is_object());
    schema
        .get("properties")
        .and_then(|known| known.get(key))
        .or(additional)
}

/// The keys that must be there.
pub(super) fn required(schema: &Value) -> impl Iterator<Item = &str> {
    schema
        .get("required")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
}

/// The schema for a value of this type: itself, or one of its alternatives.
pub(super) fn branch<'s>(schema: &'s Value, value: &DeValue<'_>) -> Option<&'s Value> {
    let kind = match value {
        DeValue::String(_) => "string",
        DeValue::Integer(_) => "integer",
        DeValue::Float(_) => "number",
        DeValue::Boolean(_) => "boolean",
        DeValue::Datetime(_) => "datetime",
        DeValue::Array(_) => "array",
        DeValue::Table(_) => "object",
    };
    if !words(schema).is_empty() {
        return (kind == "string").then_some(schema);
    }
    // JSON has no dates: editors show them as strings.
    if schema.get("x-written").and_then(Value::as_str) == Some("date") {
        return (kind == "datetime").then_some(schema);
    }
    // A whole number is a number.
    let fits = |schema: &Value| match schema.get("type").and_then(Value::as_str) {
        Some("number") => matches!(kind, "integer" | "number"),
        of => of == Some(kind),
    };
    match schema.get("oneOf").and_then(Value::as_array) {
        Some(branches) => branches.iter().find(|branch| fits(branch)),
        None => fits(schema).then_some(schema),
    }
}

/// The words a key knows, each with its schema; empty for free text.
pub(super) fn words(schema: &Value) -> Vec<(&str, &Value)> {
    let listed = schema
        .get("enum")
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    let described = schema
        .get("oneOf")
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    let listed = listed.filter_map(|word| word.as_str().map(|word| (word, schema)));
    let described = described.filter_map(|of| {
        of.get("const")
            .and_then(Value::as_str)
            .map(|word| (word, of))
    });
    listed.chain(described).collect()
}

/// What to write, in a few words.
pub(super) fn expected(schema: &Value) -> String {
    if !words(schema).is_empty() {
        return "a string".to_owned();
    }
    if let Some(branches) = schema.get("oneOf").and_then(Value::as_array) {
        return branches
            .iter()
            .map(expected)
            .collect::<Vec<_>>()
            .join(" or ");
    }
    match schema.get("x-written").and_then(Value::as_str) {
        Some("duration") => return "a duration like \"30s\"".to_owned(),
        Some("size") => return "a size like \"16KiB\"".to_owned(),
        Some("date") => return "a date like 2027-01-31, without quotes".to_owned(),
        Some(_) | None => {}
    }
    match schema.get("type").and_then(Value::as_str) {
        Some("string") => "a string",
        Some("integer") => "a whole number",
        Some("number") => "a number",
        Some("boolean") => "true or false",
        Some("array") => "a list",
        Some(_) | None => "a table",
    }
    .to_owned()
}

/// What a value is, in a few words.
pub(super) fn kind_of(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

/// The first sentence of a key's documentation.
pub(super) fn summary(schema: &Value) -> String {
    let text = schema
        .get("description")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let first = text.split_inclusive(". ").next().unwrap_or_default();
    first
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
        .trim_end_matches('.')
        .to_owned()
}
