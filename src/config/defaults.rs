//! The schema, and the values of keys that were left out.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use serde_json::Value;
use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

/// The schema, and the numbers among its defaults as text: a TOML number can only be made
/// from text.
pub(super) struct DefaultedSchema {
    pub(super) schema: Value,
    numbers: BTreeSet<String>,
}

/// Made once.
pub(super) static SCHEMA: LazyLock<DefaultedSchema> = LazyLock::new(|| {
    let schema = super::reference::schema();
    let mut numbers = BTreeSet::new();
    collect_numbers(&schema, &mut numbers);
    DefaultedSchema { schema, numbers }
});

fn collect_numbers(value: &Value, numbers: &mut BTreeSet<String>) {
    match value {
        Value::Number(number) => {
            numbers.insert(number.to_string());
        }
        Value::Array(items) => items.iter().for_each(|item| collect_numbers(item, numbers)),
        Value::Object(entries) => entries
            .values()
            .for_each(|entry| collect_numbers(entry, numbers)),
        Value::Null | Value::Bool(_) | Value::String(_) => {}
    }
}

/// Puts in the default of every key that is not there.
pub(super) fn fill(table: &mut DeTable<'_>, schema: &Value) {
    let properties = schema.get("properties").and_then(Value::as_object);
    for (key, entry) in properties.into_iter().flatten() {
        let Some(default) = entry
            .get("default")
            .filter(|_| !table.contains_key(key.as_str()))
        else {
            continue;
        };
        let Some(mut value) = from_json(default) else {
            continue;
        };
        if let DeValue::Table(inner) = &mut value {
            fill(inner, entry);
        }
        table.insert(
            Spanned::new(0..0, key.clone().into()),
            Spanned::new(0..0, value),
        );
    }
}

/// A default as TOML.
fn from_json(default: &Value) -> Option<DeValue<'static>> {
    Some(match default {
        Value::Null => return None,
        Value::Bool(value) => DeValue::Boolean(*value),
        Value::String(text) => DeValue::String(text.clone().into()),
        Value::Number(number) => {
            let text = SCHEMA.numbers.get(&number.to_string())?;
            DeValue::parse(text).ok()?.into_inner()
        }
        Value::Array(items) => {
            let mut array = DeArray::new();
            for item in items {
                array.push(Spanned::new(0..0, from_json(item)?));
            }
            DeValue::Array(array)
        }
        Value::Object(entries) => {
            let mut table = DeTable::new();
            for (key, value) in entries {
                table.insert(
                    Spanned::new(0..0, key.clone().into()),
                    Spanned::new(0..0, from_json(value)?),
                );
            }
            DeValue::Table(table)
        }
    })
}
