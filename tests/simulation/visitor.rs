//! Visitors: browsers with a jar of cookies, and phones that keep their tokens themselves.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::Method;

use vestibule::model::credential::CredentialKind;
use vestibule::model::refresh_token_envelope::RefreshTokenEnvelope;
use vestibule::model::sealing_keys::SealingKeys;

use super::configuration::SITE;
use super::request::{ClientRequest, ClientResponse};

/// Part of the names of the cookies of sign-ins by redirect.
const LOGIN: &str = "vestibule-login-";

/// What a visitor holds.
#[derive(Clone, Debug, Default)]
pub struct Credentials {
    /// Whether the visitor keeps tokens instead of cookies.
    pub phone: bool,
    pub jar: BTreeMap<String, String>,
    /// When each cookie ends.
    pub ends: BTreeMap<String, Duration>,
    pub access: Option<String>,
    pub refresh: Option<String>,
    /// The number of the sign-in that they belong to.
    pub grant: Option<usize>,
}

impl Credentials {
    /// Nothing yet.
    pub fn new(phone: bool) -> Self {
        Self {
            phone,
            ..Self::default()
        }
    }

    /// Whether there is anything to present.
    pub fn is_empty(&self) -> bool {
        self.sealed_refresh().is_none() && self.access.is_none() && self.main_cookie().is_none()
    }

    /// A request with these credentials.
    pub fn request(&self, method: Method, path: impl Into<Cow<'static, str>>) -> ClientRequest {
        let pairs: Vec<String> = self
            .jar
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        ClientRequest {
            method,
            path: path.into(),
            cookies: pairs.join("; "),
            access: self.access.clone(),
            refresh: self.refresh.clone(),
            ..ClientRequest::default()
        }
    }

    /// The same with the refresh token alone.
    pub fn only_refresh(&self) -> Self {
        Self {
            phone: self.phone,
            jar: self
                .jar
                .iter()
                .filter(|(name, _)| name.ends_with("-refresh"))
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect(),
            ends: self.ends.clone(),
            access: None,
            refresh: self.refresh.clone(),
            grant: self.grant,
        }
    }

    /// Takes what an answer gives and drops what it clears.
    pub fn take(&mut self, response: &ClientResponse, now: Duration) {
        for line in &response.set_cookies {
            let (pair, attributes) = line.split_once(';').unwrap_or((line, ""));
            let Some((name, value)) = pair.split_once('=') else {
                continue;
            };
            let attributes = attributes.to_ascii_lowercase();
            let max_age = attributes
                .split(';')
                .find_map(|attribute| attribute.trim().strip_prefix("max-age=")?.parse().ok());
            if max_age == Some(0) {
                self.jar.remove(name);
                self.ends.remove(name);
            } else {
                self.jar.insert(name.to_owned(), value.to_owned());
                let end = max_age.map(|seconds| now + Duration::from_secs(seconds));
                self.ends
                    .insert(name.to_owned(), end.unwrap_or(Duration::MAX));
            }
        }
        if let Some(access) = &response.access {
            self.access = Some(access.clone());
        }
        if let Some(refresh) = &response.refresh {
            self.refresh = Some(refresh.clone());
        }
    }

    /// Drops the cookies whose `Max-Age` is over, as browsers do.
    pub fn drop_old(&mut self, now: Duration) {
        self.jar
            .retain(|name, _| self.ends.get(name).is_none_or(|end| now < *end));
    }

    /// Forgets everything but the sign-ins that are under way.
    pub fn forget(&mut self) {
        let before = std::mem::replace(self, Self::new(self.phone));
        self.add_logins(&before);
    }

    /// Adds the cookies of the sign-ins by redirect that `other` has.
    pub fn add_logins(&mut self, other: &Self) {
        for (name, value) in &other.jar {
            if name.contains(LOGIN) {
                self.jar.insert(name.clone(), value.clone());
                if let Some(end) = other.ends.get(name) {
                    self.ends.insert(name.clone(), *end);
                }
            }
        }
    }

    /// The provider's refresh token in these credentials.
    pub fn refresh_token(&self, keys: &SealingKeys, sessions: bool) -> Option<String> {
        let kind = match (self.phone, sessions) {
            (true, _) => CredentialKind::Bearer,
            (false, true) => CredentialKind::Session,
            (false, false) => CredentialKind::Jwt,
        };
        let envelope = RefreshTokenEnvelope::open(keys, SITE, kind, self.sealed_refresh()?)?;
        Some(envelope.refresh.expose().to_owned())
    }

    /// The hash under which the store keeps the session.
    pub fn session_hash(&self) -> Option<[u8; 32]> {
        let id = URL_SAFE_NO_PAD.decode(self.cookie("-session")?).ok()?;
        digest(&SHA256, &id).as_ref().try_into().ok()
    }

    fn sealed_refresh(&self) -> Option<&str> {
        let cookie = self.cookie("-refresh");
        self.refresh.as_deref().or(cookie)
    }

    fn main_cookie(&self) -> Option<&str> {
        self.cookie("-access").or(self.cookie("-session"))
    }

    fn cookie(&self, ending: &str) -> Option<&str> {
        let mut cookies = self.jar.iter();
        cookies
            .find(|(name, _)| name.ends_with(ending))
            .map(|(_, value)| value.as_str())
    }
}
