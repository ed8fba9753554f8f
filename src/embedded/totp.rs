//! Codes of authenticator apps (TOTP, RFC 6238): six digits, SHA-1, 30 seconds.

use crate::model::timestamp::Timestamp;

/// The code that an authenticator app with the base32 `secret` shows at `now`. `None` if `secret`
/// is not base32 or has less than 128 bits.
#[must_use]
pub fn totp_code(secret: &str, now: Timestamp) -> Option<String> {
    Some(totp(secret)?.generate(now.secs()).to_string())
}

/// The time step that `code` belongs to, if it is valid at `now` or 30 seconds before or after.
#[must_use]
pub fn totp_step(secret: &str, code: &str, now: Timestamp) -> Option<u64> {
    totp(secret)?.check(code, now.secs())
}

fn totp(secret: &str) -> Option<totp_rs::Totp> {
    totp_rs::Builder::new()
        .with_secret(totp_rs::Secret::try_from_base32(secret).ok()?)
        .build()
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::embedded::users::DEMO_TOTP;

    #[test]
    fn codes_follow_rfc_6238() {
        // Appendix B: 94287082 at 59 s with the ASCII secret 12345678901234567890; here six digits.
        let secret = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";
        assert_eq!(
            totp_code(secret, Timestamp::from_secs(59)).as_deref(),
            Some("287082")
        );
        assert_eq!(
            totp_step(secret, "287082", Timestamp::from_secs(59)),
            Some(1)
        );
        assert_eq!(
            totp_step(secret, "287082", Timestamp::from_secs(89)),
            Some(1)
        );
        assert_eq!(totp_step(secret, "287082", Timestamp::from_secs(120)), None);
        assert!(totp_code(DEMO_TOTP, Timestamp::from_secs(59)).is_some());
    }
}
