//! Which response fields tell a cache to keep a response (`docs/reference/headers.md#caches`).
//!
//! A response that carries credentials is `Cache-Control: private, no-store`. That alone does not
//! keep it out of every cache: a field that is addressed to one kind of cache wins over
//! `Cache-Control` there (RFC 9213, section 2.2), `X-Accel-Expires` wins at nginx, and a cache of
//! HTTP/1.0 reads `Expires` only. So every field by which a cache could be told otherwise is
//! removed.
//!
//! Fields that report what a cache did (`Age`, `Cache-Status`, `X-Cache`), that label a response so
//! that it can be purged (`Surrogate-Key`, `Cache-Tag`), or that choose among stored responses
//! (`Vary`, `No-Vary-Search`) store nothing by themselves. They stay.

use http::HeaderName;

/// Names by their ends, which also covers targeted fields that nobody has registered yet: a cache
/// may be configured with any name of the form `NAME-Cache-Control`.
const ENDINGS: &[&str] = &["cache-control", "surrogate-control", "edge-control"];

/// Names that are known by heart. `pragma: no-cache` of a response is not specified, and some
/// caches read `Pragma: public`. The last three are the fields that Varnish configurations of
/// common content-management systems take a lifetime from.
const NAMES: &[&str] = &[
    "expires",
    "pragma",
    "x-accel-expires",
    "x-cache-ttl",
    "x-reverse-proxy-ttl",
    "x-vc-ttl",
];

/// Whether a response field of this name can tell a cache to keep the response.
#[must_use]
pub fn directs_caches(name: &HeaderName) -> bool {
    let name = name.as_str();
    NAMES.contains(&name) || ENDINGS.iter().any(|ending| ends_in(name, ending))
}

/// Whether `name` is `ending`, or ends in it after a hyphen.
fn ends_in(name: &str, ending: &str) -> bool {
    name.strip_suffix(ending)
        .is_some_and(|start| start.is_empty() || start.ends_with('-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directs(name: &str) -> bool {
        directs_caches(&HeaderName::from_bytes(name.as_bytes()).unwrap())
    }

    #[test]
    fn fields_that_direct_caches_are_known_in_any_letter_case() {
        for name in [
            "Cache-Control",
            "CDN-Cache-Control",
            "Cloudflare-CDN-Cache-Control",
            "Netlify-CDN-Cache-Control",
            "Vercel-CDN-Cache-Control",
            "Akamai-Cache-Control",
            "X-LiteSpeed-Cache-Control",
            "Surrogate-Control",
            "X-Surrogate-Control",
            "Edge-Control",
            "Expires",
            "Pragma",
            "X-Accel-Expires",
            "X-Reverse-Proxy-TTL",
        ] {
            assert!(directs(name), "{name}");
        }
    }

    #[test]
    fn other_fields_stay() {
        for name in [
            "Age",
            "Vary",
            "ETag",
            "Last-Modified",
            "Cache-Status",
            "CDN-Cache-Status",
            "X-Cache",
            "Surrogate-Key",
            "Cache-Tag",
            "X-Accel-Redirect",
            "X-Accel-Buffering",
            "Access-Control-Allow-Origin",
            "Hedge-Control",
            "X-Session-Expires",
            "Set-Cookie",
        ] {
            assert!(!directs(name), "{name}");
        }
    }
}
