//! A site: one protected application.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, Method};

use super::application_cookies::CookiePatterns;
use super::cookie_names::CookieNames;
use super::credential::CredentialKind;
use super::fusionauth_hosted_backend::HostedBackend;
use super::https_policy::HttpsPolicy;
use super::identity_headers::IdentityHeaders;
use super::origin::{Host, Origin};
use super::path_segments::PathSegments;
use super::request_limits::RequestLimits;
use super::return_path::ReturnPath;
use super::rule::{Access, Rule, RuleClient, UnauthenticatedAction};
use super::service_token::ServiceTokens;
use super::sign_out_path::SignOutPath;
use super::target::EncodedSlashes;
use super::theme::Theme;
use super::upstream::{Balance, HealthCheck, Upstream, UpstreamProtocol};

/// The number of rules up to which it is faster to ask each than to prepare the path.
const FEW_RULES: usize = 8;

/// A protected application: its external origin, upstreams, rules and cookies. Made from the
/// validated configuration and never changed.
#[derive(Clone, Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent settings of one site, not a state"
)]
pub struct Site {
    /// The name in logs, metrics and `X-Auth-Site`. It is part of the purpose of the site's seals.
    pub name: String,
    /// The origin that users open.
    pub origin: Origin,
    /// Further hosts of the same site.
    pub aliases: Vec<Host>,
    /// What the site asks of the way to it, where its origin is https.
    pub https: HttpsPolicy,
    /// The identity provider, by its name in the configuration.
    pub provider: String,
    /// Where users type their password.
    pub sign_in: SignIn,
    /// Whether the provider's messages are taken at this site.
    pub public_hooks: bool,
    /// The audience (`aud`) that access tokens must have.
    pub application_id: String,
    /// The servers of the application. Empty only where [`Self::forward_auth`] is set.
    pub upstreams: Vec<Upstream>,
    /// Whether trusted proxies may ask about requests that they forward themselves.
    pub forward_auth: bool,
    /// How requests are distributed over them.
    pub balance: Balance,
    /// What they speak in the clear.
    pub upstream_protocol: UpstreamProtocol,
    /// How many idle connections to them are kept.
    pub upstream_keepalive: usize,
    /// The `Host` field that is sent upstream; `None` sends the client's.
    pub upstream_host: Option<String>,
    /// The time limit between two reads from an upstream, and between two writes of a body to it;
    /// `None` for the server's.
    pub upstream_idle: Option<Duration>,
    /// How large requests may be.
    pub limits: RequestLimits,
    /// Whether requests to the application carry `Via`.
    pub via: ViaField,
    /// Whether fields of responses that name the upstream are rewritten for the site.
    pub rewrite: ResponseRewrite,
    /// The health check of the upstreams; `None` for no checks.
    pub health: Option<HealthCheck>,
    /// How browsers present their credentials: [`CredentialKind::Jwt`] or
    /// [`CredentialKind::Session`].
    pub credential: CredentialKind,
    /// The lifetime of server-side sessions.
    pub session_lifetime: SessionLifetime,
    /// Whether clients that are not browsers may present tokens in headers.
    pub bearer: bool,
    /// Whether clients without a form may present Basic credentials, where no rule says otherwise.
    pub basic: bool,
    /// The tokens of programs without an account.
    pub service_tokens: ServiceTokens,
    /// The page after a login without a return address.
    pub landing: ReturnPath,
    /// The page after a logout.
    pub after_logout: ReturnPath,
    /// The access to paths that no rule matches.
    pub default_access: Access,
    /// Other origins whose pages may call this site with cookies.
    pub allowed_origins: Vec<Origin>,
    /// The backend for FusionAuth's single-page SDKs, where the operator configured one.
    pub hosted_backend: Option<HostedBackend>,
    /// How `%2F` in paths is treated.
    pub encoded_slashes: EncodedSlashes,
    /// The paths of the gateway's own endpoints.
    pub paths: OwnPaths,
    /// The names of the gateway's cookies.
    pub cookies: CookieNames,
    /// The `Max-Age` of the cookies of users who asked to be remembered.
    pub cookie_max_age: Duration,
    /// The largest body of a posted form that is preserved over a login, in bytes.
    pub preserve_post: usize,
    /// The headers that tell the application who its user is.
    pub identity_headers: IdentityHeaders,
    /// Whether a signed assertion is sent upstream.
    pub assertion: bool,
    /// Whether the access token itself is sent upstream.
    pub forward_token: bool,
    /// How long before its expiry the access token is refreshed.
    pub refresh_ahead: Duration,
    /// The look of the gateway's pages.
    pub theme: Box<Theme>,
    /// The application's cookies that belong to one user.
    pub forget: CookiePatterns,
    /// The addresses of the application's own sign-out.
    pub sign_out_paths: Vec<SignOutPath>,
    /// The rules, in the order of the configuration. The first that matches applies.
    pub rules: Vec<Rule>,
}

/// Where users of a site type their password.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SignIn {
    /// In the gateway's own form.
    #[default]
    Form,
    /// At the identity provider, to which the browser is redirected.
    Redirect,
}

/// Whether requests to the application carry `Via` (RFC 9110, section 7.6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ViaField {
    /// The gateway appends itself to the client's field.
    Append,
    /// The field is left out, also the client's: some servers, such as nginx by default, do not
    /// compress responses to requests that have one.
    Omit,
}

impl From<bool> for ViaField {
    /// From the value of `via`.
    fn from(via: bool) -> Self {
        if via { Self::Append } else { Self::Omit }
    }
}

/// Whether fields of responses that name the upstream (`Location`, `Content-Location`, `Domain` of
/// cookies) are rewritten for the site.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResponseRewrite {
    /// They are rewritten.
    Enabled,
    /// They are forwarded unchanged.
    Disabled,
}

impl From<bool> for ResponseRewrite {
    /// From the value of `rewrite`.
    fn from(rewrite: bool) -> Self {
        if rewrite {
            Self::Enabled
        } else {
            Self::Disabled
        }
    }
}

/// The lifetime of server-side sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionLifetime {
    /// How long a session lives without a request.
    pub idle: Duration,
    /// How long a session lives at most, however much it is used.
    pub absolute: Duration,
}

/// The paths of the gateway's own endpoints at a site.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnPaths {
    /// The path of the login page; by default `/login`. It may end in `/`.
    pub login: String,
    /// The path of the logout page; by default `/logout`. It may end in `/`.
    pub logout: String,
    /// The prefix of the JSON endpoints; by default `/api`. `None` where the site has none of them.
    pub api: Option<String>,
}

impl OwnPaths {
    /// The prefix of the pages of further login steps: the path of the login page without a `/` at
    /// its end.
    #[must_use]
    pub fn login_prefix(&self) -> &str {
        self.login.trim_end_matches('/')
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        [self.login.as_str(), self.logout.as_str()]
            .into_iter()
            .chain(self.api.as_deref())
    }
}

impl Default for OwnPaths {
    fn default() -> Self {
        Self {
            login: "/login".into(),
            logout: "/logout".into(),
            api: Some("/api".into()),
        }
    }
}

/// What the rules require for one request.
#[derive(Clone, Copy, Debug)]
pub struct Requirement<'a> {
    /// The pattern of the rule that matched; `None` where the site's default applies.
    pub pattern: Option<&'a Arc<str>>,
    /// Who may access the path.
    pub access: Access,
    /// The roles of which a user needs at least one; empty where none is needed.
    pub roles: &'a [String],
    /// What an unauthenticated request gets.
    pub unauthenticated: UnauthenticatedAction,
    /// Whether Basic credentials of clients without a form are the gateway's.
    pub basic: bool,
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
    /// The first rule that applies to `method` on `path` (percent-decoded once); `None` where the
    /// site's default applies.
    #[must_use]
    pub fn find_rule(&self, method: &Method, path: &[u8], client: RuleClient<'_>) -> Option<&Rule> {
        if self.rules.len() <= FEW_RULES {
            let mut rules = self.rules.iter();
            return rules.find(|rule| rule.matches(method, path, client));
        }
        let segments = PathSegments::of(path);
        self.rules.iter().find(|rule| {
            segments.may_have(rule.pattern.key()) && rule.matches(method, path, client)
        })
    }

    /// What [the rule](Self::find_rule) for `method` on `path` requires, or the site's default.
    #[must_use]
    pub fn match_rule(
        &self,
        method: &Method,
        path: &[u8],
        client: RuleClient<'_>,
    ) -> Requirement<'_> {
        match self.find_rule(method, path, client) {
            Some(rule) => Requirement {
                pattern: Some(rule.pattern.text()),
                access: rule.access,
                roles: &rule.roles,
                unauthenticated: rule.unauthenticated,
                basic: rule.basic.unwrap_or(self.basic),
            },
            None => Requirement {
                pattern: None,
                access: self.default_access,
                roles: &[],
                unauthenticated: UnauthenticatedAction::Auto,
                basic: self.basic,
            },
        }
    }

    /// Whether an application that reads the method without regard to letter case would take the
    /// request for one with a stricter requirement. Such a request is malformed.
    #[must_use]
    pub fn is_evaded_by_method(
        &self,
        method: &Method,
        path: &[u8],
        client: RuleClient<'_>,
    ) -> bool {
        self.alternate_methods(method).any(|alternate| {
            let required = self.match_rule(method, path, client);
            self.match_rule(alternate, path, client)
                .is_stricter_than(&required)
        })
    }

    /// The headers that rules name.
    pub fn headers_of_rules(&self) -> impl Iterator<Item = &HeaderName> {
        self.rules.iter().filter_map(|rule| rule.header.as_ref())
    }

    /// The methods that rules name and that are `method` but for letter case. Every letter case of
    /// a standard method is refused before.
    fn alternate_methods(&self, method: &Method) -> impl Iterator<Item = &Method> {
        let is_common = matches!(
            *method,
            Method::GET | Method::HEAD | Method::POST | Method::PUT | Method::DELETE
        );
        let rules = if is_common { &[] } else { &*self.rules };
        rules
            .iter()
            .flat_map(|rule| &rule.methods)
            .filter(move |named| {
                *named != method && named.as_str().eq_ignore_ascii_case(method.as_str())
            })
    }

    /// Whether `origin` is the site's own, under its main host or an alias.
    #[must_use]
    pub fn is_own_origin(&self, origin: &Origin) -> bool {
        *origin == self.origin
            || (origin.scheme == self.origin.scheme
                && self.aliases.iter().any(|alias| origin.matches_host(alias)))
    }

    /// Whether a path (percent-decoded once) and query are the application's own sign-out.
    #[must_use]
    pub fn is_sign_out(&self, path: &[u8], query: Option<&str>) -> bool {
        let mut addresses = self.sign_out_paths.iter();
        addresses.any(|address| address.matches(path, query))
    }

    /// Whether the site takes bearer tokens of any kind.
    #[must_use]
    pub fn takes_bearer(&self) -> bool {
        self.bearer || !self.service_tokens.is_empty()
    }

    /// Whether the site takes Basic credentials on any path.
    #[must_use]
    pub fn takes_basic(&self) -> bool {
        self.basic || self.rules.iter().any(|rule| rule.basic == Some(true))
    }

    /// Whether the gateway sets this header itself, so that the client's copy must be removed. Case
    /// and the characters between letters do not matter.
    #[must_use]
    pub fn manages_header(&self, name: &HeaderName) -> bool {
        let text = name.as_str();
        if text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
            return self.manages_plain_name(text);
        }
        // Applications behind CGI, WSGI and PHP take `_` for `-`, and some of them any other
        // character too.
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

/// Headers that the gateway sets whatever the configuration says, see `decide::upstream_headers`,
/// and headers that no client may send.
const ALWAYS_MANAGED: &[&str] = &[
    "forwarded",
    "x-real-ip",
    // Some frameworks take the path from these instead of the request line.
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
    // CGI programs get it as `HTTP_PROXY`, and many libraries send their own requests there.
    "proxy",
];
