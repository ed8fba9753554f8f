//! One request at one process: what the proxy does with it, without the sockets.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use http::Method;
use tokio::time::sleep;

use vestibule::decide::credential_response_headers::CredentialHeaders;
use vestibule::decide::{Decision, Facts, Grant, Known, Outcome, decide};
use vestibule::model::api_request::ApiRequestBody;
use vestibule::model::api_response::{ApiResponse, TokenResponse};
use vestibule::model::cookie_change::CookieChange;
use vestibule::model::local_response::LocalResponse;
use vestibule::model::reason::Reason;
use vestibule::model::request::{BearerTokens, FetchMetadata, RequestView};
use vestibule::model::request_cookies::PresentedCookies;
use vestibule::model::rule::RuleClient;
use vestibule::model::target::{EncodedSlashes, Target};
use vestibule::model::token::Principal;
use vestibule::proxy::resolver::Resolver;
use vestibule::runtime::refresh::RefreshOutcome;
use vestibule::runtime::{RequestContext, Runtime, SiteRuntime};

use super::configuration::{HOST, ORIGIN};
use super::gateway::Process;

/// A request, as a client sends it.
#[derive(Clone, Debug, Default)]
pub struct ClientRequest {
    pub method: Method,
    pub path: Cow<'static, str>,
    /// Whether a browser opens the address, instead of a script.
    pub is_navigation: bool,
    /// The value of `Cookie`.
    pub cookies: String,
    /// The tokens of a client that is not a browser.
    pub access: Option<String>,
    pub refresh: Option<String>,
    /// A JSON body.
    pub body: Option<String>,
    /// How long the application takes.
    pub application: Duration,
}

/// The answer to a request.
#[derive(Debug)]
pub struct ClientResponse {
    /// Who was served, where the application was asked with an identity.
    pub principal: Option<Arc<Principal>>,
    /// Whether the application answered.
    pub forwarded: bool,
    pub status: u16,
    pub reason: Reason,
    /// Where at the provider the browser is sent.
    pub address: Option<String>,
    pub changes: Vec<CookieChange>,
    pub set_cookies: Vec<String>,
    /// New tokens of a client that is not a browser.
    pub access: Option<String>,
    pub refresh: Option<String>,
}

/// Serves a request.
pub async fn serve(process: &Process, request: &ClientRequest) -> ClientResponse {
    let _guard = process.begin_request();
    let runtime = process.runtime_handle.current();
    let site_runtime = Arc::clone(runtime.site_called(HOST).expect("the site"));
    let target = Target::parse(request.path.as_bytes(), EncodedSlashes::Reject).expect("a target");
    let fields = [request.cookies.as_str()];
    let fields = fields.iter().filter(|field| !field.is_empty());
    let cookies = PresentedCookies::parse(&site_runtime.site.cookies, fields.copied());
    let view = view(request, &target, &cookies);
    let context = RequestContext {
        site_runtime: &site_runtime,
        client: IpAddr::V4(Ipv4Addr::LOCALHOST),
        host: None,
        request_id: "simulation",
        now: runtime.clock().now(),
    };
    let resolver = Resolver {
        runtime: &runtime,
        context,
        user_agent: None,
    };
    let mut facts = Facts::default();
    let verdict = loop {
        match decide(&view, &site_runtime.site, &facts, context.now) {
            Decision::Needs(vestibule::decide::Question::ReadBody) => {
                let body = request.body.as_deref().unwrap_or_default();
                let body = ApiRequestBody::parse(body.as_bytes());
                facts.body = body.map_or(Known::Absent(Reason::RejectedInput), Known::Found);
            }
            Decision::Needs(question) => resolver.answer(question, &mut facts).await,
            Decision::Settled(verdict) => break verdict,
        }
    };
    let mut response = ClientResponse {
        principal: None,
        forwarded: false,
        status: 200,
        reason: verdict.reason,
        address: None,
        changes: verdict.cookies,
        set_cookies: Vec::new(),
        access: None,
        refresh: None,
    };
    match &verdict.outcome {
        Outcome::Forward(grant) => {
            response.principal = grant.principal().cloned();
            response.forwarded = true;
            forward(&runtime, context, grant, &mut response, request.application).await;
        }
        Outcome::Reply(reply) => read_reply(reply, &mut response),
    }
    let presented: Vec<String> = cookies
        .managed_names
        .iter()
        .map(|name| (*name).to_owned())
        .collect();
    add_credentials(&site_runtime, &presented, &mut response);
    response
}

fn view<'a>(
    request: &'a ClientRequest,
    target: &'a Target<'a>,
    cookies: &'a PresentedCookies<'a>,
) -> RequestView<'a> {
    let is_phone = request.access.is_some() || request.refresh.is_some();
    let is_browser = !is_phone && !request.cookies.is_empty();
    RequestView {
        method: &request.method,
        target,
        cookies,
        client: RuleClient::default(),
        bearer: BearerTokens {
            access: request.access.as_deref(),
            refresh: request.refresh.as_deref(),
            service: None,
        },
        basic: None,
        fetch_metadata: if request.is_navigation {
            NAVIGATION
        } else {
            script(is_browser, request.access.is_some())
        },
    }
}

/// A browser that opens an address.
const NAVIGATION: FetchMetadata<'static> = FetchMetadata {
    accept: Some("text/html"),
    has_authorization: false,
    origin: None,
    referer: None,
    fetch_mode: Some("navigate"),
    fetch_site: Some("cross-site"),
    has_requested_with: false,
    is_websocket: false,
    preflight_headers: None,
    is_prefetch: false,
    has_browser_agent: true,
    is_browser: true,
};

/// A script of the application, or a phone.
fn script(is_browser: bool, has_authorization: bool) -> FetchMetadata<'static> {
    FetchMetadata {
        accept: Some("application/json"),
        has_authorization,
        origin: is_browser.then_some(ORIGIN),
        is_browser,
        ..FetchMetadata::default()
    }
}

/// The application answers, and the early renewal beside it.
async fn forward(
    runtime: &Runtime,
    context: RequestContext<'_>,
    grant: &Grant<'_>,
    response: &mut ClientResponse,
    application: Duration,
) {
    let early = grant
        .early_refresh()
        .and_then(|refresh| runtime.early_refresh.start(context, refresh));
    sleep(application).await;
    let Some(early) = early else { return };
    match early.await {
        Ok(RefreshOutcome::Renewed { renewed, .. }) => {
            response
                .changes
                .push(CookieChange::SetTokens(renewed.tokens));
            response.reason = Reason::EarlyRefresh;
        }
        Ok(RefreshOutcome::Refused(_) | RefreshOutcome::Reused(_)) => {
            response.changes.push(CookieChange::ClearRefresh);
        }
        Ok(RefreshOutcome::Unavailable(_)) | Err(_) => {}
    }
}

fn read_reply(reply: &LocalResponse, response: &mut ClientResponse) {
    if let LocalResponse::Problem(problem) = reply {
        response.status = problem.status;
    } else if let LocalResponse::Redirect(redirect) = reply {
        response.status = redirect.status;
    } else if let LocalResponse::ProviderRedirect(redirect) = reply {
        response.status = redirect.status;
        response.address = Some(redirect.address.as_str().to_owned());
    } else if let LocalResponse::NoContent = reply {
        response.status = 204;
    } else if let LocalResponse::Json(ApiResponse::Login(user)) = reply {
        read_tokens(user.tokens.as_ref(), response);
    } else if let LocalResponse::Json(ApiResponse::Tokens(tokens)) = reply {
        read_tokens(Some(tokens), response);
    }
}

fn read_tokens(tokens: Option<&TokenResponse>, response: &mut ClientResponse) {
    if let Some(tokens) = tokens {
        response.access = Some(tokens.token.clone());
        response.refresh.clone_from(&tokens.refresh_token);
    }
}

/// The fields that carry the changes of credentials.
fn add_credentials(
    site_runtime: &SiteRuntime,
    presented: &[String],
    response: &mut ClientResponse,
) {
    let headers = CredentialHeaders::new(&site_runtime.site, &response.changes, presented)
        .expect("credentials that fit into fields");
    let text = |value: &http::HeaderValue| value.to_str().unwrap_or_default().to_owned();
    response.set_cookies = headers.set_cookies.iter().map(text).collect();
    if let Some(access) = &headers.access_token {
        response.access = Some(text(access));
    }
    if let Some(refresh) = &headers.refresh_token {
        response.refresh = Some(text(refresh));
    }
}
