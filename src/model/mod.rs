//! The types that the rest of the gateway is made of: plain data and pure functions, without a
//! clock, randomness, input or output.
//!
//! A type whose values must meet a condition checks it where it is made and is trusted from then
//! on: a [`target::Target`] is well-formed, a [`return_path::ReturnPath`] leads to no other site,
//! a [`secret::Secret`] is never printed.

pub mod algorithm;
pub mod api_request;
pub mod api_response;
pub mod application_cookies;
pub mod authorization;
pub mod authorization_response;
pub mod challenge;
pub mod colour;
pub mod constant_upstream_headers;
pub mod cookie_change;
pub mod cookie_names;
pub mod credential;
pub mod fusionauth_hosted_backend;
pub mod header_template;
pub mod hook;
pub mod https_policy;
pub mod identity;
pub mod identity_headers;
pub mod known_device;
pub mod local_path;
pub mod local_response;
pub mod login;
pub mod login_step;
pub mod masking;
pub mod origin;
pub mod outcome_label;
pub mod password_violation;
pub mod path_readings;
pub mod path_segments;
pub mod preserved_post;
pub mod reason;
pub mod recorded_requests;
pub mod redirect_login;
pub mod redirect_loop;
pub mod redirect_result;
pub mod refresh_token_envelope;
pub mod request;
pub mod request_cookies;
pub mod request_limits;
pub mod return_path;
pub mod rule;
pub mod sampling;
pub mod sealing_keys;
pub mod secret;
pub mod service_token;
pub mod set_cookie;
pub mod sign_out_path;
pub mod site;
pub mod strict_json;
pub mod target;
pub mod theme;
pub mod timestamp;
pub mod token;
pub mod upstream;
