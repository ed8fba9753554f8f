//! The proxy's half of the decision loop: finds the answer to a question of `decide` and fills its
//! slot in the facts. [`Resolver`] answers those that need no request body.

use std::sync::Arc;

use http::header::{HOST, USER_AGENT};
use pingora::proxy::Session;

use crate::decide::facts::FormSize;
use crate::decide::{Facts, Known, Question};
use crate::model::api_request::ApiRequestBody;
use crate::model::hook::{HookAnswer, HookKind};
use crate::model::preserved_post::{NotPreservedError, PostedForm, max_sealed};
use crate::model::reason::Reason;
use crate::model::site::Site;
use crate::runtime::hooks::HookRequest;
use crate::runtime::{RequestContext, SiteRuntime};

use super::form;
use super::read_request_body;
use super::request_state::RequestState;
use super::resolver::Resolver;

/// Answers one question. Which slot of the facts it fills, [`Question`] says.
pub(super) async fn resolve(
    question: Question<'_>,
    facts: &mut Facts,
    session: &mut Session,
    ctx: &mut RequestState,
    site_runtime: &Arc<SiteRuntime>,
) {
    match question {
        Question::Verify(token) => {
            facts.token = resolver(session, ctx, site_runtime).verify(token).await;
        }
        Question::LoadSession(id) => {
            facts.session = resolver(session, ctx, site_runtime).load_session(id).await;
        }
        Question::CheckBasic(credentials) => {
            let resolver = resolver(session, ctx, site_runtime);
            facts.basic = resolver.check_basic(credentials).await;
        }
        Question::Refresh(_)
        | Question::RefreshFromBody(_)
        | Question::ReadLoginForm(_)
        | Question::PreservePost { .. }
        | Question::RestorePost { .. }
        | Question::ReadBody
        | Question::Login { .. }
        | Question::BeginRedirect { .. }
        | Question::FinishRedirect { .. }
        | Question::ReadStepForm(_)
        | Question::OpenChallenge { .. }
        | Question::ContinueLogin { .. }
        | Question::SendCode { .. }
        | Question::CountRedirect { .. }
        | Question::ReceiveHook(_)
        | Question::Logout(_)
        | Question::LogoutBasic(_)
        | Question::LogoutFromBody { .. } => {
            // In a box: a future is as large as the largest that it may wait for, and every request
            // would carry the size of what few wait for.
            Box::pin(resolve_any(question, facts, session, ctx, site_runtime)).await;
        }
    }
}

/// Answers any question. [`resolve`] calls it for those that few requests ask.
async fn resolve_any(
    question: Question<'_>,
    facts: &mut Facts,
    session: &mut Session,
    ctx: &mut RequestState,
    site_runtime: &Arc<SiteRuntime>,
) {
    match question {
        Question::ReadLoginForm(size) => {
            let limit = form_limit(ctx, site_runtime, size);
            facts.login_form = read_form(session, ctx, limit, form::login).await;
        }
        Question::ReadStepForm(size) => {
            let limit = form_limit(ctx, site_runtime, size);
            facts.step_form = read_form(session, ctx, limit, form::step).await;
        }
        Question::ReadBody => facts.body = read_call(session, ctx).await,
        Question::PreservePost {
            target,
            refresh,
            device,
        } => {
            let limit = preserved_post_limit(&site_runtime.site);
            let form = read_application_form(session, ctx, limit).await;
            let resolver = resolver(session, ctx, site_runtime);
            facts.preserved_post = resolver.preserve_post(form, target, refresh, device);
        }
        Question::ReceiveHook(kind) => {
            facts.hook = receive_hook(session, ctx, site_runtime, kind).await;
        }
        Question::Verify(_)
        | Question::LoadSession(_)
        | Question::CheckBasic(_)
        | Question::Refresh(_)
        | Question::RefreshFromBody(_)
        | Question::RestorePost { .. }
        | Question::Login { .. }
        | Question::BeginRedirect { .. }
        | Question::FinishRedirect { .. }
        | Question::OpenChallenge { .. }
        | Question::ContinueLogin { .. }
        | Question::SendCode { .. }
        | Question::CountRedirect { .. }
        | Question::Logout(_)
        | Question::LogoutBasic(_)
        | Question::LogoutFromBody { .. } => {
            let resolver = resolver(session, ctx, site_runtime);
            resolver.answer(question, facts).await;
        }
    }
}

/// The resolver for the request of `session`.
fn resolver<'r>(
    session: &'r Session,
    ctx: &'r RequestState,
    site_runtime: &'r Arc<SiteRuntime>,
) -> Resolver<'r> {
    Resolver {
        runtime: &ctx.runtime,
        context: RequestContext {
            site_runtime,
            client: ctx.client.address,
            host: session.get_header(HOST).and_then(|host| host.to_str().ok()),
            request_id: &ctx.request_id,
            now: ctx.now,
        },
        user_agent: session.get_header(USER_AGENT),
    }
}

/// The largest body of a form of the gateway's own.
fn form_limit(ctx: &RequestState, site_runtime: &SiteRuntime, size: FormSize) -> usize {
    let plain = ctx.runtime.settings().server.limits.max_login_body;
    match size {
        FormSize::Plain => plain,
        FormSize::WithPreservedPost => plain + max_sealed(site_runtime.site.preserve_post),
    }
}

/// The largest form that is preserved: the site would refuse a larger one when it is sent again.
fn preserved_post_limit(site: &Site) -> usize {
    let accepted = site.limits.body.map_or(Ok(usize::MAX), usize::try_from);
    site.preserve_post.min(accepted.unwrap_or(usize::MAX))
}

/// Reads a form of the gateway's own.
async fn read_form<T>(
    session: &mut Session,
    ctx: &mut RequestState,
    limit: usize,
    parse: impl FnOnce(&[u8]) -> Option<T>,
) -> Known<T, Reason> {
    let form = read_request_body::read_form(session, limit, parse).await;
    // Part of a refused body may be on the connection still.
    let is_stopped = matches!(form, Err(reason) if reason != Reason::UnsupportedMediaType);
    ctx.response.close |= is_stopped || !session.is_body_done();
    form.map_or_else(Known::Absent, Known::Found)
}

/// Reads the JSON body of an API call.
async fn read_call(session: &mut Session, ctx: &mut RequestState) -> Known<ApiRequestBody, Reason> {
    let limit = ctx.runtime.settings().server.limits.max_login_body;
    let body = read_request_body::read_call(session, limit).await;
    ctx.response.close |= !session.is_body_done();
    body.map_or_else(Known::Absent, Known::Found)
}

/// Takes a message of the site's provider.
async fn receive_hook(
    session: &mut Session,
    ctx: &mut RequestState,
    site_runtime: &SiteRuntime,
    kind: HookKind,
) -> Known<HookAnswer, Reason> {
    let body = read_request_body::read_body(session, kind.max_body()).await;
    ctx.response.close |= body.is_err() || !session.is_body_done();
    let body = match &body {
        Ok(body) => Some(body.as_slice()),
        Err(Reason::RequestTooLarge) => None,
        Err(reason) => return Known::Absent(*reason),
    };
    let request = HookRequest {
        kind,
        provider: Some(&site_runtime.site.provider),
        headers: &session.req_header().headers,
        body,
        client: ctx.client.address,
    };
    Known::Found(ctx.runtime.hooks.receive(request).await)
}

/// Reads a form of the application's, where the body is one.
async fn read_application_form(
    session: &mut Session,
    ctx: &mut RequestState,
    limit: usize,
) -> Result<PostedForm, NotPreservedError> {
    let form = read_request_body::read_application_form(session, limit).await;
    // Part of another body may be on the connection still.
    ctx.response.close |= !session.is_body_done();
    form
}
