//! What pages of other origins may read of the gateway's own answers.

use http::header;
use pingora::Result;
use pingora::http::ResponseHeader;

use crate::decide::cors;
use crate::model::local_response::{LocalResponse, Preflight};

use super::context::ProxyContext;

/// What a page may read beside the status and the body. Never a token.
const EXPOSED: &str = "X-Request-Id, Retry-After";
/// How long a browser need not ask again, in seconds.
const MAX_AGE: u32 = 600;

/// Names the listed origin that the request came from, and says that answers differ by origin where
/// any is listed.
pub(super) fn allow(
    ctx: &ProxyContext,
    answer: &LocalResponse,
    head: &mut ResponseHeader,
) -> Result<()> {
    let listing = ctx
        .site()
        .is_some_and(|site| !site.allowed_origins.is_empty() || site.hosted.is_some());
    if !listing || !cors::may_be_read(answer) {
        return Ok(());
    }
    head.append_header(header::VARY, "Origin")?;
    let Some(reader) = &ctx.response.cors_origin else {
        return Ok(());
    };
    head.insert_header(header::ACCESS_CONTROL_ALLOW_ORIGIN, reader.as_str())?;
    head.insert_header(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, "true")?;
    if let LocalResponse::Preflight(Preflight { methods, headers }) = answer {
        head.insert_header(header::ACCESS_CONTROL_ALLOW_METHODS, *methods)?;
        head.insert_header(header::ACCESS_CONTROL_ALLOW_HEADERS, headers.as_str())?;
        head.insert_header(header::ACCESS_CONTROL_MAX_AGE, MAX_AGE)?;
    } else {
        head.insert_header(header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED)?;
    }
    Ok(())
}
