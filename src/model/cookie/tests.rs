//! What is read, written and kept back.

use super::*;

fn names() -> CookieNames {
    CookieNames::defaults(true)
}

fn read<'a>(names: &'a CookieNames, fields: &[&'a str]) -> PresentedCookies<'a> {
    PresentedCookies::parse(names, fields.iter().copied())
}

#[test]
fn one_field_or_many_are_the_same() {
    let names = names();
    let one = ["a=1; __Host-vestibule-access=A; __Host-vestibule-refresh=R"];
    let many = [
        "a=1",
        "__Host-vestibule-access=A",
        "__Host-vestibule-refresh=R",
    ];
    assert_eq!(read(&names, &one), read(&names, &many));
    assert_eq!(read(&names, &one).access.value(), Some("A"));
}

#[test]
fn a_duplicate_counts_as_none() {
    let names = names();
    let twice = read(
        &names,
        &["__Host-vestibule-access=A; __Host-vestibule-access=B"],
    );
    assert_eq!(twice.access, PresentedCookie::Duplicate);
    let mixed = read(
        &names,
        &["__Host-vestibule-access=A; __Host-vestibule-access.0=B"],
    );
    assert_eq!(mixed.access, PresentedCookie::Duplicate);
}

#[test]
fn pieces_are_joined_in_their_order_and_only_whole() {
    let names = names();
    let out_of_order = read(
        &names,
        &["__Host-vestibule-access.1=B; __Host-vestibule-access.0=A"],
    );
    assert_eq!(out_of_order.access.value(), Some("AB"));
    assert_eq!(
        read(&names, &["__Host-vestibule-access.1=B"]).access,
        PresentedCookie::Absent
    );
}

#[test]
fn a_long_value_survives_the_round_trip() {
    let names = names();
    let value = "x".repeat(MAX_CHUNK * 2 - 5);
    let lines = set(&names, CookieKind::Access, &value, Lifetime::BrowserSession);
    assert_eq!(lines.len(), 2);
    let sent: Vec<&str> = lines
        .iter()
        .map(|line| line.split(';').next().unwrap())
        .collect();
    assert_eq!(
        read(&names, &[&sent.join("; ")]).access.value(),
        Some(value.as_str())
    );
    assert!(lines.iter().all(|line| line.len() <= 4096));
}

#[test]
fn attributes_are_those_of_the_contract() {
    let line = &set(
        &names(),
        CookieKind::Refresh,
        "R",
        Lifetime::For(Duration::from_secs(60)),
    )[0];
    for part in [
        "__Host-vestibule-refresh=R",
        "HttpOnly",
        "SameSite=Lax",
        "Secure",
        "Path=/",
        "Max-Age=60",
    ] {
        assert!(
            line.split("; ").any(|have| have == part),
            "{part} in {line}"
        );
    }
    assert!(!line.contains("Domain"));
    let plain = &set(
        &CookieNames::defaults(false),
        CookieKind::Refresh,
        "R",
        Lifetime::BrowserSession,
    )[0];
    assert!(
        !plain.contains("Secure") && !plain.contains("Max-Age"),
        "{plain}"
    );
    let cleared = clear(&names(), "__Host-vestibule-refresh");
    for part in ["HttpOnly", "SameSite=Lax", "Secure", "Path=/", "Max-Age=0"] {
        assert!(
            cleared.split("; ").any(|have| have == part),
            "{part} in {cleared}"
        );
    }
}

#[test]
fn the_upstream_sees_everything_but_ours() {
    let names = names();
    let sent =
        |fields: &[&[u8]]| PresentedCookies::parse(&names, fields.iter().copied()).upstream_cookies;
    let fields = [
        &b"cart=7; __Host-vestibule-access=A"[..],
        b"theme=d\xff; __Host-vestibule-refresh.1=R; odd",
    ];
    assert_eq!(
        sent(&fields).as_deref(),
        Some(&b"cart=7; theme=d\xff; odd"[..])
    );
    assert_eq!(
        sent(&[b"__Host-vestibule-form=F"]).as_deref(),
        Some(&b""[..])
    );
    assert_eq!(
        sent(&[b"__Host-vestibule-form=\xff"]).as_deref(),
        Some(&b""[..]),
        "ours, whatever is in it"
    );
    assert_eq!(sent(&[b"cart=7;theme=d"]), None, "as it came");
    assert_eq!(
        sent(&[b"cart=7", b"theme=d"]).as_deref(),
        Some(&b"cart=7; theme=d"[..]),
        "one field of two"
    );
}

#[test]
fn an_upstream_cannot_set_ours() {
    assert!(sets_managed(
        &names(),
        b"__Host-vestibule-access=evil; Path=/"
    ));
    assert!(sets_managed(&names(), b" __Host-vestibule-access.0 =evil"));
    assert!(sets_managed(&names(), b" = __Host-vestibule-access =evil"));
    assert!(sets_managed(&names(), b"==__Host-vestibule-access=evil"));
    assert!(!sets_managed(&names(), b"__Host-vestibule-accessory=1"));
    assert!(!sets_managed(&names(), b"cart=__Host-vestibule-access"));
}

#[test]
fn the_cookies_of_a_hosted_backend_are_fusionauths() {
    let names = CookieNames::for_hosted_backend(true);
    let sent = ["app.at=A; app.rt.0=R; app.at_exp=7; app.idt=I; app.at_expected=1; app.id=2"];
    let cookies = read(&names, &sent);
    assert_eq!(
        (cookies.access.value(), cookies.refresh.value()),
        (Some("A"), Some("R"))
    );
    assert_eq!(
        cookies.managed_names,
        ["app.at", "app.rt.0", "app.at_exp", "app.idt"]
    );
    assert_eq!(
        cookies.upstream_cookies.as_deref(),
        Some(&b"app.at_expected=1; app.id=2"[..])
    );
    assert!(
        !read(&names, &["app.at_exp=7"]).has_credential(),
        "it proves nothing"
    );
    for theirs in [
        "app.at=x",
        "app.rt=x",
        "app.at_exp=9",
        " app.idt =x",
        "=app.at_exp=9",
    ] {
        assert!(sets_managed(&names, theirs.as_bytes()), "{theirs}");
        assert!(
            !sets_managed(&CookieNames::defaults(true), theirs.as_bytes()),
            "{theirs}"
        );
    }
    let end = Timestamp::from_millis(1_700_000_000_999);
    let told = expiry(&names, end, Lifetime::For(Duration::from_secs(60)));
    assert_eq!(
        told,
        "app.at_exp=1700000000; SameSite=Lax; Secure; Path=/; Max-Age=60"
    );
    let plain = CookieNames::for_hosted_backend(false);
    assert_eq!(
        expiry(&plain, end, Lifetime::BrowserSession),
        "app.at_exp=1700000000; SameSite=Lax; Path=/"
    );
    assert_eq!(
        clear(&plain, EXPIRY_COOKIE),
        "app.at_exp=; SameSite=Lax; Path=/; Max-Age=0"
    );
    assert!(
        set(&names, CookieKind::Access, "A", Lifetime::BrowserSession)[0]
            .starts_with("app.at=A; HttpOnly; ")
    );
}

#[test]
fn stale_pieces_are_found() {
    let presented = [
        "__Host-vestibule-access",
        "__Host-vestibule-access.0",
        "__Host-vestibule-access.2",
    ];
    assert_eq!(
        stale(&names(), CookieKind::Access, &presented, "short"),
        presented.get(1..).unwrap()
    );
    let long = "x".repeat(MAX_CHUNK + 1);
    let expected = ["__Host-vestibule-access", "__Host-vestibule-access.2"];
    assert_eq!(
        stale(&names(), CookieKind::Access, &presented, &long),
        expected
    );
}
