//! What holds for every catalogue.

use std::collections::{BTreeMap, BTreeSet};

use super::*;

const CATEGORIES: [&str; 6] = ["zero", "one", "two", "few", "many", "other"];

/// The placeholders of a text.
fn placeholders(text: &str) -> BTreeSet<&str> {
    text.split('{')
        .skip(1)
        .map(|rest| rest.split_once('}').expect("a brace is left open").0)
        .collect()
}

type Messages<'a> = BTreeMap<&'a str, &'a str>;

/// The messages without the counted ones, and these by key and form.
fn sorted(words: &Catalog) -> (Messages<'_>, BTreeMap<&str, Messages<'_>>) {
    let (mut plain, mut counted) = (BTreeMap::new(), BTreeMap::<_, BTreeMap<_, _>>::new());
    for (key, text) in words.messages {
        match key
            .rsplit_once('.')
            .filter(|(_, form)| CATEGORIES.contains(form) && !key.starts_with("why_"))
        {
            Some((key, form)) if words.own(&format!("{key}.heading")).is_none() => {
                counted.entry(key).or_default().insert(form, *text);
            }
            _ => {
                plain.insert(*key, *text);
            }
        }
    }
    (plain, counted)
}

#[test]
fn every_language_has_the_messages_and_placeholders_of_english() {
    let (plain, counted) = sorted(Catalog::english());
    assert!(
        plain.len() > 100 && counted.len() >= 3,
        "the catalogues were not read"
    );
    for words in Catalog::all() {
        let (own_plain, own_counted) = sorted(words);
        let keys = |map: &Messages<'_>| map.keys().map(|key| (*key).to_owned()).collect::<Vec<_>>();
        assert_eq!(keys(&own_plain), keys(&plain), "messages of {}", words.tag);
        for (key, text) in &own_plain {
            assert_eq!(
                placeholders(text),
                placeholders(plain[key]),
                "{key} in {}",
                words.tag
            );
        }
        assert!(
            own_counted.keys().eq(counted.keys()),
            "counted messages of {}",
            words.tag
        );
    }
}

#[test]
fn a_counted_message_has_the_forms_its_language_asks_for() {
    for words in Catalog::all() {
        let numbers = (0..=200).chain([1_000, 1_000_000]);
        let asked: BTreeSet<_> = numbers.map(|count| category(words.tag, count)).collect();
        for (key, forms) in sorted(words).1 {
            assert_eq!(
                forms.keys().copied().collect::<BTreeSet<_>>(),
                asked,
                "forms of {key} in {}",
                words.tag
            );
            for (form, text) in forms {
                // One and two of something may be said without a number.
                let may_lack = ["one", "two"].contains(&form);
                assert!(
                    text.contains("{count}") || may_lack,
                    "{key}.{form} in {}",
                    words.tag
                );
                assert!(
                    placeholders(text).iter().all(|name| *name == "count"),
                    "{key}.{form} in {}",
                    words.tag
                );
            }
        }
    }
}

#[test]
fn messages_are_plain_text_and_different_from_english() {
    for words in Catalog::all() {
        assert!(!words.name.is_empty());
        let mut same = 0;
        for (key, text) in words.messages {
            assert_eq!(text.trim(), *text, "{key} in {}", words.tag);
            assert!(
                !text.is_empty() && !text.contains(['<', '>', '&', '"', '\n', '\'']),
                "{key} in {}",
                words.tag
            );
            same += usize::from(Catalog::english().own(key) == Some(text));
        }
        assert!(
            words.tag == ENGLISH || same < 3,
            "{same} messages of {} are English",
            words.tag
        );
    }
}

#[test]
fn numbers_take_their_form() {
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
fn what_is_missing_is_said_in_english_and_what_is_nothing_by_its_name() {
    let poor = Catalog {
        tag: "xx",
        name: "x",
        direction: Direction::LeftToRight,
        messages: &[],
    };
    assert_eq!(poor.text("sign_in.heading"), "Sign in");
    assert_eq!(poor.count("wait.hours", 1), "in 1 hours");
    assert_eq!(poor.text("no.such.message"), "no.such.message");
    assert_eq!(Catalog::of("DE").map(|words| words.tag), Some("de"));
    assert_eq!(Catalog::of("d"), None);
}

/// A message nobody asks for is dead weight in seven languages. Keys are written whole, or as
/// `group.{}`.
#[test]
fn every_message_is_asked_for() {
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
    let (plain, counted) = sorted(Catalog::english());
    for key in plain.keys().chain(counted.keys()) {
        let (group, last) = key.rsplit_once('.').unwrap();
        let deeper = group.split_once('.');
        let whole =
            sources.contains(&format!("\"{key}\"")) || sources.contains(&format!("words.{key}"));
        let composed = |stem: &str| sources.contains(&format!("\"{stem}\""));
        let by_stem = deeper.is_some_and(|(_, stem)| composed(stem))
            || group == "why_new_password" && composed(last);
        assert!(whole || by_stem, "nobody says {key}");
    }
}
