//! What things are: plain data without a clock, randomness, input or output.
//!
//! Types are made at the border and trusted inside: a [`target::Target`] is free of ambiguity, a
//! [`return_path::ReturnPath`] cannot lead to another site, a [`secret::Secret`] cannot be printed.

pub mod algorithm;
pub mod api_request;
pub mod api_response;
pub mod challenge;
pub mod colour;
pub mod cookie;
pub mod credential;
pub mod hosted_backend;
pub mod identity;
pub mod identity_headers;
pub mod known_device;
pub mod local_path;
pub mod local_response;
pub mod login;
pub mod masking;
pub mod origin;
pub mod outcome_label;
pub mod preserved_post;
pub mod reason;
pub mod redirect_loop;
pub mod request;
pub mod return_path;
pub mod rule;
pub mod secret;
pub mod site;
pub mod site_headers;
pub mod strict_json;
pub mod target;
pub mod theme;
pub mod timestamp;
pub mod token;
