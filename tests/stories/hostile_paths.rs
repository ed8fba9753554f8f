//! Paths that two programs could read as two different ones. What is forwarded is what was judged,
//! byte for byte.

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::support::{Line, Siege, ask};

/// A site where only `/admin/*` is guarded: whoever gets there unseen has evaded the rule.
async fn open_house() -> Siege {
    Siege::lay_with(
        |config| config.replacen("landing =", "default_access = \"public\"\nlanding =", 1),
        |_| {},
    )
    .await
}

/// The bytes of a request for `target`.
fn request(target: &[u8]) -> Vec<u8> {
    [
        b"GET ",
        target,
        b" HTTP/1.1\r\nHost: store.localhost:8080\r\nConnection: close\r\n\r\n",
    ]
    .concat()
}

/// What is malformed, or what two programs could read as paths of different rules.
const AMBIGUOUS: &[&[u8]] = &[
    b"admin/secret",
    b"admin",
    b".",
    b"?",
    b"foo:/admin/secret",
    b"foo:admin",
    b"file:///admin/secret",
    b"*",
    b"http://evil.example/admin",
    b"http://store.localhost:8080@evil.example/",
    b"http://user@store.localhost:8080/",
    b"http://store.localhost/",
    b"http:///admin",
    b"http:/admin",
    b"//evil.example/admin",
    b"//admin/secret",
    b"///",
    b"/;/admin",
    b"/%5cadmin",
    b"/admin%5csecret",
    b"/admin;x/secret",
    b"/x/..%5c../admin",
    b"/x/..%5Cadmin",
    b"/x/%252e%252e//admin",
    b"/admin/%252e%252e/x",
    b"/x\\admin",
    b"/../admin",
    b"/x/../admin/secret",
    b"/x/..",
    b"/x/.",
    b"/./admin",
    b"/x/%2e%2e/admin",
    b"/x/%2E./admin",
    b"/x/.%2e/admin",
    b"/%2e/admin",
    b"/x/..;/admin",
    b"/x/..;a=b/admin",
    b"/x/..%3b/admin",
    b"/x/%2e%2e;/admin",
    b"/x/%2e%2e%3B/admin",
    b"/x/.;/admin",
    b"/x/..%2fadmin",
    b"/x%2fadmin",
    b"/x%2Fadmin",
    b"/%2fadmin/secret",
    b"/x%00",
    b"/x%0d",
    b"/x%0a%0dX-Auth-User-Id:%20evil",
    b"/x%",
    b"/x%2",
    b"/x%zz",
    b"/x%u0061",
    b"/x%%32e",
    b"/x#admin",
    b"/x?a#b",
    b"/x\x01",
    b"/x\x7f",
    b"/x\x80",
    b"/caf\xc3\xa9",
    b"/x\xff/admin",
    b"/x?a=\x80",
    b"/x?a=\x01",
    b"/x\tb",
    b"/x y",
    b"/x y HTTP/1.1 z",
    b"/x<y",
    b"/x>y",
    b"/x\"y",
    b"/x\x00y",
    b"",
    b" ",
    b" /x",
    b"/x ",
];

#[tokio::test(flavor = "multi_thread")]
async fn what_could_meet_two_rules_is_refused() {
    let siege = open_house().await;
    for target in AMBIGUOUS {
        let reply = ask(siege.stage.address, request(target))
            .await
            .unwrap_or_default();
        assert_eq!(reply.status, 400, "{}: {reply:?}", target.escape_ascii());
        assert_eq!(
            siege.witness.count(),
            0,
            "{} reached the application",
            target.escape_ascii()
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_meets_one_rule_is_forwarded_byte_for_byte() {
    let siege = open_house().await;
    for target in [
        "/",
        "/a/b/",
        "/caf%C3%A9",
        "/caf%c3%a9",
        "/%ff",
        "/a%20b",
        "/a%25b",
        "/50%25off",
        "/a;v=1/b",
        "/a|b",
        "/a[c]'",
        "/a.b/..c/...",
        "/a?next=//x&d=../y%2F%5c%00&e=a|b",
        "/a?search=100%",
        "/a?x=%2&y=%zz",
        "/a?path=C:\\Users\\a",
        "/a?q=`{^}|[']",
        "/a??b?c",
        "/a?",
        "/~user/!$&'()*+,:@=",
        "/%7Euser",
        "/administration",
        "/x%253A",
        "/ADMIN",
        "/x//admin",
        "/x%5cadmin",
        "/x%5CAdmin//",
        "/admin-ajax.php;v=1//x",
        "/wp-json/wp/v2/templates/twentytwentythree//home?context=edit",
        "/x/https://host/path",
        "/wiki/A//B",
        "/wiki/%252e%252e/wiki//%255C",
    ] {
        let reply = ask(siege.stage.address, request(target.as_bytes()))
            .await
            .expect("an answer");
        assert_eq!(
            (reply.status, reply.body.as_str()),
            (200, format!("seen {target}").as_str())
        );
        assert_eq!(siege.witness.last().target(), target);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_of_another_form_is_forwarded_in_the_one_that_is_judged() {
    let siege = open_house().await;
    for (absolute, origin) in [
        ("http://store.localhost:8080/x?y", "/x?y"),
        ("http://store.localhost:8080", "/"),
        ("http://store.localhost:8080?q", "/?q"),
        ("HTTP://STORE.localhost:8080/x?y", "/x?y"),
        ("/x?q=\"<b>\"&r=%3C", "/x?q=%22%3Cb%3E%22&r=%3C"),
        ("http://Store.Localhost:8080/?\"", "/?%22"),
    ] {
        let reply = ask(siege.stage.address, request(absolute.as_bytes()))
            .await
            .expect("an answer");
        assert_eq!(reply.status, 200, "{absolute}");
        let seen = siege.witness.last();
        assert_eq!(seen.target(), origin, "{absolute}");
        assert_eq!(seen.one("host").as_deref(), Some("store.localhost:8080"));
    }
    let reply = ask(
        siege.stage.address,
        request(b"http://store.localhost:8080/admin/x"),
    )
    .await
    .expect("an answer");
    assert_eq!(reply.code(), "signed_out");
    for hostile in ["/x/../admin/x", "//admin/x", "/x%2fadmin", "/\\admin"] {
        let target = format!("http://store.localhost:8080{hostile}");
        let reply = ask(siege.stage.address, request(target.as_bytes()))
            .await
            .expect("an answer");
        assert_eq!(reply.status, 400, "{target}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn long_targets_are_414_and_the_longest_passes() {
    let siege = open_house().await;
    let longest = format!("/{}", "a".repeat(8191));
    assert_eq!(
        ask(siege.stage.address, request(longest.as_bytes()))
            .await
            .expect("an answer")
            .status,
        200
    );
    for length in [8192, 9000, 20_000, 60_000] {
        let target = format!("/{}", "a".repeat(length));
        let reply = ask(siege.stage.address, request(target.as_bytes()))
            .await
            .unwrap_or_default();
        assert_eq!(reply.status, 414, "{length}");
    }
    assert_eq!(siege.witness.count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn encoded_slashes_pass_where_a_site_wants_them_and_never_climb() {
    let passing = "default_access = \"public\"\nencoded_slashes = \"pass\"\nlanding =";
    let siege = Siege::lay_with(|config| config.replacen("landing =", passing, 1), |_| {}).await;
    for target in ["/group%2Fname/x", "/group%2fname", "/admin%2Fsecret"] {
        let reply = ask(siege.stage.address, request(target.as_bytes()))
            .await
            .expect("an answer");
        assert_eq!(
            (reply.status, siege.witness.last().target().as_str()),
            (200, target)
        );
    }
    let before = siege.witness.count();
    for target in [
        "/x/..%2Fadmin",
        "/x%2F..%2Fadmin",
        "/x%2f%2e%2e/admin",
        "/x%2f..%5Cadmin",
        "/%2e%2e%2fadmin",
    ] {
        assert_eq!(
            ask(siege.stage.address, request(target.as_bytes()))
                .await
                .expect("an answer")
                .status,
            400
        );
    }
    assert_eq!(siege.witness.count(), before);
}

/// The most generous reading of a path that some application might make: decoded until nothing is
/// left to decode, parameters cut off, `\` turned, slashes collapsed, dots resolved.
fn generous(target: &str, decodings: usize, parameters_go: bool) -> String {
    let mut path = target.split(['?', '#']).next().unwrap().as_bytes().to_vec();
    for _ in 0..decodings {
        path = percent_encoding::percent_decode(&path).collect();
    }
    let path = String::from_utf8_lossy(&path).replace('\\', "/");
    let mut segments: Vec<&str> = Vec::new();
    for segment in path.split('/') {
        let name = if parameters_go {
            segment.split(';').next().unwrap()
        } else {
            segment
        };
        match name {
            "" | "." => {}
            ".." => drop(segments.pop()),
            name => segments.push(name),
        }
    }
    format!("/{}", segments.join("/"))
}

fn leads_to_admin(target: &str) -> bool {
    let readings = (0..6).flat_map(|decodings| [(decodings, true), (decodings, false)]);
    readings
        .map(|(decodings, cut)| generous(target, decodings, cut))
        .any(|path| path == "/admin" || path.starts_with("/admin/"))
}

/// One spelling of a letter, encoded up to three times over.
fn letter(c: char) -> impl Strategy<Value = String> {
    (0..10_u8, any::<bool>()).prop_map(move |(times, upper)| {
        let hex = |c: char| {
            if upper {
                format!("%{:02X}", u32::from(c))
            } else {
                format!("%{:02x}", u32::from(c))
            }
        };
        match times {
            0..=5 => c.to_string(),
            6 | 7 => hex(c),
            8 => hex(c).replace('%', "%25"),
            _ => hex(c).replace('%', "%2525"),
        }
    })
}

fn word(text: &'static str) -> BoxedStrategy<String> {
    text.chars()
        .map(letter)
        .fold(Just(String::new()).boxed(), |whole, next| {
            (whole, next)
                .prop_map(|(whole, next)| whole + &next)
                .boxed()
        })
}

fn separator() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => Just("/".to_owned()),
        4 => prop::sample::select(vec![
            "//", "/./", "/x/../", "/x/..;/", "/;/", "/;a=b/", ";/", ";x=y/", "%2f", "%252f", "%252F", "%25252f", "%5c", "\\",
            "%255c", "/%2e/", "/%252e/", "/x/%252e%252e/", "/x/%2e%2e/", "/x/..%3b/", "/x/..%253b/", "/%3b/", "%3b/", "%253b/",
            "/x%252f..%252f", "/.;/", "/%253B/", "/%20/", "/%09/", "/.%252e/", "/x/.%252e/",
        ]).prop_map(str::to_owned),
    ]
}

fn spelling() -> impl Strategy<Value = String> {
    let prefix = prop_oneof![
        3 => Just(String::new()),
        1 => prop::sample::select(vec!["/x", "/static", "/products/1", "/login", "/_vestibule"]).prop_map(str::to_owned),
    ];
    let up = prop_oneof![
        2 => Just(String::new()),
        1 => prop::sample::select(vec!["/..", "/%2e%2e", "/%252e%252e", "/.%252e", "/..;", "/..%3b", "/..%253b"])
            .prop_map(str::to_owned),
    ];
    let end = prop_oneof![3 => Just(String::new()), 1 => prop::sample::select(vec!["?", "?a=/../", ";x", "/", "%253bx"]).prop_map(str::to_owned)];
    (
        prefix,
        up,
        separator(),
        word("admin"),
        separator(),
        word("secret"),
        end,
    )
        .prop_map(|(prefix, up, first, admin, second, secret, end)| {
            let target = format!("{prefix}{up}{first}{admin}{second}{secret}{end}");
            if target.starts_with('/') {
                target
            } else {
                format!("/{target}")
            }
        })
}

#[tokio::test(flavor = "multi_thread")]
async fn no_spelling_of_a_guarded_path_passes_unseen() {
    let siege = open_house().await;
    let handle = tokio::runtime::Handle::current();
    let address = siege.stage.address;
    let played = tokio::task::spawn_blocking(move || {
        let mut runner = TestRunner::new(Config {
            cases: 1500,
            failure_persistence: None,
            ..Config::default()
        });
        let line = std::cell::RefCell::new(None);
        runner.run(&spelling(), |target| {
            let head = Siege::request("GET", &target, "");
            // One connection as long as it lasts; whoever is refused is hung up on.
            let reply = handle.block_on(async {
                for _ in 0..2 {
                    let open = line.borrow_mut().take();
                    let mut open = match open {
                        Some(open) => open,
                        None => Line::to(address).await,
                    };
                    open.send(&head).await;
                    if let Some(reply) = open.reply().await {
                        if reply.header("connection") != Some("close") {
                            *line.borrow_mut() = Some(open);
                        }
                        return reply;
                    }
                }
                panic!("no answer to {target}")
            });
            let told = format!("{target} was answered with {}", reply.status);
            match reply.status {
                // What the application saw is what was sent.
                200 => {
                    prop_assert_eq!(&reply.body, &format!("seen {target}"));
                    prop_assert!(!leads_to_admin(&target), "{}", told);
                }
                status => prop_assert!([400, 401, 404].contains(&status), "{}", told),
            }
            Ok(())
        })
    });
    played
        .await
        .unwrap()
        .unwrap_or_else(|failure| panic!("{failure}"));
    assert!(siege.witness.count() > 10, "some are harmless");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_gateway_s_own_endpoints_win_in_every_spelling() {
    let siege = open_house().await;
    for (target, status) in [
        ("/login", 200),
        ("/%6cogin", 200),
        ("/login?x=/../", 200),
        ("/logout", 200),
        ("/%6Cogou%74", 200),
        ("/_vestibule/", 404),
        ("/_vestibule/style", 404),
        ("/_vestibule/login", 404),
        ("/%5fvestibule/x", 404),
        ("/_vestibul%65/x", 404),
        ("/.well-known/vestibule/jwks.json", 200),
    ] {
        let reply = ask(siege.stage.address, request(target.as_bytes()))
            .await
            .expect("an answer");
        assert_eq!(reply.status, status, "{target}");
        assert_eq!(siege.witness.count(), 0, "{target} reached the application");
    }
    for (target, status) in [
        ("/login/x", 200),
        ("/loginx", 200),
        ("/_vestibule", 200),
        ("/Login", 200),
    ] {
        let reply = ask(siege.stage.address, request(target.as_bytes()))
            .await
            .expect("an answer");
        assert_eq!(reply.status, status, "{target}");
    }
    assert_eq!(siege.witness.count(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_with_conditions_applies_where_all_of_them_hold() {
    let rules = r#"default_access = "required"
rules = [
    { path = "/export", header = "X-Api-Key", access = "public" },
    { path = "/metrics", from = ["127.0.0.0/8"], access = "public" },
    { path = "/mapped", from = ["::ffff:127.0.0.0/104"], access = "public" },
    { path = "/backup", from = ["10.0.0.0/8"], access = "public" },
    { path = "/both", from = ["127.0.0.1"], header = "X-Api-Key", access = "public" },
]
landing ="#;
    let siege = Siege::lay_with(
        |config| {
            // The rules of the first site are replaced.
            let (site, rest) = config.split_once("[[sites.rules]]").expect("rules");
            let next = rest.find("[[sites]]").expect("a second site");
            site.replacen("landing =", rules, 1) + &rest[next..]
        },
        |_| {},
    )
    .await;
    for (target, fields, status) in [
        ("/export", "", 401),
        ("/export", "X-Api-Key: a\r\n", 200),
        ("/export", "x-api-key:\r\n", 200),
        ("/export;x", "X-Api-Key: a\r\n", 400),
        ("/export;x", "", 401),
        ("/metrics", "", 200),
        ("/mapped", "", 200),
        ("/backup", "", 401),
        // The peer is no trusted proxy.
        ("/backup", "X-Forwarded-For: 10.0.0.1\r\n", 401),
        ("/both", "", 401),
        ("/both", "X-Api-Key: a\r\n", 200),
    ] {
        let request = format!(
            "GET {target} HTTP/1.1\r\nHost: store.localhost:8080\r\n{fields}Connection: close\r\n\r\n"
        );
        let reply = ask(siege.stage.address, request).await.expect("an answer");
        assert_eq!(reply.status, status, "{target} {fields:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_is_named_once_and_well_or_not_served() {
    let siege = open_house().await;
    let hosts: &[(&[u8], u16, &str)] = &[
        (b"Host: store.localhost:8080\r\n", 200, ""),
        (b"host:store.localhost:8080 \t\r\n", 200, ""),
        (b"HOST: STORE.Localhost:8080\r\n", 200, ""),
        (b"", 400, "malformed_request"),
        (b"Host:\r\n", 400, "malformed_request"),
        (
            b"Host: store.localhost:8080\r\nHost: store.localhost:8080\r\n",
            400,
            "",
        ),
        (
            b"Host: store.localhost:8080\r\nHost: evil.example\r\n",
            400,
            "",
        ),
        (
            b"Host: store.localhost:8080, evil.example\r\n",
            400,
            "malformed_request",
        ),
        (b"Host: user@store.localhost:8080\r\n", 400, ""),
        (
            b"Host: store.localhost:8080/x\r\n",
            400,
            "malformed_request",
        ),
        (
            b"Host: store.localhost:8080#x\r\n",
            400,
            "malformed_request",
        ),
        (b"Host: store.localhost:99999\r\n", 400, "malformed_request"),
        (b"Host: store.localhost:+8080\r\n", 400, "malformed_request"),
        (b"Host: [::1\r\n", 400, "malformed_request"),
        (
            b"Host: st\xc3\xb6re.localhost\r\n",
            400,
            "malformed_request",
        ),
        (b"Host: store.localhost\r\n", 421, "unknown_site"),
        (b"Host: store.localhost:80\r\n", 421, "unknown_site"),
        (b"Host: evil.example\r\n", 421, "unknown_site"),
        (b"Host: store.localhost.:8080\r\n", 421, "unknown_site"),
        (b"Host: 127.0.0.1:8080\r\n", 421, "unknown_site"),
        (
            b"Host: evil.example\r\nX-Forwarded-Host: store.localhost:8080\r\n",
            421,
            "unknown_site",
        ),
    ];
    for (field, status, code) in hosts {
        let request = [b"GET / HTTP/1.1\r\n", *field, b"Connection: close\r\n\r\n"].concat();
        let mut line = siege.line().await;
        line.send(request).await;
        let reply = line.reply().await.expect("an answer");
        assert_eq!(reply.status, *status, "{}", field.escape_ascii());
        if !code.is_empty() {
            assert_eq!(reply.code(), *code, "{}", field.escape_ascii());
        }
        assert!(line.is_closed().await, "{}", field.escape_ascii());
    }
    assert_eq!(siege.witness.count(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_default_port_is_the_same_as_none() {
    let siege = Siege::lay_with(
        |config| {
            config
                .replace("http://store.localhost:8080", "https://store.example")
                .replacen(
                    "landing =",
                    "default_access = \"public\"\naliases = [\"shop.example\"]\nlanding =",
                    1,
                )
        },
        |_| {},
    )
    .await;
    for (host, status) in [
        ("store.example", 200),
        ("store.example:443", 200),
        ("store.example:", 200),
        ("shop.example:443", 200),
        ("store.example:80", 421),
        ("store.example:8443", 421),
    ] {
        let request = format!("GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        assert_eq!(
            ask(siege.stage.address, request)
                .await
                .expect("an answer")
                .status,
            status,
            "{host}"
        );
    }
}
