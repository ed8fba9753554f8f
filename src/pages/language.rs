//! Which language a page speaks: the visitor's, else the site's, else English.
//!
//! `Accept-Language` is read as RFC 9110, section 12.5.4 has it, and looked up as RFC 4647, section
//! 3.4: the range the visitor likes best whose beginning is a language of ours. Only where a page
//! is made.

use super::catalog::Catalog;

/// The most ranges that are looked at. People list a handful.
const MAX_RANGES: usize = 32;

/// A range of languages with how much it is wanted, in thousandths.
struct Range<'a> {
    tag: &'a str,
    weight: u16,
}

/// The language of a page. `accepted` are the values of the `Accept-Language` fields, `preferred`
/// is the site's.
#[must_use]
pub fn choose<'a>(
    accepted: impl Iterator<Item = &'a str>,
    preferred: Option<&'static Catalog>,
) -> &'static Catalog {
    let mut ranges: Vec<Range<'_>> = accepted
        .flat_map(|value| value.split(','))
        .take(MAX_RANGES)
        .filter_map(range)
        .collect();
    // Stable: of two that are wanted alike the first counts.
    ranges.sort_by_key(|range| std::cmp::Reverse(range.weight));
    let refused = |words: &Catalog| {
        ranges
            .iter()
            .any(|range| range.weight == 0 && begins(words.tag, range.tag))
    };
    let wanted = ranges
        .iter()
        .filter(|range| range.weight > 0)
        // Whoever takes any language takes the site's.
        .map_while(|range| (range.tag != "*").then_some(range.tag))
        .find_map(|tag| lookup(tag).filter(|words| !refused(words)));
    let fallbacks = [preferred, Some(Catalog::english())];
    wanted
        .or_else(|| {
            fallbacks
                .into_iter()
                .flatten()
                .find(|words| !refused(words))
        })
        .or(preferred)
        .unwrap_or_else(Catalog::english)
}

/// Reads `de-AT;q=0.8`. What cannot be read is left out.
fn range(text: &str) -> Option<Range<'_>> {
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
    let weight = parameter.map_or(Some(1000), weight)?;
    Some(Range { tag, weight })
}

/// Reads `q=0.8` (RFC 9110, section 12.4.2) as thousandths.
fn weight(parameter: &str) -> Option<u16> {
    let (name, value) = parameter.split_once('=')?;
    if !name.trim_ascii().eq_ignore_ascii_case("q") {
        return None;
    }
    let (whole, part) = value
        .trim_ascii()
        .split_once('.')
        .unwrap_or((value.trim_ascii(), ""));
    if part.len() > 3 || !part.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let thousandths: u16 = format!("{part:0<3}").parse().ok()?;
    match whole {
        "0" => Some(thousandths),
        "1" if thousandths == 0 => Some(1000),
        _ => None,
    }
}

/// The language whose tag is the range, or its beginning.
#[must_use]
pub fn lookup(range: &str) -> Option<&'static Catalog> {
    let mut tag = range;
    loop {
        if let Some(words) = Catalog::of(tag) {
            return Some(words);
        }
        tag = tag.rsplit_once('-')?.0;
        // A single letter begins an extension and says nothing without it.
        if let Some((before, single)) = tag.rsplit_once('-')
            && single.len() == 1
        {
            tag = before;
        }
    }
}

/// Whether `tag` is the range or lies within it.
fn begins(tag: &str, range: &str) -> bool {
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
    fn the_visitor_is_answered_in_a_language_of_theirs() {
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
    fn a_refused_language_is_not_spoken() {
        assert_eq!(chosen("de;q=0, de-AT, fr;q=0.1", None), "fr");
        assert_eq!(chosen("de;q=0", Some("de")), "en");
        assert_eq!(chosen("en;q=0", None), "en");
        assert_eq!(chosen("en;q=0", Some("ja")), "ja");
        assert_eq!(chosen("en;q=0, ja;q=0", Some("ja")), "ja");
        assert_eq!(chosen("de-AT;q=0, de", None), "de");
    }

    #[test]
    fn without_a_wish_the_site_decides_then_english() {
        for accept in ["", "sv", "*", "*;q=0", "sv;q=1, *;q=0.5"] {
            assert_eq!(chosen(accept, None), "en", "{accept}");
            assert_eq!(chosen(accept, Some("de")), "de", "{accept}");
        }
        assert_eq!(choose(std::iter::empty(), None).tag, "en");
    }

    #[test]
    fn what_cannot_be_read_is_left_out_and_work_is_bounded() {
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
