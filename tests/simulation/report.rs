//! What a person reads of one schedule.

use super::generate::generate;
use super::scenarios;
use super::schedule::Schedule;
use super::shrink::shrink;
use super::world::play;

/// Plays the schedule of a seed and prints its trace. Returns whether it keeps the rules.
pub fn seed(seed: u64) -> bool {
    let schedule = generate(seed);
    let Some(violation) = play(&schedule, false).violation else {
        print(&schedule);
        println!("seed {seed} keeps all rules");
        return true;
    };
    println!(
        "seed {seed} breaks a rule: {}: {}",
        violation.rule, violation.what
    );
    print(&shrink(&schedule, violation.rule));
    println!("repeat it with: cargo test --test simulation -- --seed {seed}");
    false
}

/// Plays the scenarios whose names contain `name` and prints their traces. Returns whether they
/// keep the rules.
pub fn scenario(name: &str) -> bool {
    let mut is_good = true;
    for scenario in scenarios::all() {
        if scenario.name.contains(name) {
            println!("== {}", scenario.name);
            is_good &= print(&scenario.schedule);
        }
    }
    is_good
}

/// Plays a schedule and prints what happens.
fn print(schedule: &Schedule) -> bool {
    println!("{:?}", schedule.world);
    for event in &schedule.events {
        println!("  {event:?}");
    }
    let played = play(schedule, true);
    for line in played.lines {
        println!("{line}");
    }
    played.violation.is_none()
}
