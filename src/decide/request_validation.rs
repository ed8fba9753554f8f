//! What a request must be before anybody asks what it wants: one meaning for its target, its host
//! and the end of its body.
//!
//! Requests are smuggled past rules where two programs read them in two ways. So what the
//! application could read differently is refused here
//! (`docs/reference/request-handling.md#request-checks`).

use http::{HeaderValue, Method, Version};

use crate::model::origin::Host;
use crate::model::reason::Reason;
use crate::model::request::FetchMetadata;

use super::endpoint;
use super::rejection::Rejection;

/// The most header fields of a request.
pub const MAX_FIELDS: usize = 100;

/// The methods that everybody knows (RFC 9110, section 9.3, and RFC 5789).
const STANDARD_METHODS: [Method; 9] = [
    Method::GET,
    Method::HEAD,
    Method::POST,
    Method::PUT,
    Method::PATCH,
    Method::DELETE,
    Method::OPTIONS,
    Method::TRACE,
    Method::CONNECT,
];

/// What [`validate_head`] looks at. It borrows from the head as the server read it, credentials
/// included, and so has no `Debug`.
#[derive(Clone, Copy)]
pub struct UnvalidatedHead<'a> {
    /// The method.
    pub method: &'a Method,
    /// The target of the request line, as received.
    pub target: &'a [u8],
    /// The version of the protocol.
    pub version: Version,
    /// The number of header fields.
    pub fields: usize,
    /// The bytes of the head as received: request line and fields. Empty where the protocol has no
    /// such form.
    pub bytes: &'a [u8],
    /// The values of `Transfer-Encoding`.
    pub transfer_encoding: &'a [HeaderValue],
    /// The values of `Expect`.
    pub expectations: &'a [HeaderValue],
    /// How often fields occur of which a request has at most one.
    pub counts: FieldCounts,
}

/// How often those fields occur in a request that must have one meaning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FieldCounts {
    /// The number of `Host` fields.
    pub hosts: usize,
    /// The number of `Authorization` fields.
    pub authorizations: usize,
    /// The number of `Origin` fields.
    pub origins: usize,
    /// The number of values in `Content-Length` fields: `5, 5` is two.
    pub lengths: usize,
}

/// Checks everything about a head that does not depend on the site.
///
/// # Errors
/// * `405` for `TRACE` and `CONNECT`
/// * `431` above [`MAX_FIELDS`]
/// * `417` for an expectation other than `100-continue`
/// * `400` for a doubtful end of the body, for more than one `Authorization` or `Origin`, for other
///   than one `Host` (a health check over HTTP/1.0 needs none), and for a standard method in other
///   letter case
pub fn validate_head(head: &UnvalidatedHead<'_>) -> Result<(), Rejection> {
    validate_method(head.method)?;
    if head.fields > MAX_FIELDS {
        return Err(Rejection::too_large(431));
    }
    validate_framing(head.transfer_encoding, head.bytes)?;
    validate_expectations(head.expectations)?;
    // Of two equal lengths the application may take the first and another program the list (RFC
    // 9110, section 8.6). Which of two origins is the page's cannot be told.
    let FieldCounts {
        hosts,
        authorizations,
        origins,
        lengths,
    } = head.counts;
    let is_host_missing = hosts == 0 && !may_lack_host(head);
    if is_host_missing || hosts > 1 || authorizations > 1 || origins > 1 || lengths > 1 {
        Err(Rejection::MALFORMED)
    } else {
        Ok(())
    }
}

/// Whether the request is well-formed without a `Host` field. HTTP/1.0 does not know it, and load
/// balancers send their health checks in that version, such as the `httpchk` of `HAProxy`.
fn may_lack_host(head: &UnvalidatedHead<'_>) -> bool {
    head.version == Version::HTTP_10 && endpoint::is_health_check(head.target)
}

/// Checks the method.
///
/// # Errors
/// `405` for `TRACE` and `CONNECT`, `400` for a standard method in other letter case.
pub fn validate_method(method: &Method) -> Result<(), Rejection> {
    if matches!(*method, Method::TRACE | Method::CONNECT) {
        return Err(Rejection {
            reason: Reason::MethodNotAllowed,
            status: 405,
        });
    }
    if is_respelled_method(method) {
        return Err(Rejection::MALFORMED);
    }
    Ok(())
}

/// Whether a method is a standard one in other letter case. Methods are case-sensitive (RFC 9110,
/// section 9.1), but applications exist that take `post` for `POST`: it would evade the rules for
/// `POST`.
fn is_respelled_method(method: &Method) -> bool {
    STANDARD_METHODS.iter().all(|standard| standard != method)
        && STANDARD_METHODS
            .iter()
            .any(|standard| standard.as_str().eq_ignore_ascii_case(method.as_str()))
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
            version: Version::HTTP_11,
            fields: 1,
            bytes,
            transfer_encoding: &[],
            expectations: &[],
            counts: ONE_HOST,
        }
    }

    const ONE_HOST: FieldCounts = FieldCounts {
        hosts: 1,
        authorizations: 0,
        origins: 0,
        lengths: 0,
    };

    fn status_with(counts: FieldCounts) -> Result<(), u16> {
        status(&UnvalidatedHead {
            counts,
            ..head(b"", b"/")
        })
    }

    fn status(head: &UnvalidatedHead<'_>) -> Result<(), u16> {
        validate_head(head).map_err(|rejection| rejection.status)
    }

    #[test]
    fn a_plain_head_passes() {
        let plain = head(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"/");
        assert_eq!(status(&plain), Ok(()));
        let one_of_each = FieldCounts {
            hosts: 1,
            authorizations: 1,
            origins: 1,
            lengths: 1,
        };
        assert_eq!(status_with(one_of_each), Ok(()));
    }

    #[test]
    fn a_standard_method_in_other_letter_case_is_malformed() {
        let with = |name: &str| {
            let method = Method::from_bytes(name.as_bytes()).unwrap();
            status(&UnvalidatedHead {
                method: &method,
                ..head(b"", b"/")
            })
        };
        for method in STANDARD_METHODS {
            let lower = method.as_str().to_ascii_lowercase();
            assert_eq!(with(&lower), Err(400), "{lower}");
            let (first, rest) = method.as_str().split_at(1);
            let mixed = format!("{first}{}", rest.to_ascii_lowercase());
            assert_eq!(with(&mixed), Err(400), "{mixed}");
        }
        for other in ["GET", "PATCH", "PROPFIND", "purge", "M-SEARCH", "posts"] {
            assert_eq!(with(other), Ok(()), "{other}");
        }
    }

    #[test]
    fn methods_that_reflect_or_tunnel_are_not_allowed() {
        for method in [Method::TRACE, Method::CONNECT] {
            let rejection = validate_head(&UnvalidatedHead {
                method: &method,
                ..head(b"", b"/")
            });
            let problem = rejection.unwrap_err().problem();
            assert_eq!((problem.status, problem.allow.is_some()), (405, true));
        }
        let extension = Method::from_bytes(b"PURGE").unwrap();
        let extended = UnvalidatedHead {
            method: &extension,
            ..head(b"", b"/")
        };
        assert_eq!(status(&extended), Ok(()));
    }

    #[test]
    fn only_a_health_check_over_http_1_0_may_lack_a_host() {
        let with = |target, version, hosts| {
            let counts = FieldCounts { hosts, ..ONE_HOST };
            status(&UnvalidatedHead {
                version,
                counts,
                ..head(b"", target)
            })
        };
        let health = endpoint::HEALTH.as_bytes();
        assert_eq!(with(health, Version::HTTP_10, 0), Ok(()));
        assert_eq!(with(health, Version::HTTP_10, 1), Ok(()));
        assert_eq!(with(health, Version::HTTP_10, 2), Err(400));
        assert_eq!(with(health, Version::HTTP_11, 0), Err(400));
        assert_eq!(with(health, Version::HTTP_2, 0), Err(400));
        assert_eq!(with(b"/", Version::HTTP_10, 0), Err(400));
    }

    #[test]
    fn the_number_of_fields_is_limited() {
        let fields = |fields| UnvalidatedHead {
            fields,
            ..head(b"", b"/")
        };
        assert_eq!(status(&fields(MAX_FIELDS)), Ok(()));
        assert_eq!(status(&fields(MAX_FIELDS + 1)), Err(431));
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
        let unmet = [
            "wonders",
            "100-continue, wonders",
            "100-continue;a=b",
            "100",
        ];
        let met = ["100-continue", "100-Continue , 100-continue", "", ","];
        let unmet = unmet.map(|value| (value, Err(417)));
        for (value, expected) in unmet.into_iter().chain(met.map(|value| (value, Ok(())))) {
            let expectations = ["100-continue", value].map(HeaderValue::from_static);
            let mut head = head(b"", b"/");
            head.expectations = &expectations;
            assert_eq!(status(&head), expected, "{value:?}");
        }
    }

    #[test]
    fn fields_that_have_one_meaning_occur_once() {
        for hosts in [0, 2] {
            assert_eq!(status_with(FieldCounts { hosts, ..ONE_HOST }), Err(400));
        }
        for twice in [
            FieldCounts {
                authorizations: 2,
                ..ONE_HOST
            },
            FieldCounts {
                origins: 2,
                ..ONE_HOST
            },
            FieldCounts {
                lengths: 2,
                ..ONE_HOST
            },
        ] {
            assert_eq!(status_with(twice), Err(400), "{twice:?}");
        }
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
