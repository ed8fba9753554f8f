//! Preserved posts: forms that were posted after the login had expired, carried through the login.
//!
//! The browser carries the form, sealed, in the login page. The gateway stores nothing, so a
//! restart loses nothing.

use serde::{Deserialize, Serialize};

use super::known_device::AccountHash;
use super::return_path::ReturnPath;
use super::timestamp::Timestamp;

/// The largest sealed form at a site that preserves bodies of up to `max_body` bytes. Such a body
/// fits, unless most of it is quotes and line ends, which JSON escapes.
#[must_use]
pub const fn max_sealed(max_body: usize) -> usize {
    2 * max_body + 4 * 1024
}

/// Why a posted body is not preserved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotPreservedError {
    /// It is no form, or not one that can be read.
    NoForm,
    /// It is a form, and larger than the site preserves.
    TooLarge,
    /// It is a form with files.
    HasFiles,
    /// It is a form in `text/plain`, or in another encoding than UTF-8.
    OtherForm,
}

/// A form's encoding (HTML, `enctype`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FormEncoding {
    /// `application/x-www-form-urlencoded`, the default of HTML forms.
    UrlEncoded,
    /// `multipart/form-data`. Forms with files are not preserved.
    Multipart,
}

impl FormEncoding {
    /// The value of `enctype`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::UrlEncoded => "application/x-www-form-urlencoded",
            Self::Multipart => "multipart/form-data",
        }
    }
}

/// The fields of a posted form. `Debug` prints their number alone.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PostedForm {
    /// The encoding in which they were posted and are posted again.
    pub encoding: FormEncoding,
    /// Name and value of each field, in order. A name may occur more than once.
    pub fields: Vec<(String, String)>,
}

/// A form that was posted after the login had expired. `Debug` prints the number of its fields
/// alone.
///
/// The names of the fields are part of the sealed form; they must not change.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PreservedPost {
    /// A unique id, so that the form is offered once.
    pub id: String,
    /// The author, where it is known.
    pub author: Option<Author>,
    /// The path and query that it was posted to.
    pub target: String,
    /// The fields of the form.
    pub form: PostedForm,
    /// When the form expires, in milliseconds since the Unix epoch.
    pub until: u64,
}

/// The author of a preserved post, as far as the credentials of its request told. `Debug` does not
/// print it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Author {
    /// The user of the refresh token (`sub`).
    Person(String),
    /// The account that logged in last from the same browser: an [`AccountHash`] of the device
    /// cookie.
    LastHere([u8; 16]),
}

/// A preserved post that came back with a login.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RestoredPost {
    /// The preserved post, opened.
    pub post: PreservedPost,
    /// Whether the user who has just logged in is its author.
    pub by_author: bool,
    /// Whether it comes back for the first time. Where that is not known, it counts as a
    /// repetition.
    pub first_time: bool,
}

impl PreservedPost {
    /// The path that it was posted to, validated again: an older version of the gateway may have
    /// sealed it.
    #[must_use]
    pub fn path(&self) -> Option<ReturnPath> {
        ReturnPath::parse(&self.target)
    }

    /// Whether it may no longer be sent.
    #[must_use]
    pub fn is_expired(&self, now: Timestamp) -> bool {
        self.until <= now.millis()
    }

    /// Whether the user of `sub` wrote it. `hashes` are the hashes of their login name under every
    /// key there is.
    #[must_use]
    pub fn is_by(&self, sub: &str, hashes: &[AccountHash]) -> bool {
        match &self.author {
            Some(Author::Person(author)) => author == sub,
            Some(Author::LastHere(author)) => hashes.contains(&AccountHash(*author)),
            None => false,
        }
    }
}

/// The purpose of the seal of a site's preserved posts.
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
    fn a_form_of_the_largest_size_fits_and_is_bound_to_its_site() {
        assert_eq!(max_sealed(64 * 1024), 132 * 1024);
        assert_eq!(max_sealed(0), 4096);
        assert_eq!(seal_purpose("store"), "vestibule unsent form\0store");
        assert_eq!(
            [FormEncoding::UrlEncoded, FormEncoding::Multipart].map(FormEncoding::as_str),
            ["application/x-www-form-urlencoded", "multipart/form-data"]
        );
    }

    #[test]
    fn debug_prints_no_field_and_only_the_author_is_accepted() {
        let form = PostedForm {
            encoding: FormEncoding::UrlEncoded,
            fields: vec![("text".into(), "leaky".into())],
        };
        let post = PreservedPost {
            id: "i".into(),
            author: None,
            target: "/posts".into(),
            form,
            until: 5,
        };
        let shown = format!(
            "{post:?} {:?} {:?}",
            post.form,
            Author::Person("leaky".into())
        );
        assert_eq!(shown, "PreservedPost(1 fields) PostedForm(1 fields) Author");
        assert!(
            post.is_expired(Timestamp::from_millis(5))
                && !post.is_expired(Timestamp::from_millis(4))
        );
        assert!(!post.is_by("", &[]) && !post.is_by("i", &[AccountHash([0; 16])]));
        let by = |author| PreservedPost {
            author: Some(author),
            ..post.clone()
        };
        let ann = by(Author::Person("ann".into()));
        assert!(ann.is_by("ann", &[]) && !ann.is_by("bob", &[AccountHash([1; 16])]));
        let last = by(Author::LastHere([1; 16]));
        assert!(last.is_by("ann", &[AccountHash([2; 16]), AccountHash([1; 16])]));
        assert!(!last.is_by("ann", &[AccountHash([2; 16])]) && !last.is_by("ann", &[]));
    }
}
