//! A visitor who is sent to sign in again and again: what is counted, and what may be behind it.

use std::fmt;

/// The round that ends a circle, of those within ten seconds.
pub const MAX_REDIRECTS: u32 = 3;

/// By what the rounds of one visitor are told from those of others. `Debug` keeps the values to
/// itself.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub enum LoopIdentity<'a> {
    /// The form's cookie, which came back.
    Form(&'a str),
    /// Whatever credential came, which is as good as a name.
    Credential(&'a str),
    /// No cookie came: the believed address and the browser's name for itself must do.
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

/// Why a visitor comes back to the sign-in, as far as the request tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LoopCause {
    /// No credential came back, although a sign-in sets some.
    NoCookie,
    /// The same, and the browser was at the site's address with `http`, where it takes none of the
    /// site's cookies.
    Unencrypted,
    /// These cookies came more than once, so that none counts. Names only.
    Duplicates(Vec<String>),
    /// The access token has ended the moment it comes, and nothing renews it: clocks differ.
    Clock,
    /// The application sends people to sign in who are signed in.
    Application,
    /// What came was refused.
    Refused,
}

/// A circle that ends here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedirectLoop {
    /// What may be behind it.
    pub cause: LoopCause,
    /// The site's own address.
    pub site_address: String,
    /// Where the visitor was about to be sent: the way on, by their own choice.
    pub continue_to: String,
}
