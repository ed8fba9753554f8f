//! Why signing in goes round in circles, and who can end it.

use super::catalog::Catalog;
use crate::model::redirect_loop::{LoopCause, RedirectLoop};

/// What happens, what the visitor can do about it, and what the people who run the site can.
pub(super) fn describe(words: &Catalog, circle: &RedirectLoop) -> [String; 3] {
    let names = match &circle.cause {
        LoopCause::Duplicates(names) => names.join(", "),
        LoopCause::NoCookie
        | LoopCause::Unencrypted
        | LoopCause::Clock
        | LoopCause::Application
        | LoopCause::Refused => String::new(),
    };
    ["text", "visitor", "operator"].map(|part| {
        let key = format!("circle.{}.{part}", stem(&circle.cause));
        words
            .text_with(&key, "address", &circle.address)
            .replace("{names}", &names)
    })
}

/// The messages beneath `circle` that say it.
const fn stem(cause: &LoopCause) -> &'static str {
    match cause {
        LoopCause::NoCookie => "no_cookie",
        LoopCause::Unencrypted => "unencrypted",
        LoopCause::Duplicates(_) => "duplicates",
        LoopCause::Clock => "clock",
        LoopCause::Application => "application",
        LoopCause::Refused => "refused",
    }
}
