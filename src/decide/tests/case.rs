//! A request with what is known about it, and what follows in one line of words.

use std::sync::Arc;
use std::time::Duration;

use http::Method;
use serde_json::Map;

use crate::decide::facts::FormSize;
use crate::decide::{Decision, Facts, Known, Outcome, Question, Verdict, decide};
use crate::model::api_request::ApiRequestBody;
use crate::model::challenge::StepSubmission;
use crate::model::cookie::{CookieNames, PresentedCookie, PresentedCookies};
use crate::model::credential::{CredentialKind, SealingKeys};
use crate::model::identity::Identity;
use crate::model::identity_headers::IdentityHeaders;
use crate::model::known_device::{DeviceId, KnownDevice, SealedDevice};
use crate::model::local_response::{CookieChange, LocalResponse, Preflight, Resubmission};
use crate::model::login::PasswordViolation;
use crate::model::origin::Origin;
use crate::model::reason::Reason;
use crate::model::request::{BearerTokens, FetchMetadata, RequestView};
use crate::model::return_path::ReturnPath;
use crate::model::rule::{Access, Pattern, Rule, UnauthenticatedAction};
use crate::model::site::{OwnPaths, SessionLifetime, Site, Upstream};
use crate::model::target::{EncodedSlashes, Target};
use crate::model::timestamp::Timestamp;
use crate::model::token::{
    CompletedRefresh, IssuedTokens, Principal, RevocationKey, Session, TokenError,
};

pub(super) const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);

/// One request with the facts known so far.
#[derive(Clone)]
pub(super) struct Case {
    pub(super) site: Site,
    pub(super) method: Method,
    pub(super) target: &'static str,
    pub(super) cookies: PresentedCookies<'static>,
    pub(super) bearer: BearerTokens<'static>,
    pub(super) fetch_metadata: FetchMetadata<'static>,
    pub(super) facts: Facts,
}

/// A person opens a page.
pub(super) fn navigation(target: &'static str) -> Case {
    let marks = FetchMetadata {
        accept: Some("text/html,*/*;q=0.8"),
        fetch_mode: Some("navigate"),
        ..FetchMetadata::default()
    };
    Case {
        fetch_metadata: marks,
        ..request(&Method::GET, target)
    }
}

/// A program that is no browser calls.
pub(super) fn request(method: &Method, target: &'static str) -> Case {
    Case {
        site: store(),
        method: method.clone(),
        target,
        cookies: PresentedCookies::default(),
        bearer: BearerTokens::default(),
        fetch_metadata: FetchMetadata::default(),
        // For the first time.
        facts: Facts {
            redirects: Known::Found(1),
            ..Facts::default()
        },
    }
}

impl Case {
    /// With the access cookie `A`.
    pub(super) fn access(mut self, token: Known<Arc<Principal>, TokenError>) -> Self {
        self.cookies.access = PresentedCookie::Single("A".into());
        self.facts.token = token;
        self
    }

    /// At a site with server-side sessions, with the session cookie `S`.
    pub(super) fn session(mut self, session: Known<Session, TokenError>) -> Self {
        self.site.credential = CredentialKind::Session;
        self.cookies.session = PresentedCookie::Single("S".into());
        self.facts.session = session;
        self
    }

    /// At a site that takes them, with the access token `A` in `Authorization`.
    pub(super) fn bearer(mut self, token: Known<Arc<Principal>, TokenError>) -> Self {
        self.site.bearer = true;
        self.bearer.access = Some("A");
        self.fetch_metadata.has_authorization = true;
        self.facts.token = token;
        self
    }

    /// At a site that takes them, with the refresh token `R` in `Vestibule-Refresh-Token`.
    pub(super) fn bearer_refresh(mut self, renewal: Known<CompletedRefresh, Reason>) -> Self {
        self.site.bearer = true;
        self.bearer.refresh = Some("R");
        self.facts.refresh = renewal;
        self
    }

    /// With this body.
    pub(super) fn body(mut self, body: &str) -> Self {
        self.facts.body = Known::Found(ApiRequestBody::parse(body.as_bytes()).unwrap());
        self
    }

    /// With the refresh cookie `R`.
    pub(super) fn refresh(mut self, renewal: Known<CompletedRefresh, Reason>) -> Self {
        self.cookies.refresh = PresentedCookie::Single("R".into());
        self.facts.refresh = renewal;
        self
    }

    pub(super) fn with_metadata(
        mut self,
        change: impl FnOnce(&mut FetchMetadata<'static>),
    ) -> Self {
        change(&mut self.fetch_metadata);
        self
    }

    /// The answer, where it is one of our own.
    pub(super) fn response(&self) -> Option<LocalResponse> {
        let target = Target::parse(self.target.as_bytes(), EncodedSlashes::Reject).unwrap();
        let (cookies, bearer, marks) = (&self.cookies, self.bearer, self.fetch_metadata);
        let request = RequestView {
            method: &self.method,
            target: &target,
            cookies,
            bearer,
            fetch_metadata: marks,
        };
        match decide(&request, &self.site, &self.facts, NOW) {
            Decision::Settled(Verdict {
                outcome: Outcome::Reply(answer),
                ..
            }) => Some(answer),
            Decision::Settled(_) | Decision::Needs(_) => None,
        }
    }

    /// What follows: `forward REASON …`, `STATUS …`, or `ask …`, then what happens to the cookies.
    pub(super) fn decision(&self) -> String {
        let target = Target::parse(self.target.as_bytes(), EncodedSlashes::Reject).unwrap();
        let (cookies, bearer, marks) = (&self.cookies, self.bearer, self.fetch_metadata);
        let request = RequestView {
            method: &self.method,
            target: &target,
            cookies,
            bearer,
            fetch_metadata: marks,
        };
        match decide(&request, &self.site, &self.facts, NOW) {
            Decision::Needs(question) => format!("ask {}", describe_question(&question)),
            Decision::Settled(verdict) => describe_verdict(&verdict),
        }
    }
}

fn describe_question(question: &Question<'_>) -> String {
    match question {
        Question::Verify(token) => format!("verify {token}"),
        Question::LoadSession(id) => format!("load {id}"),
        Question::Refresh(renewable) => {
            let session = renewable
                .session_id
                .map_or(String::new(), |id| format!(" for {id}"));
            format!("renew {}{session}", renewable.refresh)
        }
        Question::RefreshFromBody(token) => format!("renew posted {}", token.expose()),
        Question::ReadLoginForm(FormSize::Plain) => "form".into(),
        Question::ReadLoginForm(FormSize::WithPreservedPost) => "large form".into(),
        Question::PreservePost {
            target,
            refresh,
            device: _,
        } => {
            format!(
                "keep for {target} {}",
                refresh.map_or("-", |(_, token)| token)
            )
        }
        Question::RestorePost {
            sealed,
            sub,
            login_id,
        } => format!("return {sealed} to {sub} as {login_id}"),
        Question::ReadBody => "body".into(),
        Question::Login {
            credentials,
            kind,
            session,
            device,
        } => {
            let session = session.map_or(String::new(), |id| format!(" for {id}"));
            let device = device.map_or(String::new(), |device| format!(" on {device}"));
            let kind = if *kind == CredentialKind::Jwt {
                ""
            } else {
                kind.as_str()
            };
            format!(
                "sign-in {kind} {} remember={}{session}{device}",
                credentials.login_id, credentials.remember
            )
            .replace("  ", " ")
        }
        Question::ReadStepForm(_) => "step form".into(),
        Question::OpenChallenge { step, challenge } => {
            format!("open {step} {}", challenge.expose())
        }
        Question::ContinueLogin {
            opened,
            submission: answer,
            kind,
            session,
            device,
        } => {
            let session = session.map_or(String::new(), |id| format!(" for {id}"));
            let device = device.map_or(String::new(), |device| format!(" on {device}"));
            let kind = if *kind == CredentialKind::Jwt {
                ""
            } else {
                kind.as_str()
            };
            let answer = match answer {
                StepSubmission::Code {
                    code,
                    trust_device: trust,
                } => {
                    format!("code {:?} trust={trust}", code.expose())
                }
                StepSubmission::Password(password) => format!("password {:?}", password.expose()),
            };
            format!(
                "continue {kind} {} {answer}{session}{device}",
                opened.challenge.id
            )
            .replace("  ", " ")
        }
        Question::SendCode { opened, choice } => {
            format!("send {} {}", opened.challenge.id, choice.expose())
        }
        Question::CountRedirect {
            identity: by,
            target,
        } => format!("rounds of {by:?} at {target}"),
        Question::Logout(carried) => {
            format!(
                "sign-out {} {}",
                carried.token.unwrap_or("-"),
                carried.refresh.unwrap_or("-")
            )
        }
        Question::LogoutFromBody { access, refresh } => {
            format!(
                "sign-out posted {} {}",
                access.unwrap_or("-"),
                refresh.expose()
            )
        }
    }
}

fn describe_verdict(verdict: &Verdict<'_>) -> String {
    let told = match &verdict.outcome {
        Outcome::Forward(grant) => {
            let name = grant.principal().map_or(String::new(), |principal| {
                format!(" as {}", principal.identity.sub)
            });
            let ahead = grant.early_refresh().map_or(String::new(), |renewable| {
                format!(" ahead {}", renewable.refresh)
            });
            format!("forward {}{name}{ahead}", verdict.reason.as_str())
        }
        Outcome::Reply(answer) => {
            format!("{} {}", describe_response(answer), verdict.reason.as_str())
        }
    };
    let cookies = verdict.cookies.iter().map(|change| match change {
        CookieChange::SetTokens(tokens) => format!(", set {}", tokens.token),
        CookieChange::ClearCredentials => ", clear".into(),
        CookieChange::ClearRefresh => ", clear refresh".into(),
        CookieChange::SetDevice(_) => ", device".into(),
    });
    told + &cookies.collect::<Vec<_>>().concat()
}

fn describe_response(answer: &LocalResponse) -> String {
    match answer {
        LocalResponse::Redirect(to) => {
            let clear = if to.clear_site_data {
                " Clear-Site-Data"
            } else {
                ""
            };
            format!("{} {}{clear}", to.status, to.location)
        }
        LocalResponse::AllowedRedirect {
            to,
            clear_site_data,
        } => {
            let clear = if *clear_site_data {
                " Clear-Site-Data"
            } else {
                ""
            };
            format!("leave for {}{clear}", to.as_str())
        }
        LocalResponse::Problem(problem) => {
            // Asking who is signed in is not refused where nobody is.
            assert!(
                problem.status == problem.reason.status()
                    || [(404, 401), (400, 401)]
                        .contains(&(problem.status, problem.reason.status()))
            );
            let retry = problem
                .retry_after
                .map_or(String::new(), |seconds| format!(" retry {seconds}"));
            let allow = problem
                .allow
                .map_or(String::new(), |methods| format!(" allow {methods}"));
            let why = problem
                .change_reason
                .as_ref()
                .map_or(String::new(), |why| format!(" for {why}"));
            let next = problem.next_step.as_ref().map_or(String::new(), |next| {
                format!(" then {}", next.challenge.expose())
            });
            let rules = rules(&problem.violations);
            format!("{}{retry}{allow}{why}{next}{rules}", problem.status)
        }
        LocalResponse::LoginPage(form) => {
            let name = if form.login_id.is_empty() {
                String::new()
            } else {
                format!(" {}", form.login_id)
            };
            let to = form
                .return_to
                .as_ref()
                .map_or(String::new(), |to| format!(" to {to}"));
            let retry = form
                .retry_after
                .map_or(String::new(), |seconds| format!(" retry {seconds}"));
            let keep = if form.remember { " remember" } else { "" };
            let preserved_post = form
                .preserved_post
                .as_ref()
                .map_or(String::new(), |sealed| format!(" with {sealed}"));
            format!(
                "{} form{name}{keep}{to}{retry}{preserved_post}",
                form.status
            )
        }
        LocalResponse::StepPage(form) => {
            let retry = form
                .retry_after
                .map_or(String::new(), |seconds| format!(" retry {seconds}"));
            let sent = form
                .code_sent_by
                .map_or(String::new(), |way| format!(" sent by {way}"));
            let rules = rules(&form.violations);
            let trust = if form.trust_device { " trust" } else { "" };
            let again = if form.error.is_some() { " again" } else { "" };
            let (step, challenge) = (form.next_step.step, form.next_step.challenge.expose());
            format!(
                "{} {step} form {challenge} of {}{again}{trust}{sent}{rules}{retry}",
                form.status, form.login_id
            )
        }
        LocalResponse::LogoutPage => "200 sign-out page".into(),
        LocalResponse::PreservedPost(page) => match &page.resubmission {
            Resubmission::Allowed(path) => {
                format!("200 send to {path} or go to {}", page.continue_to)
            }
            Resubmission::AlreadyOffered => "200 copy again".into(),
            Resubmission::OtherAuthor => "200 copy of another".into(),
        },
        LocalResponse::ActionRequired(asks) => format!("{} page", asks.status),
        LocalResponse::Asset(name) => format!("asset {name}"),
        LocalResponse::AssertionKeys => "keys".into(),
        LocalResponse::Json(answer) => format!(
            "200 {}",
            serde_json::to_string(answer).unwrap().replace('"', "")
        ),
        LocalResponse::NoContent => "204".into(),
        LocalResponse::Preflight(Preflight { methods, headers }) => {
            format!("204 may {methods} with {headers}")
        }
    }
}

fn rules(broken: &[PasswordViolation]) -> String {
    broken
        .iter()
        .flat_map(|rule| [" ", rule.as_str()])
        .collect()
}

/// A token that proves somebody with these roles for another ten minutes.
pub(super) fn valid_token(roles: &[&str]) -> Known<Arc<Principal>, TokenError> {
    Known::Found(principal("ann", roles, 600))
}

/// A session of a shopper whose token has `left` seconds to go.
pub(super) fn live_session(left: u64) -> Known<Session, TokenError> {
    Known::Found(Session {
        principal: principal("ann", &[], left),
        access: None,
    })
}

/// A renewal that brought a token which proves somebody with these roles.
pub(super) fn refreshed(roles: &[&str]) -> Known<CompletedRefresh, Reason> {
    let kind = CredentialKind::Jwt;
    let tokens = IssuedTokens {
        kind,
        token: "A2".into(),
        refresh: Some("R2".into()),
        remember: true,
    };
    Known::Found(CompletedRefresh {
        tokens,
        principal: principal("ann", roles, 600),
        access: "A2".into(),
    })
}

/// Whose token was issued ten minutes ago and has `left` seconds to go.
pub(super) fn sealed_device() -> SealedDevice {
    KnownDevice::new(DeviceId([1; 16]))
        .seal(&SealingKeys::new(&[[1; 32]]).unwrap(), "store", [1; 12])
        .unwrap()
}

pub(super) fn principal(sub: &str, roles: &[&str], left: u64) -> Arc<Principal> {
    let identity = Identity {
        sub: sub.into(),
        email: None,
        email_verified: false,
        username: None,
        roles: roles.iter().map(|role| (*role).to_owned()).collect(),
        claims: Map::new(),
    };
    Arc::new(Principal {
        identity,
        issued_at: Timestamp::from_secs(NOW.secs() - 600),
        expires_at: Timestamp::from_secs(NOW.secs() + left),
        revocation_key: RevocationKey("sid".into()),
        identity_headers: Vec::new(),
    })
}

fn rule(pattern: &str, access: Access, roles: &[&str]) -> Rule {
    Rule {
        pattern: Pattern::parse(pattern).unwrap(),
        methods: Vec::new(),
        access,
        roles: roles.iter().map(|role| (*role).to_owned()).collect(),
        unauthenticated: UnauthenticatedAction::Auto,
    }
}

/// `/public`, `/maybe`, `/mine` ask for what their names say, `/staff` for one of two roles,
/// everything else for a sign-in.
pub(super) fn store() -> Site {
    Site {
        name: "store".into(),
        origin: Origin::parse("https://store.example.com").unwrap(),
        aliases: Vec::new(),
        provider: "main".into(),
        application_id: "store-app".into(),
        upstreams: vec![Upstream::Http {
            host: "127.0.0.1".into(),
            port: 9,
        }],
        upstream_host: None,
        health: None,
        credential: CredentialKind::Jwt,
        session_lifetime: SessionLifetime {
            idle: Duration::from_secs(1800),
            absolute: Duration::from_secs(43_200),
        },
        bearer: false,
        landing: ReturnPath::parse("/landing").unwrap(),
        after_logout: ReturnPath::parse("/bye").unwrap(),
        default_access: Access::Required,
        allowed_origins: vec![Origin::parse("https://app.example.com").unwrap()],
        hosted_backend: None,
        encoded_slashes: EncodedSlashes::Reject,
        paths: OwnPaths::default(),
        cookies: CookieNames::defaults(true),
        cookie_max_age: Duration::from_secs(3600),
        identity_headers: IdentityHeaders::x_auth(),
        assertion: true,
        forward_token: false,
        refresh_ahead: Duration::from_secs(60),
        theme: Box::default(),
        rules: vec![
            rule("/public/*", Access::Public, &[]),
            rule("/maybe/*", Access::Optional, &[]),
            rule("/staff/*", Access::Required, &["admin", "editor"]),
            Rule {
                methods: vec![Method::GET],
                ..rule("/mixed", Access::Public, &[])
            },
            rule("/mixed", Access::Required, &["admin"]),
            Rule {
                unauthenticated: UnauthenticatedAction::Redirect,
                ..rule("/page", Access::Required, &[])
            },
            Rule {
                unauthenticated: UnauthenticatedAction::Status,
                ..rule("/data", Access::Required, &[])
            },
        ],
    }
}
