//! Lays a text against the schema: reports what does not fit, takes it out, puts the defaults in.

use std::ops::Range;

use serde_json::Value;
use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

use super::defaults::{SCHEMA, fill};
use super::file::File;
use super::key_schema::{branch, entry_of, expected, kind_of, required, summary, words};
use super::problems::{Diagnostics, quoted};
use super::suggest::suggest;
use super::syntax;
use super::units::{DURATION, Number, SIZE, Unit};

/// Reads the text as far as it fits; the rest is noted. `None` when too little is left to look
/// further.
pub(super) fn read(text: &str, diagnostics: &mut Diagnostics) -> Option<File> {
    fitting(text, diagnostics)
}

/// The text as a table, as far as it fits, with the defaults.
pub(super) fn filled(text: &str, diagnostics: &mut Diagnostics) -> Option<toml::Table> {
    fitting(text, diagnostics)
}

fn fitting<T: serde::de::DeserializeOwned>(text: &str, diagnostics: &mut Diagnostics) -> Option<T> {
    let readable = syntax::without_errors(text, diagnostics)?;
    let (mut root, _) = DeTable::parse_recoverable(&readable);
    let span = root.span();
    let mut validator = Validator { diagnostics };
    let place = Place {
        span: span.clone(),
        label: String::new(),
    };
    validator.table(root.get_mut(), &place, &SCHEMA.schema);
    let table = toml::de::Deserializer::from(root);
    T::deserialize(table)
        .map_err(|error| {
            // The walk lets nothing through that does not fit; should it err, nothing is taken on
            // trust.
            diagnostics.add(
                &error.span().unwrap_or(span),
                error.message().to_owned(),
                "compare it with the reference",
            );
        })
        .ok()
}

/// The name of the environment variable that a text stands for in other programs: `${NAME}`, or
/// `$NAME` alone.
fn variable(text: &str) -> Option<&str> {
    let is_name = |name: &&str| {
        !name.is_empty()
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
            && !name.starts_with(|first: char| first.is_ascii_digit())
    };
    let braced = text
        .split_once("${")
        .and_then(|(_, rest)| Some(rest.split_once('}')?.0));
    braced.or(text.strip_prefix('$')).filter(is_name)
}

/// Where in the file the walk is: a table and its name as the operator writes it.
struct Place {
    span: Range<usize>,
    label: String,
}

impl Place {
    fn shown(&self) -> String {
        if self.label.is_empty() {
            "at the top".to_owned()
        } else {
            format!("in `{}`", self.label)
        }
    }

    fn beneath(&self, key: &str, span: Range<usize>) -> Self {
        let label = if self.label.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.label)
        };
        Self { span, label }
    }
}

/// A key and the schema of its value.
#[derive(Clone, Copy)]
struct Entry<'s> {
    key: &'s str,
    schema: &'s Value,
}

struct Validator<'n> {
    diagnostics: &'n mut Diagnostics,
}

impl Validator<'_> {
    /// Takes out of `table` what does not fit `schema`, and puts the defaults in.
    fn table(&mut self, table: &mut DeTable<'_>, place: &Place, schema: &Value) {
        let keys: Vec<(String, Range<usize>)> = table
            .keys()
            .map(|key| (key.get_ref().clone().into_owned(), key.span()))
            .collect();
        for (key, span) in keys {
            let Some(entry) = entry_of(schema, &key) else {
                if let Some(value) = table.get(key.as_str()) {
                    // It may be the misspelt key of a secret.
                    self.diagnostics.mark_secret(value.span());
                }
                self.unknown(&key, &span, place, schema);
                table.remove(key.as_str());
                continue;
            };
            let fits = if let Some(why) = entry.get("x-not-yet").and_then(Value::as_str) {
                self.diagnostics
                    .add(&span, format!("`{key}` is not supported yet"), why);
                false
            } else {
                table.get_mut(key.as_str()).is_some_and(|value| {
                    self.value(
                        value,
                        place,
                        Entry {
                            key: &key,
                            schema: entry,
                        },
                    )
                })
            };
            if !fits {
                table.remove(key.as_str());
                self.diagnostics.mark_removed(&place.span, &key);
            }
        }
        for key in required(schema) {
            if !table.contains_key(key) {
                let hint = entry_of(schema, key)
                    .map_or_else(String::new, |entry| format!("add it: {}", summary(entry)));
                self.diagnostics.missing(&place.span, key, hint);
            }
        }
        fill(table, schema);
    }

    fn unknown(&mut self, key: &str, span: &Range<usize>, place: &Place, schema: &Value) {
        let known = || {
            schema
                .get("properties")
                .and_then(Value::as_object)
                .into_iter()
                .flat_map(|all| all.keys())
        };
        let hint = match suggest(key, known().map(String::as_str)) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!(
                "known here: {}",
                known()
                    .map(|key| format!("`{key}`"))
                    .collect::<Vec<_>>()
                    .join(", ")
            ),
        };
        self.diagnostics.add(
            span,
            format!("unknown key `{}` {}", key.escape_debug(), place.shown()),
            hint,
        );
    }

    /// Whether `value` fits; what does not is noted.
    fn value(&mut self, value: &mut Spanned<DeValue<'_>>, place: &Place, entry: Entry<'_>) -> bool {
        let Entry { key, schema } = entry;
        let span = value.span();
        let written = schema.get("x-written").and_then(Value::as_str);
        if written == Some("secret") {
            return self.secret(value, key);
        }
        let Some(schema) = branch(schema, value.get_ref()) else {
            let what = format!("`{key}` is {}", kind_of(value.get_ref()));
            self.diagnostics
                .add(&span, what, format!("write {}", expected(schema)));
            return false;
        };
        match value.get_mut() {
            DeValue::String(text) => self.text(text, &span, Entry { key, schema }),
            DeValue::Integer(number) => {
                self.number(&Number::whole(number), &span, Entry { key, schema })
            }
            DeValue::Float(number) => {
                self.number(&Number::fraction(number), &span, Entry { key, schema })
            }
            DeValue::Array(items) => self.array(items, place, Entry { key, schema }),
            DeValue::Table(table) => {
                self.table(table, &place.beneath(key, span), schema);
                true
            }
            DeValue::Boolean(_) | DeValue::Datetime(_) => true,
        }
    }

    fn text(&mut self, text: &str, span: &Range<usize>, entry: Entry<'_>) -> bool {
        let Entry { key, schema } = entry;
        if let Some(name) = variable(text) {
            let what = format!("`{key}` is taken as it stands: {}", quoted(text));
            let hint = format!("variables are expanded in secrets only: write the value of {name}");
            self.diagnostics.warn(span, what, hint);
        }
        let known = words(schema);
        if !known.is_empty() {
            return self.word(text, span, key, &known);
        }
        match schema.get("x-written").and_then(Value::as_str) {
            Some("duration") => self.measured(text, span, Entry { key, schema }, &DURATION),
            Some("size") => self.measured(text, span, Entry { key, schema }, &SIZE),
            Some(_) | None => true,
        }
    }

    fn word(
        &mut self,
        text: &str,
        span: &Range<usize>,
        key: &str,
        known: &[(&str, &Value)],
    ) -> bool {
        if let Some((_, schema)) = known.iter().find(|(word, _)| *word == text) {
            let why = schema.get("x-not-yet").and_then(Value::as_str);
            if let Some(why) = why {
                self.diagnostics.add(
                    span,
                    format!("`{key}` = {text:?} is not supported yet"),
                    why,
                );
            }
            return why.is_none();
        }
        let offered = || {
            known
                .iter()
                .filter(|(_, schema)| schema.get("x-not-yet").is_none())
                .map(|(word, _)| *word)
        };
        let hint = match suggest(text, offered()) {
            Some(near) => format!("did you mean {near:?}?"),
            None => {
                format!(
                    "write one of {}",
                    offered()
                        .map(|word| format!("{word:?}"))
                        .collect::<Vec<_>>()
                        .join(", ")
                )
            }
        };
        self.diagnostics.add(
            span,
            format!("`{key}` does not know {}", quoted(text)),
            hint,
        );
        false
    }

    fn measured<T: PartialOrd>(
        &mut self,
        text: &str,
        span: &Range<usize>,
        entry: Entry<'_>,
        unit: &Unit<T>,
    ) -> bool {
        let Entry { key, schema } = entry;
        let read = unit.read;
        let Some(amount) = read(text) else {
            self.diagnostics.add(
                span,
                format!("`{key}` cannot be {}", quoted(text)),
                unit.examples,
            );
            return false;
        };
        let bound = |name| {
            schema
                .get(name)
                .and_then(Value::as_str)
                .and_then(|text| Some((text, read(text)?)))
        };
        let (from, to) = (bound("x-from"), bound("x-to"));
        let fits = from.as_ref().is_none_or(|(_, from)| amount >= *from)
            && to.as_ref().is_none_or(|(_, to)| amount <= *to);
        if !fits {
            let hint = format!(
                "from {:?} to {:?}",
                from.map_or("0s", |from| from.0),
                to.map_or("30d", |to| to.0)
            );
            self.diagnostics
                .add(span, format!("`{key}` is out of bounds: {text:?}"), hint);
        }
        fits
    }

    fn number(&mut self, number: &Number, span: &Range<usize>, entry: Entry<'_>) -> bool {
        let Entry { key, schema } = entry;
        let bound = |name| schema.get(name).and_then(Value::as_f64);
        let (from, to) = (
            bound("minimum").unwrap_or(0.0),
            bound("maximum").unwrap_or(f64::from(u32::MAX)),
        );
        let fits = number.value.is_some_and(|it| (from..=to).contains(&it));
        if !fits {
            let what = format!("`{key}` is out of bounds: {}", number.text);
            self.diagnostics
                .add(span, what, format!("from {from} to {to}"));
        }
        fits
    }

    fn array(&mut self, items: &mut DeArray<'_>, place: &Place, entry: Entry<'_>) -> bool {
        let Entry { key, schema } = entry;
        let Some(of) = schema.get("items") else {
            return true;
        };
        let mut kept = DeArray::new();
        for item in items.iter_mut() {
            if self.is_entry(item, Entry { key, schema: of })
                && self.value(item, place, Entry { key, schema: of })
            {
                kept.push(item.clone());
            } else {
                self.diagnostics.mark_removed(&place.span, key);
            }
        }
        *items = kept;
        true
    }

    /// Whether an entry of the list `key` has the right type.
    fn is_entry(&mut self, item: &Spanned<DeValue<'_>>, entry: Entry<'_>) -> bool {
        let Entry { key, schema: of } = entry;
        let fits = of.get("x-written").is_some() || branch(of, item.get_ref()).is_some();
        if !fits {
            let what = format!("`{key}` has {} in it", kind_of(item.get_ref()));
            self.diagnostics.add(
                &item.span(),
                what,
                format!("each entry is {}", expected(of)),
            );
        }
        fits
    }

    /// A secret is checked without ever being quoted.
    fn secret(&mut self, value: &Spanned<DeValue<'_>>, key: &str) -> bool {
        if let DeValue::String(text) = value.get_ref()
            && variable(text).is_some()
        {
            // It may be a secret all the same.
            let what =
                format!("`{key}` looks like the name of a variable, and is taken as it stands");
            let hint = "write { env = \"NAME\" } for the value of NAME";
            self.diagnostics.warn(&value.span(), what, hint);
        }
        if !value.get_ref().is_table() {
            self.diagnostics.mark_secret(value.span());
        }
        let fits = match value.get_ref() {
            DeValue::String(_) => true,
            DeValue::Table(table) => {
                let single = table.len() == 1;
                single
                    && table.iter().all(|(key, value)| {
                        matches!(key.get_ref().as_ref(), "env" | "file") && value.get_ref().is_str()
                    })
            }
            DeValue::Integer(_)
            | DeValue::Float(_)
            | DeValue::Boolean(_)
            | DeValue::Datetime(_)
            | DeValue::Array(_) => false,
        };
        if !fits {
            let hint = r#"write a string, { env = "NAME" } or { file = "PATH" }"#;
            self.diagnostics
                .add(&value.span(), format!("`{key}` is no secret"), hint);
        }
        fits
    }
}
