//! The commands of the program, as an operator runs them.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use super::support::{Application, Browser, Process, run, store_alone, vestibule};

const CONFIG: &str = r#"[providers.main]
kind = "fusionauth"
url = "https://id.example.com"
api_key = "hush-$KEY"
issuer = "${ISSUER}"
[[sites]]
name = "store"
origin = "https://store.example.com"
application_id = "store"
upstreams = ["http://127.0.0.1:3001"]
[[sites.rules]]
path = "/admin/*"
access = "required"
roles = ["admin"]
[[sites.rules]]
path = "/login"
access = "public"
"#;

/// A folder with a configuration.
fn folder_with(text: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vestibule.toml");
    fs::write(&path, text).unwrap();
    (folder, path)
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap()
}

#[test]
fn check_warns_and_the_configuration_is_good() {
    let (_folder, path) = folder_with(CONFIG);
    let file = path.to_str().unwrap();
    let output = run(&["check", "--config", file]);
    assert_eq!(output.status.code(), Some(0));
    let warnings = text(output.stderr);
    let lines: Vec<&str> = warnings.lines().collect();
    let start = |line: &str, place: &str| line.starts_with(&format!("{file}:{place}: warning: "));
    assert_eq!(lines.len(), 2, "{warnings}");
    assert!(
        start(lines[0], "5:10") && start(lines[1], "16:8"),
        "{warnings}"
    );
    // Nobody is at a terminal.
    assert!(!warnings.contains('\u{1b}'), "{warnings}");
    assert!(text(output.stdout).contains("no error, 2 warnings; sites: store"));
}

#[test]
fn check_prints_json() {
    let (_folder, path) = folder_with(&CONFIG.replace("required", "requird"));
    let file = path.to_str().unwrap();
    let output = run(&["check", "--json", "--config", file]);
    assert_eq!(output.status.code(), Some(78));
    let found: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let found = found.as_array().unwrap();
    for (problem, severity) in found.iter().zip(["error", "warning"]) {
        assert_eq!(problem["severity"], severity, "{problem}");
        assert_eq!(problem["file"], file);
        for key in ["line", "column"] {
            assert!(problem[key].as_u64() > Some(0), "{problem}");
        }
        for key in ["message", "hint"] {
            assert!(!problem[key].as_str().unwrap().is_empty(), "{problem}");
        }
    }
    assert_eq!(
        (&found[0]["line"], &found[0]["column"]),
        (&13.into(), &10.into())
    );
    assert!(output.stderr.is_empty());
    let good = CONFIG
        .replace("${ISSUER}", "id")
        .replace("\"/login\"", "\"/a\"");
    let (_folder, path) = folder_with(&good);
    let output = run(&["check", "--json", "--config", path.to_str().unwrap()]);
    assert_eq!(
        (output.status.code(), text(output.stdout).trim()),
        (Some(0), "[]")
    );
}

#[test]
fn explain_takes_an_address_and_names_the_line() {
    let (_folder, path) = folder_with(CONFIG);
    let file = path.to_str().unwrap();
    let explain = |more: &[&str]| run(&[&["explain", "--config", file], more].concat());
    let output = explain(&["https://store.example.com/admin//users#top"]);
    let told = text(output.stdout);
    assert_eq!(output.status.code(), Some(0), "{told}");
    assert!(
        told.starts_with("GET /admin//users at site store\n"),
        "{told}"
    );
    assert!(
        told.contains(&format!("/admin/* (required)  {file}:12\n")),
        "{told}"
    );
    assert!(told.contains("every reading meets the same rule"), "{told}");
    let json = explain(&["--json", "store.example.com/admin"]);
    let told: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(
        (&told["line"], &told["rule"]),
        (&12.into(), &"/admin/*".into())
    );
    // What everybody is refused.
    let refused = explain(&["--method", "post", "https://store.example.com/"]);
    assert_eq!((refused.status.code(), refused.stdout.len()), (Some(1), 0));
    assert!(text(refused.stderr).contains("400 malformed_request"));
    let refused = explain(&["--json", "store.example.com/x;y/../admin"]);
    assert_eq!(refused.status.code(), Some(1));
    let told: serde_json::Value = serde_json::from_slice(&refused.stdout).unwrap();
    for who in ["signed_out", "signed_in", "without_role"] {
        let outcome = &told[who];
        assert_eq!(
            (&outcome["outcome"], &outcome["reason"], &outcome["status"]),
            (&"refused".into(), &"malformed_request".into(), &400.into())
        );
    }
    // Health checks are answered at any host.
    let health = explain(&["https://10.0.0.1:8443/_vestibule/health"]);
    let told = text(health.stdout);
    assert!(
        told.starts_with("GET /_vestibule/health at any host\n"),
        "{told}"
    );
    assert!(told.contains("own_endpoint   200\n"), "{told}");
    let both = explain(&["https://store.example.com/", "--host", "store.example.com"]);
    assert_eq!(both.status.code(), Some(2));
}

/// Nobody need look a port up, but a request without it is refused: the answer says so.
#[test]
fn explain_names_the_host_where_its_port_was_left_out() {
    let config = CONFIG.replace(
        "https://store.example.com",
        "https://store.example.com:8443",
    );
    let (_folder, path) = folder_with(&config);
    let file = path.to_str().unwrap();
    let explain = |more: &[&str]| run(&[&["explain", "--config", file], more].concat());
    let told = text(explain(&["https://store.example.com/admin"]).stdout);
    let note = "\n  host          store.example.com:8443: without its port, visitors get 421 unknown_site\n";
    assert!(told.contains(note), "{told}");
    let refused = text(explain(&["https://store.example.com/a/../b"]).stderr);
    assert!(refused.contains(note.trim_end()), "{refused}");
    let json = |url: &str| {
        let told = explain(&["--json", url]).stdout;
        serde_json::from_slice::<serde_json::Value>(&told).unwrap()["host"].clone()
    };
    assert_eq!(json("https://store.example.com/"), "store.example.com:8443");
    // Nothing was left out.
    assert!(json("https://store.example.com:8443/").is_null());
    let told = text(explain(&["https://store.example.com:8443/admin"]).stdout);
    assert!(!told.contains("  host "), "{told}");
}

/// The part of the documentation between two marks.
fn between<'t>(text: &'t str, start: &str, end: &str) -> &'t str {
    let (_, rest) = text.split_once(start).expect(start);
    rest.split_once(end).expect(end).0
}

#[test]
fn explain_answers_as_the_documentation_shows() {
    let page = fs::read_to_string("docs/reference/commands.md").unwrap();
    let section = between(&page, "\n## explain\n", "\n## ");
    let (folder, _) = folder_with(between(section, "```toml\n", "```"));
    let (_, shown) = section.split_once("```toml\n").unwrap();
    let shown = between(shown, "```text\n", "```");
    let mut explained = String::new();
    let calls = shown
        .lines()
        .filter_map(|line| line.strip_prefix("$ vestibule explain "));
    for url in calls.clone() {
        let output = vestibule()
            .args(["explain", url.trim_matches('\'')])
            .current_dir(folder.path())
            .env("VESTIBULE_CONFIG", "vestibule.toml")
            .env("FUSIONAUTH_API_KEY", "key")
            .output()
            .unwrap();
        let told = text(output.stdout) + &text(output.stderr);
        explained += &["$ vestibule explain ", url, "\n", &told].concat();
    }
    assert_eq!(explained, shown);
    assert_eq!(calls.count(), 10);
}

#[test]
fn config_prints_what_is_in_force_without_secrets() {
    let (_folder, path) = folder_with(CONFIG);
    let output = run(&["config", "--config", path.to_str().unwrap()]);
    let told = text(output.stdout);
    assert_eq!(output.status.code(), Some(0));
    assert!(
        told.contains("api_key = \"********\"") && !told.contains("hush"),
        "{told}"
    );
    assert!(told.contains("landing = \"/\""), "{told}");
    let (_folder, bad) = folder_with("[server]\nport = 1\n");
    let output = run(&["config", "--config", bad.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(78));
}

#[test]
fn completions_manual_and_version_are_printed() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let output = run(&["completions", shell]);
        assert!(
            output.status.success() && text(output.stdout).contains("explain"),
            "{shell}"
        );
    }
    let page = text(run(&["man"]).stdout);
    assert!(
        page.starts_with('.') && page.contains(".TH vestibule 1"),
        "{page}"
    );
    let folder = tempfile::tempdir().unwrap();
    assert!(
        run(&["man", folder.path().to_str().unwrap()])
            .status
            .success()
    );
    assert!(folder.path().join("vestibule-explain.1").exists());
    let version = text(run(&["--version"]).stdout);
    assert!(
        version.starts_with(concat!("vestibule ", env!("CARGO_PKG_VERSION"))),
        "{version}"
    );
}

/// Runs `vestibule users …` with this standard input.
fn users(config: &Path, arguments: &[&str], input: &str) -> Output {
    let mut child = vestibule()
        .arg("users")
        .args(arguments)
        .arg("--config")
        .arg(config)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A command that reads nothing may have ended.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

fn done(output: &Output) -> String {
    let told = text([output.stdout.clone(), output.stderr.clone()].concat());
    assert!(output.status.success(), "{told}");
    told
}

/// The status of a sign-in.
async fn sign_in(gateway: &Process, login: &str, password: &str) -> u16 {
    let mut browser = Browser::new(gateway.address, "store.localhost:8080");
    browser.sign_in(login, password).await.status
}

#[tokio::test(flavor = "multi_thread")]
async fn users_are_managed_while_the_gateway_runs() {
    let application = Application::open().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("users.toml");
    fs::write(
        &file,
        "# People of the store\n[password]\nmin_length = 10\n",
    )
    .unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
    let limits = "[login]\naccount_limit = { attempts = 1000, per = \"1m\" }\n\
                  address_limit = { attempts = 1000, per = \"1m\" }\n";
    let config = store_alone(&application, file.to_str().unwrap(), limits);
    let gateway = Process::serve(&config).await;
    let config = gateway.config();
    let ada = "ada@example.com";

    let add = ["add", ada, "--username", "ada", "--role", "staff"];
    let short = users(&config, &add, "too short\n");
    assert!(!short.status.success() && text(short.stderr).contains("10"));
    let told = done(&users(&config, &add, "a long password\n"));
    assert!(
        told.contains("added") && !told.contains("a long password"),
        "{told}"
    );
    assert!(!users(&config, &add, "a long password\n").status.success());
    gateway.until_printed("\"event\":\"reloaded\"", 1).await;
    assert_eq!(sign_in(&gateway, "ada", "a long password").await, 303);
    let listed = done(&users(&config, &["list"], ""));
    assert_eq!(listed.trim(), "ada@example.com  ada  active  staff");

    let mut browser = Browser::new(gateway.address, "store.localhost:8080");
    browser.sign_in(ada, "a long password").await;
    assert_eq!(browser.get("/orders").await.status, 200);
    done(&users(&config, &["lock", "ada"], ""));
    gateway.until_printed("\"event\":\"reloaded\"", 2).await;
    assert_eq!(sign_in(&gateway, ada, "a long password").await, 401);
    // Who is signed in already is out too.
    assert_eq!(browser.get("/orders").await.status, 302);
    assert!(done(&users(&config, &["list"], "")).contains("locked"));
    done(&users(&config, &["unlock", ada], ""));
    gateway.until_printed("\"event\":\"reloaded\"", 3).await;
    done(&users(&config, &["password", ada], "another password\n"));
    gateway.until_printed("\"event\":\"reloaded\"", 4).await;
    assert_eq!(sign_in(&gateway, ada, "another password").await, 303);
    done(&users(&config, &["remove", ada], ""));
    gateway.until_printed("\"event\":\"reloaded\"", 5).await;
    assert_eq!(sign_in(&gateway, ada, "another password").await, 401);
    assert!(!users(&config, &["remove", ada], "").status.success());

    let left = fs::read_to_string(&file).unwrap();
    assert_eq!(
        left.trim_end(),
        "# People of the store\n[password]\nmin_length = 10"
    );
    let mode = fs::metadata(&file).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o640);
    let names: Vec<_> = fs::read_dir(folder.path()).unwrap().collect();
    assert_eq!(names.len(), 1, "{names:?}");
}

#[test]
fn users_commands_need_one_embedded_provider() {
    let (_folder, path) = folder_with(CONFIG);
    let output = users(&path, &["list"], "");
    assert_eq!(output.status.code(), Some(1));
    assert!(text(output.stderr).contains("no provider has kind = \"embedded\""));
}

#[test]
fn output_that_is_lost_is_a_failure() {
    let (_folder, path) = folder_with(CONFIG);
    let file = path.to_str().unwrap();
    for arguments in [
        &["--version"][..],
        &["--help"],
        &["help", "serve"],
        &["check", "--config", file],
        &["check", "--json", "--config", file],
        &[
            "explain",
            "--config",
            file,
            "--host",
            "store.example.com",
            "--path",
            "/",
        ],
        &["config", "--config", file],
        &["schema"],
        &["schema", "--openapi"],
        &["completions", "bash"],
        &["man"],
        &["tokens", "new", "--name", "ci"],
    ] {
        let full = fs::OpenOptions::new()
            .write(true)
            .open("/dev/full")
            .unwrap();
        let output = vestibule().args(arguments).stdout(full).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        let message = text(output.stderr);
        assert!(
            message.contains("cannot write the output: No space left"),
            "{arguments:?}: {message}"
        );
    }
    let mut headless = vestibule();
    headless
        .arg("schema")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = headless.spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(
        (output.status.code(), text(output.stderr).as_str()),
        (Some(0), "")
    );
}
