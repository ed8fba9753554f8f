//! What the pages say: one catalogue of messages for each language, from `static/words/`, compiled
//! in by `build.rs`.
//!
//! A message has a name with dots, like `sign_in.heading`, and may hold placeholders, like
//! `{wait}`. What a catalogue lacks is said in English; tests hold that none lacks anything.

use icu_locale_core::Locale;
use icu_plurals::{PluralCategory, PluralRules};
use serde::Serialize;

/// The messages of one language.
#[derive(Debug, PartialEq, Eq)]
pub struct Catalog {
    /// The language (BCP 47), as in `lang` and `Content-Language`.
    pub tag: &'static str,
    /// Its name in itself.
    pub name: &'static str,
    /// Where its lines begin.
    pub direction: Direction,
    /// Name and text, by name.
    messages: &'static [(&'static str, &'static str)],
}

/// Where the lines of a script begin: the value of `dir`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Direction {
    /// Latin, Japanese.
    #[serde(rename = "ltr")]
    LeftToRight,
    /// Arabic.
    #[serde(rename = "rtl")]
    RightToLeft,
}

/// Every language, by tag.
const ALL: &[Catalog] = include!(concat!(env!("OUT_DIR"), "/words.rs"));

/// The language of last resort, which `static/words/en.toml` is never missing from.
const ENGLISH: &str = "en";

impl Catalog {
    /// Every language the pages speak, by tag.
    #[must_use]
    pub const fn all() -> &'static [Self] {
        ALL
    }

    /// The language of exactly this tag, in any case.
    #[must_use]
    pub fn of(tag: &str) -> Option<&'static Self> {
        ALL.iter().find(|words| words.tag.eq_ignore_ascii_case(tag))
    }

    /// English.
    #[must_use]
    pub fn english() -> &'static Self {
        const NONE: &Catalog = &Catalog {
            tag: ENGLISH,
            name: "",
            direction: Direction::LeftToRight,
            messages: &[],
        };
        Self::of(ENGLISH).unwrap_or(NONE)
    }

    /// The message `key`, `None` where no language has it.
    #[must_use]
    pub fn find(&self, key: &str) -> Option<&'static str> {
        self.own(key).or_else(|| Self::english().own(key))
    }

    /// The message `key`. A key that is none is shown itself: better than nothing.
    #[must_use]
    pub fn text<'k>(&self, key: &'k str) -> &'k str {
        self.find(key).unwrap_or(key)
    }

    /// The message `key` with its placeholder `{name}` filled.
    #[must_use]
    pub fn text_with(&self, key: &str, name: &str, value: &str) -> String {
        self.text(key).replace(&format!("{{{name}}}"), value)
    }

    /// The message `key` in the form that fits `count`, which also fills `{count}`.
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

    /// Whether there are messages beneath `prefix`.
    pub(super) fn has_beneath(&self, prefix: &str) -> bool {
        let beneath = |words: &Self| {
            words.messages.iter().any(|(key, _)| {
                key.strip_prefix(prefix)
                    .is_some_and(|rest| rest.starts_with('.'))
            })
        };
        beneath(self) || beneath(Self::english())
    }

    fn own(&self, key: &str) -> Option<&'static str> {
        let at = self
            .messages
            .binary_search_by_key(&key, |(name, _)| name)
            .ok()?;
        self.messages.get(at).map(|(_, text)| *text)
    }
}

/// The word of the Unicode CLDR for the form a number asks for in a language.
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
