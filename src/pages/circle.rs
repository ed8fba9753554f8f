//! Why signing in goes round in circles, and who can end it.

use super::words::Words;
use crate::model::circle::{Circle, CircleCause};

/// What happens, what the visitor can do about it, and what the people who run the site can.
pub(super) fn in_words(words: &Words, circle: &Circle) -> [String; 3] {
    let names = match &circle.cause {
        CircleCause::Duplicates(names) => names.join(", "),
        CircleCause::NoCookie
        | CircleCause::Unencrypted
        | CircleCause::Clock
        | CircleCause::Application
        | CircleCause::Refused => String::new(),
    };
    ["text", "visitor", "operator"].map(|part| {
        let key = format!("circle.{}.{part}", stem(&circle.cause));
        words
            .say_with(&key, "address", &circle.address)
            .replace("{names}", &names)
    })
}

/// The messages beneath `circle` that say it.
const fn stem(cause: &CircleCause) -> &'static str {
    match cause {
        CircleCause::NoCookie => "no_cookie",
        CircleCause::Unencrypted => "unencrypted",
        CircleCause::Duplicates(_) => "duplicates",
        CircleCause::Clock => "clock",
        CircleCause::Application => "application",
        CircleCause::Refused => "refused",
    }
}
