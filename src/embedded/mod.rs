//! An identity server with FusionAuth's API and OpenID Connect, and the applications of the demo.

pub mod account_overrides;
pub mod accounts;
mod browser_sessions;
pub mod client_metadata;
pub mod database;
pub mod demo;
mod fusionauth_api;
pub mod identity_server;
pub mod ids;
mod logout_queue;
pub mod openid;
pub mod outbox;
pub mod password_hasher;
pub mod password_policy;
pub mod pending_logins;
pub mod refresh_sessions;
mod server_state;
pub mod signing;
pub mod statistics;
mod stoppable_listener;
mod successor_token;
pub mod token_issuer;
pub mod totp;
pub mod trusted_devices;
pub mod two_factor;
pub mod users;
pub mod users_file;
