//! The head of an HTTP/2 request, written as the head of an HTTP/1 request is: with a `Host` field,
//! a target in origin-form and one `Cookie` field. Nothing else in the gateway then depends on the
//! protocol.
//!
//! The `h2` crate has refused by now what RFC 9113, section 8 calls malformed: fields of a
//! connection (`Connection`, `Transfer-Encoding`, `TE` other than `trailers` …), names with
//! capitals, a body that is not as long as `Content-Length` says. It resets such a stream with
//! `PROTOCOL_ERROR`.

use http::request::Parts;
use http::uri::{Authority, PathAndQuery};
use http::{HeaderMap, HeaderValue, Uri, header};
use pingora::http::RequestHeader;

use crate::model::origin::Host;

/// A head as the gateway reads it.
pub(super) struct Http2Head {
    pub(super) header: RequestHeader,
    pub(super) form: HeadForm,
}

/// Whether a head means one thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HeadForm {
    /// It does.
    WellFormed,
    /// Two servers could read two things.
    Malformed,
}

impl Http2Head {
    pub(super) fn read(mut parts: Parts) -> Self {
        let has_clean_values = parts.headers.values().all(is_clean);
        let has_one_host = match parts.uri.authority() {
            Some(authority) => settle_host(&mut parts.headers, authority),
            // `Host` alone is as good (RFC 9113, section 8.3.1). Whether it is there is validated
            // later, as in any request.
            None => true,
        };
        join_cookies(&mut parts.headers);
        // `CONNECT` has no path. It is refused whatever it names.
        let target = parts.uri.path_and_query().cloned();
        parts.uri = Uri::from(target.unwrap_or(PathAndQuery::from_static("/")));
        Self {
            header: RequestHeader::from(parts),
            form: if has_clean_values && has_one_host {
                HeadForm::WellFormed
            } else {
                HeadForm::Malformed
            },
        }
    }
}

/// Whether a field value has no blanks around it (RFC 9113, section 8.2.1). Two servers that trim
/// them or not would read two values.
fn is_clean(value: &HeaderValue) -> bool {
    let is_blank = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
    !is_blank(value.as_bytes().first()) && !is_blank(value.as_bytes().last())
}

/// Makes `:authority` the `Host` field. Returns `false` where a `Host` field beside it names
/// another host, or there is more than one.
fn settle_host(headers: &mut HeaderMap, authority: &Authority) -> bool {
    let mut hosts = headers.get_all(header::HOST).iter();
    let (host, second) = (hosts.next(), hosts.next());
    let is_same = host.is_none_or(|host| is_same_host(host, authority)) && second.is_none();
    // What is an authority is a header value.
    if let Ok(value) = HeaderValue::from_str(authority.as_str()) {
        headers.insert(header::HOST, value);
    }
    is_same
}

fn is_same_host(host: &HeaderValue, authority: &Authority) -> bool {
    host.as_bytes() == authority.as_str().as_bytes()
        || host
            .to_str()
            .ok()
            .and_then(Host::parse)
            .is_some_and(|host| Host::parse(authority.as_str()) == Some(host))
}

/// Makes one `Cookie` field of several (RFC 9113, section 8.2.3): clients send each cookie in a
/// field of its own, because it is compressed better.
fn join_cookies(headers: &mut HeaderMap) {
    if headers.get_all(header::COOKIE).iter().nth(1).is_none() {
        return;
    }
    let crumbs: Vec<&[u8]> = headers
        .get_all(header::COOKIE)
        .iter()
        .map(HeaderValue::as_bytes)
        .collect();
    // What is joined of header values is one.
    if let Ok(joined) = HeaderValue::from_bytes(&crumbs.join(&b"; "[..])) {
        headers.insert(header::COOKIE, joined);
    }
}

#[cfg(test)]
mod tests {
    use http::{Method, Request, Version};

    use super::*;

    fn read(uri: &str, fields: &[(&str, &str)]) -> Http2Head {
        let mut request = Request::builder().uri(uri).version(Version::HTTP_2);
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        Http2Head::read(request.body(()).unwrap().into_parts().0)
    }

    #[test]
    fn the_authority_is_the_host_and_the_target_is_the_path() {
        let head = read("https://Store.example:81/a%20b?c=%22&d", &[("x", "y")]);
        assert_eq!(head.form, HeadForm::WellFormed);
        assert_eq!(head.header.headers["host"], "Store.example:81");
        assert_eq!(head.header.headers["x"], "y");
        assert_eq!(head.header.raw_path(), b"/a%20b?c=%22&d");
        assert_eq!(head.header.uri.authority(), None);
        assert_eq!(head.header.version, Version::HTTP_2);
    }

    #[test]
    fn a_host_field_names_the_same_host_or_none() {
        for (fields, form) in [
            (&[][..], HeadForm::WellFormed),
            (&[("host", "a.example")], HeadForm::WellFormed),
            (&[("host", "A.Example")], HeadForm::WellFormed),
            (&[("host", "b.example")], HeadForm::Malformed),
            (&[("host", "a.example:81")], HeadForm::Malformed),
            (&[("host", "")], HeadForm::Malformed),
            (
                &[("host", "a.example"), ("host", "a.example")],
                HeadForm::Malformed,
            ),
        ] {
            let head = read("http://a.example/", fields);
            assert_eq!(head.form, form, "{fields:?}");
            assert_eq!(head.header.headers.get_all("host").iter().count(), 1);
            assert_eq!(head.header.headers["host"], "a.example");
        }
        // Without an authority, the fields stay as they are.
        let twice = read("/", &[("host", "a.example"), ("host", "b.example")]);
        assert_eq!(twice.header.headers.get_all("host").iter().count(), 2);
        assert_eq!(twice.form, HeadForm::WellFormed);
        assert!(!read("/", &[]).header.headers.contains_key("host"));
    }

    #[test]
    fn crumbs_become_one_cookie_field() {
        let cookies = [("cookie", "a=1"), ("x", "y"), ("cookie", "b=2; c=3")];
        let head = read("http://a/", &cookies);
        let joined: Vec<_> = head.header.headers.get_all("cookie").iter().collect();
        assert_eq!(joined, ["a=1; b=2; c=3"]);
        let one = read("http://a/", &[("cookie", "a=1")]);
        assert_eq!(one.header.headers["cookie"], "a=1");
    }

    #[test]
    fn a_value_with_blanks_around_it_is_malformed() {
        for (value, form) in [
            ("a b", HeadForm::WellFormed),
            ("", HeadForm::WellFormed),
            (" a", HeadForm::Malformed),
            ("a\t", HeadForm::Malformed),
        ] {
            assert_eq!(read("http://a/", &[("x", value)]).form, form, "{value:?}");
        }
    }

    #[test]
    fn connect_keeps_its_method() {
        let mut request = Request::new(());
        *request.method_mut() = Method::CONNECT;
        *request.uri_mut() = "a.example:443".parse().unwrap();
        let head = Http2Head::read(request.into_parts().0);
        assert_eq!(head.header.method, Method::CONNECT);
        assert_eq!(head.header.headers["host"], "a.example:443");
        assert_eq!(head.header.raw_path(), b"/");
    }
}
