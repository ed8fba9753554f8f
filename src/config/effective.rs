//! The effective configuration: what the operator wrote and every default, without secrets.

use serde_json::Value as Schema;
use toml::{Table, Value};

use super::defaults::SCHEMA;
use super::key_schema::entry_of;
use super::problems::Diagnostics;
use super::schema_validation;

/// What stands in place of a secret.
const MASK: &str = "********";

/// The configuration `text` with the default of every key that was left out, as TOML with sorted
/// keys. A secret that stands in it is masked; where it is a variable or a file, its name is shown.
/// `None` where the text does not fit the schema.
#[must_use]
pub fn effective(text: &str) -> Option<String> {
    let mut diagnostics = Diagnostics::default();
    let mut table = schema_validation::filled(text, &mut diagnostics)?;
    mask(&mut table, &SCHEMA.schema);
    let is_whole = diagnostics.is_empty();
    toml::to_string_pretty(&table).ok().filter(|_| is_whole)
}

/// Masks every secret in `table`.
fn mask(table: &mut Table, schema: &Schema) {
    for (key, value) in table.iter_mut() {
        match entry_of(schema, key) {
            Some(entry) => mask_value(value, entry),
            None => *value = Value::from(MASK),
        }
    }
}

fn mask_value(value: &mut Value, schema: &Schema) {
    if schema.get("x-written").and_then(Schema::as_str) == Some("secret") {
        if value.is_str() {
            *value = Value::from(MASK);
        }
        return;
    }
    let branches = schema.get("oneOf").and_then(Schema::as_array);
    let of_table = branches
        .into_iter()
        .flatten()
        .find(|branch| branch.get("type").and_then(Schema::as_str) == Some("object"));
    match value {
        Value::Table(table) => mask(table, of_table.unwrap_or(schema)),
        Value::Array(items) => {
            let of_item = schema.get("items").unwrap_or(schema);
            for item in items {
                mask_value(item, of_item);
            }
        }
        Value::String(_)
        | Value::Integer(_)
        | Value::Float(_)
        | Value::Boolean(_)
        | Value::Datetime(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"
[providers.main]
kind = "fusionauth"
url = "https://id.example.com"
api_key = "hush"
issuer = "id"
[cookies]
keys = ["hush", { file = "/run/key" }, { env = "KEY" }]
[store]
backend = "redis"
url = "redis://:hush@redis"
[[sites]]
name = "store"
origin = "https://store.example.com"
application_id = "a"
upstreams = ["http://127.0.0.1:3001"]
headers = { "X-User" = "{email}" }
"#;

    #[test]
    fn every_default_is_shown_and_no_secret() {
        let text = effective(TEXT).unwrap();
        assert!(!text.contains("hush"), "{text}");
        for line in [
            "api_key = \"********\"",
            "url = \"********\"",
            "url = \"https://id.example.com\"",
            "file = \"/run/key\"",
            "env = \"KEY\"",
            "X-User = \"{email}\"",
            "landing = \"/\"",
            "keep_alive = \"75s\"",
            "workers = 0",
        ] {
            assert!(text.contains(line), "{line} is not in {text}");
        }
    }

    #[test]
    fn the_effective_configuration_is_one() {
        let once = effective(TEXT).unwrap();
        assert_eq!(effective(&once), Some(once));
    }

    #[test]
    fn what_does_not_fit_has_none() {
        assert_eq!(effective("a = 1"), None);
        assert_eq!(effective("["), None);
    }
}
