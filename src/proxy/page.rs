//! The gateway's own pages as answers: in the visitor's language, with every header that keeps them
//! safe.

use http::header;
use pingora::Result;
use pingora::http::RequestHeader;

use crate::decide::authorize::form_address;
use crate::decide::endpoint::StepCall;
use crate::decide::login::csrf_token;
use crate::decide::preserved_post;
use crate::model::challenge::Step;
use crate::model::cookie::{self, CookieKind, Lifetime};
use crate::model::local_response::{
    ActionRequired, LoginPage, PreservedPostPage, Problem, StepPage,
};
use crate::model::reason::Reason;
use crate::model::site::Site;
use crate::pages::{self, Layout, PageTheme, Rendered};
use crate::system;

use super::context::ProxyContext;
use super::reply::{Ready, problem};

/// What stands around a page. The only place where the visitor's language is read.
fn frame<'a>(ctx: &'a ProxyContext, request: &RequestHeader) -> Layout<'a> {
    let fields = request.headers.get_all(header::ACCEPT_LANGUAGE).iter();
    let look = look(ctx);
    Layout {
        look,
        site_name: ctx
            .site()
            .map(|site| site.theme.name.as_deref().unwrap_or(&site.origin.name)),
        words: pages::language::choose(
            fields.filter_map(|value| value.to_str().ok()),
            look.language,
        ),
        request_id: &ctx.request_id,
    }
}

/// How the site's pages look, or ours.
pub(super) fn look(ctx: &ProxyContext) -> &PageTheme {
    ctx.site_runtime
        .as_ref()
        .map_or_else(|| PageTheme::plain(), |site_runtime| &site_runtime.look)
}

/// A page with every header that keeps it safe.
fn page(ctx: &ProxyContext, frame: Layout<'_>, (status, html): (u16, Rendered)) -> Result<Ready> {
    let html = html.unwrap_or_else(|fault| {
        tracing::error!(request_id = ctx.request_id, %fault, "a template failed");
        pages::fallback(frame.words)
    });
    let mut ready = Ready::new(status, pages::CONTENT_TYPE, html)?;
    ready
        .head
        .insert_header(header::CONTENT_LANGUAGE, frame.words.tag)?;
    ready.head.insert_header(header::VARY, "Accept-Language")?;
    for (name, value) in pages::HEADERS {
        ready.head.insert_header(*name, *value)?;
    }
    if let Some(hosted) = ctx.site().and_then(|site| site.hosted.as_ref()) {
        ready.head.insert_header(
            header::CONTENT_SECURITY_POLICY,
            pages::policy_leading_to(hosted.origins()),
        )?;
    }
    if ctx.site().is_some_and(|site| site.origin.is_https()) {
        ready
            .head
            .insert_header(header::STRICT_TRANSPORT_SECURITY, "max-age=31536000")?;
    }
    Ok(ready)
}

/// A refusal or failure for somebody who looks at a page.
pub(super) fn problem_page(
    ctx: &ProxyContext,
    request: &RequestHeader,
    what: &Problem,
) -> Result<Ready> {
    let frame = frame(ctx, request);
    let login_path = ctx.site().map(|site| site.paths.login.as_str());
    let html = pages::problem(&pages::ProblemView {
        frame,
        problem: what,
        login_path,
    });
    page(ctx, frame, (what.status, html))
}

/// The sign-in form.
pub(super) fn sign_in_form(
    ctx: &ProxyContext,
    request: &RequestHeader,
    form: &LoginPage,
) -> Result<Ready> {
    let Some(site) = ctx.site() else {
        return problem(ctx, request, &Problem::new(Reason::Internal));
    };
    let (frame, cookie) = (frame(ctx, request), form_cookie(ctx));
    let csrf = csrf_token(&site.name, &cookie);
    let action = preserved_post::action(&site.paths.login, form.preserved_post.is_some());
    let html = pages::login(&pages::LoginView {
        frame,
        action: &action,
        form,
        csrf: &csrf,
    });
    let ready = page(ctx, frame, (form.status, html))?;
    bound(ctx, site, ready, (&cookie, form.retry_after))
}

/// The form of a step that follows the password.
pub(super) fn step_form(
    ctx: &ProxyContext,
    request: &RequestHeader,
    form: &StepPage,
) -> Result<Ready> {
    let Some(site) = ctx.site() else {
        return problem(ctx, request, &Problem::new(Reason::Internal));
    };
    let (frame, cookie) = (frame(ctx, request), form_cookie(ctx));
    let csrf = csrf_token(&site.name, &cookie);
    let back = form_address(site, form.return_to.as_ref());
    let has_unsent = form.preserved_post.is_some();
    let path = |call: StepCall| {
        preserved_post::action(&format!("{}{}", site.paths.login, call.path()), has_unsent)
    };
    let html = match form.next.step {
        Step::TwoFactor => pages::two_factor(&pages::TwoFactorView {
            frame,
            action: &path(StepCall::TwoFactor),
            send: &path(StepCall::SendCode),
            back: &back,
            form,
            csrf: &csrf,
        }),
        Step::NewPassword => pages::new_password(&pages::NewPasswordView {
            frame,
            action: &path(StepCall::NewPassword),
            back: &back,
            form,
            csrf: &csrf,
        }),
    };
    let ready = page(ctx, frame, (form.status, html))?;
    bound(ctx, site, ready, (&cookie, form.retry_after))
}

/// The pre-session cookie that forms are bound to; the visitor's own is kept, so that many tabs
/// work at once.
fn form_cookie(ctx: &ProxyContext) -> String {
    ctx.response.form_cookie.clone().unwrap_or_else(|| {
        use base64::Engine as _;
        base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(system::random::<32>())
    })
}

/// A form's page with the cookie it is bound to, where that is new, and the wait.
fn bound(
    ctx: &ProxyContext,
    site: &Site,
    mut ready: Ready,
    (cookie, retry_after): (&str, Option<u32>),
) -> Result<Ready> {
    if ctx.response.form_cookie.as_deref() != Some(cookie) {
        for line in cookie::set(&site.cookies, CookieKind::Form, cookie, Lifetime::Browser) {
            ready.head.append_header(header::SET_COOKIE, line)?;
        }
    }
    if let Some(seconds) = retry_after {
        ready.head.insert_header(header::RETRY_AFTER, seconds)?;
    }
    Ok(ready)
}

/// What the visitor had written when their session ended.
pub(super) fn preserved_post(
    ctx: &ProxyContext,
    request: &RequestHeader,
    preserved_post: &PreservedPostPage,
) -> Result<Ready> {
    let frame = frame(ctx, request);
    page(
        ctx,
        frame,
        (
            200,
            pages::preserved_post(&pages::PreservedPostView {
                frame,
                page: preserved_post,
            }),
        ),
    )
}

/// The page with the one button.
pub(super) fn sign_out_page(ctx: &ProxyContext, request: &RequestHeader) -> Result<Ready> {
    let Some(site) = ctx.site() else {
        return problem(ctx, request, &Problem::new(Reason::Internal));
    };
    let frame = frame(ctx, request);
    let view = pages::LogoutView {
        frame,
        action: &site.paths.logout,
        back: site.landing.as_str(),
    };
    page(ctx, frame, (200, pages::logout(&view)))
}

/// What the provider asks for before it lets somebody in.
pub(super) fn provider_asks(
    ctx: &ProxyContext,
    request: &RequestHeader,
    asks: &ActionRequired,
) -> Result<Ready> {
    let Some(site) = ctx.site() else {
        return problem(ctx, request, &Problem::new(Reason::Internal));
    };
    let frame = frame(ctx, request);
    let view = pages::ActionRequiredView {
        frame,
        login_path: &site.paths.login,
        asks,
    };
    page(ctx, frame, (asks.status, pages::action_required(&view)))
}
