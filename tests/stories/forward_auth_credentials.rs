//! Forward-auth with every kind of credential, and with clients that say what a proxy should.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::json;

use super::support::http2::Http2Client;
use super::support::{PASSWORD, Reply, SHOPPER, Stage, raw};

const HOST: &str = "store.localhost:8080";
const AUTH: &str = "/_vestibule/auth";

/// A stage whose store answers the proxies of this machine, with these lines in its configuration.
async fn asked(site: &str, rules: &str) -> Stage {
    let change = |config: String| {
        config
            .replacen("admin =", "trusted_proxies = [\"127.0.0.0/8\"]\nadmin =", 1)
            .replacen(
                "landing =",
                &format!("forward_auth = true\n{site}\nlanding ="),
                1,
            )
            .replacen("[[sites.rules]]", &format!("{rules}\n[[sites.rules]]"), 1)
    };
    Stage::set_with(change, |_| {}).await
}

/// What the gateway says to a proxy that passes these fields of a client on.
async fn question(stage: &Stage, target: &str, fields: &[(&str, &str)]) -> Reply {
    let mut request = format!(
        "GET {AUTH} HTTP/1.1\r\nHost: {HOST}\r\nX-Forwarded-Method: GET\r\n\
         X-Forwarded-Uri: {target}\r\nConnection: close\r\n"
    );
    for (name, value) in fields {
        request.extend([*name, ": ", value, "\r\n"]);
    }
    request.push_str("\r\n");
    raw(stage.address, request.as_bytes()).await
}

fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_comes_in_with_its_password_and_guesses_are_throttled_by_client() {
    let stage = asked("basic = true", "").await;
    let right = basic(SHOPPER, PASSWORD);
    let reply = question(&stage, "/orders", &[("Authorization", &right)]).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    assert_eq!(reply.header("x-auth-email"), Some(SHOPPER));
    assert_eq!(
        reply.all("authorization"),
        [""],
        "the password is not the application's"
    );
    let reply = question(&stage, "/orders", &[]).await;
    assert_eq!(
        reply.header("www-authenticate"),
        Some("Basic realm=\"store\"")
    );
    let guess = async |number: usize, client: &str| {
        let wrong = basic(&format!("user{number}@example.com"), "wrong");
        let fields = [("Authorization", &*wrong), ("X-Forwarded-For", client)];
        question(&stage, "/orders", &fields).await
    };
    let mut last = guess(0, "192.0.2.7").await;
    assert_eq!((last.status, &*last.code()), (401, "invalid_credentials"));
    for number in 1..=30 {
        last = guess(number, "192.0.2.7").await;
    }
    assert_eq!((last.status, &*last.code()), (429, "throttled"));
    assert!(last.header("retry-after").is_some());
    // nginx knows two refusals.
    let wrong = basic("user@example.com", "wrong");
    let request = format!(
        "GET {AUTH} HTTP/1.1\r\nHost: {HOST}\r\nX-Original-Method: GET\r\nX-Original-URL: /orders\r\n\
         X-Forwarded-For: 192.0.2.7\r\nAuthorization: {wrong}\r\nConnection: close\r\n\r\n"
    );
    let reply = raw(stage.address, request.as_bytes()).await;
    assert_eq!((reply.status, &*reply.code()), (403, "throttled"));
    assert_eq!(guess(0, "192.0.2.8").await.status, 401, "another client");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_token_comes_in_and_stays_with_the_gateway() {
    // The SHA-256 of "vst_" and 43 times `a`.
    let token = format!("vst_{}", "a".repeat(43));
    let digest = "45293aa25aa48c1b9e91ed8d7b41ceb20be680c3aea3a7cdacd7ed71a3b66561";
    let table =
        format!("[[sites.tokens]]\nname = \"ci\"\nsha256 = \"{digest}\"\nexpires = 2099-01-01\n");
    let stage = asked("token_header = \"X-Api-Key\"\nbasic = true", &table).await;
    let bearer = format!("Bearer {token}");
    for field in [("Authorization", &bearer), ("X-Api-Key", &token)] {
        let reply = question(&stage, "/orders", &[(field.0, field.1)]).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        assert_eq!(reply.header("x-auth-user-id"), Some("token:ci"));
        assert_eq!(reply.all("authorization"), [""]);
        assert_eq!(reply.all("x-api-key"), [""]);
    }
    let password = basic(SHOPPER, PASSWORD);
    let both = [("Authorization", &*password), ("X-Api-Key", &token)];
    let reply = question(&stage, "/orders", &both).await;
    assert_eq!(reply.header("x-auth-user-id"), Some("token:ci"));
    assert_eq!(reply.all("authorization"), [""]);
    // A key of the application's own is kept.
    let reply = question(&stage, "/products/1", &[("X-Api-Key", "theirs")]).await;
    assert_eq!(reply.all("x-api-key"), ["theirs"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_session_is_renewed_under_a_new_id() {
    let stage = asked("credential = \"session\"", "").await;
    let mut browser = stage.signed_in().await;
    let before = browser.cookie("vestibule-session").unwrap().to_owned();
    browser.set_cookie("vestibule-session", &"A".repeat(43));
    let told = [
        ("X-Forwarded-Method", "GET"),
        ("X-Forwarded-Uri", "/orders"),
    ];
    let reply = browser.send("GET", AUTH, &told, b"").await;
    assert_eq!(reply.status, 200, "{reply:?}");
    assert_eq!(reply.header("x-auth-email"), Some(SHOPPER));
    let after = browser.cookie("vestibule-session").unwrap().to_owned();
    assert!(after != before && after != "A".repeat(43), "{after}");
    let reply = browser.send("GET", AUTH, &told, b"").await;
    assert_eq!((reply.status, reply.all("set-cookie")), (200, vec![]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_phone_gets_its_new_tokens_and_a_script_does_not() {
    let stage = asked("bearer = true", "").await;
    let login = json!({ "loginId": SHOPPER, "password": PASSWORD, "tokens": "body" });
    let request = format!(
        "POST /api/login HTTP/1.1\r\nHost: {HOST}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n{login}",
        login.to_string().len()
    );
    let tokens = raw(stage.address, request.as_bytes()).await.json();
    let refresh = tokens["refreshToken"].as_str().unwrap();
    stage.expire_access_tokens();
    let bearer = format!("Bearer {}", tokens["token"].as_str().unwrap());
    let own = [
        ("Authorization", &*bearer),
        ("Vestibule-Refresh-Token", refresh),
    ];
    let with_mark = [&own[..], &[("Origin", "http://store.localhost:8080")]].concat();
    let reply = question(&stage, "/orders", &with_mark).await;
    assert_eq!(
        (reply.status, &*reply.code()),
        (403, "browser_tokens_refused")
    );
    let reply = question(&stage, "/orders", &own).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    assert_eq!(reply.all("authorization"), [""]);
    for name in ["vestibule-access-token", "vestibule-refresh-token"] {
        assert!(
            reply.header(name).is_some_and(|value| value.len() > 20),
            "{name}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_a_listed_origin_can_read_the_refusal() {
    let stage = asked("allowed_origins = [\"http://app.example\"]", "").await;
    let fields = |origin| [("Origin", origin), ("Sec-Fetch-Mode", "cors")];
    let reply = question(&stage, "/orders", &fields("http://app.example")).await;
    assert_eq!(reply.status, 401);
    let allowed = reply.header("access-control-allow-origin");
    assert_eq!(allowed, Some("http://app.example"));
    let reply = question(&stage, "/orders", &fields("http://other.example")).await;
    assert_eq!(
        (reply.status, reply.header("access-control-allow-origin")),
        (401, None)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_client_says_of_its_request_counts_for_nothing() {
    // At a request for the application, whoever sends it.
    let stage = asked("", "").await;
    let mut stranger = stage.browser();
    for lie in [
        ("X-Forwarded-Uri", "/"),
        ("X-Forwarded-Method", "OPTIONS"),
        ("X-Original-URL", "/"),
        ("X-Original-Method", "OPTIONS"),
        ("X-Rewrite-URL", "/"),
        ("X-HTTP-Method-Override", "OPTIONS"),
    ] {
        let reply = stranger.send("GET", "/orders", &[lie], b"").await;
        assert_eq!(reply.status, 302, "{lie:?}");
        assert!(
            reply
                .header("location")
                .unwrap()
                .ends_with("return_to=/orders"),
            "{reply:?}"
        );
    }
    // In a question: a client address that a client made up is not the believed one.
    let rule =
        "[[sites.rules]]\npath = \"/office\"\naccess = \"public\"\nfrom = [\"10.0.0.0/8\"]\n";
    let stage = asked("", rule).await;
    for (chain, status) in [
        ("10.0.0.7", 200),
        ("10.0.0.7, 192.0.2.7", 401),
        ("192.0.2.7, 10.0.0.7", 200),
    ] {
        let reply = question(&stage, "/office", &[("X-Forwarded-For", chain)]).await;
        assert_eq!(reply.status, status, "{chain}");
    }
    // A header that a rule asks for is a header of the client's request.
    let rule = "[[sites.rules]]\npath = \"/keyed\"\naccess = \"public\"\nheader = \"X-Api-Key\"\n";
    let stage = asked("", rule).await;
    assert_eq!(question(&stage, "/keyed", &[]).await.status, 401);
    assert_eq!(
        question(&stage, "/keyed", &[("X-Api-Key", "k")])
            .await
            .status,
        200
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_is_answered_over_http2_too() {
    let stage = asked("", "").await;
    let browser = stage.signed_in().await;
    let access = format!(
        "vestibule-access={}",
        browser.cookie("vestibule-access").unwrap()
    );
    // HTTP/2 cuts the cookies into several fields.
    let fields = [
        ("x-forwarded-method", "GET"),
        ("x-forwarded-uri", "/orders"),
        ("cookie", "basket=7"),
        ("cookie", &*access),
    ];
    let mut client = Http2Client::to(stage.address).await;
    let request = Http2Client::at_store("GET", AUTH, &fields);
    let reply = client.send(request, Bytes::new()).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    assert_eq!(reply.header("x-auth-email"), Some(SHOPPER));
    assert_eq!(reply.all("cookie"), ["basket=7"]);
    let request = Http2Client::at_store("GET", AUTH, &fields[..3]);
    assert_eq!(client.send(request, Bytes::new()).await.status, 401);
}
