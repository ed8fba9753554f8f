//! The rules of `docs/reference/request-handling.md` about decisions, a line each: what is asked
//! and what follows from it.

mod api;
mod authorize;
mod bearer;
mod case;
mod cors;
mod credential_headers;
mod endpoints;
mod hosted_backend;
mod login;
mod mfa;
mod preserved_post;
mod redirect_loop;
mod request_validation;
mod upstream_headers;
