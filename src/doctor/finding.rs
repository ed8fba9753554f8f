//! What a check found.

use std::fmt;

use serde::Serialize;

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// As it should be.
    Ok,
    /// Probably not meant, or it could not be checked.
    Warn,
    /// Users cannot sign in, or what the gateway promises does not hold.
    Fail,
}

/// What a check found, in one line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How it ended.
    pub status: Status,
    /// What kind of thing was checked: `upstream`, `provider` and so on.
    pub check: &'static str,
    /// Which one: the name of a site and an address, the name of a provider, a file.
    pub subject: String,
    /// What was found.
    pub message: String,
    /// What to do. Empty with [`Status::Ok`].
    pub hint: String,
}

impl fmt::Display for Status {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "fail",
        })
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            status,
            check,
            subject,
            message,
            hint,
        } = self;
        write!(out, "{status:<4} {check} {subject}: {message}")?;
        if !hint.is_empty() {
            write!(out, "; {hint}")?;
        }
        Ok(())
    }
}

/// What is checked.
pub(super) struct Topic {
    check: &'static str,
    subject: String,
}

impl Topic {
    pub(super) fn new(check: &'static str, subject: impl fmt::Display) -> Self {
        Self {
            check,
            subject: subject.to_string(),
        }
    }

    pub(super) fn ok(&self, message: impl Into<String>) -> Finding {
        self.finding(Status::Ok, message.into(), String::new())
    }

    pub(super) fn warn(&self, message: impl Into<String>, hint: impl Into<String>) -> Finding {
        self.finding(Status::Warn, message.into(), hint.into())
    }

    pub(super) fn fail(&self, message: impl Into<String>, hint: impl Into<String>) -> Finding {
        self.finding(Status::Fail, message.into(), hint.into())
    }

    /// Each is one line, whatever an answer quotes.
    fn finding(&self, status: Status, message: String, hint: String) -> Finding {
        let line = |text: String| text.replace(char::is_control, " ");
        Finding {
            status,
            check: self.check,
            subject: line(self.subject.clone()),
            message: line(message),
            hint: line(hint),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_is_one_line() {
        let topic = Topic::new("upstream", "store http://127.0.0.1:3001");
        assert_eq!(
            topic.ok("answers 200").to_string(),
            "ok   upstream store http://127.0.0.1:3001: answers 200"
        );
        assert_eq!(
            topic.fail("a\nb", "start it").to_string(),
            "fail upstream store http://127.0.0.1:3001: a b; start it"
        );
    }
}
