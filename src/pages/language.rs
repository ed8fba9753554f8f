//! The choice of a page's language: one that its address names or that the user accepts, or else the
//! site's, or else English.
//!
//! `Accept-Language` (RFC 9110, section 12.5.4) is matched with the lookup of RFC 4647, section
//! 3.4. It is parsed only when a page is rendered.

use super::catalog::Catalog;

/// The maximum number of language ranges that are examined. Browsers send a handful.
const MAX_RANGES: usize = 32;

/// The query parameter by which the address of a page names its language.
pub const PARAMETER: &str = "lang";

/// The language that the query of a page's address names, of those that there are.
#[must_use]
pub fn in_query(query: &[u8]) -> Option<&'static Catalog> {
    let mut values = query.split(|byte| *byte == b'&').filter_map(|pair| {
        let value = pair.strip_prefix(PARAMETER.as_bytes())?;
        value.strip_prefix(b"=")
    });
    Catalog::of(std::str::from_utf8(values.next()?).ok()?)
}

/// A language range with its weight in thousandths.
struct Range<'a> {
    tag: &'a str,
    weight: u16,
}

/// The language of a page. `accepted` has the values of all `Accept-Language` fields, and
/// `preferred` is the site's language.
#[must_use]
pub fn choose<'a>(
    accepted: impl Iterator<Item = &'a str>,
    preferred: Option<&'static Catalog>,
) -> &'static Catalog {
    let mut ranges: Vec<Range<'_>> = accepted
        .flat_map(|value| value.split(','))
        .take(MAX_RANGES)
        .filter_map(parse_range)
        .collect();
    // The sort is stable: of two ranges with the same weight the first one wins.
    ranges.sort_by_key(|range| std::cmp::Reverse(range.weight));
    let is_refused = |catalog: &Catalog| {
        ranges
            .iter()
            .any(|range| range.weight == 0 && is_in_range(catalog.tag, range.tag))
    };
    let accepted = ranges
        .iter()
        .filter(|range| range.weight > 0)
        // With `*` the site's language is as good as any.
        .map_while(|range| (range.tag != "*").then_some(range.tag))
        .find_map(|tag| lookup(tag).filter(|catalog| !is_refused(catalog)));
    let fallbacks = [preferred, Some(Catalog::english())];
    accepted
        .or_else(|| {
            fallbacks
                .into_iter()
                .flatten()
                .find(|catalog| !is_refused(catalog))
        })
        .or(preferred)
        .unwrap_or_else(Catalog::english)
}

/// Parses a range such as `de-AT;q=0.8`. Malformed ranges are ignored.
fn parse_range(text: &str) -> Option<Range<'_>> {
    let (tag, parameter) = text
        .split_once(';')
        .map_or((text, None), |(tag, rest)| (tag, Some(rest)));
    let tag = tag.trim_ascii();
    if tag.is_empty()
        || tag.len() > 35
        || !tag
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'*')
    {
        return None;
    }
    let weight = parameter.map_or(Some(1000), parse_weight)?;
    Some(Range { tag, weight })
}

/// Parses a weight such as `q=0.8` (RFC 9110, section 12.4.2) in thousandths.
fn parse_weight(parameter: &str) -> Option<u16> {
    let (name, value) = parameter.split_once('=')?;
    if !name.trim_ascii().eq_ignore_ascii_case("q") {
        return None;
    }
    let (integer, fraction) = value
        .trim_ascii()
        .split_once('.')
        .unwrap_or((value.trim_ascii(), ""));
    if fraction.len() > 3 || !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let thousandths: u16 = format!("{fraction:0<3}").parse().ok()?;
    match integer {
        "0" => Some(thousandths),
        "1" if thousandths == 0 => Some(1000),
        _ => None,
    }
}

/// The catalog whose tag is `range`, or a prefix of it.
#[must_use]
pub fn lookup(range: &str) -> Option<&'static Catalog> {
    let mut tag = range;
    loop {
        if let Some(catalog) = Catalog::of(tag) {
            return Some(catalog);
        }
        tag = tag.rsplit_once('-')?.0;
        // A single letter starts an extension and has no meaning without it.
        if let Some((before, single)) = tag.rsplit_once('-')
            && single.len() == 1
        {
            tag = before;
        }
    }
}

/// Whether `tag` is `range` or starts with it and a hyphen.
fn is_in_range(tag: &str, range: &str) -> bool {
    tag.get(..range.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(range))
        && tag
            .get(range.len()..)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(accept: &str, site: Option<&str>) -> &'static str {
        choose(
            [accept].into_iter(),
            site.map(|tag| Catalog::of(tag).unwrap()),
        )
        .tag
    }

    #[test]
    fn an_accepted_language_is_chosen() {
        for (accept, language) in [
            ("de", "de"),
            ("DE-at", "de"),
            ("pt-BR", "pt"),
            ("zh-Hant-TW, ja;q=0.2", "ja"),
            ("fr;q=0.5, es", "es"),
            ("fr;q=0.5, es;q=0.5", "fr"),
            ("en;q=0.1,fr;q=0.11", "fr"),
            ("sv, *, de;q=0.9", "en"),
            ("ar-x-private", "ar"),
            ("de-DE-u-co-phonebk", "de"),
            ("de ; q=1.000 , fr", "de"),
        ] {
            assert_eq!(chosen(accept, None), language, "{accept}");
        }
    }

    #[test]
    fn a_refused_language_is_not_chosen() {
        assert_eq!(chosen("de;q=0, de-AT, fr;q=0.1", None), "fr");
        assert_eq!(chosen("de;q=0", Some("de")), "en");
        assert_eq!(chosen("en;q=0", None), "en");
        assert_eq!(chosen("en;q=0", Some("ja")), "ja");
        assert_eq!(chosen("en;q=0, ja;q=0", Some("ja")), "ja");
        assert_eq!(chosen("de-AT;q=0, de", None), "de");
    }

    #[test]
    fn without_an_accepted_language_the_site_decides_then_english() {
        for accept in ["", "sv", "*", "*;q=0", "sv;q=1, *;q=0.5"] {
            assert_eq!(chosen(accept, None), "en", "{accept}");
            assert_eq!(chosen(accept, Some("de")), "de", "{accept}");
        }
        assert_eq!(choose(std::iter::empty(), None).tag, "en");
    }

    #[test]
    fn malformed_ranges_are_ignored_and_their_number_is_limited() {
        for accept in [
            "de;q=2",
            "de;q=0.1234",
            "de;q=x",
            "de;x=1",
            "d e",
            "de;q",
            "ä",
            ";q=1",
            "de;q=1.001",
        ] {
            assert_eq!(chosen(accept, None), "en", "{accept}");
        }
        let many = format!("{}de", "xx,".repeat(MAX_RANGES));
        assert_eq!(chosen(&many, None), "en");
        assert_eq!(chosen(&many[3..], None), "de");
        assert_eq!(chosen(&format!("{}-de", "-".repeat(9_000)), None), "en");
        assert_eq!(choose(["fr;q=0.1", "de"].into_iter(), None).tag, "de");
    }
}
