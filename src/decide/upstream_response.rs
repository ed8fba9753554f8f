//! What of an application's response head reaches the client, and which heads are no responses at
//! all (`docs/reference/headers.md#response-headers`).
//!
//! A response whose end is in doubt is not passed on: its client and the gateway could take
//! different bytes for the next response on their connection. The gateway answers `502` in its
//! place and closes the connection to the application.

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Version, header};

/// The head of a response as the application sent it.
#[derive(Clone, Copy, Debug)]
pub struct UpstreamHead<'a> {
    /// The status code.
    pub status: StatusCode,
    /// The version of the status line.
    pub version: Version,
    /// The header fields.
    pub fields: &'a HeaderMap,
}

/// Why a response is not passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpstreamHeadError {
    /// `Content-Length` has more than one value, or one that is no number.
    Length,
    /// `Transfer-Encoding` is not exactly one `chunked`.
    TransferCoding,
    /// A `101` that nobody asked for, or to another protocol than WebSocket.
    Upgrade,
}

impl UpstreamHeadError {
    /// What is wrong with the response, for an operator.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Length => "more than one length, or none that is a number",
            Self::TransferCoding => {
                "a transfer coding other than one `chunked`, beside a length, or in HTTP/1.0"
            }
            Self::Upgrade => "a 101 that was not asked for",
        }
    }
}

/// Whether the request that is answered was a WebSocket handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AskedUpgrade {
    /// It was not: `101` is no answer to it.
    None,
    /// It was.
    WebSocket,
}

impl UpstreamHead<'_> {
    /// Checks that the response has one meaning, and is one to the request.
    ///
    /// # Errors
    /// [`UpstreamHeadError`] where it is not. The connection that it came over cannot be used
    /// again.
    pub fn validate(&self, asked: AskedUpgrade) -> Result<(), UpstreamHeadError> {
        if self.status == StatusCode::SWITCHING_PROTOCOLS && !self.is_websocket(asked) {
            return Err(UpstreamHeadError::Upgrade);
        }
        // Their fields say nothing about a body, and are removed.
        if self.has_no_body_fields() {
            return Ok(());
        }
        let mut lengths = self.fields.get_all(header::CONTENT_LENGTH).iter();
        if let Some(length) = lengths.next()
            && (lengths.next().is_some() || !length.as_bytes().iter().all(u8::is_ascii_digit))
        {
            return Err(UpstreamHeadError::Length);
        }
        let mut codings = self.fields.get_all(header::TRANSFER_ENCODING).iter();
        if let Some(coding) = codings.next()
            && (codings.next().is_some() || !coding.as_bytes().eq_ignore_ascii_case(b"chunked"))
        {
            return Err(UpstreamHeadError::TransferCoding);
        }
        // Two ways to find the end, and a version without codings (RFC 9112, sections 6.1 and 6.3).
        let has_coding = self.fields.contains_key(header::TRANSFER_ENCODING);
        let has_length = self.fields.contains_key(header::CONTENT_LENGTH);
        if has_coding && (has_length || self.version == Version::HTTP_10) {
            return Err(UpstreamHeadError::TransferCoding);
        }
        Ok(())
    }

    /// Whether this `101` switches to what was asked for (RFC 9110, section 7.8; RFC 6455, section
    /// 4.1). HTTP/1.0 has no `101`.
    fn is_websocket(&self, asked: AskedUpgrade) -> bool {
        let mut protocols = self.fields.get_all(header::UPGRADE).iter();
        asked == AskedUpgrade::WebSocket
            && self.version != Version::HTTP_10
            && protocols
                .next()
                .is_some_and(|protocol| protocol.as_bytes().eq_ignore_ascii_case(b"websocket"))
            && protocols.next().is_none()
    }

    /// Whether the response has neither `Content-Length` nor `Transfer-Encoding` (RFC 9110, section
    /// 8.6; RFC 9112, section 6.1).
    fn has_no_body_fields(&self) -> bool {
        self.status.is_informational() || self.status == StatusCode::NO_CONTENT
    }

    /// The fields that end at the gateway (RFC 9110, section 7.6.1): the hop-by-hop ones, and those
    /// that `Connection` names.
    ///
    /// `Transfer-Encoding` stays, since the server frames the response by it, and so does
    /// `Content-Length`, whatever names it. `Upgrade` stays where it is the point of the response.
    #[must_use]
    pub fn removals(&self) -> Vec<HeaderName> {
        let names_protocol = matches!(
            self.status,
            StatusCode::SWITCHING_PROTOCOLS | StatusCode::UPGRADE_REQUIRED
        );
        let no_body = self.has_no_body_fields();
        let mut names: Vec<HeaderName> = Vec::new();
        for (name, value) in self.fields {
            if *name == header::CONNECTION {
                let nominated = self.nominated(value).filter(|name| !is_framing(name));
                let goes = |name: &&HeaderName| !names_protocol || **name != header::UPGRADE;
                names.extend(nominated.filter(goes).cloned());
            }
            let goes = is_hop_by_hop(name)
                || (*name == header::UPGRADE && !names_protocol)
                || (no_body && is_framing(name));
            if goes && names.last() != Some(name) {
                names.push(name.clone());
            }
        }
        names
    }

    /// The fields of this head that a value of `Connection` names.
    fn nominated(&self, value: &HeaderValue) -> impl Iterator<Item = &HeaderName> {
        let options = value.as_bytes().split(|byte| *byte == b',');
        options.filter_map(|option| {
            let option = option.trim_ascii();
            let mut names = self.fields.keys();
            names.find(|name| name.as_str().as_bytes().eq_ignore_ascii_case(option))
        })
    }
}

fn is_hop_by_hop(name: &HeaderName) -> bool {
    matches!(
        *name,
        header::CONNECTION
            | header::TE
            | header::TRAILER
            | header::PROXY_AUTHENTICATE
            | header::PROXY_AUTHORIZATION
    ) || matches!(
        name.as_str(),
        "keep-alive" | "proxy-connection" | "proxy-authentication-info" | "http2-settings"
    )
}

fn is_framing(name: &HeaderName) -> bool {
    matches!(*name, header::CONTENT_LENGTH | header::TRANSFER_ENCODING)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut fields = HeaderMap::new();
        for (name, value) in lines {
            fields.append(*name, HeaderValue::from_static(value));
        }
        fields
    }

    fn head(status: u16, fields: &HeaderMap) -> UpstreamHead<'_> {
        UpstreamHead {
            status: StatusCode::from_u16(status).unwrap(),
            version: Version::HTTP_11,
            fields,
        }
    }

    fn validated(
        status: u16,
        lines: &[(&'static str, &'static str)],
    ) -> Result<(), UpstreamHeadError> {
        head(status, &fields(lines)).validate(AskedUpgrade::None)
    }

    fn removed(status: u16, lines: &[(&'static str, &'static str)]) -> Vec<String> {
        let fields = fields(lines);
        let names = head(status, &fields).removals();
        names.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_end_of_a_response_is_beyond_doubt() {
        let length = |value| ("content-length", value);
        for good in [&[][..], &[length("0")], &[length("005")]] {
            assert_eq!(validated(200, good), Ok(()), "{good:?}");
        }
        for bad in [
            &[length("5"), length("5")][..],
            &[length("5"), length("005")],
            &[length("5, 5")],
            &[length("+5")],
        ] {
            let error = Err(UpstreamHeadError::Length);
            assert_eq!(validated(200, bad), error, "{bad:?}");
        }
        let coding = |value| ("transfer-encoding", value);
        for good in ["chunked", "Chunked"] {
            assert_eq!(validated(200, &[coding(good)]), Ok(()), "{good}");
        }
        for bad in [
            &[coding("chunked"), coding("chunked")][..],
            &[coding("chunked, chunked")],
            &[coding("chunked, identity")],
            &[coding("gzip, chunked")],
            &[coding("xchunked")],
            &[coding("identity")],
            &[coding("")],
            &[coding("chunked"), length("5")],
        ] {
            let error = Err(UpstreamHeadError::TransferCoding);
            for status in [200, 304, 404] {
                assert_eq!(validated(status, bad), error, "{bad:?}");
            }
        }
        let fields = fields(&[coding("chunked")]);
        let old = UpstreamHead {
            version: Version::HTTP_10,
            ..head(200, &fields)
        };
        assert_eq!(
            old.validate(AskedUpgrade::None),
            Err(UpstreamHeadError::TransferCoding)
        );
    }

    #[test]
    fn a_response_without_a_body_has_no_fields_about_one() {
        let lines = [
            ("content-length", "5"),
            ("content-length", "6"),
            ("transfer-encoding", "gzip"),
            ("link", "</a>"),
        ];
        for status in [100, 103, 204] {
            assert_eq!(validated(status, &lines), Ok(()), "{status}");
            let mut removed = removed(status, &lines);
            removed.sort();
            removed.dedup();
            assert_eq!(removed, ["content-length", "transfer-encoding"], "{status}");
        }
        assert!(removed(304, &[("content-length", "5")]).is_empty());
    }

    #[test]
    fn only_the_upgrade_that_was_asked_for_is_taken() {
        let websocket = [("upgrade", "WebSocket"), ("connection", "upgrade")];
        let of = |status, asked, lines: &[(&'static str, &'static str)], version| {
            let fields = fields(lines);
            let head = UpstreamHead {
                version,
                ..head(status, &fields)
            };
            head.validate(asked)
        };
        let (asked, http11) = (AskedUpgrade::WebSocket, Version::HTTP_11);
        assert_eq!(of(101, asked, &websocket, http11), Ok(()));
        assert_eq!(of(403, asked, &[], http11), Ok(()));
        let refused = Err(UpstreamHeadError::Upgrade);
        assert_eq!(of(101, AskedUpgrade::None, &websocket, http11), refused);
        assert_eq!(of(101, asked, &[], http11), refused);
        assert_eq!(of(101, asked, &[("upgrade", "h2c")], http11), refused);
        let twice = [("upgrade", "websocket"), ("upgrade", "h2c")];
        assert_eq!(of(101, asked, &twice, http11), refused);
        assert_eq!(of(101, asked, &websocket, Version::HTTP_10), refused);
    }

    #[test]
    fn hop_by_hop_fields_and_nominated_ones_end_at_the_gateway() {
        assert_eq!(
            removed(
                200,
                &[
                    ("connection", "X-Internal-Node, , Upgrade, content-length"),
                    ("x-internal-node", "10.1.2.3"),
                    ("content-length", "5"),
                    ("content-type", "text/plain"),
                ]
            ),
            ["x-internal-node", "connection"],
            "of those that are there"
        );
        for name in [
            "keep-alive",
            "proxy-connection",
            "proxy-authenticate",
            "te",
            "trailer",
            "upgrade",
        ] {
            assert_eq!(removed(200, &[(name, "x")]), [name]);
        }
        assert!(removed(200, &[("transfer-encoding", "chunked"), ("etag", "x")]).is_empty());
        for status in [101, 426] {
            let lines = [
                ("upgrade", "websocket"),
                ("connection", "Upgrade, X-A"),
                ("x-a", "b"),
            ];
            assert_eq!(removed(status, &lines), ["x-a", "connection"], "{status}");
        }
    }
}
