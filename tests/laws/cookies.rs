//! Laws of cookies: reading, setting, clearing, and what is kept from the upstream.

use std::time::Duration;

use proptest::prelude::*;
use proptest::sample::select;
use vestibule::model::cookie_names::{CookieKind, CookieNames, MAX_CHUNK};
use vestibule::model::origin::Scheme;
use vestibule::model::request_cookies::{PresentedCookie, PresentedCookies};
use vestibule::model::set_cookie::{self, Lifetime, sets_managed};

fn names() -> impl Strategy<Value = CookieNames> {
    let renamed = CookieNames {
        access: "a".into(),
        refresh: "ab".into(),
        session: "a_b".into(),
        form: "a-b".into(),
        device: "a-c".into(),
        owner: "a-d".into(),
        language: "a-f".into(),
        redirect_login: "a-e".into(),
        secure: false,
        hosted_backend: false,
    };
    let hosted = [
        CookieNames::for_hosted_backend(Scheme::Https),
        CookieNames::for_hosted_backend(Scheme::Http),
    ];
    let any = [
        CookieNames::defaults(Scheme::Https),
        CookieNames::defaults(Scheme::Http),
        renamed,
    ];
    select([&any[..], &hosted[..]].concat())
}

fn kind() -> impl Strategy<Value = CookieKind> {
    select(&CookieKind::ALL[..])
}

/// A cookie pair, valid or not.
fn pair() -> impl Strategy<Value = String> {
    let near = select(
        &[
            "vestibule-accessory",
            "vestibule-access.10",
            "vestibule-access.x",
            "Vestibule-Access",
            "ac",
            "a.",
        ][..],
    );
    prop_oneof![
        4 => ("[!#$%&'*+.^_`|~0-9A-Za-z-]{1,8}", "[!-:<-~ é]{0,12}").prop_map(|(name, value)| format!("{name}={value}")),
        2 => (near, "[a-z]{0,4}").prop_map(|(name, value)| format!("{name}={value}")),
        1 => "[!-:<-~ ]{0,8}",
        1 => Just("=".to_owned()),
        1 => Just("x=\"".to_owned()),
    ]
}

/// A pair with one of the gateway's own names.
fn managed(names: &CookieNames) -> impl Strategy<Value = String> + use<> {
    let names = names.clone();
    (
        kind(),
        proptest::option::of(0..10),
        "[ \t]{0,2}",
        "[a-z]{0,4}",
    )
        .prop_map(move |(kind, chunk, blank, value)| {
            let chunk = chunk.map(|chunk| format!(".{chunk}")).unwrap_or_default();
            format!("{}{chunk}{blank}={value}", names.name(kind))
        })
}

fn name_of(pair: &str) -> &str {
    pair.split_once('=')
        .map_or("", |(name, _)| name.trim_ascii())
}

/// What a browser sends after this `Set-Cookie`, by RFC 6265bis, section 5.6: a cookie without a
/// name comes back as its bare value.
fn sent_back(set_cookie: &str) -> String {
    let pair = set_cookie.split(';').next().unwrap();
    let (name, value) = pair.split_once('=').unwrap_or(("", pair));
    let (name, value) = (
        name.trim_matches([' ', '\t']),
        value.trim_matches([' ', '\t']),
    );
    if name.is_empty() {
        value.to_owned()
    } else {
        format!("{name}={value}")
    }
}

proptest! {
    #![proptest_config(super::scaled(1))]

    #[test]
    fn a_cookie_is_read_as_it_was_set_among_any_others(
        (names, before, after) in (names(), proptest::collection::vec(pair(), 0..4), proptest::collection::vec(pair(), 0..4)),
        (kind, length, seed) in (kind(), 0_usize..=8192, any::<u8>()),
        splits in proptest::collection::vec(any::<bool>(), 16),
        reversed in any::<bool>(),
    ) {
        let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.";
        let value: String = (0..length).map(|at| char::from(alphabet[(at * 7 + usize::from(seed)) % alphabet.len()])).collect();
        let lines = set_cookie::set(&names, kind, &value, Lifetime::For(Duration::from_secs(60)));
        let mut ours: Vec<&str> = lines.iter().map(|line| line.split("; ").next().unwrap()).collect();
        if reversed {
            ours.reverse();
        }
        let others = |pairs: &[String]| -> Vec<String> {
            pairs.iter().filter(|pair| !names.manages(name_of(pair))).cloned().collect()
        };
        let (before, after) = (others(&before), others(&after));
        let all: Vec<&str> = before.iter().map(String::as_str).chain(ours).chain(after.iter().map(String::as_str)).collect();
        let mut fields = vec![String::new()];
        for (pair, split) in all.iter().zip(splits) {
            let field = fields.last_mut().unwrap();
            if !field.is_empty() {
                field.push_str("; ");
            }
            field.push_str(pair);
            if split {
                fields.push(String::new());
            }
        }
        let read = PresentedCookies::parse(&names, fields.iter().map(String::as_str));
        let slots = [(CookieKind::Access, &read.access), (CookieKind::Refresh, &read.refresh),
            (CookieKind::Session, &read.session), (CookieKind::Form, &read.form),
            (CookieKind::Device, &read.device)];
        for (slot, presented) in slots {
            let expected = if slot == kind { PresentedCookie::Single(value.as_str().into()) } else { PresentedCookie::Absent };
            prop_assert_eq!(presented, &expected);
        }
        prop_assert_eq!(read.managed_names.len(), lines.len());
        prop_assert!(lines.iter().all(|line| line.len() <= 4096));
        prop_assert!(lines.iter().all(|line| sets_managed(&names, line.as_bytes())));
    }

    #[test]
    fn every_cookie_but_the_gateways_is_sent_upstream(
        (names, mixed) in names().prop_flat_map(|names| {
            let any = prop_oneof![pair(), managed(&names)];
            (Just(names), proptest::collection::vec(proptest::collection::vec(any, 0..5), 0..3))
        }),
        separator in select(&["; ", ";", " ;\t", ";;"][..]),
    ) {
        let fields: Vec<String> = mixed.iter().map(|pairs| pairs.join(separator)).collect();
        let rest = PresentedCookies::parse(&names, fields.iter().map(String::as_str)).upstream_cookies;
        let as_they_came = rest.is_none();
        let sent = rest.map_or_else(|| fields.concat(), |rest| String::from_utf8(rest).unwrap());
        let read = PresentedCookies::parse(&names, std::iter::once(sent.as_str()));
        prop_assert_eq!(&read, &PresentedCookies::default());
        // A field that is sent as it came keeps its blanks. One that was written anew has none.
        let kept: Vec<&str> = if as_they_came {
            sent.split(separator).map(str::trim_ascii).filter(|pair| !pair.is_empty()).collect()
        } else {
            sent.split("; ").filter(|pair| !pair.is_empty()).collect()
        };
        let written = fields.iter().flat_map(|field| field.split(';')).map(str::trim_ascii).filter(|pair| !pair.is_empty());
        let expected: Vec<&str> = written.filter(|pair| !names.manages(name_of(pair))).collect();
        prop_assert_eq!(kept, expected);
    }

    #[test]
    fn no_upstream_sets_a_cookie_that_comes_back_as_the_gateways(
        (names, line) in names().prop_flat_map(|names| {
            let start = "[ \t]{0,2}=?[ \t]{0,2}";
            let line = (start, prop_oneof![pair(), managed(&names)], select(&["", "; Path=/", " ; Secure"][..]))
                .prop_map(|(start, pair, rest)| start + &pair + rest);
            (Just(names), line)
        }),
    ) {
        if !sets_managed(&names, line.as_bytes()) {
            let back = sent_back(&line);
            let read = PresentedCookies::parse(&names, std::iter::once(back.as_str()));
            prop_assert_eq!(read, PresentedCookies::default(), "{} came back as {}", line, back);
        }
    }

    /// After writing a value and clearing what is stale, exactly the new value is there.
    #[test]
    fn stale_chunks_are_cleared(
        names in names(), kind in kind(), old in 0_usize..=8192, new in 0_usize..=8192,
    ) {
        let jar = |length: usize, byte: &str| -> Vec<(String, String)> {
            let lines = set_cookie::set(&names, kind, &byte.repeat(length), Lifetime::BrowserSession);
            let pairs = lines.iter().map(|line| line.split("; ").next().unwrap().split_once('=').unwrap());
            pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
        };
        let (before, after) = (jar(old, "o"), jar(new, "n"));
        let presented: Vec<&str> = before.iter().map(|(name, _)| name.as_str()).collect();
        let value = "n".repeat(new);
        let stale = set_cookie::stale(&names, kind, &presented, &value);
        let mut kept: Vec<(String, String)> =
            before.iter().filter(|(name, _)| !stale.contains(&name.as_str())).cloned().collect();
        kept.retain(|(name, _)| !after.iter().any(|(fresh, _)| fresh == name));
        kept.extend(after);
        let header = kept.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ");
        let read = PresentedCookies::parse(&names, std::iter::once(header.as_str()));
        prop_assert_eq!(&read.managed_names.len(), &new.div_ceil(MAX_CHUNK).max(1));
        let found = [&read.access, &read.refresh, &read.session, &read.form, &read.device, &read.owner, &read.language][kind as usize];
        prop_assert_eq!(found.value(), Some(value.as_str()));
    }

    #[test]
    fn any_text_is_read_without_a_panic(names in names(), fields in proptest::collection::vec(any::<String>(), 0..3)) {
        let read = PresentedCookies::parse(&names, fields.iter().map(String::as_str));
        prop_assert!(read.managed_names.iter().all(|name| names.manages(name)));
    }
}
