//! Where log lines go and which are written.
//!
//! Only what this program writes follows the configured level. Everything else stays at `warn`: at
//! `trace` an HTTP library prints header fields, and so cookies and tokens (threat model, R-89).
//! Three parts of Pingora are silent altogether: their errors quote the request line with its query
//! and, when a request's or a response's head is malformed, its raw bytes with `Cookie` and
//! `Set-Cookie`. What a watcher needs of such a request is in its access record.

use std::io::{self, Write};

use tracing::Dispatch;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

/// The form of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For people.
    Text,
}

/// Why logging could not start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoggingError {
    /// Not one of `error`, `warn`, `info`, `debug`, `trace`.
    UnknownLevel,
    /// Somebody in this process has started logging before.
    AlreadyStarted,
}

impl std::fmt::Display for LoggingError {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(match self {
            Self::UnknownLevel => "the log level is not one of error, warn, info, debug, trace",
            Self::AlreadyStarted => "logging was started before",
        })
    }
}

impl std::error::Error for LoggingError {}

/// Starts logging to stdout, for the whole process and once. Records of the `log` crate, which
/// Pingora uses, pass the same filter. Audit records are written at every level.
///
/// # Errors
/// When `level` is no level, or logging has started before.
pub fn init(form: LogFormat, level: &str) -> Result<(), LoggingError> {
    to(form, parse(level)?, io::stdout)
        .try_init()
        .map_err(|_| LoggingError::AlreadyStarted)?;
    // The standard words of a panic quote what was being worked on, which may be a token: the place
    // is enough.
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string);
        tracing::error!(place, "a panic");
    }));
    Ok(())
}

fn parse(level: &str) -> Result<LevelFilter, LoggingError> {
    match level {
        "error" => Ok(LevelFilter::ERROR),
        "warn" => Ok(LevelFilter::WARN),
        "info" => Ok(LevelFilter::INFO),
        "debug" => Ok(LevelFilter::DEBUG),
        "trace" => Ok(LevelFilter::TRACE),
        _ => Err(LoggingError::UnknownLevel),
    }
}

fn to<W: Write + 'static>(
    form: LogFormat,
    level: LevelFilter,
    open: impl Fn() -> W + Send + Sync + 'static,
) -> Dispatch {
    let registry = tracing_subscriber::registry().with(filter(level));
    match form {
        LogFormat::Json => {
            let lines = tracing_subscriber::fmt::layer().json().flatten_event(true);
            registry
                .with(
                    lines
                        .with_current_span(false)
                        .with_span_list(false)
                        .with_writer(open),
                )
                .into()
        }
        LogFormat::Text => {
            let lines = tracing_subscriber::fmt::layer().with_ansi(false);
            registry
                .with(lines.with_writer(move || OneLine(open())))
                .into()
        }
    }
}

fn filter(level: LevelFilter) -> Targets {
    Targets::new()
        .with_default(level.min(LevelFilter::WARN))
        .with_target("pingora_proxy", LevelFilter::OFF)
        .with_target("pingora_core::apps", LevelFilter::OFF)
        .with_target("pingora_core::protocols", LevelFilter::OFF)
        .with_target("vestibule", level)
        .with_target("access", level)
        .with_target("audit", level.max(LevelFilter::INFO))
}

/// Keeps each record on its one line and away from the terminal's controls: JSON escapes by itself,
/// the form for people does not, and a path or a message may hold what a client chose.
struct OneLine<W>(W);

impl<W: Write> Write for OneLine<W> {
    /// Gets a record whole, with its line end.
    fn write(&mut self, record: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(record.strip_suffix(b"\n").unwrap_or(record));
        let mut line = String::with_capacity(text.len() + 1);
        for letter in text.chars() {
            if letter.is_control() || matches!(letter, '\u{2028}' | '\u{2029}') {
                line.extend(letter.escape_default());
            } else {
                line.push(letter);
            }
        }
        line.push('\n');
        self.0.write_all(line.as_bytes())?;
        Ok(record.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    use super::super::access_log::AccessRecord;
    use super::super::audit::{self, AuditContext, LoginIdHash};
    use super::super::labels::CallResult;
    use super::*;
    use crate::model::login::Credentials;
    use crate::model::outcome_label::OutcomeLabel;
    use crate::model::reason::Reason;
    use crate::model::secret::Secret;

    #[derive(Clone, Default)]
    struct Page(Arc<Mutex<Vec<u8>>>);

    impl Write for Page {
        fn write(&mut self, text: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(text);
            Ok(text.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(form: LogFormat, level: &str, work: impl FnOnce()) -> String {
        let page = Page::default();
        let open = page.clone();
        let dispatch = to(form, parse(level).unwrap(), move || open.clone());
        tracing::dispatcher::with_default(&dispatch, work);
        let text = page.0.lock().unwrap().clone();
        String::from_utf8(text).unwrap()
    }

    fn record(path: &str) -> AccessRecord<'_> {
        AccessRecord {
            request_id: "r1",
            site: "store",
            method: "GET",
            path,
            status: 200,
            outcome: OutcomeLabel::Forwarded,
            rule: Some("/orders/**"),
            reason: Reason::SignedIn,
            duration: Duration::from_micros(1500),
            upstream: None,
            user: Some("u1"),
            client: Some("192.0.2.1".parse().unwrap()),
        }
    }

    fn audit_context() -> AuditContext<'static> {
        AuditContext {
            site: "store",
            request_id: "r1",
            client: "192.0.2.1".parse().unwrap(),
        }
    }

    #[test]
    fn an_access_record_is_one_object_with_its_fields() {
        let text = logged(LogFormat::Json, "info", || {
            record("/orders?token=hush").write();
        });
        let line: serde_json::Value = serde_json::from_str(text.trim()).unwrap();
        assert_eq!(line["target"], "access");
        assert_eq!(line["path"], "/orders");
        assert_eq!(line["status"], 200);
        assert_eq!(line["outcome"], "forwarded");
        assert_eq!(line["reason"], "signed_in");
        assert_eq!(line["rule"], "/orders/**");
        assert_eq!(line["duration_ms"], 1.5);
        assert_eq!(line["user"], "u1");
        assert_eq!(line["client"], "192.0.2.1");
        assert!(line.get("upstream_ms").is_none(), "{line}");
        assert!(!text.contains("hush"), "{text}");
    }

    #[test]
    fn audit_records_are_written_at_every_level_and_access_records_are_not() {
        for level in ["error", "warn"] {
            let text = logged(LogFormat::Json, level, || {
                record("/").write();
                audit::sign_in_refused(
                    audit_context(),
                    LoginIdHash::of(" Ann@Example.com"),
                    Reason::InvalidCredentials,
                );
            });
            let line: serde_json::Value = serde_json::from_str(text.trim()).unwrap();
            assert_eq!(line["event"], "sign_in_refused", "{text}");
            assert_eq!(
                line["account"],
                LoginIdHash::of("ann@example.com").to_string()
            );
            assert!(!text.to_lowercase().contains("ann@"), "{text}");
        }
    }

    #[test]
    fn each_audit_event_is_one_line_with_its_name() {
        let text = logged(LogFormat::Json, "info", || {
            audit::signed_in(audit_context(), "u1", LoginIdHash::of("ann"));
            audit::refused(audit_context(), None, Reason::CrossSiteRequest);
            audit::renewed(audit_context(), "u1");
            audit::renewal_refused(audit_context(), "u1", Reason::SignedOut);
            audit::signed_out(audit_context(), Some("u1"));
            audit::revoked(audit_context(), Some("u1"));
            audit::revoked_at_provider("main", "u1", CallResult::Unavailable);
            audit::reloaded();
            audit::reload_refused(3);
            audit::store_failed("connection refused");
        });
        let lines: Vec<serde_json::Value> = text
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        let events: Vec<&str> = lines
            .iter()
            .map(|line| line["event"].as_str().unwrap())
            .collect();
        assert_eq!(
            events,
            [
                "signed_in",
                "refused",
                "renewed",
                "renewal_refused",
                "signed_out",
                "revoked",
                "revoked_at_provider",
                "reloaded",
                "reload_refused",
                "store_failed"
            ]
        );
        assert!(lines.iter().all(|line| line["target"] == "audit"), "{text}");
    }

    #[test]
    fn no_client_can_start_a_line_or_steer_a_terminal() {
        for form in [LogFormat::Json, LogFormat::Text] {
            let text = logged(form, "info", || {
                record("/a\nadmin signed in\r\u{1b}[2J\u{9b}2J\u{2028}").write();
                tracing::info!(target: "vestibule", "message\n{}", "\u{1b}]0;title\u{7}");
                tracing::info!(target: "vestibule", shown = %"one\ntwo", "display");
            });
            assert_eq!(text.lines().count(), 3, "{text}");
            let foreign = |letter: char| letter.is_control() && letter != '\n';
            assert!(
                form == LogFormat::Json || !text.contains(foreign),
                "{text:?}"
            );
            assert!(!text.contains('\u{1b}') && !text.contains('\r'), "{text:?}");
        }
    }

    #[test]
    fn no_secret_is_printed_at_trace() {
        for form in [LogFormat::Json, LogFormat::Text] {
            let text = logged(form, "trace", || {
                let password = Secret::new("hush-hush");
                let typed = Credentials {
                    login_id: "ann".into(),
                    password: password.clone(),
                    remember: false,
                    return_to: None,
                };
                tracing::trace!(target: "vestibule::decide", ?typed, %password, "signing in");
                tracing::debug!(target: "reqwest::connect", header = "Authorization: hush-hush");
                tracing::trace!(target: "hyper::proto::h1", "cookie: hush-hush");
                tracing::trace!(target: "h2::codec", "set-cookie: hush-hush");
                tracing::info!(target: "pingora_core::server", "hush-hush");
                tracing::error!(target: "pingora_proxy", "Fail to proxy: buf: Set-Cookie: hush-hush");
                tracing::warn!(target: "pingora_core::protocols::http::v1", "hush-hush");
                tracing::error!(target: "pingora_core::apps::http_app", "buf: Cookie: hush-hush");
                tracing::warn!(target: "rustls", "worth knowing");
            });
            assert!(!text.contains("hush"), "{text}");
            assert!(
                text.contains("[secret]") && text.contains("worth knowing"),
                "{text}"
            );
        }
    }

    #[test]
    fn a_level_is_one_of_five_words() {
        for level in ["", "INFO", "verbose", "info,hyper=trace"] {
            assert_eq!(
                parse(level).err(),
                Some(LoggingError::UnknownLevel),
                "{level}"
            );
        }
    }
}
