//! What a request without a login gets, beyond the decision in words.

use super::fixtures::store;
use crate::decide::unauthenticated::{default_challenge, login_address};
use crate::model::return_path::ReturnPath;
use crate::model::site::Site;
use crate::model::target::MAX_TARGET;

fn address(return_to: &str) -> String {
    let path = ReturnPath::parse(return_to).unwrap();
    login_address(&store(), Some(&path)).to_string()
}

#[test]
fn no_address_of_the_form_is_longer_than_a_target() {
    let long = format!("/rison?{}", "a=&".repeat(1300));
    let leading_back = address(&long);
    assert!(leading_back.starts_with("/login?return_to=/rison?a=%26a=%26"));
    assert!(leading_back.len() <= MAX_TARGET);
    let room = MAX_TARGET - "/login?return_to=".len();
    let longest = format!("/{}", "a".repeat(room - 1));
    assert_eq!(address(&longest).len(), MAX_TARGET);
    // The form is shown all the same.
    assert_eq!(address(&format!("{longest}a")), "/login");
    assert_eq!(address(&format!("/?{}", "&".repeat(4000))), "/login");
    // No longer than the site accepts.
    let mut strict = store();
    strict.limits.head.target = 30;
    let address = |path: &str| login_address(&strict, ReturnPath::parse(path).as_ref()).to_string();
    assert_eq!(address("/123456789abc"), "/login?return_to=/123456789abc");
    assert_eq!(address("/123456789abcd"), "/login");
}

#[test]
fn every_site_has_a_challenge() {
    let bearer = Site {
        bearer: true,
        ..store()
    };
    assert_eq!(default_challenge(&store()), "Cookie realm=\"store\"");
    assert_eq!(default_challenge(&bearer), "Bearer");
}
