//! The shell's half of the loop: finds out what `decide` asks for and fills the slot.

use std::net::{IpAddr, Ipv4Addr};
use std::pin::Pin;
use std::sync::Arc;

use http::HeaderValue;
use http::header::USER_AGENT;
use pingora::proxy::Session;

use crate::decide::facts::FormSize;
use crate::decide::{Facts, Known, Question};
use crate::model::challenge::Challenge;
use crate::model::circle::GoesRound;
use crate::model::credential::{Carried, CredentialKind, Renewable};
use crate::model::reason::Reason;
use crate::model::secret::Secret;
use crate::model::sign_in::SignInRefused;
use crate::model::token::{Renewed, TokenFault};
use crate::model::unsent::MAX_SEALED;
use crate::provider::Device;
use crate::runtime::{Attempt, Caller, CheckFault, Continuation, RenewFault, Runtime, SignInFault};

use super::body;
use super::form;
use super::passage::Passage;

/// Finds out one thing.
pub(super) async fn fill(
    question: Question<'_>,
    facts: &mut Facts,
    session: &mut Session,
    passage: &mut Passage,
) {
    let Some(guarded) = &passage.guarded else {
        return;
    };
    let runtime = &passage.runtime;
    let plain = runtime.settings().server.limits.max_login_body;
    let caller = Caller {
        guarded,
        client: passage.client.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
        request_id: &passage.request_id,
        now: passage.now,
    };
    match question {
        Question::Verify(token) => facts.token = checked(runtime.check(caller, token).await),
        Question::LoadSession(id) => facts.session = checked(runtime.session(caller, id).await),
        Question::Renew(renewable) => {
            facts.renewal = rare(renewal(runtime, caller, renewable)).await;
        }
        Question::RenewPosted(refresh) => {
            facts.renewal = rare(renewal(runtime, caller, Renewable::posted(&refresh))).await;
        }
        Question::ReadForm(size) => {
            facts.form = rare(read(
                session,
                limit_of(size, plain),
                form::login,
                &mut passage.close,
            ))
            .await;
        }
        Question::ReadStepForm(size) => {
            facts.step_form = rare(read(
                session,
                limit_of(size, plain),
                form::step,
                &mut passage.close,
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
                (runtime, caller),
                session,
                target,
                carried,
                &mut passage.close,
            ))
            .await;
        }
        Question::ReturnForm {
            sealed,
            sub,
            login_id,
        } => {
            facts.returned = found(
                rare(runtime.return_form(caller, &sealed, (&sub, &login_id))).await,
                Reason::RejectedInput,
            );
        }
        Question::ReadBody => {
            facts.body = rare(body::call(session, plain))
                .await
                .map_or_else(Known::Absent, Known::Found);
            passage.close |= !session.is_body_done();
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
            facts.sign_in = tried(rare(runtime.sign_in(caller, attempt)).await);
        }
        Question::OpenChallenge { step, challenge } => {
            let opened = runtime
                .open_challenge(guarded, step, &challenge)
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
            facts.sign_in = tried(rare(runtime.go_on(caller, next)).await);
        }
        Question::SendCode { opened, choice } => {
            facts.sent = rare(sent(runtime, caller, (&opened.challenge, &choice))).await;
        }
        Question::CountRound { by, target } => {
            facts.rounds = rounds((runtime, caller), (by, target), session);
        }
        Question::SignOut(carried) => {
            facts.sign_out = rare(sign_out(runtime, caller, carried)).await;
        }
        Question::SignOutPosted { access, refresh } => {
            facts.sign_out =
                rare(sign_out(runtime, caller, Carried::posted(access, &refresh))).await;
        }
    }
}

/// What few requests wait for. A future is as large as the largest that it may wait for, and is
/// moved whole: this one is not to be carried along by every request.
fn rare<F: Future>(work: F) -> Pin<Box<F>> {
    Box::pin(work)
}

async fn kept_form(
    (runtime, caller): (&Runtime, Caller<'_>),
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
    let sealed = runtime.keep_form(caller, target, form, carried);
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
    (runtime, caller): (&Runtime, Caller<'_>),
    visit: (GoesRound<'_>, &str),
    session: &Session,
) -> Known<u32, Reason> {
    let user_agent = session.get_header(USER_AGENT).map(HeaderValue::as_bytes);
    Known::Found(runtime.count_round(caller, visit, user_agent))
}

fn found<T>(found: Option<T>, otherwise: Reason) -> Known<T, Reason> {
    found.map_or(Known::Absent(otherwise), Known::Found)
}

fn tried<T>(result: Result<T, SignInFault>) -> Known<T, SignInRefused> {
    match result {
        Ok(found) => Known::Found(found),
        Err(SignInFault::Refused(refused)) => Known::Absent(refused),
        Err(SignInFault::Trouble(reason)) => Known::Failed(reason),
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
    caller: Caller<'_>,
    (challenge, choice): (&Challenge, &Secret),
) -> Known<usize, Box<SignInRefused>> {
    match runtime.send_code(caller, challenge, choice).await {
        Ok(way) => Known::Found(way),
        Err(SignInFault::Refused(refused)) => Known::Absent(Box::new(refused)),
        Err(SignInFault::Trouble(reason)) => Known::Failed(reason),
    }
}

/// How large a form of the gateway's own may be.
fn limit_of(size: FormSize, plain: usize) -> usize {
    match size {
        FormSize::Plain => plain,
        FormSize::WithUnsent => plain + MAX_SEALED,
    }
}

fn checked<T>(result: Result<T, CheckFault>) -> Known<T, TokenFault> {
    match result {
        Ok(found) => Known::Found(found),
        Err(CheckFault::Token(fault)) => Known::Absent(fault),
        Err(CheckFault::Trouble(reason)) => Known::Failed(reason),
    }
}

async fn sign_out(
    runtime: &Arc<Runtime>,
    caller: Caller<'_>,
    carried: Carried<'_>,
) -> Known<(), Reason> {
    runtime.sign_out(caller, carried).await;
    Known::Found(())
}

async fn renewal(
    runtime: &Arc<Runtime>,
    caller: Caller<'_>,
    presented: Renewable<'_>,
) -> Known<Renewed, Reason> {
    match runtime.renew(caller, presented).await {
        Ok(renewed) => Known::Found(renewed),
        Err(RenewFault::Refused(reason)) => Known::Absent(reason),
        Err(RenewFault::Trouble(reason)) => Known::Failed(reason),
    }
}
