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
    /// The URL of the FusionAuth server, like `https://id.example.com`. Required with `kind =
    /// "fusionauth"`.
    #[serde(default)]
    pub url: Option<At<String>>,
    /// An API key of FusionAuth. Required with `kind = "fusionauth"`.
    #[serde(default)]
    pub api_key: Option<At<SecretSource>>,
    /// The id of FusionAuth's tenant, where the server has several.
    #[serde(default)]
    pub tenant_id: Option<At<String>>,
    /// The exact `iss` of its tokens. Required with `kind = "fusionauth"`; `vestibule.local` by
    /// default with `kind = "embedded"`.
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
    /// The client id at an OIDC provider.
    #[serde(default)]
    #[schemars(extend("x-not-yet" = "OIDC providers are not supported"))]
    #[expect(dead_code, reason = "refused before it is read")]
    pub client_id: Option<String>,
    /// The client secret at an OIDC provider.
    #[serde(default)]
    #[schemars(extend("x-not-yet" = "OIDC providers are not supported"))]
    #[expect(dead_code, reason = "refused before it is read")]
    pub client_secret: Option<SecretSource>,
    /// How visitors sign in at an OIDC provider: `redirect` or `form`.
    #[serde(default)]
    #[schemars(extend("x-not-yet" = "OIDC providers are not supported"))]
    #[expect(dead_code, reason = "refused before it is read")]
    pub sign_in: Option<String>,
    /// The claim that holds the roles in tokens of an OIDC provider.
    #[serde(default)]
    #[schemars(extend("x-not-yet" = "OIDC providers are not supported"))]
    #[expect(dead_code, reason = "refused before it is read")]
    pub roles_claim: Option<String>,
}

/// A kind of provider.
#[derive(Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(in crate::config) enum Kind {
    /// A FusionAuth server.
    Fusionauth,
    /// The identity server inside this program, for development and small sites.
    Embedded,
    /// An OIDC provider.
    #[schemars(extend("x-not-yet" = "use \"fusionauth\" or \"embedded\""))]
    Oidc,
}
