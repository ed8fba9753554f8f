//! Which certificate is for which name, and how long tickets live.

use super::*;
use crate::config::certificate::{CertificateFiles, read_roots};
use crate::runtime::acme::issued::Issued;

fn certificate(names: &[&str]) -> Arc<Certificate> {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let key = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new(names).unwrap();
    let cert = params.self_signed(&key).unwrap().pem();
    let read = Certificate::from_pem(&cert, &key.serialize_pem(), "x").unwrap();
    Arc::new(read)
}

fn find<'a>(certificates: &'a Certificates, name: &str) -> Found<'a> {
    certificates.find((!name.is_empty()).then_some(name))
}

#[test]
fn an_exact_name_comes_before_a_wildcard_and_the_first_is_for_everything_else() {
    let certificates = Certificates::new(
        vec![
            certificate(&["default.example"]),
            certificate(&["*.shop.example", "shop.example"]),
            certificate(&["a.shop.example"]),
            certificate(&["a.shop.example", "*.shop.example"]),
        ],
        None,
    );
    for (name, expected) in [
        ("", &[0][..]),
        ("other.example", &[0]),
        ("shop.example", &[1]),
        ("b.shop.example", &[1, 3]),
        ("a.shop.example", &[2, 3]),
        // A wildcard stands for one label.
        ("c.b.shop.example", &[0]),
        ("localhost", &[0]),
    ] {
        let expected = Found::Configured(expected);
        assert_eq!(find(&certificates, name), expected, "{name}");
    }
}

#[test]
fn issued_certificates_are_for_names_that_the_configuration_has_none_for() {
    let issued: Arc<IssuedCertificates> = Arc::default();
    let configured = vec![certificate(&["*.a.example"])];
    let both = Certificates::new(configured, Some(Arc::clone(&issued)));
    let alone = Certificates::new(Vec::new(), Some(Arc::clone(&issued)));
    assert_eq!(find(&alone, "x.a.example"), Found::None);
    for name in ["b.example", "x.a.example"] {
        issued.install(name, &Issued::self_signed(name).unwrap());
    }
    let of = |name: &str| Found::Issued(name.to_owned());
    for (name, with_both, expected) in [
        ("x.a.example", Found::Configured(&[0]), of("x.a.example")),
        ("b.example", of("b.example"), of("b.example")),
        ("c.example", Found::Configured(&[0]), of("b.example")),
    ] {
        assert_eq!(find(&both, name), with_both, "{name}");
        assert_eq!(find(&alone, name), expected, "{name}");
    }
    assert!(!alone.are_shared_by("b.example", "x.a.example"));
}

#[test]
fn names_share_a_connection_where_they_share_their_certificates() {
    let certificates = Certificates::new(
        vec![
            certificate(&["a.example", "b.example"]),
            certificate(&["c.example", "*.c.example"]),
        ],
        None,
    );
    for (one, other, shared) in [
        ("a.example", "a.example", true),
        ("a.example", "b.example", true),
        ("a.example", "unknown.example", true),
        ("a.example", "c.example", false),
        ("x.c.example", "y.c.example", true),
        ("x.c.example", "b.example", false),
    ] {
        assert_eq!(
            certificates.are_shared_by(one, other),
            shared,
            "{one} {other}"
        );
    }
}

pub(super) fn settings(client_authorities: Option<ClientAuthorities>) -> Tls {
    Tls {
        listen: "127.0.0.1:443".parse().unwrap(),
        certificates: vec![CertificateFiles {
            cert: "cert.pem".into(),
            key: "key.pem".into(),
            certificate: certificate(&["a.example"]),
        }],
        acme: false,
        minimum: TlsVersion::V1_2,
        client_authorities,
        client_ca_file: None,
        proxy_protocol: ProxyProtocol::Unknown,
    }
}

#[test]
fn tickets_stay_valid_over_a_reload_unless_clients_are_asked_for_other_certificates() {
    let authorities = |presence| {
        let key = rcgen::KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::new(Vec::new()).unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        read_roots(&pem).map(|roots| ClientAuthorities {
            roots: Arc::new(roots),
            presence,
        })
    };
    let required = authorities(ClientCertificate::Required);
    let others = authorities(ClientCertificate::Required);
    let optional = required.clone().map(|authorities| ClientAuthorities {
        presence: ClientCertificate::Optional,
        ..authorities
    });
    for (before, after, kept) in [
        (None, None, true),
        (required.clone(), required.clone(), true),
        (None, required.clone(), false),
        (required.clone(), None, false),
        (optional, required.clone(), false),
        (required, others, false),
    ] {
        let before = TlsListener::new(&settings(before), None, None).unwrap();
        let ticket = before.tickets.encrypt(b"session").unwrap();
        let after = TlsListener::new(&settings(after), Some(&before), None).unwrap();
        assert_eq!(after.tickets.decrypt(&ticket).is_some(), kept);
    }
}

#[test]
fn a_listener_that_was_taken_out_of_the_configuration_goes_on_until_the_process_ends() {
    let first = listeners(&[settings(None)], None, None).unwrap();
    let second = listeners(&[], Some(&first), None).unwrap();
    assert_eq!(second.len(), 1);
}
