//! Scenarios of sign-ins at the provider's own pages.

use super::scenarios::{Named, schedule, sign_in, two, visit, visit_at};
use super::schedule::{
    AccessTokens, Action, EndedByAdministrator, FinishLogin, OidcOptions, Options, Page, Product,
    Return, Visit,
};

/// Two gateways with sessions, whose provider issues access tokens that are no JWTs. The second
/// gateway's clock is ahead.
fn opaque(ahead: i64) -> Options {
    with(
        ahead,
        OidcOptions {
            access_tokens: AccessTokens::Opaque,
            refreshed_id_token: false,
            names_sign_ins: true,
            checks_pkce: true,
        },
    )
}

fn with(ahead: i64, options: OidcOptions) -> Options {
    Options {
        product: Product::Oidc(options),
        sessions: true,
        token_life: 120,
        ..two(ahead)
    }
}

/// The visitor signs in at the second gateway.
fn sign_in_there(at: u64) -> (u64, Action) {
    let (visitor, gateway) = (0, 1);
    (at, Action::SignIn { visitor, gateway })
}

fn begin(at: u64) -> (u64, Action) {
    let (visitor, gateway) = (0, 0);
    (at, Action::BeginLogin { visitor, gateway })
}

/// A tab comes back to the second gateway.
fn finish(at: u64, tab: usize, how: Return) -> (u64, Action) {
    let finish = FinishLogin {
        visitor: 0,
        gateway: 1,
        tab,
        how,
    };
    (at, Action::FinishLogin(finish))
}

/// The administrator ends all sign-ins of the user, and the provider tells the first gateway.
fn end(at: u64) -> (u64, Action) {
    let end = Action::End {
        visitor: 0,
        gateway: 0,
        what: EndedByAdministrator::User,
    };
    (at, end)
}

/// All scenarios of this kind.
pub fn all() -> Vec<Named> {
    [clocks(), sign_outs(), callbacks()].concat()
}

/// A logout token names a time by the clock of the provider.
fn clocks() -> Vec<Named> {
    let renew = Action::Visit(Visit {
        visitor: 0,
        what: Page::Refresh,
        gateway: 1,
        tabs: 1,
        spread: true,
        application: 1,
        lose_answer: false,
    });
    vec![
        (
            "a logout token, and a gateway ahead that signed the user in",
            schedule(
                opaque(20_000),
                vec![sign_in_there(0), end(5_000), visit_at(8_000, 1)],
            ),
        ),
        (
            "a logout token, and a gateway ahead that renewed",
            schedule(
                opaque(20_000),
                vec![
                    sign_in_there(0),
                    (3_000, renew),
                    end(5_000),
                    visit_at(8_000, 1),
                ],
            ),
        ),
        (
            "a sign-in after a logout token, at a gateway behind",
            schedule(
                opaque(-20_000),
                vec![
                    sign_in(),
                    end(5_000),
                    visit(7_000),
                    begin(7_500),
                    finish(8_000, 0, Return::Plain),
                    visit(9_000),
                ],
            ),
        ),
    ]
}

/// A sign-out by the refresh token alone, where no claim names the sign-in.
fn sign_outs() -> Vec<Named> {
    let options = OidcOptions {
        access_tokens: AccessTokens::Opaque,
        refreshed_id_token: true,
        names_sign_ins: false,
        checks_pkce: true,
    };
    let (visitor, gateway) = (0, 0);
    let renew = Action::Visit(Visit {
        visitor,
        what: Page::Refresh,
        gateway,
        tabs: 1,
        spread: false,
        application: 1,
        lose_answer: false,
    });
    let sign_out = Action::SignOut {
        visitor,
        gateway,
        only_refresh: true,
        times: 1,
    };
    let events = vec![
        sign_in(),
        (3_000, renew),
        (4_000, Action::Stream { visitor, gateway }),
        (6_000, sign_out),
    ];
    vec![(
        "a stream of a renewed session without a `sid`",
        schedule(with(0, options), events),
    )]
}

/// What happens on the way back.
fn callbacks() -> Vec<Named> {
    let careless = OidcOptions {
        access_tokens: AccessTokens::Jwt,
        refreshed_id_token: true,
        names_sign_ins: true,
        checks_pkce: false,
    };
    let come_back = |world: Options, how| {
        let events = vec![begin(0), finish(2_000, 0, how), visit(4_000)];
        schedule(world, events)
    };
    vec![
        (
            "two tabs that come back in another order",
            schedule(
                opaque(0),
                vec![
                    begin(0),
                    begin(500),
                    finish(2_000, 1, Return::Plain),
                    visit(3_000),
                    finish(4_000, 0, Return::Plain),
                    visit(5_000),
                ],
            ),
        ),
        (
            "a second tab whose answer is lost",
            schedule(
                opaque(0),
                vec![
                    begin(0),
                    begin(500),
                    finish(2_000, 1, Return::Plain),
                    finish(4_000, 0, Return::LoseAnswer),
                    visit(5_000),
                ],
            ),
        ),
        (
            "a code at two gateways at once",
            come_back(opaque(0), Return::Twice),
        ),
        (
            "a code that comes back again",
            come_back(opaque(0), Return::Again),
        ),
        (
            "a callback in another browser",
            come_back(opaque(0), Return::WithoutCookies),
        ),
        (
            "a code of somebody else, and a provider that looks at no verifier",
            come_back(with(0, careless), Return::ForeignCode),
        ),
    ]
}
