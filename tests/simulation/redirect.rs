//! Sign-ins at the provider's own pages: a tab begins one at a gateway, and the provider sends it
//! back with a code.

use std::sync::Arc;
use std::time::Duration;

use http::Method;
use tokio::time::sleep;

use vestibule::model::cookie_change::CookieChange;
use vestibule::model::redirect_login::CALLBACK;

use super::configuration::ORIGIN;
use super::request::{ClientRequest, ClientResponse};
use super::rules;
use super::schedule::{FinishLogin, Return};
use super::visitor::Credentials;
use super::world::World;

/// How long a visitor takes at the provider's page.
const TYPES: Duration = Duration::from_millis(100);

/// A tab at the provider's page.
#[derive(Clone, Debug)]
pub struct Tab {
    /// The authorization request.
    address: String,
    /// The query of the callback, once the provider has answered.
    answer: Option<String>,
    /// The cookies that the browser had when it was sent to the callback first.
    cookies: Option<Credentials>,
}

impl World {
    /// A visitor signs in from beginning to end at one gateway.
    pub(super) async fn sign_in_by_redirect(self: &Arc<Self>, number: usize, gateway: usize) {
        let Some(tab) = self.begin(number, gateway).await else {
            return;
        };
        sleep(TYPES).await;
        let Some(query) = self.provider.authorize(number, &tab.address) else {
            return;
        };
        let held = self.held(number);
        if let Some(response) = self.come_back(number, gateway, &held, &query).await {
            self.take(number, &response);
        }
    }

    /// A tab of a visitor begins a sign-in.
    pub(super) async fn begin_login(self: &Arc<Self>, number: usize, gateway: usize) {
        let number = number % self.visitors.len();
        if let Some(tab) = self.begin(number, gateway).await {
            self.visitor(number).tabs.push(tab);
        }
    }

    /// Opens the login page. `None` where that does not lead to the provider.
    async fn begin(self: &Arc<Self>, number: usize, gateway: usize) -> Option<Tab> {
        let held = self.held(number);
        let request = navigation(&held, "/login".to_owned());
        let presented = self.presented(number, &held);
        let response = self.ask(presented, gateway, &request).await?;
        self.take(number, &response);
        Some(Tab {
            address: response.address?,
            answer: None,
            cookies: None,
        })
    }

    /// The provider sends a tab back.
    pub(super) async fn finish_login(self: &Arc<Self>, finish: FinishLogin) {
        let number = finish.visitor % self.visitors.len();
        let Some((at, mut tab)) = self.tab(number, finish.tab) else {
            return;
        };
        let query = match tab.answer.clone() {
            Some(query) => query,
            None => match self.provider_answer(number, &tab, finish.how) {
                Some(query) => query,
                None => return,
            },
        };
        let held = self.held(number);
        tab.answer = Some(query.clone());
        tab.cookies.get_or_insert_with(|| held.clone());
        let keeps = match finish.how {
            Return::Plain | Return::Denied | Return::ForeignCode | Return::Twice => false,
            Return::Again | Return::LoseAnswer | Return::WithoutCookies => true,
        };
        self.put_back(number, at, keeps.then(|| tab.clone()));
        let gateway = finish.gateway;
        match finish.how {
            Return::Plain | Return::Denied | Return::ForeignCode => {
                self.return_and_take(number, gateway, &held, &query).await;
            }
            Return::Twice => {
                tokio::join!(
                    self.return_and_take(number, gateway, &held, &query),
                    self.return_and_take(number, gateway + 1, &held, &query),
                );
            }
            Return::Again => {
                self.return_and_take(number, gateway, &held, &query).await;
                // The Back button: the cookie of the sign-in is gone, or, in a restored browser,
                // there again.
                let mut with = self.held(number);
                self.return_and_take(number, gateway + 1, &with, &query)
                    .await;
                with = self.held(number);
                with.add_logins(tab.cookies.as_ref().unwrap_or(&held));
                self.return_and_take(number, gateway, &with, &query).await;
            }
            Return::LoseAnswer => {
                self.come_back(number, gateway, &held, &query).await;
            }
            Return::WithoutCookies => self.open_elsewhere(number, gateway, &query).await,
        }
    }

    /// Somebody else's browser opens the address of a callback.
    async fn open_elsewhere(self: &Arc<Self>, number: usize, gateway: usize, query: &str) {
        let nobody = Credentials::new(false);
        let Some(response) = self.come_back(number, gateway, &nobody, query).await else {
            return;
        };
        let signs_in = |change: &CookieChange| matches!(change, CookieChange::SetTokens(_));
        if response.changes.iter().any(signs_in) {
            let what = format!("a browser without the cookie is signed in as visitor {number}");
            self.trace.violate(rules::OWN_IDENTITY, what);
        }
    }

    /// What the provider answers when the visitor of this tab has typed a password.
    fn provider_answer(&self, number: usize, tab: &Tab, how: Return) -> Option<String> {
        let own = self.provider.authorize(number, &tab.address)?;
        let state = own.split('&').find(|part| part.starts_with("state="))?;
        match how {
            Return::Denied => Some(format!("error=access_denied&{state}")),
            Return::ForeignCode => {
                let another = number + 1;
                let code = self
                    .provider
                    .foreign_code(another, &format!("{ORIGIN}{CALLBACK}"))?;
                let issuer = own.split('&').find(|part| part.starts_with("iss="))?;
                Some(format!("code={code}&{state}&{issuer}"))
            }
            Return::Plain
            | Return::Twice
            | Return::Again
            | Return::LoseAnswer
            | Return::WithoutCookies => Some(own),
        }
    }

    async fn return_and_take(
        self: &Arc<Self>,
        number: usize,
        gateway: usize,
        held: &Credentials,
        query: &str,
    ) {
        if let Some(response) = self.come_back(number, gateway, held, query).await {
            self.take(number, &response);
        }
    }

    /// A browser with these cookies opens the callback.
    async fn come_back(
        self: &Arc<Self>,
        number: usize,
        gateway: usize,
        held: &Credentials,
        query: &str,
    ) -> Option<ClientResponse> {
        let request = navigation(held, format!("{CALLBACK}?{query}"));
        let mut presented = self.presented(number, held);
        // What it gets may be of another sign-in than what it has.
        presented.grant = None;
        self.ask(presented, gateway, &request).await
    }

    fn take(&self, number: usize, response: &ClientResponse) {
        let mut visitor = self.visitor(number);
        visitor.held.take(response, self.time.elapsed());
        let grant = self.grant_of(&visitor.held);
        visitor.held.grant = grant.or(visitor.held.grant);
    }

    /// Takes a tab out, counted around.
    fn tab(&self, number: usize, which: usize) -> Option<(usize, Tab)> {
        let tabs = &mut self.visitor(number).tabs;
        let at = which.checked_rem(tabs.len())?;
        Some((at, tabs.remove(at)))
    }

    fn put_back(&self, number: usize, at: usize, tab: Option<Tab>) {
        let tabs = &mut self.visitor(number).tabs;
        if let Some(tab) = tab {
            let at = at.min(tabs.len());
            tabs.insert(at, tab);
        }
    }

    /// Checks that a visitor can sign in, now that all trouble is over.
    pub(super) async fn check_sign_in(self: &Arc<Self>, number: usize) {
        if self.provider.is_unregistered(number) || self.provider.oidc().is_none() {
            return;
        }
        let mut held = self.held(number);
        held.forget();
        self.visitor(number).held = held;
        for at in 0..5 {
            self.sign_in_by_redirect(number, number + at).await;
            let held = self.held(number);
            if !held.is_empty() {
                let presented = self.presented(number, &held);
                let request = held.request(Method::GET, "/page");
                let response = self.ask(presented, number, &request).await;
                if response.is_some_and(|response| response.principal.is_some()) {
                    return;
                }
            }
            sleep(Duration::from_secs(20)).await;
        }
        let what = format!("visitor {number} cannot sign in though all trouble is over");
        self.trace.violate(rules::RECOVERS, what);
    }
}

/// A tab goes to this address.
fn navigation(held: &Credentials, path: String) -> ClientRequest {
    let mut request = held.request(Method::GET, path);
    request.is_navigation = true;
    request
}
