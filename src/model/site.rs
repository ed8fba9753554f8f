//! One guarded application.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, Method};

use super::cookie::CookieNames;
use super::credential::CredentialKind;
use super::hosted_backend::HostedBackend;
use super::identity_headers::IdentityHeaders;
use super::origin::{Host, Origin};
use super::return_path::ReturnPath;
use super::rule::{Access, Rule, UnauthenticatedAction};
use super::target::{EncodedSlashes, Target};
use super::theme::Theme;

/// A guarded application: an external origin, its upstreams, its rules, its cookies. Made by the
/// configuration, checked, and never changed.
#[derive(Clone, Debug)]
pub struct Site {
    /// The name in logs, metrics and `X-Auth-Site`; part of what cookies are sealed to.
    pub name: String,
    /// What visitors type.
    pub origin: Origin,
    /// Further hosts that mean the same site.
    pub aliases: Vec<Host>,
    /// The provider that vouches for its visitors, by its name in the configuration.
    pub provider: String,
    /// The audience its tokens must name.
    pub application_id: String,
    /// Where the application listens; never empty.
    pub upstreams: Vec<Upstream>,
    /// The `Host` sent upstream; `None` sends the client's.
    pub upstream_host: Option<String>,
    /// How upstreams are watched; `None`: not at all.
    pub health: Option<HealthCheck>,
    /// How its browsers carry their proof: [`CredentialKind::Jwt`] or [`CredentialKind::Session`].
    pub credential: CredentialKind,
    /// How long its server-side sessions live.
    pub session_lifetime: SessionLifetime,
    /// Whether clients that are no browsers may carry tokens in headers.
    pub bearer: bool,
    /// Where a sign-in leads without a return address.
    pub landing: ReturnPath,
    /// Where a sign-out leads.
    pub after_logout: ReturnPath,
    /// What a path without a rule asks for.
    pub default_access: Access,
    /// Other origins whose pages may write here.
    pub allowed_origins: Vec<Origin>,
    /// The endpoints that FusionAuth's single-page SDKs call, where the operator wants them.
    pub hosted_backend: Option<HostedBackend>,
    /// What happens to `%2F` in paths.
    pub encoded_slashes: EncodedSlashes,
    /// The gateway's own paths.
    pub paths: OwnPaths,
    /// The gateway's own cookies.
    pub cookies: CookieNames,
    /// How long remembered cookies live.
    pub cookie_max_age: Duration,
    /// What the application is told about its visitor.
    pub identity_headers: IdentityHeaders,
    /// Whether a signed assertion goes along.
    pub assertion: bool,
    /// Whether the access token itself goes along.
    pub forward_token: bool,
    /// Renewal starts this long before the access token ends.
    pub refresh_ahead: Duration,
    /// What its pages look like.
    pub theme: Box<Theme>,
    /// The policy, in written order.
    pub rules: Vec<Rule>,
}

/// How long a server-side session lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionLifetime {
    /// Without a request.
    pub idle: Duration,
    /// However much it is used.
    pub absolute: Duration,
}

/// The gateway's own paths at a site.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnPaths {
    /// The sign-in form, default `/login`.
    pub login: String,
    /// The sign-out, default `/logout`.
    pub logout: String,
    /// What stands before the JSON endpoints, default `/api`.
    pub api: String,
}

impl Default for OwnPaths {
    fn default() -> Self {
        Self {
            login: "/login".into(),
            logout: "/logout".into(),
            api: "/api".into(),
        }
    }
}

/// Where an application listens.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Upstream {
    /// `http://host:port`.
    Http {
        /// Name or address (IPv6 in brackets).
        host: String,
        /// 1 to 65535.
        port: u16,
    },
    /// `https://host:port`, the certificate verified by name.
    Https {
        /// Name or address (IPv6 in brackets).
        host: String,
        /// 1 to 65535.
        port: u16,
    },
    /// `unix:///path`.
    Unix {
        /// The socket.
        path: PathBuf,
    },
}

impl std::fmt::Display for Upstream {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Http { host, port } => write!(out, "http://{host}:{port}"),
            Self::Https { host, port } => write!(out, "https://{host}:{port}"),
            Self::Unix { path } => write!(out, "unix://{}", path.display()),
        }
    }
}

/// An active check of an upstream: `GET path` must answer with 2xx or 3xx.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthCheck {
    /// Path and query asked for.
    pub path: String,
    /// From the start of one check to the start of the next.
    pub interval: Duration,
}

/// What the rules say about one request.
#[derive(Clone, Copy, Debug)]
pub struct Requirement<'a> {
    /// The pattern that matched; `None`: the site's default.
    pub pattern: Option<&'a Arc<str>>,
    /// What it asks for.
    pub access: Access,
    /// At least one of these; empty asks for none.
    pub roles: &'a [String],
    /// What the signed-out visitor gets.
    pub unauthenticated: UnauthenticatedAction,
}

impl Requirement<'_> {
    fn is_stricter_than(&self, other: &Self) -> bool {
        let rank = |access: Access| match access {
            Access::Public => 0,
            Access::Optional => 1,
            Access::Required => 2,
        };
        let roles =
            self.access == Access::Required && !self.roles.is_empty() && self.roles != other.roles;
        rank(self.access) > rank(other.access) || roles
    }
}

impl Site {
    /// The first rule that speaks of `method` on `path` (once percent-decoded), or the site's
    /// default.
    #[must_use]
    pub fn match_rule(&self, method: &Method, path: &[u8]) -> Requirement<'_> {
        match self.rules.iter().find(|rule| rule.matches(method, path)) {
            Some(rule) => Requirement {
                pattern: Some(rule.pattern.text()),
                access: rule.access,
                roles: &rule.roles,
                unauthenticated: rule.unauthenticated,
            },
            None => Requirement {
                pattern: None,
                access: self.default_access,
                roles: &[],
                unauthenticated: UnauthenticatedAction::Auto,
            },
        }
    }

    /// Whether an application that reads the path more freely than the gateway would take it for
    /// one that asks more of its visitor: then the request says two things and is malformed.
    #[must_use]
    pub fn is_evaded_by(&self, method: &Method, target: &Target<'_>) -> bool {
        let readings = target.alternate_decodings();
        if readings.is_empty() {
            return false;
        }
        let judged = self.match_rule(method, target.decoded_path());
        readings
            .iter()
            .any(|path| self.match_rule(method, path).is_stricter_than(&judged))
    }

    /// Whether a page of `origin` is this site's own.
    #[must_use]
    pub fn is_own_origin(&self, origin: &Origin) -> bool {
        *origin == self.origin
            || (origin.scheme == self.origin.scheme
                && self.aliases.iter().any(|alias| origin.matches_host(alias)))
    }

    /// Whether the gateway sets this header itself, so that a client's copy must go: case and every
    /// sign between letters alike.
    #[must_use]
    pub fn manages_header(&self, name: &HeaderName) -> bool {
        let text = name.as_str();
        if text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
            return self.manages_plain_name(text);
        }
        // Applications behind CGI, WSGI and PHP read `_` and `-` as the same letter, some of them
        // any sign at all.
        text.contains('_')
            || self.manages_plain_name(&text.replace(|c: char| !c.is_ascii_alphanumeric(), "-"))
    }

    fn manages_plain_name(&self, name: &str) -> bool {
        name.starts_with("x-auth-")
            || name.starts_with("x-forwarded-")
            || ALWAYS_MANAGED.contains(&name)
            || self.identity_headers.names().any(|managed| managed == name)
    }
}

/// Set by the gateway whatever the configuration, see `decide::upstream_headers`, or never
/// anybody's to send.
const ALWAYS_MANAGED: &[&str] = &[
    "forwarded",
    "x-real-ip",
    // Some frameworks take the path from these instead of the one that was judged.
    "x-original-uri",
    "x-original-url",
    "x-rewrite-url",
    "x-request-id",
    "remote-user",
    "remote-email",
    "remote-groups",
    "remote-name",
    "vestibule-access-token",
    "vestibule-refresh-token",
];
