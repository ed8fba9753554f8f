//! Authorization codes: each is good for one exchange within 60 seconds (RFC 9700, section 2.1.1).

use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::model::timestamp::Timestamp;

/// How long a code can be exchanged.
pub const CODE_LIFETIME: Duration = Duration::from_secs(60);

/// What an authorization code stands for.
#[derive(Clone, Debug)]
pub struct CodeGrant {
    /// The id of the client that asked for it.
    pub client: String,
    /// The `redirect_uri` that it was sent to.
    pub redirect_uri: String,
    /// The `code_challenge`, of the method `S256`.
    pub challenge: String,
    /// The `nonce` for the ID token.
    pub nonce: Option<String>,
    /// Whether the client asked for a refresh token.
    pub offline_access: bool,
    /// The user's id.
    pub user: String,
    /// The id of the browser session that it was issued for.
    pub browser_session: String,
    /// When the user authenticated.
    pub signed_in: Timestamp,
    /// When the code was issued.
    pub issued: Timestamp,
    /// How often the code was presented.
    pub presented: u32,
    /// The id of the session that was started with it.
    pub session: Option<String>,
}

impl CodeGrant {
    /// Whether the code is in time at `now`.
    pub fn is_in_time(&self, now: Timestamp) -> bool {
        now < self.issued.plus(CODE_LIFETIME)
    }

    /// Whether `verifier` is what the challenge was made of (RFC 7636, section 4.6).
    pub fn is_proved_by(&self, verifier: &str) -> bool {
        is_verifier(verifier)
            && URL_SAFE_NO_PAD.encode(digest(&SHA256, verifier.as_bytes())) == self.challenge
    }
}

/// Whether `text` has the form of a code verifier (RFC 7636, section 4.1).
fn is_verifier(text: &str) -> bool {
    (43..=128).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte))
}

/// Whether `text` has the form of a challenge of the method `S256`: a SHA-256 hash in base64url.
pub fn is_challenge(text: &str) -> bool {
    URL_SAFE_NO_PAD
        .decode(text)
        .is_ok_and(|hash| hash.len() == 32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verifier_proves_its_challenge() {
        // The example of RFC 7636, appendix B.
        let challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
        let verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
        let grant = CodeGrant {
            client: String::new(),
            redirect_uri: String::new(),
            challenge: challenge.to_owned(),
            nonce: None,
            offline_access: false,
            user: String::new(),
            browser_session: String::new(),
            signed_in: Timestamp::from_secs(0),
            issued: Timestamp::from_secs(100),
            presented: 0,
            session: None,
        };
        assert!(is_challenge(challenge));
        assert!(grant.is_proved_by(verifier));
        for wrong in ["", "dBjftJeZ4CVP", challenge, &format!("{verifier}~")] {
            assert!(!grant.is_proved_by(wrong), "{wrong}");
        }
        for wrong in ["", verifier.trim_end_matches('k'), "plain text"] {
            assert!(!is_challenge(wrong), "{wrong}");
        }
        assert!(grant.is_in_time(Timestamp::from_secs(159)));
        assert!(!grant.is_in_time(Timestamp::from_secs(160)));
    }
}
