//! What is known to fail. Both lists must become empty.

use super::rules;

/// Scenarios that still break a rule. One that does not any more must be taken out.
pub const SCENARIOS: &[&str] = &[
    "a new key just after the keys were fetched",
    "a new key while the keys cannot be fetched",
    "a token that is not valid yet",
    "a page with 404 from refresh",
    "a page with 401 from refresh",
    "a 400 about the tenant",
    "a failed renewal is repeated at once",
    "a renewal that hangs is repeated at once",
    "a user who is not registered any more is renewed",
    "a new token with a control character",
    "a new token that expired on arrival",
    "a new token too large for cookies",
    "a new token above 8 KiB",
    "two gateways whose clocks differ by 5 s",
    "two gateways whose clocks differ by 62 s",
    "a clock that is set forward, and a late tab",
    "a gateway that fetches keys with the lease in its hand",
    "a used token that comes back after 25 hours",
    "a sign-out that the provider was not told before a restart",
    "a sign-out that the provider was not told before a crash",
    "a sign-out before a restart",
    "a stream at another gateway than the sign-out",
    "a sign-out of a token that outlives the cookies",
    "a session that was copied over another one",
    "many sign-outs of one token",
];

/// Rules that schedules by chance may still break.
pub const RULES: &[&str] = &[
    rules::BACKS_OFF,
    rules::ONE_CALL,
    rules::ONE_REVOCATION,
    rules::OWN_IDENTITY,
    rules::REGISTERED,
    rules::SIGN_OUT_HOLDS,
    rules::STAYS_SIGNED_IN,
    rules::STREAMS_END,
];
