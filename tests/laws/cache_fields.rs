//! Laws of the fields that direct caches.

use http::HeaderName;
use proptest::prelude::*;
use vestibule::decide::cache_fields::directs_caches;

proptest! {
    /// A cache may be configured with a targeted field of any name (RFC 9213, section 2.1).
    #[test]
    fn any_targeted_field_directs_caches(target in "[A-Za-z0-9]{1,12}(-[A-Za-z0-9]{1,8}){0,3}") {
        for end in ["Cache-Control", "Surrogate-Control"] {
            let name: HeaderName = format!("{target}-{end}").parse().unwrap();
            prop_assert!(directs_caches(&name), "{}", name);
        }
    }

    /// The fields of the gateway itself, and those that carry the body, are never taken for one.
    #[test]
    fn no_field_that_describes_the_body_directs_caches(rest in "[a-z-]{1,20}") {
        for start in ["content-", "set-", "vestibule-"] {
            let name: HeaderName = format!("{start}{rest}").parse().unwrap();
            let targeted = ["cache-control", "surrogate-control", "edge-control"];
            prop_assert_eq!(
                directs_caches(&name),
                targeted.iter().any(|end| rest == *end || rest.ends_with(&format!("-{end}")))
            );
        }
    }
}
