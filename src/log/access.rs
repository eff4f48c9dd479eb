//! The access event as one JSON line. It is written once a request, so it is written without detours: straight into a
//! buffer of the thread, with the second's text kept from event to event. Every other event takes the usual way.

use std::cell::RefCell;
use std::fmt;

use portcullis_identity::{Clock, SystemClock, Timestamp};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

use crate::log::writer::Lines;

/// The target of access events.
pub(crate) const TARGET: &str = "access";

/// Writes access events and nothing else.
#[derive(Debug)]
pub(crate) struct AccessLines(pub(crate) Lines);

thread_local! {
    static DESK: RefCell<Desk> = RefCell::new(Desk::default());
}

/// What a thread keeps between two events.
#[derive(Debug, Default)]
struct Desk {
    line: String,
    second: i64,
    second_text: String,
}

impl<S: Subscriber> Layer<S> for AccessLines {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        if event.metadata().target() != TARGET {
            return;
        }
        DESK.with_borrow_mut(|desk| {
            desk.begin(event, SystemClock.now());
            event.record(&mut Fields(&mut desk.line));
            desk.line.push_str(",\"message\":\"request\",\"target\":\"access\"}\n");
            self.0.put(desk.line.as_bytes());
        });
    }
}

impl Desk {
    /// Sees to it that the second's text is that of `now`.
    fn second_for(&mut self, now: Timestamp) {
        if now.unix_seconds() == self.second && !self.second_text.is_empty() {
            return;
        }
        self.second = now.unix_seconds();
        let instant = jiff::Timestamp::from_second(self.second).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
        self.second_text = instant.strftime("%Y-%m-%dT%H:%M:%S").to_string();
    }

    fn begin(&mut self, event: &Event<'_>, now: Timestamp) {
        self.second_for(now);
        let Self { line, second: _, second_text } = self;
        line.clear();
        let millis = now.unix_millis().rem_euclid(1000);
        line.push_str("{\"timestamp\":\"");
        line.push_str(second_text);
        line.push('.');
        for divisor in [100, 10, 1] {
            line.extend(char::from_digit(u32::try_from(millis / divisor % 10).unwrap_or_default(), 10));
        }
        line.push_str("Z\",\"level\":\"");
        line.push_str(event.metadata().level().as_str());
        line.push('"');
    }
}

/// Appends the members of an access event, which are JSON already, each with a comma before it.
struct Fields<'a>(&'a mut String);

impl Visit for Fields<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "members" {
            self.0.push_str(value);
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn fmt::Debug) {}
}

#[cfg(test)]
mod tests {
    use serde_json::Value;
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;
    use crate::log::writer::Writer;

    fn told(work: impl FnOnce()) -> Vec<Value> {
        let writer = Writer::unwritten();
        let dropped = prometheus::IntCounter::new("dropped", "dropped").unwrap();
        let subscriber = tracing_subscriber::registry().with(AccessLines(writer.lines(dropped)));
        tracing::subscriber::with_default(subscriber, work);
        let text = String::from_utf8(writer.waiting()).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn an_access_event_is_one_json_line() {
        let events = told(|| {
            tracing::info!(target: "access", members = ",\"url.path\":\"/a\\\"b\",\"status\":200", "request");
            tracing::info!("something else");
        });
        assert_eq!(events.len(), 1, "other targets take the usual way");
        let event = &events[0];
        assert_eq!((&event["url.path"], &event["status"]), (&"/a\"b".into(), &200.into()));
        assert_eq!((&event["message"], &event["target"]), (&"request".into(), &"access".into()));
        assert_eq!(event["level"], "INFO");
    }

    #[test]
    fn the_time_is_rfc_3339() {
        let mut desk = Desk::default();
        for (millis, expected) in [(0, "1970-01-01T00:00:00.000Z"), (1_795_387_120_007, "2026-11-22T22:38:40.007Z")] {
            let now = Timestamp::from_unix_millis(millis);
            desk.second_for(now);
            assert_eq!(format!("{}.{:03}Z", desk.second_text, now.unix_millis().rem_euclid(1000)), expected);
        }
    }
}
