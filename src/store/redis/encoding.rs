//! How values are written in keys, script arguments and stored values.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::model::timestamp::Timestamp;

/// Lua calculates in doubles. This is the largest whole number they hold exactly, in 16 digits; as
/// a time it is in the year 287,396.
const MAX_MILLIS: u64 = 9_007_199_254_740_991;

/// A time in Unix milliseconds, 16 digits.
pub(super) fn timestamp(at: Timestamp) -> String {
    digits(at.millis())
}

/// A duration in milliseconds, 16 digits.
pub(super) fn duration(span: Duration) -> String {
    digits(u64::try_from(span.as_millis()).unwrap_or(u64::MAX))
}

/// A time that [`timestamp`] wrote.
pub(super) fn parse_timestamp(digits: &[u8]) -> Option<Timestamp> {
    let millis = std::str::from_utf8(digits).ok()?.parse().ok()?;
    Some(Timestamp::from_millis(millis))
}

/// Bytes in a key: base64url without padding.
pub(super) fn to_base64(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn digits(millis: u64) -> String {
    format!("{:016}", millis.min(MAX_MILLIS))
}
