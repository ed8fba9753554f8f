//! Properties of all catalogs.

use std::collections::{BTreeMap, BTreeSet};

use super::*;

const CATEGORIES: [&str; 6] = ["zero", "one", "two", "few", "many", "other"];

/// The names of the placeholders in a message.
fn placeholders(text: &str) -> BTreeSet<&str> {
    text.split('{')
        .skip(1)
        .map(|rest| rest.split_once('}').expect("a placeholder is not closed").0)
        .collect()
}

type Messages<'a> = BTreeMap<&'a str, &'a str>;

/// The messages of a catalog.
struct Sorted<'a> {
    /// Messages without plural forms, by key.
    plain: Messages<'a>,
    /// The plural forms of the other messages, by key and plural category.
    counted: BTreeMap<&'a str, Messages<'a>>,
}

fn sort(catalog: &Catalog) -> Sorted<'_> {
    let (mut plain, mut counted) = (BTreeMap::new(), BTreeMap::<_, BTreeMap<_, _>>::new());
    for (key, text) in catalog.messages {
        match key
            .rsplit_once('.')
            .filter(|(_, form)| CATEGORIES.contains(form) && !key.starts_with("why_"))
        {
            Some((key, form)) if catalog.own(&format!("{key}.heading")).is_none() => {
                counted.entry(key).or_default().insert(form, *text);
            }
            _ => {
                plain.insert(*key, *text);
            }
        }
    }
    Sorted { plain, counted }
}

#[test]
fn every_language_has_the_messages_and_placeholders_of_english() {
    let Sorted { plain, counted } = sort(Catalog::english());
    assert!(
        plain.len() > 100 && counted.len() >= 3,
        "the catalogs were not read"
    );
    for catalog in Catalog::all() {
        let own = sort(catalog);
        let keys = |map: &Messages<'_>| map.keys().map(|key| (*key).to_owned()).collect::<Vec<_>>();
        assert_eq!(
            keys(&own.plain),
            keys(&plain),
            "messages of {}",
            catalog.tag
        );
        for (key, text) in &own.plain {
            assert_eq!(
                placeholders(text),
                placeholders(plain[key]),
                "{key} in {}",
                catalog.tag
            );
        }
        assert!(
            own.counted.keys().eq(counted.keys()),
            "counted messages of {}",
            catalog.tag
        );
    }
}

#[test]
fn a_counted_message_has_the_plural_forms_of_its_language() {
    for catalog in Catalog::all() {
        let numbers = (0..=200).chain([1_000, 1_000_000]);
        let required: BTreeSet<_> = numbers.map(|count| category(catalog.tag, count)).collect();
        for (key, forms) in sort(catalog).counted {
            assert_eq!(
                forms.keys().copied().collect::<BTreeSet<_>>(),
                required,
                "forms of {key} in {}",
                catalog.tag
            );
            for (form, text) in forms {
                // The forms for one and two may leave out the number.
                let is_number_optional = ["one", "two"].contains(&form);
                assert!(
                    text.contains("{count}") || is_number_optional,
                    "{key}.{form} in {}",
                    catalog.tag
                );
                assert!(
                    placeholders(text).iter().all(|name| *name == "count"),
                    "{key}.{form} in {}",
                    catalog.tag
                );
            }
        }
    }
}

#[test]
fn messages_are_plain_text_and_different_from_english() {
    for catalog in Catalog::all() {
        assert!(!catalog.name.is_empty());
        let mut same = 0;
        for (key, text) in catalog.messages {
            assert_eq!(text.trim(), *text, "{key} in {}", catalog.tag);
            assert!(
                !text.is_empty() && !text.contains(['<', '>', '&', '"', '\n', '\'']),
                "{key} in {}",
                catalog.tag
            );
            same += usize::from(Catalog::english().own(key) == Some(text));
        }
        assert!(
            catalog.tag == ENGLISH || same < 3,
            "{same} messages of {} are English",
            catalog.tag
        );
    }
}

#[test]
fn a_number_selects_its_plural_form() {
    let minutes = |tag: &str, count| Catalog::of(tag).unwrap().count("wait.minutes", count);
    assert_eq!(
        [minutes("en", 1), minutes("en", 2)],
        ["in 1 minute", "in 2 minutes"]
    );
    assert_eq!(
        [minutes("fr", 0), minutes("fr", 2)],
        ["dans 0 minute", "dans 2 minutes"]
    );
    assert_eq!(minutes("ja", 5), "5分後に");
    assert_eq!(
        [2, 3, 11, 55, 100].map(|count| minutes("ar", count)),
        [
            "بعد دقيقتين",
            "بعد 3 دقائق",
            "بعد 11 دقيقة",
            "بعد 55 دقيقة",
            "بعد 100 دقيقة"
        ]
    );
}

#[test]
fn a_missing_message_is_english_and_an_unknown_one_is_its_key() {
    let empty = Catalog {
        tag: "xx",
        name: "x",
        direction: Direction::LeftToRight,
        messages: &[],
    };
    assert_eq!(empty.text("sign_in.heading"), "Sign in");
    assert_eq!(empty.count("wait.hours", 1), "in 1 hours");
    assert_eq!(empty.text("no.such.message"), "no.such.message");
    assert_eq!(Catalog::of("DE").map(|catalog| catalog.tag), Some("de"));
    assert_eq!(Catalog::of("d"), None);
}

/// An unused message would have to be translated into seven languages for nothing. Sources have the
/// whole key, or the last part of its group.
#[test]
fn every_message_is_used() {
    let mut sources = String::new();
    for folder in ["src/pages", "static"] {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
        for entry in std::fs::read_dir(root).unwrap() {
            let path = entry.unwrap().path();
            if path
                .extension()
                .is_some_and(|extension| extension == "rs" || extension == "html")
            {
                sources.push_str(&std::fs::read_to_string(path).unwrap());
            }
        }
    }
    let Sorted { plain, counted } = sort(Catalog::english());
    for key in plain.keys().chain(counted.keys()) {
        let (group, last) = key.rsplit_once('.').unwrap();
        let subgroup = group.split_once('.');
        let is_whole =
            sources.contains(&format!("\"{key}\"")) || sources.contains(&format!("words.{key}"));
        let is_quoted = |part: &str| sources.contains(&format!("\"{part}\""));
        let is_composed = subgroup.is_some_and(|(_, name)| is_quoted(name))
            || group == "why_new_password" && is_quoted(last);
        assert!(is_whole || is_composed, "the message {key} is not used");
    }
}
