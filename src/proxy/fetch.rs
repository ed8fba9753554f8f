//! The shell's half of the loop: finds out what `decide` asks for and fills the slot.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use http::header::USER_AGENT;
use pingora::proxy::Session;

use crate::decide::facts::FormSize;
use crate::decide::{Facts, Known, Question};
use crate::model::credential::{Carried, CredentialKind, Renewable};
use crate::model::reason::Reason;
use crate::model::sign_in::LoginForm;
use crate::model::token::{Renewed, TokenFault};
use crate::model::unsent::MAX_SEALED;
use crate::provider::Device;
use crate::runtime::{Attempt, Caller, CheckFault, RenewFault, Runtime, SignInFault};

use super::body;
use super::passage::Passage;

/// Finds out one thing.
pub(super) async fn fill(question: Question<'_>, facts: &mut Facts, session: &mut Session, passage: &mut Passage) {
    let Some(guarded) = passage.guarded.clone() else { return };
    let runtime = &passage.runtime;
    let caller = Caller {
        guarded: &guarded,
        client: passage.client.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
        request_id: &passage.request_id,
        now: passage.now,
    };
    match question {
        Question::Verify(token) => facts.token = checked(runtime.check(caller, token).await),
        Question::LoadSession(id) => facts.session = checked(runtime.session(caller, id).await),
        Question::Renew(renewable) => facts.renewal = renewal(runtime, caller, renewable).await,
        Question::RenewPosted(refresh) => {
            let posted = Renewable { kind: CredentialKind::Bearer, refresh: refresh.expose(), session: None };
            facts.renewal = renewal(runtime, caller, posted).await;
        }
        Question::ReadForm(size) => {
            facts.form = sign_in_form(session, runtime.settings().server.limits.max_login_body, size).await;
            // Half a body is left on the wire.
            let unread = matches!(facts.form, Known::Absent(reason) if reason != Reason::UnsupportedMediaType);
            passage.close |= unread || !session.is_body_done();
        }
        Question::KeepForm { target, refresh, device } => {
            facts.kept = kept_form((runtime, caller), session, target, (refresh, device)).await;
            // Of a body that was not for carrying some may be left on the wire.
            passage.close |= !session.is_body_done();
        }
        Question::ReturnForm { sealed, sub, login_id } => {
            facts.returned = runtime
                .return_form(caller, &sealed, (&sub, &login_id))
                .await
                .map_or(Known::Absent(Reason::RejectedInput), Known::Found);
        }
        Question::ReadBody => {
            let limit = runtime.settings().server.limits.max_login_body;
            facts.body = body::call(session, limit).await.map_or_else(Known::Absent, Known::Found);
            passage.close |= !session.is_body_done();
        }
        Question::SignIn { credentials, kind, session: replaced, device: known_as } => {
            let user_agent = session.req_header().headers.get(USER_AGENT).and_then(|value| value.to_str().ok());
            let device = Device { user_agent };
            let attempt = Attempt { credentials: &credentials, kind, session: replaced, device, known_as };
            facts.sign_in = match runtime.sign_in(caller, attempt).await {
                Ok(signed_in) => Known::Found(signed_in),
                Err(SignInFault::Refused(refused)) => Known::Absent(refused),
                Err(SignInFault::Trouble(reason)) => Known::Failed(reason),
            };
        }
        Question::SignOut(carried) => facts.sign_out = sign_out(runtime, caller, carried).await,
        Question::SignOutPosted { access, refresh } => {
            let posted = Carried { kind: CredentialKind::Bearer, proof: access, refresh: Some(refresh.expose()) };
            facts.sign_out = sign_out(runtime, caller, posted).await;
        }
    }
}

async fn sign_in_form(session: &mut Session, limit: usize, size: FormSize) -> Known<LoginForm, Reason> {
    let limit = match size {
        FormSize::Plain => limit,
        FormSize::WithUnsent => limit + MAX_SEALED,
    };
    body::form(session, limit).await.map_or_else(Known::Absent, Known::Found)
}

async fn kept_form(
    (runtime, caller): (&Runtime, Caller<'_>),
    session: &mut Session,
    target: &str,
    carried: (Option<(CredentialKind, &str)>, Option<&str>),
) -> Known<Arc<str>, Reason> {
    let Some(form) = body::posted(session).await else { return Known::Absent(Reason::UnsupportedMediaType) };
    let sealed = runtime.keep_form(caller, target, form, carried);
    sealed.map_or(Known::Absent(Reason::RequestTooLarge), Known::Found)
}

fn checked<T>(result: Result<T, CheckFault>) -> Known<T, TokenFault> {
    match result {
        Ok(found) => Known::Found(found),
        Err(CheckFault::Token(fault)) => Known::Absent(fault),
        Err(CheckFault::Trouble(reason)) => Known::Failed(reason),
    }
}

async fn sign_out(runtime: &Arc<Runtime>, caller: Caller<'_>, carried: Carried<'_>) -> Known<(), Reason> {
    runtime.sign_out(caller, carried).await;
    Known::Found(())
}

async fn renewal(runtime: &Arc<Runtime>, caller: Caller<'_>, presented: Renewable<'_>) -> Known<Renewed, Reason> {
    match runtime.renew(caller, presented).await {
        Ok(renewed) => Known::Found(renewed),
        Err(RenewFault::Refused(reason)) => Known::Absent(reason),
        Err(RenewFault::Trouble(reason)) => Known::Failed(reason),
    }
}
