//! Those who are after a single-page application: scripts that were put into its page, pages of
//! other origins, and bodies that mean two things.

use serde_json::json;

use super::support::{Browser, PASSWORD, Phone, Reply, SHOPPER, Stage, ask};

const CART: &str = "/api/load-shopping-cart";
const JSON: (&str, &str) = ("Content-Type", "application/json");
const LISTED: &str = "https://app.example.com";

fn open_to_phones_and_a_listed_origin(config: &str) -> String {
    config.replace(
        "landing = ",
        &format!("bearer = true\nallowed_origins = [\"{LISTED}\"]\nlanding = "),
    )
}

async fn set() -> Stage {
    Stage::set_with(|config| open_to_phones_and_a_listed_origin(&config), |_| {}).await
}

fn login() -> String {
    json!({ "loginId": SHOPPER, "password": PASSWORD }).to_string()
}

/// What a body means must be beyond doubt before anybody is asked.
#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_are_not_exactly_json_are_refused() {
    let stage = set().await;
    let (deep, long) = ("[".repeat(8000), "x".repeat(17 * 1024));
    let good = login();
    for (kind, body, status, code) in [
        (
            Some("text/plain"),
            good.as_str(),
            415,
            "unsupported_media_type",
        ),
        (
            Some("application/x-www-form-urlencoded"),
            "loginId=a&password=b",
            415,
            "unsupported_media_type",
        ),
        (
            Some("multipart/form-data; boundary=x"),
            "--x--\r\n",
            415,
            "unsupported_media_type",
        ),
        (
            Some("application/json; charset=utf-16"),
            good.as_str(),
            415,
            "unsupported_media_type",
        ),
        (
            Some("text/plain; application/json"),
            good.as_str(),
            415,
            "unsupported_media_type",
        ),
        (Some("text/plain"), "", 415, "unsupported_media_type"),
        (None, good.as_str(), 415, "unsupported_media_type"),
        (Some(JSON.1), "", 400, "rejected_input"),
        (Some(JSON.1), "{}", 400, "rejected_input"),
        (Some(JSON.1), "[]", 400, "rejected_input"),
        (Some(JSON.1), " ", 400, "rejected_input"),
        (
            Some(JSON.1),
            r#"{"loginId":"a","password":"p","admin":true}"#,
            400,
            "rejected_input",
        ),
        (
            Some(JSON.1),
            r#"{"loginId":"a","loginId":"b","password":"p"}"#,
            400,
            "rejected_input",
        ),
        (
            Some(JSON.1),
            r#"{"loginId":["a"],"password":"p"}"#,
            400,
            "rejected_input",
        ),
        (
            Some(JSON.1),
            r#"{"loginId":"a","password":"p","remember":"yes"}"#,
            400,
            "rejected_input",
        ),
        (
            Some(JSON.1),
            r#"{"loginId":"a","password":"p"} x"#,
            400,
            "rejected_input",
        ),
        (
            Some(JSON.1),
            "\u{feff}{\"loginId\":\"a\",\"password\":\"p\"}",
            400,
            "rejected_input",
        ),
        (Some(JSON.1), &deep, 400, "rejected_input"),
        (
            Some(JSON.1),
            &format!(r#"{{"loginId":"a","password":"{long}"}}"#),
            413,
            "request_too_large",
        ),
    ] {
        for path in ["/api/login", "/api/refresh", "/api/logout"] {
            let nothing_needed = path != "/api/login" && (body.is_empty() || body == "{}");
            if nothing_needed && status == 400 {
                continue;
            }
            let kind: Vec<(&str, &str)> = kind
                .map(|kind| ("Content-Type", kind))
                .into_iter()
                .collect();
            let reply = stage
                .browser()
                .fetching()
                .send("POST", path, &kind, body.as_bytes())
                .await;
            let told = (reply.status, reply.code());
            assert_eq!(
                (told.0, told.1.as_str()),
                (status, code),
                "{path} {kind:?} {}",
                &body[..body.len().min(60)]
            );
            assert_eq!(reply.header("cache-control"), Some("no-store"));
        }
    }
    let mut bytes = br#"{"loginId":"a","password":"_"}"#.to_vec();
    bytes[27] = 0xff;
    let reply = stage
        .browser()
        .fetching()
        .send("POST", "/api/login", &[JSON], &bytes)
        .await;
    assert_eq!((reply.status, stage.asked.logins.count()), (400, 0));
    let charset = [("Content-Type", "Application/JSON; charset=\"UTF-8\"")];
    let reply = stage
        .browser()
        .fetching()
        .send("POST", "/api/login", &charset, good.as_bytes())
        .await;
    assert_eq!(reply.status, 200);
}

/// The limits hold for a body of unknown length too, and what was refused is not taken for the next
/// request.
#[tokio::test(flavor = "multi_thread")]
async fn chunks_are_counted_and_nothing_is_smuggled() {
    let stage = set().await;
    let head = "POST /api/login HTTP/1.1\r\nHost: store.localhost:8080\r\nContent-Type: application/json\r\n";
    let chunk = format!("{:x}\r\n{}\r\n", 9000, " ".repeat(9000));
    let reply = ask(
        stage.address,
        format!("{head}Transfer-Encoding: chunked\r\n\r\n{chunk}{chunk}0\r\n\r\n"),
    )
    .await;
    assert_eq!(reply.expect("an answer").status, 413);
    let inner = "GET /smuggled HTTP/1.1\r\nHost: store.localhost:8080\r\n\r\n";
    let kept = head.replace("application/json", "text/plain");
    let outer = format!("{kept}Content-Length: {}\r\n\r\n{inner}", inner.len());
    assert_eq!(
        ask(stage.address, outer).await.expect("an answer").status,
        415
    );
    assert_eq!(stage.store.received().len(), 0);
}

fn has_no_token(reply: &Reply) {
    assert!(
        !reply.body.contains("eyJ") && !reply.body.contains("oken\""),
        "{}",
        reply.body
    );
    for name in ["vestibule-access-token", "vestibule-refresh-token"] {
        assert_eq!(reply.header(name), None);
    }
}

/// A script that runs in the page: it sends what the page can send, reads every body and every
/// header but `Set-Cookie`, and knows the password and a phone's tokens. It gets no token of its
/// own.
#[tokio::test(flavor = "multi_thread")]
async fn no_script_in_a_browser_gets_a_token() {
    let stage = set().await;
    let mut phone = Phone::new(stage.address);
    phone.sign_in(SHOPPER).await;
    let mut page = stage.browser().fetching();
    assert_eq!(page.sign_in_by_script(SHOPPER, PASSWORD).await.status, 200);
    let in_body = json!({ "loginId": SHOPPER, "password": PASSWORD, "tokens": "body" });
    let (logins, refreshes) = (stage.asked.logins.count(), stage.asked.refreshes.count());
    for mark in [
        ("Origin", "http://store.localhost:8080"),
        ("Sec-Fetch-Dest", "empty"),
        ("Origin", LISTED),
    ] {
        let script = stage.browser().fetching().with(mark.0, mark.1);
        let posts: [(&str, serde_json::Value); 2] = [
            ("/api/login", in_body.clone()),
            ("/api/refresh", json!({ "refreshToken": phone.refresh })),
        ];
        for (path, body) in posts {
            let reply = script
                .clone()
                .send("POST", path, &[JSON], body.to_string().as_bytes())
                .await;
            assert_eq!(
                (reply.status, reply.code().as_str()),
                (403, "browser_tokens_refused"),
                "{path} {mark:?}"
            );
            has_no_token(&reply);
        }
    }
    let (access, refresh) = (
        phone.access.clone().unwrap(),
        phone.refresh.clone().unwrap(),
    );
    let authorization = format!("Bearer {access}");
    let both = [
        ("Authorization", authorization.as_str()),
        ("Vestibule-Refresh-Token", &refresh),
    ];
    let reply = stage
        .browser()
        .fetching()
        .send("GET", CART, &both, b"")
        .await;
    assert_eq!(reply.status, 200, "served while the token holds");
    has_no_token(&reply);
    stage.clock.advance(std::time::Duration::from_secs(45));
    let reply = stage
        .browser()
        .fetching()
        .send("GET", CART, &both, b"")
        .await;
    assert_eq!(reply.status, 200, "and not renewed ahead");
    has_no_token(&reply);
    stage.expire_access_tokens();
    for path in [CART, "/api/user"] {
        let reply = stage
            .browser()
            .fetching()
            .send("GET", path, &both, b"")
            .await;
        assert_eq!(
            (reply.status, reply.code().as_str()),
            (403, "browser_tokens_refused"),
            "{path}"
        );
    }
    let reply = stage
        .browser()
        .fetching()
        .send("POST", "/api/refresh", &both, b"")
        .await;
    assert_eq!(
        (reply.status, reply.code().as_str()),
        (403, "browser_tokens_refused")
    );
    assert_eq!(
        (stage.asked.logins.count(), stage.asked.refreshes.count()),
        (logins, refreshes),
        "nobody was asked"
    );
    for (path, body) in [
        ("/api/refresh", json!({})),
        ("/api/login", serde_json::from_str(&login()).unwrap()),
    ] {
        let reply = page.call(path, &body).await;
        assert_eq!(reply.status / 100, 2, "{path}");
        has_no_token(&reply);
    }
    assert_eq!(
        phone.get(CART).await.status,
        200,
        "the phone itself is renewed"
    );
}

/// Another site's page knows the paths and has the visitor's browser.
#[tokio::test(flavor = "multi_thread")]
async fn another_sites_page_calls_nothing_and_reads_nothing() {
    let stage = set().await;
    let mut page = stage.browser().fetching();
    assert_eq!(page.sign_in_by_script(SHOPPER, PASSWORD).await.status, 200);
    let logins = stage.asked.logins.count();
    for foreign in [
        ("Origin", "https://evil.example"),
        ("Origin", "null"),
        ("Origin", "http://forum.localhost:8080"),
        ("Origin", "https://app.example.com.evil.example"),
        ("Sec-Fetch-Site", "cross-site"),
        ("Sec-Fetch-Site", "same-site"),
        ("Referer", "https://evil.example/"),
    ] {
        for path in ["/api/login", "/api/refresh", "/api/logout"] {
            let reply = page
                .clone()
                .send("POST", path, &[JSON, foreign], login().as_bytes())
                .await;
            assert_eq!(
                (reply.status, reply.code().as_str()),
                (403, "cross_site_request"),
                "{path} {foreign:?}"
            );
            assert_eq!(
                (
                    reply.all("set-cookie"),
                    reply.header("access-control-allow-origin")
                ),
                (vec![], None)
            );
        }
        let reply = page.get("/api/user").await;
        assert_eq!(
            (reply.status, reply.header("access-control-allow-origin")),
            (200, None)
        );
    }
    assert_eq!(
        (stage.asked.logins.count(), stage.asked.refreshes.count()),
        (logins, 0)
    );
}

async fn preflight(browser: &Browser, path: &str, origin: &str) -> Reply {
    let asks = [
        ("Origin", origin),
        ("Access-Control-Request-Method", "POST"),
        (
            "Access-Control-Request-Headers",
            "content-type,x-csrf-token",
        ),
    ];
    browser.clone().send("OPTIONS", path, &asks, b"").await
}

/// A page of an origin that the site lists.
#[tokio::test(flavor = "multi_thread")]
async fn a_listed_page_asks_calls_and_reads() {
    let stage = set().await;
    let mut page = stage.browser().fetching().with("Origin", LISTED);
    page.extra
        .push(("Sec-Fetch-Site".into(), "same-site".into()));
    let nobody = stage.browser().fetching();
    for (path, methods, headers) in [
        (
            "/api/login",
            "POST",
            "content-type, authorization, vestibule-refresh-token, x-requested-with",
        ),
        (
            CART,
            "GET, HEAD, POST, PUT, PATCH, DELETE",
            "content-type,x-csrf-token",
        ),
    ] {
        let reply = preflight(&nobody, path, LISTED).await;
        assert_eq!(
            (
                reply.status,
                reply.header("content-length"),
                reply.body.as_str()
            ),
            (204, None, ""),
            "{path}"
        );
        assert_eq!(reply.header("access-control-allow-origin"), Some(LISTED));
        assert_eq!(
            reply.header("access-control-allow-credentials"),
            Some("true")
        );
        assert_eq!(reply.header("access-control-allow-methods"), Some(methods));
        assert_eq!(reply.header("access-control-allow-headers"), Some(headers));
        assert_eq!(
            (reply.header("access-control-max-age"), reply.header("vary")),
            (Some("600"), Some("Origin"))
        );
    }
    let readable = |reply: &Reply| {
        assert_eq!(reply.all("access-control-allow-origin"), [LISTED]);
        assert_eq!(
            reply.header("access-control-allow-credentials"),
            Some("true")
        );
        assert_eq!(
            reply.header("access-control-expose-headers"),
            Some("X-Request-Id, Retry-After")
        );
        assert_eq!(reply.header("vary"), Some("Origin"));
    };
    for path in ["/api/user", CART] {
        let reply = page.get(path).await;
        assert_eq!(
            (reply.status / 100, reply.header("location")),
            (4, None),
            "{path}"
        );
        readable(&reply);
    }
    let reply = page
        .send("POST", "/api/login", &[JSON], login().as_bytes())
        .await;
    assert_eq!(reply.status, 200);
    readable(&reply);
    readable(&page.get("/api/user").await);
    let reply = page.send("POST", CART, &[JSON], b"{}").await;
    assert_eq!(
        (reply.status, reply.header("access-control-allow-origin")),
        (200, None),
        "the application's own to say"
    );
    assert_eq!(stage.store.last().header("x-auth-email"), Some(SHOPPER));
    let reply = page.get("/login").await;
    assert_eq!(
        reply.header("access-control-allow-origin"),
        None,
        "the form is not for other pages to read"
    );
    let form = [("Content-Type", "application/x-www-form-urlencoded")];
    assert_eq!(
        page.send("POST", "/login", &form, b"loginId=a")
            .await
            .status,
        403,
        "nor to post"
    );
    let reply = page.send("POST", "/api/logout", &[], b"").await;
    assert_eq!(reply.status, 204);
    readable(&reply);
}

#[tokio::test(flavor = "multi_thread")]
async fn preflights_of_all_others_stay_as_they_were() {
    let stage = set().await;
    let browser = stage.browser().fetching();
    for origin in [
        "https://evil.example",
        "null",
        "http://store.localhost:8080",
    ] {
        for (path, status) in [
            ("/api/login", 405),
            ("/api/user", 405),
            (CART, 401),
            ("/", 200),
            ("/products/1", 200),
        ] {
            let reply = preflight(&browser, path, origin).await;
            assert_eq!(
                (reply.status, reply.header("access-control-allow-origin")),
                (status, None),
                "{path} {origin}"
            );
        }
    }
    // Where nobody need be signed in, the application says what it takes, to listed pages too.
    stage.store.answers(|_| {
        let response = axum::response::Response::builder()
            .header("Access-Control-Allow-Origin", "https://theirs.example");
        response.body(axum::body::Body::empty()).unwrap()
    });
    let reply = preflight(&browser, "/products/1", LISTED).await;
    assert_eq!(
        reply.all("access-control-allow-origin"),
        ["https://theirs.example"]
    );
    let reply = preflight(&Stage::set().await.browser(), "/api/user", LISTED).await;
    assert_eq!(
        (reply.status, reply.header("vary")),
        (405, None),
        "no list, no word of origins"
    );
}

/// The gateway's word for an application that is not there can be read as well.
#[tokio::test(flavor = "multi_thread")]
async fn a_failure_is_readable_too() {
    let stage = set().await;
    let mut page = stage.browser().fetching().with("Origin", LISTED);
    stage.store.kill();
    let reply = page.get("/").await;
    assert_eq!(
        (reply.status, reply.header("access-control-allow-origin")),
        (502, Some(LISTED))
    );
}
