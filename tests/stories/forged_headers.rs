//! A client that says of itself, in every spelling, what only the gateway may say.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use vestibule::embedded::users::User;

use super::support::{Line, Siege, ask};

const FORGED: &str = "FORGED-7f3a";

/// What the gateway manages whatever the configuration.
const MANAGED: &[&str] = &[
    "X-Auth-User-Id",
    "X-Auth-Email",
    "X-Auth-Username",
    "X-Auth-Roles",
    "X-Auth-Site",
    "X-Auth-Assertion",
    "X-Auth-Anything-Else",
    "X-Forwarded-For",
    "X-Forwarded-Proto",
    "X-Forwarded-Host",
    "X-Forwarded-Port",
    "X-Forwarded-User",
    "X-Forwarded-Email",
    "X-Forwarded-Groups",
    "X-Forwarded-Preferred-Username",
    "X-Forwarded-Access-Token",
    "Forwarded",
    "X-Real-IP",
    "Remote-User",
    "Remote-Email",
    "Remote-Groups",
    "Remote-Name",
    "Vestibule-Access-Token",
    "Vestibule-Refresh-Token",
];

/// Spellings that some application reads as the same name.
fn spellings(name: &str) -> Vec<String> {
    let mut last = true;
    let mixed = |c: char| {
        last = !last;
        if last {
            c.to_ascii_lowercase()
        } else {
            c.to_ascii_uppercase()
        }
    };
    vec![
        name.to_owned(),
        name.to_lowercase(),
        name.to_uppercase(),
        name.chars().map(mixed).collect(),
        name.replace('-', "_"),
        name.replacen('-', "_", 1),
        name.to_uppercase().replace('-', "_"),
        // CGI gateways turn whatever is no letter and no digit into `_`.
        name.replace('-', "."),
        name.replacen('-', "~", 1),
    ]
}

/// Every managed name in every spelling, twice each.
fn forgeries(names: &[&str]) -> Vec<String> {
    let all = names.iter().flat_map(|name| spellings(name));
    let lines: Vec<String> = all
        .flat_map(|name| {
            [
                format!("{name}: {FORGED}"),
                format!("{name}:\t {FORGED} \t"),
            ]
        })
        .collect();
    // Below the limits of one request.
    lines
        .chunks(80)
        .map(|lines| lines.join("\r\n") + "\r\n")
        .collect()
}

/// One line of each header that says who somebody is, and none of the client's words.
fn assert_clean(siege: &Siege, told: &str) {
    let seen = siege.witness.last();
    assert!(!seen.mentions(FORGED), "{told}: {seen:?}");
    for name in MANAGED {
        seen.one(name);
    }
    assert!(
        seen.fields.iter().all(|(name, _)| !name.contains('_')),
        "{told}: {seen:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn no_spelling_reaches_the_application_on_any_route() {
    let siege = Siege::lay().await;
    let cookies = siege.shopper().await;
    let signed_in = format!("Cookie: {cookies}\r\n");
    let upgrade = "Connection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: eA==\r\n";
    let routes: &[(&str, &str, &str)] = &[
        ("GET", "/", ""),
        ("GET", "/", &signed_in),
        ("GET", "/products/1", ""),
        ("GET", "/products/1", &signed_in),
        ("GET", "/orders", &signed_in),
        ("OPTIONS", "/", ""),
        ("OPTIONS", "/orders", &signed_in),
        ("POST", "/orders", &signed_in),
        ("PUT", "/static/x", ""),
        ("BREW", "/", ""),
        ("GET", "/", upgrade),
        ("GET", "/products/1", upgrade),
    ];
    for (method, target, fields) in routes {
        for forged in forgeries(MANAGED) {
            let before = siege.witness.count();
            let request = Siege::request(
                method,
                target,
                &format!("{forged}{fields}Connection: close\r\n"),
            );
            let request = if fields == &upgrade {
                request.replace("Connection: close\r\n", "")
            } else {
                request
            };
            let reply = ask(siege.stage.address, request).await.expect("an answer");
            assert_eq!(
                (reply.status, siege.witness.count()),
                (200, before + 1),
                "{method} {target}"
            );
            assert_clean(&siege, &format!("{method} {target} {fields}"));
            let anonymous = !fields.starts_with("Cookie") || *target == "/";
            assert_eq!(
                siege.witness.last().one("x-auth-user-id").is_none(),
                anonymous,
                "{method} {target}"
            );
            assert_eq!(
                siege.witness.last().one("x-auth-site").as_deref(),
                Some("store")
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn own_endpoints_and_refusals_believe_none_of_it() {
    let siege = Siege::lay().await;
    for target in [
        "/login",
        "/logout",
        "/orders",
        "/admin/x",
        "/_vestibule/none",
    ] {
        for forged in forgeries(MANAGED) {
            let reply = ask(siege.stage.address, Siege::request("GET", target, &forged))
                .await
                .expect("an answer");
            assert_ne!(reply.status, 500, "{target}");
            assert!(
                !format!("{reply:?}").contains(FORGED),
                "{target}: {reply:?}"
            );
        }
    }
    assert_eq!(siege.witness.count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn presets_and_headers_of_the_operators_choice_are_managed_too() {
    let chosen = "[sites.headers]\n\"X-Who\" = \"{email}\"\n\"X-Forwarded-User\" = \"{sub}\"\n\"Webauth-Level\" = \"{claim.none}\"\n\n[[sites.rules]]";
    for headers in [
        None,
        Some("headers = \"remote-user\"\n"),
        Some("headers = \"x-forwarded-user\"\n"),
    ] {
        let siege = Siege::lay_with(
            |config| match headers {
                None => config.replacen("[[sites.rules]]", chosen, 1),
                Some(preset) => config.replacen("landing =", &format!("{preset}landing ="), 1),
            },
            |_| {},
        )
        .await;
        let names: Vec<&str> = MANAGED
            .iter()
            .copied()
            .chain(["X-Who", "Webauth-Level"])
            .collect();
        let names = if headers.is_none() {
            &names[..]
        } else {
            MANAGED
        };
        let cookies = siege.shopper().await;
        for forged in forgeries(names) {
            for (target, signed_in) in [("/", false), ("/products/1", true), ("/orders", true)] {
                let fields = format!("Cookie: {cookies}\r\n{forged}");
                let reply = ask(siege.stage.address, Siege::request("GET", target, &fields))
                    .await
                    .expect("an answer");
                assert_eq!(reply.status, 200, "{target}");
                assert_clean(&siege, &format!("{headers:?} {target}"));
                let own = match headers {
                    None => "x-who",
                    Some(preset) if preset.contains("remote") => "remote-user",
                    Some(_) => "x-forwarded-user",
                };
                assert_eq!(
                    siege.witness.last().one(own).is_some(),
                    signed_in,
                    "{headers:?} {target}"
                );
                assert_eq!(siege.witness.last().one("webauth-level"), None);
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_connection_field_takes_anything_away() {
    let siege = Siege::lay().await;
    let cookies = siege.shopper().await;
    for nominated in [
        "x-auth-user-id",
        "X-Auth-User-Id, X-Auth-Email, X-Auth-Roles, X-Auth-Site",
        "close, x-auth-user-id",
        "x-forwarded-for",
        "x-real-ip, forwarded, via, x-request-id",
        "host",
        "x-forwarded-host, x-forwarded-proto",
        "content-length",
        "close, content-length, transfer-encoding",
        "x_auth_user_id",
        "\"x-auth-user-id\"",
        "keep-alive, cookie",
    ] {
        let before = siege.witness.count();
        let fields =
            format!("Cookie: {cookies}\r\nConnection: {nominated}\r\nContent-Length: 5\r\n");
        let request = Siege::request("POST", "/orders", &fields) + "hello";
        let reply = ask(siege.stage.address, request).await.expect("an answer");
        if siege.witness.count() == before {
            // Refusing outright takes nothing away either.
            assert_eq!(reply.status, 400, "{nominated}");
            continue;
        }
        let seen = siege.witness.last();
        for name in [
            "x-auth-user-id",
            "x-auth-email",
            "x-auth-site",
            "x-forwarded-for",
            "x-forwarded-host",
        ] {
            assert!(
                seen.one(name).is_some(),
                "{nominated}: {name} is gone: {seen:?}"
            );
        }
        for name in ["x-real-ip", "forwarded", "via", "x-request-id", "host"] {
            assert!(
                seen.one(name).is_some(),
                "{nominated}: {name} is gone: {seen:?}"
            );
        }
        assert_eq!(seen.body, b"hello", "{nominated}: {seen:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn request_ids_of_clients_are_kept_when_harmless_and_once() {
    let siege = Siege::lay().await;
    let long = "a".repeat(129);
    for (theirs, kept) in [
        ("abc-1_2.3", true),
        ("a b", false),
        ("a,b", false),
        (long.as_str(), false),
        ("", false),
        ("\u{e9}", false),
    ] {
        let fields = format!("X-Request-Id: {theirs}\r\nx-request-id: second\r\n");
        ask(siege.stage.address, Siege::request("GET", "/", &fields))
            .await
            .expect("an answer");
        let told = siege
            .witness
            .last()
            .one("x-request-id")
            .expect("a request id");
        assert_eq!(told == theirs, kept, "{theirs:?} became {told:?}");
        assert_ne!(told, "second");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_gateway_s_cookies_are_its_own() {
    let siege = Siege::lay().await;
    let cookies = siege.shopper().await;
    let (form, rest) = cookies.split_once("; ").expect("several cookies");
    let variants: Vec<Vec<u8>> = vec![
        format!("Cookie: a=1; {cookies}; b=2\r\n").into_bytes(),
        format!("Cookie: a=1\r\nCookie: {form}\r\ncookie: {rest}; b=2\r\n").into_bytes(),
        format!(
            "Cookie: a=1; {cookies}\r\nCOOKIE: b=2; vestibule-session=x; vestibule-access.3=y\r\n"
        )
        .into_bytes(),
        // A cookie that is no UTF-8, of an application older than that.
        [
            format!("Cookie: a=1; {cookies}; ").as_bytes(),
            b"b=2\xff\r\n",
        ]
        .concat(),
        [
            format!("Cookie: a=1; {cookies}\r\nCookie: ").as_bytes(),
            b"b=2\xff\r\n",
        ]
        .concat(),
    ];
    for fields in variants {
        let told = String::from_utf8_lossy(&fields).into_owned();
        for target in ["/", "/products/1", "/orders"] {
            let head = format!("GET {target} HTTP/1.1\r\nHost: store.localhost:8080\r\n");
            let reply = ask(
                siege.stage.address,
                [head.as_bytes(), &fields, b"\r\n"].concat(),
            )
            .await
            .expect("an answer");
            assert_eq!(reply.status, 200, "{target} {told}");
            let seen = siege.witness.last();
            assert!(!seen.mentions("vestibule-"), "{target}: {seen:?}");
            let sent = seen.one("cookie").expect("the application's own cookies");
            assert_eq!(sent.replace('\u{fffd}', ""), "a=1; b=2", "{target}: {told}");
            assert_eq!(
                seen.one("x-auth-user-id").is_some(),
                target != "/",
                "{target}: {told}"
            );
        }
    }
    ask(
        siege.stage.address,
        Siege::request("GET", "/", &format!("Cookie: {cookies}\r\n")),
    )
    .await;
    assert_eq!(siege.witness.last().one("cookie"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_cannot_set_the_gateway_s_cookies() {
    let siege = Siege::lay().await;
    let mut answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n".to_vec();
    for line in [
        &b"cart=7; Path=/"[..],
        b"vestibule-access=evil; Path=/",
        b"vestibule-refresh=; Max-Age=0",
        b" vestibule-access.0 =evil",
        b"vestibule-session=\xff",
        b"vestibule-form",
        b"vestibule-device=evil",
        b"vestibule-accessory=kept",
        b"caf\xe9=kept",
        b"theme=dark",
    ] {
        answer.extend([&b"Set-Cookie: "[..], line, b"\r\n"].concat());
    }
    answer.extend(b"\r\n");
    siege.witness.answers(&answer);
    let reply = ask(siege.stage.address, Siege::request("GET", "/", ""))
        .await
        .expect("an answer");
    let set = reply.all("set-cookie");
    assert_eq!(
        set,
        [
            "cart=7; Path=/",
            "vestibule-accessory=kept",
            "caf\u{fffd}=kept",
            "theme=dark"
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_authorization_is_the_application_s_own() {
    let siege = Siege::lay().await;
    let cookies = siege.shopper().await;
    for value in [
        "Basic dXNlcjpwYXNz",
        "Bearer not-for-the-gateway",
        "Digest a=\"b\"",
    ] {
        for target in ["/", "/products/1", "/orders"] {
            let fields = format!("Cookie: {cookies}\r\nAuthorization: {value}\r\n");
            let reply = ask(siege.stage.address, Siege::request("GET", target, &fields))
                .await
                .expect("an answer");
            assert_eq!(reply.status, 200);
            assert_eq!(
                siege.witness.last().one("authorization").as_deref(),
                Some(value)
            );
        }
    }
    let before = siege.witness.count();
    for twice in [
        "Authorization: a\r\nAuthorization: b\r\n",
        "authorization: a\r\nAUTHORIZATION: a\r\n",
    ] {
        let reply = ask(siege.stage.address, Siege::request("GET", "/", twice))
            .await
            .expect("an answer");
        assert_eq!(
            (reply.status, reply.code().as_str()),
            (400, "malformed_request")
        );
    }
    assert_eq!(siege.witness.count(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_site_that_forwards_tokens_forwards_the_visitor_s() {
    let siege = Siege::lay_with(
        |config| config.replacen("landing =", "forward_token = true\nlanding =", 1),
        |_| {},
    )
    .await;
    let cookies = siege.shopper().await;
    let token = cookies
        .split("; ")
        .find_map(|pair| pair.strip_prefix("vestibule-access="))
        .expect("a token")
        .to_owned();
    let fields = format!("Cookie: {cookies}\r\nAuthorization: Bearer {FORGED}\r\n");
    for target in ["/orders", "/products/1"] {
        ask(siege.stage.address, Siege::request("GET", target, &fields))
            .await
            .expect("an answer");
        assert_eq!(
            siege.witness.last().one("authorization"),
            Some(format!("Bearer {token}"))
        );
    }
    ask(
        siege.stage.address,
        Siege::request("GET", "/", &format!("Cookie: {cookies}\r\n")),
    )
    .await
    .expect("an answer");
    assert_eq!(siege.witness.last().one("authorization"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn awkward_claims_stay_in_their_header() {
    let custom = "[sites.headers]\n\"X-Who\" = \"{username} <{email}>\"\n\"X-Groups\" = \"{roles}\"\n\n[[sites.rules]]";
    let siege = Siege::lay_with(
        |config| config.replacen("[[sites.rules]]", custom, 1),
        |users| {
            let mut zoe = User::clone(users.by_login("shopper").unwrap());
            zoe.id = "5b0e6f7e-0d0c-4a5b-8f3e-000000000001".into();
            zoe.email = "zoe@example.com".into();
            zoe.username = Some("Zoë, \"Z\" 100%".into());
            zoe.roles.insert(
                "*".into(),
                vec!["a,admin".into(), "100%".into(), "größe".into()],
            );
            users.add(zoe).unwrap();
        },
    )
    .await;
    let fields = format!("Cookie: {}\r\n", siege.cookies_of("zoe@example.com").await);
    ask(
        siege.stage.address,
        Siege::request("GET", "/orders", &fields),
    )
    .await
    .expect("an answer");
    let seen = siege.witness.last();
    assert_eq!(
        seen.one("x-who").as_deref(),
        Some("Zo%C3%AB, \"Z\" 100%25 <zoe@example.com>")
    );
    let groups = seen.one("x-groups").unwrap();
    assert!(
        groups.starts_with("a%2Cadmin,100%25,gr%C3%B6%C3%9Fe"),
        "{groups}"
    );
    assert!(!groups.split(',').any(|role| role == "admin"), "{groups}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_assertion_is_proof() {
    let siege = Siege::lay_with(
        |config| config.replacen("landing =", "assertion = true\nlanding =", 1),
        |_| {},
    )
    .await;
    let fields = format!(
        "Cookie: {}\r\nX-Auth-Assertion: {FORGED}\r\n",
        siege.shopper().await
    );
    ask(
        siege.stage.address,
        Siege::request("GET", "/orders", &fields),
    )
    .await
    .expect("an answer");
    let seen = siege.witness.last();
    let assertion = seen.one("x-auth-assertion").expect("an assertion");
    let keys = ask(
        siege.stage.address,
        Siege::request("GET", "/.well-known/vestibule/jwks.json", ""),
    )
    .await
    .unwrap();
    let keys: Value = serde_json::from_str(&keys.body).expect("a JWKS document");
    let key = &keys["keys"][0];
    let bytes = |part: &str| URL_SAFE_NO_PAD.decode(part).expect("base64url");
    let parts: Vec<&str> = assertion.split('.').collect();
    let header: Value = serde_json::from_slice(&bytes(parts[0])).unwrap();
    assert_eq!(
        (&header["alg"], &header["kid"]),
        (&Value::from("ES256"), &key["kid"])
    );
    let point = [
        &[4][..],
        &bytes(key["x"].as_str().unwrap()),
        &bytes(key["y"].as_str().unwrap()),
    ]
    .concat();
    let public = aws_lc_rs::signature::UnparsedPublicKey::new(
        &aws_lc_rs::signature::ECDSA_P256_SHA256_FIXED,
        point,
    );
    let signed = format!("{}.{}", parts[0], parts[1]);
    public
        .verify(signed.as_bytes(), &bytes(parts[2]))
        .expect("a good signature");
    let claims: Value = serde_json::from_slice(&bytes(parts[1])).unwrap();
    assert_eq!(claims["iss"], "http://store.localhost:8080");
    assert_eq!(claims["aud"], "store");
    assert_eq!(
        claims["sub"].as_str(),
        seen.one("x-auth-user-id").as_deref()
    );
    assert_eq!(claims["email"], "shopper@example.com");
    assert!(
        claims["roles"].is_array() && claims["jti"].as_str().is_some_and(|jti| jti.len() >= 16),
        "{claims}"
    );
    assert!(
        claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap() <= 300,
        "{claims}"
    );
    for (target, fields) in [
        ("/", fields.as_str()),
        ("/products/1", "X-Auth-Assertion: FORGED-7f3a\r\n"),
    ] {
        ask(siege.stage.address, Siege::request("GET", target, fields))
            .await
            .expect("an answer");
        assert_eq!(siege.witness.last().one("x-auth-assertion"), None);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_chain_of_proxies_is_believed_only_behind_one() {
    let fields = "X-Forwarded-For: 203.0.113.9, 198.51.100.7\r\nX-Forwarded-For: 10.1.2.3\r\nForwarded: for=203.0.113.9, for=10.1.2.3\r\n\
                  X-Real-IP: 203.0.113.9\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: evil.example\r\n";
    let siege = Siege::lay().await;
    ask(siege.stage.address, Siege::request("GET", "/", fields))
        .await
        .expect("an answer");
    let seen = siege.witness.last();
    assert_eq!(seen.one("x-forwarded-for").as_deref(), Some("127.0.0.1"));
    assert_eq!(seen.one("x-real-ip").as_deref(), Some("127.0.0.1"));
    assert!(
        seen.one("forwarded").unwrap().starts_with("for=127.0.0.1;"),
        "{seen:?}"
    );
    let trusting = "[server]\ntrusted_proxies = [\"127.0.0.0/8\", \"10.0.0.0/8\"]";
    let siege = Siege::lay_with(|config| config.replacen("[server]", trusting, 1), |_| {}).await;
    ask(siege.stage.address, Siege::request("GET", "/", fields))
        .await
        .expect("an answer");
    let seen = siege.witness.last();
    assert_eq!(
        seen.one("x-forwarded-for").as_deref(),
        Some("203.0.113.9, 198.51.100.7, 10.1.2.3, 127.0.0.1")
    );
    assert_eq!(seen.one("x-real-ip").as_deref(), Some("198.51.100.7"));
    assert!(
        seen.one("forwarded")
            .unwrap()
            .starts_with("for=203.0.113.9, for=10.1.2.3, for=127.0.0.1;"),
        "{seen:?}"
    );
    for (name, value) in [
        ("x-forwarded-proto", "http"),
        ("x-forwarded-host", "store.localhost:8080"),
        ("x-forwarded-port", "8080"),
    ] {
        assert_eq!(seen.one(name).as_deref(), Some(value));
    }
    // A proxy that knows `X-Forwarded-For` alone passes on what a client invents.
    let fields =
        "X-Forwarded-For: 198.51.100.7\r\nForwarded: for=203.0.113.9;host=evil.example\r\n";
    ask(siege.stage.address, Siege::request("GET", "/", fields))
        .await
        .expect("an answer");
    let seen = siege.witness.last();
    assert!(
        seen.one("forwarded")
            .unwrap()
            .starts_with("for=198.51.100.7, for=127.0.0.1;"),
        "{seen:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn each_request_is_told_of_the_peer_of_its_own_connection() {
    let siege = Siege::lay().await;
    let mut clients = Vec::new();
    for peer in ["127.0.0.1", "127.0.0.2"] {
        let line = Line::from(peer.parse().unwrap(), siege.stage.address).await;
        clients.push((peer, line));
    }
    // Two connections that are kept, and take turns.
    for _ in 0..3 {
        for (peer, line) in &mut clients {
            line.send(Siege::request("GET", "/", "")).await;
            assert_eq!(line.reply().await.expect("an answer").status, 200);
            let seen = siege.witness.last();
            assert_eq!(seen.one("x-forwarded-for").as_deref(), Some(*peer));
            assert_eq!(seen.one("x-real-ip").as_deref(), Some(*peer));
            let forwarded = seen.one("forwarded").unwrap();
            assert!(forwarded.starts_with(&format!("for={peer};")), "{seen:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_gateway_is_named_in_via_and_traces_go_on() {
    let siege = Siege::lay().await;
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let fields = format!(
        "Via: 1.0 fred\r\nVia: 1.1 vestibule\r\ntraceparent: {trace}\r\ntracestate: a=1\r\n"
    );
    ask(siege.stage.address, Siege::request("GET", "/", &fields))
        .await
        .expect("an answer");
    let seen = siege.witness.last();
    assert_eq!(
        seen.all("via").join(", "),
        "1.0 fred, 1.1 vestibule, 1.1 vestibule"
    );
    assert_eq!(seen.one("traceparent").as_deref(), Some(trace));
    assert_eq!(seen.one("tracestate").as_deref(), Some("a=1"));
    ask(siege.stage.address, Siege::request("GET", "/", ""))
        .await
        .expect("an answer");
    assert_eq!(
        siege.witness.last().one("via").as_deref(),
        Some("1.1 vestibule")
    );
}

/// Of a `Cookie` value, what proves its visitor.
fn credentials(cookies: &str) -> String {
    let kept = cookies
        .split("; ")
        .filter(|pair| ["access", "refresh"].iter().any(|what| pair.contains(what)));
    kept.collect::<Vec<_>>().join("; ")
}

#[tokio::test(flavor = "multi_thread")]
async fn one_connection_many_visitors() {
    let siege = Arc::new(Siege::lay().await);
    let (shopper, admin) = (
        siege.shopper().await,
        siege.cookies_of("admin@example.com").await,
    );
    let (shopper, admin) = (credentials(&shopper), credentials(&admin));
    let visits = [
        ("/orders", Some(&shopper)),
        ("/products/1", None),
        ("/orders", Some(&admin)),
        ("/", Some(&admin)),
    ];
    let as_fields = |cookies: Option<&String>| {
        cookies
            .map(|c| format!("Cookie: {c}\r\n"))
            .unwrap_or_default()
    };
    let expected = [
        Some("shopper@example.com"),
        None,
        Some("admin@example.com"),
        None,
    ];
    let mut line = siege.line().await;
    for ((target, cookies), who) in visits.iter().zip(expected).cycle().take(20) {
        line.send(Siege::request("GET", target, &as_fields(*cookies)))
            .await;
        assert_eq!(line.reply().await.expect("an answer").status, 200);
        assert_eq!(
            siege.witness.last().one("x-auth-email").as_deref(),
            who,
            "{target}"
        );
    }
    // All at once, without waiting for answers: each is answered as itself.
    let mut line = siege.line().await;
    let before = siege.witness.count();
    let all: String = visits
        .iter()
        .map(|(target, who)| Siege::request("GET", target, &as_fields(*who)))
        .collect();
    line.send(all).await;
    for (target, _) in visits {
        let reply = line.reply().await.expect("an answer");
        assert_eq!(reply.body, format!("seen {target}"));
    }
    let seen = siege.witness.seen();
    assert_eq!(seen.len(), before + visits.len());
    for (seen, who) in seen[before..].iter().zip(expected) {
        assert_eq!(seen.one("x-auth-email").as_deref(), who, "{seen:?}");
    }
}
