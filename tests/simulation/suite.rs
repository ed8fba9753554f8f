//! What `cargo test` plays: all scenarios, and many schedules by chance.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread;

use tokio::time::Instant;

use super::generate::generate;
use super::options::CommandLine;
use super::trace::Violation;
use super::world::play;
use super::{known, report, scenarios};

/// How many seeds are played twice, to see that they repeat.
const REPEATED: u64 = 100;

/// Plays everything. Returns whether all rules were kept.
pub fn run(options: &CommandLine) -> bool {
    let begun = Instant::now();
    let mut failed = scenarios_fail();
    failed += (options.from..options.from + REPEATED)
        .filter(|seed| !repeats(*seed))
        .count();
    let chance = play_all(options, |violation| known::RULES.contains(&violation.rule));
    if let Some((seed, _)) = chance.first {
        failed += 1;
        report::seed(seed);
    }
    let known = chance.known.into_inner();
    if known > 0 {
        println!("{known} schedules break rules that are known to be broken");
    }
    let passed = scenarios::all().len() + chance.played.into_inner();
    let result = if failed == 0 { "ok" } else { "FAILED" };
    println!(
        "test result: {result}. {passed} passed; {failed} failed; 0 ignored; {} requests; finished in {:.1}s",
        chance.requests.into_inner(),
        begun.elapsed().as_secs_f64()
    );
    failed == 0
}

/// Plays schedules whichever fail, and prints counts and the first seeds by rule.
pub fn survey(options: &CommandLine) -> bool {
    let begun = Instant::now();
    let seeds: Mutex<BTreeMap<&'static str, Vec<u64>>> = Mutex::default();
    let chance = play_all_with(options, |seed, violation| {
        let mut seeds = seeds.lock().expect("no panic");
        seeds.entry(violation.rule).or_default().push(seed);
        true
    });
    for (rule, mut seeds) in seeds.into_inner().expect("no panic") {
        seeds.sort_unstable();
        println!(
            "{rule}: {} {:?}",
            seeds.len(),
            &seeds[..seeds.len().min(16)]
        );
    }
    println!(
        "{} schedules in {:.1} s",
        chance.played.into_inner(),
        begun.elapsed().as_secs_f64()
    );
    true
}

/// Plays the scenarios. Returns how many do not what is known of them.
fn scenarios_fail() -> usize {
    let mut failed = 0;
    for scenario in scenarios::all() {
        let violation = play(&scenario.schedule, false).violation;
        let is_known = known::SCENARIOS.contains(&scenario.name);
        match violation {
            Some(violation) if !is_known => {
                failed += 1;
                println!(
                    "scenario {:?}: {}: {}",
                    scenario.name, violation.rule, violation.what
                );
            }
            None if is_known => {
                failed += 1;
                println!(
                    "scenario {:?} passes: take it out of known.rs",
                    scenario.name
                );
            }
            Some(_) | None => {}
        }
    }
    failed
}

/// Whether a seed does the same twice.
fn repeats(seed: u64) -> bool {
    let schedule = generate(seed);
    let (first, second) = (play(&schedule, true).lines, play(&schedule, true).lines);
    let differs = first
        .iter()
        .zip(&second)
        .find(|(first, second)| first != second);
    if let Some((first, second)) = differs {
        println!("seed {seed} does not repeat:\n{first}\n{second}");
    }
    first == second
}

/// What came of schedules by chance.
#[derive(Default)]
struct Chance {
    played: AtomicUsize,
    requests: AtomicUsize,
    known: AtomicUsize,
    first: Option<(u64, Violation)>,
}

fn play_all(options: &CommandLine, is_known: impl Fn(&Violation) -> bool + Sync) -> Chance {
    let first: Mutex<Option<(u64, Violation)>> = Mutex::default();
    let mut chance = play_all_with(options, |seed, violation| {
        if is_known(violation) {
            return true;
        }
        let mut first = first.lock().expect("no panic");
        if first.as_ref().is_none_or(|(before, _)| seed < *before) {
            *first = Some((seed, violation.clone()));
        }
        false
    });
    chance.first = first.into_inner().expect("no panic");
    chance
}

/// Plays schedules on every core, until `on_violation` returns `false`.
fn play_all_with(
    options: &CommandLine,
    on_violation: impl Fn(u64, &Violation) -> bool + Sync,
) -> Chance {
    let chance = Chance::default();
    let next = AtomicU64::new(options.from);
    let stop = AtomicBool::new(false);
    let end = options
        .schedules
        .map_or(u64::MAX, |count| options.from + count);
    let work = || {
        while !stop.load(Ordering::Relaxed) {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= end {
                return;
            }
            let played = play(&generate(seed), false);
            chance.played.fetch_add(1, Ordering::Relaxed);
            chance
                .requests
                .fetch_add(played.requests, Ordering::Relaxed);
            if let Some(violation) = played.violation {
                chance.known.fetch_add(1, Ordering::Relaxed);
                if !on_violation(seed, &violation) {
                    stop.store(true, Ordering::Relaxed);
                }
            }
            if options.schedules.is_none() && seed.is_multiple_of(10_000) {
                println!("{seed} schedules");
            }
        }
    };
    let threads = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(work);
        }
    });
    chance
}
