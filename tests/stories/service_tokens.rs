//! Programs without an account: a service token that `tokens new` made, in the file and on the
//! wire.

use std::fs;
use std::process::Stdio;

use super::support::{Application, Process, Siege, USERS, ask, store_alone, vestibule};

const RELOADED: &str = "\"event\":\"reloaded\"";

/// What `tokens new` prints: the token, and the table that accepts it.
fn new_token(name: &str) -> (String, String) {
    let mut command = vestibule();
    command.args(["tokens", "new", "--name", name]);
    let output = command.stdout(Stdio::piped()).output().unwrap();
    assert!(output.status.success());
    let printed = String::from_utf8(output.stdout).unwrap();
    let (token, table) = printed.split_once("\n\n").unwrap();
    assert!(token.starts_with("vst_") && token.len() == 47, "{token}");
    (token.to_owned(), table.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_comes_in_with_a_service_token_and_the_application_never_sees_it() {
    let (token, table) = new_token("ci");
    let table = table.replace("roles = []", "roles = [\"admin\"]");
    let siege = Siege::lay_with(
        |config| {
            config
                .replacen("landing =", "token_header = \"X-Api-Key\"\nlanding =", 1)
                .replacen("[[sites.rules]]", &format!("{table}\n[[sites.rules]]"), 1)
        },
        |_| {},
    )
    .await;
    let authorization = format!("Authorization: Bearer {token}\r\n");
    let own_header = format!("X-API-Key: {token}\r\n");
    for fields in [&authorization, &own_header] {
        for (target, is_identified) in [
            ("/orders", true),
            ("/admin/x", true),
            ("/products/1", true),
            ("/", false),
        ] {
            let request = Siege::request("GET", target, fields);
            let reply = ask(siege.stage.address, request).await.expect("an answer");
            assert_eq!(reply.status, 200, "{target}");
            let seen = siege.witness.last();
            assert!(!seen.mentions("vst_"), "{target}: {seen:?}");
            let user = seen.one("x-auth-user-id");
            assert_eq!(user.is_some(), is_identified, "{target}");
            assert!(user.is_none_or(|user| user == "token:ci"));
        }
    }
    let before = siege.witness.count();
    for fields in [authorization, own_header] {
        let wrong = fields.replace(&token, "vst_wrong");
        for target in ["/orders", "/products/1"] {
            let request = Siege::request("GET", target, &wrong);
            let reply = ask(siege.stage.address, request).await.expect("an answer");
            assert_eq!(
                (reply.status, reply.code().as_str()),
                (401, "service_token_invalid")
            );
            assert_eq!(
                reply.header("www-authenticate"),
                Some("Bearer error=\"invalid_token\"")
            );
        }
    }
    assert_eq!(siege.witness.count(), before);
    assert_eq!(siege.stage.requests("service_token").await, 6);
    assert_eq!(siege.stage.requests("service_token_invalid").await, 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_beside_a_token_in_its_own_header_stays_behind() {
    let (token, table) = new_token("ci");
    let siege = Siege::lay_with(
        |config| {
            let keys = "token_header = \"X-Api-Key\"\nbasic = true\nlanding =";
            config.replacen("landing =", keys, 1).replacen(
                "[[sites.rules]]",
                &format!("{table}\n[[sites.rules]]"),
                1,
            )
        },
        |_| {},
    )
    .await;
    let fields = format!("X-Api-Key: {token}\r\nAuthorization: Basic YW5uOnNlY3JldA==\r\n");
    for target in ["/orders", "/products/1", "/"] {
        let request = Siege::request("GET", target, &fields);
        let reply = ask(siege.stage.address, request).await.expect("an answer");
        assert_eq!(reply.status, 200, "{target}");
        let seen = siege.witness.last();
        assert!(!seen.mentions("YW5uOnNlY3JldA"), "{target}: {seen:?}");
        assert!(!seen.mentions("vst_"), "{target}: {seen:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_taken_and_refused_as_the_file_says_after_a_reload() {
    let (token, table) = new_token("ci");
    let application = Application::open().await;
    let gateway = Process::serve(&store_alone(&application, USERS, "")).await;
    let without = fs::read_to_string(gateway.config()).unwrap();
    let call = || async {
        let request = format!(
            "GET /orders HTTP/1.1\r\nHost: store.localhost:8080\r\nAuthorization: Bearer {token}\r\n\r\n"
        );
        ask(gateway.address, request)
            .await
            .expect("an answer")
            .status
    };
    assert_eq!(call().await, 401);
    let expired = table.replace("expires = 2", "expires = 1971-01-01 # 2");
    for (tokens, status) in [(&*table, 200), (&expired, 401), ("", 401), (&table, 200)] {
        let reloads = gateway.printed().matches(RELOADED).count();
        gateway.rewrite(|_| format!("{without}\n{tokens}\n"));
        gateway.signal("HUP");
        gateway.until_printed(RELOADED, reloads + 1).await;
        assert_eq!(call().await, status, "{tokens}");
    }
}
