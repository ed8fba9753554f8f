//! A request as the policy sees it: judged, split into its parts, borrowed from the wire.

use http::Method;

use super::cookie::PresentedCookies;
use super::origin::Origin;
use super::return_path::ReturnPath;
use super::site::Site;
use super::target::Target;

/// What [`decide`](crate::decide) may know of a request.
#[derive(Clone, Copy, Debug)]
pub struct RequestView<'a> {
    /// The method, any but `TRACE` and `CONNECT`.
    pub method: &'a Method,
    /// The judged target.
    pub target: &'a Target<'a>,
    /// The gateway's cookies.
    pub cookies: &'a PresentedCookies<'a>,
    /// What a client that is no browser carries in headers.
    pub bearer: BearerTokens<'a>,
    /// What tells a browser's navigation from a script's call and from another site's form.
    pub fetch_metadata: FetchMetadata<'a>,
}

/// The tokens of a client that is no browser. `Debug` keeps them to itself.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct BearerTokens<'a> {
    /// `Authorization: Bearer …` (RFC 6750, section 2.1).
    pub access: Option<&'a str>,
    /// `Vestibule-Refresh-Token`.
    pub refresh: Option<&'a str>,
}

impl std::fmt::Debug for BearerTokens<'_> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            out,
            "BearerTokens(access: {}, refresh: {})",
            self.access.is_some(),
            self.refresh.is_some()
        )
    }
}

/// Header fields by which a client shows what kind of request it makes. Fields that are not text
/// count as absent, except [`FetchMetadata::origin`], where such a field is a foreign origin.
#[derive(Clone, Copy, Debug, Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent facts about one request, not a state"
)]
pub struct FetchMetadata<'a> {
    /// `Accept`.
    pub accept: Option<&'a str>,
    /// Whether there is an `Authorization` field.
    pub has_authorization: bool,
    /// `Origin`.
    pub origin: Option<&'a str>,
    /// `Referer`.
    pub referer: Option<&'a str>,
    /// `Sec-Fetch-Mode`.
    pub fetch_mode: Option<&'a str>,
    /// `Sec-Fetch-Site`.
    pub fetch_site: Option<&'a str>,
    /// Whether there is an `X-Requested-With` field.
    pub has_requested_with: bool,
    /// Whether this is a WebSocket handshake.
    pub is_websocket: bool,
    /// Whether this only asks what another origin's page may send (`OPTIONS` with
    /// `Access-Control-Request-Method`): then what `Access-Control-Request-Headers` names.
    pub preflight_headers: Option<&'a str>,
    /// Whether there is an `Origin` or any `Sec-Fetch-*` field: scripts in browsers cannot leave
    /// them out.
    pub is_browser: bool,
}

/// Where a request comes from, seen from one site.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Provenance {
    /// A page of the site itself, or the user typed the address.
    SameOrigin,
    /// A page of an origin the site lists.
    Allowed,
    /// Any other page.
    CrossOrigin,
    /// The client does not say: no browser of this decade.
    Unknown,
}

impl RequestView<'_> {
    /// Whether a person is looking at a page, as opposed to a script fetching data
    /// (`docs/reference/request-handling.md#navigations`).
    #[must_use]
    pub fn is_navigation(&self) -> bool {
        if !matches!(*self.method, Method::GET | Method::HEAD)
            || self.fetch_metadata.has_authorization
            || self.fetch_metadata.has_requested_with
        {
            return false;
        }
        match self.fetch_metadata.fetch_mode {
            Some(mode) => mode == "navigate",
            None => self.accepts_html(),
        }
    }

    /// Whether this is a form that a person sends, and whose answer they will look at: a navigation
    /// too, except that it cannot be led elsewhere and back without losing what was written.
    #[must_use]
    pub fn is_form_post(&self) -> bool {
        *self.method == Method::POST
            && !self.fetch_metadata.has_authorization
            && !self.fetch_metadata.has_requested_with
            && match self.fetch_metadata.fetch_mode {
                Some(mode) => mode == "navigate",
                None => self.accepts_html(),
            }
    }

    /// Whether `Accept` names `text/html`.
    #[must_use]
    pub fn accepts_html(&self) -> bool {
        self.fetch_metadata.accept.is_some_and(|accept| {
            accept.split(',').any(|range| {
                let kind = range.split(';').next().unwrap_or_default().trim_ascii();
                kind.eq_ignore_ascii_case("text/html")
            })
        })
    }

    /// Whether the method may change something (RFC 9110, section 9.2.1).
    #[must_use]
    pub fn is_unsafe(&self) -> bool {
        !matches!(*self.method, Method::GET | Method::HEAD | Method::OPTIONS)
    }

    /// The origin of the page that sent this request: by `Origin`, else `Referer`. A page can keep
    /// its own quiet, and cannot name another's.
    #[must_use]
    pub fn source_origin(&self) -> Option<Origin> {
        match self.fetch_metadata.origin {
            Some(origin) => Origin::parse(origin),
            None => origin_of(self.fetch_metadata.referer?),
        }
    }

    /// The page of this site that sent this request, where it says so.
    #[must_use]
    pub fn referring_page(&self, site: &Site) -> Option<ReturnPath> {
        let referer = self.fetch_metadata.referer?;
        let is_own = origin_of(referer).is_some_and(|origin| site.is_own_origin(&origin));
        ReturnPath::parse(path_of(referer).filter(|_| is_own)?)
    }

    /// Who sent this request: by `Origin`, else `Sec-Fetch-Site`, else `Referer`
    /// (`docs/reference/request-handling.md#request-origin`).
    #[must_use]
    pub fn provenance(&self, site: &Site) -> Provenance {
        let judge = |origin: &Origin| {
            if site.is_own_origin(origin) {
                Provenance::SameOrigin
            } else if site.allowed_origins.contains(origin) {
                Provenance::Allowed
            } else {
                Provenance::CrossOrigin
            }
        };
        if let Some(origin) = self.fetch_metadata.origin {
            return Origin::parse(origin).map_or(Provenance::CrossOrigin, |origin| judge(&origin));
        }
        if let Some(fetch_site) = self.fetch_metadata.fetch_site {
            return match fetch_site {
                // `none`: the user, by typing or a bookmark.
                "same-origin" | "none" => Provenance::SameOrigin,
                _ => Provenance::CrossOrigin,
            };
        }
        match self.fetch_metadata.referer {
            None => Provenance::Unknown,
            Some(referer) => {
                origin_of(referer).map_or(Provenance::CrossOrigin, |origin| judge(&origin))
            }
        }
    }
}

/// Path and query of a URL as browsers write it into `Referer`.
fn path_of(url: &str) -> Option<&str> {
    let (_, rest) = url.split_once("://")?;
    rest.find('/').and_then(|at| rest.get(at..))
}

/// The origin of a URL as browsers write it into `Referer`.
fn origin_of(url: &str) -> Option<Origin> {
    let (scheme, rest) = url.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    Origin::parse(&format!("{scheme}://{authority}"))
}
