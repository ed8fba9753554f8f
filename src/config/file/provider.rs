//! The keys of `[providers.NAME]`, an identity provider, as written in the file.

use schemars::JsonSchema;
use serde::Deserialize;

use super::super::secret_source::SecretSource;
use super::super::spans::At;
use super::super::units::Time;
use crate::model::algorithm::Algorithm;

/// An identity provider.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct Provider {
    /// The kind of provider.
    #[schemars(required)]
    pub kind: Option<Kind>,
    /// The URL of the FusionAuth server, like `https://id.example.com`, or the issuer of an OIDC
    /// provider exactly as its discovery document has it. Required with both.
    #[serde(default)]
    pub url: Option<At<String>>,
    /// An API key of FusionAuth. Required with `kind = "fusionauth"`.
    #[serde(default)]
    pub api_key: Option<At<SecretSource>>,
    /// The id of FusionAuth's tenant, where the server has several.
    #[serde(default)]
    pub tenant_id: Option<At<String>>,
    /// The exact `iss` of its tokens. Required with `kind = "fusionauth"`; by default `url` with
    /// `kind = "oidc"`, `vestibule.local` with `kind = "embedded"`.
    #[serde(default)]
    pub issuer: Option<At<String>>,
    /// The accepted signature algorithms. `HS256`, `HS384` and `HS512` need `hmac_secret` and
    /// cannot be mixed with others.
    #[schemars(extend("default" = ["RS256", "ES256", "EdDSA"]))]
    pub algorithms: At<Vec<At<Algorithm>>>,
    /// The key of `HS256`, `HS384` or `HS512`, at least as long as the hash: 32, 48 or 64 bytes.
    #[serde(default)]
    pub hmac_secret: Option<At<SecretSource>>,
    /// The time limit for one call to the provider, from start to end.
    #[schemars(extend("default" = "5s", "x-from" = "1ms", "x-to" = "2m"))]
    pub timeout: At<Time>,
    /// How far the provider's clock and the gateway's may differ.
    #[schemars(extend("default" = "30s", "x-from" = "0s", "x-to" = "5m"))]
    pub leeway: At<Time>,
    /// Whether visitors with an expired or locked account are told so after a correct password.
    #[schemars(extend("default" = false))]
    pub reveal_account_state: bool,
    /// Allows an `http` URL that is not loopback: passwords and tokens then travel in the clear.
    #[schemars(extend("default" = false))]
    pub insecure: At<bool>,
    /// The TOML file with the users of the embedded identity server. Required with `kind =
    /// "embedded"`.
    #[serde(default)]
    pub users: Option<At<String>>,
    /// The secret that FusionAuth's webhooks carry in `Authorization: Bearer`, where they are not
    /// signed.
    #[serde(default)]
    pub webhook_secret: Option<At<SecretSource>>,
    /// Whether the provider's messages are taken at its sites too, beneath `/_vestibule/hooks/`.
    #[schemars(extend("default" = false))]
    pub public_hooks: bool,
    /// The id of the gateway's client. Required with `kind = "oidc"`, and with `sign_in =
    /// "redirect"`.
    #[serde(default)]
    pub client_id: Option<At<String>>,
    /// The secret of the client. An OIDC client has this or `private_key`.
    #[serde(default)]
    pub client_secret: Option<At<SecretSource>>,
    /// The private key of the client, in PEM (PKCS #8), in place of `client_secret`:
    /// `private_key_jwt`.
    #[serde(default)]
    pub private_key: Option<At<SecretSource>>,
    /// Where visitors type their password. By default `redirect` with `kind = "oidc"`, otherwise
    /// `form`.
    #[serde(default)]
    pub sign_in: Option<At<SignIn>>,
    /// The scopes that are asked for; `openid` must be among them. By default `openid`, `profile`,
    /// `email` and `offline_access`.
    #[serde(default)]
    pub scopes: Option<At<Vec<At<String>>>>,
    /// The claim that holds the roles: a list, or one role. Dots lead into claims that are objects,
    /// like `realm_access.roles`.
    #[schemars(extend("default" = "roles"))]
    pub roles_claim: At<String>,
    /// The claim that holds the username. Dots lead into claims that are objects.
    #[schemars(extend("default" = "preferred_username"))]
    pub username_claim: At<String>,
    /// The `acr_values` of the authorization request: how strongly visitors must prove who they
    /// are.
    #[serde(default)]
    pub acr_values: Option<At<String>>,
    /// The `prompt` of the authorization request, like `login` or `consent`.
    #[serde(default)]
    pub prompt: Option<At<String>>,
}

/// Where visitors type their password.
#[derive(Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(in crate::config) enum SignIn {
    /// In the gateway's form. With `kind = "oidc"` by the password grant, which RFC 9700 advises
    /// against.
    Form,
    /// At the provider, to which the browser is redirected: authorization code with PKCE.
    Redirect,
}

/// A kind of provider.
#[derive(Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(in crate::config) enum Kind {
    /// A FusionAuth server.
    Fusionauth,
    /// The identity server inside this program, for development and small sites.
    Embedded,
    /// An OpenID Connect provider.
    Oidc,
}
