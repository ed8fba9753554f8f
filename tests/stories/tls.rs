//! TLS listeners: the right certificate for each name, versions, client certificates, and files
//! that change.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use rustls::{HandshakeKind, version};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::support::{
    Application, PASSWORD, Pair, Process, SHOPPER, Stage, Trust, USERS, ask, exchange, store_alone,
};

/// The stage with both sites under https and a TLS listener.
pub async fn stage(certificates: &[String], further: &str) -> Stage {
    let listener = format!(
        "[[server.tls]]\nlisten = \"127.0.0.1:0\"\ncertificates = [{}]\n{further}\n\n[providers.main]",
        certificates.join(", ")
    );
    Stage::set_with(
        |config| {
            config
                .replace("[providers.main]", &listener)
                .replace("http://store.localhost:8080", "https://store.localhost")
                .replace("http://forum.localhost:8080", "https://forum.localhost")
        },
        |_| {},
    )
    .await
}

pub fn request(host: &str, target: &str) -> Vec<u8> {
    format!("GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").into_bytes()
}

/// The certificate that is shown to a client which asks for `name`.
async fn shown(trust: &Trust, address: SocketAddr, name: &str) -> Vec<u8> {
    let stream = trust.connect(address, name).await.unwrap();
    let (_, connection) = stream.get_ref();
    connection.peer_certificates().unwrap()[0].to_vec()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_name_is_shown_its_certificate() {
    let folder = tempfile::tempdir().unwrap();
    let first = Pair::of(&["store.localhost", "127.0.0.1", "unknown.localhost"]);
    let wild = Pair::of(&["*.shop.localhost"]);
    let exact = Pair::of(&["forum.shop.localhost"]);
    let entries = [("first", &first), ("wild", &wild), ("exact", &exact)]
        .map(|(name, pair)| pair.write(folder.path(), name));
    let stage = stage(&entries, "").await;
    let trust = Trust::of(&[&first, &wild, &exact]);
    for (name, pair) in [
        ("store.localhost", &first),
        // An exact name before a wildcard.
        ("forum.shop.localhost", &exact),
        ("news.shop.localhost", &wild),
        ("unknown.localhost", &first),
        // No SNI is sent for an address.
        ("127.0.0.1", &first),
    ] {
        let shown = shown(&trust, stage.addresses[1], name).await;
        assert_eq!(shown, pair.der().to_vec(), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_signs_in_over_tls() {
    let folder = tempfile::tempdir().unwrap();
    let pair = Pair::of(&["store.localhost"]);
    let stage = stage(&[pair.write(folder.path(), "store")], "").await;
    let mut browser = super::support::Browser::new(stage.addresses[1], "store.localhost")
        .trusting(&Trust::of(&[&pair]));
    let reply = browser.sign_in(SHOPPER, PASSWORD).await;
    assert_eq!(reply.status, 303, "{}", reply.body);
    assert!(browser.cookie("__Host-vestibule-access").is_some());
    let set = reply.all("set-cookie");
    assert!(
        set.iter().all(|cookie| cookie.contains("; Secure")),
        "{set:?}"
    );
    assert_eq!(browser.get("/shopping-cart").await.status, 200);
    let received = stage.store.last();
    assert_eq!(received.header("x-forwarded-proto"), Some("https"));
    assert_eq!(received.header("x-real-ip"), Some("127.0.0.1"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_for_a_host_with_another_certificate_is_misdirected() {
    let folder = tempfile::tempdir().unwrap();
    let store = Pair::of(&["store.localhost"]);
    let forum = Pair::of(&["forum.localhost"]);
    let both = [
        store.write(folder.path(), "store"),
        forum.write(folder.path(), "forum"),
    ];
    let stage = stage(&both, "").await;
    let trust = Trust::of(&[&store, &forum]);
    for (name, host, target, status) in [
        ("store.localhost", "store.localhost", "/", 200),
        ("store.localhost", "STORE.localhost:443", "/", 200),
        ("forum.localhost", "store.localhost", "/", 421),
        ("store.localhost", "forum.localhost", "/", 421),
        (
            "store.localhost",
            "forum.localhost",
            "/_vestibule/health",
            200,
        ),
    ] {
        let stream = trust.connect(stage.addresses[1], name).await.unwrap();
        let reply = exchange(stream, &request(host, target)).await;
        assert_eq!(reply.status, status, "{name} {host} {target}");
        if status == 421 {
            assert_eq!(reply.code(), "unknown_site");
        }
    }
    assert_eq!(stage.requests("unknown_site").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_minimum_version_is_kept_and_sessions_are_resumed() {
    let folder = tempfile::tempdir().unwrap();
    let pair = Pair::of(&["store.localhost"]);
    let entry = [pair.write(folder.path(), "store")];
    for (minimum, versions, accepted) in [
        ("1.2", &[&version::TLS12][..], true),
        ("1.2", &[&version::TLS13], true),
        ("1.3", &[&version::TLS13], true),
        ("1.3", &[&version::TLS12], false),
    ] {
        let stage = stage(&entry, &format!("minimum = \"{minimum}\"")).await;
        let trust = Trust::with(&[&pair], versions, None);
        let connect = || trust.connect(stage.addresses[1], "store.localhost");
        let Ok(mut stream) = connect().await else {
            assert!(!accepted, "{minimum} {versions:?}");
            continue;
        };
        assert!(accepted, "{minimum} {versions:?}");
        stream
            .write_all(&request("store.localhost", "/"))
            .await
            .unwrap();
        // Tickets of TLS 1.3 come with the response. It ends with `close_notify`.
        stream.read_to_end(&mut Vec::new()).await.unwrap();
        let again = connect().await.unwrap();
        let kind = again.get_ref().1.handshake_kind();
        assert_eq!(kind, Some(HandshakeKind::Resumed), "{minimum} {versions:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn client_certificates_are_verified() {
    let folder = tempfile::tempdir().unwrap();
    let pair = Pair::of(&["store.localhost"]);
    let (member, stranger) = (Pair::of(&["member"]), Pair::of(&["stranger"]));
    let entry = [pair.write(folder.path(), "store")];
    let authorities = folder.path().join("clients.pem");
    fs::write(&authorities, &member.cert).unwrap();
    let client_ca = format!("client_ca = \"{}\"", authorities.display());
    for (further, own, served) in [
        ("", Some(&member), true),
        ("", None, false),
        ("", Some(&stranger), false),
        ("required = false", Some(&member), true),
        ("required = false", None, true),
        ("required = false", Some(&stranger), false),
    ] {
        let stage = stage(&entry, &format!("{client_ca}\n{further}")).await;
        let trust = Trust::with(&[&pair], rustls::ALL_VERSIONS, own);
        // With TLS 1.3 the client learns of the refusal after its handshake.
        let status = match trust.connect(stage.addresses[1], "store.localhost").await {
            Ok(stream) => {
                exchange(stream, &request("store.localhost", "/"))
                    .await
                    .status
            }
            Err(_) => 0,
        };
        assert_eq!(status == 200, served, "{further} {}", own.is_some());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_tls_is_hung_up_on() {
    let folder = tempfile::tempdir().unwrap();
    let pair = Pair::of(&["store.localhost"]);
    let stage = stage(&[pair.write(folder.path(), "store")], "").await;
    for bytes in [
        &b"GET / HTTP/1.1\r\nHost: store.localhost\r\n\r\n"[..],
        b"\x16\x03\x01\xff\xff",
        b"\x00\x00\x00\x00\x00\x00\x00",
    ] {
        let reply = tokio::time::timeout(
            std::time::Duration::from_secs(9),
            ask(stage.addresses[1], bytes),
        );
        let reply = reply
            .await
            .expect("before the time for a handshake is over");
        assert!(reply.is_none(), "{reply:?}");
    }
}

/// Writes the pair under the names that are in use.
fn replace(folder: &Path, pair: &Pair) {
    pair.write(folder, "store");
}

#[tokio::test(flavor = "multi_thread")]
async fn changed_certificates_are_used_and_bad_ones_are_not() {
    let folder = tempfile::tempdir().unwrap();
    let (old, new, other) = (
        Pair::of(&["store.localhost"]),
        Pair::of(&["store.localhost"]),
        Pair::of(&["store.localhost"]),
    );
    let entry = old.write(folder.path(), "store");
    let application = Application::open().await;
    let config = store_alone(
        &application,
        USERS,
        &format!("[[server.tls]]\nlisten = \"127.0.0.1:0\"\ncertificates = [{entry}]\n"),
    ) + "\n[[sites.rules]]\npath = \"/*\"\naccess = \"public\"\n";
    let gateway =
        Process::serve(&config.replace("http://store.localhost:8080", "https://store.localhost"))
            .await;
    let address = gateway.addresses()[1];
    let trust = Trust::of(&[&old, &new]);
    let mut kept = trust.connect(address, "store.localhost").await.unwrap();
    assert_eq!(
        shown(&trust, address, "store.localhost").await,
        old.der().to_vec()
    );

    let broken = Pair {
        key: other.key.clone(),
        ..new.clone()
    };
    replace(folder.path(), &broken);
    gateway
        .until_printed("is not the key of the certificate", 1)
        .await;
    assert_eq!(
        shown(&trust, address, "store.localhost").await,
        old.der().to_vec()
    );
    assert!(!gateway.printed().contains("PRIVATE KEY"));

    replace(folder.path(), &new);
    gateway.until_printed("\"event\":\"reloaded\"", 1).await;
    assert_eq!(
        shown(&trust, address, "store.localhost").await,
        new.der().to_vec()
    );
    // The connection from before goes on.
    kept.write_all(&request("store.localhost", "/"))
        .await
        .unwrap();
    let mut answer = Vec::new();
    kept.read_to_end(&mut answer).await.unwrap();
    assert!(
        answer.starts_with(b"HTTP/1.1 200"),
        "{}",
        answer.escape_ascii()
    );
}
