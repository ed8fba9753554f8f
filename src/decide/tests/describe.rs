//! A decision in one line of words, which the tests compare.
//!
//! * `ask QUESTION`: a fact is missing.
//! * `forward REASON [as SUB] [ahead TOKEN]`: the request is forwarded.
//! * `STATUS [details] REASON`: the gateway answers.
//!
//! The changes to the cookies follow: `, set TOKEN`, `, clear`, `, clear refresh`, `, device`,
//! `, owner SUB`, `, clear owner`, `, expire NAME at DOMAIN/PATH …`.

use std::fmt::Display;

use crate::decide::facts::FormSize;
use crate::decide::{Decision, Outcome, Question, Verdict};
use crate::model::application_cookies::{CookieOwner, CookieScope, OwnerHash};
use crate::model::cookie_change::CookieChange;
use crate::model::credential::CredentialKind;
use crate::model::local_response::{
    LocalResponse, LoginPage, LostPost, Preflight, PreservedPostPage, Problem, Resubmission,
    StepPage,
};
use crate::model::login_step::StepSubmission;
use crate::model::password_violation::PasswordViolation;
use crate::model::return_path::ReturnPath;

/// The decision in one line of words.
pub(super) fn describe(decision: &Decision<'_>) -> String {
    match decision {
        Decision::Needs(question) => format!("ask {}", describe_question(question)),
        Decision::Settled(verdict) => describe_verdict(verdict),
    }
}

/// `PREFIX VALUE` after a space, where there is a value.
fn optional(prefix: &str, value: Option<impl Display>) -> String {
    value.map_or_else(String::new, |value| format!(" {prefix}{value}"))
}

#[expect(clippy::too_many_lines, reason = "one arm for each question")]
fn describe_question(question: &Question<'_>) -> String {
    match question {
        Question::Verify(token) => format!("verify {token}"),
        Question::LoadSession(id) => format!("load {id}"),
        Question::Refresh(refresh) => format!(
            "refresh {}{}",
            refresh.refresh,
            optional("for ", refresh.session_id)
        ),
        Question::RefreshFromBody(token) => format!("refresh posted {}", token.expose()),
        Question::CheckBasic(credentials) => format!("basic {}", credentials.encoded()),
        Question::ReadLoginForm(FormSize::Plain) => "form".into(),
        Question::ReadLoginForm(FormSize::WithPreservedPost) => "large form".into(),
        Question::PreservePost {
            target, refresh, ..
        } => format!(
            "preserve {target} {}",
            refresh.map_or("-", |(_, token)| token)
        ),
        Question::RestorePost {
            sealed,
            sub,
            login_id,
        } => format!("restore {sealed} for {sub} as {login_id}"),
        Question::ReadBody => "body".into(),
        Question::Login {
            credentials,
            kind,
            session,
            device,
        } => {
            let what = format!("{} remember={}", credentials.login_id, credentials.remember);
            let verb = describe_kind("login", *kind);
            format!("{verb} {what}{}", describe_browser(*session, *device))
        }
        Question::BeginRedirect { options, presented } => {
            let to = options.return_to.as_ref().map(ReturnPath::as_str);
            let post = options.preserved_post.as_deref();
            format!(
                "leave{}{} beside {}",
                optional("to ", to),
                optional("with ", post),
                presented.len()
            )
        }
        Question::FinishRedirect {
            callback,
            sealed,
            kind,
            session,
            device,
        } => {
            let verb = describe_kind("finish", *kind);
            format!(
                "{verb} {callback:?} of {sealed}{}",
                describe_browser(*session, *device)
            )
        }
        Question::ContinueLogin {
            opened,
            submission,
            kind,
            session,
            device,
        } => {
            let what = format!(
                "{} {}",
                opened.challenge.id,
                describe_submission(submission)
            );
            let verb = describe_kind("continue", *kind);
            format!("{verb} {what}{}", describe_browser(*session, *device))
        }
        Question::ReadStepForm(_) => "step form".into(),
        Question::OpenChallenge { step, challenge } => {
            format!("open {step} {}", challenge.expose())
        }
        Question::SendCode { opened, choice } => {
            format!("send {} {}", opened.challenge.id, choice.expose())
        }
        Question::CountRedirect {
            identity,
            target,
            within,
        } => {
            format!("redirects of {identity:?} at {target} within {within:?}")
        }
        Question::Logout(credential) => {
            describe_logout("logout", credential.token, credential.refresh)
        }
        Question::ReceiveHook(kind) => format!("receive {kind:?}"),
        Question::LogoutBasic(credentials) => format!("logout basic {}", credentials.encoded()),
        Question::LogoutFromBody { access, refresh } => {
            describe_logout("logout posted", *access, Some(refresh.expose()))
        }
    }
}

fn describe_logout(verb: &str, token: Option<&str>, refresh: Option<&str>) -> String {
    let [token, refresh] = [token, refresh].map(|value| value.unwrap_or("-"));
    format!("{verb} {token} {refresh}")
}

fn describe_kind(verb: &str, kind: CredentialKind) -> String {
    let kind = (kind != CredentialKind::Jwt).then(|| kind.as_str());
    format!("{verb}{}", optional("", kind))
}

fn describe_browser(session: Option<&str>, device: Option<&str>) -> String {
    optional("for ", session) + &optional("on ", device)
}

fn describe_submission(submission: &StepSubmission) -> String {
    match submission {
        StepSubmission::Code { code, trust_device } => {
            format!("code {:?} trust={trust_device}", code.expose())
        }
        StepSubmission::Password(password) => format!("password {:?}", password.expose()),
    }
}

fn describe_verdict(verdict: &Verdict<'_>) -> String {
    let outcome = match &verdict.outcome {
        Outcome::Forward(grant) => {
            let sub = grant.principal().map(|principal| &principal.identity.sub);
            let refresh = grant.early_refresh().map(|refresh| refresh.refresh);
            format!(
                "forward {}{}{}",
                verdict.reason.as_str(),
                optional("as ", sub),
                optional("ahead ", refresh)
            )
        }
        Outcome::Reply(response) => {
            format!(
                "{} {}",
                describe_response(response),
                verdict.reason.as_str()
            )
        }
    };
    let cookies = verdict.cookies.iter().map(|change| match change {
        CookieChange::SetTokens(tokens) => format!(", set {}", tokens.token),
        CookieChange::ClearCredentials => ", clear".into(),
        CookieChange::ClearRefresh => ", clear refresh".into(),
        CookieChange::SetDevice(_) => ", device".into(),
        CookieChange::SetRedirectLogin(login) => format!(", login {}", login.id),
        CookieChange::ClearRedirectLogin(id) => format!(", clear login {id}"),
        CookieChange::SetOwner(owner) => describe_owner(owner),
        CookieChange::ClearOwner => ", clear owner".into(),
        CookieChange::ExpireApplication(scopes) => format!(", expire {}", describe_scopes(scopes)),
    });
    outcome + &cookies.collect::<Vec<_>>().concat()
}

fn describe_owner(owner: &CookieOwner) -> String {
    let known = ["ann", "bob"].into_iter();
    let name = known
        .into_iter()
        .find(|sub| OwnerHash::of("store", sub) == owner.owner);
    format!(", owner {}", name.unwrap_or("?"))
}

fn describe_scopes(scopes: &[CookieScope]) -> String {
    let scope = |scope: &CookieScope| {
        let domain = scope.domain.as_deref().unwrap_or_default();
        format!("{} at {domain}{}", scope.name, scope.path)
    };
    scopes.iter().map(scope).collect::<Vec<_>>().join(" ")
}

fn describe_response(response: &LocalResponse) -> String {
    match response {
        LocalResponse::Redirect(redirect) => {
            let clear = redirect.clear_site_data.then_some("Clear-Site-Data");
            format!(
                "{} {}{}",
                redirect.status,
                redirect.location,
                optional("", clear)
            )
        }
        LocalResponse::ProviderRedirect(redirect) => {
            let clear = redirect.clear_site_data.then_some("Clear-Site-Data");
            let (status, address) = (redirect.status, redirect.address.as_str());
            format!("{status} to provider {address}{}", optional("", clear))
        }
        LocalResponse::AllowedRedirect {
            to,
            clear_site_data,
        } => {
            let clear = clear_site_data.then_some("Clear-Site-Data");
            format!("leave for {}{}", to.as_str(), optional("", clear))
        }
        LocalResponse::Problem(problem) => describe_problem(problem),
        LocalResponse::LoginPage(page) => describe_login_page(page),
        LocalResponse::StepPage(page) => describe_step_page(page),
        LocalResponse::LogoutPage => "200 logout page".into(),
        LocalResponse::SignedOutPage => "200 signed out page".into(),
        LocalResponse::Allowed => "200".to_owned(),
        LocalResponse::AcmeChallenge(answer) => format!("200 {answer}"),
        LocalResponse::HttpsRedirect(location) => format!("308 {location}"),
        LocalResponse::LinkedPage(link) => format!("302 link {}", link.as_str()),
        LocalResponse::PrefetchRefused => "503 no prefetch".into(),
        LocalResponse::Hook(answer) => format!("{} hook", answer.status),
        LocalResponse::HealthCheck(health) => format!("{health:?}"),
        LocalResponse::PreservedPost(page) => describe_preserved_post(page),
        LocalResponse::Asset(name) => format!("asset {name}"),
        LocalResponse::AssertionKeys => "keys".into(),
        LocalResponse::Json(body) => {
            let body = serde_json::to_string(body).unwrap();
            format!("200 {}", body.replace('"', ""))
        }
        LocalResponse::NoContent => "204".into(),
        LocalResponse::Preflight(Preflight { methods, headers }) => {
            format!("204 may {methods} with {headers}")
        }
    }
}

fn describe_problem(problem: &Problem) -> String {
    // `/api/user` and the SDKs' endpoints have statuses of their own for a missing login.
    let (status, usual) = (problem.status, problem.reason.status());
    assert!(status == usual || [(404, 401), (400, 401), (404, 200)].contains(&(status, usual)));
    let next_step = problem.next_step.as_ref();
    let switch_user = problem.switch_user.as_ref();
    format!(
        "{status}{}{}{}{}{}{}",
        optional("retry ", problem.retry_after),
        optional("allow ", problem.allow),
        optional("for ", problem.change_reason.as_ref()),
        optional("then ", next_step.map(|next| next.challenge.expose())),
        describe_violations(&problem.violations),
        optional("signed in as ", switch_user.map(|user| &user.signed_in_as))
    )
}

fn describe_login_page(page: &LoginPage) -> String {
    let login_id = (!page.login_id.is_empty()).then_some(&page.login_id);
    format!(
        "{} form{}{}{}{}{}{}",
        page.status,
        optional("", login_id),
        optional("", page.remember.then_some("remember")),
        optional("to ", page.return_to.as_ref()),
        optional("retry ", page.retry_after),
        optional("with ", page.preserved_post.as_ref()),
        optional(
            "",
            page.lost_post.map(|lost| match lost {
                LostPost::TooLarge => "lost as too large",
                LostPost::HasFiles => "lost with files",
                LostPost::OtherForm => "lost as of another kind",
            })
        )
    )
}

fn describe_step_page(page: &StepPage) -> String {
    format!(
        "{} {} form {} of {}{}{}{}{}{}",
        page.status,
        page.next_step.step,
        page.next_step.challenge.expose(),
        page.login_id,
        optional("", page.error.is_some().then_some("again")),
        optional("", page.trust_device.then_some("trust")),
        optional("sent by ", page.code_sent_by),
        describe_violations(&page.violations),
        optional("retry ", page.retry_after)
    )
}

fn describe_preserved_post(page: &PreservedPostPage) -> String {
    match &page.resubmission {
        Resubmission::Allowed(path) => {
            format!("200 send to {path} or go to {}", page.continue_to)
        }
        Resubmission::AlreadyOffered => "200 copy again".into(),
        Resubmission::OtherAuthor => "200 copy of another".into(),
    }
}

fn describe_violations(violations: &[PasswordViolation]) -> String {
    violations
        .iter()
        .flat_map(|violation| [" ", violation.as_str()])
        .collect()
}
