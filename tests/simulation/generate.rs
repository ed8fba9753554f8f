//! Schedules by chance. A seed decides all of it.

use fastrand::Rng;

use super::schedule::{
    AccessTokens, Action, EndedByAdministrator, Endpoint, Event, Failure, FinishLogin, OidcOptions,
    Options, Page, Product, Return, Rotation, Schedule, StoreFault, Trouble, Unusable, Visit,
    WallClockOptions,
};

/// The schedule of a seed.
pub fn generate(seed: u64) -> Schedule {
    let mut rng = Rng::with_seed(seed);
    let mut world = options(&mut rng);
    let length = rng.u64(10_000..120_000);
    let mut events: Vec<Event> = (0..world.visitors)
        .map(|visitor| Event {
            at: rng.u64(0..2_000),
            action: Action::SignIn {
                visitor,
                gateway: rng.usize(0..world.clocks.len()),
            },
        })
        .collect();
    // A few kinds of trouble in each schedule: with all of them at once nothing would be left to
    // check.
    let kinds: Vec<usize> = (0..rng.usize(0..4)).map(|_| rng.usize(0..KINDS)).collect();
    for _ in 0..rng.usize(5..40) {
        let at = rng.u64(3_000..length);
        let is_trouble = !kinds.is_empty() && rng.u8(0..4) == 0;
        let action = if is_trouble {
            let kind = kinds[rng.usize(0..kinds.len())];
            trouble(&mut rng, &world, kind)
        } else {
            ordinary(&mut rng, &world)
        };
        events.push(Event { at, action });
    }
    by_redirect(seed, length, &mut world, &mut events);
    events.sort_by_key(|event| event.at);
    Schedule { world, events }
}

/// Makes every third schedule one of an OpenID Connect provider. What decides it is drawn from a
/// stream of its own, so that the other schedules stay the same.
fn by_redirect(seed: u64, length: u64, world: &mut Options, events: &mut Vec<Event>) {
    let mut rng = Rng::with_seed(seed ^ REDIRECT_STREAM);
    if rng.u8(0..3) > 0 {
        return;
    }
    let access_tokens = *pick(&mut rng, &[AccessTokens::Jwt, AccessTokens::Opaque]);
    world.sessions |= access_tokens == AccessTokens::Opaque;
    world.product = Product::Oidc(OidcOptions {
        access_tokens,
        refreshed_id_token: rng.bool(),
        // Where tokens in cookies name no sign-in, a sign-out knows the last one alone.
        names_sign_ins: rng.u8(0..4) > 0 || !world.sessions,
        checks_pkce: rng.u8(0..4) > 0,
    });
    for _ in 0..rng.usize(0..12) {
        let at = rng.u64(0..length);
        let (visitor, gateway) = (
            rng.usize(0..world.visitors),
            rng.usize(0..world.clocks.len()),
        );
        let how = *pick(
            &mut rng,
            &[
                Return::Plain,
                Return::Plain,
                Return::Plain,
                Return::Twice,
                Return::Again,
                Return::LoseAnswer,
                Return::WithoutCookies,
                Return::ForeignCode,
                Return::Denied,
            ],
        );
        let begin = Action::BeginLogin { visitor, gateway };
        events.push(Event { at, action: begin });
        // Mostly within the life of a code, and in any order.
        for _ in 0..*pick(&mut rng, &[1, 1, 2]) {
            let finish = Action::FinishLogin(FinishLogin {
                visitor,
                gateway: rng.usize(0..world.clocks.len()),
                tab: rng.usize(0..3),
                how,
            });
            let at = at + rng.u64(10..20_000);
            events.push(Event { at, action: finish });
        }
    }
}

/// Tells the stream of [`by_redirect`] from that of the rest.
const REDIRECT_STREAM: u64 = 0x9E37_79B9_7F4A_7C15;

fn options(rng: &mut Rng) -> Options {
    let gateways = *pick(rng, &[1, 1, 2, 2, 3]);
    let clocks = (0..gateways).map(|_| clock(rng)).collect();
    Options {
        clocks,
        shared_store: gateways > 1 || rng.u8(0..3) == 0,
        product: Product::FusionAuth,
        sessions: rng.bool(),
        visitors: rng.usize(1..4),
        rotation: *pick(
            rng,
            &[
                Rotation::Reusable,
                Rotation::OneTime { grace: 0 },
                Rotation::OneTime { grace: 0 },
                Rotation::OneTime { grace: 20 },
            ],
        ),
        token_life: *pick(rng, &[15, 30, 60, 120, 300]),
        max_age: *pick(rng, &[2_592_000, 3_600]),
        provider_latency: *pick(rng, &[2, 20, 200, 1_500]),
        store_latency: *pick(rng, &[1, 1, 5, 60, 400]),
    }
}

fn clock(rng: &mut Rng) -> WallClockOptions {
    let offset = match rng.u8(0..4) {
        0 | 1 => 0,
        2 => rng.i64(-25_000..25_000),
        _ => rng.i64(-90_000..90_000),
    };
    let drift = *pick(rng, &[0, 0, -200, 200]);
    WallClockOptions { offset, drift }
}

fn ordinary(rng: &mut Rng, world: &Options) -> Action {
    let (visitor, gateway) = (
        rng.usize(0..world.visitors),
        rng.usize(0..world.clocks.len()),
    );
    match rng.u8(0..22) {
        0 => Action::SignIn { visitor, gateway },
        1 => Action::SignOut {
            visitor,
            gateway,
            only_refresh: rng.u8(0..3) == 0,
            times: *pick(rng, &[1, 1, 1, 5]),
        },
        2 => Action::Stream { visitor, gateway },
        3 => Action::Copy { visitor },
        4 | 5 => Action::Replay { visitor, gateway },
        6 => Action::Forge { visitor, gateway },
        7 => Action::End {
            visitor,
            gateway,
            what: *pick(
                rng,
                &[
                    EndedByAdministrator::SignIn,
                    EndedByAdministrator::User,
                    EndedByAdministrator::User,
                    EndedByAdministrator::Application,
                ],
            ),
        },
        8 => Action::MisuseHooks { visitor, gateway },
        _ => Action::Visit(Visit {
            visitor,
            what: *pick(
                rng,
                &[
                    Page::Required,
                    Page::Required,
                    Page::Required,
                    Page::User,
                    Page::Refresh,
                ],
            ),
            gateway,
            tabs: *pick(rng, &[1, 1, 2, 4]),
            spread: rng.bool(),
            application: *pick(rng, &[1, 20, 3_000]),
            lose_answer: rng.u8(0..8) == 0,
        }),
    }
}

/// How many kinds of trouble there are.
const KINDS: usize = 11;

fn trouble(rng: &mut Rng, world: &Options, kind: usize) -> Action {
    let (visitor, gateway) = (
        rng.usize(0..world.visitors),
        rng.usize(0..world.clocks.len()),
    );
    let seconds = *pick(rng, &[1, 4, 12, 40]);
    match kind {
        0 | 1 => Action::Trouble(endpoint_trouble(rng, seconds)),
        2 => Action::RotateProviderKey,
        3 => Action::Unusable {
            seconds,
            how: *pick(
                rng,
                &[
                    Unusable::ControlCharacter,
                    Unusable::ExpiredOnArrival,
                    Unusable::TooLarge,
                    Unusable::Huge,
                ],
            ),
        },
        4 => Action::Unregister { visitor },
        5 | 6 => Action::Store(store_fault(rng, seconds)),
        7 => Action::StepClock {
            gateway,
            millis: *pick(rng, &[-120_000, -5_000, 5_000, 62_000, 120_000]),
        },
        8 => {
            if rng.bool() {
                Action::Reload { gateway }
            } else {
                Action::RotateSealingKey
            }
        }
        9 => Action::Restart {
            gateway,
            keep_state: rng.u8(0..3) > 0,
        },
        _ => Action::Kill { gateway, seconds },
    }
}

fn endpoint_trouble(rng: &mut Rng, seconds: u64) -> Trouble {
    Trouble {
        endpoint: *pick(
            rng,
            &[
                Endpoint::Refresh,
                Endpoint::Refresh,
                Endpoint::Keys,
                Endpoint::Logout,
                Endpoint::Login,
            ],
        ),
        seconds,
        how: *pick(
            rng,
            &[
                Failure::Unavailable,
                Failure::Hangs,
                Failure::LosesAnswers,
                Failure::Page(404),
                Failure::Page(401),
                Failure::WrongTenant,
                Failure::Slow(4_500),
                Failure::Slow(1_000),
            ],
        ),
    }
}

fn store_fault(rng: &mut Rng, seconds: u64) -> StoreFault {
    match rng.u8(0..6) {
        0 => StoreFault::Down { seconds },
        1 => StoreFault::Slow {
            seconds,
            millis: *pick(rng, &[300, 900, 2_000]),
        },
        2 => StoreFault::RestartEmpty,
        3 => StoreFault::CopySession { visitor: 0 },
        4 => StoreFault::FailOver {
            lost_millis: *pick(rng, &[100, 1_000, 3_000]),
        },
        _ => StoreFault::LoseMessages {
            millis: *pick(rng, &[200, 1_500]),
        },
    }
}

fn pick<'a, T>(rng: &mut Rng, from: &'a [T]) -> &'a T {
    &from[rng.usize(0..from.len())]
}
