//! The gateway's fleet in virtual time: gateways with clocks that differ, a provider and a shared
//! store with their troubles, visitors, thieves and operators. A seed decides all of it.
//!
//! `docs/development/testing.md#simulation` tells how to run it and what it covers.
#![cfg(test)]

mod actions;
mod clock;
mod configuration;
mod gateway;
mod generate;
mod hooks;
mod judge;
mod known;
mod life;
mod options;
mod provider;
mod redirect;
mod redirect_scenarios;
mod report;
mod request;
mod rules;
mod scenarios;
mod schedule;
mod shrink;
mod store;
mod suite;
mod trace;
mod visitor;
mod world;

use std::process::ExitCode;

use options::Mode;

fn main() -> ExitCode {
    let options = options::read();
    let is_good = match options.mode {
        Mode::Suite => suite::run(&options),
        Mode::Seed(seed) => report::seed(seed),
        Mode::Scenario(name) => report::scenario(&name),
        Mode::Survey => suite::survey(&options),
    };
    if is_good {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
