//! Instants and spans as people and headers write them.

use portcullis_identity::Timestamp;

const DAY_NAMES: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
const MONTH_NAMES: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// The last second that four digits of a year can say.
const LATEST: i64 = 253_402_300_799;

/// A point of the proleptic Gregorian calendar, UTC, between 1970 and 9999.
struct Civil {
    year: i64,
    month: i64,
    day: i64,
    /// From the Thursday of 1970-01-01.
    days: i64,
    second_of_day: i64,
}

impl Civil {
    fn of(instant: Timestamp) -> Self {
        let seconds = instant.unix_seconds().clamp(0, LATEST);
        let (days, second_of_day) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
        // Years are counted from March, so that the leap day is a year's last (Hinnant, "days from civil").
        let shifted = days + 719_468;
        let (era, day_of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
        let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let march_month = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * march_month + 2) / 5 + 1;
        let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
        let year = year_of_era + era * 400 + i64::from(month <= 2);
        Self { year, month, day, days, second_of_day }
    }

    fn time(&self) -> (i64, i64, i64) {
        (self.second_of_day / 3600, self.second_of_day / 60 % 60, self.second_of_day % 60)
    }

    fn month_name(&self) -> &'static str {
        let index = usize::try_from(self.month - 1).unwrap_or(0);
        MONTH_NAMES.get(index).copied().unwrap_or_default()
    }
}

/// `2026-11-22T21:47:50Z` (RFC 3339).
pub(crate) fn rfc3339(instant: Timestamp) -> String {
    let civil = Civil::of(instant);
    let Civil { year, month, day, .. } = civil;
    let (hour, minute, second) = civil.time();
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// `22 Nov 2026, 21:47 UTC`.
pub(crate) fn words(instant: Timestamp) -> String {
    let civil = Civil::of(instant);
    let Civil { year, day, .. } = civil;
    let (hour, minute, _) = civil.time();
    format!("{day} {} {year}, {hour:02}:{minute:02} UTC", civil.month_name())
}

/// `Sun, 22 Nov 2026 21:47:50 GMT` (RFC 9110 5.6.7).
pub(crate) fn http_date(instant: Timestamp) -> String {
    let civil = Civil::of(instant);
    let Civil { year, day, days, .. } = civil;
    let (hour, minute, second) = civil.time();
    let name = DAY_NAMES.get(usize::try_from(days.rem_euclid(7)).unwrap_or(0)).copied().unwrap_or_default();
    format!("{name}, {day:02} {} {year:04} {hour:02}:{minute:02}:{second:02} GMT", civil.month_name())
}

/// `in 13 h 20 min`, `2 min ago`, `now`: how far `instant` is from `now`.
pub(crate) fn distance(instant: Timestamp, now: Timestamp) -> String {
    let seconds = instant.unix_seconds().saturating_sub(now.unix_seconds());
    match span(seconds.unsigned_abs()) {
        None => "just now".into(),
        Some(span) if seconds > 0 => format!("in {span}"),
        Some(span) => format!("{span} ago"),
    }
}

/// `13 h 20 min`; `None` for less than a minute.
pub(crate) fn span(seconds: u64) -> Option<String> {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    Some(match (days, hours, minutes) {
        (0, 0, 0) => return None,
        (0, 0, minutes) => format!("{minutes} min"),
        (0, hours, 0) => format!("{hours} h"),
        (0, hours, minutes) => format!("{hours} h {minutes} min"),
        (1, 0, _) => "1 day".into(),
        (days, 0, _) => format!("{days} days"),
        (1, hours, _) => format!("1 day {hours} h"),
        (days, hours, _) => format!("{days} days {hours} h"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_unix_seconds(seconds)
    }

    #[test]
    fn instants_read_as_dates() {
        let cases = [
            (0, "1970-01-01T00:00:00Z", "Thu, 01 Jan 1970 00:00:00 GMT"),
            (784_111_777, "1994-11-06T08:49:37Z", "Sun, 06 Nov 1994 08:49:37 GMT"),
            (951_782_400, "2000-02-29T00:00:00Z", "Tue, 29 Feb 2000 00:00:00 GMT"),
            (1_709_251_199, "2024-02-29T23:59:59Z", "Thu, 29 Feb 2024 23:59:59 GMT"),
            (1_709_251_200, "2024-03-01T00:00:00Z", "Fri, 01 Mar 2024 00:00:00 GMT"),
            (4_102_444_800, "2100-01-01T00:00:00Z", "Fri, 01 Jan 2100 00:00:00 GMT"),
            (LATEST, "9999-12-31T23:59:59Z", "Fri, 31 Dec 9999 23:59:59 GMT"),
            (i64::MAX / 1000, "9999-12-31T23:59:59Z", "Fri, 31 Dec 9999 23:59:59 GMT"),
            (-1, "1970-01-01T00:00:00Z", "Thu, 01 Jan 1970 00:00:00 GMT"),
        ];
        for (seconds, stamp, date) in cases {
            assert_eq!((rfc3339(at(seconds)).as_str(), http_date(at(seconds)).as_str()), (stamp, date));
        }
        assert_eq!(words(at(784_111_777)), "6 Nov 1994, 08:49 UTC");
    }

    #[test]
    fn distances_read_as_people_say_them() {
        let now = at(1_000_000);
        let cases = [
            (0, "just now"),
            (59, "just now"),
            (-59, "just now"),
            (60, "in 1 min"),
            (-3600, "1 h ago"),
            (48_000, "in 13 h 20 min"),
            (86_400, "in 1 day"),
            (90_000, "in 1 day 1 h"),
            (1_209_600, "in 14 days"),
            (-180_000, "2 days 2 h ago"),
        ];
        for (seconds, expected) in cases {
            assert_eq!(distance(at(1_000_000 + seconds), now), expected, "{seconds}");
        }
    }
}
