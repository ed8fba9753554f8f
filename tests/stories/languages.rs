//! People who read other languages than the one who wrote the pages.

use super::support::{Browser, SHOPPER, Stage};

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
