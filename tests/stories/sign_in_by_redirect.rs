//! Maria signs in at her identity provider's own page, and the site never sees her password.

use serde_json::json;

use super::support::openid::{CLIENT, PERSON, REVOKE, TOKEN, query_of};
use super::support::{Browser, OpenId, PASSWORD, Reply, Stage, field, with_line};

const ACCESS: &str = "vestibule-access";
const REFRESH: &str = "vestibule-refresh";

/// The cookies of sign-ins that are under way.
fn under_way(browser: &Browser) -> Vec<String> {
    let names = browser.cookies.iter().map(|(name, _)| name.clone());
    names
        .filter(|name| name.starts_with("vestibule-login-"))
        .collect()
}

fn says_to_begin_again(reply: &Reply, link: &str) {
    assert_eq!(reply.status, 403, "{reply:?}");
    let link = format!("href=\"{link}\"").replace('/', "/");
    assert!(reply.body.contains(&link), "{link} in {}", reply.body);
    let lines = reply.all("set-cookie");
    assert!(
        lines.iter().all(|line| line.contains("Max-Age=0")),
        "{lines:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn maria_signs_in_there_and_lands_where_she_wanted_to_go() {
    let provider = OpenId::open().await;
    let stage = provider.stage().await;
    let mut browser = stage.browser();

    let reply = browser.get("/cart?x=1").await;
    assert_eq!(reply.header("location"), Some("/login?return_to=/cart?x=1"));
    let reply = browser.get("/login?return_to=/cart?x=1%23part-2").await;
    assert_eq!(reply.status, 302);
    let address = reply.header("location").unwrap().to_owned();
    assert!(
        address.starts_with(&format!("{}/authorize?", provider.issuer())),
        "{address}"
    );
    let query = query_of(&address);
    assert_eq!(
        query["redirect_uri"],
        "http://store.localhost:8080/_vestibule/callback"
    );
    assert_eq!(query["scope"], "openid profile email offline_access");
    let line = reply.all("set-cookie")[0];
    for part in ["HttpOnly", "SameSite=Lax", "Path=/", "Max-Age=600"] {
        assert!(
            line.split("; ").any(|have| have == part),
            "{part} in {line}"
        );
    }
    assert_eq!(reply.header("cache-control"), Some("private, no-store"));

    let reply = browser.get(&provider.signs_in(&address)).await;
    assert_eq!(reply.status, 303, "{reply:?}");
    assert_eq!(reply.header("location"), Some("/cart?x=1#part-2"));
    assert!(under_way(&browser).is_empty());
    assert_eq!(browser.get("/cart?x=1").await.status, 200);
    let seen = stage.store.last();
    assert_eq!(seen.header("x-auth-user-id"), Some(PERSON));
    assert_eq!(seen.header("x-auth-email"), Some("person@example.com"));
    assert_eq!(provider.asked(TOKEN), 1);

    // Whoever is signed in is not sent there again.
    let reply = browser.get("/login?return_to=/cart").await;
    assert_eq!(
        (reply.status, reply.header("location")),
        (303, Some("/cart"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn two_tabs_sign_in_at_once_and_nine_are_not_too_many() {
    let provider = OpenId::open().await;
    let stage = provider.stage().await;
    let mut browser = stage.browser();
    let one = provider.leave(&mut browser, "/cart").await;
    let other = provider.leave(&mut browser, "/orders").await;
    assert_eq!(under_way(&browser).len(), 2);
    for (address, page) in [(other, "/orders"), (one, "/cart")] {
        let reply = browser.get(&provider.signs_in(&address)).await;
        assert_eq!(reply.header("location"), Some(page), "{reply:?}");
    }
    let mut browser = stage.browser();
    let first = provider.leave(&mut browser, "/first").await;
    for _ in 0..8 {
        stage.clock.advance(std::time::Duration::from_millis(5));
        provider.leave(&mut browser, "/next").await;
    }
    assert_eq!(under_way(&browser).len(), 7);
    let reply = browser.get(&provider.signs_in(&first)).await;
    says_to_begin_again(&reply, "/login");
}

#[tokio::test(flavor = "multi_thread")]
async fn back_and_a_second_use_lead_on_and_the_code_is_sent_once() {
    let provider = OpenId::open().await;
    let stage = provider.stage().await;
    let mut browser = stage.browser();
    let address = provider.leave(&mut browser, "/cart").await;
    let callback = provider.signs_in(&address);
    let before = browser.clone();
    assert_eq!(browser.get(&callback).await.status, 303);
    let again = browser.get(&callback).await;
    assert_eq!(
        (again.status, again.header("location")),
        (303, Some("/shopping-cart"))
    );
    // A second window that still has the cookie of the sign-in.
    let again = before.clone().get(&callback).await;
    assert_eq!(
        (again.status, again.header("location")),
        (303, Some("/cart"))
    );
    assert_eq!(provider.asked(TOKEN), 1);
    // Nobody is signed in by a callback that was copied.
    let reply = stage.browser().get(&callback).await;
    says_to_begin_again(&reply, "/login");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_wrong_answer_is_told_and_signs_nobody_in() {
    let provider = OpenId::open().await;
    let stage = provider.stage().await;
    let leave = async || {
        let mut browser = stage.browser();
        let address = provider.leave(&mut browser, "/cart").await;
        (browser, address)
    };
    let (mut browser, address) = leave().await;
    let reply = browser
        .get(&provider.refuses(&address, "access_denied"))
        .await;
    says_to_begin_again(&reply, "/login?return_to=/cart");

    let (mut browser, address) = leave().await;
    let good = provider.signs_in(&address);
    let told = query_of(&address)["state"].clone();
    let wrong = good.replace(&told[30..], "AAAAAAAAAAAAA");
    says_to_begin_again(&browser.get(&wrong).await, "/login");
    says_to_begin_again(&browser.get("/_vestibule/callback").await, "/login");

    for changed in ["https%3A%2F%2Fevil.example", ""] {
        let (mut browser, address) = leave().await;
        let (callback, _) = provider
            .signs_in(&address)
            .split_once("&iss=")
            .map(|(a, b)| (a.to_owned(), b.to_owned()))
            .unwrap();
        let callback = if changed.is_empty() {
            callback
        } else {
            format!("{callback}&iss={changed}")
        };
        let reply = browser.get(&callback).await;
        says_to_begin_again(&reply, "/login?return_to=/cart");
    }
    let (mut browser, address) = leave().await;
    let callback = provider.signs_in(&address);
    let twice = format!("{callback}&state={}", query_of(&address)["state"]);
    says_to_begin_again(&browser.get(&twice).await, "/login");
    assert_eq!(provider.asked(TOKEN), 0);

    let (mut browser, address) = leave().await;
    let callback = provider.signs_in(&address);
    stage.clock.advance(std::time::Duration::from_secs(601));
    says_to_begin_again(&browser.get(&callback).await, "/login");
    assert_eq!(provider.asked(TOKEN), 0, "too late");

    let (mut browser, address) = leave().await;
    let callback = provider
        .signs_in(&address)
        .replace("code=code", "code=another");
    says_to_begin_again(&browser.get(&callback).await, "/login?return_to=/cart");
    assert_eq!(provider.asked(TOKEN), 1, "the provider says no");
    let sample = "vestibule_logins_total{result=\"sign_in_failed\",site=\"store\"}";
    let other = "vestibule_logins_total{site=\"store\",result=\"sign_in_failed\"}";
    let counted = stage.metric(sample).await + stage.metric(other).await;
    assert!(counted >= 4.0, "{counted}");
}

#[tokio::test(flavor = "multi_thread")]
async fn guessed_codes_are_throttled_and_the_page_says_how_long() {
    let provider = OpenId::open().await;
    let limit = "[login]\naddress_limit = { attempts = 2, per = \"1m\" }\n\n[providers.main]";
    let stage = provider
        .stage_with(|config| config.replacen("[providers.main]", limit, 1))
        .await;
    let mut statuses = Vec::new();
    for _ in 0..4 {
        let mut browser = stage.browser();
        let address = provider.leave(&mut browser, "/cart").await;
        let callback = provider.signs_in(&address);
        let wrong = callback.replace("code=code", "code=another");
        let reply = browser.get(&wrong).await;
        let link = "href=\"/login?return_to=/cart\"";
        assert!(reply.body.contains(link), "{}", reply.body);
        let has_wait = reply.header("retry-after").is_some();
        statuses.push((reply.status, has_wait));
    }
    assert_eq!(
        statuses,
        [(403, false), (403, false), (429, true), (429, true)]
    );
    assert_eq!(provider.asked(TOKEN), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_that_are_not_for_this_sign_in_are_refused() {
    let provider = OpenId::open().await;
    let stage = provider.stage().await;
    let cases: [(&str, serde_json::Value); 6] = [
        ("nonce", json!("another")),
        ("aud", json!("another")),
        ("azp", json!("another")),
        ("iss", json!("https://evil.example")),
        ("at_hash", json!("AAAAAAAAAAAAAAAAAAAAAA")),
        ("sub", json!("somebody-else")),
    ];
    for (claim, value) in cases {
        provider.behaves(|ways| {
            let value = value.clone();
            ways.id_claims = std::sync::Arc::new(move |claims| claims[claim] = value.clone());
        });
        let mut browser = stage.browser();
        let reply = provider.sign_in(&mut browser, "/cart").await;
        assert_eq!(reply.status, 500, "{claim}: {reply:?}");
        assert!(browser.cookie(ACCESS).is_none(), "{claim}");
    }
    provider.behaves(|ways| {
        ways.id_claims = std::sync::Arc::new(|_| {});
        ways.access_claims = std::sync::Arc::new(|claims| claims["azp"] = json!("another"));
    });
    let reply = provider.sign_in(&mut stage.browser(), "/cart").await;
    assert_eq!(reply.status, 500, "a token for another client");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_is_not_taken_here() {
    let provider = OpenId::open().await;
    let stage = provider.stage().await;
    let mut browser = stage.browser().fetching();
    let reply = browser.sign_in_by_script("maria", "secret").await;
    assert_eq!(
        (reply.status, reply.code().as_str()),
        (409, "sign_in_redirects")
    );
    assert_eq!(
        reply.json()["location"],
        "http://store.localhost:8080/login"
    );
    assert_eq!(
        reply.header("location"),
        Some("http://store.localhost:8080/login")
    );
    let reply = browser
        .post("/login", &[("loginId", "maria"), ("password", "x")])
        .await;
    assert_eq!(
        (reply.status, reply.code().as_str()),
        (409, "sign_in_redirects")
    );
    assert_eq!(provider.asked(TOKEN), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_is_away_is_no_refusal() {
    let provider = OpenId::open().await;
    let stage = provider.stage().await;
    let mut browser = stage.browser();
    let address = provider.leave(&mut browser, "/cart").await;
    let callback = provider.signs_in(&address);
    provider.behaves(|ways| ways.token_answer = Some((503, json!({}))));
    let reply = browser.get(&callback).await;
    assert_eq!(reply.status, 503);
    assert!(reply.header("retry-after").is_some());
    assert!(
        reply.body.contains("/login?return_to=/cart"),
        "{}",
        reply.body
    );
    provider.behaves(|ways| ways.token_answer = Some((401, json!({ "error": "invalid_client" }))));
    let reply = provider.sign_in(&mut browser, "/cart").await;
    assert_eq!(reply.status, 500, "the client is unknown there");
    let again = "/login?return_to=/cart";
    assert!(reply.body.contains(again), "{}", reply.body);
    provider.behaves(|ways| ways.token_answer = None);
    assert_eq!(provider.sign_in(&mut browser, "/cart").await.status, 303);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_time_refresh_tokens_are_used_once_by_many_requests() {
    let provider = OpenId::open().await;
    let stage = provider.stage().await;
    let mut browser = stage.browser();
    assert_eq!(provider.sign_in(&mut browser, "/cart").await.status, 303);
    stage.expire_access_tokens();
    let requests = (0..60).map(|_| {
        let mut tab = browser.clone();
        tokio::spawn(async move { tab.get("/cart").await.status })
    });
    for request in requests.collect::<Vec<_>>() {
        assert_eq!(request.await.unwrap(), 200);
    }
    assert_eq!(provider.asked(TOKEN), 2, "the code, and one refresh");
    assert_eq!(browser.get("/cart").await.status, 200);
    // The next token in its turn.
    stage.expire_access_tokens();
    assert_eq!(browser.get("/cart").await.status, 200);
    // A no is a no, and nothing else is.
    stage.expire_access_tokens();
    for (status, body) in [
        (503, json!({})),
        (400, json!({})),
        (400, json!({ "error": "slow_down" })),
    ] {
        provider.behaves(|ways| ways.token_answer = Some((status, body)));
        assert_eq!(browser.get("/cart").await.status, 503);
        stage.clock.advance(std::time::Duration::from_secs(20));
    }
    let no = json!({ "error": "invalid_grant" });
    provider.behaves(|ways| ways.token_answer = Some((400, no)));
    assert_eq!(browser.get("/cart").await.status, 302);
    assert!(browser.cookie(REFRESH).is_none());
}

fn with_sessions(config: &str) -> String {
    config.replace(
        "landing = \"/shopping-cart\"",
        "landing = \"/shopping-cart\"\ncredential = \"session\"",
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn access_tokens_that_are_no_jwts_need_sessions() {
    let provider = OpenId::open().await;
    provider.behaves(|ways| ways.opaque = true);
    let stage = provider.stage().await;
    let reply = provider.sign_in(&mut stage.browser(), "/cart").await;
    assert_eq!(reply.status, 500, "tokens in cookies");

    for id_token_at_refresh in [true, false] {
        provider.behaves(|ways| ways.id_token_at_refresh = id_token_at_refresh);
        let stage = provider.stage_with(|config| with_sessions(&config)).await;
        let mut browser = stage.browser();
        assert_eq!(provider.sign_in(&mut browser, "/cart").await.status, 303);
        for _ in 0..3 {
            assert_eq!(browser.get("/cart").await.status, 200);
            assert_eq!(
                stage.store.last().header("x-auth-email"),
                Some("person@example.com")
            );
            stage.expire_access_tokens();
            stage.clock.advance(std::time::Duration::from_secs(1900));
            // Another tab, with the cookies from before the refresh.
            let mut other = browser.clone();
            assert_eq!(browser.get("/cart").await.status, 200);
            assert_eq!(other.get("/cart").await.status, 200);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_know_what_the_id_token_tells_besides() {
    let provider = OpenId::open().await;
    provider.behaves(|ways| {
        ways.access_claims = std::sync::Arc::new(|claims| {
            claims.as_object_mut().unwrap().remove("email");
            claims["realm_access"] = json!({ "roles": ["admin"] });
        });
    });
    let stage = Stage::set_with(
        |config| with_sessions(&provider.in_place(&config, "roles_claim = \"realm_access.roles\"")),
        |_| {},
    )
    .await;
    let mut browser = stage.browser();
    assert_eq!(provider.sign_in(&mut browser, "/admin/").await.status, 303);
    assert_eq!(browser.get("/admin/").await.status, 200);
    let seen = stage.store.last();
    assert_eq!(seen.header("x-auth-email"), Some("person@example.com"));
    assert_eq!(seen.header("x-auth-roles"), Some("admin"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sign_out_ends_there_too() {
    for sessions in [false, true] {
        let provider = OpenId::open().await;
        let stage = provider
            .stage_with(|config| {
                if sessions {
                    with_sessions(&config)
                } else {
                    config
                }
            })
            .await;
        let mut browser = stage.browser();
        assert_eq!(provider.sign_in(&mut browser, "/cart").await.status, 303);
        let copy = browser.clone();
        let reply = browser.post("/logout", &[]).await;
        assert_eq!(reply.status, 303);
        let address = reply.header("location").unwrap();
        assert!(
            address.starts_with(&format!("{}/logout?", provider.issuer())),
            "{address}"
        );
        let query = query_of(address);
        assert_eq!(query["client_id"], CLIENT);
        assert_eq!(
            query["post_logout_redirect_uri"],
            "http://store.localhost:8080/"
        );
        assert_eq!(query["id_token_hint"].split('.').count(), 3);
        assert!(reply.header("clear-site-data").is_some());
        assert!(browser.kept().is_empty(), "{:?}", browser.kept());
        super::support::until("the revocation", || provider.asked(REVOKE) == 1).await;
        assert!(provider.last_form(REVOKE)["token"].starts_with("refresh-"));
        assert_eq!(copy.clone().get("/cart").await.status, 302, "a saved copy");
        // Nobody is signed in: the browser stays.
        let reply = browser.post("/logout", &[]).await;
        assert_eq!(reply.header("location"), Some("/"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_written_is_sent_after_the_sign_in() {
    let provider = OpenId::open().await;
    let stage = provider.stage().await;
    let mut browser = stage.browser();
    assert_eq!(provider.sign_in(&mut browser, "/cart").await.status, 303);
    let mut elsewhere = browser.clone();
    elsewhere.post("/logout", &[]).await;
    let text = "Dear all, é".repeat(2000);
    let page = browser.post("/posts?page=2", &[("text", &text)]).await;
    assert_eq!(page.status, 401, "{page:?}");
    assert!(!page.body.contains("type=\"password\""));
    let unsent = field(&page.body, "unsent");
    let fields = [
        ("csrf", field(&page.body, "csrf")),
        ("return_to", field(&page.body, "return_to")),
        ("unsent", unsent.clone()),
    ];
    let fields: Vec<(&str, &str)> = fields
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    let forged = [("csrf", "x"), ("unsent", unsent.as_str())];
    assert_eq!(browser.post("/login?unsent", &forged).await.status, 403);
    let reply = browser.post("/login?unsent", &fields).await;
    assert_eq!(reply.status, 303, "{reply:?}");
    let address = reply.header("location").unwrap().to_owned();
    let offered = browser.get(&provider.signs_in(&address)).await;
    assert_eq!(offered.status, 200);
    assert!(
        offered.body.contains("action=\"/posts?page=2\""),
        "{}",
        &offered.body[..2000]
    );
    assert_eq!(field(&offered.body, "text"), text);
}

#[tokio::test(flavor = "multi_thread")]
async fn fusionauth_signs_in_at_its_own_pages_too() {
    let provider = OpenId::open().await;
    provider.behaves(|ways| {
        ways.access_claims =
            std::sync::Arc::new(|claims| claims["aud"] = json!("store-application"));
        ways.id_claims = std::sync::Arc::new(|claims| claims["aud"] = json!("store-application"));
    });
    let issuer = provider.issuer();
    let stage = Stage::set_with(
        |config| {
            let config = with_line(&config, "url", &format!("url = \"{issuer}\""));
            let lines = format!(
                "issuer = \"{issuer}\"\nsign_in = \"redirect\"\nclient_id = \"store-application\"\n\
                 client_secret = \"the client's secret+\""
            );
            with_line(&config, "issuer", &lines)
        },
        |_| {},
    )
    .await;
    let mut browser = stage.browser();
    assert_eq!(provider.sign_in(&mut browser, "/cart").await.status, 303);
    assert_eq!(browser.get("/cart").await.status, 200);
    stage.expire_access_tokens();
    provider.follows(&stage);
    assert_eq!(browser.get("/cart").await.status, 200, "refreshed");
    assert_eq!(provider.asked(TOKEN), 2);
    let reply = browser.post("/logout", &[]).await;
    assert!(
        reply.header("location").unwrap().starts_with(&issuer),
        "{reply:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_form_is_the_password_grant() {
    let provider = OpenId::open().await;
    let stage = provider.stage_of("sign_in = \"form\"").await;
    let mut browser = stage.browser();
    let reply = browser.sign_in("maria", "wrong").await;
    assert_eq!(reply.status, 401, "{reply:?}");
    provider.behaves(|ways| ways.token_answer = Some((403, json!(null))));
    assert_eq!(
        browser.sign_in("maria", PASSWORD).await.status,
        401,
        "without a word"
    );
    provider.behaves(|ways| ways.token_answer = Some((500, json!({}))));
    assert_eq!(browser.sign_in("maria", PASSWORD).await.status, 503);
    provider.behaves(|ways| ways.token_answer = None);
    assert_eq!(browser.sign_in("maria", PASSWORD).await.status, 303);
    assert_eq!(provider.last_form(TOKEN)["username"], "maria");
    assert_eq!(browser.get("/cart").await.status, 200);
    let reply = browser.post("/logout", &[]).await;
    assert_eq!(
        reply.header("location"),
        Some("/"),
        "nobody is signed in there"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_starts_before_its_provider_and_outlives_its_outages() {
    let provider = OpenId::open().await;
    provider.behaves(|ways| {
        ways.document = std::sync::Arc::new(|document| document["issuer"] = json!("https://other"));
    });
    let stage = Stage::begin(|config| provider.in_place(&config, ""), |_| {}, |_| {}).await;
    let mut browser = stage.browser();
    let reply = browser.get("/login").await;
    assert_eq!(
        reply.status, 500,
        "another issuer is not asked for a sign-in"
    );
    provider.behaves(|ways| ways.document = std::sync::Arc::new(|_| {}));
    stage.until_ready().await;
    assert_eq!(provider.sign_in(&mut browser, "/cart").await.status, 303);
    // The document cannot be fetched any more: the last one stays.
    provider.behaves(|ways| {
        ways.document = std::sync::Arc::new(|document| *document = json!({}));
    });
    assert_eq!(
        provider.sign_in(&mut stage.browser(), "/cart").await.status,
        303
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn store_and_forum_share_one_sign_in() {
    let provider = OpenId::open().await;
    let stage = provider.stage().await;
    let (mut store, mut forum) = (stage.browser(), stage.forum_browser());
    assert_eq!(provider.sign_in(&mut store, "/cart").await.status, 303);
    let reply = provider.sign_in(&mut forum, "/posts").await;
    assert_eq!(reply.header("location"), Some("/posts"));
    assert_eq!(forum.get("/posts").await.status, 200);
    // A sign-in of the one is none at the other.
    let address = provider.leave(&mut stage.browser(), "/cart").await;
    let callback = provider.signs_in(&address);
    says_to_begin_again(&stage.forum_browser().get(&callback).await, "/login");
}
