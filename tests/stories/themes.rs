//! The operator dresses the pages: a name, a logo, a colour, and at last templates of their own.

use std::fs;

use super::support::{Application, Browser, Process, USERS, run, store_alone};

const SVG: &str = "<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>";

fn config(application: &Application, folder: &std::path::Path) -> String {
    fs::create_dir_all(folder.join("pages")).unwrap();
    fs::write(folder.join("logo.svg"), SVG).unwrap();
    fs::write(
        folder.join("pages/style.css"),
        "h1 { text-transform: none }",
    )
    .unwrap();
    let theme = format!(
        r##"
[sites.theme]
name = "Lantern & Loom"
logo = "{folder}/logo.svg"
accent = "#0b6"
language = "de"
templates = "{folder}/pages"
links = {{ privacy = "/privacy", forgot_password = "https://id.example.com/forgot" }}
"##,
        folder = folder.display(),
    );
    store_alone(application, USERS, "") + &theme
}

#[tokio::test(flavor = "multi_thread")]
async fn the_pages_wear_the_theme_and_a_changed_template_is_noticed() {
    let (application, folder) = (Application::open().await, tempfile::tempdir().unwrap());
    let gateway = Process::serve(&config(&application, folder.path())).await;
    let mut browser = Browser::new(gateway.address, "store.localhost:8080");
    let page = browser.get("/login").await;
    assert_eq!(page.header("content-language"), Some("de"));
    let body = page.body;
    for part in [
        "Lantern &amp; Loom",
        "href=\"/privacy\"",
        "href=\"https://id.example.com/forgot\"",
    ] {
        assert!(body.contains(part), "{part}");
    }
    let address = |stem: &str| {
        let start = body.find(&format!("/_vestibule/{stem}.")).unwrap();
        body[start..].split('"').next().unwrap().to_owned()
    };
    let logo = browser.get(&address("logo")).await;
    assert_eq!(
        (logo.status, logo.body.as_str(), logo.header("content-type")),
        (200, SVG, Some("image/svg+xml"))
    );
    assert_eq!(logo.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(
        logo.header("content-security-policy"),
        Some("default-src 'none'; style-src 'unsafe-inline'; sandbox"),
        "a script inside does nothing"
    );
    assert_eq!(
        logo.header("cache-control"),
        Some("public, max-age=31536000, immutable")
    );
    let style = browser.get(&address("theme")).await;
    assert!(style.body.contains("--accent:#00bb66") && style.body.contains("text-transform: none"));
    fs::write(
        folder.path().join("pages/sign-out.html"),
        "<h1>{{ words.sign_out.heading }} – {{ site_name }}",
    )
    .unwrap();
    gateway.until_printed("\"event\":\"reloaded\"", 1).await;
    // Where there may be somebody to sign out.
    browser.set_cookie("vestibule-refresh", "somebody's");
    assert_eq!(
        browser.get("/logout").await.body,
        "<h1>Abmelden? – Lantern &amp; Loom"
    );
    // One that fails is refused while it is not shown to anybody.
    fs::write(
        folder.path().join("pages/sign-out.html"),
        "<h1>{{ words.sign_out.haeding }}",
    )
    .unwrap();
    gateway
        .until_printed("\"event\":\"reload_refused\"", 1)
        .await;
    assert!(
        gateway
            .printed()
            .contains("sign-out.html:1: undefined value"),
        "{}",
        gateway.printed()
    );
    assert_eq!(
        browser.get("/logout").await.body,
        "<h1>Abmelden? – Lantern &amp; Loom"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_template_is_told_by_check() {
    let (application, folder) = (Application::open().await, tempfile::tempdir().unwrap());
    let text = config(&application, folder.path())
        .replace("{state}", "state")
        .replace("{admin}", "127.0.0.1:9");
    let path = folder.path().join("vestibule.toml");
    fs::write(&path, text).unwrap();
    let check = || run(&["check", "--config", path.to_str().unwrap()]);
    assert_eq!(check().status.code(), Some(0), "{:?}", check());
    fs::write(
        folder.path().join("pages/sign-in.html"),
        "one\n{% if page.trouble %}{{ page.truoble }}{% endif %}",
    )
    .unwrap();
    let told = check();
    assert_eq!(told.status.code(), Some(78));
    let said = String::from_utf8(told.stderr).unwrap();
    let place = format!(
        "{}:23:13: {}:2: undefined value",
        path.display(),
        folder.path().join("pages/sign-in.html").display()
    );
    assert!(said.contains(&place), "{said}");
}
