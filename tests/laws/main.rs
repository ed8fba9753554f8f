//! Laws: what the pure core holds to for any request, any site and any turn of events.
//!
//! They need neither a network nor a clock and hold without the rooms that have them:
//! `cargo test --test laws --no-default-features`.
#![cfg(test)]

mod arbitrary_facts;
mod arbitrary_scenario;
mod cookies;
mod language_choice;
mod login;
mod paths;
mod policy;
mod scenario;
mod sealing;
mod site;
mod upstream_headers;
