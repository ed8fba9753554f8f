//! The steps of a sign-in at this server's own page: the password, a code, a new password.
//!
//! The steps and what they check are those of FusionAuth's API. Attempts are limited as at the
//! gateway's own form: for each name, known or not, and for each client address.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use axum::http::StatusCode;

use super::clients::OpenIdSettings;
use super::form_parameters::FormParameters;
use super::sign_in_page::{HiddenField, Page, SendMethod};
use crate::embedded::fusionauth_api::api_error::ApiError;
use crate::embedded::fusionauth_api::blocking::with_database;
use crate::embedded::fusionauth_api::change_password::set_password;
use crate::embedded::fusionauth_api::login::verify_password;
use crate::embedded::fusionauth_api::login_flow::require_active;
use crate::embedded::fusionauth_api::two_factor;
use crate::embedded::server_state::ServerState;
use crate::embedded::users::User;
use crate::model::secret::Secret;
use crate::store::{Reservation, ReserveError, Settlement, ThrottleStore as _};

const WRONG: &str = "The name or the password is wrong.";
const EXPIRED: &str = "This sign-in took too long. Please begin again.";

/// The result of a step.
pub enum StepResult {
    /// The user has authenticated.
    SignedIn(Arc<User>),
    /// A form, with the status of its page. `action`, `csrf` and the like are not filled in.
    Form(StatusCode, Box<Page>),
    /// Too many attempts: the form of the step, and the seconds until the next one is allowed.
    Throttled(u32, Box<Page>),
}

/// A step of a sign-in.
pub struct SignInStep<'a> {
    pub state: &'a Arc<ServerState>,
    pub settings: &'a OpenIdSettings,
    pub address: Option<IpAddr>,
    pub form: &'a FormParameters,
}

/// The attempts that a step counts as.
struct Attempt {
    account: Reservation,
    address: Reservation,
}

/// The form for the name and the password.
pub fn password_form(login_id: &str, notice: Option<&str>) -> Page {
    Page {
        heading: "Sign in",
        notice: notice.map(ToOwned::to_owned),
        alert: notice.is_some(),
        step: Some("password"),
        login_id: login_id.to_owned(),
        ..Page::default()
    }
}

impl SignInStep<'_> {
    /// Takes the step that the form is for.
    ///
    /// # Errors
    /// [`ApiError::Internal`].
    pub async fn take(&self) -> Result<StepResult, ApiError> {
        match self.form.get("step") {
            Some("code") => self.code().await,
            Some("send") => self.send().await,
            Some("new_password") => self.new_password().await,
            Some(_) | None => self.password().await,
        }
    }

    async fn password(&self) -> Result<StepResult, ApiError> {
        let login_id = self.form.get("loginId").unwrap_or_default();
        let password = self.form.get("password").unwrap_or_default();
        if login_id.trim().is_empty() || password.is_empty() {
            let notice = "Please enter your name and your password.";
            let form = password_form(login_id, Some(notice));
            return Ok(StepResult::form(StatusCode::BAD_REQUEST, form));
        }
        let attempt = match self.reserve(login_id).await? {
            Ok(attempt) => attempt,
            Err(wait) => {
                let form = password_form(login_id, Some(&wait_notice(wait)));
                return Ok(StepResult::Throttled(wait, Box::new(form)));
            }
        };
        let verified = verify_password(self.state, login_id, Secret::new(password)).await;
        let user = match verified.and_then(|user| require_active(&user).map(|()| user)) {
            Ok(user) => user,
            Err(error) => {
                let notice = match &error {
                    // The state of an account is not told to everybody who guesses its password.
                    ApiError::NotFound | ApiError::AccountLocked | ApiError::AccountExpired => {
                        WRONG
                    }
                    ApiError::LoginPrevented => "This account cannot sign in at present.",
                    ApiError::InvalidField(..)
                    | ApiError::RejectedPassword(_)
                    | ApiError::MalformedBody
                    | ApiError::Unauthorized
                    | ApiError::WrongCode
                    | ApiError::Internal => {
                        self.settle(attempt, Settlement::Released).await?;
                        return Err(error);
                    }
                };
                let form = password_form(login_id, Some(notice));
                return Ok(StepResult::form(StatusCode::UNAUTHORIZED, form));
            }
        };
        if user.two_factor.is_some() {
            // The name is counted until the code is right too.
            self.settle(attempt, Settlement::Released).await?;
            let challenge = two_factor::begin(self.state, &user, None);
            let form = self.code_form(&user, challenge, None);
            return Ok(StepResult::form(StatusCode::OK, form));
        }
        self.settle(attempt, Settlement::Succeeded).await?;
        self.finish(user).await
    }

    async fn code(&self) -> Result<StepResult, ApiError> {
        let challenge = self.form.get("challenge").unwrap_or_default();
        // Apps show codes in groups.
        let code = self.form.get("code").unwrap_or_default().replace(' ', "");
        let Some(user) = two_factor::user_of(self.state, challenge) else {
            return Ok(StepResult::expired());
        };
        let attempt = match self.reserve(&user.email).await? {
            Ok(attempt) => attempt,
            Err(wait) => {
                let notice = wait_notice(wait);
                let form = self.code_form(&user, challenge.to_owned(), Some(&notice));
                return Ok(StepResult::Throttled(wait, Box::new(form)));
            }
        };
        match two_factor::check_code(self.state, challenge, code).await {
            Ok((user, _)) => {
                self.settle(attempt, Settlement::Succeeded).await?;
                self.finish(user).await
            }
            Err(ApiError::WrongCode) => {
                let notice = "The code is wrong or was used before.";
                let form = self.code_form(&user, challenge.to_owned(), Some(notice));
                Ok(StepResult::form(StatusCode::UNAUTHORIZED, form))
            }
            Err(ApiError::Internal) => {
                self.settle(attempt, Settlement::Released).await?;
                Err(ApiError::Internal)
            }
            Err(_) => Ok(StepResult::expired()),
        }
    }

    async fn send(&self) -> Result<StepResult, ApiError> {
        let challenge = self.form.get("challenge").unwrap_or_default();
        let Some(user) = two_factor::user_of(self.state, challenge) else {
            return Ok(StepResult::expired());
        };
        let method = self.form.get("method").map(ToOwned::to_owned);
        match two_factor::send_code(self.state, challenge, method).await {
            Ok(()) => {
                let mut form = self.code_form(&user, challenge.to_owned(), None);
                form.notice = Some("The code is on its way.".to_owned());
                Ok(StepResult::form(StatusCode::OK, form))
            }
            Err(ApiError::Internal) => Err(ApiError::Internal),
            Err(ApiError::InvalidField(..)) => {
                let notice = "No code can be sent that way.";
                let form = self.code_form(&user, challenge.to_owned(), Some(notice));
                Ok(StepResult::form(StatusCode::BAD_REQUEST, form))
            }
            Err(_) => Ok(StepResult::expired()),
        }
    }

    async fn new_password(&self) -> Result<StepResult, ApiError> {
        let challenge = self.form.get("challenge").unwrap_or_default().to_owned();
        let password = self.form.get("password").map(ToOwned::to_owned);
        match set_password(self.state, challenge.clone(), password, None).await {
            Ok(user) => self.finish(user).await,
            Err(ApiError::RejectedPassword(violations)) => {
                let messages: Vec<String> = violations
                    .iter()
                    .map(|violation| violation.message())
                    .collect();
                let form = new_password_form(challenge, &messages.join(" "), Alert::Yes);
                Ok(StepResult::form(StatusCode::BAD_REQUEST, form))
            }
            Err(ApiError::Internal) => Err(ApiError::Internal),
            Err(_) => Ok(StepResult::expired()),
        }
    }

    /// What is still asked for after the password and the code.
    async fn finish(&self, user: Arc<User>) -> Result<StepResult, ApiError> {
        let account = Arc::clone(&user);
        let current = with_database(self.state, move |state| {
            state.account_changes.current_password(&account)
        })
        .await?;
        if current.change_reason.is_some() {
            let pending = &self.state.pending_password_changes;
            let challenge = pending.insert(user.id.clone(), self.state.clock.now());
            let notice = "You need a new password before you can go on.";
            let form = new_password_form(challenge, notice, Alert::No);
            return Ok(StepResult::form(StatusCode::OK, form));
        }
        if !user.email_verified {
            let notice = "The e-mail address of this account has not been verified yet.";
            let form = password_form(&user.email, Some(notice));
            return Ok(StepResult::form(StatusCode::FORBIDDEN, form));
        }
        Ok(StepResult::SignedIn(user))
    }

    fn code_form(&self, user: &User, challenge: String, notice: Option<&str>) -> Page {
        let methods = two_factor::available_methods(self.state, user);
        Page {
            heading: "Enter your code",
            notice: notice.map(ToOwned::to_owned),
            alert: notice.is_some(),
            step: Some("code"),
            hidden: vec![challenge_field(challenge)],
            methods: methods
                .filter_map(|method| {
                    let address = method.masked()?;
                    Some(SendMethod {
                        id: method.id,
                        address,
                    })
                })
                .collect(),
            ..Page::default()
        }
    }

    /// Counts an attempt before it is made. Gives the seconds to wait where there were too many.
    async fn reserve(&self, login_id: &str) -> Result<Result<Attempt, u32>, ApiError> {
        let openid = &self.state.openid;
        let now = self.state.clock.now();
        let address = self.address.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
        let address_key = openid.throttle_keys.address(address);
        let account_key = openid.throttle_keys.account("", login_id);
        let rate = self.settings.address_limit;
        let address = match openid.throttles.reserve(address_key, rate, now).await {
            Ok(reservation) => reservation,
            Err(error) => return wait(&error),
        };
        let rate = self.settings.account_limit;
        match openid.throttles.reserve(account_key, rate, now).await {
            Ok(account) => Ok(Ok(Attempt { account, address })),
            Err(error) => wait(&error),
        }
    }

    /// Reports the result of an attempt that did not fail. One that is dropped counts as failed.
    async fn settle(&self, attempt: Attempt, how: Settlement) -> Result<(), ApiError> {
        let throttles = &self.state.openid.throttles;
        let account = throttles.settle(attempt.account, how).await;
        let address = throttles
            .settle(attempt.address, Settlement::Released)
            .await;
        account.and(address).map_err(|_| ApiError::Internal)
    }
}

impl StepResult {
    fn form(status: StatusCode, page: Page) -> Self {
        Self::Form(status, Box::new(page))
    }

    fn expired() -> Self {
        let form = password_form("", Some(EXPIRED));
        Self::form(StatusCode::UNAUTHORIZED, form)
    }
}

/// Whether a notice is about a mistake.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Alert {
    Yes,
    No,
}

fn new_password_form(challenge: String, notice: &str, alert: Alert) -> Page {
    Page {
        heading: "Choose a new password",
        notice: Some(notice.to_owned()),
        alert: alert == Alert::Yes,
        step: Some("new_password"),
        hidden: vec![challenge_field(challenge)],
        ..Page::default()
    }
}

fn challenge_field(value: String) -> HiddenField {
    let name = "challenge";
    HiddenField { name, value }
}

fn wait(error: &ReserveError) -> Result<Result<Attempt, u32>, ApiError> {
    match error {
        ReserveError::Throttled(wait) => Ok(Err(wait.0)),
        ReserveError::Store(_) => Err(ApiError::Internal),
    }
}

fn wait_notice(seconds: u32) -> String {
    format!("There were too many attempts. Please try again in {seconds} seconds.")
}
