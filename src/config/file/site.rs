//! `[[sites]]`.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::super::spans::At;
use super::super::units::Time;

/// A guarded application.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct Site {
    /// Its name in logs, metrics and `X-Auth-Site`: `a-z`, `0-9` and `-`. Cookies are sealed to it.
    #[schemars(required)]
    pub name: Option<At<String>>,
    /// What the visitor types, like `https://store.example.com`. Decides `Host`, `Secure` and
    /// origin checks.
    #[schemars(required)]
    pub origin: Option<At<String>>,
    /// Further hosts that mean the same site.
    #[schemars(extend("default" = []))]
    pub aliases: Vec<At<String>>,
    /// Who vouches for its visitors: a name from `[providers]`. May be left out while there is only
    /// one.
    #[serde(default)]
    pub provider: Option<At<String>>,
    /// The audience its tokens must name; with FusionAuth the id of the application.
    #[schemars(required)]
    pub application_id: Option<At<String>>,
    /// Where the application listens: `http://host:port`, `https://host:port` (the certificate is
    /// verified) or `unix:///path`. Several take turns.
    #[schemars(required)]
    pub upstreams: Option<At<Vec<At<String>>>>,
    /// The protocol spoken with `http://` upstreams.
    #[schemars(extend("default" = "http1"))]
    #[expect(dead_code, reason = "there is one protocol as yet")]
    pub upstream_protocol: Protocol,
    /// The `Host` sent upstream. Left out, the client's is.
    #[serde(default)]
    pub upstream_host: Option<At<String>>,
    /// Watches the upstreams: one that does not answer is left out of the turns.
    #[serde(default)]
    pub health: Option<Health>,
    /// How clients carry their proof.
    #[schemars(extend("default" = "jwt"))]
    pub credential: Credential,
    /// Whether clients that are no browsers may carry their tokens themselves, in headers and JSON
    /// bodies.
    #[schemars(extend("default" = false))]
    pub bearer: At<bool>,
    /// Where a sign-in leads without a return address.
    #[schemars(extend("default" = "/"))]
    pub landing: At<String>,
    /// Where a sign-out leads.
    #[schemars(extend("default" = "/"))]
    pub after_logout: At<String>,
    /// What a path without a rule asks for.
    #[schemars(extend("default" = "required"))]
    pub default_access: Access,
    /// Other origins whose pages may call the JSON endpoints and write here, in the visitor's name.
    #[schemars(extend("default" = []))]
    pub allowed_origins: Vec<At<String>>,
    /// What happens to `%2F` in paths.
    #[schemars(extend("default" = "reject"))]
    pub encoded_slashes: Slashes,
    /// Allows an `http` origin that is not loopback: cookies then travel in the clear.
    #[schemars(extend("default" = false))]
    pub insecure: bool,
    /// The gateway's own paths.
    #[schemars(extend("default" = {}))]
    pub paths: Paths,
    /// The names of the gateway's cookies. Left out, `__Host-vestibule-access` and so on; without
    /// `__Host-` on http.
    #[schemars(extend("default" = {}))]
    pub cookies: CookieNames,
    /// What the application is told about its visitor: a preset, or headers and their templates
    /// over `{sub}`, `{email}`, `{username}`, `{roles}` and `{claim.NAME}`. Left out,
    /// `X-Auth-User-Id`, `X-Auth-Email`, `X-Auth-Username` and `X-Auth-Roles`.
    #[serde(default)]
    pub headers: Option<At<Headers>>,
    /// The endpoints and cookies that FusionAuth's single-page SDKs expect of a hosted backend,
    /// with `credential = "jwt"`.
    #[serde(default)]
    pub hosted_backend: Option<At<HostedBackend>>,
    /// Whether a signed `X-Auth-Assertion` goes along.
    #[schemars(extend("default" = false))]
    pub assertion: bool,
    /// Whether the access token itself goes along, as `Authorization: Bearer`.
    #[schemars(extend("default" = false))]
    pub forward_token: bool,
    /// What the gateway's own pages look like here.
    #[serde(default)]
    pub theme: Option<At<Theme>>,
    /// What paths ask of visitors, one `[[sites.rules]]` each; the first that matches counts.
    #[schemars(extend("default" = []))]
    pub rules: Vec<At<Rule>>,
}

/// The protocol spoken with upstreams.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(in crate::config) enum Protocol {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2 in the clear.
    #[schemars(extend("x-not-yet" = "use \"http1\""))]
    H2,
}

/// Watches the upstreams.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct Health {
    /// The path asked for; a 2xx or 3xx is health.
    #[schemars(required)]
    pub path: Option<At<String>>,
    /// From one check to the next.
    #[schemars(extend("default" = "5s", "x-from" = "10ms", "x-to" = "1h"))]
    pub interval: At<Time>,
}

/// How clients carry their proof.
#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(in crate::config) enum Credential {
    /// The access token and the sealed refresh token in cookies.
    Jwt,
    /// A session id in a cookie, the tokens in the store.
    Session,
}

/// What a path asks of its visitors.
#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(in crate::config) enum Access {
    /// Nothing; no identity is forwarded.
    Public,
    /// Nothing; an identity is forwarded when there is one.
    Optional,
    /// To be signed in.
    Required,
}

/// What happens to `%2F` in paths.
#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(in crate::config) enum Slashes {
    /// The request is refused.
    Reject,
    /// It is an ordinary byte.
    Pass,
}

/// The gateway's own paths.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct Paths {
    /// The sign-in form.
    #[schemars(extend("default" = "/login"))]
    pub login: At<String>,
    /// The sign-out.
    #[schemars(extend("default" = "/logout"))]
    pub logout: At<String>,
    /// What stands before the JSON endpoints.
    #[schemars(extend("default" = "/api"))]
    pub api: At<String>,
}

/// The names of the gateway's cookies; on https they begin with `__Host-`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct CookieNames {
    /// The access token's.
    #[serde(default)]
    pub access: Option<At<String>>,
    /// The sealed refresh token's.
    #[serde(default)]
    pub refresh: Option<At<String>>,
    /// The session id's.
    #[serde(default)]
    pub session: Option<At<String>>,
    /// The sign-in form's.
    #[serde(default)]
    pub form: Option<At<String>>,
    /// The device's: by it a browser is known where an account signed in before.
    #[serde(default)]
    pub device: Option<At<String>>,
}

/// What the application is told about its visitor.
pub(in crate::config) enum Headers {
    /// The name of a preset.
    Preset(String),
    /// Header names and templates.
    Table(Vec<(At<String>, At<String>)>),
}

impl<'de> Deserialize<'de> for Headers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(HeadersVisitor)
    }
}

struct HeadersVisitor;

impl<'de> Visitor<'de> for HeadersVisitor {
    type Value = Headers;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a preset or a table of headers")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Headers, E> {
        Ok(Headers::Preset(text.to_owned()))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Headers, A::Error> {
        let mut headers = Vec::new();
        while let Some(header) = map.next_entry()? {
            headers.push(header);
        }
        Ok(Headers::Table(headers))
    }
}

impl JsonSchema for Headers {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Headers".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "oneOf": [
            { "type": "string", "enum": ["remote-user", "x-forwarded-user"] },
            { "type": "object", "additionalProperties": { "type": "string" } }
        ] })
    }
}

/// What FusionAuth's single-page SDKs expect of a hosted backend.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct HostedBackend {
    /// The client it serves: the `clientId` of the SDK.
    #[schemars(required)]
    pub client_id: Option<At<String>>,
    /// The only addresses it leads back to, compared letter for letter; the first where none is
    /// asked for. Their origins may read who is signed in.
    #[schemars(required)]
    pub redirect_uris: Option<At<Vec<At<String>>>>,
}

/// What the gateway's own pages look like.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct Theme {
    /// The name above the pages. Left out, the host.
    #[serde(default)]
    pub name: Option<At<String>>,
    /// The mark beside it, 40 pixels high: an SVG, PNG or WebP file of at most 64 KiB.
    #[serde(default)]
    pub logo: Option<At<String>>,
    /// The colour of buttons and links, `#rgb` or `#rrggbb`. Text stays readable on it, whatever it
    /// is.
    #[serde(default)]
    pub accent: Option<At<String>>,
    /// The language of visitors whose browsers ask for none that the pages speak. Left out,
    /// English.
    #[serde(default)]
    pub language: Option<At<String>>,
    /// Where else visitors may go.
    #[serde(default)]
    pub links: Option<Links>,
    /// A folder with templates (`.html`) in place of ours and a style sheet (`style.css`) after
    /// ours.
    #[serde(default)]
    pub templates: Option<At<String>>,
}

/// Where else visitors may go: a path of the site or an `https` address each.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct Links {
    /// What happens to what they tell; at the foot of every page.
    #[serde(default)]
    pub privacy: Option<At<String>>,
    /// Who helps; at the foot of every page.
    #[serde(default)]
    pub help: Option<At<String>>,
    /// Where accounts are made; below the sign-in form.
    #[serde(default)]
    pub register: Option<At<String>>,
    /// Where a password that was forgotten is replaced; below the sign-in form.
    #[serde(default)]
    pub forgot_password: Option<At<String>>,
}

/// What a path asks of visitors.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct Rule {
    /// `/a` is only itself; `/a/*` is `/a`, `/a/` and all beneath. Compared with the
    /// percent-decoded path.
    #[schemars(required)]
    pub path: Option<At<String>>,
    /// The methods it speaks of; other methods fall through to later rules. `GET` speaks of `HEAD`
    /// too. Left out: all.
    #[serde(default)]
    pub methods: Option<At<Vec<At<String>>>>,
    /// What it asks for.
    #[schemars(required)]
    pub access: Option<Access>,
    /// With `required`: the visitor has at least one of these roles.
    #[serde(default)]
    pub roles: Option<At<Vec<At<String>>>>,
    /// With `required`: what signed-out visitors get.
    #[serde(default)]
    pub signed_out: Option<At<SignedOut>>,
}

/// What the signed-out visitor of a required path gets.
#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(in crate::config) enum SignedOut {
    /// The sign-in form for navigations, 401 for everything else. What a rule without this key
    /// does.
    Auto,
    /// The sign-in form.
    Redirect,
    /// 401.
    Status,
}
