//! What a request must be before anybody asks what it wants: one meaning for its target, its host
//! and the end of its body, within limits of size.
//!
//! Requests are smuggled past rules where two programs read them in two ways. So what the
//! application could read differently is refused here
//! (`docs/reference/request-handling.md#request-checks`).

use http::{HeaderValue, Method};

use crate::model::local_response::Problem;
use crate::model::origin::Host;
use crate::model::reason::Reason;
use crate::model::request::FetchMetadata;
use crate::model::site::Site;
use crate::model::target::{EncodedSlashes, MAX_TARGET, Target, TargetError};

/// The most header fields of a request.
pub const MAX_FIELDS: usize = 100;
/// The most bytes of a request's header fields. What the request line holds beside the target, a
/// few bytes, counts with them.
pub const MAX_FIELD_BYTES: usize = 16 * 1024;

/// The methods that are not refused by themselves, for the `Allow` field.
const ALLOWED_METHODS: &str = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";

/// Why a request is refused before policy sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// The reason that the client is told.
    pub reason: Reason,
    /// The status code, which says more than the reason: 400, 405, 414, 417, 421 or 431.
    pub status: u16,
}

impl Rejection {
    /// The request is ambiguous, or not well-formed: `400`.
    pub const MALFORMED: Self = Self {
        reason: Reason::MalformedRequest,
        status: 400,
    };

    /// What the client is told.
    #[must_use]
    pub fn problem(&self) -> Problem {
        let mut problem = Problem::new(self.reason).with_status(self.status);
        if self.reason == Reason::MethodNotAllowed {
            problem.allow = Some(ALLOWED_METHODS);
        }
        problem
    }
}

impl From<TargetError> for Rejection {
    fn from(error: TargetError) -> Self {
        match error {
            TargetError::Malformed => Self::MALFORMED,
            TargetError::TooLong => Self {
                reason: Reason::RequestTooLarge,
                status: 414,
            },
        }
    }
}

/// What [`validate_head`] looks at. It borrows from the head as the server read it, credentials
/// included, and so has no `Debug`.
#[derive(Clone, Copy)]
pub struct UnvalidatedHead<'a> {
    /// The method.
    pub method: &'a Method,
    /// The target of the request line, as received.
    pub target: &'a [u8],
    /// The number of header fields.
    pub fields: usize,
    /// The bytes of the head as received: request line and fields. Empty where the protocol has no
    /// such form.
    pub bytes: &'a [u8],
    /// The values of `Transfer-Encoding`.
    pub transfer_encoding: &'a [HeaderValue],
    /// The values of `Expect`.
    pub expectations: &'a [HeaderValue],
    /// The number of `Host` fields.
    pub hosts: usize,
    /// The number of `Authorization` fields.
    pub authorizations: usize,
}

/// Checks everything about a head that does not depend on the site.
///
/// # Errors
/// * `405` for `TRACE` and `CONNECT`
/// * `414` for a target above [`MAX_TARGET`]
/// * `431` above [`MAX_FIELDS`] or [`MAX_FIELD_BYTES`]
/// * `417` for an expectation other than `100-continue`
/// * `400` for a doubtful end of the body, for more than one `Authorization`, and for other than
///   one `Host`
pub fn validate_head(head: &UnvalidatedHead<'_>) -> Result<(), Rejection> {
    if matches!(*head.method, Method::TRACE | Method::CONNECT) {
        return Err(Rejection {
            reason: Reason::MethodNotAllowed,
            status: 405,
        });
    }
    if head.target.len() > MAX_TARGET {
        return Err(TargetError::TooLong.into());
    }
    let field_bytes = head.bytes.len().saturating_sub(head.target.len());
    if head.fields > MAX_FIELDS || field_bytes > MAX_FIELD_BYTES {
        return Err(Rejection {
            reason: Reason::RequestTooLarge,
            status: 431,
        });
    }
    validate_framing(head.transfer_encoding, head.bytes)?;
    validate_expectations(head.expectations)?;
    if head.authorizations > 1 || head.hosts != 1 {
        Err(Rejection::MALFORMED)
    } else {
        Ok(())
    }
}

/// Checks that the end of the body is beyond doubt (RFC 9112, section 6): no `Transfer-Encoding`,
/// or exactly `chunked` and no `Content-Length` beside it.
fn validate_framing(transfer_encoding: &[HeaderValue], head: &[u8]) -> Result<(), Rejection> {
    let coding = match transfer_encoding {
        [] => return Ok(()),
        [one] => one,
        _ => return Err(Rejection::MALFORMED),
    };
    // The server has dropped `Content-Length` from the parsed head by now: the bytes still tell.
    let has_length = head.split(|b| *b == b'\n').any(|line| {
        line.get(.."content-length:".len())
            .is_some_and(|name| name.eq_ignore_ascii_case(b"content-length:"))
    });
    if has_length || coding.as_bytes() != b"chunked" {
        Err(Rejection::MALFORMED)
    } else {
        Ok(())
    }
}

/// Checks that the client expects nothing that nobody meets (RFC 9110, section 10.1.1): a list of
/// `100-continue`, in any letter case, is all there is.
fn validate_expectations(values: &[HeaderValue]) -> Result<(), Rejection> {
    let mut members = values
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .map(<[u8]>::trim_ascii);
    let is_met = |member: &[u8]| member.is_empty() || member.eq_ignore_ascii_case(b"100-continue");
    if members.all(is_met) {
        Ok(())
    } else {
        Err(Rejection {
            reason: Reason::MalformedRequest,
            status: 417,
        })
    }
}

/// Reads the value of `Host`.
///
/// # Errors
/// `400` where it is missing, or is not a host with an optional port.
pub fn validate_host(field: Option<&HeaderValue>) -> Result<Host, Rejection> {
    field
        .and_then(|host| host.to_str().ok())
        .and_then(Host::parse)
        .ok_or(Rejection::MALFORMED)
}

/// Rewrites a target in absolute-form (`http://host/path`) to origin-form (`/path`), if its
/// authority is `host`. `None` where the target is not in absolute-form.
///
/// # Errors
/// `400` where the authority is another, or none.
pub fn origin_form(target: &[u8], host: &Host) -> Result<Option<Vec<u8>>, Rejection> {
    let Some(rest) = target
        .strip_prefix(b"http://")
        .or_else(|| target.strip_prefix(b"https://"))
    else {
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
    if authority != *host {
        return Err(Rejection::MALFORMED);
    }
    Ok(Some(match path.first() {
        None => b"/".to_vec(),
        Some(b'?') => [b"/", path].concat(),
        Some(_) => path.to_vec(),
    }))
}

/// Reads a target in origin-form as `site` reads it.
///
/// # Errors
/// `400` where the target is ambiguous, or where an application that reads it more freely would
/// take it for one with a stricter rule; `414` where it is too long.
pub fn validate_target<'a>(
    target: &'a [u8],
    method: &Method,
    site: &Site,
) -> Result<Target<'a>, Rejection> {
    let target = Target::parse(target, site.encoded_slashes)?;
    if site.is_evaded_by(method, &target) {
        return Err(Rejection::MALFORMED);
    }
    Ok(target)
}

/// Why a request for a host that no site has is refused: an ambiguous target is malformed at every
/// host, everything else is misdirected (`421`).
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

/// Whether a rejection is shown as a page: a browser navigates, as far as a request tells that was
/// not read to its end.
#[must_use]
pub fn is_shown_as_page(metadata: &FetchMetadata<'_>) -> bool {
    match metadata.fetch_mode {
        Some(mode) => mode == "navigate",
        None => metadata
            .accept
            .is_some_and(|accept| accept.contains("text/html")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHUNKED: HeaderValue = HeaderValue::from_static("chunked");

    fn head<'a>(bytes: &'a [u8], target: &'a [u8]) -> UnvalidatedHead<'a> {
        UnvalidatedHead {
            method: &Method::GET,
            target,
            fields: 1,
            bytes,
            transfer_encoding: &[],
            expectations: &[],
            hosts: 1,
            authorizations: 0,
        }
    }

    fn status(head: &UnvalidatedHead<'_>) -> Result<(), u16> {
        validate_head(head).map_err(|rejection| rejection.status)
    }

    #[test]
    fn a_plain_head_passes() {
        let plain = head(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"/");
        assert_eq!(status(&plain), Ok(()));
        let with_authorization = UnvalidatedHead {
            authorizations: 1,
            ..plain
        };
        assert_eq!(status(&with_authorization), Ok(()));
    }

    #[test]
    fn methods_that_reflect_or_tunnel_are_not_allowed() {
        for method in [Method::TRACE, Method::CONNECT] {
            let rejection = validate_head(&UnvalidatedHead {
                method: &method,
                ..head(b"", b"/")
            });
            let problem = rejection.unwrap_err().problem();
            assert_eq!(problem.status, 405);
            assert_eq!(problem.allow, Some(ALLOWED_METHODS));
        }
        let extension = Method::from_bytes(b"PURGE").unwrap();
        let extended = UnvalidatedHead {
            method: &extension,
            ..head(b"", b"/")
        };
        assert_eq!(status(&extended), Ok(()));
    }

    #[test]
    fn the_size_is_limited() {
        let longest = vec![b'a'; MAX_TARGET];
        assert_eq!(status(&head(&longest, &longest)), Ok(()));
        let too_long = vec![b'a'; MAX_TARGET + 1];
        assert_eq!(status(&head(&too_long, &too_long)), Err(414));
        let fields = |fields| UnvalidatedHead {
            fields,
            ..head(b"", b"/")
        };
        assert_eq!(status(&fields(MAX_FIELDS)), Ok(()));
        assert_eq!(status(&fields(MAX_FIELDS + 1)), Err(431));
        // The target has a limit of its own and does not count among the fields.
        let largest = vec![b'a'; MAX_FIELD_BYTES + longest.len()];
        assert_eq!(status(&head(&largest, &longest)), Ok(()));
        let too_large = vec![b'a'; MAX_FIELD_BYTES + longest.len() + 1];
        assert_eq!(status(&head(&too_large, &longest)), Err(431));
    }

    #[test]
    fn the_end_of_the_body_is_beyond_doubt() {
        let framed = |codings: &[HeaderValue], bytes: &[u8]| {
            status(&UnvalidatedHead {
                transfer_encoding: codings,
                ..head(bytes, b"/")
            })
        };
        assert_eq!(framed(&[CHUNKED], b"POST / HTTP/1.1\r\n"), Ok(()));
        // A length alone was read by the server.
        assert_eq!(framed(&[], b"Content-Length: 1\r\n"), Ok(()));
        for length in ["Content-Length: 1", "content-length:1", "CONTENT-LENGTH:"] {
            let bytes = format!("POST / HTTP/1.1\r\nHost: a\r\n{length}\r\n\r\n");
            assert_eq!(framed(&[CHUNKED], bytes.as_bytes()), Err(400), "{length}");
        }
        let of_another_name = b"POST / HTTP/1.1\r\nX-Content-Length: 1\r\n";
        assert_eq!(framed(&[CHUNKED], of_another_name), Ok(()));
        assert_eq!(framed(&[CHUNKED, CHUNKED], b""), Err(400));
        for coding in [
            "gzip",
            "gzip, chunked",
            "Chunked",
            "chunked ",
            "identity",
            "",
        ] {
            let coding = HeaderValue::from_static(coding);
            assert_eq!(
                framed(std::slice::from_ref(&coding), b""),
                Err(400),
                "{coding:?}"
            );
        }
    }

    #[test]
    fn nothing_is_expected_but_to_continue() {
        let expecting = |values: &[&'static str]| {
            let values: Vec<_> = values.iter().map(|v| HeaderValue::from_static(v)).collect();
            status(&UnvalidatedHead {
                expectations: &values,
                ..head(b"", b"/")
            })
        };
        for met in [
            &["100-continue"][..],
            &["100-Continue , 100-continue"],
            &["100-continue", "100-continue"],
            &[""],
            &[","],
        ] {
            assert_eq!(expecting(met), Ok(()), "{met:?}");
        }
        for unmet in [
            &["wonders"][..],
            &["100-continue, wonders"],
            &["100-continue", "wonders"],
            &["100-continue=1"],
            &["100-continue;a=b"],
            &["100"],
        ] {
            assert_eq!(expecting(unmet), Err(417), "{unmet:?}");
        }
    }

    #[test]
    fn there_is_one_host_and_at_most_one_authorization() {
        let plain = head(b"", b"/");
        for hosts in [0, 2] {
            assert_eq!(status(&UnvalidatedHead { hosts, ..plain }), Err(400));
        }
        let twice = UnvalidatedHead {
            authorizations: 2,
            ..plain
        };
        assert_eq!(status(&twice), Err(400));
    }

    #[test]
    fn a_host_is_a_name_with_an_optional_port() {
        let host = |text| validate_host(Some(&HeaderValue::from_static(text)));
        assert_eq!(
            host("Store.example:81").unwrap().to_string(),
            "store.example:81"
        );
        for bad in ["", "a b", "a/b", "user@a", "a:port"] {
            assert_eq!(host(bad), Err(Rejection::MALFORMED), "{bad}");
        }
        assert_eq!(validate_host(None), Err(Rejection::MALFORMED));
    }

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
    fn an_unknown_host_is_told_so_where_the_target_is_well_formed() {
        assert_eq!(reject_unknown_host(b"/a%2Fb").status, 421);
        assert_eq!(reject_unknown_host(b"/a/../b"), Rejection::MALFORMED);
        let too_long = vec![b'/'; MAX_TARGET + 1];
        assert_eq!(reject_unknown_host(&too_long).status, 414);
    }

    #[test]
    fn a_rejection_is_a_page_for_who_navigates() {
        let shown = |fetch_mode, accept| {
            is_shown_as_page(&FetchMetadata {
                accept,
                fetch_mode,
                ..FetchMetadata::default()
            })
        };
        assert!(shown(Some("navigate"), None));
        assert!(shown(None, Some("text/html,*/*;q=0.8")));
        assert!(!shown(Some("cors"), Some("text/html")));
        assert!(!shown(None, Some("application/json")));
        assert!(!shown(None, None));
    }
}
