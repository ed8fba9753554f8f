//! A failing schedule is made shorter as long as it still breaks the same rule.

use super::schedule::{AccessTokens, Options, Product, Schedule, WallClockOptions};
use super::world::play;

/// The most schedules that are tried.
const TRIES: usize = 600;

/// A shorter schedule that breaks `rule` too.
pub fn shrink(schedule: &Schedule, rule: &str) -> Schedule {
    let mut shrinker = Shrinker {
        best: schedule.clone(),
        rule,
        tries: TRIES,
    };
    shrinker.drop_events();
    shrinker.simplify_world();
    shrinker.drop_events();
    shrinker.best
}

/// Whether only a site with sessions can use the provider's tokens.
fn needs_sessions(world: &Options) -> bool {
    match world.product {
        Product::FusionAuth => false,
        Product::Oidc(options) => options.access_tokens == AccessTokens::Opaque,
    }
}

struct Shrinker<'a> {
    best: Schedule,
    rule: &'a str,
    tries: usize,
}

impl Shrinker<'_> {
    /// Keeps `candidate` where it still breaks the rule.
    fn keep(&mut self, candidate: Schedule) -> bool {
        if self.tries == 0 {
            return false;
        }
        self.tries -= 1;
        let violation = play(&candidate, false).violation;
        let is_same = violation.is_some_and(|violation| violation.rule == self.rule);
        if is_same {
            self.best = candidate;
        }
        is_same
    }

    /// Drops events, many at a time and then one by one.
    fn drop_events(&mut self) {
        let mut size = self.best.events.len().div_ceil(2);
        while size > 0 {
            let mut start = 0;
            while start < self.best.events.len() {
                let mut candidate = self.best.clone();
                let end = (start + size).min(candidate.events.len());
                candidate.events.drain(start..end);
                if !self.keep(candidate) {
                    start += size;
                }
            }
            size /= 2;
        }
    }

    fn simplify_world(&mut self) {
        for gateway in 0..self.best.world.clocks.len() {
            let mut candidate = self.best.clone();
            candidate.world.clocks[gateway] = WallClockOptions::default();
            self.keep(candidate);
        }
        while self.best.world.clocks.len() > 1 {
            let mut candidate = self.best.clone();
            candidate.world.clocks.pop();
            if !self.keep(candidate) {
                break;
            }
        }
        let latencies = |schedule: &mut Schedule| {
            schedule.world.provider_latency = 2;
            schedule.world.store_latency = 1;
        };
        let changes: [&dyn Fn(&mut Schedule); 3] = [
            &latencies,
            &|schedule| schedule.world.sessions &= needs_sessions(&schedule.world),
            &|schedule| schedule.world.max_age = 2_592_000,
        ];
        for change in changes {
            let mut candidate = self.best.clone();
            change(&mut candidate);
            self.keep(candidate);
        }
    }
}
