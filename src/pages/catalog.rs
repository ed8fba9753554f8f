//! The message catalogs: one per language, from `static/words/`, compiled in by `build.rs`.
//!
//! A message has a key with dots, such as `sign_in.heading`, and may contain placeholders, such as
//! `{wait}`. If a catalog lacks a message, the English one is used. Tests verify that no catalog
//! lacks one.

use icu_locale_core::Locale;
use icu_plurals::{PluralCategory, PluralRules};
use serde::Serialize;

/// The messages of a language, by key.
#[derive(Debug, PartialEq, Eq)]
pub struct Catalog {
    /// The language tag (BCP 47), for `lang` and `Content-Language`.
    pub tag: &'static str,
    /// The name of the language, in that language.
    pub name: &'static str,
    /// The writing direction of the language.
    pub direction: Direction,
    /// Keys and texts, sorted by key.
    messages: &'static [(&'static str, &'static str)],
}

/// The writing direction of a language: the value of the HTML attribute `dir`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Direction {
    /// From left to right, as in English and Japanese.
    #[serde(rename = "ltr")]
    LeftToRight,
    /// From right to left, as in Arabic.
    #[serde(rename = "rtl")]
    RightToLeft,
}

/// All catalogs, sorted by tag.
const ALL: &[Catalog] = include!(concat!(env!("OUT_DIR"), "/words.rs"));

/// The tag of the fallback language. `static/words/en.toml` always exists.
const ENGLISH: &str = "en";

impl Catalog {
    /// All catalogs, sorted by tag.
    #[must_use]
    pub const fn all() -> &'static [Self] {
        ALL
    }

    /// The catalog with exactly this tag, in any case.
    #[must_use]
    pub fn of(tag: &str) -> Option<&'static Self> {
        ALL.iter()
            .find(|catalog| catalog.tag.eq_ignore_ascii_case(tag))
    }

    /// The English catalog, which is the fallback.
    #[must_use]
    pub fn english() -> &'static Self {
        const EMPTY: &Catalog = &Catalog {
            tag: ENGLISH,
            name: "",
            direction: Direction::LeftToRight,
            messages: &[],
        };
        Self::of(ENGLISH).unwrap_or(EMPTY)
    }

    /// The message `key`, or `None` if neither this catalog nor the English one has it.
    #[must_use]
    pub fn find(&self, key: &str) -> Option<&'static str> {
        self.own(key).or_else(|| Self::english().own(key))
    }

    /// The message `key`, or the key itself if there is no such message.
    #[must_use]
    pub fn text<'k>(&self, key: &'k str) -> &'k str {
        self.find(key).unwrap_or(key)
    }

    /// The message `key` with `value` for its placeholder `{name}`.
    #[must_use]
    pub fn text_with(&self, key: &str, name: &str, value: &str) -> String {
        self.text(key).replace(&format!("{{{name}}}"), value)
    }

    /// The message `key` in the plural form for `count`, with `count` for its placeholder
    /// `{count}`.
    #[must_use]
    pub fn count(&self, key: &str, count: u32) -> String {
        let form = self
            .own(&format!("{key}.{}", category(self.tag, count)))
            .or_else(|| self.own(&format!("{key}.other")))
            .unwrap_or_else(|| {
                Self::english()
                    .own(&format!("{key}.other"))
                    .unwrap_or_default()
            });
        form.replace("{count}", &count.to_string())
    }

    /// Whether there are messages whose keys start with `prefix` and a dot.
    pub(super) fn has_group(&self, prefix: &str) -> bool {
        let has_group = |catalog: &Self| {
            catalog.messages.iter().any(|(key, _)| {
                key.strip_prefix(prefix)
                    .is_some_and(|rest| rest.starts_with('.'))
            })
        };
        has_group(self) || has_group(Self::english())
    }

    fn own(&self, key: &str) -> Option<&'static str> {
        let index = self
            .messages
            .binary_search_by_key(&key, |(name, _)| name)
            .ok()?;
        self.messages.get(index).map(|(_, text)| *text)
    }
}

/// The plural category (Unicode CLDR) of `count` in the language `tag`.
fn category(tag: &str, count: u32) -> &'static str {
    let rules = tag
        .parse::<Locale>()
        .ok()
        .and_then(|locale| PluralRules::try_new_cardinal((&locale).into()).ok());
    match rules.map_or(PluralCategory::Other, |rules| rules.category_for(count)) {
        PluralCategory::Zero => "zero",
        PluralCategory::One => "one",
        PluralCategory::Two => "two",
        PluralCategory::Few => "few",
        PluralCategory::Many => "many",
        PluralCategory::Other => "other",
    }
}

#[cfg(test)]
mod tests;
