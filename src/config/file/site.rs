//! The keys of `[[sites]]`, a guarded application, as written in the file.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;

use super::super::spans::At;
use super::super::units::{Moment, Size, Time};
use super::site_headers::Headers;
use super::site_theme::Theme;
use super::upstream::{Balance, Health, Protocol, Upstream};

/// A guarded application.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct Site {
    /// The name of the site in logs, metrics and `X-Auth-Site`: `a-z`, `0-9` and `-`. Cookies are
    /// sealed to it.
    #[schemars(required)]
    pub name: Option<At<String>>,
    /// The external origin, like `https://store.example.com`. It decides the `Host` that the site
    /// answers, `Secure` on its cookies, and origin checks.
    #[schemars(required)]
    pub origin: Option<At<String>>,
    /// Further hosts of the same site.
    #[schemars(extend("default" = []))]
    pub aliases: Vec<At<String>>,
    /// Whether requests over plain HTTP are redirected to https, where the origin is https and
    /// there is a `[[server.tls]]`. A trusted proxy that says `X-Forwarded-Proto: https` is not
    /// redirected.
    #[schemars(extend("default" = true))]
    pub redirect_to_https: At<bool>,
    /// For how long browsers are told to open the site over https only: the `max-age` of
    /// `Strict-Transport-Security` on all of its responses. Left out, the gateway's own pages say
    /// one year, and the application decides about the others.
    #[serde(default)]
    #[schemars(extend("x-from" = "0s", "x-to" = "3650d"))]
    pub hsts: Option<At<Time>>,
    /// The identity provider of its visitors: a name from `[providers]`. May be left out while
    /// there is only one.
    #[serde(default)]
    pub provider: Option<At<String>>,
    /// The audience (`aud`) of its tokens; with FusionAuth the id of the application. Required but
    /// with an OIDC provider, whose `client_id` is the default.
    #[serde(default)]
    pub application_id: Option<At<String>>,
    /// The servers of the application: `http://host:port`, `https://host:port` (the certificate is
    /// verified) or `unix:///path`, or a table with more. With several, `balance` says which one is
    /// next. Needed unless `forward_auth` is set.
    #[serde(default)]
    pub upstreams: Option<At<Vec<At<Upstream>>>>,
    /// Whether the proxies of `server.trusted_proxies` may ask at `/_vestibule/auth` about requests
    /// that they forward to the application themselves: nginx `auth_request`, Caddy and Traefik
    /// forward-auth, Envoy `ext_authz`.
    #[schemars(extend("default" = false))]
    pub forward_auth: At<bool>,
    /// How requests are distributed over several upstreams.
    #[schemars(extend("default" = "round_robin"))]
    pub balance: Balance,
    /// The protocol of `http://` and `unix://` upstreams. `https://` upstreams choose by ALPN.
    #[schemars(extend("default" = "http1"))]
    pub upstream_protocol: Protocol,
    /// The `Host` header sent to the upstream. Left out, the client's.
    #[serde(default)]
    pub upstream_host: Option<At<String>>,
    /// The time limit between two reads from an upstream of this site. Left out,
    /// `server.limits.upstream_idle`, which also limits the clients of all sites.
    #[serde(default)]
    #[schemars(extend("x-from" = "1ms", "x-to" = "1d"))]
    pub upstream_idle: Option<At<Time>>,
    /// The longest request target (path and query) that the site accepts. One of 64 KiB loses its
    /// last two bytes.
    #[schemars(extend("default" = "8KiB", "x-from" = "1KiB", "x-to" = "64KiB"))]
    pub max_target: At<Size>,
    /// The most bytes of header fields that a request to the site may have.
    #[schemars(extend("default" = "16KiB", "x-from" = "1KiB", "x-to" = "64KiB"))]
    pub max_head: At<Size>,
    /// The largest request body for the application. Left out: any.
    #[serde(default)]
    #[schemars(extend("x-from" = "0B", "x-to" = "1024GiB"))]
    pub max_body: Option<At<Size>>,
    /// How many idle connections to its upstreams are kept for the next requests. The sites share
    /// the sum of their numbers. A change needs a restart.
    #[schemars(range(min = 1, max = 1_000_000), extend("default" = 20_000))]
    pub upstream_keepalive: At<usize>,
    /// Whether requests to the upstream carry `Via`. Some servers do not compress responses to
    /// requests that have it: nginx by default (`gzip_proxied off`).
    #[schemars(extend("default" = true))]
    pub via: At<bool>,
    /// Whether `Location` and `Content-Location` that name the address of an upstream or
    /// `upstream_host` are rewritten to `origin`, and a `Domain` of cookies that names its host is
    /// removed.
    #[schemars(extend("default" = true))]
    pub rewrite: At<bool>,
    /// Health checks: an upstream that fails three in a row gets no requests until it passes two.
    /// The first check after the start counts at once.
    #[serde(default)]
    pub health: Option<Health>,
    /// How browsers carry their credential.
    #[schemars(extend("default" = "jwt"))]
    pub credential: Credential,
    /// Whether API clients and mobile apps may carry tokens themselves, in headers and JSON bodies.
    #[schemars(extend("default" = false))]
    pub bearer: At<bool>,
    /// Whether programs without a form, such as git, pip and calendar clients, may send a user's
    /// name and password with each request (`Authorization: Basic`). The provider checks them.
    #[schemars(extend("default" = false))]
    pub basic: bool,
    /// The service tokens, one `[[sites.tokens]]` each: programs without an account at the provider
    /// present them as `Authorization: Bearer vst_…`.
    #[schemars(extend("default" = []))]
    pub tokens: Vec<At<ServiceToken>>,
    /// A header that may carry a service token too, for clients that cannot set `Authorization`.
    #[serde(default)]
    pub token_header: Option<At<String>>,
    /// The path after a sign-in without a return address.
    #[schemars(extend("default" = "/"))]
    pub landing: At<String>,
    /// The path after a sign-out.
    #[schemars(extend("default" = "/"))]
    pub after_logout: At<String>,
    /// The access of paths without a matching rule.
    #[schemars(extend("default" = "required"))]
    pub default_access: Access,
    /// Other origins whose pages may call the JSON endpoints and send unsafe requests with the
    /// visitor's cookies.
    #[schemars(extend("default" = []))]
    pub allowed_origins: Vec<At<String>>,
    /// What to do with `%2F` in paths.
    #[schemars(extend("default" = "reject"))]
    pub encoded_slashes: Slashes,
    /// Allows an `http` origin that is not loopback: cookies then travel in the clear.
    #[schemars(extend("default" = false))]
    pub insecure: At<bool>,
    /// The paths of the gateway's own endpoints.
    #[schemars(extend("default" = {}))]
    pub paths: Paths,
    /// The names of the gateway's cookies. Left out, `__Host-vestibule-access` and so on; without
    /// `__Host-` on http.
    #[schemars(extend("default" = {}))]
    pub cookies: CookieNames,
    /// The identity headers for the application: the name of a preset, or a table of header names
    /// and templates over `{sub}`, `{email}`, `{username}`, `{roles}` and `{claim.NAME}`.
    /// `{username|email}` takes the first that the user has; `{claim.address.country}` reads a
    /// claim inside a claim. Left out, `X-Auth-User-Id`, `X-Auth-Email`, `X-Auth-Username` and
    /// `X-Auth-Roles`.
    #[serde(default)]
    pub headers: Option<At<Headers>>,
    /// Serves the endpoints and cookies of FusionAuth's hosted backend, for its single-page SDKs.
    /// Needs `credential = "jwt"`.
    #[serde(default)]
    pub hosted_backend: Option<At<HostedBackend>>,
    /// The largest body of a form that is preserved if it is posted after the session has ended.
    /// The sign-in form says so of a larger one, which is lost.
    #[schemars(extend("default" = "64KiB", "x-from" = "0B", "x-to" = "1MiB"))]
    pub preserve_post: At<Size>,
    /// The application's own cookies that belong to one user, such as its session: names, in which
    /// one `*` stands for any characters. They are expired at sign-out, and kept from the next user
    /// of the same browser.
    #[schemars(extend("default" = []))]
    pub forget: Vec<At<String>>,
    /// The application's own sign-out: paths, with parameters of the query that a request must
    /// have. Who follows a link there or presses a button is signed out at the gateway.
    #[schemars(extend("default" = []))]
    pub sign_out_paths: Vec<At<String>>,
    /// Whether the application gets a signed `X-Auth-Assertion`.
    #[schemars(extend("default" = false))]
    pub assertion: bool,
    /// Whether the application gets the access token, as `Authorization: Bearer`.
    #[schemars(extend("default" = false))]
    pub forward_token: bool,
    /// The look of the gateway's own pages on this site.
    #[serde(default)]
    pub theme: Option<At<Theme>>,
    /// The access rules, one `[[sites.rules]]` each. The first match counts.
    #[schemars(extend("default" = []))]
    pub rules: Vec<At<Rule>>,
}

/// How browsers carry their credential.
#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(in crate::config) enum Credential {
    /// The access token (a JWT) and the sealed refresh token in cookies.
    Jwt,
    /// A session id in a cookie; the tokens stay in the store.
    Session,
}

/// The access that a path requires.
#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(in crate::config) enum Access {
    /// Everybody. No identity is forwarded.
    Public,
    /// Everybody. The identity of a signed-in visitor is forwarded.
    Optional,
    /// Signed-in visitors only.
    Required,
}

/// What to do with `%2F` in paths.
#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(in crate::config) enum Slashes {
    /// Refuse the request.
    Reject,
    /// Treat it as an ordinary byte, in rules and upstream. Dangerous where the application takes
    /// it for `/`: a rule for `/admin/*` does not match `/admin%2Fusers`.
    Pass,
}

/// The paths of the gateway's own endpoints.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct Paths {
    /// The path of the sign-in form. It may end in `/`, and then it is that path alone.
    #[schemars(extend("default" = "/login"))]
    pub login: At<String>,
    /// The path of the sign-out page. It may end in `/`, and then it is that path alone.
    #[schemars(extend("default" = "/logout"))]
    pub logout: At<String>,
    /// The prefix of the JSON endpoints. `false`: the site has none, and all paths beneath `/api`
    /// are the application's.
    #[schemars(extend("default" = "/api"))]
    pub api: At<ApiPrefix>,
}

/// The prefix of the JSON endpoints.
#[derive(Deserialize)]
#[serde(untagged)]
pub(in crate::config) enum ApiPrefix {
    /// The prefix.
    Path(String),
    /// `false` for none. `true` is refused.
    Enabled(bool),
}

impl JsonSchema for ApiPrefix {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "ApiPrefix".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "oneOf": [{ "type": "string" }, { "type": "boolean" }] })
    }
}

/// The names of the gateway's cookies; on https they begin with `__Host-`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct CookieNames {
    /// The name of the cookie with the access token.
    #[serde(default)]
    pub access: Option<At<String>>,
    /// The name of the cookie with the sealed refresh token.
    #[serde(default)]
    pub refresh: Option<At<String>>,
    /// The name of the cookie with the session id.
    #[serde(default)]
    pub session: Option<At<String>>,
    /// The name of the cookie that protects the sign-in form against CSRF.
    #[serde(default)]
    pub form: Option<At<String>>,
    /// The name of the cookie that recognises a browser in which an account signed in before.
    #[serde(default)]
    pub device: Option<At<String>>,
    /// The name of the cookie that tells whose the application's cookies are (`forget`).
    #[serde(default)]
    pub owner: Option<At<String>>,
}

/// FusionAuth's hosted backend, for its single-page SDKs.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct HostedBackend {
    /// The `clientId` of the SDK.
    #[schemars(required)]
    pub client_id: Option<At<String>>,
    /// The allowed redirect URIs, compared exactly. The first is used where the SDK asks for none.
    /// Pages of their origins may read who is signed in.
    #[schemars(required)]
    pub redirect_uris: Option<At<Vec<At<String>>>>,
}

/// An access rule.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct Rule {
    /// The path pattern: `/a` matches only itself; `/a/*` matches `/a`, `/a/` and everything
    /// beneath. Elsewhere, `*` stands for a part of one segment that is not empty:
    /// `/feeds/*.json`, `/repos/*/info/refs`. Matched against the percent-decoded path,
    /// case-sensitive.
    #[schemars(required)]
    pub path: Option<At<String>>,
    /// The methods that the rule matches; `GET` includes `HEAD`. Other methods go on to later
    /// rules. Left out: all.
    #[serde(default)]
    pub methods: Option<At<Vec<At<String>>>>,
    /// The networks of the clients that the rule matches, each an address or a network. Other
    /// clients go on to later rules. Left out: all.
    #[serde(default)]
    pub from: Option<At<Vec<At<String>>>>,
    /// A header that a request must have, with any value. Requests without it go on to later
    /// rules.
    #[serde(default)]
    pub header: Option<At<String>>,
    /// The required access.
    #[schemars(required)]
    pub access: Option<Access>,
    /// With `required`: the visitor must have at least one of these roles.
    #[serde(default)]
    pub roles: Option<At<Vec<At<String>>>>,
    /// With `required`: the answer to signed-out visitors.
    #[serde(default)]
    pub signed_out: Option<At<SignedOut>>,
    /// Whether programs without a form may send Basic credentials here. Left out, what the site's
    /// `basic` says.
    #[serde(default)]
    pub basic: Option<At<bool>>,
}

/// A service token. Make one with `vestibule tokens new`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct ServiceToken {
    /// The name: `a-z`, `0-9` and `-`. The application gets `token:NAME` as the user's id.
    #[schemars(required)]
    pub name: Option<At<String>>,
    /// The SHA-256 of the token: 64 hexadecimal digits. The token itself is not stored.
    #[schemars(required)]
    pub sha256: Option<At<String>>,
    /// The roles of its identity, for rules and for the application.
    #[schemars(extend("default" = []))]
    pub roles: Vec<At<String>>,
    /// The end of its validity: a date (its midnight in UTC), or a date and time with an offset.
    #[schemars(required)]
    pub expires: Option<At<Moment>>,
    /// The rules that it may meet, each by its `path`. Left out: all, and paths without a rule.
    #[serde(default)]
    pub rules: Option<At<Vec<At<String>>>>,
}

/// The answer to a signed-out visitor on a required path.
#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(in crate::config) enum SignedOut {
    /// A redirect to the sign-in form for navigations, `401` for everything else. The default.
    Auto,
    /// Always a redirect to the sign-in form.
    Redirect,
    /// Always `401`.
    Status,
}
