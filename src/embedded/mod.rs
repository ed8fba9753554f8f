//! An identity server that speaks FusionAuth's API.

pub mod accounts;
pub mod api;
pub mod database;
pub mod demo;
pub mod ids;
pub mod outbox;
pub mod password_rules;
pub mod passwords;
pub mod seen_from;
pub mod server;
pub mod sessions;
pub mod signing;
mod successor;
pub mod tokens;
pub mod trusts;
pub mod two_factor;
pub mod users;
pub mod users_file;
pub mod waiting;
