//! Schedules that once broke a rule, each as short as it can be. They stay the same while the
//! generator changes.

use super::redirect_scenarios;
use super::schedule::{
    Action, EndedByAdministrator, Endpoint, Event, Failure, Options, Page, Product, Rotation,
    Schedule, StoreFault, Trouble, Unusable, Visit, WallClockOptions,
};

/// A schedule with a name.
pub struct Scenario {
    pub name: &'static str,
    pub schedule: Schedule,
}

/// One gateway with a store in memory, and one-time refresh tokens whose reuse ends the sign-in.
fn alone() -> Options {
    Options {
        clocks: vec![WallClockOptions::default()],
        shared_store: false,
        product: Product::FusionAuth,
        sessions: false,
        visitors: 1,
        rotation: Rotation::OneTime { grace: 0 },
        token_life: 30,
        max_age: 2_592_000,
        provider_latency: 20,
        store_latency: 1,
    }
}

/// Two gateways that share a store. The second one's clock is ahead.
pub fn two(ahead: i64) -> Options {
    let ahead = WallClockOptions {
        offset: ahead,
        drift: 0,
    };
    Options {
        clocks: vec![WallClockOptions::default(), ahead],
        shared_store: true,
        ..alone()
    }
}

pub fn sign_in() -> (u64, Action) {
    let (visitor, gateway) = (0, 0);
    (0, Action::SignIn { visitor, gateway })
}

/// One tab asks gateway 0.
pub fn visit(at: u64) -> (u64, Action) {
    tabs(at, 1)
}

/// One tab asks this gateway.
pub fn visit_at(at: u64, gateway: usize) -> (u64, Action) {
    match visit(at) {
        (at, Action::Visit(visit)) => (at, Action::Visit(Visit { gateway, ..visit })),
        other => other,
    }
}

/// Tabs ask at the same time, each another gateway.
fn tabs(at: u64, tabs: usize) -> (u64, Action) {
    let visit = Visit {
        visitor: 0,
        what: Page::Required,
        gateway: 0,
        tabs,
        spread: true,
        application: 1,
        lose_answer: false,
    };
    (at, Action::Visit(visit))
}

/// One tab asks gateway 0, and never gets the answer.
fn lost_visit(at: u64) -> (u64, Action) {
    match visit(at) {
        (at, Action::Visit(visit)) => {
            let lose_answer = true;
            (
                at,
                Action::Visit(Visit {
                    lose_answer,
                    ..visit
                }),
            )
        }
        other => other,
    }
}

fn sign_out(at: u64, gateway: usize) -> (u64, Action) {
    let (visitor, only_refresh, times) = (0, false, 1);
    let sign_out = Action::SignOut {
        visitor,
        gateway,
        only_refresh,
        times,
    };
    (at, sign_out)
}

fn replay(at: u64) -> (u64, Action) {
    let (visitor, gateway) = (0, 0);
    (at, Action::Replay { visitor, gateway })
}

fn trouble(at: u64, endpoint: Endpoint, how: Failure, seconds: u64) -> (u64, Action) {
    let trouble = Trouble {
        endpoint,
        seconds,
        how,
    };
    (at, Action::Trouble(trouble))
}

fn unusable(how: Unusable) -> Schedule {
    let (at, seconds) = (1_000, 36);
    let unusable = (at, Action::Unusable { seconds, how });
    schedule(
        alone(),
        vec![sign_in(), unusable, visit(35_000), visit(60_000)],
    )
}

pub fn schedule(world: Options, events: Vec<(u64, Action)>) -> Schedule {
    let events = events.into_iter();
    Schedule {
        world,
        events: events.map(|(at, action)| Event { at, action }).collect(),
    }
}

/// All scenarios.
pub fn all() -> Vec<Scenario> {
    let scenarios = [
        provider(),
        unusable_tokens(),
        clocks(),
        sign_outs(),
        ended_at_provider(),
        short_cookies(),
        kept_pairs(),
        redirect_scenarios::all(),
    ]
    .concat();
    scenarios
        .into_iter()
        .map(|(name, schedule)| Scenario { name, schedule })
        .collect()
}

pub type Named = (&'static str, Schedule);

/// The provider answers something else than yes or no.
#[expect(clippy::too_many_lines, reason = "one table")]
fn provider() -> Vec<Named> {
    let refresh_fails = |how| {
        let trouble = trouble(1_000, Endpoint::Refresh, how, 60);
        schedule(alone(), vec![sign_in(), trouble, visit(35_000)])
    };
    let short = Options {
        token_life: 6,
        ..alone()
    };
    let keys_fail = trouble(20_000, Endpoint::Keys, Failure::Unavailable, 40);
    let step_back = Action::StepClock {
        gateway: 0,
        millis: -45_000,
    };
    let unavailable = trouble(1_000, Endpoint::Refresh, Failure::Unavailable, 60);
    let hangs = trouble(1_000, Endpoint::Refresh, Failure::Hangs, 60);
    let unregister = (1_000, Action::Unregister { visitor: 0 });
    vec![
        (
            "a new key just after the keys were fetched",
            schedule(
                short,
                vec![sign_in(), (1_000, Action::RotateProviderKey), visit(5_500)],
            ),
        ),
        (
            "a new key while the keys cannot be fetched",
            schedule(
                alone(),
                vec![
                    sign_in(),
                    keys_fail,
                    (21_000, Action::RotateProviderKey),
                    visit(35_000),
                ],
            ),
        ),
        (
            "a token that is not valid yet",
            schedule(alone(), vec![sign_in(), (1_000, step_back), visit(78_000)]),
        ),
        (
            "a page with 404 from refresh",
            refresh_fails(Failure::Page(404)),
        ),
        (
            "a page with 401 from refresh",
            refresh_fails(Failure::Page(401)),
        ),
        (
            "a 400 about the tenant",
            refresh_fails(Failure::WrongTenant),
        ),
        (
            "a failed renewal is repeated at once",
            schedule(
                alone(),
                vec![sign_in(), unavailable, visit(35_000), visit(35_100)],
            ),
        ),
        (
            "a renewal that hangs is repeated at once",
            schedule(
                alone(),
                vec![sign_in(), hangs, visit(25_000), visit(30_100)],
            ),
        ),
        (
            "a user who is not registered any more is renewed",
            schedule(
                alone(),
                vec![sign_in(), unregister, visit(35_000), visit(36_000)],
            ),
        ),
    ]
}

/// The provider's answer to a renewal cannot be used.
fn unusable_tokens() -> Vec<Named> {
    vec![
        (
            "a new token with a control character",
            unusable(Unusable::ControlCharacter),
        ),
        (
            "a new token that expired on arrival",
            unusable(Unusable::ExpiredOnArrival),
        ),
        (
            "a new token too large for cookies",
            unusable(Unusable::TooLarge),
        ),
        ("a new token above 8 KiB", unusable(Unusable::Huge)),
    ]
}

/// Time, and many gateways.
fn clocks() -> Vec<Named> {
    let step = Action::StepClock {
        gateway: 0,
        millis: 120_000,
    };
    let slow_keys = trouble(20_000, Endpoint::Keys, Failure::Slow(4_500), 60);
    let slow_refresh = trouble(20_000, Endpoint::Refresh, Failure::Slow(4_500), 60);
    let copy = (1_000, Action::Copy { visitor: 0 });
    let day = 25 * 60 * 60 * 1_000;
    vec![
        (
            "two gateways whose clocks differ by 5 s",
            schedule(two(5_000), vec![sign_in(), tabs(35_000, 2)]),
        ),
        (
            "two gateways whose clocks differ by 62 s",
            schedule(
                Options {
                    token_life: 120,
                    ..two(62_000)
                },
                vec![sign_in(), lost_visit(100_000), visit_at(101_500, 1)],
            ),
        ),
        (
            "a clock that is set forward, and a late tab",
            schedule(
                alone(),
                vec![sign_in(), lost_visit(35_000), (36_000, step), visit(40_000)],
            ),
        ),
        (
            "a gateway that fetches keys with the lease in its hand",
            schedule(
                two(0),
                vec![
                    sign_in(),
                    slow_keys,
                    (21_000, Action::RotateProviderKey),
                    tabs(35_000, 2),
                ],
            ),
        ),
        (
            "a gateway whose call takes longer than a lease",
            schedule(two(0), vec![sign_in(), slow_refresh, tabs(35_000, 2)]),
        ),
        (
            "a used token that comes back after 25 hours",
            schedule(alone(), vec![sign_in(), copy, visit(35_000), replay(day)]),
        ),
    ]
}

/// Cookies that end before what they stand for.
#[expect(clippy::too_many_lines, reason = "one table")]
fn short_cookies() -> Vec<Named> {
    let short = Options {
        max_age: 30,
        token_life: 60,
        ..alone()
    };
    let with_sessions = Options {
        sessions: true,
        token_life: 30,
        ..short.clone()
    };
    let with_phone = Options {
        visitors: 3,
        token_life: 30,
        ..short.clone()
    };
    let unusable = Action::Unusable {
        seconds: 36,
        how: Unusable::ExpiredOnArrival,
    };
    let (visitor, gateway) = (2, 0);
    let phone = |at| match visit(at) {
        (at, Action::Visit(visit)) => (at, Action::Visit(Visit { visitor, ..visit })),
        other => other,
    };
    let only_refresh = Action::SignOut {
        visitor: 0,
        gateway,
        only_refresh: true,
        times: 1,
    };
    let hangs = trouble(60_000, Endpoint::Refresh, Failure::Hangs, 60);
    let step = |at, millis| (at, Action::StepClock { gateway, millis });
    vec![
        (
            "a new token of a phone is kept as long as cookies live",
            schedule(
                with_phone,
                vec![
                    (0, Action::SignIn { visitor, gateway }),
                    (1_000, unusable),
                    phone(35_000),
                    phone(75_000),
                ],
            ),
        ),
        (
            "a session that outlives the revocation of its refresh token",
            schedule(
                with_sessions,
                vec![sign_in(), (5_000, only_refresh), hangs, replay(75_000)],
            ),
        ),
        (
            "a clock that is set forward and back after a sign-out",
            schedule(
                short,
                vec![
                    sign_in(),
                    sign_out(5_000, 0),
                    step(14_000, 120_000),
                    step(29_000, -120_000),
                    replay(31_000),
                ],
            ),
        ),
    ]
}

/// Tokens that the provider has issued and that cannot be used yet.
#[expect(clippy::too_many_lines, reason = "one table")]
fn kept_pairs() -> Vec<Named> {
    let restart = Action::Restart {
        gateway: 0,
        keep_state: true,
    };
    let kill = Action::Kill {
        gateway: 0,
        seconds: 1,
    };
    let unusable = |seconds| {
        let how = Unusable::ControlCharacter;
        (1_000, Action::Unusable { seconds, how })
    };
    let lost = (36_000, Action::Store(StoreFault::Down { seconds: 12 }));
    let empty = (110_000, Action::Store(StoreFault::RestartEmpty));
    vec![
        (
            "a new token that cannot be used, and a restart",
            schedule(
                alone(),
                vec![
                    sign_in(),
                    unusable(40),
                    visit(35_000),
                    (125_000, restart),
                    visit(130_000),
                ],
            ),
        ),
        (
            "a new token that cannot be used, and a crash",
            schedule(
                alone(),
                vec![
                    sign_in(),
                    unusable(40),
                    visit(35_000),
                    (125_000, kill),
                    visit(130_000),
                ],
            ),
        ),
        (
            "the shared store is lost with a new token that cannot be used",
            schedule(
                two(0),
                vec![
                    sign_in(),
                    unusable(40),
                    visit(35_000),
                    lost.clone(),
                    visit_at(40_000, 1),
                ],
            ),
        ),
        (
            "the shared store is lost while a tab is late",
            schedule(
                two(0),
                vec![sign_in(), lost_visit(35_000), lost, visit_at(40_000, 1)],
            ),
        ),
        (
            "the shared store loses a new token that cannot be used",
            schedule(
                two(0),
                vec![
                    sign_in(),
                    unusable(40),
                    visit(35_000),
                    empty,
                    visit_at(125_000, 1),
                ],
            ),
        ),
    ]
}

/// Sign-outs.
#[expect(clippy::too_many_lines, reason = "one table")]
fn sign_outs() -> Vec<Named> {
    let away = || trouble(1_000, Endpoint::Logout, Failure::Unavailable, 60);
    let restart = Action::Restart {
        gateway: 0,
        keep_state: true,
    };
    let kill = Action::Kill {
        gateway: 0,
        seconds: 1,
    };
    let stream = Action::Stream {
        visitor: 0,
        gateway: 0,
    };
    let short_cookies = Options {
        max_age: 30,
        token_life: 300,
        ..alone()
    };
    let only_refresh = Action::SignOut {
        visitor: 0,
        gateway: 0,
        only_refresh: true,
        times: 1,
    };
    let two_with_sessions = Options {
        sessions: true,
        visitors: 2,
        ..two(0)
    };
    let sign_in_other = Action::SignIn {
        visitor: 1,
        gateway: 1,
    };
    let flood = Action::SignOut {
        visitor: 0,
        gateway: 0,
        only_refresh: false,
        times: 100,
    };
    vec![
        (
            "a sign-out that the provider was not told before a restart",
            schedule(
                alone(),
                vec![
                    sign_in(),
                    away(),
                    sign_out(3_000, 0),
                    (4_000, restart.clone()),
                    replay(8_000),
                ],
            ),
        ),
        (
            "a sign-out that the provider was not told before a crash",
            schedule(
                alone(),
                vec![
                    sign_in(),
                    away(),
                    sign_out(3_000, 0),
                    (4_000, kill),
                    replay(8_000),
                ],
            ),
        ),
        (
            "a sign-out before a restart",
            schedule(
                alone(),
                vec![
                    sign_in(),
                    sign_out(3_000, 0),
                    (4_000, restart),
                    replay(8_000),
                ],
            ),
        ),
        (
            "a stream at another gateway than the sign-out",
            schedule(two(0), vec![sign_in(), (1_000, stream), sign_out(3_000, 1)]),
        ),
        (
            "a sign-out of a token that outlives the cookies",
            schedule(
                short_cookies,
                vec![sign_in(), (1_000, only_refresh), replay(40_000)],
            ),
        ),
        (
            "a session that was copied over another one",
            schedule(
                two_with_sessions,
                vec![
                    sign_in(),
                    (0, sign_in_other),
                    (1_000, Action::Store(StoreFault::CopySession { visitor: 1 })),
                    visit(3_000),
                ],
            ),
        ),
        (
            "many sign-outs of one token",
            schedule(alone(), vec![sign_in(), (1_000, flood)]),
        ),
    ]
}

/// An administrator ends sign-ins at the provider.
#[expect(clippy::too_many_lines, reason = "one table")]
fn ended_at_provider() -> Vec<Named> {
    let end = |at: u64, gateway: usize, what: EndedByAdministrator| {
        let visitor = 0;
        let end = Action::End {
            visitor,
            gateway,
            what,
        };
        (at, end)
    };
    let (visitor, gateway) = (0, 0);
    let copy = (1_000, Action::Copy { visitor });
    let stream = (1_500, Action::Stream { visitor, gateway });
    let misuse = (6_000, Action::MisuseHooks { visitor, gateway });
    let restart = Action::Restart {
        gateway,
        keep_state: true,
    };
    let again = (5_000, Action::SignIn { visitor, gateway });
    let everywhere = |world: Options, what: EndedByAdministrator| {
        let events = vec![
            sign_in(),
            copy.clone(),
            stream.clone(),
            end(3_000, 1, what),
            replay(4_500),
            visit(4_800),
            again.clone(),
            misuse.clone(),
            visit(7_000),
            visit_at(7_500, 1),
        ];
        schedule(world, events)
    };
    let with_sessions = Options {
        sessions: true,
        ..two(20_000)
    };
    vec![
        (
            "an administrator ends a sign-in",
            everywhere(two(0), EndedByAdministrator::SignIn),
        ),
        (
            "an administrator ends all sign-ins of a user",
            everywhere(two(-20_000), EndedByAdministrator::User),
        ),
        (
            "an administrator ends all sessions of an application",
            everywhere(with_sessions, EndedByAdministrator::Application),
        ),
        (
            "an administrator ends a user before a restart",
            schedule(
                alone(),
                vec![
                    sign_in(),
                    copy,
                    end(3_000, 0, EndedByAdministrator::User),
                    (4_000, restart),
                    replay(8_000),
                ],
            ),
        ),
    ]
}
