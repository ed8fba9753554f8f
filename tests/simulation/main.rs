//! The gateway's fleet in virtual time: gateways with clocks that differ, a provider and a shared
//! store with their troubles, visitors, thieves and operators. A seed decides all of it.
//!
//! `docs/development/testing.md#simulation` tells how to run it and what it covers.

mod actions;
mod clock;
mod configuration;
mod gateway;
mod generate;
mod judge;
mod life;
mod provider;
mod request;
mod rules;
mod schedule;
mod shrink;
mod store;
mod trace;
mod visitor;
mod world;

use std::process::ExitCode;
use std::time::Instant;

use schedule::Schedule;
use world::play;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let value = |name: &str| {
        let at = arguments.iter().position(|argument| argument == name)?;
        arguments.get(at + 1)?.parse::<u64>().ok()
    };
    if let Some(seed) = value("--seed") {
        return report(seed, &generate::generate(seed));
    }
    let count = value("--schedules").unwrap_or(1_000);
    let first = value("--from").unwrap_or(0);
    let keep_going = arguments.iter().any(|argument| argument == "--all");
    let begun = Instant::now();
    let (mut requests, mut failed) = (0, std::collections::BTreeMap::<String, Vec<u64>>::new());
    for seed in first..first + count {
        let played = play(&generate::generate(seed), false);
        requests += played.requests;
        if let Some(violation) = played.violation {
            if !keep_going {
                return report(seed, &generate::generate(seed));
            }
            failed.entry(violation.rule.into()).or_default().push(seed);
        }
    }
    let took = begun.elapsed().as_secs_f64();
    println!("{count} schedules, {requests} requests, {took:.1} s");
    for (rule, seeds) in &failed {
        println!(
            "{rule}: {} {:?}",
            seeds.len(),
            &seeds[..seeds.len().min(12)]
        );
    }
    ExitCode::SUCCESS
}

fn report(seed: u64, schedule: &Schedule) -> ExitCode {
    let Some(violation) = play(schedule, false).violation else {
        for line in play(schedule, true).lines {
            println!("{line}");
        }
        return ExitCode::SUCCESS;
    };
    println!("seed {seed} breaks the rule: {}", violation.rule);
    let short = shrink::shrink(schedule, violation.rule);
    println!("{:#?}", short.world);
    for event in &short.events {
        println!("  {event:?}");
    }
    for line in play(&short, true).lines {
        println!("{line}");
    }
    ExitCode::FAILURE
}
