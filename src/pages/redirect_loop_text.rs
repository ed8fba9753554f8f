//! The texts about a redirect loop: its cause, and who can fix it.

use super::catalog::Catalog;
use crate::model::redirect_loop::{LoopCause, RedirectLoop};

/// Three paragraphs: what happened, what the user can do, and what the operator can do.
pub(super) fn describe(catalog: &Catalog, redirect_loop: &RedirectLoop) -> [String; 3] {
    let names = match &redirect_loop.cause {
        LoopCause::Duplicates(names) => names.join(", "),
        LoopCause::NoCookie
        | LoopCause::Unencrypted
        | LoopCause::Clock
        | LoopCause::Application
        | LoopCause::Refused => String::new(),
    };
    ["text", "visitor", "operator"].map(|part| {
        let key = format!("circle.{}.{part}", message_group(&redirect_loop.cause));
        catalog
            .text_with(&key, "address", &redirect_loop.site_address)
            .replace("{names}", &names)
    })
}

/// The group of messages below `circle`.
const fn message_group(cause: &LoopCause) -> &'static str {
    match cause {
        LoopCause::NoCookie => "no_cookie",
        LoopCause::Unencrypted => "unencrypted",
        LoopCause::Duplicates(_) => "duplicates",
        LoopCause::Clock => "clock",
        LoopCause::Application => "application",
        LoopCause::Refused => "refused",
    }
}
