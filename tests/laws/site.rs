//! The site of the laws and benches, `https://store.example.com`.

use std::time::Duration;

use http::Method;
use vestibule::model::application_cookies::CookiePatterns;
use vestibule::model::cookie_names::CookieNames;
use vestibule::model::credential::CredentialKind;
use vestibule::model::https_policy::HttpsPolicy;
use vestibule::model::identity_headers::IdentityHeaders;
use vestibule::model::origin::{Host, Origin, Scheme};
use vestibule::model::request_limits::RequestLimits;
use vestibule::model::return_path::ReturnPath;
use vestibule::model::rule::{Access, Pattern, Rule, UnauthenticatedAction};
use vestibule::model::service_token::ServiceTokens;
use vestibule::model::site::{OwnPaths, ResponseRewrite, SessionLifetime, SignIn, Site, ViaField};
use vestibule::model::target::EncodedSlashes;
use vestibule::model::upstream::{Balance, UpstreamAddress, UpstreamProtocol};

pub fn store() -> Site {
    Site {
        name: "store".into(),
        origin: Origin::parse("https://store.example.com").unwrap(),
        aliases: vec![Host::parse("shop.example.com").unwrap()],
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
        rules: Vec::new(),
    }
}

pub fn rule(pattern: &str, methods: &[Method], access: Access, roles: &[&str]) -> Rule {
    Rule {
        pattern: Pattern::parse(pattern).unwrap(),
        methods: methods.to_vec(),
        from: Vec::new(),
        header: None,
        access,
        roles: roles.iter().map(|role| (*role).to_owned()).collect(),
        unauthenticated: UnauthenticatedAction::Auto,
        basic: None,
    }
}
