//! Laws: properties of the pure code that hold for any request, any site and any facts.
//!
//! They need neither a network nor a clock, and compile without the modules that do:
//! `cargo test --test laws --no-default-features`.
#![cfg(test)]

mod arbitrary_facts;
mod arbitrary_scenario;
mod cache_fields;
mod cookies;
mod forget;
mod language_choice;
mod login;
mod messages;
mod paths;
mod policy;
mod proxy_protocol;
mod redirect_login;
mod scenario;
mod sealing;
mod simulate;
mod site;
mod upstream_headers;

/// A configuration with this many times 256 cases, or as many times the number in `PROPTEST_CASES`.
fn scaled(times: u32) -> proptest::prelude::ProptestConfig {
    let defaults = proptest::prelude::ProptestConfig::default();
    proptest::prelude::ProptestConfig {
        cases: defaults.cases.saturating_mul(times),
        failure_persistence: None,
        ..defaults
    }
}
