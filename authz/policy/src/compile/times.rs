//! Dates, days of the week and times of day.

use jiff::civil;
use jiff::tz::TimeZone;
use portcullis_identity::Timestamp;

use crate::Diagnostic;
use crate::diagnostic::suggestion;
use crate::schedule::{ALL_DAYS, DateRange, TimeRange, Weekdays, bit, millis};
use crate::yaml::{Entry, Node};

use super::criteria::{mapping, text, unknown_field};

const DAYS: [(&str, &str, civil::Weekday); 7] = [
    ("monday", "mon", civil::Weekday::Monday),
    ("tuesday", "tue", civil::Weekday::Tuesday),
    ("wednesday", "wed", civil::Weekday::Wednesday),
    ("thursday", "thu", civil::Weekday::Thursday),
    ("friday", "fri", civil::Weekday::Friday),
    ("saturday", "sat", civil::Weekday::Saturday),
    ("sunday", "sun", civil::Weekday::Sunday),
];

/// `{after, before, timezone}`: ISO 8601; without an offset in the zone, which is UTC unless given.
pub(super) fn date(entry: &Entry) -> Result<DateRange, Diagnostic> {
    let fields = mapping(entry, "`after`, `before` and `timezone`")?;
    let zone = fields.iter().find(|field| &*field.key == "timezone").map(zone).transpose()?.unwrap_or(TimeZone::UTC);
    let mut range = DateRange::default();
    for field in fields {
        match &*field.key {
            "after" => range.after = Some(instant(field, &zone)?),
            "before" => range.before = Some(instant(field, &zone)?),
            "timezone" => {}
            _ => return Err(unknown_field(field, &["after", "before", "timezone"])),
        }
    }
    Ok(range)
}

/// `{after, before, timezone}`; the zone must be given.
pub(super) fn time_of_day(entry: &Entry) -> Result<TimeRange, Diagnostic> {
    let (mut after, mut before, mut timezone) = (None, None, None);
    for field in mapping(entry, "`timezone`, `after` and `before`")? {
        match &*field.key {
            "after" => after = Some(time(field)?),
            "before" => before = Some(time(field)?),
            "timezone" => timezone = Some(zone(field)?),
            _ => return Err(unknown_field(field, &["timezone", "after", "before"])),
        }
    }
    let zone = timezone.ok_or_else(|| {
        let missing = Diagnostic::at(entry.key_span.start, "`time_of_day` needs a `timezone`");
        missing.with_help("name a city, such as `Europe/Berlin`, or `UTC`")
    })?;
    Ok(TimeRange { after, before, zone })
}

/// `*`, names, lists and ranges; or `{is, timezone}`.
pub(super) fn day_of_week(entry: &Entry) -> Result<Weekdays, Diagnostic> {
    let mut zone_of_days = TimeZone::UTC;
    let mut value = &entry.value;
    if let Some(fields) = value.as_mapping() {
        let mut is = None;
        for field in fields {
            match &*field.key {
                "is" => is = Some(&field.value),
                "timezone" => zone_of_days = zone(field)?,
                _ => return Err(unknown_field(field, &["is", "timezone"])),
            }
        }
        value = is.ok_or_else(|| Diagnostic::at(entry.key_span.start, "`day_of_week` needs days under `is`"))?;
    }
    let one = std::slice::from_ref(value);
    let mut set = 0;
    for item in value.as_list().unwrap_or(one) {
        let Some(text) = item.as_text() else {
            return Err(Diagnostic::at(item.place(), format!("`day_of_week` takes days, not {}", item.kind())));
        };
        set |= days(item, text)?;
    }
    Ok(Weekdays { days: set, zone: zone_of_days })
}

/// Days as bits.
fn days(node: &Node, text: &str) -> Result<u8, Diagnostic> {
    if text.trim() == "*" {
        return Ok(ALL_DAYS);
    }
    let mut set = 0;
    for part in text.split(',') {
        match part.split_once('-') {
            None => set |= bit(day(node, part)?),
            Some((first, last)) => {
                let (mut current, last) = (day(node, first)?, day(node, last)?);
                set |= bit(current);
                // A range may run over Sunday: `fri-mon`.
                while current != last {
                    current = current.next();
                    set |= bit(current);
                }
            }
        }
    }
    Ok(set)
}

fn day(node: &Node, text: &str) -> Result<civil::Weekday, Diagnostic> {
    let name = text.trim().to_lowercase();
    let found = DAYS.iter().find(|(full, short, _)| name == *full || name == *short);
    found.map(|(_, _, day)| *day).ok_or_else(|| {
        let names = DAYS.iter().flat_map(|(full, short, _)| [*full, *short]);
        let message = format!("unknown day `{}`{}", text.trim(), suggestion(&name, names));
        Diagnostic::at(node.place(), message)
            .with_help("days are written `mon`, `mon,wed` or `mon-fri`; `*` is every day")
    })
}

fn zone(field: &Entry) -> Result<TimeZone, Diagnostic> {
    let name = text(field)?;
    if name.eq_ignore_ascii_case("utc") || name == "Z" {
        return Ok(TimeZone::UTC);
    }
    TimeZone::get(name).map_err(|_| {
        let message = format!("unknown time zone `{name}`");
        Diagnostic::at(field.value.place(), message).with_help("name a city, such as `Europe/Berlin`, or `UTC`")
    })
}

fn instant(field: &Entry, zone: &TimeZone) -> Result<Timestamp, Diagnostic> {
    let written = text(field)?;
    let absolute = written.parse::<jiff::Timestamp>().ok();
    let wall = || {
        let civil = written.parse::<civil::DateTime>().ok()?;
        zone.to_timestamp(civil).ok()
    };
    let instant = absolute.or_else(wall).ok_or_else(|| {
        let message = format!("`{written}` is no date");
        Diagnostic::at(field.value.place(), message)
            .with_help("write it as 2026-01-31, 2026-01-31T16:20:00 or with an offset")
    })?;
    Ok(Timestamp::from_unix_millis(instant.as_millisecond()))
}

/// Milliseconds since midnight of `15:04`, `15:04:05.9`, `3 PM` or `3:04PM`.
fn time(field: &Entry) -> Result<u32, Diagnostic> {
    let written = text(field)?;
    clock(written).ok_or_else(|| {
        let message = format!("`{written}` is no time of day");
        Diagnostic::at(field.value.place(), message).with_help("write it as 15:04, 15:04:05 or 3:04 PM")
    })
}

fn clock(written: &str) -> Option<u32> {
    let upper = written.trim().to_ascii_uppercase();
    let half =
        upper.strip_suffix("AM").map(|rest| (rest, 0)).or_else(|| upper.strip_suffix("PM").map(|rest| (rest, 12)));
    let (digits, noon) = half.map_or((upper.as_str(), None), |(rest, noon)| (rest.trim_end(), Some(noon)));
    let mut parts = digits.split(':');
    let hour = two_digits(parts.next()?)?;
    let minute = parts.next().map(two_digits);
    let second = parts.next();
    let hour = match noon {
        Some(noon) if (1..=12).contains(&hour) && second.is_none() => (hour % 12) + noon,
        None if minute.is_some() => hour,
        _ => return None,
    };
    let minute = minute.unwrap_or(Some(0))?;
    let (second, fraction) = second.map_or(("0", ""), |second| second.split_once('.').unwrap_or((second, "")));
    let second = two_digits(second)?;
    let plain = fraction.len() <= 9 && fraction.bytes().all(|byte| byte.is_ascii_digit());
    if hour > 23 || minute > 59 || second > 59 || parts.next().is_some() || !plain {
        return None;
    }
    let thousandths = format!("{fraction:0<3}").get(..3)?.parse().ok()?;
    Some(millis(hour, minute, second, thousandths))
}

fn two_digits(text: &str) -> Option<i8> {
    let plain = (1..=2).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| plain)
}

#[cfg(test)]
mod tests {
    use super::clock;

    #[test]
    fn clocks_of_both_kinds_are_read() {
        let at = |hour: u32, minute: u32, second: u32| Some(((hour * 60 + minute) * 60 + second) * 1000);
        for (text, expected) in [
            ("15:04", at(15, 4, 0)),
            ("2:20:00", at(2, 20, 0)),
            ("15:04:05", at(15, 4, 5)),
            ("3:04 PM", at(15, 4, 0)),
            ("3:04PM", at(15, 4, 0)),
            ("3 PM", at(15, 0, 0)),
            ("3PM", at(15, 0, 0)),
            ("12 AM", at(0, 0, 0)),
            ("12:30PM", at(12, 30, 0)),
            ("4:30pm", at(16, 30, 0)),
            ("00:00", at(0, 0, 0)),
            ("23:59:59.999999999", at(23, 59, 59).map(|t| t + 999)),
        ] {
            assert_eq!(clock(text), expected, "{text}");
        }
        for text in [
            "",
            "15",
            "24:00",
            "13 PM",
            "0 AM",
            "12:60",
            "1:2:3:4",
            "3:04:05 PM",
            "-1:00",
            "1:00:60",
            "a:b",
            "12:",
            "1:00:00.x",
        ] {
            assert_eq!(clock(text), None, "{text}");
        }
    }
}
