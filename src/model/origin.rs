//! Hosts and origins, compared as browsers compare them.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

/// The scheme of an origin or a URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// `http`: the connection is not encrypted.
    Http,
    /// `https`: the connection is encrypted with TLS.
    Https,
}

impl Scheme {
    /// The scheme as text: `http` or `https`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    /// The port where none is written: 80 or 443.
    #[must_use]
    pub const fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

/// A host, with its port where one is written.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Host {
    /// The name in lower case, an IPv4 address, or an IPv6 address in brackets.
    pub name: String,
    /// The port as written; `None` where none is.
    pub port: Option<u16>,
}

impl Host {
    /// Parses the value of a `Host` field (RFC 9110, section 7.2): a name or address with an
    /// optional port.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (name, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (address, after) = rest.split_once(']')?;
                address.parse::<Ipv6Addr>().ok()?;
                (text.get(..address.len() + 2)?, after)
            }
            None => {
                let at = text.find(':').unwrap_or(text.len());
                let (name, after) = text.split_at(at);
                if !is_name(name) {
                    return None;
                }
                (name, after)
            }
        };
        let port = match port {
            "" => None,
            written => {
                let digits = written.strip_prefix(':')?;
                // The grammar allows an empty port, which means the default.
                if digits.is_empty() {
                    None
                } else if digits.len() <= 5 && digits.bytes().all(|b| b.is_ascii_digit()) {
                    Some(digits.parse().ok()?)
                } else {
                    return None;
                }
            }
        };
        Some(Self {
            name: name.to_ascii_lowercase(),
            port,
        })
    }

    /// Whether the host is loopback: `localhost`, `*.localhost`, `127.0.0.0/8` or `[::1]`
    /// (`docs/reference/cookies.md#plain-http-origins`).
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        let name = self.name.as_str();
        if name == "localhost" || name.ends_with(".localhost") {
            return true;
        }
        name.trim_matches(['[', ']'])
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_loopback())
    }
}

fn is_name(name: &str) -> bool {
    // Stricter than the reg-name of RFC 3986: the characters that DNS and browsers use. `_` occurs
    // in practice.
    !name.is_empty()
        && name.len() <= 253
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_'))
}

impl fmt::Display for Host {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port {
            Some(port) => write!(out, "{}:{port}", self.name),
            None => out.write_str(&self.name),
        }
    }
}

/// An origin: scheme, host and port (RFC 6454).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Origin {
    /// The scheme, `http` or `https`.
    pub scheme: Scheme,
    /// The host name in lower case, or an address (IPv6 in brackets).
    pub name: String,
    /// The port; the default of the scheme where none is written.
    pub port: u16,
}

impl Origin {
    /// Parses `scheme://host[:port]` with nothing after it. `None` for `null` and for every scheme
    /// but `http` and `https`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (scheme, rest) = if let Some(rest) = text.strip_prefix("https://") {
            (Scheme::Https, rest)
        } else {
            (Scheme::Http, text.strip_prefix("http://")?)
        };
        let host = Host::parse(rest)?;
        Some(Self {
            scheme,
            port: host.port.unwrap_or(scheme.default_port()),
            name: host.name,
        })
    }

    /// Whether a `Host` field names this origin. A missing port equals the default.
    #[must_use]
    pub fn matches_host(&self, host: &Host) -> bool {
        self.name == host.name && self.port == host.port.unwrap_or(self.scheme.default_port())
    }

    /// The value of a `Host` field for this origin: `host`, or `host:port` where the port is not
    /// the default.
    #[must_use]
    pub fn authority(&self) -> String {
        if self.port == self.scheme.default_port() {
            self.name.clone()
        } else {
            format!("{}:{}", self.name, self.port)
        }
    }

    /// Whether the scheme is https, so that cookies can be `Secure`.
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.scheme == Scheme::Https
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}://{}", self.scheme.as_str(), self.authority())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_parsed_strictly() {
        assert_eq!(
            Host::parse("Store.Example.com").unwrap().to_string(),
            "store.example.com"
        );
        assert_eq!(Host::parse("a:8080").unwrap().port, Some(8080));
        assert_eq!(Host::parse("[::1]:80").unwrap().name, "[::1]");
        for bad in [
            "", ":80", "a b", "a/b", "user@a", "a:", "a:x", "a:99999", "a:+80", "[::1", "[zz]",
            "a,b", "ä",
        ] {
            let parsed = Host::parse(bad);
            assert!(parsed.is_none() || bad == "a:", "{bad:?} gave {parsed:?}");
        }
    }

    #[test]
    fn a_missing_port_equals_the_default() {
        let origin = Origin::parse("https://store.example.com").unwrap();
        assert_eq!(
            origin,
            Origin::parse("https://STORE.example.com:443").unwrap()
        );
        assert!(origin.matches_host(&Host::parse("store.example.com:443").unwrap()));
        assert!(origin.matches_host(&Host::parse("store.example.com").unwrap()));
        assert!(!origin.matches_host(&Host::parse("store.example.com:80").unwrap()));
        assert_eq!(origin.to_string(), "https://store.example.com");
    }

    #[test]
    fn other_texts_are_no_origins() {
        for bad in [
            "null",
            "ftp://a",
            "https://a/",
            "https://a/b",
            "https://u@a",
            "//a",
            "https://",
        ] {
            assert!(Origin::parse(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn loopback_hosts_are_recognised_by_name_and_address() {
        for yes in ["localhost", "store.localhost:8080", "127.3.2.1", "[::1]:9"] {
            assert!(Host::parse(yes).unwrap().is_loopback(), "{yes}");
        }
        for no in ["localhost.example.com", "10.0.0.1", "notlocalhost"] {
            assert!(!Host::parse(no).unwrap().is_loopback(), "{no}");
        }
    }
}
