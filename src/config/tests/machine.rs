//! The machine that configurations are checked on in tests.

use super::super::FakeEnvironment;

const KEY_FILE: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n";
const OLD_KEY_FILE: &str = "HwECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHgA=\n";

/// Environment in which every secret and file of the shipped configurations is there.
#[expect(clippy::too_many_lines, reason = "one table")]
pub(super) fn environment() -> FakeEnvironment {
    let mut there = FakeEnvironment::default();
    there
        .variables
        .insert("FUSIONAUTH_API_KEY".into(), "a-key-of-fusionauth".into());
    there
        .variables
        .insert("CLIENT_SECRET".into(), "a-client-secret".into());
    there.variables.insert(
        "REDIS_URL".into(),
        "rediss://:a-password@redis.internal".into(),
    );
    for (path, text) in [
        ("/run/secrets/fusionauth-api-key", "a-key-of-fusionauth\n"),
        ("/etc/vestibule/client-secret", "a-client-secret\n"),
        ("/run/secrets/cookie-key", KEY_FILE),
        ("/run/secrets/cookie-key-before", OLD_KEY_FILE),
        (
            "/etc/vestibule/cookie.key",
            "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8",
        ),
        (
            "packaging/replicas/secrets/fusionauth.key",
            "a-key-of-fusionauth\n",
        ),
        ("packaging/replicas/secrets/cookie.key", KEY_FILE),
        (
            "packaging/replicas/secrets/redis.url",
            "redis://:a-password@redis:6379\n",
        ),
        ("config/examples/../users.toml", ""),
        ("config/users.toml", ""),
        ("users.toml", ""),
        (
            "/etc/vestibule/store.svg",
            "<svg xmlns='http://www.w3.org/2000/svg'/>",
        ),
        ("mark.gif", "GIF89a"),
        ("good/sign-out.html", "{{ page.action }}"),
        ("good/style.css", "h1 { color: red }"),
        ("good/README", "not a template"),
        ("odd/singin.html", "no page has this name"),
        ("odd/_part.html", "part of another"),
        ("odd/zebra.html", "no page has this name either"),
        ("torn/message.html", "<h1>\n{% for %}"),
        ("wrong/message.html", "<h1>\n{{ page.haeding }}</h1>"),
        ("none/README", "no template"),
    ] {
        there.files.insert(path.into(), text.into());
    }
    there
        .files
        .insert("large.svg".into(), "<svg>".repeat(20_000));
    there
        .files
        .insert("long/style.css".into(), " ".repeat(300_000));
    let certificate = rcgen::generate_simple_self_signed(["store.example.com".to_owned()]).unwrap();
    let other = rcgen::KeyPair::generate().unwrap();
    let mut expired = rcgen::CertificateParams::new(["store.example.com".to_owned()]).unwrap();
    expired.not_after = rcgen::date_time_ymd(1996, 2, 29);
    let expired = expired.self_signed(&certificate.signing_key).unwrap();
    for (path, text) in [
        ("store.pem", certificate.cert.pem()),
        ("store.key", certificate.signing_key.serialize_pem()),
        ("expired.pem", expired.pem()),
        ("other.key", other.serialize_pem()),
        ("/etc/vestibule/store.pem", certificate.cert.pem()),
        (
            "/etc/vestibule/store.key",
            certificate.signing_key.serialize_pem(),
        ),
        ("/etc/vestibule/clients.pem", certificate.cert.pem()),
    ] {
        there.files.insert(path.into(), text);
    }
    there
}
