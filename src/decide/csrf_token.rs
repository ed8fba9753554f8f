//! The CSRF token of the gateway's forms.
//!
//! The token is a hash of the form cookie (`vestibule-form`), so it is valid only in the browser
//! that the form was served to. A page of another site, or of a sibling domain, can post the form,
//! but it can read neither the form nor the cookie, and it cannot set a cookie whose name starts
//! with `__Host-`.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::model::request::RequestView;
use crate::model::site::Site;

/// The CSRF token of a site's forms for the form cookie's value `cookie`.
#[must_use]
pub fn csrf_token(site: &str, cookie: &str) -> String {
    let text = format!("vestibule form\0{site}\0{cookie}");
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text.as_bytes());
    URL_SAFE_NO_PAD.encode(digest)
}

/// Whether `posted` is the token of the request's form cookie. Compared in constant time, so that
/// the time tells nothing about how much of a guess is right.
pub(super) fn csrf_token_matches(request: &RequestView<'_>, site: &Site, posted: &str) -> bool {
    let Some(cookie) = request.cookies.form.value() else {
        return false;
    };
    let expected = csrf_token(&site.name, cookie);
    aws_lc_rs::constant_time::verify_slices_are_equal(expected.as_bytes(), posted.as_bytes())
        .is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_is_bound_to_site_and_cookie() {
        assert_eq!(csrf_token("store", "a"), csrf_token("store", "a"));
        assert_ne!(csrf_token("store", "a"), csrf_token("forum", "a"));
        assert_ne!(csrf_token("store", "a"), csrf_token("store", "b"));
    }
}
