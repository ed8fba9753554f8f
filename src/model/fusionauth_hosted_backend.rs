//! A site's hosted backend: what FusionAuth's single-page SDKs expect of the server behind them.
//!
//! An SDK names the address that the browser returns to after a login or logout, and that address
//! may be of another origin. The gateway redirects to no other origin anywhere else, so these
//! addresses have a type of their own: an [`AllowedRedirect`] is made from the operator's list and
//! from nothing else.

use serde_json::{Map, Value};
use url::Url;

use super::identity::Identity;
use super::origin::Origin;

/// A request of one of FusionAuth's single-page SDKs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostedRequest {
    /// The endpoint that is called.
    pub endpoint: HostedEndpoint,
    /// The client id, where the path names one.
    pub client_id: Option<String>,
}

/// The endpoints of a hosted backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostedEndpoint {
    /// `GET /app/login`: logs in.
    Login,
    /// `GET /app/register`: creates an account. So far the same as `Login`.
    Register,
    /// `GET /app/callback`: the way back from FusionAuth's own pages.
    Callback,
    /// `GET /app/me`: tells who is logged in.
    Me,
    /// `POST /app/refresh`: refreshes the tokens now.
    Refresh,
    /// `GET /app/logout`: logs out.
    Logout,
}

/// The path prefix of the endpoints.
pub const HOSTED_PREFIX: &str = "/app/";
/// The name of each endpoint, which follows the prefix.
pub const HOSTED_ENDPOINTS: [(&str, HostedEndpoint); 6] = [
    ("login", HostedEndpoint::Login),
    ("register", HostedEndpoint::Register),
    ("callback", HostedEndpoint::Callback),
    ("me", HostedEndpoint::Me),
    ("refresh", HostedEndpoint::Refresh),
    ("logout", HostedEndpoint::Logout),
];

/// The longest redirect URI, in bytes. With a `state` it must still fit into the return address of
/// the login page.
const MAX_URI: usize = 1000;

/// A site's hosted backend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostedBackend {
    client_id: String,
    /// The address where the SDK names none.
    default: RedirectUri,
    others: Vec<RedirectUri>,
}

/// An address on the operator's list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedirectUri {
    text: String,
    origin: Origin,
}

/// An address to redirect to: one of the operator's list, with the client's `state`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AllowedRedirect(String);

impl HostedRequest {
    /// Parses a percent-decoded path: `/app/NAME` or `/app/NAME/CLIENT`, each with or without a
    /// slash at the end. `None` for every other path, which is the application's.
    #[must_use]
    pub fn parse(path: &[u8]) -> Option<Self> {
        let rest = std::str::from_utf8(path.strip_prefix(HOSTED_PREFIX.as_bytes())?).ok()?;
        let (name, client) = match rest.strip_suffix('/').unwrap_or(rest).split_once('/') {
            Some((name, client)) => (name, Some(client)),
            None => (rest.strip_suffix('/').unwrap_or(rest), None),
        };
        if client.is_some_and(|client| client.contains('/')) {
            return None;
        }
        let (_, page) = HOSTED_ENDPOINTS.iter().find(|(have, _)| *have == name)?;
        Some(Self {
            endpoint: *page,
            client_id: client.map(str::to_owned),
        })
    }
}

impl RedirectUri {
    /// Parses an `http` or `https` URL without user name, password and fragment. `None` unless it
    /// is written exactly as browsers serialise it, so that no two programs read it differently.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let url = Url::parse(text).ok()?;
        let plain =
            url.username().is_empty() && url.password().is_none() && url.fragment().is_none();
        // A bare origin may lack the `/`, as `window.location.origin` does.
        let as_written = url.as_str() == text || url.as_str().strip_suffix('/') == Some(text);
        if !plain
            || !as_written
            || text.len() > MAX_URI
            || !text.bytes().all(|b| b.is_ascii_graphic() && b != b'\\')
        {
            return None;
        }
        let origin = Origin::parse(&url.origin().ascii_serialization())?;
        Some(Self {
            text: text.to_owned(),
            origin,
        })
    }

    /// The address as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The origin of the address.
    #[must_use]
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// The path; `/` where the address has none.
    #[must_use]
    pub fn path(&self) -> &str {
        let rest = self.text.split_once("://").map_or("", |(_, rest)| rest);
        let path = rest.find('/').and_then(|at| rest.get(at..)).unwrap_or("/");
        path.split('?').next().unwrap_or("/")
    }
}

impl HostedBackend {
    /// The backend of one client, which may return to `list`; the first entry is the default.
    /// `None` where the list is empty.
    #[must_use]
    pub fn new(client_id: String, list: Vec<RedirectUri>) -> Option<Self> {
        let mut list = list.into_iter();
        let first = list.next()?;
        Some(Self {
            client_id,
            default: first,
            others: list.collect(),
        })
    }

    /// Whether `id` is the client's id.
    #[must_use]
    pub fn is_client(&self, id: &str) -> bool {
        self.client_id == id
    }

    /// Whether `origin` is the origin of an address on the list.
    #[must_use]
    pub fn lists_origin(&self, origin: &Origin) -> bool {
        self.uris().any(|uri| uri.origin == *origin)
    }

    /// The origins of the addresses on the list.
    pub fn origins(&self) -> impl Iterator<Item = &Origin> {
        self.uris().map(RedirectUri::origin)
    }

    /// The redirect to `wanted`, or to the default where that is `None`. `None` where the list does
    /// not hold `wanted`, byte for byte. `state` is added as the client sent it.
    #[must_use]
    pub fn redirect_to(
        &self,
        wanted: Option<&str>,
        state: Option<&str>,
    ) -> Option<AllowedRedirect> {
        let uri = match wanted {
            None => &self.default,
            Some(wanted) => self.uris().find(|uri| uri.text == wanted)?,
        };
        Some(uri.with_state(state))
    }

    /// The redirect to the default address.
    #[must_use]
    pub fn default_redirect(&self) -> AllowedRedirect {
        self.default.with_state(None)
    }

    fn uris(&self) -> impl Iterator<Item = &RedirectUri> {
        std::iter::once(&self.default).chain(&self.others)
    }
}

impl RedirectUri {
    fn with_state(&self, state: Option<&str>) -> AllowedRedirect {
        let Some(state) = state.filter(|state| !state.is_empty()) else {
            return AllowedRedirect(self.text.clone());
        };
        let sign = match self.text.split_once('?') {
            None => "?",
            Some((_, "")) => "",
            Some(_) => "&",
        };
        let state: String = url::form_urlencoded::byte_serialize(state.as_bytes()).collect();
        AllowedRedirect(format!("{}{sign}state={state}", self.text))
    }
}

impl AllowedRedirect {
    /// The address, with the `state`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The claims that FusionAuth returns of a user.
const SDK_CLAIMS: &[&str] = &[
    "applicationId",
    "birthdate",
    "email",
    "email_verified",
    "family_name",
    "given_name",
    "middle_name",
    "name",
    "phone_number",
    "picture",
    "preferred_username",
    "roles",
    "sid",
    "sub",
    "tid",
];

/// The response of `/app/me`: the user's claims that the SDKs know, as the access token has them.
#[must_use]
pub fn sdk_claims(identity: &Identity) -> Map<String, Value> {
    let claims = SDK_CLAIMS
        .iter()
        .filter_map(|name| identity.claims.get_key_value(*name));
    claims
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn backend() -> HostedBackend {
        let list = [
            "https://store.example.com/app",
            "http://localhost:5173",
            "https://a.example/x?y=1",
        ];
        HostedBackend::new(
            "c1".into(),
            list.iter()
                .filter_map(|uri| RedirectUri::parse(uri))
                .collect(),
        )
        .unwrap()
    }

    #[test]
    fn addresses_have_one_reading_or_are_refused() {
        for (good, path) in [
            ("https://store.example.com/", "/"),
            ("https://store.example.com", "/"),
            ("http://localhost:5173/a/b?c=d", "/a/b"),
            ("https://[::1]:8443/x", "/x"),
        ] {
            let uri = RedirectUri::parse(good).unwrap();
            assert_eq!((uri.as_str(), uri.path()), (good, path));
        }
        for bad in [
            "",
            "/",
            "//evil.example/",
            "store.example.com",
            "javascript:alert(1)",
            "data:text/html,x",
            "ftp://store.example.com/",
            "https:store.example.com/",
            "https:/store.example.com/",
            "https:\\\\store.example.com/",
            "https://STORE.example.com/",
            "https://store.example.com:443/",
            "https://store.example.com/a/../b",
            "https://store.example.com/#x",
            "https://user@store.example.com/",
            "https://user:secret@store.example.com/",
            "https://store.example.com?x=1",
            "https://store.example.com/é",
            "https://store.example.com/ a",
            " https://store.example.com/",
            "https://store.example.com/\n",
            "https://store.example.com\\@evil.example/",
            "https://*.example.com/x y",
            &format!("https://store.example.com/{}", "a".repeat(1000)),
        ] {
            assert_eq!(RedirectUri::parse(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn only_addresses_on_the_list_are_redirected_to() {
        let backend = backend();
        let to = |wanted, state| {
            backend
                .redirect_to(wanted, state)
                .map(|to| to.as_str().to_owned())
        };
        assert_eq!(
            to(None, None).as_deref(),
            Some("https://store.example.com/app")
        );
        assert_eq!(
            to(Some("http://localhost:5173"), None).as_deref(),
            Some("http://localhost:5173")
        );
        for not in [
            "",
            "http://localhost:5173/",
            "http://localhost:51730",
            "https://store.example.com/app/",
            "https://store.example.com/app?x",
            "https://store.example.com/app@evil.example",
            "HTTPS://store.example.com/app",
            "//store.example.com/app",
            "/app",
        ] {
            assert_eq!(to(Some(not), None), None, "{not:?}");
        }
    }

    #[test]
    fn the_state_is_returned_as_it_was_sent() {
        let backend = backend();
        let to = |wanted, state| {
            backend
                .redirect_to(wanted, Some(state))
                .unwrap()
                .as_str()
                .to_owned()
        };
        assert_eq!(
            to(None, "a b&c=d#é"),
            "https://store.example.com/app?state=a+b%26c%3Dd%23%C3%A9"
        );
        assert_eq!(
            to(Some("https://a.example/x?y=1"), "s"),
            "https://a.example/x?y=1&state=s"
        );
        assert_eq!(
            to(Some("http://localhost:5173"), "s"),
            "http://localhost:5173?state=s"
        );
        assert_eq!(to(None, ""), "https://store.example.com/app");
        assert!(
            to(None, "\r\nSet-Cookie: x\u{0}")
                .bytes()
                .all(|b| b.is_ascii_graphic())
        );
    }

    #[test]
    fn only_the_claims_that_the_sdks_know_are_returned() {
        let claims = json!({
            "sub": "u1", "email": "ann@example.com", "roles": ["admin"], "applicationId": "a1", "tid": "t1",
            "aud": "a1", "exp": 7, "jti": "j", "secret": "s",
        });
        let identity = Identity::from_claims(claims.as_object().unwrap().clone()).unwrap();
        let expected = json!({
            "sub": "u1", "email": "ann@example.com", "roles": ["admin"], "applicationId": "a1", "tid": "t1",
        });
        assert_eq!(Value::Object(sdk_claims(&identity)), expected);
    }
}
