//! Reason codes: the closed list of causes (`docs/reference/reasons.md`).
//!
//! One cause has one code, the same in problem documents, logs, metrics and `explain`. Adding a
//! code is a documented change; a code is never renamed.

use super::outcome_label::OutcomeLabel;

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident = $word:literal, $status:literal, $title:literal;)+) => {
        /// Why a request had its outcome.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Reason { $($(#[$doc])* $name,)+ }

        impl Reason {
            /// All reasons, in the order of the reference.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// The reason code for clients, logs and metrics.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $word,)+ }
            }

            /// A short sentence for people: the `title` of a problem document (RFC 9457, section
            /// 3.1.4).
            #[must_use]
            pub const fn title(self) -> &'static str {
                match self { $(Self::$name => $title,)+ }
            }

            /// The default status code of a response for this reason. `request_too_large` is 413,
            /// 414 or 431, depending on what is too large.
            #[must_use]
            pub const fn status(self) -> u16 {
                match self { $(Self::$name => $status,)+ }
            }
        }
    };
}

reasons! {
    /// The rule is public: credentials were not checked.
    Public = "public", 200, "Public page";
    /// The rule is optional and nobody is logged in.
    Anonymous = "anonymous", 200, "Not signed in";
    /// The access token or the session is valid.
    SignedIn = "signed_in", 200, "Signed in";
    /// The request has a valid service token.
    ServiceToken = "service_token", 200, "Service token";
    /// The access token was expired or missing, and was refreshed on this request.
    Renewed = "renewed", 200, "Session renewed";
    /// The access token was about to expire, and was refreshed beside the upstream call.
    EarlyRefresh = "renewed_ahead", 200, "Session renewed ahead of time";
    /// The access token was invalid, and the refresh token gave a new one. Where this is frequent,
    /// somebody may be using stolen refresh tokens.
    RenewedFromInvalid = "renewed_from_invalid", 200, "Session renewed from an invalid token";
    /// One of the gateway's own endpoints answered.
    OwnEndpoint = "own_endpoint", 200, "Answered by the gateway";
    /// The account exists but is not registered for this application.
    NotRegistered = "not_registered", 403, "This account is not registered here";
    /// The provider asks for a new password first.
    PasswordChangeRequired = "password_change_required", 401, "A new password is required";
    /// The e-mail address is not verified yet.
    EmailUnverified = "email_unverified", 403, "The e-mail address is not verified yet";
    /// The registration is not verified yet.
    RegistrationUnverified = "registration_unverified", 403, "The registration is not verified yet";
    /// The provider asks for a second factor.
    TwoFactorRequired = "two_factor_required", 401, "A second step is required";
    /// The account is unknown or the password is wrong. Which of the two is not revealed.
    InvalidCredentials = "invalid_credentials", 401, "The sign-in name or the password is not right";
    /// An action at the provider prevents the login.
    LoginPrevented = "login_prevented", 403, "This account may not sign in at the moment";
    /// The account has expired (revealed only with `reveal_account_state`).
    AccountExpired = "account_expired", 403, "This account has expired";
    /// The account is locked (revealed only with `reveal_account_state`).
    AccountLocked = "account_locked", 403, "This account is locked";
    /// The second factor's code is wrong. The challenge stays usable.
    WrongCode = "wrong_code", 401, "The code is not right";
    /// The challenge has expired or was used.
    ChallengeExpired = "challenge_expired", 401, "This step has expired";
    /// The form or body is invalid.
    RejectedInput = "rejected_input", 400, "The input was not accepted";
    /// The provider did not log the user in, or its answer belongs to no login of this browser.
    SignInFailed = "sign_in_failed", 403, "The sign-in was not completed";
    /// Users of this site log in at the provider, to which the browser is redirected.
    SignInRedirects = "sign_in_redirects", 409, "Sign in at the identity provider";
    /// Nobody is logged in, and the page requires a login.
    SignedOut = "signed_out", 401, "Sign in to continue";
    /// The site has no such service token.
    ServiceTokenInvalid = "service_token_invalid", 401, "The service token is not valid";
    /// The service token has expired.
    ServiceTokenExpired = "service_token_expired", 401, "The service token has expired";
    /// The user has none of the roles that the page requires.
    RoleMissing = "role_missing", 403, "You have no access to this page";
    /// A write or a form that a page of another site sent.
    CrossSiteRequest = "cross_site_request", 403, "This request came from another site";
    /// A browser would get tokens in a body or header.
    BrowserTokensRefused = "browser_tokens_refused", 403, "Tokens are not handed to browsers";
    /// The CSRF token does not match the form cookie.
    CsrfFailed = "csrf_failed", 403, "The form was out of date";
    /// The user was redirected to or from the login page three times, faster than a person clicks.
    RedirectLoop = "redirect_loop", 403, "Signing in goes round in circles";
    /// Too many attempts, by account or by client address.
    Throttled = "throttled", 429, "Too many attempts";
    /// The request is not well-formed HTTP, its target is ambiguous, or it expects what the gateway
    /// cannot do (`417`).
    MalformedRequest = "malformed_request", 400, "The request is malformed";
    /// The target, the headers or the body are too large.
    RequestTooLarge = "request_too_large", 413, "The request is too large";
    /// No site has the host of the request.
    UnknownSite = "unknown_site", 421, "No such site here";
    /// The endpoint does not take the method.
    MethodNotAllowed = "method_not_allowed", 405, "This method is not allowed here";
    /// The body is of a media type that the endpoint does not take.
    UnsupportedMediaType = "unsupported_media_type", 415, "This kind of body is not taken here";
    /// The message of an identity provider is not signed, was received before, or is not as its
    /// kind demands.
    HookRefused = "hook_refused", 400, "The message was not accepted";
    /// The site does not return tokens in bodies.
    BearerNotEnabled = "bearer_not_enabled", 403, "This site does not hand out tokens";
    /// The token was revoked, by a logout or at the provider. For logs and metrics: clients get
    /// `signed_out`.
    Revoked = "revoked", 401, "Sign in to continue";
    /// The identity provider does not answer.
    ProviderUnavailable = "provider_unavailable", 503, "Signing in is unavailable for the moment";
    /// The identity provider refuses the gateway itself, or its response cannot be used.
    ProviderMisconfigured = "provider_misconfigured", 500, "Signing in is not set up correctly";
    /// The session store does not answer.
    StoreUnavailable = "store_unavailable", 503, "Sessions are unavailable for the moment";
    /// No upstream can be reached.
    UpstreamUnavailable = "upstream_unavailable", 502, "The application cannot be reached";
    /// The upstream did not answer in time.
    UpstreamTimeout = "upstream_timeout", 504, "The application took too long to answer";
    /// The tokens do not fit into cookies.
    TokensTooLarge = "tokens_too_large", 500, "The sign-in data is too large";
    /// An error of the gateway itself.
    Internal = "internal", 500, "Something went wrong";
}

impl Reason {
    /// The reason as clients see it: whether a token was revoked or is missing is not revealed.
    #[must_use]
    pub const fn for_client(self) -> Self {
        if matches!(self, Self::Revoked) {
            Self::SignedOut
        } else {
            self
        }
    }

    /// Whether this is the result of a login attempt, for whoever made it
    /// (`docs/reference/endpoints.md#fusionauth-responses`).
    #[must_use]
    pub const fn is_login_result(self) -> bool {
        matches!(
            self,
            Self::NotRegistered
                | Self::PasswordChangeRequired
                | Self::EmailUnverified
                | Self::RegistrationUnverified
                | Self::TwoFactorRequired
                | Self::InvalidCredentials
                | Self::LoginPrevented
                | Self::AccountExpired
                | Self::AccountLocked
                | Self::WrongCode
                | Self::ChallengeExpired
                | Self::RejectedInput
                | Self::SignInFailed
        )
    }

    /// The outcome that requests with this reason have as a rule.
    #[must_use]
    pub const fn usual_outcome(self) -> OutcomeLabel {
        if matches!(
            self,
            Self::Public
                | Self::Anonymous
                | Self::SignedIn
                | Self::ServiceToken
                | Self::Renewed
                | Self::EarlyRefresh
                | Self::RenewedFromInvalid
        ) {
            OutcomeLabel::Forwarded
        } else if self.is_failure() {
            OutcomeLabel::Failed
        } else if matches!(self, Self::OwnEndpoint) || self.is_login_result() {
            OutcomeLabel::Answered
        } else {
            OutcomeLabel::Refused
        }
    }

    /// Whether the gateway or something behind it failed, as opposed to a refused request.
    #[must_use]
    pub const fn is_failure(self) -> bool {
        matches!(
            self,
            Self::ProviderUnavailable
                | Self::ProviderMisconfigured
                | Self::StoreUnavailable
                | Self::UpstreamUnavailable
                | Self::UpstreamTimeout
                | Self::TokensTooLarge
                | Self::Internal
        )
    }
}
