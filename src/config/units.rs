//! Durations, sizes and numbers as they are written: `"30s"`, `"16KiB"`, `0.01`.

use std::borrow::Cow;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer};
use toml::de::{DeFloat, DeInteger};
use toml::value::Datetime;

/// How an amount is read, and how it is written, for hints.
pub(super) struct Unit<T> {
    pub(super) read: fn(&str) -> Option<T>,
    pub(super) examples: &'static str,
}

/// Spans of time.
pub(super) const DURATION: Unit<Duration> = Unit {
    read: duration,
    examples: r#"write it like "500ms", "30s", "5m", "12h" or "30d""#,
};
/// Numbers of bytes.
pub(super) const SIZE: Unit<usize> = Unit {
    read: size,
    examples: r#"write it like "512B", "16KiB" or "1MiB""#,
};

/// Reads a whole number with one of the units `ms`, `s`, `m`, `h`, `d`.
fn duration(text: &str) -> Option<Duration> {
    let (number, unit) = number_and_unit(text)?;
    let millis: u64 = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => 60 * 1000,
        "h" => 60 * 60 * 1000,
        "d" => 24 * 60 * 60 * 1000,
        _ => return None,
    };
    number.checked_mul(millis).map(Duration::from_millis)
}

/// Reads a whole number of bytes with one of the units `B`, `KiB`, `MiB`, `GiB`.
fn size(text: &str) -> Option<usize> {
    let (number, unit) = number_and_unit(text)?;
    let bytes: u64 = match unit {
        "B" => 1,
        "KiB" => 1024,
        "MiB" => 1024 * 1024,
        "GiB" => 1024 * 1024 * 1024,
        _ => return None,
    };
    usize::try_from(number.checked_mul(bytes)?).ok()
}

fn number_and_unit(text: &str) -> Option<(u64, &str)> {
    let at = text.find(|c: char| !c.is_ascii_digit())?;
    let (digits, unit) = text.split_at_checked(at)?;
    Some((digits.parse().ok()?, unit))
}

/// A span of time as a configuration writes it.
#[derive(Clone, Copy)]
pub(super) struct Time(pub(super) Duration);

/// A number of bytes as a configuration writes it.
#[derive(Clone, Copy)]
pub(super) struct Size(pub(super) usize);

/// A number as a configuration writes it.
pub(super) struct Number {
    pub(super) text: String,
    /// `None` where it is negative or far too large.
    pub(super) value: Option<f64>,
}

impl Number {
    pub(super) fn whole(number: &DeInteger<'_>) -> Self {
        let read = u32::from_str_radix(number.as_str(), number.radix());
        Self {
            text: number.to_string(),
            value: read.ok().map(f64::from),
        }
    }

    pub(super) fn fraction(number: &DeFloat<'_>) -> Self {
        Self {
            text: number.to_string(),
            value: number.as_str().parse().ok(),
        }
    }
}

/// A TOML date, or date and time.
pub(super) struct Moment(pub(super) Datetime);

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Datetime::deserialize(deserializer).map(Self)
    }
}

impl JsonSchema for Moment {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Moment".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "x-written": "date" })
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        duration(&text)
            .map(Self)
            .ok_or_else(|| serde::de::Error::custom(DURATION.examples))
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        size(&text)
            .map(Self)
            .ok_or_else(|| serde::de::Error::custom(SIZE.examples))
    }
}

impl JsonSchema for Time {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^[0-9]+(ms|s|m|h|d)$", "x-written": "duration" })
    }
}

impl JsonSchema for Size {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Size".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^[0-9]+(B|KiB|MiB|GiB)$", "x-written": "size" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_a_unit() {
        assert_eq!(duration("500ms"), Some(Duration::from_millis(500)));
        assert_eq!(duration("30s"), Some(Duration::from_secs(30)));
        assert_eq!(duration("5m"), Some(Duration::from_secs(300)));
        assert_eq!(duration("12h"), Some(Duration::from_secs(43_200)));
        assert_eq!(duration("30d"), Some(Duration::from_secs(2_592_000)));
        for bad in [
            "",
            "5",
            "s",
            "5 m",
            "-5s",
            "1.5s",
            "5S",
            "5min",
            "99999999999999999999s",
            "18446744073709551615d",
        ] {
            assert_eq!(duration(bad), None, "{bad}");
        }
    }

    #[test]
    fn sizes_have_a_unit() {
        assert_eq!(size("7B"), Some(7));
        assert_eq!(size("16KiB"), Some(16_384));
        assert_eq!(size("1MiB"), Some(1_048_576));
        assert_eq!(size("2GiB"), Some(2_147_483_648));
        for bad in [
            "",
            "16",
            "16kb",
            "16 KiB",
            "16KB",
            "18446744073709551615MiB",
        ] {
            assert_eq!(size(bad), None, "{bad}");
        }
    }
}
