//! The target of a request, as the site of its host reads it.

use std::ptr;

use http::Method;

use crate::model::origin::{Host, Scheme};
use crate::model::path_readings::{TooManyReadingsError, other_readings};
use crate::model::reason::Reason;
use crate::model::return_path::ReturnPath;
use crate::model::rule::{Rule, RuleClient};
use crate::model::site::Site;
use crate::model::target::{EncodedSlashes, Target};

use super::endpoint;
use super::rejection::Rejection;

/// Rewrites a target in absolute-form (`http://host/path`) to origin-form (`/path`), if its
/// authority is `host`: without regard to letter case, and with the default port of its scheme
/// equal to none. `None` where the target is not in absolute-form.
///
/// # Errors
/// `400` where the authority is another, or none.
pub fn origin_form(target: &[u8], host: &Host) -> Result<Option<Vec<u8>>, Rejection> {
    let of_scheme = |scheme: Scheme| {
        let (start, rest) = target.split_at_checked(scheme.as_str().len())?;
        let rest = rest.strip_prefix(b"://")?;
        start
            .eq_ignore_ascii_case(scheme.as_str().as_bytes())
            .then_some((scheme, rest))
    };
    let Some((scheme, rest)) = of_scheme(Scheme::Http).or_else(|| of_scheme(Scheme::Https)) else {
        return Ok(None);
    };
    let at = rest
        .iter()
        .position(|b| matches!(b, b'/' | b'?'))
        .unwrap_or(rest.len());
    let (authority, path) = rest.split_at(at);
    let authority = std::str::from_utf8(authority)
        .ok()
        .and_then(Host::parse)
        .ok_or(Rejection::MALFORMED)?;
    let port = |host: &Host| host.port.unwrap_or(scheme.default_port());
    if authority.name != host.name || port(&authority) != port(host) {
        return Err(Rejection::MALFORMED);
    }
    Ok(Some(match path.first() {
        None => b"/".to_vec(),
        Some(b'?') => [b"/", path].concat(),
        Some(_) => path.to_vec(),
    }))
}

/// Reads a target in origin-form as `site` reads it, for a request of this method and client.
///
/// # Errors
/// `400` where the target is malformed, or where another server's reading of it meets another rule
/// or one of the gateway's own endpoints.
pub fn validate_target<'a>(
    target: &'a [u8],
    method: &Method,
    client: RuleClient<'_>,
    site: &Site,
) -> Result<Target<'a>, Rejection> {
    let target = Target::parse(target, site.encoded_slashes)?;
    match find_ambiguity(&target, method, client, site) {
        None => Ok(target),
        Some(_) => Err(Rejection::MALFORMED),
    }
}

/// Whether the site accepts a request for this address, of a client that fulfils no condition.
pub(super) fn is_accepted(site: &Site, address: &ReturnPath) -> bool {
    let address = address.as_str();
    let target = address
        .split_once('#')
        .map_or(address, |(target, _)| target);
    validate_target(target.as_bytes(), &Method::GET, RuleClient::default(), site).is_ok()
}

/// Why a well-formed target is refused all the same (`400`): an application may read the request as
/// another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ambiguity {
    /// An application that does not mind the letter case of the method meets a stricter rule.
    Method,
    /// There are more readings of the path than are followed.
    TooManyReadings,
    /// There are several readings, and one of them is an endpoint of the gateway.
    OwnEndpoint,
    /// The readings meet different rules.
    DifferentRules,
}

impl Ambiguity {
    /// What is wrong, for an operator.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Method => "a rule for this method in other letter case requires more",
            Self::TooManyReadings => "there are too many readings of the path",
            Self::OwnEndpoint => "one of the readings is an endpoint of the gateway",
            Self::DifferentRules => "the readings meet different rules",
        }
    }
}

/// Finds out whether every reading of the target meets the same rule, and none of several meets an
/// own endpoint of the gateway.
#[must_use]
pub fn find_ambiguity(
    target: &Target<'_>,
    method: &Method,
    client: RuleClient<'_>,
    site: &Site,
) -> Option<Ambiguity> {
    let path = target.decoded_path();
    if site.is_evaded_by_method(method, path, client) {
        return Some(Ambiguity::Method);
    }
    let readings = match other_readings(target) {
        Ok(readings) if readings.is_empty() => return None,
        Ok(readings) => readings,
        Err(TooManyReadingsError) => return Some(Ambiguity::TooManyReadings),
    };
    if endpoint::find(site, target).is_some()
        || readings
            .iter()
            .any(|path| endpoint::find_reading(site, path, target.query()).is_some())
    {
        return Some(Ambiguity::OwnEndpoint);
    }
    let rule = site.find_rule(method, path, client);
    let is_same = |other: Option<&Rule>| match (rule, other) {
        (Some(rule), Some(other)) => ptr::eq(rule, other),
        (None, None) => true,
        (Some(_), None) | (None, Some(_)) => false,
    };
    for path in &readings {
        if !is_same(site.find_rule(method, path, client)) {
            return Some(Ambiguity::DifferentRules);
        }
        if site.is_evaded_by_method(method, path, client) {
            return Some(Ambiguity::Method);
        }
    }
    None
}

/// Why a request for a host that no site has, or that the connection is not for, is refused: an
/// ambiguous target is malformed at every host, everything else is misdirected (`421`).
#[must_use]
pub fn reject_unknown_host(target: &[u8]) -> Rejection {
    match Target::parse(target, EncodedSlashes::Pass) {
        Ok(_) => Rejection {
            reason: Reason::UnknownSite,
            status: Reason::UnknownSite.status(),
        },
        Err(error) => error.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absolute_form_becomes_origin_form_for_the_same_host() {
        let host = Host::parse("a.example:81").unwrap();
        let rewritten = |target: &str| {
            origin_form(target.as_bytes(), &host)
                .map(|target| target.map(|bytes| String::from_utf8(bytes).unwrap()))
        };
        for (target, expected) in [
            ("http://a.example:81/b?c", "/b?c"),
            ("https://A.example:81/b", "/b"),
            ("http://a.example:81", "/"),
            ("http://a.example:81?c", "/?c"),
            ("HTTP://A.EXAMPLE:81/b", "/b"),
            ("hTTpS://a.example:81/b", "/b"),
        ] {
            assert_eq!(rewritten(target), Ok(Some(expected.to_owned())), "{target}");
        }
        for origin_form in ["/b", "/http://x/", "*", "ftp://a.example:81/"] {
            assert_eq!(rewritten(origin_form), Ok(None), "{origin_form}");
        }
        for other in [
            "http://b.example:81/",
            "http://a.example/",
            "http:///b",
            "http://u@a.example:81/",
        ] {
            assert_eq!(rewritten(other), Err(Rejection::MALFORMED), "{other}");
        }
    }

    #[test]
    fn the_default_port_of_an_absolute_form_is_the_same_as_none() {
        for (target, host) in [
            ("http://a.example/b", "a.example:80"),
            ("http://a.example:80/b", "a.example"),
            ("http://a.example:/b", "a.example"),
            ("https://a.example:443/b", "a.example"),
            ("https://[::1]/b", "[::1]:443"),
        ] {
            let host = Host::parse(host).unwrap();
            let expected = Ok(Some(b"/b".to_vec()));
            assert_eq!(origin_form(target.as_bytes(), &host), expected, "{target}");
        }
        for (target, host) in [
            ("http://a.example:443/b", "a.example"),
            ("https://a.example/b", "a.example:80"),
        ] {
            let host = Host::parse(host).unwrap();
            let refused = Err(Rejection::MALFORMED);
            assert_eq!(origin_form(target.as_bytes(), &host), refused, "{target}");
        }
    }

    #[test]
    fn an_unknown_host_is_told_so_where_the_target_is_well_formed() {
        assert_eq!(reject_unknown_host(b"/a%2Fb").status, 421);
        assert_eq!(reject_unknown_host(b"/a/../b"), Rejection::MALFORMED);
    }
}
