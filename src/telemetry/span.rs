//! A span: one piece of work on behalf of a traced request.

use std::borrow::Cow;
use std::time::SystemTime;

/// A span that has ended. Its names and attributes follow OpenTelemetry's semantic conventions.
#[derive(Clone, Debug, PartialEq)]
pub struct Span {
    /// The id of the trace.
    pub trace: u128,
    /// The id of the span.
    pub id: u64,
    /// The span that it is a part of.
    pub parent: SpanParent,
    /// When it began.
    pub began: SystemTime,
    /// When it ended.
    pub ended: SystemTime,
    /// What was done.
    pub work: Work,
}

/// The span that another one is a part of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpanParent {
    /// None: the trace begins here.
    None,
    /// One of the gateway's.
    Own(u64),
    /// The client's.
    Client(u64),
}

/// What was done in the time of a span.
#[derive(Clone, Debug, PartialEq)]
pub struct Work {
    /// What it is, in a closed set of words.
    pub name: Cow<'static, str>,
    /// Who asked whom.
    pub kind: SpanKind,
    /// What is known of it. Nothing secret, and nothing that names the user.
    pub attributes: Vec<Attribute>,
    /// Whether it failed.
    pub outcome: SpanOutcome,
}

/// Who asked whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpanKind {
    /// A client asked the gateway.
    Server,
    /// The gateway asked somebody.
    Client,
    /// Nobody was asked.
    Internal,
}

/// Whether the work failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpanOutcome {
    /// It did not.
    Unset,
    /// It did.
    Error,
}

/// A name and a value.
pub type Attribute = (&'static str, AttributeValue);

/// The value of an attribute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AttributeValue {
    /// A text.
    Text(Cow<'static, str>),
    /// A whole number.
    Number(i64),
}

impl From<&'static str> for AttributeValue {
    fn from(text: &'static str) -> Self {
        Self::Text(text.into())
    }
}

impl From<String> for AttributeValue {
    fn from(text: String) -> Self {
        Self::Text(text.into())
    }
}

impl From<u16> for AttributeValue {
    fn from(number: u16) -> Self {
        Self::Number(number.into())
    }
}

impl SpanOutcome {
    /// That of a server's response: it failed only where the server did.
    #[must_use]
    pub const fn of_server(status: u16) -> Self {
        if status >= 500 {
            Self::Error
        } else {
            Self::Unset
        }
    }

    /// That of a response to the gateway, which asked for something else.
    #[must_use]
    pub const fn of_client(status: u16) -> Self {
        if status >= 400 {
            Self::Error
        } else {
            Self::Unset
        }
    }
}
