//! The CORS headers of the gateway's own responses (Fetch, section 3.3).

use http::header;
use pingora::Result;
use pingora::http::ResponseHeader;

use crate::decide::cors;
use crate::model::local_response::{LocalResponse, Preflight};

use super::request_state::RequestState;

/// The headers that a page may read. Never a token.
const EXPOSED_HEADERS: &str = "X-Request-Id, Retry-After";
/// How long a browser may keep the answer to a preflight, in seconds.
const PREFLIGHT_MAX_AGE: u32 = 600;

/// Allows the page that sent the request to read the response, where its origin is listed and the
/// response is one for programs. At a site that lists any origin, such responses vary by `Origin`.
pub(super) fn allow(
    ctx: &RequestState,
    response: &LocalResponse,
    head: &mut ResponseHeader,
) -> Result<()> {
    let lists_origins = ctx
        .site()
        .is_some_and(|site| !site.allowed_origins.is_empty() || site.hosted_backend.is_some());
    if !lists_origins || !cors::may_be_read(response) {
        return Ok(());
    }
    head.append_header(header::VARY, "Origin")?;
    let Some(reader) = &ctx.response.cors_origin else {
        return Ok(());
    };
    head.insert_header(header::ACCESS_CONTROL_ALLOW_ORIGIN, reader.as_str())?;
    head.insert_header(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, "true")?;
    if let LocalResponse::Preflight(Preflight { methods, headers }) = response {
        head.insert_header(header::ACCESS_CONTROL_ALLOW_METHODS, *methods)?;
        head.insert_header(header::ACCESS_CONTROL_ALLOW_HEADERS, headers.as_str())?;
        head.insert_header(header::ACCESS_CONTROL_MAX_AGE, PREFLIGHT_MAX_AGE)?;
    } else {
        head.insert_header(header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED_HEADERS)?;
    }
    Ok(())
}
