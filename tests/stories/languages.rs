//! People who read other languages than the one who wrote the pages.

use super::support::{Browser, PASSWORD, Reply, SHOPPER, Stage, field};

fn reading(stage: &Stage, languages: &str) -> Browser {
    stage.browser().with("Accept-Language", languages)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_form_speaks_the_language_of_its_reader() {
    let stage = Stage::set().await;
    for (languages, language, direction, heading) in [
        ("de-AT,de;q=0.9,en;q=0.8", "de", "ltr", "Anmelden"),
        ("pt-BR", "pt", "ltr", "Entrar"),
        ("sv, ar;q=0.5", "ar", "rtl", "تسجيل الدخول"),
        ("ja, en;q=0", "ja", "ltr", "サインイン"),
        ("sv", "en", "ltr", "Sign in"),
    ] {
        let page = reading(&stage, languages).get("/login").await;
        assert_eq!(
            (page.status, page.header("content-language")),
            (200, Some(language)),
            "{languages}"
        );
        assert_eq!(page.header("vary"), Some("Accept-Language"));
        assert!(
            page.body
                .contains(&format!("<html lang=\"{language}\" dir=\"{direction}\">")),
            "{languages}"
        );
        assert!(
            page.body.contains(&format!("<h1>{heading}</h1>")),
            "{languages}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_goes_wrong_is_told_in_their_language_and_to_programs_in_english() {
    let stage = Stage::set().await;
    let mut browser = reading(&stage, "de");
    let csrf = browser.csrf().await;
    let page = browser
        .post(
            "/login",
            &[("loginId", SHOPPER), ("password", "wrong"), ("csrf", &csrf)],
        )
        .await;
    assert_eq!(
        (page.status, page.header("content-language")),
        (401, Some("de"))
    );
    assert!(page.body.contains("Diese Angaben passen nicht zusammen."));
    // Hygiene comes before the site; its page has a language all the same.
    let page = browser.get("/a%00b").await;
    assert_eq!(
        (page.status, page.header("content-language")),
        (400, Some("de"))
    );
    let document = browser.fetching().get("/orders").await;
    assert_eq!(
        (document.header("content-language"), document.header("vary")),
        (None, None)
    );
    assert_eq!(document.json()["title"], "Sign in to continue");
}

/// The line that sets the language cookie.
fn kept_language(reply: &Reply) -> Option<&str> {
    let mut lines = reply.all("set-cookie").into_iter();
    lines.find(|line| line.starts_with("vestibule-language="))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_language_that_was_chosen_is_kept() {
    let stage = Stage::set().await;
    let mut browser = reading(&stage, "de");
    let form = browser.get("/login?return_to=/orders?a=1").await;
    let links = form.body.replace("&amp;", "&");
    let to_french = "/login?return_to=/orders?a=1&lang=fr";
    assert!(
        links.contains(&format!("<a href=\"{to_french}\" lang=\"fr\"")),
        "{links}"
    );
    assert_eq!(kept_language(&form), None);
    let form = browser.get(to_french).await;
    assert_eq!(form.header("content-language"), Some("fr"));
    assert_eq!(field(&form.body, "return_to"), "/orders?a=1");
    assert_eq!(
        kept_language(&form),
        Some("vestibule-language=fr; HttpOnly; SameSite=Lax; Path=/; Max-Age=31536000")
    );
    for path in ["/login", "/logout"] {
        let page = browser.get(path).await;
        assert_eq!(page.header("content-language"), Some("fr"), "{path}");
        assert_eq!(kept_language(&page), None, "{path}");
    }
    browser.sign_in(SHOPPER, PASSWORD).await;
    // What an address of the application's means is the application's.
    let refused = browser.get("/admin/?lang=ja").await;
    assert_eq!(
        (refused.status, refused.header("content-language")),
        (403, Some("fr"))
    );
    let seen = browser.get("/orders").await;
    assert_eq!(seen.status, 200);
    assert!(!seen.body.contains("vestibule-language"), "{}", seen.body);
    browser.post("/logout", &[]).await;
    assert_eq!(browser.cookie("vestibule-language"), Some("fr"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_language_of_a_step_can_be_chosen_without_beginning_again() {
    let stage = Stage::set().await;
    let mut browser = reading(&stage, "de");
    let sent_on = browser.sign_in("twofactor@example.com", PASSWORD).await;
    let address = sent_on.header("location").expect("the step").to_owned();
    assert!(address.starts_with("/login/two-factor?"), "{address}");
    let step = browser.get(&format!("{address}&lang=es")).await;
    assert_eq!(
        (step.status, step.header("content-language")),
        (200, Some("es"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prefetch_and_an_unknown_language_choose_nothing() {
    let stage = Stage::set().await;
    let mut browser = reading(&stage, "de");
    browser.get("/login").await;
    let mut ahead = browser.clone().with("Sec-Purpose", "prefetch");
    let form = ahead.get("/login?lang=fr").await;
    assert_eq!(kept_language(&form), None);
    for unknown in ["/login?lang=xx", "/login?lang=", "/login?language=fr"] {
        let form = browser.get(unknown).await;
        assert_eq!(form.header("content-language"), Some("de"), "{unknown}");
        assert_eq!(kept_language(&form), None, "{unknown}");
    }
}
