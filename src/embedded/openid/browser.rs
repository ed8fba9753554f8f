//! The browser that opens a page: its cookies, and whether a form comes from this server's own
//! page.

use axum::http::header::{ORIGIN, SET_COOKIE, USER_AGENT};
use axum::http::{HeaderMap, HeaderName, HeaderValue};

use super::clients::OpenIdSettings;
use crate::embedded::client_metadata::{ClientMetadata, Device, MetaData};
use crate::embedded::fusionauth_api::api_auth::cookie;
use crate::embedded::ids;
use crate::model::secret::Secret;

/// The session of a browser.
const SESSION_COOKIE: &str = "vestibule-identity";
/// The random value that the forms of a browser are bound to.
const FORM_COOKIE: &str = "vestibule-identity-form";

/// The browser that makes a request.
pub struct Browser<'a> {
    headers: &'a HeaderMap,
    is_https: bool,
    origin: &'a str,
}

/// The token of a form, with the cookie that it is bound to.
pub struct FormToken {
    /// The value of the hidden field.
    pub field: String,
    /// The cookie, where the browser has none yet.
    pub cookie: Option<HeaderValue>,
}

impl<'a> Browser<'a> {
    pub fn new(headers: &'a HeaderMap, settings: &'a OpenIdSettings) -> Self {
        Self {
            headers,
            is_https: settings.is_https(),
            origin: &settings.url,
        }
    }

    /// The secret of the browser's session.
    pub fn session_secret(&self) -> Option<String> {
        cookie(self.headers, &self.cookie_name(SESSION_COOKIE))
    }

    /// The field that gives the browser a session.
    pub fn session_cookie(&self, secret: &Secret) -> Option<HeaderValue> {
        self.set_cookie(SESSION_COOKIE, secret.expose(), "")
    }

    /// The field that takes the session from the browser.
    pub fn cleared_session_cookie(&self) -> Option<HeaderValue> {
        self.set_cookie(SESSION_COOKIE, "", "; Max-Age=0")
    }

    /// The token for a form that is shown to the browser. Forms in several tabs have the same.
    pub fn form_token(&self) -> FormToken {
        let name = self.cookie_name(FORM_COOKIE);
        match cookie(self.headers, &name) {
            Some(value) => FormToken {
                field: form_field(&value),
                cookie: None,
            },
            None => {
                let value = ids::random_secret();
                FormToken {
                    field: form_field(&value),
                    cookie: self.set_cookie(FORM_COOKIE, &value, ""),
                }
            }
        }
    }

    /// Whether a form with this token was shown to the browser by this server: neither another site
    /// nor a sibling domain can send one.
    pub fn sent_form(&self, token: Option<&str>) -> bool {
        let text = |name: HeaderName| self.headers.get(name).and_then(|value| value.to_str().ok());
        let is_own_origin = match text(ORIGIN) {
            Some(origin) => origin == self.origin,
            None => text(HeaderName::from_static("sec-fetch-site"))
                .is_none_or(|site| matches!(site, "same-origin" | "none")),
        };
        let value = cookie(self.headers, &self.cookie_name(FORM_COOKIE));
        is_own_origin && value.is_some_and(|value| Some(form_field(&value).as_str()) == token)
    }

    /// The address of the client, as the proxy in front of the server says.
    pub fn address(&self) -> Option<std::net::IpAddr> {
        let field = self.headers.get("x-real-ip")?.to_str().ok()?;
        field.parse().ok()
    }

    /// The browser as the list of sessions shows it.
    pub fn metadata(&self) -> ClientMetadata {
        let agent = self.headers.get(USER_AGENT);
        let device = Device {
            description: agent.and_then(|value| Some(value.to_str().ok()?.to_owned())),
            kind: Some("BROWSER".to_owned()),
            ..Device::default()
        };
        let metadata = ClientMetadata {
            ip_address: self.address().map(|address| address.to_string()),
            meta_data: Some(MetaData {
                device: Some(device),
            }),
        };
        metadata.sanitized()
    }

    fn cookie_name(&self, name: &str) -> String {
        let prefix = if self.is_https { "__Host-" } else { "" };
        format!("{prefix}{name}")
    }

    fn set_cookie(&self, name: &str, value: &str, attributes: &str) -> Option<HeaderValue> {
        let secure = if self.is_https { "; Secure" } else { "" };
        let name = self.cookie_name(name);
        let text = format!("{name}={value}; HttpOnly; Path=/; SameSite=Lax{secure}{attributes}");
        HeaderValue::from_str(&text).ok()
    }
}

/// The hidden field for the value of the form cookie. A page that shows the field does not show the
/// cookie.
fn form_field(cookie: &str) -> String {
    ids::sha256(&format!("form {cookie}"))
}

/// Adds `cookie` to a response.
pub fn add_cookie(response: &mut axum::response::Response, cookie: Option<HeaderValue>) {
    if let Some(cookie) = cookie {
        response.headers_mut().append(SET_COOKIE, cookie);
    }
}
