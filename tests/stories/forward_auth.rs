//! A proxy in front forwards to the application itself, and asks the gateway about each request.

use super::support::{Browser, Reply, Stage};

const HOST: &str = "store.localhost:8080";
const AUTH: &str = "/_vestibule/auth";
const SITE: &str = "name = \"store\"\n";

/// A stage whose store answers the proxies of this machine, with these lines in its configuration.
async fn asked(lines: &str) -> Stage {
    let site = format!("{SITE}forward_auth = true\n{lines}");
    let change = |text: String| trusting(&text).replacen(SITE, &site, 1);
    Stage::set_with(change, |_| {}).await
}

fn trusting(text: &str) -> String {
    let admin = "admin = \"[::1]:0\"\n";
    text.replacen(
        admin,
        &format!("{admin}trusted_proxies = [\"127.0.0.0/8\"]\n"),
        1,
    )
}

/// What the gateway says to a proxy that relays refusals, such as Caddy.
async fn relayed(browser: &mut Browser, method: &str, target: &str) -> Reply {
    let told = [
        ("X-Forwarded-Method", method),
        ("X-Forwarded-Host", HOST),
        ("X-Forwarded-Uri", target),
    ];
    browser.send("GET", AUTH, &told, b"").await
}

/// What the gateway says to nginx.
async fn status_only(browser: &mut Browser, method: &str, target: &str) -> Reply {
    let url = format!("http://{HOST}{target}");
    let told = [("X-Original-Method", method), ("X-Original-URL", &*url)];
    browser.send("GET", AUTH, &told, b"").await
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_signed_in_passes_with_an_identity() {
    let stage = asked("").await;
    let mut browser = stage.signed_in().await;
    for reply in [
        relayed(&mut browser, "GET", "/shopping-cart?a=%25").await,
        status_only(&mut browser, "DELETE", "/shopping-cart").await,
        browser
            .send("POST", &format!("{AUTH}/shopping-cart?a"), &[], b"")
            .await,
    ] {
        assert_eq!(reply.status, 200, "{reply:?}");
        assert_eq!(reply.body, "");
        assert_eq!(reply.header("x-auth-email"), Some("shopper@example.com"));
        assert_eq!(reply.header("x-auth-site"), Some("store"));
        assert_eq!(reply.header("cache-control"), Some("no-store"));
        assert!(reply.header("x-request-id").is_some());
        assert_eq!(reply.all("set-cookie"), [""; 0]);
    }
    // The application is the proxy's.
    assert_eq!(stage.store.received().len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_header_without_a_value_is_there_and_empty() {
    let stage = asked("assertion = true\n").await;
    let forged = [
        ("X-Forwarded-Method", "GET"),
        ("X-Forwarded-Host", HOST),
        ("X-Forwarded-Uri", "/products/1"),
        ("X-Auth-User-Id", "forged"),
        ("X-Auth-Roles", "admin"),
        ("X-Auth-Assertion", "forged"),
        ("X-Auth-Site", "forged"),
    ];
    for target in ["/products/1", "/"] {
        let mut told = forged;
        told[2].1 = target;
        let reply = stage.browser().send("GET", AUTH, &told, b"").await;
        assert_eq!(reply.status, 200, "{target}");
        for name in [
            "x-auth-user-id",
            "x-auth-email",
            "x-auth-username",
            "x-auth-roles",
            "x-auth-assertion",
            "authorization",
            "cookie",
        ] {
            assert_eq!(reply.all(name), [""], "{name} at {target}");
        }
        assert_eq!(reply.all("x-auth-site"), ["store"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_application_gets_no_credential_of_the_gateway() {
    let stage = asked("bearer = true\nassertion = true\n").await;
    let mut browser = stage.signed_in().await;
    browser.set_cookie("basket", "7");
    let reply = relayed(&mut browser, "GET", "/shopping-cart").await;
    assert_eq!(reply.header("cookie"), Some("basket=7"));
    assert!(reply.header("x-auth-assertion").unwrap().starts_with("ey"));
    let token = browser.cookie("vestibule-access").unwrap().to_owned();
    let mut program = stage.browser().fetching();
    program = program.with("Authorization", &format!("Bearer {token}"));
    let reply = relayed(&mut program, "GET", "/shopping-cart").await;
    assert_eq!(reply.status, 200);
    assert_eq!(reply.all("authorization"), [""]);
    // One that is not the gateway's is the application's.
    let mut program = stage.browser().with("Authorization", "Digest x");
    let reply = relayed(&mut program, "GET", "/products/1").await;
    assert_eq!(reply.all("authorization"), ["Digest x"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forwarded_token_is_the_one_for_the_application() {
    let stage = asked("forward_token = true\n").await;
    let mut browser = stage.signed_in().await;
    let token = browser.cookie("vestibule-access").unwrap().to_owned();
    let reply = relayed(&mut browser, "GET", "/shopping-cart").await;
    assert_eq!(reply.all("authorization"), [format!("Bearer {token}")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewal_sets_the_cookies_and_passes() {
    let stage = asked("").await;
    for is_nginx in [false, true] {
        let mut browser = stage.signed_in().await;
        stage.expire_access_tokens();
        let before = browser.cookie("vestibule-access").unwrap().to_owned();
        let reply = if is_nginx {
            status_only(&mut browser, "GET", "/shopping-cart").await
        } else {
            relayed(&mut browser, "GET", "/shopping-cart").await
        };
        assert_eq!(reply.status, 200, "{}", reply.body);
        assert_eq!(reply.header("x-auth-email"), Some("shopper@example.com"));
        assert_eq!(
            reply.header("cache-control"),
            Some("private, no-store"),
            "{reply:?}"
        );
        assert_ne!(browser.cookie("vestibule-access").unwrap(), before);
        // nginx copies single fields only.
        let copies: Vec<_> = (1..=8)
            .filter_map(|at| reply.header(&format!("vestibule-set-cookie-{at}")))
            .collect();
        if is_nginx {
            assert_eq!(copies, reply.all("set-cookie"));
            assert_eq!(copies.len(), 2);
        } else {
            assert_eq!(copies, [""; 0]);
        }
        let again = relayed(&mut browser, "GET", "/shopping-cart").await;
        assert_eq!(again.all("set-cookie"), [""; 0]);
    }
    assert_eq!(stage.requests("renewed").await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewal_ahead_of_time_is_waited_for() {
    let stage = asked("").await;
    let mut browser = stage.signed_in().await;
    stage.clock.advance(std::time::Duration::from_secs(50));
    let reply = relayed(&mut browser, "GET", "/shopping-cart").await;
    assert_eq!(reply.status, 200);
    assert_eq!(reply.all("set-cookie").len(), 2);
    assert_eq!(stage.requests("renewed_ahead").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_sent_to_the_form_or_refused() {
    let stage = asked("").await;
    let mut browser = stage.browser();
    let to_form = "/login?return_to=/shopping-cart?a%26b";
    let reply = relayed(&mut browser, "GET", "/shopping-cart?a&b").await;
    assert_eq!(reply.status, 302);
    assert_eq!(reply.header("location"), Some(to_form));
    // nginx takes a redirect for an error.
    let reply = status_only(&mut browser, "GET", "/shopping-cart?a&b").await;
    assert_eq!(reply.status, 401);
    assert_eq!(reply.header("location"), Some(to_form));
    let mut script = stage.browser().fetching();
    let reply = relayed(&mut script, "GET", "/shopping-cart").await;
    assert_eq!((reply.status, &*reply.code()), (401, "signed_out"));
    assert!(reply.header("www-authenticate").is_some());
    assert_eq!(reply.header("location"), None);
    // A form cannot be carried through the login: its body is not there.
    let posted = [
        ("X-Forwarded-Method", "POST"),
        ("X-Forwarded-Host", HOST),
        ("X-Forwarded-Uri", "/shopping-cart"),
        ("Origin", "http://store.localhost:8080"),
        ("Content-Type", "application/x-www-form-urlencoded"),
    ];
    let reply = browser.send("GET", AUTH, &posted, b"").await;
    assert_eq!(reply.status, 401);
    assert!(!reply.body.contains("name=\"csrf\""), "{}", reply.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_that_asks_under_another_name_gets_an_absolute_location() {
    let stage = asked("").await;
    let told = [
        ("X-Forwarded-Method", "GET"),
        ("X-Forwarded-Host", HOST),
        ("X-Forwarded-Uri", "/shopping-cart"),
    ];
    let mut traefik = Browser::new(stage.address, "gateway.internal");
    let reply = traefik.send("GET", AUTH, &told, b"").await;
    assert_eq!(reply.status, 302);
    assert_eq!(
        reply.header("location"),
        Some("http://store.localhost:8080/login?return_to=/shopping-cart")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn roles_origins_and_outages_count_as_ever() {
    let stage = asked("").await;
    let mut browser = stage.signed_in().await;
    let reply = relayed(&mut browser.clone().fetching(), "GET", "/admin/users").await;
    assert_eq!((reply.status, &*reply.code()), (403, "role_missing"));
    let reply = status_only(&mut browser, "GET", "/admin/users").await;
    assert_eq!(reply.status, 403);
    // A page of another site makes the browser write, or opens a WebSocket.
    let write = |method| {
        [
            ("X-Forwarded-Method", method),
            ("X-Forwarded-Host", HOST),
            ("X-Forwarded-Uri", "/shopping-cart"),
            ("Origin", "http://elsewhere.example"),
        ]
    };
    let mut script = browser.clone().fetching();
    let reply = script.send("GET", AUTH, &write("POST"), b"").await;
    assert_eq!((reply.status, &*reply.code()), (403, "cross_site_request"));
    assert_eq!(
        script.send("GET", AUTH, &write("GET"), b"").await.status,
        200
    );
    let mut socket = script.with("Sec-WebSocket-Key", "eA==");
    let reply = socket.send("GET", AUTH, &write("GET"), b"").await;
    assert_eq!((reply.status, &*reply.code()), (403, "cross_site_request"));
    stage.expire_access_tokens();
    stage.provider.shut();
    let reply = relayed(&mut browser.clone().fetching(), "GET", "/shopping-cart").await;
    assert_eq!(
        (reply.status, &*reply.code()),
        (503, "provider_unavailable")
    );
    assert!(reply.header("retry-after").is_some());
    assert_eq!(reply.all("set-cookie"), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_original_target_is_validated_like_one_that_arrived() {
    let stage = asked("").await;
    let mut browser = stage.signed_in().await.fetching();
    for target in [
        "shopping-cart",
        "//elsewhere/",
        "/static/../admin/users",
        "/static/%2e%2e/admin/users",
        "/static%2Fx",
        "/static/..;/admin/users",
        "/static//../admin",
        "/static/x;/..%2fadmin",
        "/admin%5cusers",
        "/static/%252e%252e/admin/users",
        "/a#b",
        "/a b",
        "/%zz",
    ] {
        let reply = relayed(&mut browser, "GET", target).await;
        let expected = (400, "malformed_request");
        assert_eq!((reply.status, &*reply.code()), expected, "{target}");
        let reply = status_only(&mut browser, "GET", target).await;
        assert!(matches!(reply.status, 400 | 403), "{target}: {reply:?}");
    }
    for (method, status) in [("get", 400), ("TRACE", 405), ("G ET", 400), ("", 400)] {
        let reply = relayed(&mut browser, method, "/").await;
        assert_eq!(reply.status, status, "{method}");
    }
    let reply = status_only(&mut browser, "TRACE", "/").await;
    assert_eq!(reply.status, 403);
    let long = format!("/{}", "a".repeat(9000));
    assert_eq!(relayed(&mut browser, "GET", &long).await.status, 414);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_proxy_says_must_be_one_request() {
    let stage = asked("").await;
    let mut browser = stage.browser().fetching();
    let method = ("X-Forwarded-Method", "GET");
    let host = ("X-Forwarded-Host", HOST);
    let uri = ("X-Forwarded-Uri", "/");
    for (said, status) in [
        (&[method, host, uri][..], 200),
        (&[method, uri], 200),
        (&[method, host], 400),
        (&[host, uri], 400),
        (&[], 400),
        (&[method, method, host, uri], 400),
        (&[method, host, uri, ("X-Forwarded-Uri", "/static/")], 400),
        (&[method, host, host, uri], 400),
        (&[method, uri, ("X-Forwarded-Host", "a, b")], 400),
        // Another host than the one that the proxy asks at is the client's word.
        (
            &[method, uri, ("X-Forwarded-Host", "forum.localhost:8080")],
            400,
        ),
        (&[method, uri, ("X-Forwarded-Host", "nowhere.example")], 400),
        (
            &[method, host, uri, ("X-Original-URL", "/shopping-cart")],
            400,
        ),
        (&[method, host, uri, ("X-Original-Method", "POST")], 400),
        (
            &[method, host, uri, ("X-Original-URL", "http://x.example/")],
            400,
        ),
        (&[method, host, uri, ("X-Original-URL", "/")], 200),
        (
            &[("X-Original-Method", "GET"), ("X-Original-URL", "/")],
            200,
        ),
        (&[("X-Original-URL", "/")], 403),
        (
            &[
                ("X-Original-Method", "GET"),
                ("X-Original-URL", "http://forum.localhost:8080/"),
            ],
            403,
        ),
        (
            &[
                ("X-Original-Method", "GET"),
                ("X-Original-URL", "ftp://store.localhost:8080/"),
            ],
            403,
        ),
    ] {
        let reply = browser.send("GET", AUTH, said, b"").await;
        assert_eq!(reply.status, status, "{said:?}: {reply:?}");
    }
    let appended = format!("{AUTH}/static/");
    for (said, status) in [
        (&[][..], 200),
        (&[("X-Forwarded-Uri", "/static/")], 200),
        (&[("X-Forwarded-Uri", "/shopping-cart")], 400),
        (&[("X-Forwarded-Method", "POST")], 400),
    ] {
        let reply = browser.send("GET", &appended, said, b"").await;
        assert_eq!(reply.status, status, "{said:?}: {reply:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_else_may_ask() {
    let off = Stage::set_with(|text| trusting(&text), |_| {}).await;
    let set = |text: String| text.replacen(SITE, &format!("{SITE}forward_auth = true\n"), 1);
    let untrusted = Stage::set_with(set, |_| {}).await;
    for stage in [&off, &untrusted] {
        let mut browser = stage.signed_in().await.fetching();
        let unknown = browser.get("/_vestibule/nothing").await;
        let reply = relayed(&mut browser, "GET", "/").await;
        assert_eq!((reply.status, unknown.status), (404, 404));
        let names = |reply: &Reply| -> Vec<String> {
            let names = reply.headers.iter().map(|(name, _)| name.clone());
            names.collect()
        };
        assert_eq!(names(&reply), names(&unknown));
        assert_eq!(reply.code(), unknown.code());
        assert_eq!(status_only(&mut browser, "GET", "/").await.status, 404);
        let appended = format!("{AUTH}/shopping-cart");
        assert_eq!(browser.get(&appended).await.status, 404);
        let posted = browser.send("POST", AUTH, &[], b"").await;
        assert_eq!(posted.status, 404);
    }
    // Other spellings of the endpoint are none, and neither are other methods.
    let stage = asked("").await;
    let mut browser = stage.browser();
    let told = [("X-Forwarded-Method", "GET"), ("X-Forwarded-Uri", "/")];
    for path in [
        "/_vestibule/%61uth",
        "/_vestibule/authx",
        "/_vestibule/AUTH",
    ] {
        let reply = browser.send("GET", path, &told, b"").await;
        assert_eq!(reply.status, 404, "{path}");
    }
    assert_eq!(browser.send("POST", AUTH, &told, b"").await.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_path_of_the_gateway_is_no_permission() {
    let stage = asked("sign_out_paths = [\"/bye\"]\n").await;
    let mut browser = stage.signed_in().await.fetching();
    for (method, target) in [
        ("GET", "/login"),
        ("GET", "/logout"),
        ("POST", "/logout"),
        ("POST", "/bye"),
        ("GET", "/api/user"),
        ("POST", "/api/logout"),
        ("GET", "/_vestibule/auth"),
        ("GET", "/_vestibule/style.css"),
        ("GET", "/.well-known/vestibule/jwks.json"),
    ] {
        for reply in [
            relayed(&mut browser, method, target).await,
            status_only(&mut browser, method, target).await,
        ] {
            let answer = (reply.status, reply.code());
            assert_eq!(answer, (403, "own_endpoint".to_owned()), "{target}");
        }
    }
    // Nobody was signed out by it, and sent to the gateway they work as ever.
    let reply = relayed(&mut browser, "GET", "/shopping-cart").await;
    assert_eq!(reply.status, 200);
    assert_eq!(browser.get("/api/user").await.status, 200);
    assert_eq!(browser.post("/logout", &[]).await.status, 303);
    let reply = relayed(&mut browser, "GET", "/shopping-cart").await;
    assert_eq!(reply.status, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preflight_is_no_permission() {
    let stage = asked("allowed_origins = [\"http://app.example\"]\n").await;
    let preflight = [
        ("X-Forwarded-Method", "OPTIONS"),
        ("X-Forwarded-Host", HOST),
        ("X-Forwarded-Uri", "/shopping-cart"),
        ("Origin", "http://app.example"),
        ("Access-Control-Request-Method", "POST"),
    ];
    let mut script = stage.browser().fetching();
    let reply = script.send("GET", AUTH, &preflight, b"").await;
    assert_eq!((reply.status, &*reply.code()), (401, "signed_out"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_site_may_leave_its_application_to_the_proxy() {
    let set = |text: String| {
        let text = trusting(&text).replacen(SITE, &format!("{SITE}forward_auth = true\n"), 1);
        let mut lines: Vec<&str> = text.lines().collect();
        let upstreams = lines.iter().position(|line| line.starts_with("upstreams"));
        lines.remove(upstreams.unwrap());
        lines.join("\n")
    };
    let stage = Stage::set_with(set, |_| {}).await;
    let mut browser = stage.signed_in().await;
    let reply = relayed(&mut browser, "GET", "/shopping-cart").await;
    assert_eq!(reply.status, 200);
    // A request that the proxy sends here all the same has nowhere to go.
    assert_eq!(browser.get("/shopping-cart").await.status, 502);
}
