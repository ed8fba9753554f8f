//! One request with the facts that are known about it: the builder for the tests of `decide`.

use std::sync::Arc;

use http::Method;

use super::describe::describe;
use super::fixtures::{NOW, store};
use crate::decide::{Decision, Facts, Known, Outcome, decide};
use crate::model::api_request::ApiRequestBody;
use crate::model::authorization::BasicCredentials;
use crate::model::credential::CredentialKind;
use crate::model::local_response::LocalResponse;
use crate::model::login::LoginRefused;
use crate::model::reason::Reason;
use crate::model::request::{BearerTokens, FetchMetadata, RequestView};
use crate::model::request_cookies::{PresentedCookie, PresentedCookies};
use crate::model::rule::RuleClient;
use crate::model::site::Site;
use crate::model::target::{EncodedSlashes, Target};
use crate::model::token::{BasicLogin, CompletedRefresh, Principal, Session, TokenError};

/// One request with the facts that are known about it.
#[derive(Clone)]
pub(super) struct Case {
    pub(super) site: Site,
    pub(super) method: Method,
    pub(super) target: &'static str,
    pub(super) cookies: PresentedCookies<'static>,
    pub(super) bearer: BearerTokens<'static>,
    pub(super) basic: Option<BasicCredentials<'static>>,
    pub(super) fetch_metadata: FetchMetadata<'static>,
    pub(super) facts: Facts,
}

/// A person opens a page in a browser.
pub(super) fn navigation(target: &'static str) -> Case {
    let fetch_metadata = FetchMetadata {
        accept: Some("text/html,*/*;q=0.8"),
        fetch_mode: Some("navigate"),
        ..FetchMetadata::default()
    };
    Case {
        fetch_metadata,
        ..request(&Method::GET, target)
    }
}

/// A client that is not a browser sends a request.
pub(super) fn request(method: &Method, target: &'static str) -> Case {
    Case {
        site: store(),
        method: method.clone(),
        target,
        cookies: PresentedCookies::default(),
        bearer: BearerTokens::default(),
        basic: None,
        fetch_metadata: FetchMetadata::default(),
        // The first redirect, which is no loop.
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

    /// At a site that takes bearer tokens, with the access token `A` in `Authorization`.
    pub(super) fn bearer(mut self, token: Known<Arc<Principal>, TokenError>) -> Self {
        self.site.bearer = true;
        self.bearer.access = Some("A");
        self.fetch_metadata.has_authorization = true;
        self.facts.token = token;
        self
    }

    /// At a site that takes bearer tokens, with the refresh token `R` in `Vestibule-Refresh-Token`.
    pub(super) fn bearer_refresh(mut self, refresh: Known<CompletedRefresh, Reason>) -> Self {
        self.site.bearer = true;
        self.bearer.refresh = Some("R");
        self.facts.refresh = refresh;
        self
    }

    /// At a site that takes Basic credentials, with some.
    pub(super) fn basic(mut self, login: Known<BasicLogin, Box<LoginRefused>>) -> Self {
        self.site.basic = true;
        self.basic = BasicCredentials::parse("Basic YW5uOnNlY3JldA==");
        self.fetch_metadata.has_authorization = true;
        self.facts.basic = login;
        self
    }

    /// With this JSON body.
    pub(super) fn body(mut self, body: &str) -> Self {
        self.facts.body = Known::Found(ApiRequestBody::parse(body.as_bytes()).unwrap());
        self
    }

    /// With the refresh cookie `R`.
    pub(super) fn refresh(mut self, refresh: Known<CompletedRefresh, Reason>) -> Self {
        self.cookies.refresh = PresentedCookie::Single("R".into());
        self.facts.refresh = refresh;
        self
    }

    /// With these changes to the fields that tell where the request comes from.
    pub(super) fn with_metadata(
        mut self,
        change: impl FnOnce(&mut FetchMetadata<'static>),
    ) -> Self {
        change(&mut self.fetch_metadata);
        self
    }

    /// The gateway's response, where the gateway answers.
    pub(super) fn response(&self) -> Option<LocalResponse> {
        self.decide(|decision| match decision {
            Decision::Needs(_) => None,
            Decision::Settled(verdict) => match verdict.outcome {
                Outcome::Forward(_) => None,
                Outcome::Reply(response) => Some(response),
            },
        })
    }

    /// Whether the request is forwarded without its `Authorization`.
    pub(super) fn used_authorization(&self) -> bool {
        self.decide(|decision| match decision {
            Decision::Needs(_) => false,
            Decision::Settled(verdict) => match verdict.outcome {
                Outcome::Forward(grant) => grant.used_authorization(),
                Outcome::Reply(_) => false,
            },
        })
    }

    /// The decision in words, see [`describe`].
    pub(super) fn decision(&self) -> String {
        self.decide(|decision| describe(&decision))
    }

    fn decide<T>(&self, then: impl FnOnce(Decision<'_>) -> T) -> T {
        let target = Target::parse(self.target.as_bytes(), EncodedSlashes::Reject).unwrap();
        let request = RequestView {
            method: &self.method,
            target: &target,
            cookies: &self.cookies,
            client: RuleClient::default(),
            bearer: self.bearer,
            basic: self.basic,
            fetch_metadata: self.fetch_metadata,
        };
        then(decide(&request, &self.site, &self.facts, NOW))
    }
}
