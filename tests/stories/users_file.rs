//! The operator changes the users file of the embedded server while people are signed in.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use vestibule::embedded::password_hasher::hash_password;

use super::support::{Application, Browser, PASSWORD, Process, SHOPPER, run, store_alone};

const OTHER: &str = "other@example.com";

/// A users file in a folder of its own.
struct UsersFile {
    folder: tempfile::TempDir,
    hash: String,
}

impl UsersFile {
    fn of(users: &[(&str, &str)]) -> Self {
        let file = Self {
            folder: tempfile::tempdir().unwrap(),
            hash: hash_password(PASSWORD).unwrap(),
        };
        file.write(users);
        file
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("users.toml")
    }

    /// Each user by e-mail address, with further lines.
    fn write(&self, users: &[(&str, &str)]) {
        let entry = |(email, further): &(&str, &str)| {
            let hash = &self.hash;
            format!("[[users]]\nemail = \"{email}\"\npassword = \"{hash}\"\n{further}\n")
        };
        self.write_text(&users.iter().map(entry).collect::<String>());
    }

    fn write_text(&self, text: &str) {
        let aside = self.folder.path().join("aside.toml");
        fs::write(&aside, text).unwrap();
        fs::rename(aside, self.path()).unwrap();
    }

    async fn serve(&self, application: &Application) -> Process {
        let config = store_alone(application, &self.path().display().to_string(), "");
        Process::serve(&config).await
    }
}

async fn signed_in(gateway: &Process, login_id: &str) -> Browser {
    let mut browser = Browser::new(gateway.address, "store.localhost:8080");
    let reply = browser.sign_in(login_id, PASSWORD).await;
    assert_eq!(reply.status, 303, "{login_id}: {}", reply.body);
    assert_eq!(browser.get("/orders").await.status, 200);
    browser
}

async fn reload(gateway: &Process, event: &str) {
    let printed = gateway.printed().matches(event).count();
    gateway.signal("HUP");
    gateway.until_printed(event, printed + 1).await;
}

const RELOADED: &str = "\"event\":\"reloaded\"";
const REFUSED: &str = "\"event\":\"reload_refused\"";

#[tokio::test(flavor = "multi_thread")]
async fn a_locked_or_removed_user_is_signed_out_at_once_and_nobody_else() {
    let application = Application::open().await;
    let file = UsersFile::of(&[(SHOPPER, ""), (OTHER, "")]);
    let gateway = file.serve(&application).await;
    let mut other = signed_in(&gateway, OTHER).await;
    for gone in [
        &[(OTHER, ""), (SHOPPER, "state = \"locked\"")][..],
        &[(OTHER, "")],
    ] {
        file.write(&[(SHOPPER, ""), (OTHER, "")]);
        reload(&gateway, RELOADED).await;
        let mut browser = signed_in(&gateway, SHOPPER).await;
        let saved = browser.clone();
        file.write(gone);
        reload(&gateway, RELOADED).await;
        // The access token is good for minutes yet.
        assert_eq!(browser.get("/orders").await.status, 302, "{gone:?}");
        for cookie in ["vestibule-access", "vestibule-refresh"] {
            let mut thief = saved.thief_of(&[cookie]);
            assert_eq!(thief.get("/orders").await.status, 302, "{gone:?} {cookie}");
        }
        let reply = browser.sign_in(SHOPPER, PASSWORD).await;
        assert_eq!(reply.status, 401, "{gone:?}");
        assert_eq!(other.get("/orders").await.status, 200);
    }
    gateway
        .until_printed("\"event\":\"ended_by_users_file\"", 2)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_file_is_noticed_without_a_signal_and_a_bad_one_is_not_taken() {
    let application = Application::open().await;
    let file = UsersFile::of(&[(SHOPPER, "")]);
    let gateway = file.serve(&application).await;
    let mut browser = signed_in(&gateway, SHOPPER).await;
    file.write_text("[[users]]\nemail = 7\n");
    reload(&gateway, REFUSED).await;
    let place = format!("{}:2:9: ", file.path().display());
    assert!(gateway.printed().contains(&place), "{}", gateway.printed());
    assert_eq!(browser.get("/orders").await.status, 200);
    signed_in(&gateway, SHOPPER).await;
    let printed = gateway.printed().matches(RELOADED).count();
    file.write(&[(SHOPPER, ""), (OTHER, "")]);
    let noticed = gateway.until_printed(RELOADED, printed + 1);
    tokio::time::timeout(Duration::from_secs(5), noticed)
        .await
        .expect("noticed within five seconds");
    signed_in(&gateway, OTHER).await;
    assert_eq!(browser.get("/orders").await.status, 200);
}

#[test]
fn check_and_serve_refuse_a_bad_users_file_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let (users, path) = (
        folder.path().join("users.toml"),
        folder.path().join("v.toml"),
    );
    fs::write(
        &users,
        "[[users]]\nemail = \"a@example.com\"\npassword = \"hush\"\n",
    )
    .unwrap();
    fs::write(&path, with_provider(&users, "127.0.0.1:3001")).unwrap();
    for command in ["check", "serve"] {
        let output = run(&[command, "--config", path.to_str().unwrap()]);
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(78), "{command}: {told}");
        let place = format!("{}:3:12: ", users.display());
        assert!(told.starts_with(&place), "{command}: {told}");
        assert!(!told.contains("hush"), "{told}");
    }
}

fn with_provider(users: &Path, upstream: &str) -> String {
    let folder = users.parent().unwrap().display();
    format!(
        r#"
state_dir = "{folder}/state"
[server]
listen = ["127.0.0.1:0"]
[providers.main]
kind = "embedded"
users = "{}"
[[sites]]
name = "store"
origin = "http://store.localhost:8080"
application_id = "store"
upstreams = ["http://{upstream}"]
"#,
        users.display()
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn an_embedded_provider_comes_and_goes_with_a_reload() {
    let application = Application::open().await;
    let (file, second) = (
        UsersFile::of(&[(SHOPPER, "")]),
        UsersFile::of(&[(OTHER, "")]),
    );
    let gateway = file.serve(&application).await;
    let before = fs::read_to_string(gateway.config()).unwrap();
    let further = format!(
        r#"
provider = "main"
[providers.second]
kind = "embedded"
users = "{}"
[[sites]]
name = "forum"
origin = "http://forum.localhost:8080"
application_id = "forum"
provider = "second"
upstreams = ["http://{}"]
"#,
        second.path().display(),
        application.address()
    );
    gateway.rewrite(|text| text + &further);
    reload(&gateway, RELOADED).await;
    let mut watcher = Browser::new(gateway.admin, "admin");
    while watcher.get("/readyz").await.status != 200 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let mut forum = Browser::new(gateway.address, "forum.localhost:8080");
    assert_eq!(forum.sign_in(OTHER, PASSWORD).await.status, 303);
    assert_eq!(forum.get("/posts").await.status, 200);
    // A time limit may change as well.
    gateway.rewrite(|text| text.replace("[providers.main]", "[providers.main]\ntimeout = \"4s\""));
    reload(&gateway, RELOADED).await;
    assert_eq!(forum.get("/posts").await.status, 200);
    gateway.rewrite(|_| before);
    reload(&gateway, RELOADED).await;
    assert_eq!(forum.get("/posts").await.status, 421);
    signed_in(&gateway, SHOPPER).await;
}
