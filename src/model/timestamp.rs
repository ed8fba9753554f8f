//! Points in time.
//!
//! Pure code never reads a clock. One request has one `Timestamp` from start to end, and a test
//! moves the time by passing another one.

use std::time::Duration;

/// A point in time: milliseconds since the Unix epoch (1970-01-01T00:00:00Z), without leap seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(u64);

const SECS_PER_DAY: u64 = 24 * 60 * 60;
/// From 1 March of the year 0 to the Unix epoch.
const DAYS_BEFORE_EPOCH: u64 = 719_468;
/// The Gregorian calendar repeats itself after 400 years.
const DAYS_PER_ERA: u64 = 146_097;

impl Timestamp {
    /// From milliseconds since the Unix epoch, the unit of FusionAuth's JSON.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// From seconds since the Unix epoch, the unit of a JWT's `NumericDate` (RFC 7519, section 2).
    #[must_use]
    pub const fn from_secs(secs: u64) -> Self {
        Self(secs.saturating_mul(1000))
    }

    /// Midnight (UTC) at the start of a day of the Gregorian calendar; `None` before 1970. The day
    /// must exist.
    #[must_use]
    pub fn from_date(year: u16, month: u8, day: u8) -> Option<Self> {
        // Years begin in March here, so that the leap day is the last one.
        let years = u64::from(year).checked_sub(u64::from(month <= 2))?;
        let months = (u64::from(month) + 9) % 12;
        let days = 365 * years + years / 4 - years / 100
            + years / 400
            + (153 * months + 2) / 5
            + u64::from(day);
        let since_epoch = days.checked_sub(DAYS_BEFORE_EPOCH + 1)?;
        Some(Self::from_secs(since_epoch * SECS_PER_DAY))
    }

    /// The day in UTC, as `2027-01-31`.
    #[must_use]
    pub fn date(self) -> String {
        let days = self.secs() / SECS_PER_DAY + DAYS_BEFORE_EPOCH;
        let (era, day) = (days / DAYS_PER_ERA, days % DAYS_PER_ERA);
        let years = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
        let day = day - (365 * years + years / 4 - years / 100);
        let months = (5 * day + 2) / 153;
        let day = day - (153 * months + 2) / 5 + 1;
        let month = if months < 10 { months + 3 } else { months - 9 };
        let year = years + era * 400 + u64::from(month <= 2);
        format!("{year:04}-{month:02}-{day:02}")
    }

    /// Milliseconds since the Unix epoch.
    #[must_use]
    pub const fn millis(self) -> u64 {
        self.0
    }

    /// Whole seconds since the Unix epoch, rounded down.
    #[must_use]
    pub const fn secs(self) -> u64 {
        self.0 / 1000
    }

    /// The time `span` later. Saturates at the largest timestamp.
    #[must_use]
    pub fn plus(self, span: Duration) -> Self {
        Self(self.0.saturating_add(whole_millis(span)))
    }

    /// The time `span` earlier. Saturates at the epoch.
    #[must_use]
    pub fn minus(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(whole_millis(span)))
    }

    /// The time from this timestamp until `later`; zero where `later` is not later.
    #[must_use]
    pub const fn until(self, later: Self) -> Duration {
        Duration::from_millis(later.0.saturating_sub(self.0))
    }
}

fn whole_millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_days_since_the_epoch() {
        let days = [
            ("1970-01-01", Timestamp::from_date(1970, 1, 1), 0),
            ("1972-02-29", Timestamp::from_date(1972, 2, 29), 789),
            ("2000-02-29", Timestamp::from_date(2000, 2, 29), 11_016),
            ("2000-03-01", Timestamp::from_date(2000, 3, 1), 11_017),
            ("2027-01-31", Timestamp::from_date(2027, 1, 31), 20_849),
            ("2099-12-31", Timestamp::from_date(2099, 12, 31), 47_481),
            ("2100-03-01", Timestamp::from_date(2100, 3, 1), 47_541),
        ];
        for (text, date, days) in days {
            assert_eq!(
                date,
                Some(Timestamp::from_secs(days * SECS_PER_DAY)),
                "{text}"
            );
            assert_eq!(
                Timestamp::from_secs(days * SECS_PER_DAY + 86_399).date(),
                text
            );
        }
        assert_eq!(Timestamp::from_date(1969, 12, 31), None);
    }
}
