//! The shell's half of the loop: finds out what `decide` asks for and fills the slot.

use std::pin::Pin;
use std::sync::Arc;

use http::HeaderValue;
use http::header::USER_AGENT;
use pingora::proxy::Session;

use crate::decide::facts::FormSize;
use crate::decide::{Facts, Known, Question};
use crate::model::challenge::Challenge;
use crate::model::credential::{CredentialKind, PresentedCredential, RefreshRequest};
use crate::model::login::LoginRefused;
use crate::model::preserved_post::MAX_SEALED;
use crate::model::reason::Reason;
use crate::model::redirect_loop::LoopIdentity;
use crate::model::secret::Secret;
use crate::model::token::{Renewed, TokenError};
use crate::provider::Device;
use crate::runtime::{
    Attempt, Continuation, CredentialError, LoginError, RefreshError, RequestContext, Runtime,
};

use super::body;
use super::context::ProxyContext;
use super::form;

/// Finds out one thing.
pub(super) async fn fill(
    question: Question<'_>,
    facts: &mut Facts,
    session: &mut Session,
    ctx: &mut ProxyContext,
) {
    let Some(site_runtime) = &ctx.site_runtime else {
        return;
    };
    let runtime = &ctx.runtime;
    let plain = runtime.settings().server.limits.max_login_body;
    let context = RequestContext {
        site_runtime,
        client: ctx.client.address,
        request_id: &ctx.request_id,
        now: ctx.now,
    };
    match question {
        Question::Verify(token) => facts.token = checked(runtime.check(context, token).await),
        Question::LoadSession(id) => facts.session = checked(runtime.session(context, id).await),
        Question::Renew(renewable) => {
            facts.renewal = rare(renewal(runtime, context, renewable)).await;
        }
        Question::RenewPosted(refresh) => {
            facts.renewal = rare(renewal(runtime, context, RefreshRequest::posted(&refresh))).await;
        }
        Question::ReadForm(size) => {
            facts.form = rare(read(
                session,
                limit_of(size, plain),
                form::login,
                &mut ctx.response.close,
            ))
            .await;
        }
        Question::ReadStepForm(size) => {
            facts.step_form = rare(read(
                session,
                limit_of(size, plain),
                form::step,
                &mut ctx.response.close,
            ))
            .await;
        }
        Question::KeepForm {
            target,
            refresh,
            device,
        } => {
            let carried = (refresh, device);
            facts.kept = rare(kept_form(
                (runtime, context),
                session,
                target,
                carried,
                &mut ctx.response.close,
            ))
            .await;
        }
        Question::ReturnForm {
            sealed,
            sub,
            login_id,
        } => {
            facts.returned = found(
                rare(runtime.return_form(context, &sealed, (&sub, &login_id))).await,
                Reason::RejectedInput,
            );
        }
        Question::ReadBody => {
            facts.body = rare(body::call(session, plain))
                .await
                .map_or_else(Known::Absent, Known::Found);
            ctx.response.close |= !session.is_body_done();
        }
        Question::SignIn {
            credentials,
            kind,
            session: replaced,
            device: known_as,
        } => {
            let device = device(session);
            let attempt = Attempt {
                credentials: &credentials,
                kind,
                session: replaced,
                device,
                known_as,
            };
            facts.sign_in = tried(rare(runtime.sign_in(context, attempt)).await);
        }
        Question::OpenChallenge { step, challenge } => {
            let opened = runtime
                .open_challenge(site_runtime, step, &challenge)
                .map(Arc::new);
            facts.challenge = found(opened, Reason::ChallengeExpired);
        }
        Question::Continue {
            opened,
            answer,
            kind,
            session: replaced,
            device: known_as,
        } => {
            let (challenge, device) = (&opened.challenge, device(session));
            let next = Continuation {
                challenge,
                answer: &answer,
                kind,
                session: replaced,
                device,
                known_as,
            };
            facts.sign_in = tried(rare(runtime.go_on(context, next)).await);
        }
        Question::SendCode { opened, choice } => {
            facts.sent = rare(sent(runtime, context, (&opened.challenge, &choice))).await;
        }
        Question::CountRound { by, target } => {
            facts.rounds = rounds((runtime, context), (by, target), session);
        }
        Question::SignOut(carried) => {
            facts.sign_out = rare(sign_out(runtime, context, carried)).await;
        }
        Question::SignOutPosted { access, refresh } => {
            facts.sign_out = rare(sign_out(
                runtime,
                context,
                PresentedCredential::posted(access, &refresh),
            ))
            .await;
        }
    }
}

/// What few requests wait for. A future is as large as the largest that it may wait for, and is
/// moved whole: this one is not to be carried along by every request.
fn rare<F: Future>(work: F) -> Pin<Box<F>> {
    Box::pin(work)
}

async fn kept_form(
    (runtime, context): (&Runtime, RequestContext<'_>),
    session: &mut Session,
    target: &str,
    carried: (Option<(CredentialKind, &str)>, Option<&str>),
    close: &mut bool,
) -> Known<Arc<str>, Reason> {
    let posted = body::posted(session).await;
    // Of a body that was not for carrying some may be left on the wire.
    *close |= !session.is_body_done();
    let Some(form) = posted else {
        return Known::Absent(Reason::UnsupportedMediaType);
    };
    let sealed = runtime.keep_form(context, target, form, carried);
    found(sealed, Reason::RequestTooLarge)
}

/// What the visitor signs in with, as far as they tell.
fn device(session: &Session) -> Device<'_> {
    Device {
        user_agent: session
            .req_header()
            .headers
            .get(USER_AGENT)
            .and_then(|value| value.to_str().ok()),
    }
}

fn rounds(
    (runtime, context): (&Runtime, RequestContext<'_>),
    visit: (LoopIdentity<'_>, &str),
    session: &Session,
) -> Known<u32, Reason> {
    let user_agent = session.get_header(USER_AGENT).map(HeaderValue::as_bytes);
    Known::Found(runtime.count_round(context, visit, user_agent))
}

fn found<T>(found: Option<T>, otherwise: Reason) -> Known<T, Reason> {
    found.map_or(Known::Absent(otherwise), Known::Found)
}

fn tried<T>(result: Result<T, LoginError>) -> Known<T, LoginRefused> {
    match result {
        Ok(found) => Known::Found(found),
        Err(LoginError::Refused(refused)) => Known::Absent(refused),
        Err(LoginError::Trouble(reason)) => Known::Failed(reason),
    }
}

/// A form of the gateway's own. Where it is refused half of it may be left on the wire.
async fn read<T>(
    session: &mut Session,
    limit: usize,
    parse: impl FnOnce(&[u8]) -> Option<T>,
    close: &mut bool,
) -> Known<T, Reason> {
    let read = body::form(session, limit, parse).await;
    *close |= read
        .as_ref()
        .is_err_and(|reason| *reason != Reason::UnsupportedMediaType)
        || !session.is_body_done();
    read.map_or_else(Known::Absent, Known::Found)
}

async fn sent(
    runtime: &Runtime,
    context: RequestContext<'_>,
    (challenge, choice): (&Challenge, &Secret),
) -> Known<usize, Box<LoginRefused>> {
    match runtime.send_code(context, challenge, choice).await {
        Ok(way) => Known::Found(way),
        Err(LoginError::Refused(refused)) => Known::Absent(Box::new(refused)),
        Err(LoginError::Trouble(reason)) => Known::Failed(reason),
    }
}

/// How large a form of the gateway's own may be.
fn limit_of(size: FormSize, plain: usize) -> usize {
    match size {
        FormSize::Plain => plain,
        FormSize::WithUnsent => plain + MAX_SEALED,
    }
}

fn checked<T>(result: Result<T, CredentialError>) -> Known<T, TokenError> {
    match result {
        Ok(found) => Known::Found(found),
        Err(CredentialError::Token(fault)) => Known::Absent(fault),
        Err(CredentialError::Trouble(reason)) => Known::Failed(reason),
    }
}

async fn sign_out(
    runtime: &Arc<Runtime>,
    context: RequestContext<'_>,
    carried: PresentedCredential<'_>,
) -> Known<(), Reason> {
    runtime.sign_out(context, carried).await;
    Known::Found(())
}

async fn renewal(
    runtime: &Arc<Runtime>,
    context: RequestContext<'_>,
    presented: RefreshRequest<'_>,
) -> Known<Renewed, Reason> {
    match runtime.renew(context, presented).await {
        Ok(renewed) => Known::Found(renewed),
        Err(RefreshError::Refused(reason)) => Known::Absent(reason),
        Err(RefreshError::Trouble(reason)) => Known::Failed(reason),
    }
}
