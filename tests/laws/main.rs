//! Laws: what the pure core holds to for any request, any site and any turn of events.
//!
//! They need neither a network nor a clock and hold without the rooms that have them:
//! `cargo test --test laws --no-default-features`.
#![cfg(test)]

mod addresses;
mod any_facts;
mod any_scene;
mod cookies;
mod languages;
mod policy;
mod scene;
mod seals;
mod signing_in;
mod site;
mod told;
