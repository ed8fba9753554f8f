//! Which targets a site takes.

use http::Method;

use crate::decide::request_target::validate_target;
use crate::decide::request_validation::Rejection;
use crate::model::rule::{Access, Rule};
use crate::model::site::Site;
use crate::model::target::EncodedSlashes;

use super::fixtures::{rule, store};

#[test]
fn a_target_is_read_as_the_site_reads_it() {
    let raw = |encoded_slashes, target: &'static [u8]| {
        let site = Site {
            encoded_slashes,
            ..store()
        };
        validate_target(target, &Method::GET, &site).map(|target| target.raw())
    };
    let (reject, pass) = (EncodedSlashes::Reject, EncodedSlashes::Pass);
    assert_eq!(raw(reject, b"/a?b=%2F"), Ok("/a?b=%2F"));
    assert_eq!(raw(reject, b"/a%2Fb"), Err(Rejection::MALFORMED));
    assert_eq!(raw(pass, b"/a%2Fb"), Ok("/a%2Fb"));
}

#[test]
fn a_method_in_other_letter_case_must_not_lead_to_a_stricter_rule() {
    let purge = Rule {
        methods: vec![Method::from_bytes(b"PURGE").unwrap()],
        ..rule("/public/*", Access::Required, &["admin"])
    };
    let site = Site {
        rules: [vec![purge], store().rules].concat(),
        ..store()
    };
    let validated = |method: &[u8], target: &'static [u8]| {
        let method = Method::from_bytes(method).unwrap();
        validate_target(target, &method, &site).is_ok()
    };
    assert!(validated(b"PURGE", b"/public/x"));
    assert!(!validated(b"purge", b"/public/x"));
    assert!(!validated(b"Purge", b"/public/x"));
    assert!(validated(b"purges", b"/public/x"));
    // The rule for any other path is the same in either case.
    assert!(validated(b"purge", b"/mine"));
}

#[test]
fn a_freer_reading_must_not_lead_to_a_stricter_rule() {
    let site = store();
    let validated = |target: &'static [u8]| validate_target(target, &Method::GET, &site).is_ok();
    // `/staff` asks for a role, everything else at most for a sign-in.
    assert!(validated(b"/public/x;v=1"));
    assert!(!validated(b"/staff;x/x"));
    assert!(!validated(b"/%2573taff/x"));
    assert!(validated(b"/staff/%2573taff"));
}
