//! An identity server that speaks FusionAuth's API.

pub mod accounts;
pub mod api;
pub mod database;
pub mod demo;
pub mod ids;
pub mod passwords;
pub mod server;
pub mod sessions;
pub mod signing;
mod successor;
pub mod tokens;
pub mod users;
pub mod users_file;
pub mod waiting;
