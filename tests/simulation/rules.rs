//! The rules that no schedule may break.

/// Who holds a refresh token that the provider would still honour, and did nothing wrong, is never
/// told that they are signed out, and loses no cookie.
pub const STAYS_SIGNED_IN: &str = "stays signed in";
/// After a sign-out nothing old passes anywhere a second later.
pub const SIGN_OUT_HOLDS: &str = "a sign-out holds";
/// A webhook that the provider did not sign, or that was accepted before, is not accepted.
pub const HOOKS_ARE_CHECKED: &str = "hooks are checked";
/// A message of the provider is accepted once the gateway can check it.
pub const HOOKS_ARE_TAKEN: &str = "hooks are taken";
/// Streams end within five seconds after their sign-in.
pub const STREAMS_END: &str = "streams end";
/// One call to the provider for each refresh token, and none that trips reuse detection.
pub const ONE_CALL: &str = "one call for each refresh token";
/// Calls under trouble wait before they are repeated.
pub const BACKS_OFF: &str = "backs off";
/// Sign-outs are told to the provider one call at a time.
pub const ONE_REVOCATION: &str = "one revocation at a time";
/// What was signed out is told to the provider, also after a restart.
pub const TOLD: &str = "a sign-out is told";
/// The keys of the provider are not fetched for every unknown key.
pub const FEW_KEY_FETCHES: &str = "few key fetches";
/// Nobody is served as somebody else.
pub const OWN_IDENTITY: &str = "own identity";
/// Who is not registered for the application any more is not renewed.
pub const REGISTERED: &str = "only registered users are renewed";
/// Every request is answered in time.
pub const ANSWERED: &str = "every wait ends";
/// When all trouble is over, everybody who is signed in is served.
pub const RECOVERS: &str = "recovers";
