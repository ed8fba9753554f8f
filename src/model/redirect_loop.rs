//! Redirect loops: users who are redirected to the login page again and again.

use std::fmt;

/// How many redirects that closely follow one another make a loop: the third one is stopped.
pub const MAX_REDIRECTS: u32 = 3;

/// What tells one user's redirects from those of others. `Debug` prints no value.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub enum LoopIdentity<'a> {
    /// The value of the form cookie.
    Form(&'a str),
    /// The value of a credential cookie.
    Credential(&'a str),
    /// No cookie: the client address and the `User-Agent` field.
    Client,
}

impl fmt::Debug for LoopIdentity<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Form(_) => "Form",
            Self::Credential(_) => "Credential",
            Self::Client => "Client",
        })
    }
}

/// The cause of a loop, as far as the request tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LoopCause {
    /// No credential cookie came back, although a login sets some.
    NoCookie,
    /// The same, and the browser came from the site's host under `http`, where it stores none of
    /// the site's `Secure` cookies.
    Unencrypted,
    /// The names of credential cookies that occur more than once, so that none of them counts.
    Duplicates(Vec<String>),
    /// The access token is expired as soon as it is issued and is not refreshed: clocks differ.
    Clock,
    /// The application redirects authenticated users to the login page.
    Application,
    /// The credentials were refused.
    Refused,
}

/// A loop that was stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedirectLoop {
    /// The likely cause, which the page explains.
    pub cause: LoopCause,
    /// The site's origin, at which the user should open it.
    pub site_address: String,
    /// The address of the redirect that was stopped, which the user can follow.
    pub continue_to: String,
}
