//! What FusionAuth's single-page SDKs want of a "hosted backend": a client, and the addresses it
//! may be led back to.
//!
//! Those addresses may be of other origins, and they are the only ones the gateway ever sends a
//! browser to. So they have a type of their own: a [`AllowedRedirect`] comes out of the operator's
//! list and from nowhere else.

use serde_json::{Map, Value};
use url::Url;

use super::identity::Identity;
use super::origin::Origin;

/// A call of one of FusionAuth's single-page SDKs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostedRequest {
    /// What is called.
    pub endpoint: HostedEndpoint,
    /// The client, where the path names one.
    pub client_id: Option<String>,
}

/// What FusionAuth's single-page SDKs call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostedEndpoint {
    /// Sign in.
    Login,
    /// Make an account; as yet the same.
    Register,
    /// Come back from FusionAuth's pages.
    Callback,
    /// Who is signed in?
    Me,
    /// Renew now.
    Refresh,
    /// Sign out.
    Logout,
}

/// What stands before the endpoints of a hosted backend.
pub const HOSTED_PREFIX: &str = "/app/";
/// Their names.
pub const HOSTED_ENDPOINTS: [(&str, HostedEndpoint); 6] = [
    ("login", HostedEndpoint::Login),
    ("register", HostedEndpoint::Register),
    ("callback", HostedEndpoint::Callback),
    ("me", HostedEndpoint::Me),
    ("refresh", HostedEndpoint::Refresh),
    ("logout", HostedEndpoint::Logout),
];

/// The longest address of the list, in bytes: with a `state` it must still fit into the form's own
/// address.
const MAX_URI: usize = 1000;

/// A site's hosted backend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostedBackend {
    client_id: String,
    default: RedirectUri,
    others: Vec<RedirectUri>,
}

/// An address the operator lets browsers be led to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedirectUri {
    text: String,
    origin: Origin,
}

/// Where a browser is led: one of the operator's addresses, with what the client wants to be told
/// again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AllowedRedirect(String);

impl HostedRequest {
    /// `/app/NAME`, `/app/NAME/CLIENT`, each with or without a slash at the end. Everything else
    /// beneath is the application's. `path` is decoded.
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
    /// Reads an `http` or `https` address as browsers write it, where that is how it is written:
    /// what two programs could read differently is none. Without a name, a password or a fragment.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let url = Url::parse(text).ok()?;
        let plain =
            url.username().is_empty() && url.password().is_none() && url.fragment().is_none();
        // A bare origin may go without the `/`, as `window.location.origin` does.
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

    /// Whose pages it is one of.
    #[must_use]
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// The path, `/` where none was written.
    #[must_use]
    pub fn path(&self) -> &str {
        let rest = self.text.split_once("://").map_or("", |(_, rest)| rest);
        let path = rest.find('/').and_then(|at| rest.get(at..)).unwrap_or("/");
        path.split('?').next().unwrap_or("/")
    }
}

impl HostedBackend {
    /// The backend of one client; `None` where the list is empty.
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

    /// Whether `id` is the client's.
    #[must_use]
    pub fn is_client(&self, id: &str) -> bool {
        self.client_id == id
    }

    /// Whether a page of `origin` is one of the client's.
    #[must_use]
    pub fn lists_origin(&self, origin: &Origin) -> bool {
        self.uris().any(|uri| uri.origin == *origin)
    }

    /// The client's origins.
    pub fn origins(&self) -> impl Iterator<Item = &Origin> {
        self.uris().map(RedirectUri::origin)
    }

    /// To the address that is `wanted`, the first where none is; `None` where the list does not
    /// have it, letter for letter. `state` goes along as the client gave it.
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

    /// To the first address.
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
    /// The address.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The claims that FusionAuth tells of a person when it is asked who they are.
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

/// What `/app/me` tells: those of the person's claims that the SDKs know, as the token has them.
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
    fn addresses_are_read_in_one_way_or_not_at_all() {
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
    fn nobody_is_led_to_what_is_not_in_the_list() {
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
    fn the_state_comes_back_as_it_was_given() {
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
    fn what_is_told_of_a_person_is_what_the_sdks_know() {
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
