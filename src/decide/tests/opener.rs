//! Which pages keep their connection to the window that opened them.

use super::fixtures::store;
use crate::decide::opener::keeps_opener;
use crate::model::fusionauth_hosted_backend::{HostedBackend, RedirectUri};
use crate::model::origin::Host;
use crate::model::request::FetchMetadata;
use crate::model::site::Site;

fn keeps(site: &Site, fetch_site: Option<&str>, origin: Option<&str>) -> bool {
    let metadata = FetchMetadata {
        origin,
        fetch_site,
        ..FetchMetadata::default()
    };
    keeps_opener(&metadata, site)
}

#[test]
fn only_pages_that_the_operator_lists_keep_their_opener() {
    let mut site = store();
    site.aliases = vec![Host::parse("www.example.com").unwrap()];
    let address = RedirectUri::parse("https://spa.example.com/").unwrap();
    site.hosted_backend = HostedBackend::new("spa".into(), vec![address]);
    assert!(site.hosted_backend.is_some());
    assert!(keeps(&site, Some("same-origin"), None));
    assert!(keeps(
        &site,
        Some("same-origin"),
        Some("https://evil.example")
    ));
    for listed in [
        "https://store.example.com",
        "https://www.example.com",
        "https://app.example.com",
        "https://spa.example.com",
    ] {
        assert!(keeps(&site, Some("same-site"), Some(listed)), "{listed}");
        assert!(keeps(&site, None, Some(listed)), "{listed}");
    }
    for other in [
        "https://evil.example",
        "http://store.example.com",
        "http://www.example.com",
        "null",
    ] {
        assert!(!keeps(&site, Some("cross-site"), Some(other)), "{other}");
    }
    assert!(!keeps(&site, Some("none"), None));
    assert!(!keeps(&site, None, None));
}
