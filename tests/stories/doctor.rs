//! The doctor: a set-up where nothing is wrong, and set-ups where one thing is.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::sync::Arc;

use axum::body::Body;
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Value, json};
use vestibule::doctor::{Finding, Status, examine};
use vestibule::system::Clock;

use super::support::{
    Application, Authority, LOGIN, OpenId, Received, Redis, Scripted, field_error, run,
};

const APPLICATION: &str = "/api/application/store-application";
const WEBHOOKS: &str = "/api/webhook";
const TEMPLATE: &str = "/api/email/template/forgot";
const DISCOVERY: &str = "/.well-known/openid-configuration";

/// Everything that a configuration names.
struct Setup {
    folder: tempfile::TempDir,
    provider: Scripted,
    store: Application,
    /// What visitors reach at the site's origin.
    visitors: Application,
    clock: Clock,
    config: String,
}

impl Setup {
    /// Nothing is wrong with it.
    async fn good() -> Self {
        let provider = Scripted::open().await;
        let (store, visitors) = (Application::open().await, Application::open().await);
        visitors.answers(|_| Response::new(Body::from("ok\n")));
        let folder = tempfile::tempdir().unwrap();
        let (origin, upstream) = (visitors.address(), store.address());
        let config = provider.in_place(&format!(
            "state_dir = \"{}/state\"\n\n[server]\nlisten = [\"127.0.0.1:8080\"]\n\n\
             [providers.main]\nkind = \"fusionauth\"\nurl = \"\"\napi_key = \"hush-hush\"\n\
             issuer = \"stories\"\n\n[[sites]]\nname = \"store\"\norigin = \"http://{origin}\"\n\
             application_id = \"store-application\"\nupstreams = [\"http://{upstream}\"]\n",
            folder.path().display()
        ));
        provider.says(DISCOVERY, 200, json!({ "issuer": "stories" }));
        provider.says(LOGIN, 400, field_error("loginId"));
        provider.says(APPLICATION, 200, application(true, true));
        provider.says(WEBHOOKS, 200, webhooks(&events(true)));
        let email = json!({ "forgotPasswordEmailTemplateId": "forgot" });
        let enabled = json!({ "enabled": true });
        let tenant = json!({ "tenant": {
            "emailConfiguration": email,
            "eventConfiguration": { "events": events(enabled) },
        }});
        provider.says("/api/tenant/main", 200, tenant);
        provider.says(
            TEMPLATE,
            200,
            template(&format!("http://{origin}/password/")),
        );
        Self {
            folder,
            provider,
            store,
            visitors,
            clock: Clock::new(),
            config,
        }
    }

    /// The configuration, written into its file.
    fn file(&self) -> PathBuf {
        let path = self.folder.path().join("vestibule.toml");
        fs::write(&path, &self.config).unwrap();
        path
    }

    async fn findings(&self) -> Vec<Finding> {
        examine(&self.file(), &self.clock).await
    }

    fn replace(&mut self, old: &str, new: &str) {
        assert!(self.config.contains(old), "{old}");
        self.config = self.config.replacen(old, new, 1);
    }

    /// The findings have one like this, and nothing else is wrong.
    async fn is_told(&self, status: Status, what: &str, hint: &str) {
        let findings = self.findings().await;
        let mut wrong = findings.iter().filter(|it| it.status != Status::Ok);
        let found = wrong
            .next()
            .unwrap_or_else(|| panic!("{what}: {findings:#?}"));
        assert_eq!(found.status, status, "{found}");
        assert!(found.message.contains(what), "{what:?} is not in: {found}");
        assert!(found.hint.contains(hint), "{hint:?} is not in: {found}");
        let others: Vec<_> = wrong.collect();
        assert!(others.is_empty(), "{what}: {others:#?}");
    }
}

fn application(refresh_tokens: bool, refresh: bool) -> Value {
    json!({ "application": {
        "id": "store-application",
        "active": true,
        "tenantId": "main",
        "loginConfiguration": {
            "generateRefreshTokens": refresh_tokens,
            "allowTokenRefresh": refresh,
        },
        "jwtConfiguration": { "enabled": true },
    }})
}

fn events(enabled: impl Into<Value>) -> Value {
    let enabled = enabled.into();
    json!({
        "jwt.refresh-token.revoke": enabled,
        "user.deactivate": enabled,
        "user.delete": enabled,
        "user.password.update": enabled,
    })
}

fn webhooks(events: &Value) -> Value {
    json!({ "webhooks": [
        { "url": "https://elsewhere.example/" },
        { "url": "http://10.0.0.5:9090/hooks/fusionauth", "eventsEnabled": events },
    ]})
}

fn template(address: &str) -> Value {
    json!({ "emailTemplate": {
        "name": "Forgot Password",
        "defaultHtmlTemplate": format!("<a href=\"{address}${{changePasswordId}}\">here</a>"),
        "defaultTextTemplate": format!("{address}${{changePasswordId}}"),
    }})
}

fn status(status: u16) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    response
}

/// A port that nobody listens at.
async fn closed() -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap().to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_wrong() {
    let setup = Setup::good().await;
    let findings = setup.findings().await;
    let wrong = findings.iter().filter(|it| it.status != Status::Ok);
    assert_eq!(wrong.collect::<Vec<_>>(), Vec::<&Finding>::new());
    for check in [
        "configuration",
        "upstream",
        "provider",
        "site",
        "cookies",
        "store",
        "files",
    ] {
        assert!(
            findings.iter().any(|it| it.check == check),
            "{check}: {findings:#?}"
        );
    }
    // No identity was told, and no password.
    for asked in setup.store.received() {
        assert!(
            !asked
                .headers
                .iter()
                .any(|(name, _)| name.starts_with("x-auth")),
            "{asked:?}"
        );
    }
}

/// A change that breaks a set-up, and how it is told.
struct Broken {
    by: fn(&mut Setup),
    status: Status,
    what: &'static str,
    hint: &'static str,
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_at_the_provider_is_named_with_its_mend() {
    const BROKEN: &[Broken] = &[
        Broken {
            by: |setup| setup.provider.says(LOGIN, 401, Value::Null),
            status: Status::Fail,
            what: "the API key is wrong",
            hint: "POST on /api/login",
        },
        Broken {
            by: |setup| {
                setup
                    .provider
                    .says(LOGIN, 400, field_error("applicationId"));
            },
            status: Status::Fail,
            what: "it has no application \"store-application\" (site store)",
            hint: "`application_id`",
        },
        Broken {
            by: |setup| setup.provider.says(APPLICATION, 404, Value::Null),
            status: Status::Fail,
            what: "it has no application",
            hint: "`application_id`",
        },
        Broken {
            by: |setup| {
                setup
                    .provider
                    .says(APPLICATION, 200, application(false, true));
            },
            status: Status::Fail,
            what: "gives no refresh tokens",
            hint: "Generate refresh tokens",
        },
        Broken {
            by: |setup| {
                setup
                    .provider
                    .says(APPLICATION, 200, application(true, false));
            },
            status: Status::Fail,
            what: "refuses to refresh JWTs",
            hint: "Enable JWT refresh",
        },
        Broken {
            by: |setup| {
                setup
                    .provider
                    .says(DISCOVERY, 200, json!({ "issuer": "other" }));
            },
            status: Status::Fail,
            what: "the issuer \"other\"",
            hint: "issuer = \"other\"",
        },
        Broken {
            by: |setup| setup.replace("issuer =", "algorithms = [\"RS256\"]\nissuer ="),
            status: Status::Fail,
            what: "no key that can be used",
            hint: "`algorithms`",
        },
        Broken {
            by: |setup| setup.clock.set_forward(600_000),
            status: Status::Fail,
            what: "s ahead of the provider's",
            hint: "time service",
        },
        Broken {
            by: |setup| setup.clock.set_forward(-22_000),
            status: Status::Warn,
            what: "s behind the provider's",
            hint: "time service",
        },
        Broken {
            by: |setup| {
                setup
                    .provider
                    .says(WEBHOOKS, 200, json!({ "webhooks": [] }));
            },
            status: Status::Warn,
            what: "no webhook points here",
            hint: "/hooks/fusionauth",
        },
        Broken {
            by: |setup| setup.provider.says(WEBHOOKS, 200, webhooks(&events(false))),
            status: Status::Warn,
            what: "lacks jwt.refresh-token.revoke, user.deactivate",
            hint: "enable these events",
        },
        Broken {
            by: |setup| {
                let elsewhere = template("https://id.example.com/password/change/");
                setup.provider.says(TEMPLATE, 200, elsewhere);
            },
            status: Status::Warn,
            what: "\"Forgot Password\" leads to id.example.com",
            hint: "a page of the site",
        },
        Broken {
            by: |setup| setup.provider.says(WEBHOOKS, 401, Value::Null),
            status: Status::Warn,
            what: "the API key may not read /api/webhook",
            hint: "allow it GET on /api/webhook",
        },
        Broken {
            by: |setup| setup.provider.says(LOGIN, 500, Value::Null),
            status: Status::Warn,
            what: "API key not checked: it answers 500",
            hint: "log",
        },
    ];
    for Broken {
        by,
        status,
        what,
        hint,
    } in BROKEN
    {
        let mut setup = Setup::good().await;
        by(&mut setup);
        setup.is_told(*status, what, hint).await;
    }
    let mut setup = Setup::good().await;
    let gone = format!("url = \"http://{}\"", closed().await);
    setup.config = super::support::with_line(&setup.config, "url", &gone);
    setup
        .is_told(Status::Fail, "cannot be fetched", "`url`")
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_an_openid_provider_is_named_with_its_mend() {
    let provider = OpenId::open().await;
    let mut setup = Setup::good().await;
    setup.config = provider.in_place(&setup.config, "");
    let findings = setup.findings().await;
    let wrong = findings.iter().filter(|it| it.status != Status::Ok);
    assert_eq!(wrong.collect::<Vec<_>>(), Vec::<&Finding>::new());
    let clients = findings.iter();
    assert_eq!(
        clients.filter(|it| it.message.contains("client")).count(),
        1
    );
    let refused = json!({ "error": "invalid_client" });
    provider.behaves(|ways| ways.token_answer = Some((401, refused)));
    setup
        .is_told(
            Status::Fail,
            "it refuses the gateway's client",
            "`client_secret`",
        )
        .await;
    provider.behaves(|ways| {
        ways.token_answer = None;
        ways.document = Arc::new(|document| document["issuer"] = json!("https://other.example"));
    });
    setup
        .is_told(
            Status::Fail,
            "says issuer \"https://other.example\"",
            "to the last slash",
        )
        .await;
    setup.clock.set_forward(600_000);
    provider.behaves(|ways| ways.document = Arc::new(|_| {}));
    let hint = "time service";
    setup
        .is_told(Status::Fail, "s ahead of the provider's", hint)
        .await;
}

/// Shows each header that it got, as a server does that passes them on as environment variables.
fn environment(received: &Received) -> Response {
    let shown = received.headers.iter().map(|(name, value)| {
        let name = name.to_uppercase().replace('-', "_");
        format!("HTTP_{name}: {value}\n")
    });
    Response::new(Body::from(shown.collect::<String>()))
}

/// Shows each header that it got, as it got it.
fn echo(received: &Received) -> Response {
    let shown = received.headers.iter();
    let shown = shown.map(|(name, value)| format!("{name}: {value}\n"));
    Response::new(Body::from(shown.collect::<String>()))
}

/// Answers conditional requests, and takes `_` for `-`.
fn conditional(received: &Received) -> Response {
    let condition = received.headers.iter();
    let mut condition = condition.filter(|(name, _)| name.replace('_', "-") == "if-none-match");
    let mut response = status(if condition.next().is_some() { 304 } else { 200 });
    let headers = response.headers_mut();
    headers.insert("etag", "\"1\"".parse().unwrap());
    response
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_an_application_is_named_with_its_mend() {
    const HEALTH: &str = "health = { path = \"/healthz\", interval = \"5s\" }\nupstreams =";
    const BROKEN: &[Broken] = &[
        Broken {
            by: |setup| setup.store.answers(environment),
            status: Status::Warn,
            what: "it takes `X_Auth_Email` for `X-Auth-Email`",
            hint: "nobody reaches it around the gateway",
        },
        Broken {
            by: |setup| setup.store.answers(conditional),
            status: Status::Warn,
            what: "it takes `X_Auth_Email` for `X-Auth-Email`",
            hint: "nobody reaches it around the gateway",
        },
        Broken {
            by: |setup| setup.store.answers(|_| status(500)),
            status: Status::Warn,
            what: "answers 500",
            hint: "log of the application",
        },
        Broken {
            by: |setup| {
                setup.replace("upstreams =", HEALTH);
                setup.store.answers(|_| status(404));
            },
            status: Status::Fail,
            what: "answers 404",
            hint: "`health.path` (/healthz)",
        },
        Broken {
            by: |setup| {
                setup.store.answers(|_| {
                    let mut response = status(200);
                    let cookie = "sessionid=1; Domain=shop.internal; Path=/".parse().unwrap();
                    response.headers_mut().insert("set-cookie", cookie);
                    response
                });
            },
            status: Status::Warn,
            what: "browsers refuse its cookie sessionid",
            hint: "set the application's own address to http://127.0.0.1",
        },
        Broken {
            by: |setup| setup.replace("upstreams = [\"http://127", "upstreams = [\"https://127"),
            status: Status::Fail,
            what: "not reachable: 127.0.0.1",
            hint: "",
        },
        Broken {
            by: |setup| {
                let name = "upstreams = [\"http://does-not-exist.invalid:80\", ";
                setup.replace("upstreams = [", name);
            },
            status: Status::Fail,
            what: "its name has no address",
            hint: "name server",
        },
        Broken {
            by: |setup| setup.visitors.answers(|_| status(404)),
            status: Status::Warn,
            what: "it does not lead to the gateway: /_vestibule/health answers 404",
            hint: "proxy in front",
        },
        Broken {
            by: |setup| setup.visitors.kill(),
            status: Status::Warn,
            what: "not reachable from this machine",
            hint: "start the gateway",
        },
    ];
    for Broken {
        by,
        status,
        what,
        hint,
    } in BROKEN
    {
        let mut setup = Setup::good().await;
        by(&mut setup);
        setup.is_told(*status, what, hint).await;
    }
    let mut setup = Setup::good().await;
    let old = setup.store.address().to_string();
    setup.replace(&old, &closed().await);
    setup
        .is_told(Status::Fail, "not reachable", "start the application")
        .await;
    let setup = Setup::good().await;
    setup.store.answers(echo);
    let findings = setup.findings().await;
    let apart = "it does not take header names with `_` for those with `-`";
    assert!(
        findings.iter().any(|it| it.message == apart),
        "{findings:#?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_that_others_reach_is_told() {
    let everywhere = tokio::net::TcpListener::bind("0.0.0.0:0").await.unwrap();
    let port = everywhere.local_addr().unwrap().port();
    let routes = axum::Router::new().fallback(|| async { "hello" });
    tokio::spawn(async move { axum::serve(everywhere, routes).await });
    let mut setup = Setup::good().await;
    let old = setup.store.address().to_string();
    setup.replace(&old, &format!("127.0.0.1:{port}"));
    let findings = setup.findings().await;
    let found = findings
        .iter()
        .find(|it| it.message.contains("around the gateway"));
    let found = found.unwrap();
    if found.status == Status::Ok {
        // This machine has no other address.
        return;
    }
    assert_eq!(found.status, Status::Fail);
    assert!(found.message.contains(&format!(":{port}")), "{found}");
    assert!(
        found
            .hint
            .contains(&format!("listen at 127.0.0.1:{port} only")),
        "{found}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_on_this_machine_is_named_with_its_mend() {
    let mut setup = Setup::good().await;
    let second = "[[sites]]\nname = \"forum\"\norigin = \"http://127.0.0.1:9\"\n\
                  application_id = \"store-application\"\nupstreams = [\"http://";
    setup.config = format!("{}\n{second}{}\"]\n", setup.config, setup.store.address());
    let findings = setup.findings().await;
    let shared = findings
        .iter()
        .find(|it| it.check == "cookies" && it.status == Status::Fail);
    let shared = shared.unwrap();
    assert!(
        shared
            .message
            .contains("store and forum have the same host"),
        "{shared}"
    );
    assert!(shared.hint.contains("[sites.cookies]"), "{shared}");

    let setup = Setup::good().await;
    let state = setup.folder.path().join("state");
    fs::create_dir(&state).unwrap();
    fs::set_permissions(&state, Permissions::from_mode(0o777)).unwrap();
    let chmod = format!("`chmod 700 {}`", state.display());
    setup
        .is_told(
            Status::Fail,
            "others can replace the gateway's keys",
            &chmod,
        )
        .await;
    fs::set_permissions(&state, Permissions::from_mode(0o755)).unwrap();
    let key = state.join("cookie.keys");
    fs::write(&key, "").unwrap();
    fs::set_permissions(&key, Permissions::from_mode(0o644)).unwrap();
    let chmod = format!("`chmod 600 {}`", key.display());
    setup.is_told(Status::Fail, "its mode is 644", &chmod).await;

    let setup = Setup::good().await;
    let file = setup.file();
    fs::set_permissions(&file, Permissions::from_mode(0o666)).unwrap();
    setup
        .is_told(Status::Fail, "others can write it", "chmod go-w")
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_certificate_is_named_with_its_mend() {
    let mut setup = Setup::good().await;
    let authority = Authority::new();
    let issued = authority.issue("store.example.com");
    let (cert, key) = (
        setup.folder.path().join("c.pem"),
        setup.folder.path().join("k.pem"),
    );
    fs::write(&cert, &issued.cert_pem).unwrap();
    fs::write(&key, issued.key_pem()).unwrap();
    fs::set_permissions(&key, Permissions::from_mode(0o600)).unwrap();
    let listener = format!(
        "[[server.tls]]\nlisten = \"127.0.0.1:8443\"\n\
         certificates = [{{ cert = \"{}\", key = \"{}\" }}]\n\n[providers.main]",
        cert.display(),
        key.display()
    );
    setup.replace("[providers.main]", &listener);
    let no_authority = "no authority that this machine trusts";
    setup
        .is_told(Status::Warn, no_authority, "intermediate certificates")
        .await;
    // Certificates of the test authority end in the year 4096.
    setup.clock.set_forward(2_100 * 365 * 86_400_000);
    let findings = setup.findings().await;
    let ended = findings
        .iter()
        .find(|it| it.check == "certificate")
        .unwrap();
    assert_eq!(ended.status, Status::Fail, "{ended}");
    assert!(ended.message.starts_with("it ended on 4"), "{ended}");
    assert!(ended.hint.contains("renew"), "{ended}");

    let mut setup = setup;
    setup.clock = Clock::new();
    let address = format!("http://{}", setup.visitors.address());
    setup.replace(&address, "https://forum.example.com");
    let findings = setup.findings().await;
    let missing = findings
        .iter()
        .find(|it| it.message.contains("is for forum.example.com"));
    let missing = missing.unwrap();
    assert_eq!(
        (missing.status, missing.check),
        (Status::Fail, "certificate"),
        "{missing}"
    );
    assert!(missing.hint.contains("acme = true"), "{missing}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_redis_is_named_with_its_mend() {
    let Some(mut redis) = Redis::start().await else {
        return;
    };
    let mut setup = Setup::good().await;
    setup.config = redis.in_place(&setup.config);
    let findings = setup.findings().await;
    let of_store: Vec<_> = findings.iter().filter(|it| it.check == "store").collect();
    assert!(
        of_store.iter().all(|it| it.status == Status::Ok),
        "{of_store:#?}"
    );
    assert_eq!(of_store.len(), 3, "latency, ACL, eviction");
    assert_eq!(redis.keys("*"), [""; 0], "nothing is left");

    let policy = |name: &str| {
        let _: String = redis.ask(&[b"CONFIG", b"SET", b"maxmemory-policy", name.as_bytes()]);
    };
    policy("allkeys-lru");
    let noeviction = "CONFIG SET maxmemory-policy noeviction";
    setup
        .is_told(
            Status::Warn,
            "its eviction policy is allkeys-lru",
            noeviction,
        )
        .await;
    let _: String = redis.ask(&[b"CONFIG", b"SET", b"maxmemory", b"100mb"]);
    setup
        .is_told(Status::Fail, "it forgets who has signed out", noeviction)
        .await;
    policy("noeviction");

    let user: &[&[u8]] = &[
        b"ACL",
        b"SETUSER",
        b"gateway",
        b"on",
        b">hush",
        b"~vestibule:*",
        b"&vestibule:*",
        b"+@all",
        b"-hset",
        b"-eval",
    ];
    let _: String = redis.ask(user);
    setup.replace("redis://", "redis://gateway:hush@");
    let allow = "`ACL SETUSER gateway ~vestibule:* &vestibule:* +hset +eval`";
    setup
        .is_told(
            Status::Fail,
            "does not let the user \"gateway\" send HSET, EVAL",
            allow,
        )
        .await;
    setup.replace("gateway:hush@", "gateway:wrong@");
    setup
        .is_told(Status::Fail, "authentication failed", "`store.url`")
        .await;
    redis.stop();
    setup
        .is_told(Status::Fail, "does not answer", "start it")
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_prints_one_line_each_and_exits_with_1_on_a_failure() {
    let doctor = async |file: PathBuf, json: bool| {
        tokio::task::spawn_blocking(move || {
            let mut arguments = vec!["doctor", "--config", file.to_str().unwrap()];
            arguments.extend(json.then_some("--json"));
            run(&arguments)
        })
        .await
        .unwrap()
    };
    let mut setup = Setup::good().await;
    let output = doctor(setup.file(), false).await;
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(text.lines().count() > 10, "{text}");
    assert!(text.lines().all(|line| line.starts_with("ok   ")), "{text}");
    // A warning is no failure.
    setup
        .provider
        .says(WEBHOOKS, 200, json!({ "webhooks": [] }));
    let output = doctor(setup.file(), true).await;
    assert_eq!(output.status.code(), Some(0));
    let found: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    let warning = found.iter().find(|it| it["status"] == "warn").unwrap();
    assert_eq!(
        (&warning["check"], &warning["subject"]),
        (&json!("provider"), &json!("main"))
    );
    for key in ["message", "hint"] {
        assert!(!warning[key].as_str().unwrap().is_empty(), "{warning}");
    }
    setup
        .provider
        .says(APPLICATION, 200, application(false, true));
    let output = doctor(setup.file(), false).await;
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        text.lines()
            .any(|line| line.starts_with("fail provider main: ")),
        "{text}"
    );
    assert!(!text.contains("hush"), "{text}");
    setup.replace("origin =", "orgin =");
    let output = doctor(setup.file(), true).await;
    assert_eq!(output.status.code(), Some(1));
    let found: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    assert!(
        found
            .iter()
            .all(|it| it["status"] == "fail" && it["check"] == "configuration")
    );
}
