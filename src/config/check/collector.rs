//! Checks `[telemetry]`: the collector that takes traces.

use url::Url;

use super::super::file::Telemetry;
use super::super::settings::Traces;
use super::super::spans::At;
use super::{Reported, Review};

/// The path that takes traces, beneath the address of the collector (OTLP/HTTP).
const TRACES_PATH: [&str; 2] = ["v1", "traces"];

const FORM: &str = "write it like \"http://127.0.0.1:4318\"";

pub(super) fn traces(
    written: Option<&At<Telemetry>>,
    review: &mut Review<'_>,
) -> Result<Option<Traces>, Reported> {
    let Some(written) = written else {
        return Ok(None);
    };
    if !cfg!(feature = "traces") {
        let what = "this program was built without traces";
        let hint = "build it with the feature `traces`, or take `[telemetry]` away";
        review.refuse(&written.span, what, hint);
        return Err(Reported);
    }
    // What is missing was reported with the schema.
    let address = written.otlp.as_ref().ok_or(Reported)?;
    Ok(Some(Traces {
        endpoint: endpoint(address, review).ok_or(Reported)?,
        sample: written.sample,
    }))
}

/// The address for traces: the path that the specification names, beneath the written one.
fn endpoint(written: &At<String>, review: &mut Review<'_>) -> Option<Url> {
    let mut refuse = |what, hint| {
        // Not quoted: a password may be in it.
        review.refuse(&written.span, what, hint);
        None
    };
    let Some(mut url) = Url::parse(written)
        .ok()
        .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
    else {
        return refuse("`otlp` is no http or https address", FORM);
    };
    if !url.username().is_empty() || url.password().is_some() {
        let hint = "take it out: the variable OTEL_EXPORTER_OTLP_HEADERS holds what proves you";
        return refuse("`otlp` has a name or password in it", hint);
    }
    if url.query().is_some() || url.fragment().is_some() {
        return refuse("`otlp` has a `?` or `#` in it", FORM);
    }
    if url.path().trim_end_matches('/').ends_with("/v1/traces") {
        let hint = "take `/v1/traces` away: it is added";
        return refuse("`otlp` has the path of traces in it", hint);
    }
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty().extend(TRACES_PATH);
    }
    Some(url)
}
