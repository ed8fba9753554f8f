//! Header values that are the same for every request that is forwarded to one site.

use http::HeaderValue;
use http::header::InvalidHeaderValue;

use super::origin::Origin;

/// Header values that depend on the site alone. They are made once, when the configuration is
/// loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SiteHeaders {
    /// The value of `X-Auth-Site`: the site's name.
    pub site: HeaderValue,
    /// The value of `X-Forwarded-Proto`: `http` or `https`.
    pub proto: HeaderValue,
    /// The value of `X-Forwarded-Host`: the host of the site's origin, with its port where that is
    /// not the default of the scheme.
    pub host: HeaderValue,
    /// The value of `X-Forwarded-Port`: the port of the site's origin.
    pub port: HeaderValue,
    /// The end of this hop's element of `Forwarded` (RFC 7239): `;host="…";proto=…`.
    pub forwarded: String,
}

impl SiteHeaders {
    /// The values for the site of this name and origin.
    ///
    /// # Errors
    /// Where the name or the host holds a byte that no header value may hold.
    pub fn new(name: &str, origin: &Origin) -> Result<Self, InvalidHeaderValue> {
        let (authority, scheme) = (origin.authority(), origin.scheme.as_str());
        Ok(Self {
            site: HeaderValue::from_str(name)?,
            proto: HeaderValue::from_static(scheme),
            host: HeaderValue::from_str(&authority)?,
            port: HeaderValue::from(origin.port),
            forwarded: format!(";host=\"{authority}\";proto={scheme}"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(name: &str, origin: &str) -> Result<SiteHeaders, InvalidHeaderValue> {
        SiteHeaders::new(name, &Origin::parse(origin).unwrap())
    }

    #[test]
    fn the_default_port_is_told_apart_from_the_host() {
        let headers = of("store", "https://store.example.com").unwrap();
        assert_eq!(headers.site, "store");
        assert_eq!(headers.proto, "https");
        assert_eq!(headers.host, "store.example.com");
        assert_eq!(headers.port, "443");
        assert_eq!(headers.forwarded, ";host=\"store.example.com\";proto=https");
    }

    #[test]
    fn another_port_stands_in_both() {
        let headers = of("store", "http://[::1]:8080").unwrap();
        assert_eq!(headers.host, "[::1]:8080");
        assert_eq!(headers.port, "8080");
        assert_eq!(headers.forwarded, ";host=\"[::1]:8080\";proto=http");
    }

    #[test]
    fn a_name_with_a_line_break_is_no_header_value() {
        assert!(of("a\nb", "http://localhost").is_err());
    }
}
