//! Log records as JSON: one flat object per line, with `timestamp` and `level` first and `target` last.
//!
//! An access record is written for each request. The JSON format of `tracing-subscriber` takes a fifth
//! of the time of a signed-in request for it (`scripts/bench/telemetry.py`), because it checks and
//! copies each piece of text several times.

use std::fmt::{self, Write as _};

use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_log::NormalizeEvent as _;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime as _, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// How many bytes most records stay below.
const USUAL_LENGTH: usize = 512;

/// Formats each record as one JSON object (RFC 8259) and a line feed.
pub(super) struct JsonFormat;

impl<S, N> FormatEvent<S, N> for JsonFormat
where
    S: Subscriber + for<'lookup> LookupSpan<'lookup>,
    N: for<'writer> FormatFields<'writer> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        // Records of the `log` crate carry their own metadata in fields.
        let of_log = event.normalized_metadata();
        let metadata = of_log.as_ref().unwrap_or_else(|| event.metadata());
        let mut line = String::with_capacity(USUAL_LENGTH);
        line.push_str("{\"timestamp\":\"");
        SystemTime.format_time(&mut Writer::new(&mut line))?;
        line.push_str("\",\"level\":\"");
        line.push_str(metadata.level().as_str());
        line.push('"');
        event.record(&mut Members(&mut line));
        line.push_str(",\"target\":");
        push_string(&mut line, metadata.target());
        line.push_str("}\n");
        writer.write_str(&line)
    }
}

/// The members of an object that is not empty: each field is appended with a comma before it.
struct Members<'a>(&'a mut String);

impl Members<'_> {
    fn push(&mut self, field: &Field, push_value: impl FnOnce(&mut String)) {
        let name = field.name();
        // The metadata of a record of the `log` crate is in the line already.
        if name.starts_with("log.") {
            return;
        }
        // A name in the code needs no escapes.
        self.0.push_str(",\"");
        self.0.push_str(name.strip_prefix("r#").unwrap_or(name));
        self.0.push_str("\":");
        push_value(self.0);
    }

    fn push_plain(&mut self, field: &Field, value: impl fmt::Display) {
        // Writing to a string does not fail.
        self.push(field, |line| _ = write!(line, "{value}"));
    }
}

impl Visit for Members<'_> {
    fn record_f64(&mut self, field: &Field, value: f64) {
        // JSON has no infinities.
        if value.is_finite() {
            self.push_plain(field, value);
        } else {
            self.push_plain(field, "null");
        }
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.push_plain(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.push_plain(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.push_plain(field, value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.push(field, |line| push_string(line, value));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.push(field, |line| {
            line.push('"');
            _ = write!(Escaped(line), "{value:?}");
            line.push('"');
        });
    }
}

/// Appends text to a JSON string.
struct Escaped<'a>(&'a mut String);

impl fmt::Write for Escaped<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        push_escaped(self.0, text);
        Ok(())
    }
}

fn push_string(line: &mut String, text: &str) {
    line.push('"');
    push_escaped(line, text);
    line.push('"');
}

/// Appends `text` with the escapes that a JSON string needs (RFC 8259, section 7).
fn push_escaped(line: &mut String, text: &str) {
    let mut rest = text;
    while let Some(at) = rest
        .bytes()
        .position(|byte| byte < b' ' || byte == b'"' || byte == b'\\')
    {
        let (plain, from_letter) = rest.split_at(at);
        line.push_str(plain);
        let mut letters = from_letter.chars();
        match letters.next() {
            Some('"') => line.push_str("\\\""),
            Some('\\') => line.push_str("\\\\"),
            Some('\n') => line.push_str("\\n"),
            Some('\r') => line.push_str("\\r"),
            Some('\t') => line.push_str("\\t"),
            Some(control) => _ = write!(line, "\\u{:04x}", u32::from(control)),
            None => {}
        }
        rest = letters.as_str();
    }
    line.push_str(rest);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::logging::LogFormat;
    use super::super::logging::tests::logged;
    use super::*;

    fn string(text: &str) -> String {
        let mut line = String::new();
        push_string(&mut line, text);
        line
    }

    proptest! {
        #[test]
        fn any_text_is_one_string_on_one_line(text in any::<String>()) {
            let written = string(&text);
            prop_assert!(written.bytes().all(|byte| byte >= b' '));
            prop_assert_eq!(serde_json::from_str::<String>(&written).unwrap(), text);
        }
    }

    #[test]
    fn text_is_escaped_where_it_must_be() {
        assert_eq!(string("/orders/ä €"), "\"/orders/ä €\"");
        assert_eq!(
            string("a\"b\\c\n\u{1b}\0"),
            "\"a\\\"b\\\\c\\n\\u001b\\u0000\""
        );
    }

    #[test]
    fn json_keeps_the_kinds_of_values() {
        let text = logged(LogFormat::Json, "info", || {
            let r#type = Some("a\nb");
            tracing::info!(target: "audit", r#type, yes = true, less = -1, half = 0.5,
                nothing = f64::NAN, quoted = ?"x", "told {}", "\"it\"");
        });
        let mut line: serde_json::Map<_, _> = serde_json::from_str(&text).unwrap();
        assert!(line.remove("timestamp").is_some());
        let expected = serde_json::json!({
            "level": "INFO", "message": "told \"it\"", "type": "a\nb", "yes": true, "less": -1,
            "half": 0.5, "nothing": null, "quoted": "\"x\"", "target": "audit",
        });
        assert_eq!(serde_json::Value::from(line), expected);
    }

    #[test]
    fn records_of_the_log_crate_have_their_own_level_and_target() {
        use tracing_log::log::{Level, Record};
        let text = logged(LogFormat::Json, "info", || {
            let mut record = Record::builder();
            record
                .level(Level::Error)
                .target("pingora_pool")
                .line(Some(7));
            tracing_log::format_trace(&record.args(format_args!("full")).build()).unwrap();
        });
        let mut line: serde_json::Map<_, _> = serde_json::from_str(&text).unwrap();
        line.remove("timestamp");
        let expected =
            serde_json::json!({ "level": "ERROR", "message": "full", "target": "pingora_pool" });
        assert_eq!(serde_json::Value::from(line), expected);
    }
}
