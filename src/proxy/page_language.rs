//! The language that a user chose on one of the gateway's pages: it is in the address that the
//! language switch leads to, and from then on in a cookie.

use std::time::Duration;

use http::header;
use pingora::Result;
use pingora::http::RequestHeader;

use crate::model::cookie_names::CookieKind;
use crate::model::request_cookies::PresentedCookies;
use crate::model::set_cookie::{self, Lifetime};
use crate::pages::{Catalog, language};

use super::rendered_response::RenderedResponse;
use super::request_head::RequestHead;
use super::request_state::RequestState;

/// How long a browser keeps the choice: a year.
const LIFETIME: Lifetime = Lifetime::For(Duration::from_secs(365 * 24 * 60 * 60));

/// The language that the browser has kept for this site.
pub(super) fn kept(ctx: &RequestState, request: &RequestHeader) -> Option<&'static Catalog> {
    let fields = request.headers.get_all(header::COOKIE).iter();
    let cookies = PresentedCookies::parse(&ctx.site()?.cookies, fields);
    Catalog::of(cookies.language.value()?)
}

/// The language that the address of the page names.
pub(super) fn in_address(request: &RequestHeader) -> Option<&'static Catalog> {
    let query = request.raw_path().splitn(2, |byte| *byte == b'?').nth(1)?;
    language::in_query(query)
}

/// Lets the browser keep the language that the address of the page names. A prefetch chooses
/// nothing.
pub(super) fn keep(
    ctx: &RequestState,
    request: &RequestHeader,
    response: &mut RenderedResponse,
) -> Result<()> {
    let (Some(site), Some(chosen)) = (ctx.site(), in_address(request)) else {
        return Ok(());
    };
    let is_prefetch = RequestHead::read(request).fetch_metadata().is_prefetch;
    if is_prefetch || kept(ctx, request) == Some(chosen) {
        return Ok(());
    }
    for line in set_cookie::set(&site.cookies, CookieKind::Language, chosen.tag, LIFETIME) {
        response.set_cookie(&line)?;
    }
    Ok(())
}
