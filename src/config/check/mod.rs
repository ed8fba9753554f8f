//! Checks a parsed file and makes the settings out of it, or reports every problem with its place.
//!
//! Every function notes what it finds and goes on; `None` says that a problem was noted.

mod addresses;
mod application_session;
mod collector;
mod cookies;
mod fusionauth_hosted_backend;
mod headers;
mod hosts;
mod known_applications;
mod networks;
mod oidc_client;
mod own_paths;
mod providers;
mod rules;
mod server;
mod service_tokens;
mod sites;
mod store;
mod templates;
mod theme;
mod tls;
mod upstream_tls;
mod upstreams;
mod warnings;

pub use providers::is_name;

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::environment::Environment;
use super::file::{Access, File, Format, Level, Log, Rate};
use super::problems::{Diagnostics, quoted};
use super::secret_source::SecretSource;
use super::settings::{self, Settings};
use super::spans::At;
use crate::model::recorded_requests::RecordedRequests;
use crate::model::secret::Secret;
use crate::model::timestamp::Timestamp;

/// A problem was reported, where `None` has another meaning.
struct Reported;

/// Whether cookies and passwords may cross a network in the clear (`insecure = true`).
#[derive(Clone, Copy, PartialEq, Eq)]
enum Cleartext {
    Refused,
    Accepted,
}

impl From<bool> for Cleartext {
    /// From the value of an `insecure` key.
    fn from(insecure: bool) -> Self {
        if insecure {
            Self::Accepted
        } else {
            Self::Refused
        }
    }
}

/// What a check looks at besides the file.
#[derive(Clone, Copy)]
pub(super) struct Surroundings<'a> {
    /// Where relative paths start.
    pub(super) folder: &'a Path,
    pub(super) environment: &'a dyn Environment,
    pub(super) now: Timestamp,
}

/// What a check looks at besides the file, and where it writes.
struct Review<'a> {
    folder: &'a Path,
    environment: &'a dyn Environment,
    now: Timestamp,
    diagnostics: &'a mut Diagnostics,
}

impl Review<'_> {
    fn refuse(&mut self, span: &Range<usize>, what: impl Into<String>, hint: impl Into<String>) {
        self.diagnostics.add(span, what, hint);
    }

    /// Refuses a text that is no secret, quoting it.
    fn refuse_text(&mut self, text: &At<String>, what: &str, hint: impl Into<String>) {
        self.diagnostics
            .add(&text.span, format!("{what}: {}", quoted(text)), hint);
    }

    /// Tells what is allowed and probably not meant.
    fn warn(&mut self, span: &Range<usize>, what: impl Into<String>, hint: impl Into<String>) {
        self.diagnostics.warn(span, what, hint);
    }

    fn secret(&mut self, source: &At<SecretSource>) -> Option<Secret> {
        match source.read(self.folder, self.environment) {
            Ok(secret) => {
                warnings::secret_file(source, self);
                Some(secret)
            }
            Err((what, hint)) => {
                self.refuse(&source.span, what, hint);
                None
            }
        }
    }

    /// When the file of a secret was written; `None` for one that stands elsewhere.
    fn written_at(&self, source: &SecretSource) -> Option<Timestamp> {
        source.written_at(self.folder, self.environment)
    }

    /// What the `insecure` key of the table at `table` says. A value that did not fit counts as
    /// `true`: one mistake is reported once.
    fn cleartext(&self, table: &Range<usize>, written: Cleartext) -> Cleartext {
        if self.diagnostics.was_removed(table, "insecure") {
            Cleartext::Accepted
        } else {
            written
        }
    }

    /// The text of a file that is named at `written`.
    fn text_file(&mut self, written: &At<String>) -> Option<String> {
        let path = self.path(written);
        match self.environment.file(&path) {
            Ok(text) => Some(text),
            Err(error) => {
                let what = format!("the file \"{}\" cannot be read: {error}", path.display());
                let hint = "relative paths start from the folder of the configuration";
                self.refuse(&written.span, what, hint);
                None
            }
        }
    }

    fn path(&self, written: &str) -> PathBuf {
        self.folder.join(written)
    }
}

/// The settings of a file, or what is wrong with it in `diagnostics`.
pub(super) fn settings(
    file: &File,
    surroundings: Surroundings<'_>,
    diagnostics: &mut Diagnostics,
) -> Option<Settings> {
    let mut review = Review {
        folder: surroundings.folder,
        environment: surroundings.environment,
        now: surroundings.now,
        diagnostics,
    };
    warnings::lifetimes(file, &mut review);
    warnings::cleartext(file, &mut review);
    warnings::forward_auth(file, &mut review);
    let state_dir = state_dir(&file.state_dir, &mut review);
    let server = server::server(&file.server, &mut review);
    let providers = providers::providers(file, &mut review);
    let store = store::store(&file.store, &mut review);
    let session = store::session(&file.session, &mut review);
    let cookie_keys = cookies::sealing_keys(
        file.cookies.keys.as_deref().unwrap_or_default(),
        &mut review,
    );
    let cookie_key_made = file
        .cookies
        .keys
        .iter()
        .flatten()
        .next()
        .and_then(|key| review.written_at(key));
    let login = login(&file.login);
    let traces = collector::traces(file.telemetry.as_ref(), &mut review);
    let sites = sites::sites(file, session, &mut review);
    Some(Settings {
        files: BTreeSet::new(),
        state_dir: state_dir?,
        server: server?,
        providers: providers?,
        store: store?,
        cookie_keys: cookie_keys?,
        cookie_key_made,
        reuse_window: file.refresh.reuse_window.0,
        login: login?,
        log: log(&file.log),
        traces: traces.ok()?,
        sites: sites?,
        // The caller has the text.
        rule_lines: Vec::new(),
    })
}

fn state_dir(written: &At<String>, review: &mut Review<'_>) -> Option<PathBuf> {
    if written.is_empty() {
        review.refuse(
            &written.span,
            "`state_dir` is empty",
            "name a folder, like \"/var/lib/vestibule\"",
        );
        return None;
    }
    let path = review.path(written);
    if review.environment.is_blocked(&path) {
        let what = format!("{} is no folder", quoted(written));
        let hint = "name a folder that exists or can be made, like \"/var/lib/vestibule\"";
        review.refuse(&written.span, what, hint);
        return None;
    }
    Some(path)
}

fn login(login: &super::file::Login) -> Option<settings::Login> {
    let rate = |rate: &Rate| {
        let (attempts, per) = (rate.attempts.as_ref()?, rate.per.as_ref()?);
        Some(settings::Rate {
            attempts: **attempts,
            per: per.0,
            waits: settings::Backoff::Exponential,
        })
    };
    Some(settings::Login {
        account_limit: rate(&login.account_limit)?,
        address_limit: rate(&login.address_limit)?,
    })
}

fn log(log: &Log) -> settings::Log {
    let format = match log.format {
        Format::Json => settings::LogFormat::Json,
        Format::Text => settings::LogFormat::Text,
    };
    let level = match log.level {
        Level::Error => "error",
        Level::Warn => "warn",
        Level::Info => "info",
        Level::Debug => "debug",
        Level::Trace => "trace",
    };
    let access = match log.access {
        Access::All => RecordedRequests::All,
        Access::Errors => RecordedRequests::Errors,
        Access::None => RecordedRequests::None,
    };
    settings::Log {
        format,
        level: level.to_owned(),
        access,
    }
}
