//! The browser from which somebody signs in every day, and strangers who guess at their account.

use std::time::Duration;

use super::support::{Browser, PASSWORD, SHOPPER, Stage};

const DEVICE: &str = "vestibule-device";

/// A stranger uses up the account's limit.
async fn guess(stage: &Stage) {
    for _ in 0..5 {
        assert_eq!(stage.browser().sign_in(SHOPPER, "wrong").await.status, 401);
    }
    assert_eq!(stage.browser().sign_in(SHOPPER, PASSWORD).await.status, 429);
}

/// What is left of a browser after a sign-out, weeks ago.
fn weeks_later(browser: &Browser) -> Browser {
    browser.thief_of(&[DEVICE])
}

#[tokio::test(flavor = "multi_thread")]
async fn every_sign_in_makes_the_browser_known() {
    let stage = Stage::set().await;
    let mut by_form = stage.browser();
    let page = by_form.sign_in(SHOPPER, PASSWORD).await;
    let mut by_script = stage.browser().fetching();
    let json = by_script.sign_in_by_script(SHOPPER, PASSWORD).await;
    assert_eq!((page.status, json.status), (303, 200));
    // As with the other cookies, a form without "keep me signed in" leaves nothing that outlives
    // the browser.
    for (reply, lifetime) in [(page, ""), (json, "; Max-Age=34560000")] {
        let set: Vec<&str> = reply
            .all("set-cookie")
            .into_iter()
            .filter(|line| line.starts_with(DEVICE))
            .collect();
        let [line] = set[..] else { panic!("{reply:?}") };
        assert!(
            line.ends_with(&format!("; HttpOnly; SameSite=Lax; Path=/{lifetime}")),
            "{line}"
        );
        assert!(!line.contains("shopper"), "{line}");
    }
    let kept = by_form.cookie(DEVICE).unwrap().to_owned();
    assert_eq!(
        by_form.get("/orders").await.all("set-cookie"),
        Vec::<&str>::new()
    );
    assert!(
        !stage
            .store
            .last()
            .header("cookie")
            .unwrap_or_default()
            .contains(DEVICE)
    );
    by_form.post("/logout", &[]).await;
    assert_eq!(
        by_form.cookie(DEVICE),
        Some(kept.as_str()),
        "a sign-out leaves it"
    );
    let refused = by_form.sign_in(SHOPPER, "wrong").await;
    assert_eq!((refused.status, refused.all("set-cookie")), (401, vec![]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_s_guesses_do_not_keep_the_owner_out() {
    let stage = Stage::set().await;
    let mut owner = weeks_later(&stage.signed_in().await);
    guess(&stage).await;
    assert_eq!(owner.sign_in(SHOPPER, PASSWORD).await.status, 303);
    assert_eq!(
        stage.browser().sign_in(SHOPPER, PASSWORD).await.status,
        429,
        "the stranger gains nothing by it"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_lane_of_the_known_browser_has_the_same_limit() {
    let stage = Stage::set().await;
    let known = weeks_later(&stage.signed_in().await);
    for attempt in 0..7 {
        let status = known.clone().sign_in(SHOPPER, "wrong").await.status;
        assert_eq!(status, if attempt < 5 { 401 } else { 429 });
    }
    // To other accounts it is a browser like any, and so are copies elsewhere.
    let mut other = known.clone();
    for attempt in 0..7 {
        let status = other.sign_in("admin@example.com", "wrong").await.status;
        assert_eq!(status, if attempt < 5 { 401 } else { 429 });
    }
    assert_eq!(
        stage
            .browser()
            .sign_in("admin@example.com", PASSWORD)
            .await
            .status,
        429
    );
    stage.clock.advance(Duration::from_secs(60));
    assert_eq!(known.clone().sign_in(SHOPPER, PASSWORD).await.status, 303);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_is_there_twice_or_of_another_site_is_none() {
    let stage = Stage::set().await;
    let known = weeks_later(&stage.signed_in().await);
    let mut forum = stage.forum_browser();
    assert_eq!(forum.sign_in(SHOPPER, PASSWORD).await.status, 303);
    guess(&stage).await;
    let mut twice = known.clone();
    twice
        .cookies
        .push((DEVICE.to_owned(), known.cookie(DEVICE).unwrap().to_owned()));
    let mut foreign = stage.browser();
    foreign.set_cookie(DEVICE, forum.cookie(DEVICE).unwrap());
    let mut forged = stage.browser();
    forged.set_cookie(DEVICE, "AAAA");
    for mut browser in [twice, foreign, forged] {
        assert_eq!(browser.sign_in(SHOPPER, PASSWORD).await.status, 429);
    }
    assert_eq!(known.clone().sign_in(SHOPPER, PASSWORD).await.status, 303);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_is_no_browser_is_given_none() {
    let bearer = |config: String| config.replacen("landing =", "bearer = true\nlanding =", 1);
    let stage = Stage::set_with(bearer, |_| {}).await;
    let mut phone = stage.browser();
    let body = format!(r#"{{"loginId":"{SHOPPER}","password":"{PASSWORD}","tokens":"body"}}"#);
    let mut request = phone.request(
        "POST",
        "/api/login",
        &[("Content-Type", "application/json")],
        body.as_bytes(),
    );
    // Without a browser's marks.
    let text = String::from_utf8(std::mem::take(&mut request))
        .unwrap()
        .replace("Sec-Fetch-Mode: navigate\r\n", "");
    let reply = super::support::raw(stage.address, text.as_bytes()).await;
    phone.keep(&reply);
    assert_eq!(
        (reply.status, phone.cookies),
        (200, vec![]),
        "{}",
        reply.body
    );
}
