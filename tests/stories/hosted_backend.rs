//! FusionAuth's single-page SDKs at a site that plays their hosted backend, call by call as the
//! SDKs make them; and what others make of the same endpoints.

use super::support::{Browser, PASSWORD, Reply, SHOPPER, Stage, field};

const AT: &str = "app.at";
const RT: &str = "app.rt";
const EXP: &str = "app.at_exp";
const SHOP: &str = "http://store.localhost:8080/shop/";
/// A development server's own page: the same host at another port.
const DEV: &str = "http://store.localhost:5173";
const LOGIN: &str = "/app/login/?client_id=sdk-client&redirect_uri=http%3A%2F%2Fstore.localhost%3A8080%2Fshop%2F\
                     &scope=openid+offline_access&state=s%201";
const REFRESH: &str = "/app/refresh/?client_id=sdk-client";
const LOGOUT: &str = "/app/logout/?client_id=sdk-client&post_logout_redirect_uri=http%3A%2F%2Fstore.localhost%3A5173";

fn with_backend(config: &str) -> String {
    let line = format!(
        "hosted_backend = {{ client_id = \"sdk-client\", redirect_uris = [\"{SHOP}\", \"{DEV}\"] }}"
    );
    config.replacen("landing = ", &format!("{line}\nlanding = "), 1)
}

async fn set() -> Stage {
    Stage::set_with(|config| with_backend(&config), |_| {}).await
}

/// What the SDK's `fetch` sends beside the cookies.
fn sdk(browser: &Browser) -> Browser {
    browser
        .clone()
        .fetching()
        .with("Sec-Fetch-Site", "same-origin")
}

async fn refreshes(page: &mut Browser, origin: &str) -> Reply {
    page.send(
        "POST",
        REFRESH,
        &[("Content-Type", "text/plain"), ("Origin", origin)],
        b"",
    )
    .await
}

/// Through the form and back, as a person with the SDK's button does it.
async fn signed_in(stage: &Stage) -> Browser {
    let mut browser = stage.browser();
    let reply = browser.get(LOGIN).await;
    assert_eq!(reply.status, 302);
    let form = browser.get(reply.header("location").unwrap()).await;
    let (csrf, return_to) = (field(&form.body, "csrf"), field(&form.body, "return_to"));
    assert_eq!(return_to, LOGIN);
    let fields = [
        ("loginId", SHOPPER),
        ("password", PASSWORD),
        ("csrf", &csrf),
        ("return_to", &return_to),
    ];
    let reply = browser.post("/login", &fields).await;
    assert_eq!((reply.status, reply.header("location")), (303, Some(LOGIN)));
    browser
}

fn line<'a>(reply: &'a Reply, name: &str) -> &'a str {
    let start = format!("{name}=");
    reply
        .all("set-cookie")
        .into_iter()
        .find(|line| line.starts_with(&start))
        .expect("the cookie")
}

/// The end of the token, as the SDK reads it.
fn end(browser: &Browser) -> u64 {
    browser
        .cookie(EXP)
        .expect("app.at_exp")
        .parse()
        .expect("seconds")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sign_in_by_the_form_leads_back_to_the_application() {
    let stage = set().await;
    let mut browser = signed_in(&stage).await;
    let reply = browser.get(LOGIN).await;
    assert_eq!(
        (reply.status, reply.header("location")),
        (302, Some(&*format!("{SHOP}?state=s+1")))
    );
    assert_eq!(reply.header("cache-control"), Some("no-store"));
    let left = end(&browser) - stage.clock.now().secs();
    assert!((50..=60).contains(&left), "{left} s, of the access token");
    assert!(
        browser
            .cookie(AT)
            .is_some_and(|token| token.starts_with("ey"))
    );
    assert!(
        browser
            .cookie(RT)
            .is_some_and(|token| !token.starts_with("ey") && token.len() > 100)
    );
    assert_eq!(browser.cookie("vestibule-access"), None);
    let reply = sdk(&browser).get("/app/me/").await;
    assert_eq!(
        (reply.status, reply.header("content-type")),
        (200, Some("application/json"))
    );
    let told = reply.json();
    assert_eq!(
        (&told["email"], &told["email_verified"]),
        (&SHOPPER.into(), &true.into())
    );
    assert!(
        told["sub"].is_string() && told["roles"].is_array() && told["applicationId"].is_string(),
        "{told}"
    );
    assert!(
        told.get("exp").is_none() && told.get("jti").is_none(),
        "{told}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_the_token_is_told_whenever_it_changes() {
    let stage = set().await;
    let mut page = stage.browser().fetching();
    let reply = page.sign_in_by_script(SHOPPER, PASSWORD).await;
    assert_eq!(reply.status, 200);
    assert_eq!(
        line(&reply, EXP),
        format!(
            "{EXP}={}; SameSite=Lax; Path=/; Max-Age=2592000",
            end(&page)
        )
    );
    for name in [AT, RT] {
        assert!(line(&reply, name).ends_with("; HttpOnly; SameSite=Lax; Path=/; Max-Age=2592000"));
    }
    let before = end(&page);
    stage.expire_access_tokens();
    assert_eq!(page.get("/shopping-cart").await.status, 200);
    assert!(end(&page) > before, "renewed on the way to the application");
    let before = end(&page);
    stage.clock.advance(std::time::Duration::from_secs(45));
    assert_eq!(page.get("/shopping-cart").await.status, 200);
    assert!(end(&page) > before, "renewed ahead");
    let before = end(&page);
    stage.expire_access_tokens();
    assert_eq!(page.get("/app/me").await.status, 200);
    assert!(end(&page) > before, "renewed for the asking");
    let reply = page.send("POST", "/api/logout", &[], b"").await;
    assert_eq!((reply.status, page.kept()), (204, vec![]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_renewal_has_an_empty_body_of_plain_text() {
    let stage = set().await;
    let browser = signed_in(&stage).await;
    let mut page = sdk(&browser);
    stage.clock.advance(std::time::Duration::from_secs(20));
    let before = page.cookies.clone();
    let asked = stage.clock.now().secs();
    let reply = refreshes(&mut page, "http://store.localhost:8080").await;
    let issued = asked..=stage.clock.now().secs();
    assert_eq!((reply.status, reply.body.as_str()), (200, "{}"));
    assert_eq!(
        (reply.header("cache-control"), stage.asked.refreshes.count()),
        (Some("private, no-store"), 1)
    );
    assert!(issued.contains(&(end(&page) - 60)));
    let changed = page
        .cookies
        .iter()
        .filter(|cookie| !before.contains(cookie))
        .count();
    assert_eq!((changed, page.cookies.len()), (3, before.len()));
    stage.provider.shut();
    let reply = refreshes(&mut page, "http://store.localhost:8080").await;
    assert_eq!((reply.status, reply.all("set-cookie")), (503, vec![]));
    stage.provider.open();
    stage
        .clock
        .advance(std::time::Duration::from_secs(31 * 24 * 3600));
    let reply = refreshes(&mut page, "http://store.localhost:8080").await;
    assert_eq!((reply.status, reply.code().as_str()), (400, "signed_out"));
    assert_eq!(
        (page.cookie(AT), page.cookie(RT), page.cookie(EXP)),
        (None, None, None)
    );
    assert_eq!(sdk(&browser).get("/app/me").await.status, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn leaving_is_a_navigation_of_the_applications_own() {
    let stage = set().await;
    let mut browser = signed_in(&stage).await;
    let copy = browser.clone();
    for (site, referer) in [
        ("cross-site", "https://evil.example/"),
        ("same-site", "http://other.localhost:8080/"),
    ] {
        let mut led = browser
            .clone()
            .with("Sec-Fetch-Site", site)
            .with("Referer", referer);
        let reply = led.get(LOGOUT).await;
        assert_eq!(
            (reply.status, reply.all("set-cookie")),
            (200, vec![]),
            "{site}"
        );
        assert!(reply.body.contains("action=\"/logout\""), "{}", reply.body);
    }
    assert_eq!(
        browser.get("/shopping-cart").await.status,
        200,
        "nobody was signed out"
    );
    let mut leaving = browser.with("Sec-Fetch-Site", "same-origin");
    let reply = leaving.get(LOGOUT).await;
    assert_eq!((reply.status, reply.header("location")), (302, Some(DEV)));
    assert_eq!(
        reply.header("clear-site-data"),
        Some("\"cache\", \"storage\"")
    );
    assert_eq!(
        (leaving.cookie(AT), leaving.cookie(RT), leaving.cookie(EXP)),
        (None, None, None)
    );
    assert_eq!(
        line(&reply, EXP),
        format!("{EXP}=; SameSite=Lax; Path=/; Max-Age=0")
    );
    assert_eq!(
        sdk(&copy).get("/app/me").await.status,
        401,
        "a saved copy is refused at once"
    );
    super::support::until("the provider hears of it", || {
        stage.asked.logouts.count() == 1
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_led_off_the_list() {
    let stage = set().await;
    let mut browser = signed_in(&stage).await;
    for uri in [
        "https%3A%2F%2Fevil.example%2F",
        "%2F%2Fevil.example",
        "%2F%5Cevil.example",
        "javascript%3Aalert(1)",
        "http%3A%2F%2Fstore.localhost%3A8080%2Fshop",
        "http%3A%2F%2Fstore.localhost%3A8080%2Fshop%2F..%2F..%2Flogout",
        "http%3A%2F%2Fstore.localhost%3A8080%2Fshop%2F%0d%0aSet-Cookie%3A%20x%3Dy",
        "http%3A%2F%2Fstore.localhost%3A5173%40evil.example",
        "http%3A%2F%2Fstore.localhost%3A5173.evil.example",
        "http%3A%2F%2FSTORE.localhost%3A5173",
    ] {
        for page in ["login", "register"] {
            let reply = browser
                .get(&format!("/app/{page}/sdk-client?redirect_uri={uri}"))
                .await;
            assert_eq!(
                (reply.status, reply.header("location")),
                (400, None),
                "{uri}"
            );
        }
        let reply = stage
            .browser()
            .get(&format!(
                "/app/login?client_id=sdk-client&redirect_uri={uri}"
            ))
            .await;
        assert_eq!(
            (reply.status, reply.header("location")),
            (400, None),
            "{uri}"
        );
        let mut leaving = signed_in(&stage).await.with("Sec-Fetch-Site", "none");
        let reply = leaving
            .get(&format!(
                "/app/logout?client_id=sdk-client&redirect_uri={uri}"
            ))
            .await;
        assert_eq!(
            (reply.status, reply.header("location")),
            (303, Some("/")),
            "{uri}"
        );
    }
    let reply = browser
        .get("/app/callback?code=x&state=https%3A%2F%2Fevil.example&locale=de")
        .await;
    assert_eq!((reply.status, reply.header("location")), (302, Some(SHOP)));
    let hostile = "a%0d%0aSet-Cookie:%20x=y%26redirect_uri=https://evil.example%23";
    let reply = browser
        .get(&format!("/app/login/sdk-client?state={hostile}"))
        .await;
    let there = reply.header("location").unwrap();
    assert_eq!(
        there,
        format!(
            "{SHOP}?state=a%0D%0ASet-Cookie%3A+x%3Dy%26redirect_uri%3Dhttps%3A%2F%2Fevil.example%23"
        )
    );
    assert_eq!(reply.header("x"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_form_does_not_lead_off_the_list_either() {
    let stage = set().await;
    let mut browser = stage.browser();
    let return_to = "/app/login/sdk-client?redirect_uri=https%3A%2F%2Fevil.example%2F";
    let csrf = browser.csrf().await;
    let fields = [
        ("loginId", SHOPPER),
        ("password", PASSWORD),
        ("csrf", &csrf),
        ("return_to", return_to),
    ];
    let reply = browser.post("/login", &fields).await;
    assert_eq!(
        (reply.status, reply.header("location")),
        (303, Some(return_to)),
        "asked again there"
    );
    let reply = browser.get(return_to).await;
    assert_eq!((reply.status, reply.header("location")), (400, None));
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_the_clients_origins_read_its_endpoints() {
    let stage = set().await;
    let browser = signed_in(&stage).await;
    let dev = browser
        .clone()
        .fetching()
        .with("Sec-Fetch-Site", "same-site");
    let reply = dev.clone().with("Origin", DEV).get("/app/me/").await;
    assert_eq!(
        (reply.status, reply.header("access-control-allow-origin")),
        (200, Some(DEV))
    );
    assert_eq!(
        reply.header("access-control-allow-credentials"),
        Some("true")
    );
    assert!(reply.all("vary").contains(&"Origin"));
    let mut renewing = dev.clone();
    let reply = refreshes(&mut renewing, DEV).await;
    assert_eq!(
        (reply.status, reply.header("access-control-allow-origin")),
        (200, Some(DEV))
    );
    let reply = dev.clone().with("Origin", DEV).get("/api/user").await;
    assert_eq!(
        reply.header("access-control-allow-origin"),
        None,
        "what the SDKs call and nothing else"
    );
    for evil in [
        "https://evil.example",
        "null",
        "http://store.localhost:51730",
    ] {
        let reply = dev.clone().with("Origin", evil).get("/app/me/").await;
        assert_eq!(reply.header("access-control-allow-origin"), None, "{evil}");
        let mut page = dev.clone();
        let reply = refreshes(&mut page, evil).await;
        assert_eq!(
            (reply.status, reply.code().as_str()),
            (403, "cross_site_request"),
            "{evil}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_application_neither_sees_nor_sets_the_sdks_cookies() {
    let stage = set().await;
    let mut browser = signed_in(&stage).await;
    browser.set_cookie("app.idt", "I");
    browser.set_cookie("cart", "7");
    assert_eq!(browser.get("/shopping-cart").await.status, 200);
    assert_eq!(stage.store.last().header("cookie"), Some("cart=7"));
    stage.store.answers(|_| {
        let mut response = axum::response::Response::new(axum::body::Body::empty());
        for line in [
            "app.at=x",
            "app.rt=x; Path=/",
            "app.at_exp=9",
            "app.idt=x",
            "app.theme=dark",
        ] {
            response
                .headers_mut()
                .append("set-cookie", line.parse().unwrap());
        }
        response
    });
    assert_eq!(
        browser.get("/shopping-cart").await.all("set-cookie"),
        ["app.theme=dark"]
    );
    let mut alone = stage.browser();
    alone.set_cookie(EXP, "99");
    assert_eq!(alone.get("/").await.status, 200);
    assert_eq!(
        stage.store.last().header("cookie"),
        None,
        "also where no credential came with it"
    );
    assert_eq!(
        alone.get("/shopping-cart").await.status,
        302,
        "it is no credential"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_site_without_it_has_none_of_it() {
    let stage = set().await;
    let mut forum = stage.forum_browser();
    assert_eq!(forum.sign_in(SHOPPER, PASSWORD).await.status, 303);
    assert_eq!((forum.cookie(EXP), forum.cookie(AT)), (None, None));
    for path in [
        "/app/me/",
        "/app/login?client_id=sdk-client",
        "/app/logout?client_id=sdk-client",
    ] {
        assert_eq!(
            forum.get(path).await.body,
            "hello from the application",
            "{path}"
        );
    }
    let mut store = stage.browser();
    for theirs in [
        "/app",
        "/app/",
        "/app/index.html",
        "/app/login/sdk-client/more",
    ] {
        assert_eq!(
            store.get(theirs).await.status,
            302,
            "{theirs} is the application's, behind its rule"
        );
    }
}
