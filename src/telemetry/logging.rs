//! Logging: the format, the level and the destination of log lines.
//!
//! The configured level applies only to this program's own records. Other crates stay at `warn`,
//! because an HTTP library at `trace` prints header fields, and so cookies and tokens (threat
//! model, R-89). Three modules of Pingora are silenced completely: their errors quote the request
//! line with its query and, if the head of a request or response is malformed, its raw bytes with
//! `Cookie` and `Set-Cookie`. The access log has what operators need to know about such a request.

use std::io::{self, Write};

use tracing::Dispatch;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use super::json_format::JsonFormat;
use super::log_output::{LogOutput, Uptime};

/// The format of log lines on stdout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object per line.
    Json,
    /// Plain text for people to read.
    Text,
}

/// An error that prevents logging from starting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoggingError {
    /// Not one of `error`, `warn`, `info`, `debug`, `trace`.
    UnknownLevel,
    /// This process has started logging before.
    AlreadyStarted,
    /// Standard output cannot be used.
    NoOutput,
}

impl std::fmt::Display for LoggingError {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(match self {
            Self::UnknownLevel => "the log level is not one of error, warn, info, debug, trace",
            Self::AlreadyStarted => "logging was started before",
            Self::NoOutput => "standard output cannot be used for logging",
        })
    }
}

impl std::error::Error for LoggingError {}

/// Starts logging to stdout for the whole process, which works once. A reader that stalls does not
/// stall the process: lines are dropped and counted. Records of the `log` crate, which Pingora uses,
/// pass the same filter. Audit records are written at every level.
///
/// # Errors
/// If `level` is not a level, if there is no standard output, or if logging has started before.
pub fn init(format: LogFormat, level: &str, uptime: Uptime) -> Result<(), LoggingError> {
    let level = parse(level)?;
    let output: &'static LogOutput = Box::leak(Box::new(
        LogOutput::stdout(uptime).map_err(|_| LoggingError::NoOutput)?,
    ));
    dispatch(format, level, move || output)
        .try_init()
        .map_err(|_| LoggingError::AlreadyStarted)?;
    // The default panic message may quote the data being processed, such as a token. The location
    // is enough.
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string);
        tracing::error!(place, "panic");
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

/// A dispatcher that writes records in `format` to what `writer` returns.
fn dispatch<W: Write + 'static>(
    format: LogFormat,
    level: LevelFilter,
    writer: impl Fn() -> W + Send + Sync + 'static,
) -> Dispatch {
    let registry = tracing_subscriber::registry().with(filter(level));
    match format {
        LogFormat::Json => {
            let lines = tracing_subscriber::fmt::layer().event_format(JsonFormat);
            registry.with(lines.with_writer(writer)).into()
        }
        LogFormat::Text => {
            let lines = tracing_subscriber::fmt::layer().with_ansi(false);
            registry
                .with(lines.with_writer(move || OneLine(writer())))
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

/// Escapes control characters, so that each record stays on one line and cannot control a terminal.
/// The JSON format escapes by itself; the text format does not, and a path or message may contain
/// text that a client chose.
struct OneLine<W>(W);

impl<W: Write> Write for OneLine<W> {
    /// Writes one whole record, which ends with a line feed.
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
pub(super) mod tests {
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    use super::super::access_log::AccessRecord;
    use super::super::audit::{
        self, AuditContext, HookRecord, LoginIdHash, ProviderAnswer, SignInHash,
    };
    use super::super::labels::{CallResult, HookEvent, HookResult};
    use super::*;
    use crate::model::login::Credentials;
    use crate::model::outcome_label::OutcomeLabel;
    use crate::model::reason::Reason;
    use crate::model::secret::Secret;

    #[derive(Clone, Default)]
    struct Output(Arc<Mutex<Vec<u8>>>);

    impl Write for Output {
        fn write(&mut self, text: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(text);
            Ok(text.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// What `work` logs.
    pub(in crate::telemetry) fn logged(
        format: LogFormat,
        level: &str,
        work: impl FnOnce(),
    ) -> String {
        let output = Output::default();
        let writer = output.clone();
        let dispatch = dispatch(format, parse(level).unwrap(), move || writer.clone());
        tracing::dispatcher::with_default(&dispatch, work);
        let text = output.0.lock().unwrap().clone();
        String::from_utf8(text).unwrap()
    }

    fn record(path: &str) -> AccessRecord<'_> {
        AccessRecord {
            request_id: "r1",
            site: "store",
            protocol: "HTTP/2",
            method: "GET",
            path,
            status: 200,
            outcome: OutcomeLabel::Forwarded,
            rule: Some("/orders/**"),
            reason: Reason::SignedIn,
            duration: Duration::from_micros(1500),
            upstream: None,
            user: Some("u1"),
            session: None,
            client: Some("192.0.2.1".parse().unwrap()),
        }
    }

    fn audit_context() -> AuditContext<'static> {
        AuditContext {
            site: "store",
            request_id: "r1",
            client: "192.0.2.1".parse().unwrap(),
            session: Some(SignInHash::of("sign-in")),
        }
    }

    #[test]
    fn an_access_record_is_one_object_with_its_fields() {
        let text = logged(LogFormat::Json, "info", || {
            record("/orders?token=hush").write();
        });
        let line: serde_json::Value = serde_json::from_str(text.trim()).unwrap();
        assert_eq!(line["target"], "access");
        assert_eq!(line["protocol"], "HTTP/2");
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

    /// One record of each audit event, with all of its fields.
    fn one_of_each_event() -> Vec<serde_json::Map<String, serde_json::Value>> {
        let text = logged(LogFormat::Json, "info", || {
            let account = LoginIdHash::of("ann");
            audit::signed_in(audit_context(), "u1", account);
            audit::sign_in_refused(audit_context(), account, Reason::InvalidCredentials);
            let told = audit::ProviderError {
                code: Some("access_denied"),
                description: Some("The user cancelled"),
            };
            audit::sign_in_failed(audit_context(), Reason::SignInFailed, told);
            audit::code_sent(audit_context(), account);
            audit::code_not_sent(audit_context(), account, Reason::Throttled);
            audit::refused(audit_context(), Some("u1"), Reason::CrossSiteRequest);
            audit::service_token_used(audit_context(), "token:ci");
            audit::renewed(audit_context(), "u1");
            audit::renewal_refused(audit_context(), "u1", Reason::SignedOut);
            let answer = ProviderAnswer {
                status: Some(400),
                error: Some("invalid refreshToken"),
            };
            audit::refresh_token_refused(audit_context(), "u1", "main", answer);
            audit::refresh_token_unreadable(audit_context());
            audit::signed_out(audit_context(), Some("u1"));
            audit::revoked(audit_context(), Some("u1"));
            audit::revoked_at_provider("main", "u1", CallResult::Unavailable);
            audit::ended_by_users_file("main", "u1");
            audit::hook(HookRecord {
                provider: "main",
                event: HookEvent::UserDeactivate,
                result: HookResult::Refused,
                cause: Some("received before"),
                user: Some("u1"),
                client: audit_context().client,
            });
            audit::reloaded();
            audit::reload_refused(3);
            audit::store_failed("connection refused");
        });
        let objects = text.lines().map(|line| serde_json::from_str(line).unwrap());
        objects.collect()
    }

    /// The first cells of a table's rows in `docs/reference/logs.md`.
    fn documented(title: &str) -> Vec<Vec<String>> {
        let page = include_str!("../../docs/reference/logs.md");
        let section = page.split_once(title).unwrap().1;
        let section = section.split("\n## ").next().unwrap();
        let rows = section.lines().filter(|line| line.starts_with("| `"));
        rows.map(|row| {
            let mut cells = row.split('|').skip(1).take(2);
            let words = cells.by_ref().flat_map(|cell| cell.split('`'));
            let words = words.map(str::trim).filter(|word| word.len() > 1);
            words.map(str::to_owned).collect()
        })
        .collect()
    }

    #[test]
    fn the_reference_lists_every_audit_event_with_its_fields() {
        let of_requests = ["site", "request_id", "client", "session"];
        let logged: Vec<Vec<String>> = one_of_each_event()
            .iter()
            .map(|object| {
                assert_eq!(object["target"], "audit");
                let known = |key: &str| {
                    of_requests.contains(&key)
                        || ["timestamp", "level", "target", "event"].contains(&key)
                };
                let mut fields: Vec<String> =
                    object.keys().filter(|key| !known(key)).cloned().collect();
                fields.sort();
                let event = object["event"].as_str().unwrap().to_owned();
                [vec![event], fields].concat()
            })
            .collect();
        let documented: Vec<Vec<String>> = documented("## Audit records")
            .into_iter()
            .map(|mut row| {
                row[1..].sort();
                row
            })
            .collect();
        assert_eq!(logged, documented);
        let written = include_str!("audit.rs");
        let events = written.matches("audit!(").count() + written.matches("event = \"").count();
        // Two branches write one of the events.
        assert_eq!(events, documented.len() + 1, "an event is not tested here");
    }

    #[test]
    fn the_reference_lists_every_field_of_access_records() {
        let text = logged(LogFormat::Json, "info", || {
            let full = AccessRecord {
                upstream: Some(Duration::from_millis(1)),
                session: Some(SignInHash::of("sign-in")),
                ..record("/orders")
            };
            full.write();
        });
        let object: serde_json::Map<String, serde_json::Value> =
            serde_json::from_str(&text).unwrap();
        let mut fields: Vec<&String> = object
            .keys()
            .filter(|key| !["timestamp", "level", "target"].contains(&key.as_str()))
            .collect();
        fields.sort();
        let rows = documented("## Access records");
        let mut documented: Vec<&String> = rows.iter().map(|row| &row[0]).collect();
        documented.sort();
        assert_eq!(fields, documented);
    }

    #[test]
    fn the_records_of_one_sign_in_have_the_same_hash() {
        let events = one_of_each_event();
        let sessions: Vec<_> = events
            .iter()
            .filter_map(|event| event.get("session"))
            .collect();
        assert!(sessions.len() > 8);
        for session in sessions {
            let session = session.as_str().unwrap();
            assert_eq!(session, SignInHash::of("sign-in").as_str());
            assert_eq!(session.len(), 12);
        }
    }

    #[test]
    fn no_client_can_start_a_line_or_steer_a_terminal() {
        for format in [LogFormat::Json, LogFormat::Text] {
            let text = logged(format, "info", || {
                record("/a\nadmin signed in\r\u{1b}[2J\u{9b}2J\u{2028}").write();
                tracing::info!(target: "vestibule", "message\n{}", "\u{1b}]0;title\u{7}");
                tracing::info!(target: "vestibule", shown = %"one\ntwo", "display");
            });
            assert_eq!(text.lines().count(), 3, "{text}");
            let is_control = |letter: char| letter.is_control() && letter != '\n';
            assert!(
                format == LogFormat::Json || !text.contains(is_control),
                "{text:?}"
            );
            assert!(!text.contains('\u{1b}') && !text.contains('\r'), "{text:?}");
        }
    }

    #[test]
    fn no_secret_is_printed_at_trace() {
        for format in [LogFormat::Json, LogFormat::Text] {
            let text = logged(format, "trace", || {
                let password = Secret::new("hush-hush");
                let typed = Credentials {
                    browser: None,
                    login_id: "ann".into(),
                    password: password.clone(),
                    remember: false,
                    return_to: None,
                };
                tracing::trace!(target: "vestibule::decide", ?typed, %password, "signing in");
                tracing::debug!(target: "hyper_util::client", header = "Authorization: hush-hush");
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
    fn unknown_levels_are_refused() {
        for level in ["", "INFO", "verbose", "info,hyper=trace"] {
            assert_eq!(
                parse(level).err(),
                Some(LoggingError::UnknownLevel),
                "{level}"
            );
        }
    }
}
