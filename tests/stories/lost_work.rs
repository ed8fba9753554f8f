//! Zoe writes a long post, and her session ends under it. What she wrote arrives once, in her name,
//! or not at all.

use super::support::{Browser, PASSWORD, Reply, SHOPPER, Stage, field};

const FORM: (&str, &str) = ("Content-Type", "application/x-www-form-urlencoded");
const TEXT: &str = "Dear all,\r\n\r\n\"quoted\" & <b>bold</b> + plus é 日本 %41";

async fn at_the_forum(stage: &Stage) -> Browser {
    let mut browser = stage.forum_browser();
    assert_eq!(browser.sign_in(SHOPPER, PASSWORD).await.status, 303);
    browser
}

/// The session ends underneath: its refresh token is refused from now on.
async fn end_session(stage: &Stage, browser: &mut Browser) {
    let mut elsewhere = browser.clone();
    assert_eq!(elsewhere.post("/logout", &[]).await.status, 303);
    stage.expire_access_tokens();
}

async fn writes(browser: &mut Browser) -> Reply {
    browser
        .post(
            "/posts?page=2",
            &[
                ("title", "Hello"),
                ("text", TEXT),
                ("csrf_token", "of-the-forum"),
                ("tag", "a"),
                ("tag", "b"),
            ],
        )
        .await
}

/// Fills the form in which the unsent one waits.
async fn signs_in_with(browser: &mut Browser, form: &Reply, login_id: &str) -> Reply {
    let (csrf, unsent) = (field(&form.body, "csrf"), field(&form.body, "unsent"));
    let return_to = field(&form.body, "return_to");
    let fields = [
        ("loginId", login_id),
        ("password", PASSWORD),
        ("csrf", &csrf),
        ("unsent", &unsent),
        ("return_to", &return_to),
    ];
    browser.post("/login?unsent", &fields).await
}

/// Presses "send it now": what a browser would post.
fn offered(page: &Reply) -> (String, Vec<(String, String)>) {
    let form = page
        .body
        .split("<form method=\"post\" action=\"")
        .nth(1)
        .expect("a form");
    let form = form.split("</form>").next().unwrap();
    let action = form.split('"').next().unwrap().replace("&amp;", "&");
    let inputs = form.split("<input type=\"hidden\" ").skip(1);
    let fields = inputs.map(|input| {
        let name = input
            .split("name=\"")
            .nth(1)
            .unwrap()
            .split('"')
            .next()
            .unwrap()
            .to_owned();
        (name.clone(), field(&format!("<input {input}"), &name))
    });
    (action, fields.collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_post_arrives_once_and_whole() {
    let stage = Stage::set().await;
    let mut browser = at_the_forum(&stage).await;
    end_session(&stage, &mut browser).await;
    let page = "http://forum.localhost:8080/posts/new";
    let mut writing = browser.clone().with("Referer", page);
    let form = writes(&mut writing).await;
    browser.cookies = writing.cookies;
    assert_eq!(
        (form.status, form.header("content-type")),
        (401, Some("text/html; charset=utf-8"))
    );
    assert!(
        form.body.contains("What you wrote is not lost") && !form.body.contains("quoted"),
        "{}",
        form.body
    );
    assert_eq!(field(&form.body, "return_to"), "/posts/new");
    assert_eq!(
        stage
            .count("vestibule_requests_total", &["forum", "refused"])
            .await,
        1
    );
    assert!(stage.forum.received().is_empty());
    // A slip at the password loses nothing either.
    let fields = [
        ("loginId", SHOPPER),
        ("password", "wrong"),
        ("csrf", &field(&form.body, "csrf")),
        ("unsent", &field(&form.body, "unsent")),
    ];
    let again = browser.post("/login?unsent", &fields).await;
    assert_eq!(
        (again.status, field(&again.body, "unsent")),
        (401, field(&form.body, "unsent"))
    );

    let page = signs_in_with(&mut browser, &again, SHOPPER).await;
    assert_eq!(
        (page.status, page.header("cache-control")),
        (200, Some("private, no-store"))
    );
    assert!(
        page.body.contains("Send it now?")
            && page.body.contains("&quot;quoted&quot; &amp; &lt;b&gt;bold"),
        "{}",
        page.body
    );
    assert!(
        !page
            .body
            .split("<form")
            .next()
            .unwrap()
            .contains("of-the-forum"),
        "it is sent, not shown"
    );
    assert!(
        stage.forum.received().is_empty(),
        "nothing is sent before the button"
    );
    let (action, fields) = offered(&page);
    let fields: Vec<(&str, &str)> = fields
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    assert_eq!(browser.post(&action, &fields).await.status, 200);
    let arrived = stage.forum.received();
    assert_eq!(arrived.len(), 1);
    assert_eq!(
        (
            arrived[0].target.as_str(),
            arrived[0].header("x-auth-email")
        ),
        ("/posts?page=2", Some(SHOPPER))
    );
    let sent: Vec<(String, String)> = url::form_urlencoded::parse(&arrived[0].body)
        .into_owned()
        .collect();
    let expected = [
        ("title", "Hello"),
        ("text", TEXT),
        ("csrf_token", "of-the-forum"),
        ("tag", "a"),
        ("tag", "b"),
    ];
    assert_eq!(
        sent,
        expected.map(|(name, value)| (name.to_owned(), value.to_owned()))
    );

    // The sign-in sent once more, by a reload, does not offer it again.
    let reload = signs_in_with(&mut browser, &again, SHOPPER).await;
    assert!(
        reload.body.contains("It may have arrived already") && !reload.body.contains("<form"),
        "{}",
        reload.body
    );
    assert!(
        reload.body.contains("&quot;quoted&quot;"),
        "it can be copied"
    );
}

/// Signed out in another tab, the browser has nothing of the session left; it still knows who
/// signed in last.
#[tokio::test(flavor = "multi_thread")]
async fn who_signed_out_in_another_tab_sends_it_too() {
    let stage = Stage::set().await;
    let mut browser = at_the_forum(&stage).await;
    assert_eq!(browser.post("/logout", &[]).await.status, 303);
    let form = writes(&mut browser).await;
    let mut other = browser.clone();
    let page = signs_in_with(&mut other, &form, "admin@example.com").await;
    assert!(
        page.body.contains("This was not sent") && !page.body.contains("<form"),
        "{}",
        page.body
    );
    let page = signs_in_with(&mut browser, &form, SHOPPER).await;
    assert!(page.body.contains("Send it now?"), "{}", page.body);
    let mut stranger = stage.forum_browser();
    let form = writes(&mut stranger).await;
    let page = signs_in_with(&mut stranger, &form, SHOPPER).await;
    assert!(
        page.body.contains("This was not sent"),
        "nobody knows who wrote it: {}",
        page.body
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn in_anothers_name_nothing_is_sent() {
    let stage = Stage::set().await;
    let mut browser = at_the_forum(&stage).await;
    end_session(&stage, &mut browser).await;
    let form = writes(&mut browser).await;
    let page = signs_in_with(&mut browser, &form, "admin@example.com").await;
    assert_eq!(page.status, 200);
    assert!(
        page.body.contains("This was not sent") && page.body.contains("&quot;quoted&quot;"),
        "{}",
        page.body
    );
    assert!(
        !page.body.contains("<form") && !page.body.contains("of-the-forum"),
        "{}",
        page.body
    );
    assert!(stage.forum.received().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_hour_later_and_at_another_site_it_is_nothing() {
    let stage = Stage::set().await;
    let mut browser = at_the_forum(&stage).await;
    end_session(&stage, &mut browser).await;
    let form = writes(&mut browser).await;
    let unsent = field(&form.body, "unsent");
    let mut store = stage.browser();
    let csrf = store.csrf().await;
    let fields = [
        ("loginId", SHOPPER),
        ("password", PASSWORD),
        ("csrf", &csrf),
        ("unsent", &unsent),
    ];
    let reply = store.post("/login?unsent", &fields).await;
    assert_eq!(
        (reply.status, reply.header("location")),
        (303, Some("/shopping-cart"))
    );
    stage.clock.advance(std::time::Duration::from_secs(3601));
    let reply = signs_in_with(&mut browser, &form, SHOPPER).await;
    assert_eq!(
        (reply.status, reply.header("location")),
        (303, Some("/posts"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_in_parts_is_kept_too_and_one_with_a_file_is_not() {
    let stage = Stage::set().await;
    let mut browser = at_the_forum(&stage).await;
    end_session(&stage, &mut browser).await;
    let part = |head: &str, value: &str| {
        format!("--x\r\nContent-Disposition: form-data; {head}\r\n\r\n{value}\r\n")
    };
    let text = part("name=\"text\"", TEXT);
    let headers = [
        ("Content-Type", "multipart/form-data; boundary=x"),
        ("Origin", "http://forum.localhost:8080"),
    ];
    let body = format!(
        "{text}{}--x--\r\n",
        part("name=\"file\"; filename=\"\"", "")
    );
    let mut copy = browser.clone();
    let form = copy.send("POST", "/posts", &headers, body.as_bytes()).await;
    let page = signs_in_with(&mut copy, &form, SHOPPER).await;
    assert!(
        page.body.contains("enctype=\"multipart/form-data\""),
        "{}",
        page.body
    );
    assert_eq!(offered(&page).1, [("text".to_owned(), TEXT.to_owned())]);
    let body = format!(
        "{text}{}--x--\r\n",
        part("name=\"file\"; filename=\"a.txt\"", "a")
    );
    let page = browser
        .send("POST", "/posts", &headers, body.as_bytes())
        .await;
    assert_eq!(
        (page.status, page.body.contains("name=\"unsent\"")),
        (401, false),
        "{}",
        page.body
    );
    assert!(page.body.contains("A form with files"), "{}", page.body);
    assert!(page.body.contains("press Back"), "{}", page.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_site_says_how_much_is_preserved() {
    for (setting, kept, lost) in [
        ("preserve_post = \"1MiB\"\n", 1024 * 1024, 1024 * 1024 + 1),
        ("preserve_post = \"100B\"\n", 100, 101),
        ("preserve_post = \"0B\"\n", 0, 6),
    ] {
        let stage = Stage::set_with(
            |config| {
                config.replacen(
                    "landing = \"/posts\"",
                    &format!("{setting}landing = \"/posts\""),
                    1,
                )
            },
            |_| {},
        )
        .await;
        let mut browser = at_the_forum(&stage).await;
        end_session(&stage, &mut browser).await;
        let fields = [FORM, ("Origin", "http://forum.localhost:8080")];
        let body = |length: usize| format!("text={}", "a".repeat(length.saturating_sub(5)));
        let larger = browser
            .clone()
            .send("POST", "/posts", &fields, body(lost).as_bytes())
            .await;
        assert_eq!(larger.status, 401, "{setting}");
        assert!(
            larger.body.contains("too large to be kept"),
            "{}",
            larger.body
        );
        assert!(!larger.body.contains("name=\"unsent\""), "{setting}");
        if kept == 0 {
            continue;
        }
        let form = browser
            .send("POST", "/posts", &fields, body(kept).as_bytes())
            .await;
        assert_eq!(form.status, 401, "{setting}");
        let page = signs_in_with(&mut browser, &form, SHOPPER).await;
        assert!(page.body.contains("Send it now?"), "{setting}");
        assert_eq!(
            offered(&page).1,
            [("text".to_owned(), "a".repeat(kept - 5))]
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_form_or_too_large_gets_its_401() {
    let stage = Stage::set().await;
    let mut browser = at_the_forum(&stage).await;
    end_session(&stage, &mut browser).await;
    let origin = ("Origin", "http://forum.localhost:8080");
    let largest = format!("text={}", "a".repeat(64 * 1024 - 5));
    let kept = browser
        .clone()
        .send("POST", "/posts", &[FORM, origin], largest.as_bytes())
        .await;
    assert_eq!(
        (kept.status, kept.body.contains("name=\"unsent\"")),
        (401, true)
    );
    let larger = browser
        .clone()
        .send(
            "POST",
            "/posts",
            &[FORM, origin],
            format!("{largest}a").as_bytes(),
        )
        .await;
    assert_eq!(
        (larger.status, larger.body.contains("name=\"unsent\"")),
        (401, false)
    );
    assert!(larger.body.contains("press Back"), "{}", larger.body);
    // `enctype="text/plain"`, and a page in another encoding than UTF-8.
    let plain = [("Content-Type", "text/plain"), origin];
    for (fields, body) in [(plain, &b"text=hello"[..]), ([FORM, origin], b"text=%E9")] {
        let reply = browser.clone().send("POST", "/posts", &fields, body).await;
        assert_eq!(reply.status, 401);
        assert!(reply.body.contains("A form of this kind"), "{}", reply.body);
    }
    let json = [("Content-Type", "application/json"), origin];
    let call = browser
        .clone()
        .fetching()
        .send("POST", "/posts", &json, b"{\"text\":\"a\"}")
        .await;
    assert_eq!((call.status, call.code().as_str()), (401, "signed_out"));
    let script = browser
        .clone()
        .fetching()
        .send("POST", "/posts", &[FORM, origin], b"text=a")
        .await;
    assert_eq!((script.status, script.code().as_str()), (401, "signed_out"));
    let foreign = browser
        .clone()
        .send(
            "POST",
            "/posts",
            &[FORM, ("Origin", "http://evil.localhost")],
            b"text=a",
        )
        .await;
    assert_eq!(
        (foreign.status, foreign.body.contains("name=\"unsent\"")),
        (401, false)
    );
    // The large body is for a form that says it holds one; whoever lies about that is read no
    // further.
    let csrf = browser.csrf().await;
    let plain = browser
        .post(
            "/login",
            &[("csrf", &csrf), ("loginId", &"a".repeat(17 * 1024))],
        )
        .await;
    assert_eq!(plain.status, 413);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_changes_something_is_renewed_earlier() {
    let stage = Stage::set_with(
        |text| {
            text.replacen(
                "[providers.main]",
                "[refresh]\nahead = \"5s\"\n\n[providers.main]",
                1,
            )
        },
        |_| {},
    )
    .await;
    let mut browser = stage.signed_in().await;
    // Eight seconds before the end of a minute: within twice five seconds, not within five.
    stage.clock.advance(std::time::Duration::from_secs(52));
    assert!(browser.get("/orders").await.all("set-cookie").is_empty());
    assert_eq!(
        browser
            .post("/orders", &[("text", "a")])
            .await
            .all("set-cookie")
            .len(),
        2
    );
    assert_eq!(stage.asked.refreshes.count(), 1);
}
