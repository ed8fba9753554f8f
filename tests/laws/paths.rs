//! Laws of request targets and return paths.

use std::collections::BTreeSet;

use http::{HeaderName, Method};
use proptest::prelude::*;
use proptest::sample::select;
use url::Url;
use vestibule::decide::request_target::validate_target;
use vestibule::model::local_path::LocalPath;
use vestibule::model::path_readings::MAX_READINGS;
use vestibule::model::return_path::ReturnPath;
use vestibule::model::rule::{Access, Pattern, Rule, RuleClient};
use vestibule::model::site::Site;
use vestibule::model::target::{EncodedSlashes, Target};

use super::site::{rule, store};

/// Text made of parts that URL parsers read differently. Rarely of ones that are always refused.
fn ambiguous_text() -> impl Strategy<Value = String> {
    let ambiguous = [
        "/", "//", "/", ".", "..", "%2e", "%2E%2e", "%2f", "%5c", ";", ":", "@", "?", "#", "a",
        "b;x=1", "|",
    ];
    let hosts = [
        "evil.example",
        "http:",
        "https://",
        "javascript:",
        "[::1]",
        "&=",
        "^",
        "\"",
        "<",
        "{",
        "%41",
        "%00",
        "%0a",
    ];
    let refused = [
        "\\", "%", "%2", "\t", "\n", "\r", " ", "\u{0}", "\u{7f}", "é", "\u{3002}", "\u{ff0f}",
        "\u{2028}",
    ];
    let piece = prop_oneof![
        16 => select(ambiguous.to_vec()).prop_map(str::to_owned),
        4 => select(hosts.to_vec()).prop_map(str::to_owned),
        1 => select(refused.to_vec()).prop_map(str::to_owned),
        1 => any::<char>().prop_map(String::from),
    ];
    let start = prop_oneof![5 => Just("/"), 1 => Just("")];
    (start, proptest::collection::vec(piece, 0..7))
        .prop_map(|(start, pieces)| start.to_owned() + &pieces.concat())
}

/// A path whose readings meet different rules of [`ruled_site`], or one of the gateway's endpoints,
/// more often than not.
fn path_of_rules() -> impl Strategy<Value = String> {
    let name = select(vec![
        "admin",
        "public",
        "%61dmin",
        "%2561dmin",
        "%252561dmin",
        "a",
        "b",
        "x",
        "login",
        "_vestibule",
        "api",
        "user",
        "wiki",
        "feeds",
        "a.json",
        ".json",
        "repos",
        "info",
        "refs",
        "a;b",
        "..;x",
        "%252e%252e",
        "%25252e.",
        "%252e",
        "caf%C3%A9",
        "100%25",
        "",
    ]);
    let separator = prop_oneof![
        4 => Just("/"),
        2 => select(vec!["//", "///", "%5c", "%255C", "%252f", "%25252F", "/;/", "%2F"]),
        2 => select(vec![";", ";a=b", "%3B", "%253b", ";x/", ";%252f", "%3bx/"]),
    ];
    proptest::collection::vec((separator, name), 1..6).prop_map(|parts| {
        let text: String = parts.into_iter().flat_map(|(a, b)| [a, b]).collect();
        format!("/{}", text.trim_start_matches('/'))
    })
}

fn ruled_site(default_access: Access, slashes: EncodedSlashes) -> Site {
    Site {
        default_access,
        encoded_slashes: slashes,
        rules: vec![
            Rule {
                from: vec!["10.0.0.2/32".parse().unwrap()],
                ..rule("/admin/*", &[], Access::Public, &[])
            },
            Rule {
                header: Some(HeaderName::from_static("x-api-key")),
                ..rule("/*/b", &[], Access::Optional, &[])
            },
            rule("/admin/public", &[], Access::Public, &[]),
            rule("/admin/*", &[], Access::Required, &["admin"]),
            rule("/public/*", &[], Access::Public, &[]),
            rule("/a;b/*", &[], Access::Optional, &[]),
            rule("/x/a", &[Method::POST], Access::Required, &[]),
            rule("/x", &[], Access::Optional, &[]),
            rule("/wiki/*", &[], Access::Public, &[]),
            rule("/feeds/*.json", &[], Access::Public, &[]),
            rule("/repos/*/info/refs", &[], Access::Optional, &[]),
            rule("/repos/*/*", &[], Access::Required, &["admin"]),
        ],
        ..store()
    }
}

/// Whether a pattern matches a path, found by trying every length for every `*`.
fn matches_by_trial(pattern: &[u8], path: &[u8]) -> bool {
    match pattern {
        b"/*" => path.is_empty() || path.starts_with(b"/"),
        [b'*', pattern @ ..] => {
            let segment = path.split(|byte| *byte == b'/').next().unwrap();
            (1..=segment.len()).any(|length| matches_by_trial(pattern, &path[length..]))
        }
        [byte, pattern @ ..] => path.first() == Some(byte) && matches_by_trial(pattern, &path[1..]),
        [] => path.is_empty(),
    }
}

/// What one server may make of a path.
#[derive(Clone, Copy, Debug)]
enum Step {
    CutParameters,
    Decode,
    TurnBackslashes,
    MergeSlashes,
    ResolveDots,
}

const STEPS: [Step; 5] = [
    Step::CutParameters,
    Step::Decode,
    Step::TurnBackslashes,
    Step::MergeSlashes,
    Step::ResolveDots,
];

/// Characters stand for bytes, so that every path is text.
fn take(step: Step, path: &str, slashes: EncodedSlashes) -> String {
    match step {
        Step::CutParameters => {
            let cut = |segment: &str| segment.split(';').next().unwrap().to_owned();
            path.split('/').map(cut).collect::<Vec<_>>().join("/")
        }
        Step::Decode => {
            let kept = match slashes {
                EncodedSlashes::Reject => path.to_owned(),
                EncodedSlashes::Pass => path.replace("%2f", "%252F").replace("%2F", "%252F"),
            };
            let bytes: Vec<u8> = kept.chars().map(|c| u8::try_from(c).unwrap()).collect();
            let decoded = percent_encoding::percent_decode(&bytes);
            decoded.map(char::from).collect()
        }
        Step::TurnBackslashes => path.replace('\\', "/"),
        Step::MergeSlashes => {
            let mut path = path.to_owned();
            while path.contains("//") {
                path = path.replace("//", "/");
            }
            path
        }
        Step::ResolveDots => {
            let segments: Vec<&str> = path.split('/').collect();
            let mut kept: Vec<&str> = vec![""];
            for (at, segment) in segments.iter().enumerate().skip(1) {
                let is_dot = *segment == "." || *segment == "..";
                if *segment == ".." && kept.len() > 1 {
                    kept.pop();
                }
                if !is_dot {
                    kept.push(segment);
                } else if at + 1 == segments.len() {
                    kept.push("");
                }
            }
            kept.join("/")
        }
    }
}

/// Every path that servers may make of `raw` by any steps in any order.
fn all_readings(raw: &str, slashes: EncodedSlashes) -> BTreeSet<String> {
    let cut = take(Step::CutParameters, raw, slashes);
    let mut open = vec![
        take(Step::Decode, raw, slashes),
        take(Step::Decode, &cut, slashes),
    ];
    let mut readings = BTreeSet::new();
    while let Some(path) = open.pop() {
        if readings.insert(path.clone()) && readings.len() <= MAX_READINGS {
            open.extend(STEPS.map(|step| take(step, &path, slashes)));
        }
    }
    readings
}

proptest! {
    #![proptest_config(super::scaled(8))]

    /// A target is accepted if, and only if, all its readings meet the same rule and none of
    /// several meets an endpoint of the gateway.
    #[test]
    fn every_reading_of_a_target_meets_the_same_rule(
        text in path_of_rules(),
        default_access in select(vec![Access::Public, Access::Required]),
        method in select(vec![Method::GET, Method::POST]),
        pass in any::<bool>(),
        has_key in any::<bool>(),
        last in select(vec![1, 2]),
    ) {
        let key = [HeaderName::from_static("x-api-key")];
        let headers = if has_key { &key[..] } else { &[] };
        let client = RuleClient { address: [10, 0, 0, last].into(), headers };
        let slashes = if pass { EncodedSlashes::Pass } else { EncodedSlashes::Reject };
        let site = ruled_site(default_access, slashes);
        let accepted = validate_target(text.as_bytes(), &method, client, &site).is_ok();
        if Target::parse(text.as_bytes(), slashes).is_err() {
            prop_assert!(!accepted);
            return Ok(());
        }
        let readings = all_readings(&text, slashes);
        let bytes = |path: &str| path.chars().map(|c| u8::try_from(c).unwrap()).collect::<Vec<_>>();
        let rules: BTreeSet<_> = readings
            .iter()
            .map(|path| site.find_rule(&method, &bytes(path), client).map(std::ptr::from_ref::<Rule>))
            .collect();
        let is_own = |path: &String| {
            let own = ["/login", "/logout", "/api/user", "/api/login", "/login/password"];
            own.contains(&path.as_str()) || path.starts_with("/_vestibule/")
        };
        let agree = readings.len() <= MAX_READINGS
            && rules.len() == 1
            && (readings.len() == 1 || !readings.iter().any(is_own));
        prop_assert_eq!(accepted, agree, "{:?} meet {:?}", readings, rules);
    }

    #[test]
    fn a_pattern_matches_what_its_stars_stand_for(text in "(/[ab*.]{0,4}){1,3}", path in "(/[ab.]{0,4}){1,3}") {
        let Ok(pattern) = Pattern::parse(&text) else { return Ok(()) };
        let expected = matches_by_trial(text.as_bytes(), path.as_bytes());
        prop_assert_eq!(pattern.matches(path.as_bytes()), expected);
    }

    /// A rule is refused because an earlier one covers it: no request may be lost to that.
    #[test]
    fn a_pattern_that_covers_another_matches_all_that_the_other_matches(
        wide in "(/[ab*]{0,2}){1,2}(/[*])?",
        narrow in "(/[ab*]{0,2}){1,2}(/[*])?",
        path in "(/[ab]{0,3}){1,3}",
    ) {
        let (Ok(wide), Ok(narrow)) = (Pattern::parse(&wide), Pattern::parse(&narrow)) else { return Ok(()) };
        if wide.covers(&narrow) && narrow.matches(path.as_bytes()) {
            prop_assert!(wide.matches(path.as_bytes()));
        }
    }

    /// However a browser resolves it, and from whichever page.
    #[test]
    fn a_return_path_never_leaves_the_origin(text in ambiguous_text()) {
        let Some(path) = ReturnPath::parse(&text) else { return Ok(()) };
        for base in ["https://store.example.com/", "https://store.example.com/login?return_to=x", "http://localhost:8080/a/b/"] {
            let base = Url::parse(base).unwrap();
            let there = base.join(path.as_str()).unwrap();
            prop_assert_eq!(there.origin(), base.origin());
            prop_assert!(there.username().is_empty() && there.password().is_none());
            // Scripts that read `location.pathname`, and second redirects, resolve it again.
            let again = &there[url::Position::BeforePath..];
            prop_assert_eq!(base.join(again).unwrap().origin(), base.origin(), "{}", again);
            prop_assert!(!again.starts_with("//") && !again.starts_with("/\\"));
        }
    }

    /// Whatever the path and the parameter hold.
    #[test]
    fn a_local_path_never_leaves_the_origin(text in ambiguous_text(), value in ambiguous_text()) {
        let bare = LocalPath::endpoint(&text);
        let path = bare.clone().with_parameter("return_to", &value);
        for path in [&bare, &path] {
            prop_assert!(path.as_str().bytes().all(|byte| (0x21..0x7f).contains(&byte)));
        }
        for base in ["https://store.example.com/", "http://localhost:8080/a/b/?c"] {
            let base = Url::parse(base).unwrap();
            for path in [&bare, &path] {
                prop_assert_eq!(base.join(path.as_str()).unwrap().origin(), base.origin());
            }
            let (there, bare) = (base.join(path.as_str()).unwrap(), base.join(bare.as_str()).unwrap());
            prop_assert_eq!(there.path(), bare.path());
            prop_assert_eq!(there.fragment(), bare.fragment());
            let before = bare.query_pairs().count();
            let added: Vec<_> = there.query_pairs().skip(before).collect();
            prop_assert_eq!(added, [("return_to".into(), value.as_str().into())]);
        }
    }

    #[test]
    fn a_return_path_is_a_valid_header_value(text in ambiguous_text()) {
        if let Some(path) = ReturnPath::parse(&text) {
            prop_assert!(path.as_str().bytes().all(|byte| (0x21..0x7f).contains(&byte)));
            let reparsed = ReturnPath::parse(path.as_str());
            prop_assert_eq!(reparsed.as_ref(), Some(&path));
        }
    }

    /// However it is spelled: a browser that is given the text and one that is given the return
    /// path request the same.
    #[test]
    fn a_return_path_is_the_address_that_was_written(text in ambiguous_text()) {
        let base = Url::parse("https://store.example.com/").unwrap();
        // Browsers cut blanks off the end of an address that is typed.
        let written = base.join(&text.replace(' ', "%20")).ok();
        match ReturnPath::parse(&text) {
            Some(path) => {
                let (path, written) = (base.join(path.as_str()).unwrap(), written.unwrap());
                // A `%` that begins no escape is escaped in the path.
                let read = |url: &Url| percent_encoding::percent_decode_str(url.path()).collect::<Vec<u8>>();
                prop_assert_eq!(read(&path), read(&written));
                prop_assert_eq!(path.query(), written.query());
                prop_assert_eq!(path.fragment(), written.fragment());
            }
            // Every other path of this site is refused for a reason.
            None => {
                let plain = text.starts_with('/') && !text.contains('\\') && !text.chars().any(char::is_control);
                let path = written.filter(|url| plain && url.origin() == base.origin()).map(|url| url.path().to_ascii_lowercase());
                let names_host = |path: &str| {
                    let mut rest = path.get(1..).unwrap_or_default();
                    while let Some(decoded) = rest.strip_prefix("%25") {
                        rest = decoded;
                        if rest.starts_with("25") || rest.starts_with("2f") || rest.starts_with("5c") {
                            return true;
                        }
                    }
                    rest.starts_with('/') || rest.starts_with("%2f") || rest.starts_with("%5c")
                };
                let has_control = |path: &str| ["%00", "%0d", "%0a"].iter().any(|it| path.contains(it));
                prop_assert!(path.is_none_or(|path| names_host(&path) || has_control(&path)), "{:?}", text);
            }
        }
    }

    #[test]
    fn a_target_is_well_formed(text in ambiguous_text(), pass in any::<bool>()) {
        let slashes = if pass { EncodedSlashes::Pass } else { EncodedSlashes::Reject };
        let Ok(target) = Target::parse(text.as_bytes(), slashes) else { return Ok(()) };
        prop_assert_eq!(target.raw(), &text);
        let again = Target::parse(target.raw().as_bytes(), slashes);
        prop_assert_eq!(again.as_ref(), Ok(&target));
        let decoded = target.decoded_path();
        prop_assert_eq!(decoded.first(), Some(&b'/'));
        prop_assert!(!decoded.iter().any(|byte| matches!(byte, 0 | b'\r' | b'\n')));
        for segment in decoded.split(|byte| matches!(byte, b'/' | b'\\')) {
            let name = segment.split(|byte| *byte == b';').next().unwrap();
            prop_assert!(name != b"." && name != b"..");
        }
        // The URL parser of browsers resolves nothing in it either, and finds no other host.
        let base = Url::parse("https://store.example.com/").unwrap();
        let there = base.join(target.raw()).unwrap();
        prop_assert_eq!(there.origin(), base.origin());
        prop_assert_eq!(there.path().matches('/').count(), target.path().matches('/').count());
        prop_assert_eq!(there.fragment(), None);
    }

    /// Rules are matched with the bytes that an application reads from the path.
    #[test]
    fn a_decoded_path_is_decoded_once(segment in "[a-zA-Z0-9%;=.~ é]{0,12}") {
        let raw = format!("/a{}", percent_encoding::utf8_percent_encode(&segment, percent_encoding::NON_ALPHANUMERIC));
        let target = Target::parse(raw.as_bytes(), EncodedSlashes::Reject).unwrap();
        let read = format!("/a{segment}");
        prop_assert_eq!(target.decoded_path(), read.as_bytes());
    }

    #[test]
    fn any_bytes_are_parsed_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
        for slashes in [EncodedSlashes::Reject, EncodedSlashes::Pass] {
            if let Ok(target) = Target::parse(&bytes, slashes) {
                prop_assert!(target.raw().bytes().all(|byte| (0x21..0x7f).contains(&byte)));
            }
        }
    }
}
