//! A request as the policy sees it: validated, split into its parts, borrowed from the connection.

use http::Method;

use super::authorization::BasicCredentials;
use super::origin::Origin;
use super::request_cookies::PresentedCookies;
use super::return_path::ReturnPath;
use super::rule::RuleClient;
use super::site::Site;
use super::target::Target;

/// What [`decide`](crate::decide) knows of a request.
#[derive(Clone, Copy, Debug)]
pub struct RequestView<'a> {
    /// The method: any but `TRACE` and `CONNECT`.
    pub method: &'a Method,
    /// The validated target: path and query.
    pub target: &'a Target<'a>,
    /// The gateway's cookies, as presented.
    pub cookies: &'a PresentedCookies<'a>,
    /// The tokens in headers, of clients that are not browsers.
    pub bearer: BearerTokens<'a>,
    /// The credentials of `Authorization: Basic …`. Whether they are the gateway's, the rule says.
    pub basic: Option<BasicCredentials<'a>>,
    /// The fields that tell navigations, calls of scripts and forms of other sites apart.
    pub fetch_metadata: FetchMetadata<'a>,
    /// What the conditions of rules are checked against.
    pub client: RuleClient<'a>,
}

/// The tokens in the headers of a request. `Debug` prints only whether they are there.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct BearerTokens<'a> {
    /// The token of `Authorization: Bearer …`, where it has the form of a JWT, see
    /// [`bearer_jwt`](super::authorization::bearer_jwt). Any other is the application's.
    pub access: Option<&'a str>,
    /// The value of `Vestibule-Refresh-Token`.
    pub refresh: Option<&'a str>,
    /// The [service token](super::service_token), in `Authorization: Bearer …` or in the site's
    /// header for them.
    pub service: Option<&'a str>,
}

impl std::fmt::Debug for BearerTokens<'_> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            out,
            "BearerTokens(access: {}, refresh: {}, service: {})",
            self.access.is_some(),
            self.refresh.is_some(),
            self.service.is_some()
        )
    }
}

/// The header fields that tell what kind of request this is and which page sent it. A field that is
/// not text counts as absent, except for [`FetchMetadata::origin`], where it counts as another
/// origin.
#[derive(Clone, Copy, Debug, Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent facts about one request, not a state"
)]
pub struct FetchMetadata<'a> {
    /// The value of `Accept`.
    pub accept: Option<&'a str>,
    /// Whether there is an `Authorization` field.
    pub has_authorization: bool,
    /// The value of `Origin`.
    pub origin: Option<&'a str>,
    /// The value of `Referer`.
    pub referer: Option<&'a str>,
    /// The value of `Sec-Fetch-Mode`.
    pub fetch_mode: Option<&'a str>,
    /// The value of `Sec-Fetch-Site`.
    pub fetch_site: Option<&'a str>,
    /// Whether there is an `X-Requested-With` field.
    pub has_requested_with: bool,
    /// Whether this is a WebSocket handshake.
    pub is_websocket: bool,
    /// The value of `Access-Control-Request-Headers`, for a CORS preflight (`OPTIONS` with
    /// `Access-Control-Request-Method`); `None` for every other request.
    pub preflight_headers: Option<&'a str>,
    /// Whether the request says that it is a prefetch, see [`RequestView::is_prefetch`].
    pub is_prefetch: bool,
    /// Whether there is an `Origin` or any `Sec-Fetch-*` field. Scripts in a browser cannot leave
    /// them out.
    pub is_browser: bool,
    /// Whether `User-Agent` begins with `Mozilla/`, as that of every browser does.
    pub has_browser_agent: bool,
}

/// Which page sent a request, relative to a site.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Provenance {
    /// A page of the site itself, or none: the user typed the address.
    SameOrigin,
    /// A page of an origin that the site lists.
    Allowed,
    /// A page of any other origin.
    CrossOrigin,
    /// The request does not tell. No current browser sends such a request.
    Unknown,
}

impl FetchMetadata<'_> {
    /// The origin of the page that sent the request, by `Origin`, else by `Referer`. A page can
    /// suppress its own origin but cannot name another one.
    #[must_use]
    pub fn source_origin(&self) -> Option<Origin> {
        match self.origin {
            Some(origin) => Origin::parse(origin),
            None => origin_of(self.referer?),
        }
    }
}

impl RequestView<'_> {
    /// Whether a person opens a page, as opposed to a script that fetches data
    /// (`docs/reference/request-handling.md#navigations`).
    #[must_use]
    pub fn is_navigation(&self) -> bool {
        if !matches!(*self.method, Method::GET | Method::HEAD)
            || self.fetch_metadata.has_requested_with
        {
            return false;
        }
        self.is_shown_to_a_person()
    }

    /// Whether a person posts a form, and will see the response as a page. Unlike a navigation it
    /// cannot be redirected to the login page and back without losing what was written.
    #[must_use]
    pub fn is_form_post(&self) -> bool {
        *self.method == Method::POST
            && !self.fetch_metadata.has_requested_with
            && self.is_shown_to_a_person()
    }

    /// Whether a browser shows the response as a page. `Sec-Fetch-Mode` decides alone, because no
    /// script can set it: a browser sends `Authorization` with navigations by itself once an
    /// application has asked for a password (RFC 7617, section 2.2). Without `Sec-Fetch-Mode` an
    /// `Authorization` field is a program's.
    fn is_shown_to_a_person(&self) -> bool {
        match self.fetch_metadata.fetch_mode {
            Some(mode) => mode == "navigate",
            None => !self.fetch_metadata.has_authorization && self.accepts_html(),
        }
    }

    /// Whether the request is a browser's: its `Origin`, a `Sec-Fetch-*` field or one of the
    /// gateway's cookies says so. Browsers leave `Sec-Fetch-*` out on plain HTTP, older ones
    /// always.
    #[must_use]
    pub fn is_from_browser(&self) -> bool {
        self.fetch_metadata.is_browser || self.cookies.has_any()
    }

    /// Whether a challenge for Basic could open a browser's password dialog. For a method that a
    /// browser sends without `Origin`, also its `Referer` and its `User-Agent` tell it.
    #[must_use]
    pub fn could_open_dialog(&self) -> bool {
        let metadata = &self.fetch_metadata;
        let looks_like_browser = matches!(*self.method, Method::GET | Method::HEAD)
            && (metadata.referer.is_some() || metadata.has_browser_agent);
        self.is_from_browser() || looks_like_browser
    }

    /// Whether a browser fetches a page that nobody has asked for yet, in case somebody will: a
    /// prefetch or a prerender (`Sec-Purpose`, or the older `Purpose` and `X-Moz`).
    #[must_use]
    pub const fn is_prefetch(&self) -> bool {
        self.fetch_metadata.is_prefetch
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

    /// Whether no media type in `Accept` is preferred to `text/html` (RFC 9110, section 12.5.1).
    /// Programs that read pages, such as pip, name it last; browsers name it first.
    #[must_use]
    pub fn prefers_html(&self) -> bool {
        let quality = |range: &str| {
            let mut parameters = range.split(';').skip(1).map(str::trim_ascii);
            let weight = parameters.find_map(|parameter| parameter.strip_prefix("q="));
            weight
                .and_then(|weight| weight.parse::<f32>().ok())
                .unwrap_or(1.0)
        };
        let is_html = |range: &&str| {
            let kind = range.split(';').next().unwrap_or_default().trim_ascii();
            kind.eq_ignore_ascii_case("text/html")
        };
        let ranges = || self.fetch_metadata.accept.unwrap_or_default().split(',');
        ranges().find(is_html).is_some_and(|html| {
            let html = quality(html);
            ranges().all(|range| quality(range) <= html)
        })
    }

    /// Whether the method may change something (RFC 9110, section 9.2.1).
    #[must_use]
    pub fn is_unsafe(&self) -> bool {
        !matches!(*self.method, Method::GET | Method::HEAD | Method::OPTIONS)
    }

    /// See [`FetchMetadata::source_origin`].
    #[must_use]
    pub fn source_origin(&self) -> Option<Origin> {
        self.fetch_metadata.source_origin()
    }

    /// The page of this site that sent this request, by `Referer`.
    #[must_use]
    pub fn referring_page(&self, site: &Site) -> Option<ReturnPath> {
        let referer = self.fetch_metadata.referer?;
        let is_own = origin_of(referer).is_some_and(|origin| site.is_own_origin(&origin));
        ReturnPath::parse(path_of(referer).filter(|_| is_own)?)
    }

    /// Which page sent this request, by `Origin`, else by `Sec-Fetch-Site`, else by `Referer`
    /// (`docs/reference/request-handling.md#request-origin`).
    #[must_use]
    pub fn provenance(&self, site: &Site) -> Provenance {
        let classify = |origin: &Origin| {
            if site.is_own_origin(origin) {
                Provenance::SameOrigin
            } else if site.allowed_origins.contains(origin) {
                Provenance::Allowed
            } else {
                Provenance::CrossOrigin
            }
        };
        if let Some(origin) = self.fetch_metadata.origin {
            return Origin::parse(origin)
                .map_or(Provenance::CrossOrigin, |origin| classify(&origin));
        }
        if let Some(fetch_site) = self.fetch_metadata.fetch_site {
            return match fetch_site {
                // `none`: the user typed the address or opened a bookmark.
                "same-origin" | "none" => Provenance::SameOrigin,
                _ => Provenance::CrossOrigin,
            };
        }
        match self.fetch_metadata.referer {
            None => Provenance::Unknown,
            Some(referer) => {
                origin_of(referer).map_or(Provenance::CrossOrigin, |origin| classify(&origin))
            }
        }
    }
}

/// The path and query of a URL in `Referer`.
fn path_of(url: &str) -> Option<&str> {
    let (_, rest) = url.split_once("://")?;
    rest.find('/').and_then(|at| rest.get(at..))
}

/// The origin of a URL in `Referer`.
fn origin_of(url: &str) -> Option<Origin> {
    let (scheme, rest) = url.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    Origin::parse(&format!("{scheme}://{authority}"))
}
