//! The site, users and tokens that the tests of `decide` share.

use std::sync::Arc;
use std::time::Duration;

use http::Method;
use serde_json::Map;

use crate::decide::Known;
use crate::model::application_cookies::CookiePatterns;
use crate::model::cookie_names::CookieNames;
use crate::model::credential::CredentialKind;
use crate::model::https_policy::HttpsPolicy;
use crate::model::identity::Identity;
use crate::model::identity_headers::IdentityHeaders;
use crate::model::known_device::{DeviceId, KnownDevice, SealedDevice};
use crate::model::login::LoginRefused;
use crate::model::origin::{Origin, Scheme};
use crate::model::reason::Reason;
use crate::model::request_limits::RequestLimits;
use crate::model::return_path::ReturnPath;
use crate::model::rule::{Access, Pattern, Rule, UnauthenticatedAction};
use crate::model::sealing_keys::SealingKeys;
use crate::model::service_token::ServiceTokens;
use crate::model::site::{OwnPaths, ResponseRewrite, SessionLifetime, SignIn, Site, ViaField};
use crate::model::target::EncodedSlashes;
use crate::model::timestamp::Timestamp;
use crate::model::token::{
    BasicLogin, CompletedLogin, CompletedRefresh, IssuedTokens, Principal, RevocationKey, Session,
    TokenError,
};
use crate::model::upstream::{Balance, UpstreamAddress, UpstreamProtocol};

pub(super) const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);

/// A token of `ann` with these roles, which is valid for another ten minutes.
pub(super) fn valid_token(roles: &[&str]) -> Known<Arc<Principal>, TokenError> {
    Known::Found(principal("ann", roles, 600))
}

/// A session of `ann`, whose access token is valid for another `seconds`.
pub(super) fn live_session(seconds: u64) -> Known<Session, TokenError> {
    Known::Found(Session {
        principal: principal("ann", &[], seconds),
        access: None,
    })
}

/// A login of `ann` with Basic credentials.
pub(super) fn basic_login(roles: &[&str]) -> Known<BasicLogin, Box<LoginRefused>> {
    Known::Found(BasicLogin {
        principal: principal("ann", roles, 600),
        access: "A1".into(),
        reason: Reason::SignedIn,
    })
}

/// A refresh that gave a token of `ann` with these roles.
pub(super) fn refreshed(roles: &[&str]) -> Known<CompletedRefresh, Reason> {
    let tokens = IssuedTokens {
        kind: CredentialKind::Jwt,
        token: "A2".into(),
        refresh: Some("R2".into()),
        remember: true,
    };
    Known::Found(CompletedRefresh {
        tokens,
        principal: principal("ann", roles, 600),
        access: "A2".into(),
    })
}

/// A login of `ann` whose tokens are delivered as `kind`.
pub(super) fn logged_in(kind: CredentialKind) -> Known<CompletedLogin, LoginRefused> {
    let tokens = IssuedTokens {
        kind,
        token: "A1".into(),
        refresh: Some("R1".into()),
        remember: true,
    };
    let device = (kind != CredentialKind::Bearer).then(sealed_device);
    Known::Found(CompletedLogin {
        tokens,
        principal: principal("ann", &[], 600),
        device,
    })
}

/// The device cookie of a browser from which nobody has logged in yet.
pub(super) fn sealed_device() -> SealedDevice {
    KnownDevice::new(DeviceId([1; 16]))
        .seal(&SealingKeys::new(&[[1; 32]]).unwrap(), "store", [1; 12])
        .unwrap()
}

/// A user whose access token was issued ten minutes ago and is valid for another `seconds`.
pub(super) fn principal(sub: &str, roles: &[&str], seconds: u64) -> Arc<Principal> {
    let identity = Identity {
        sub: sub.into(),
        email: None,
        email_verified: false,
        username: None,
        roles: roles.iter().map(|role| (*role).to_owned()).collect(),
        claims: Map::new(),
    };
    Arc::new(Principal {
        identity,
        issued_at: Timestamp::from_secs(NOW.secs() - 600),
        expires_at: Timestamp::from_secs(NOW.secs() + seconds),
        revocation_key: RevocationKey("sid".into()),
        identity_headers: Vec::new(),
    })
}

pub(super) fn rule(pattern: &str, access: Access, roles: &[&str]) -> Rule {
    Rule {
        pattern: Pattern::parse(pattern).unwrap(),
        methods: Vec::new(),
        from: Vec::new(),
        header: None,
        access,
        roles: roles.iter().map(|role| (*role).to_owned()).collect(),
        unauthenticated: UnauthenticatedAction::Auto,
        basic: None,
    }
}

/// `/public` is public, `/maybe` optional, `/staff` requires one of two roles, `/mixed` is public
/// for `GET` alone, `/page` and `/data` force redirect and status. Everything else requires a
/// login.
fn rules() -> Vec<Rule> {
    vec![
        rule("/public/*", Access::Public, &[]),
        rule("/maybe/*", Access::Optional, &[]),
        rule("/staff/*", Access::Required, &["admin", "editor"]),
        Rule {
            methods: vec![Method::GET],
            ..rule("/mixed", Access::Public, &[])
        },
        rule("/mixed", Access::Required, &["admin"]),
        Rule {
            unauthenticated: UnauthenticatedAction::Redirect,
            ..rule("/page", Access::Required, &[])
        },
        Rule {
            unauthenticated: UnauthenticatedAction::Status,
            ..rule("/data", Access::Required, &[])
        },
    ]
}

/// The site of the tests, `https://store.example.com`.
pub(super) fn store() -> Site {
    Site {
        name: "store".into(),
        origin: Origin::parse("https://store.example.com").unwrap(),
        aliases: Vec::new(),
        https: HttpsPolicy::default(),
        provider: "main".into(),
        sign_in: SignIn::Form,
        application_id: "store-app".into(),
        upstreams: vec![
            UpstreamAddress::Http {
                host: "127.0.0.1".into(),
                port: 9,
            }
            .into(),
        ],
        forward_auth: false,
        balance: Balance::default(),
        upstream_protocol: UpstreamProtocol::default(),
        upstream_keepalive: 100,
        upstream_host: None,
        upstream_idle: None,
        limits: RequestLimits::default(),
        via: ViaField::Append,
        rewrite: ResponseRewrite::Enabled,
        health: None,
        credential: CredentialKind::Jwt,
        session_lifetime: SessionLifetime {
            idle: Duration::from_secs(1800),
            absolute: Duration::from_secs(43_200),
        },
        bearer: false,
        basic: false,
        service_tokens: ServiceTokens::default(),
        landing: ReturnPath::parse("/landing").unwrap(),
        after_logout: ReturnPath::parse("/bye").unwrap(),
        default_access: Access::Required,
        allowed_origins: vec![Origin::parse("https://app.example.com").unwrap()],
        hosted_backend: None,
        encoded_slashes: EncodedSlashes::Reject,
        paths: OwnPaths::default(),
        cookies: CookieNames::defaults(Scheme::Https),
        cookie_max_age: Duration::from_secs(3600),
        public_hooks: false,
        preserve_post: 64 * 1024,
        identity_headers: IdentityHeaders::x_auth(),
        assertion: true,
        forward_token: false,
        refresh_ahead: Duration::from_secs(60),
        theme: Box::default(),
        forget: CookiePatterns::default(),
        sign_out_paths: Vec::new(),
        rules: rules(),
    }
}
