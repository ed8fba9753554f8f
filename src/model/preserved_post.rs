//! A form that met a session which had ended: what was written, on its way through the sign-in.
//!
//! The browser carries it, sealed, in the sign-in form itself: the gateway keeps nothing, and a
//! restart loses nothing.

use serde::{Deserialize, Serialize};

use super::known_device::AccountHash;
use super::return_path::ReturnPath;
use super::timestamp::Timestamp;

/// The largest body that is carried, in bytes.
pub const MAX_BODY: usize = 64 * 1024;
/// The largest sealed form, in bytes of its text. A body at its largest fits, unless it is all
/// quotes and line ends.
pub const MAX_SEALED: usize = 128 * 1024;

/// How a form was encoded (HTML, `enctype`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FormEncoding {
    /// `application/x-www-form-urlencoded`.
    UrlEncoded,
    /// `multipart/form-data`, without files.
    Multipart,
}

impl FormEncoding {
    /// The word for a form's `enctype`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::UrlEncoded => "application/x-www-form-urlencoded",
            Self::Multipart => "multipart/form-data",
        }
    }
}

/// The fields of a posted form, in their order. `Debug` keeps them to itself.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PostedForm {
    /// How they came and will be sent again.
    pub encoding: FormEncoding,
    /// Name and value of each; a name may stand more than once.
    pub fields: Vec<(String, String)>,
}

/// A posted form that reached nobody. `Debug` keeps what was written to itself.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PreservedPost {
    /// What it is known as, so that it is offered once.
    pub id: String,
    /// Who wrote it, where that can be told.
    pub author: Option<Author>,
    /// Where it was posted to: path and query.
    pub target: String,
    /// What was written.
    pub form: PostedForm,
    /// Until when it may be sent again, in milliseconds since the Unix epoch.
    pub until: u64,
}

/// Who wrote an unsent form, as far as what came with it tells. `Debug` keeps it to itself.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Author {
    /// The person of the refresh token (`sub`).
    Person(String),
    /// Who signed in last from the same browser: an account's mark of the device cookie.
    LastHere([u8; 16]),
}

/// An unsent form that came back with a sign-in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RestoredPost {
    /// What was written.
    pub post: PreservedPost,
    /// Whether it was written by who has just signed in.
    pub by_author: bool,
    /// Whether it comes back for the first time, as far as anybody can tell.
    pub first_time: bool,
}

impl PreservedPost {
    /// Where to, judged again: what is sealed was judged, but by another version of this program.
    #[must_use]
    pub fn path(&self) -> Option<ReturnPath> {
        ReturnPath::parse(&self.target)
    }

    /// Whether it may no longer be sent.
    #[must_use]
    pub fn is_expired(&self, now: Timestamp) -> bool {
        self.until <= now.millis()
    }

    /// Whether the person of `sub`, whose name is marked so on devices, wrote it.
    #[must_use]
    pub fn is_by(&self, sub: &str, marks: &[AccountHash]) -> bool {
        match &self.author {
            Some(Author::Person(author)) => author == sub,
            Some(Author::LastHere(author)) => marks.contains(&AccountHash(*author)),
            None => false,
        }
    }
}

/// What a seal of a site's unsent forms is bound to.
#[must_use]
pub fn seal_purpose(site: &str) -> String {
    format!("vestibule unsent form\0{site}")
}

impl std::fmt::Debug for Author {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Author")
    }
}

impl std::fmt::Debug for PostedForm {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "PostedForm({} fields)", self.fields.len())
    }
}

impl std::fmt::Debug for PreservedPost {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "PreservedPost({} fields)", self.form.fields.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_what_was_written_is_printed() {
        let form = PostedForm {
            encoding: FormEncoding::UrlEncoded,
            fields: vec![("text".into(), "leaky".into())],
        };
        let preserved_post = PreservedPost {
            id: "i".into(),
            author: None,
            target: "/posts".into(),
            form,
            until: 5,
        };
        assert!(!format!("{preserved_post:?} {:?}", preserved_post.form).contains("leaky"));
        assert!(
            preserved_post.is_expired(Timestamp::from_millis(5))
                && !preserved_post.is_expired(Timestamp::from_millis(4))
        );
        assert!(
            !preserved_post.is_by("", &[]) && !preserved_post.is_by("i", &[AccountHash([0; 16])])
        );
        let by = |author| PreservedPost {
            author: Some(author),
            ..preserved_post.clone()
        };
        let ann = by(Author::Person("ann".into()));
        assert!(ann.is_by("ann", &[]) && !ann.is_by("bob", &[AccountHash([1; 16])]));
        let last = by(Author::LastHere([1; 16]));
        assert!(last.is_by("ann", &[AccountHash([2; 16]), AccountHash([1; 16])]));
        assert!(!last.is_by("ann", &[AccountHash([2; 16])]) && !last.is_by("ann", &[]));
    }
}
