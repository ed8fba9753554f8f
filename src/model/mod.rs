//! What things are: plain data without a clock, randomness, input or output.
//!
//! Types are made at the border and trusted inside: a [`target::Target`] is free of ambiguity, a
//! [`return_path::ReturnPath`] cannot lead to another site, a [`secret::Secret`] cannot be printed.

pub mod answer;
pub mod api_answer;
pub mod api_call;
pub mod challenge;
pub mod circle;
pub mod colour;
pub mod cookie;
pub mod credential;
pub mod device;
pub mod header;
pub mod hosted;
pub mod identity;
pub mod masked;
pub mod moment;
pub mod origin;
pub mod reason;
pub mod request;
pub mod return_path;
pub mod rule;
pub mod secret;
pub mod sign_in;
pub mod site;
pub mod strict_json;
pub mod target;
pub mod theme;
pub mod token;
pub mod unsent;
