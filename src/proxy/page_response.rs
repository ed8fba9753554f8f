//! The gateway's own pages as responses: in the visitor's language, with every header that keeps
//! them safe.

use http::header;
use pingora::Result;
use pingora::http::RequestHeader;

use crate::decide::csrf_token::csrf_token;
use crate::decide::endpoint::StepEndpoint;
use crate::decide::opener::keeps_opener;
use crate::decide::preserved_post;
use crate::decide::unauthenticated::login_address;
use crate::model::cookie_names::CookieKind;
use crate::model::local_path::LocalPath;
use crate::model::local_response::{LoginPage, PreservedPostPage, Problem, StepPage, SwitchUser};
use crate::model::login_step::LoginStep;
use crate::model::origin::Scheme;
use crate::model::return_path::ReturnPath;
use crate::model::set_cookie::{self, Lifetime};
use crate::model::site::Site;
use crate::pages::{self, Layout, PageTheme, Rendered};
use crate::system;

use super::page_language;
use super::rendered_response::RenderedResponse;
use super::request_head::RequestHead;
use super::request_state::RequestState;

/// What the language adds to the address of a page, at most: `&lang=` and a tag.
const LANGUAGE_ROOM: usize = 16;

/// What all pages share. The language is the one that the user chose, or that the browser accepts.
fn layout<'a>(ctx: &'a RequestState, request: &RequestHeader) -> Layout<'a> {
    let fields = request.headers.get_all(header::ACCEPT_LANGUAGE).iter();
    let theme = theme(ctx);
    Layout {
        theme,
        site_name: ctx
            .site()
            .map(|site| site.theme.name.as_deref().unwrap_or(&site.origin.name)),
        catalog: page_language::kept(ctx, request).unwrap_or_else(|| {
            pages::language::choose(
                fields.filter_map(|value| value.to_str().ok()),
                theme.language,
            )
        }),
        request_id: &ctx.request_id,
        page_address: None,
    }
}

/// What a page shares that has an address of its own, where the user can open it in another
/// language.
fn layout_at<'a>(
    ctx: &'a RequestState,
    site: &Site,
    request: &RequestHeader,
    address: Option<&'a LocalPath>,
) -> Layout<'a> {
    let layout = layout(ctx, request);
    Layout {
        catalog: page_language::in_address(request).unwrap_or(layout.catalog),
        // The gateway would refuse a longer one.
        page_address: address
            .filter(|address| address.as_str().len() + LANGUAGE_ROOM <= site.limits.own_target()),
        ..layout
    }
}

/// The theme of the site's pages. Before the site is known, the gateway's own.
pub(super) fn theme(ctx: &RequestState) -> &PageTheme {
    ctx.site_runtime
        .as_ref()
        .map_or_else(|| PageTheme::plain(), |site_runtime| &site_runtime.theme)
}

/// A page as a response. Where its template failed, the body is the fallback page.
fn respond(
    ctx: &RequestState,
    request: &RequestHeader,
    layout: Layout<'_>,
    status: u16,
    html: Rendered,
) -> Result<RenderedResponse> {
    let html = html.unwrap_or_else(|error| {
        tracing::error!(request_id = ctx.request_id, fault = %error, "a template failed");
        pages::fallback(layout.catalog)
    });
    let mut response = RenderedResponse::new(status, pages::CONTENT_TYPE, html)?;
    let head = &mut response.head;
    head.insert_header(header::CONTENT_LANGUAGE, layout.catalog.tag)?;
    head.insert_header(header::VARY, "Accept-Language")?;
    for (name, value) in pages::HEADERS {
        head.insert_header(*name, *value)?;
    }
    let site = ctx.site();
    let is_kept =
        site.is_some_and(|site| keeps_opener(&RequestHead::read(request).fetch_metadata(), site));
    let opener_policy = if is_kept {
        "unsafe-none"
    } else {
        "same-origin"
    };
    head.insert_header("cross-origin-opener-policy", opener_policy)?;
    if site.is_some_and(|site| site.origin.is_https())
        && ctx.client.arrival.scheme != Some(Scheme::Http)
    {
        head.insert_header(header::STRICT_TRANSPORT_SECURITY, "max-age=31536000")?;
    }
    if layout.page_address.is_some() {
        page_language::keep(ctx, request, &mut response)?;
    }
    Ok(response)
}

/// A refusal or failure as a page.
pub(super) fn problem_page(
    ctx: &RequestState,
    request: &RequestHeader,
    problem: &Problem,
) -> Result<RenderedResponse> {
    let layout = layout(ctx, request);
    let site = ctx.site();
    let switch_action = site
        .zip(problem.switch_user.as_ref())
        .map(|(site, switch)| switch_action(site, switch));
    let login = site.map(|site| login_address(site, problem.return_to.as_ref()));
    let html = pages::problem(&pages::ProblemView {
        layout,
        problem,
        login_path: login.as_ref().map(LocalPath::as_str),
        switch_action: switch_action.as_ref().map(LocalPath::as_str),
    });
    respond(ctx, request, layout, problem.status, html)
}

/// Where a form is posted that signs out and leads to the sign-in form, and from there back here.
fn switch_action(site: &Site, switch: &SwitchUser) -> LocalPath {
    let leading_to = |path: &ReturnPath| {
        LocalPath::endpoint(&site.paths.logout).with_parameter("return_to", path.as_str())
    };
    let back = switch.return_to.as_ref().map(leading_to);
    // The gateway would refuse a longer one.
    back.filter(|address| address.as_str().len() <= site.limits.own_target())
        .unwrap_or_else(|| leading_to(&site.landing))
}

/// The sign-in form.
pub(super) fn login_page(
    ctx: &RequestState,
    site: &Site,
    request: &RequestHeader,
    form: &LoginPage,
) -> Result<RenderedResponse> {
    // A posted form that is preserved is in this page alone.
    let is_whole = form.preserved_post.is_none() && form.lost_post.is_none();
    let address = is_whole.then(|| login_address(site, form.return_to.as_ref()));
    let layout = layout_at(ctx, site, request, address.as_ref());
    let cookie = form_cookie(ctx);
    let csrf = csrf_token(&site.name, &cookie);
    let action = preserved_post::form_action(&site.paths.login, form.preserved_post.as_deref());
    let html = pages::login(&pages::LoginView {
        layout,
        action: &action,
        form,
        csrf: &csrf,
        sign_in: site.sign_in,
    });
    let mut response = respond(ctx, request, layout, form.status, html)?;
    set_form_cookie(ctx, site, &mut response, &cookie)?;
    set_retry_after(&mut response, form.retry_after)?;
    Ok(response)
}

/// The form of a step that follows the password.
pub(super) fn step_page(
    ctx: &RequestState,
    site: &Site,
    request: &RequestHeader,
    form: &StepPage,
) -> Result<RenderedResponse> {
    // A posted form that is preserved is in this page alone.
    let is_whole = form.preserved_post.is_none();
    let address = is_whole.then(|| StepEndpoint::page_address(site, &form.next_step));
    let layout = layout_at(ctx, site, request, address.as_ref());
    let cookie = form_cookie(ctx);
    let csrf = csrf_token(&site.name, &cookie);
    let login = login_address(site, form.return_to.as_ref());
    let action = |call: StepEndpoint| {
        preserved_post::form_action(
            &format!("{}{}", site.paths.login_prefix(), call.suffix()),
            form.preserved_post.as_deref(),
        )
    };
    let html = match form.next_step.step {
        LoginStep::TwoFactor => pages::two_factor(&pages::TwoFactorView {
            layout,
            action: &action(StepEndpoint::TwoFactor),
            send: &action(StepEndpoint::SendCode),
            back: login.as_str(),
            form,
            csrf: &csrf,
        }),
        LoginStep::NewPassword => pages::new_password(&pages::NewPasswordView {
            layout,
            action: &action(StepEndpoint::NewPassword),
            back: login.as_str(),
            form,
            csrf: &csrf,
        }),
    };
    let mut response = respond(ctx, request, layout, form.status, html)?;
    // The address of the page may hold the challenge, which no other program's log needs. With
    // `no-referrer` browsers would post the form with `Origin: null`.
    response
        .head
        .insert_header(header::REFERRER_POLICY, "strict-origin")?;
    set_form_cookie(ctx, site, &mut response, &cookie)?;
    set_retry_after(&mut response, form.retry_after)?;
    Ok(response)
}

/// The value of the pre-session cookie that the CSRF tokens of forms are bound to. A browser keeps
/// the one it has, so that many tabs work at once.
fn form_cookie(ctx: &RequestState) -> String {
    ctx.response.form_cookie.clone().unwrap_or_else(|| {
        use base64::Engine as _;
        base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(system::random::<32>())
    })
}

/// Sets the pre-session cookie, where the browser does not have it.
fn set_form_cookie(
    ctx: &RequestState,
    site: &Site,
    response: &mut RenderedResponse,
    value: &str,
) -> Result<()> {
    if ctx.response.form_cookie.as_deref() != Some(value) {
        for line in set_cookie::set(
            &site.cookies,
            CookieKind::Form,
            value,
            Lifetime::BrowserSession,
        ) {
            response.set_cookie(&line)?;
        }
    }
    Ok(())
}

fn set_retry_after(response: &mut RenderedResponse, seconds: Option<u32>) -> Result<()> {
    if let Some(seconds) = seconds {
        response.head.insert_header(header::RETRY_AFTER, seconds)?;
    }
    Ok(())
}

/// The form that was sent after the session had ended, offered again after the sign-in.
pub(super) fn preserved_post_page(
    ctx: &RequestState,
    request: &RequestHeader,
    page: &PreservedPostPage,
) -> Result<RenderedResponse> {
    let layout = layout(ctx, request);
    let view = pages::PreservedPostView { layout, page };
    respond(ctx, request, layout, 200, pages::preserved_post(&view))
}

/// The page with the sign-out button.
pub(super) fn logout_page(
    ctx: &RequestState,
    site: &Site,
    request: &RequestHeader,
) -> Result<RenderedResponse> {
    let address = LocalPath::endpoint(&site.paths.logout);
    let layout = layout_at(ctx, site, request, Some(&address));
    let view = pages::LogoutView {
        layout,
        action: &site.paths.logout,
        back: site.landing.as_str(),
    };
    respond(ctx, request, layout, 200, pages::logout(&view))
}

/// The page that tells that nobody is signed in.
pub(super) fn signed_out_page(
    ctx: &RequestState,
    site: &Site,
    request: &RequestHeader,
) -> Result<RenderedResponse> {
    let address = LocalPath::endpoint(&site.paths.logout);
    let layout = layout_at(ctx, site, request, Some(&address));
    let view = pages::SignedOutView {
        layout,
        login_path: &site.paths.login,
    };
    respond(ctx, request, layout, 200, pages::signed_out(&view))
}
