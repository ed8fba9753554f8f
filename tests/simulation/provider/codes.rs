//! Authorization codes: whom they were issued to, and what they were exchanged for.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// How long a code is valid.
const LIFETIME: Duration = Duration::from_secs(60);

/// A code, and the authorization request that it answers.
#[derive(Clone, Debug)]
pub struct Code {
    pub visitor: usize,
    pub redirect_uri: String,
    /// The challenge of PKCE.
    pub challenge: String,
    pub nonce: String,
    issued: Duration,
    /// The sign-in that it was exchanged for, and the process that did.
    pub used: Option<(usize, u64)>,
}

impl Code {
    /// Whether the code may be exchanged by whoever proves to have asked for it.
    pub fn is_for(&self, exchange: &Exchange<'_>, now: Duration) -> bool {
        let challenge = URL_SAFE_NO_PAD.encode(digest(&SHA256, exchange.verifier.as_bytes()));
        let is_own = !exchange.checks_pkce || challenge == self.challenge;
        is_own && exchange.redirect_uri == self.redirect_uri && now < self.issued + LIFETIME
    }
}

/// What the token endpoint is asked with a code.
pub struct Exchange<'a> {
    pub verifier: &'a str,
    pub redirect_uri: &'a str,
    /// Whether the provider looks at the verifier.
    pub checks_pkce: bool,
}

/// All codes.
#[derive(Debug, Default)]
pub struct Codes {
    all: BTreeMap<String, Code>,
}

impl Codes {
    /// A code for this visitor and the authorization request at `address`. `None` where that is
    /// none.
    pub fn issue(&mut self, visitor: usize, address: &str, now: Duration) -> Option<String> {
        let url = url::Url::parse(address).ok()?;
        let parameter = |name: &str| {
            let mut pairs = url.query_pairs();
            pairs.find_map(|(key, value)| (key == name).then(|| value.into_owned()))
        };
        let code = Code {
            visitor,
            redirect_uri: parameter("redirect_uri")?,
            challenge: parameter("code_challenge")?,
            nonce: parameter("nonce")?,
            issued: now,
            used: None,
        };
        let name = format!("code-{}", self.all.len());
        self.all.insert(name.clone(), code);
        Some(name)
    }

    /// The code with this name.
    pub fn get_mut(&mut self, name: &str) -> Option<&mut Code> {
        self.all.get_mut(name)
    }
}
