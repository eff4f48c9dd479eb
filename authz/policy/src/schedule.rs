//! Dates, days of the week and times of day, as wall clocks of a time zone show them.

use jiff::civil::{DateTime, Weekday};
use jiff::tz::TimeZone;
use portcullis_identity::Timestamp;

/// From `after`, which belongs to it, until `before`, which does not.
#[derive(Debug, Default)]
pub(crate) struct DateRange {
    pub after: Option<Timestamp>,
    pub before: Option<Timestamp>,
}

/// Some days of the week.
#[derive(Debug)]
pub(crate) struct Weekdays {
    /// Bit 0 is Monday.
    pub days: u8,
    pub zone: TimeZone,
}

/// From `after`, which belongs to it, until `before`, which does not; over midnight if `after` is the later.
#[derive(Debug)]
pub(crate) struct TimeRange {
    /// Milliseconds since midnight.
    pub after: Option<u32>,
    /// Milliseconds since midnight.
    pub before: Option<u32>,
    pub zone: TimeZone,
}

/// Every day.
pub(crate) const ALL_DAYS: u8 = 0b111_1111;

impl DateRange {
    /// Whether any instant lies in it.
    pub(crate) fn can_hold(&self) -> bool {
        self.after.zip(self.before).is_none_or(|(after, before)| after < before)
    }

    pub(crate) fn holds(&self, now: Timestamp) -> bool {
        self.after.is_none_or(|after| now >= after) && self.before.is_none_or(|before| now < before)
    }
}

impl Weekdays {
    #[inline(never)]
    pub(crate) fn holds(&self, now: Timestamp) -> bool {
        local(&self.zone, now).is_some_and(|time| self.days & bit(time.weekday()) != 0)
    }
}

impl TimeRange {
    /// Whether any time of day lies in it.
    pub(crate) fn can_hold(&self) -> bool {
        match self.after {
            None => self.before != Some(0),
            after => after != self.before,
        }
    }

    #[inline(never)]
    pub(crate) fn holds(&self, now: Timestamp) -> bool {
        let Some(local) = local(&self.zone, now) else { return false };
        let time = millis(local.hour(), local.minute(), local.second(), local.millisecond());
        match (self.after, self.before) {
            (Some(after), Some(before)) if after > before => time >= after || time < before,
            (after, before) => after.is_none_or(|after| time >= after) && before.is_none_or(|before| time < before),
        }
    }
}

/// The instant on a wall clock; `None` beyond the calendar, where no rule holds.
fn local(zone: &TimeZone, now: Timestamp) -> Option<DateTime> {
    let instant = jiff::Timestamp::from_millisecond(now.unix_millis()).ok()?;
    Some(zone.to_datetime(instant))
}

pub(crate) fn bit(day: Weekday) -> u8 {
    1_u8.checked_shl(u32::from(day.to_monday_zero_offset().unsigned_abs())).unwrap_or_default()
}

pub(crate) fn millis(hour: i8, minute: i8, second: i8, millisecond: i16) -> u32 {
    let seconds = (i32::from(hour) * 60 + i32::from(minute)) * 60 + i32::from(second);
    u32::try_from(seconds * 1000 + i32::from(millisecond)).unwrap_or_default()
}
