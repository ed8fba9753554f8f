//! Laws of the choice of a language by `Accept-Language`.

use proptest::prelude::*;
use vestibule::pages::{Catalog, language};

/// A language range, valid or not.
fn range() -> impl Strategy<Value = String> {
    let tag = prop_oneof![
        available().prop_map(|words| words.tag.to_owned()),
        "[a-zA-Z]{1,3}(-[a-zA-Z0-9]{1,8}){0,3}",
        Just("*".to_owned()),
    ];
    let weight = prop_oneof![
        Just(String::new()),
        "; ?q=(0|1|0\\.[0-9]{1,3})",
        Just(";q=0".to_owned()),
        "\\PC{0,8}"
    ];
    (tag, weight).prop_map(|(tag, weight)| tag + &weight)
}

fn available() -> impl Strategy<Value = &'static Catalog> {
    (0..Catalog::all().len()).prop_map(|place| &Catalog::all()[place])
}

fn site() -> impl Strategy<Value = Option<&'static Catalog>> {
    prop::option::of(available())
}

proptest! {
    #![proptest_config(super::scaled(2))]

    #[test]
    fn any_field_leads_to_an_available_language(text in "\\PC{0,200}", site in site()) {
        let chosen = language::choose([text.as_str()].into_iter(), site);
        prop_assert!(Catalog::all().contains(chosen));
    }

    /// A language that was not accepted is the site's or English.
    #[test]
    fn the_language_is_an_accepted_one_or_the_fallback(ranges in prop::collection::vec(range(), 0..6), site in site()) {
        let field = ranges.join(", ");
        let chosen = language::choose([field.as_str()].into_iter(), site);
        let tag = chosen.tag;
        let named = ranges.iter().any(|range| range.to_ascii_lowercase().starts_with(tag));
        prop_assert!(named || Some(chosen) == site || tag == "en", "{} for {}", tag, field);
    }

    /// A language that is refused by its name is chosen only where nothing else is left.
    #[test]
    fn a_refused_language_is_not_chosen(
        ranges in prop::collection::vec(range(), 0..6),
        refused in available(),
        site in site(),
    ) {
        let field = format!("{};q=0, {}", refused.tag, ranges.join(", "));
        let chosen = language::choose([field.as_str()].into_iter(), site);
        let others_refused = ranges.iter().any(|range| range.contains("q=0"));
        prop_assert!(chosen != refused || others_refused || (refused.tag == "en" && site.is_none_or(|site| site == refused)));
    }

    /// Two fields count as one list (RFC 9110, section 5.3).
    #[test]
    fn two_fields_count_as_one_list(one in range(), two in range(), site in site()) {
        let joined = format!("{one},{two}");
        let apart = language::choose([one.as_str(), two.as_str()].into_iter(), site);
        prop_assert_eq!(apart.tag, language::choose([joined.as_str()].into_iter(), site).tag);
    }
}
