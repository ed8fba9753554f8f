//! An identity server that speaks FusionAuth's API.

pub mod accounts;
pub mod api;
pub mod client_metadata;
pub mod database;
pub mod demo;
pub mod ids;
pub mod outbox;
pub mod password_rules;
pub mod passwords;
pub mod pending_logins;
pub mod refresh_sessions;
mod rotated_token;
pub mod server;
pub mod signing;
pub mod tokens;
pub mod trusted_devices;
pub mod two_factor;
pub mod users;
pub mod users_file;
