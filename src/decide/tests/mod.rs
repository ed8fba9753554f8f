//! The policy of `docs/reference/request-handling.md`, one statement a line: a request with known
//! facts, and the decision in words.

mod api;
mod api_login;
mod application_logout;
mod authorize;
mod basic;
mod bearer;
mod case;
mod cors;
mod credential_response_headers;
mod cross_site_writes;
mod describe;
mod endpoints;
mod explain;
mod fixtures;
mod forget;
mod forward_auth;
mod fusionauth_hosted_backend;
mod hooks;
mod hosted_logout;
mod https_redirect;
mod login;
mod mfa;
mod opener;
mod outcome_label;
mod preserved_post;
mod provider_login;
mod redirect_loop;
mod request_validation;
mod response_rewrite;
mod service_token;
mod unauthenticated;
mod upstream_headers;
