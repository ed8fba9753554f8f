//! The operator changes the key that seals cookies, and nobody notices.

use std::fs;

use vestibule::config::{FakeEnvironment, check_text};
use vestibule::embedded::password_hasher::hash_password;
use vestibule::runtime;

use super::support::{
    Application, Browser, PASSWORD, Process, SHOPPER, Stage, store_alone, vestibule, with_line,
};

const ACCESS: &str = "vestibule-access";
const REFRESH: &str = "vestibule-refresh";

#[tokio::test(flavor = "multi_thread")]
async fn a_new_key_seals_and_the_old_one_still_opens() {
    let folder = tempfile::tempdir().unwrap();
    let users = folder.path().join("users.toml");
    let hash = hash_password(PASSWORD).unwrap();
    fs::write(
        &users,
        format!("[[users]]\nemail = \"{SHOPPER}\"\npassword = \"{hash}\"\n"),
    )
    .unwrap();
    let application = Application::open().await;
    let gateway =
        Process::serve(&store_alone(&application, &users.display().to_string(), "")).await;
    let mut browser = Browser::new(gateway.address, "store.localhost:8080");
    assert_eq!(browser.sign_in(SHOPPER, PASSWORD).await.status, 303);
    let before = browser.clone();
    let age = "vestibule_cookie_key_age_seconds";
    assert!(gateway.metric(age).await < 3600.0);

    let told = vestibule()
        .args(["keys", "rotate", "--config"])
        .arg(gateway.config())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&told.stdout).into_owned();
    assert!(
        told.status.success() && said.contains("all 2 can open"),
        "{said}"
    );
    gateway.until_printed("\"event\":\"reloaded\"", 1).await;

    browser.forget(ACCESS);
    assert_eq!(
        browser.get("/").await.status,
        200,
        "sealed with the old key"
    );
    let key_id = |browser: &Browser| browser.cookie(REFRESH).unwrap()[..5].to_owned();
    assert_ne!(
        key_id(&browser),
        key_id(&before),
        "sealed with the new key now"
    );
    browser.forget(ACCESS);
    assert_eq!(browser.get("/").await.status, 200);

    let stranger = || Browser::new(gateway.address, "store.localhost:8080");
    for _ in 0..5 {
        assert_eq!(stranger().sign_in(SHOPPER, "wrong").await.status, 401);
    }
    assert_eq!(stranger().sign_in(SHOPPER, PASSWORD).await.status, 429);
    let mut known = before.thief_of(&["vestibule-device"]);
    assert_eq!(
        known.sign_in(SHOPPER, PASSWORD).await.status,
        303,
        "known by what was sealed with the old key"
    );
    assert_ne!(
        known.cookie("vestibule-device").map(|sealed| &sealed[..5]),
        Some(&key_id(&before)[..])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_of_the_configuration_are_not_rotated_here() {
    let application = Application::open().await;
    let key = "[cookies]\nkeys = [\"MDEyMzQ1Njc4OWFiY2RlZmdoaWprbG1ub3BxcnN0dXY=\"]\n";
    let users = concat!(env!("CARGO_MANIFEST_DIR"), "/config/users.toml");
    let gateway = Process::serve(&store_alone(&application, users, key)).await;
    let told = vestibule()
        .args(["keys", "rotate", "--config"])
        .arg(gateway.config())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&told.stderr).into_owned();
    assert_eq!(told.status.code(), Some(78), "{said}");
    assert!(
        said.contains("cookies.keys") && !said.contains("MDEy"),
        "{said}"
    );
}

/// A provider that is away, and an operator who gives it more time: nobody notices either.
#[tokio::test(flavor = "multi_thread")]
async fn the_providers_keys_outlive_a_change_of_its_timeout() {
    let stage = Stage::set().await;
    let mut browser = stage.signed_in().await;
    stage.provider.shut();
    let reload = |text: &str| {
        let settings = check_text("stories.toml", text, &FakeEnvironment::default()).unwrap();
        let current = stage.runtime_handle.current();
        let built = runtime::build(settings, Some(&*current), stage.clock.clone());
        stage
            .runtime_handle
            .replace(built.unwrap_or_else(|fault| panic!("{fault}")));
    };
    reload(&with_line(&stage.config, "timeout", "timeout = \"9s\""));
    assert_eq!(browser.get("/orders").await.status, 200);
    let key = with_line(&stage.config, "api_key", "api_key = \"another\"");
    reload(&key.replace("timeout = \"30s\"", "timeout = \"30s\"\nleeway = \"10s\""));
    assert_eq!(browser.get("/orders").await.status, 200);
    // Other algorithms are another matter: nobody knows which keys are good for them.
    reload(&stage.config.replace(
        "timeout = \"30s\"",
        "timeout = \"30s\"\nalgorithms = [\"EdDSA\"]",
    ));
    assert_eq!(browser.get("/orders").await.status, 503);
}
