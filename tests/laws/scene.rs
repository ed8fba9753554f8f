//! A request with what would come of every question, and the loop that plays it.

use std::sync::Arc;

use http::Method;
use vestibule::decide::endpoint::StepCall;
use vestibule::decide::{Decision, Facts, Known, Outcome, Question, decide};
use vestibule::model::api_call::TokenDelivery;
use vestibule::model::api_response::ApiResponse;
use vestibule::model::challenge::OpenedChallenge;
use vestibule::model::cookie::{Presented, PresentedCookies};
use vestibule::model::credential::{CredentialKind, PresentedCredential};
use vestibule::model::hosted_backend::{HostedCall, HostedPage};
use vestibule::model::local_response::{CookieChange, LocalResponse};
use vestibule::model::login::Credentials;
use vestibule::model::reason::Reason;
use vestibule::model::request::{BearerTokens, FetchMetadata, RequestView};
use vestibule::model::rule::Access;
use vestibule::model::secret::Secret;
use vestibule::model::site::Site;
use vestibule::model::target::Target;
use vestibule::model::timestamp::Timestamp;
use vestibule::model::token::Principal;

pub const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);

/// Everything that decides about one request.
#[derive(Clone, Debug)]
pub struct Scene {
    pub site: Site,
    pub method: Method,
    pub target: String,
    pub cookies: PresentedCookies<'static>,
    pub bearer: BearerTokens<'static>,
    pub marks: FetchMetadata<'static>,
    /// What comes of every question, should it be asked. No slot is empty.
    pub oracle: Facts,
}

/// The slots of [`Facts`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    Verify,
    LoadSession,
    Renew,
    ReadForm,
    KeepForm,
    ReturnForm,
    ReadBody,
    SignIn,
    ReadStepForm,
    OpenChallenge,
    Continue,
    SendCode,
    CountRound,
    SignOut,
}

/// What came of a scene.
#[derive(Clone, Debug)]
pub struct Played {
    pub asked: Vec<Asked>,
    /// What had been found out in the end.
    pub facts: Facts,
    pub forwarded: Option<Forwarded>,
    pub answer: Option<LocalResponse>,
    pub cookies: Vec<CookieChange>,
    pub reason: Reason,
    pub label: &'static str,
}

/// What a grant says.
#[derive(Clone, Debug)]
pub struct Forwarded {
    pub principal: Option<Arc<Principal>>,
    pub renew_ahead: Option<String>,
}

impl Played {
    /// Whether tokens stand in the answer's body.
    pub fn hands_tokens(&self) -> bool {
        match &self.answer {
            Some(LocalResponse::Json(ApiResponse::Tokens(_))) => true,
            Some(LocalResponse::Json(ApiResponse::SignedIn(signed_in))) => {
                signed_in.tokens.is_some()
            }
            _ => false,
        }
    }
}

impl Scene {
    /// Asks and answers until it is settled. Panics when a question is asked twice.
    pub fn play(&self) -> Played {
        let target = self.target();
        let (cookies, bearer, marks) = (&self.cookies, self.bearer, self.marks);
        let request = RequestView {
            method: &self.method,
            target: &target,
            cookies,
            bearer,
            marks,
        };
        let mut facts = Facts::default();
        let mut asked = Vec::new();
        loop {
            match decide(&request, &self.site, &facts, NOW) {
                Decision::Needs(question) => asked.push(self.answer(&question, &mut facts)),
                Decision::Settled(verdict) => {
                    let label = verdict.label().as_str();
                    let (forwarded, answer) = match verdict.outcome {
                        Outcome::Forward(grant) => {
                            let renew_ahead = grant
                                .renew_ahead()
                                .map(|renewable| renewable.refresh.to_owned());
                            (
                                Some(Forwarded {
                                    principal: grant.principal().cloned(),
                                    renew_ahead,
                                }),
                                None,
                            )
                        }
                        Outcome::Reply(answer) => (None, Some(answer)),
                    };
                    let (cookies, reason) = (verdict.cookies, verdict.reason);
                    return Played {
                        asked,
                        facts,
                        forwarded,
                        answer,
                        cookies,
                        reason,
                        label,
                    };
                }
            }
        }
    }

    fn answer(&self, question: &Question<'_>, facts: &mut Facts) -> Asked {
        match question {
            Question::Verify(token) => {
                assert_eq!(
                    (
                        self.carried().kind == CredentialKind::Session,
                        self.carried().proof
                    ),
                    (false, Some(*token))
                );
                once(&mut facts.token, &self.oracle.token, Asked::Verify)
            }
            Question::LoadSession(id) => {
                assert_eq!(
                    (self.carried().kind, self.carried().proof),
                    (CredentialKind::Session, Some(*id))
                );
                once(&mut facts.session, &self.oracle.session, Asked::LoadSession)
            }
            Question::Renew(renewable) => {
                let PresentedCredential {
                    kind,
                    proof,
                    refresh,
                } = self.carried();
                let session = proof.filter(|_| kind == CredentialKind::Session);
                assert_eq!(
                    (kind, refresh, session),
                    (renewable.kind, Some(renewable.refresh), renewable.session)
                );
                once(&mut facts.renewal, &self.oracle.renewal, Asked::Renew)
            }
            Question::KeepForm {
                target,
                refresh,
                device,
            } => self.keeps(target, (*refresh, *device), facts),
            Question::ReturnForm {
                sealed,
                sub,
                login_id,
            } => self.returns(sealed, (sub, login_id), facts),
            Question::ReadForm(_) => once(&mut facts.form, &self.oracle.form, Asked::ReadForm),
            Question::RenewPosted(token) => {
                assert!(self.site.bearer && posts_token(facts, token));
                once(&mut facts.renewal, &self.oracle.renewal, Asked::Renew)
            }
            Question::ReadBody => once(&mut facts.body, &self.oracle.body, Asked::ReadBody),
            Question::SignIn {
                credentials,
                kind,
                session,
                device,
            } => {
                self.looks_at(credentials, (*kind, [*session, *device]), facts);
                let asked = once(&mut facts.sign_in, &self.oracle.sign_in, Asked::SignIn);
                if let Known::Found(signed_in) = &mut facts.sign_in {
                    signed_in.tokens.kind = *kind;
                }
                asked
            }
            Question::ReadStepForm(_)
            | Question::OpenChallenge { .. }
            | Question::Continue { .. }
            | Question::SendCode { .. } => self.step_on(question, facts),
            Question::CountRound { .. } => {
                once(&mut facts.rounds, &self.oracle.rounds, Asked::CountRound)
            }
            Question::SignOut(carried) => {
                assert_eq!(*carried, self.carried());
                once(&mut facts.sign_out, &self.oracle.sign_out, Asked::SignOut)
            }
            Question::SignOutPosted { access, refresh } => {
                assert!(self.site.bearer && posts_token(facts, refresh));
                assert_eq!(*access, self.bearer.access);
                once(&mut facts.sign_out, &self.oracle.sign_out, Asked::SignOut)
            }
        }
    }

    /// What was written when the session had ended.
    fn keeps(
        &self,
        target: &str,
        (refresh, device): (Option<(CredentialKind, &str)>, Option<&str>),
        facts: &mut Facts,
    ) -> Asked {
        assert_eq!(device, self.cookies.device.value());
        let PresentedCredential {
            kind,
            refresh: carried,
            ..
        } = self.carried();
        assert_eq!(
            (target, refresh),
            (self.target.as_str(), carried.map(|token| (kind, token)))
        );
        once(&mut facts.kept, &self.oracle.kept, Asked::KeepForm)
    }

    /// What was written comes back.
    fn returns(
        &self,
        sealed: &Arc<str>,
        (sub, login_id): (&str, &str),
        facts: &mut Facts,
    ) -> Asked {
        let in_form = matches!(&facts.form, Known::Found(form) if form.preserved_post.as_ref() == Some(sealed));
        let in_step = matches!(&facts.step_form, Known::Found(form) if form.preserved_post.as_ref() == Some(sealed));
        assert!(in_form || in_step);
        let typed = matches!(&facts.form, Known::Found(form) if form.login_id == login_id);
        let chosen = matches!(&facts.challenge, Known::Found(it) if it.challenge.chosen.login_id == login_id);
        assert!(typed || chosen);
        assert!(matches!(&facts.sign_in, Known::Found(new) if new.principal.identity.sub == sub));
        once(
            &mut facts.returned,
            &self.oracle.returned,
            Asked::ReturnForm,
        )
    }

    /// That a sign-in is for what was typed, and for a client that carries what it gets as it said.
    fn looks_at(
        &self,
        typed: &Credentials,
        (kind, known): (CredentialKind, [Option<&str>; 2]),
        facts: &Facts,
    ) {
        let in_cookies = match (&facts.form, &facts.body) {
            (Known::Found(form), _) => {
                assert_eq!(
                    (&typed.login_id, &typed.password),
                    (&form.login_id, &form.password)
                );
                true
            }
            (_, Known::Found(body)) => {
                let call = body.login().expect("a sign-in");
                assert_eq!(
                    (&typed.login_id, &typed.password),
                    (&call.login_id, &call.password)
                );
                call.tokens == TokenDelivery::Cookie
            }
            _ => panic!("a sign-in without a form or body"),
        };
        assert_eq!(
            kind,
            if in_cookies {
                self.site.credential
            } else {
                CredentialKind::Bearer
            }
        );
        let presented = [self.cookies.session.value(), self.cookies.device.value()];
        assert_eq!(known, presented.map(|value| value.filter(|_| in_cookies)));
    }

    /// The questions of the steps that follow a password.
    fn step_on(&self, question: &Question<'_>, facts: &mut Facts) -> Asked {
        match question {
            Question::ReadStepForm(_) => once(
                &mut facts.step_form,
                &self.oracle.step_form,
                Asked::ReadStepForm,
            ),
            Question::OpenChallenge { step, challenge } => {
                assert_eq!(
                    (Some(*step), Some(challenge.clone())),
                    (self.step().map(StepCall::step), posted(facts))
                );
                once(
                    &mut facts.challenge,
                    &self.oracle.challenge,
                    Asked::OpenChallenge,
                )
            }
            Question::Continue {
                opened,
                kind,
                session,
                device,
                ..
            } => {
                let in_cookies = self.holds(opened, facts);
                assert_eq!(
                    *kind,
                    if in_cookies {
                        self.site.credential
                    } else {
                        CredentialKind::Bearer
                    }
                );
                assert_eq!(
                    *session,
                    self.cookies.session.value().filter(|_| in_cookies)
                );
                assert_eq!(*device, self.cookies.device.value().filter(|_| in_cookies));
                let asked = once(&mut facts.sign_in, &self.oracle.sign_in, Asked::Continue);
                if let Known::Found(signed_in) = &mut facts.sign_in {
                    signed_in.tokens.kind = *kind;
                }
                asked
            }
            Question::SendCode { opened, .. } => {
                self.holds(opened, facts);
                once(&mut facts.sent, &self.oracle.sent, Asked::SendCode)
            }
            Question::Verify(_)
            | Question::LoadSession(_)
            | Question::Renew(_)
            | Question::RenewPosted(_)
            | Question::ReadForm(_)
            | Question::KeepForm { .. }
            | Question::ReturnForm { .. }
            | Question::ReadBody
            | Question::SignIn { .. }
            | Question::CountRound { .. }
            | Question::SignOut(_)
            | Question::SignOutPosted { .. } => panic!("no step: {question:?}"),
        }
    }

    /// That the provider hears only of the challenge that was opened and still holds, and of one
    /// whose tokens the client may have as was chosen; whether they go into cookies.
    fn holds(&self, opened: &OpenedChallenge, facts: &Facts) -> bool {
        let Known::Found(found) = &facts.challenge else {
            panic!("no challenge")
        };
        assert!(opened == &**found && NOW < opened.challenge.ends);
        let in_cookies = opened.challenge.chosen.tokens == TokenDelivery::Cookie;
        assert!(in_cookies || self.site.bearer && !self.marks.browser && self.call().is_some());
        in_cookies
    }

    /// Which step after a password is called, by a form or by a program.
    pub fn step(&self) -> Option<StepCall> {
        let paths = &self.site.paths;
        let places = [paths.login.clone(), format!("{}/login", paths.api)];
        let is = |call: &StepCall| {
            places
                .iter()
                .any(|place| self.is(&format!("{place}{}", call.path())))
        };
        StepCall::ALL.into_iter().find(is)
    }

    /// What counts of all that the request carries.
    pub fn carried(&self) -> PresentedCredential<'static> {
        let value = |cookie: &Presented<'static>| match cookie {
            Presented::Single(std::borrow::Cow::Borrowed(value)) => Some(*value),
            Presented::Single(_) | Presented::Duplicate | Presented::Absent => None,
        };
        if self.site.bearer && self.bearer != BearerTokens::default() {
            return PresentedCredential {
                kind: CredentialKind::Bearer,
                proof: self.bearer.access,
                refresh: self.bearer.refresh,
            };
        }
        let kind = self.site.credential;
        let main = if kind == CredentialKind::Session {
            &self.cookies.session
        } else {
            &self.cookies.access
        };
        PresentedCredential {
            kind,
            proof: value(main),
            refresh: value(&self.cookies.refresh),
        }
    }

    pub fn target(&self) -> Target<'_> {
        Target::parse(self.target.as_bytes(), self.site.encoded_slashes).unwrap()
    }

    /// Whether the path is the application's: then what its rule asks for, and of whom.
    pub fn match_rule(&self) -> Option<(Access, Vec<String>)> {
        let target = self.target();
        let own = [
            self.site.paths.login.as_str(),
            &self.site.paths.logout,
            "/.well-known/vestibule/jwks.json",
        ];
        let own = own.map(str::as_bytes).contains(&target.decoded_path())
            || self.call().is_some()
            || self.step().is_some()
            || self.hosted_call().is_some()
            || target.decoded_path().starts_with(b"/_vestibule/");
        let requirement = self.site.match_rule(&self.method, target.decoded_path());
        (!own).then(|| (requirement.access, requirement.roles.to_vec()))
    }

    /// Which of the JSON endpoints is called.
    pub fn call(&self) -> Option<&'static str> {
        CALLS
            .iter()
            .copied()
            .find(|call| self.is(&format!("{}{call}", self.site.paths.api)))
    }

    /// Which endpoint of the hosted backend is called, where the site has one.
    pub fn hosted_call(&self) -> Option<HostedPage> {
        self.site.hosted.as_ref()?;
        HostedCall::read(self.target().decoded_path()).map(|call| call.page)
    }

    pub fn is(&self, path: &str) -> bool {
        self.target().decoded_path() == path.as_bytes()
    }

    /// Whether another site's page made the browser send this, told by the two fields that scripts
    /// cannot forge.
    pub fn is_cross_site(&self) -> bool {
        match (self.marks.origin, self.marks.fetch_site) {
            (Some(origin), _) => !OWN_OR_LISTED.contains(&origin),
            (None, Some(fetch_site)) => !["same-origin", "none"].contains(&fetch_site),
            (None, None) => false,
        }
    }
}

/// The JSON endpoints, behind the site's own name for where they are.
pub const CALLS: &[&str] = &[
    "/user",
    "/login",
    "/login/two-factor",
    "/refresh",
    "/login/two-factor/send",
    "/logout",
    "/login/password",
];

pub const OWN_OR_LISTED: &[&str] = &[
    "https://store.example.com",
    "https://STORE.example.com:443",
    "https://shop.example.com",
    "https://app.example.com",
];

/// Fills a slot, which was empty.
fn once<T: Clone, No: Clone>(slot: &mut Known<T, No>, found: &Known<T, No>, asked: Asked) -> Asked {
    assert!(matches!(slot, Known::NotAsked), "asked twice");
    *slot = found.clone();
    asked
}

/// The challenge that was posted.
fn posted(facts: &Facts) -> Option<Secret> {
    match (&facts.step_form, &facts.body) {
        (Known::Found(fields), _) => Some(fields.challenge.clone()),
        (_, Known::Found(body)) => {
            let code = body.code().map(|call| call.challenge);
            let sent = body.send().map(|call| call.challenge);
            code.or(sent)
                .or(body.new_password().map(|call| call.challenge))
        }
        _ => None,
    }
}

fn posts_token(facts: &Facts, token: &Secret) -> bool {
    let Known::Found(body) = &facts.body else {
        return false;
    };
    body.token().and_then(|call| call.refresh_token).as_ref() == Some(token)
}
