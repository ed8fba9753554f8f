//! What is not yet as the rules say. Each list may only shrink: a line whose cause is gone fails its
//! test until it is removed. The tests print the lines to remove or, after a renaming, to replace.

/// `room: file, file`
pub const CIRCLES: &[&str] = &[
    "decide: api, api_mfa",
    "decide: hosted_backend, login, mfa",
    "embedded: api::api_auth, api::jwks, api::login, api::login_flow, api::logout, api, api::password, api::refresh, api::response, api::revoke, api::two_factor, api::user, server",
    "model: challenge, login",
    "pages: layout, templates, theme",
    "telemetry: metrics, site_metrics",
];

/// `module: impl Type`
pub const IMPLS_ELSEWHERE: &[&str] = &["model::challenge: impl PendingStep"];

/// `module::Type::function: parameters`
pub const TUPLE_PARAMETERS: &[&str] = &[
    "decide::hosted_backend::refresh: site, backend",
    "decide::hosted_backend::sign_in: site, backend",
    "decide::hosted_backend::sign_out: site, backend",
    "decide::mfa::begin_again: reason, retry_after",
    "decide::redirect_loop::unless_last: by, cause",
    "embedded::api::login_flow::with_tokens: status, body",
    "pages::preserved_post::shown: name, value",
    "telemetry::metrics::histogram: name, help",
];

/// `module::Type::function: parameter`
pub const BOOLEAN_PARAMETERS: &[&str] = &[
    "decide::hosted_backend::leave: clear_site_data",
    "decide::mfa::code: trust",
    "decide::preserved_post::action: has_unsent",
    "embedded::api::two_factor::described: last_used",
    "model::cookie::CookieNames::defaults: secure",
    "model::cookie::CookieNames::hosted: secure",
];

/// `name: module, module`
pub const NAMES_WITH_TWO_MEANINGS: &[&str] = &[
    "api: decide::api, embedded::api",
    "rules: config::check::rules, embedded::users_file::rules",
    "server: config::check::server, embedded::server",
    "store: config::check::store, embedded::demo::store, store",
    "upstreams: config::check::upstreams, runtime::upstreams",
];

/// `module`
pub const LONG_FILES: &[&str] = &[
    "decide::tests::api",
    "decide::tests::ask",
    "decide::tests::hosted_backend",
    "decide::tests::mfa",
    "embedded::api::tests",
    "embedded::refresh_sessions",
    "embedded::users_file",
    "model::cookie",
    "pages::tests",
    "telemetry::metrics",
];
