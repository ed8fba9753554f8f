//! Strategies for facts: everything that may be found out about a request.

use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use proptest::sample::select;
use vestibule::decide::csrf_token::csrf_token;
use vestibule::decide::{Facts, Known, RedirectResult};
use vestibule::model::api_request::{ApiRequestBody, TokenDelivery};
use vestibule::model::challenge::{Challenge, LoginOptions, NextStep, OpenedChallenge};
use vestibule::model::credential::CredentialKind;
use vestibule::model::identity::Identity;
use vestibule::model::login::{LoginForm, LoginRefused};
use vestibule::model::login_step::PendingStep;
use vestibule::model::login_step::{LoginStep, StepForm};
use vestibule::model::preserved_post::{
    FormEncoding, NotPreservedError, PostedForm, PreservedPost, RestoredPost,
};
use vestibule::model::reason::Reason;
use vestibule::model::redirect_login::SealedRedirectLogin;
use vestibule::model::redirect_result::{
    BegunRedirect, FailedRedirect, FinishedRedirect, RedirectRefusal, RefusedRedirect,
};
use vestibule::model::return_path::ReturnPath;
use vestibule::model::secret::Secret;
use vestibule::model::timestamp::Timestamp;
use vestibule::model::token::{
    BasicLogin, CompletedLogin, CompletedRefresh, IssuedTokens, Principal, RevocationKey, Session,
    TokenError,
};

use super::arbitrary_scenario::{FORM_COOKIE, LOGIN_IDS, roles};
use super::scenario::NOW;

fn principal() -> impl Strategy<Value = Arc<Principal>> {
    (roles(), 1_u64..1000, 0_u64..1000)
        .prop_map(|(roles, age, left)| Arc::new(principal_with(&roles, age, left)))
}

/// A user whose access token is `age` seconds old and valid for another `left` seconds.
pub fn principal_with(roles: &[&str], age: u64, left: u64) -> Principal {
    let identity = Identity {
        sub: "u1".into(),
        email: None,
        email_verified: false,
        username: None,
        roles: roles.iter().map(|role| (*role).to_owned()).collect(),
        claims: serde_json::Map::new(),
    };
    Principal {
        identity,
        issued_at: Timestamp::from_secs(NOW.secs() - age),
        expires_at: Timestamp::from_secs(NOW.secs() + left),
        revocation_key: RevocationKey("sid".into()),
        identity_headers: Vec::new(),
    }
}

fn tokens(token: &str, remember: bool) -> IssuedTokens {
    let refresh = Some(format!("{token}, sealed").into());
    IssuedTokens {
        kind: CredentialKind::Jwt,
        token: token.into(),
        refresh,
        remember,
    }
}

/// An answer to every question.
pub fn facts() -> impl Strategy<Value = Facts> {
    let unread = &[
        Reason::RejectedInput,
        Reason::RequestTooLarge,
        Reason::UnsupportedMediaType,
    ][..];
    let forms = (
        known(login_form(), select(unread)),
        known(body(), select(unread)),
    );
    let steps = (
        known(step_form(), select(unread)),
        challenge(),
        known(0_usize..3, refused_code()),
    );
    let posts = (
        known(
            Just("sealed".into()),
            select(vec![
                NotPreservedError::NoForm,
                NotPreservedError::TooLarge,
                NotPreservedError::HasFiles,
                NotPreservedError::OtherForm,
            ]),
        ),
        known(restored_post(), Just(Reason::RejectedInput)),
    );
    let logout = known(Just(None), Just(Reason::SignedOut));
    let redirects = (1_u32..4).prop_map(Known::Found);
    let by_redirect = (begun(), redirect_result());
    let others = (login(), logout, redirects, by_redirect);
    (credentials(), forms, steps, posts, others).prop_map(
        |(credentials, forms, steps, posts, others)| Facts {
            token: credentials.0,
            session: credentials.1,
            refresh: credentials.2,
            basic: credentials.3,
            login_form: forms.0,
            body: forms.1,
            step_form: steps.0,
            challenge: steps.1,
            code_sent: steps.2,
            preserved_post: posts.0,
            restored_post: posts.1,
            login: others.0,
            redirect: others.3.0,
            callback: Some(others.3.1),
            logout: others.1,
            redirects: others.2,
            // No site of these laws takes hooks.
            hook: Known::NotAsked,
        },
    )
}

/// The answers about access token, session, refresh token and Basic credentials.
type CredentialFacts = (
    Known<Arc<Principal>, TokenError>,
    Known<Session, TokenError>,
    Known<CompletedRefresh, Reason>,
    Known<BasicLogin, Box<LoginRefused>>,
);

fn credentials() -> impl Strategy<Value = CredentialFacts> {
    let errors = &[
        TokenError::Expired,
        TokenError::Invalid,
        TokenError::Revoked,
        TokenError::UnknownKey,
    ][..];
    let session = (principal(), proptest::option::of(Just("access-token"))).prop_map(
        |(principal, access)| Session {
            principal,
            access: access.map(Arc::from),
        },
    );
    let refresh = (principal(), any::<bool>()).prop_map(|(principal, remember)| CompletedRefresh {
        tokens: tokens("renewed", remember),
        principal,
        access: "renewed".into(),
    });
    let basic = principal().prop_map(|principal| BasicLogin {
        principal,
        access: "basic".into(),
        reason: Reason::SignedIn,
    });
    let refused = &[
        Reason::InvalidCredentials,
        Reason::Throttled,
        Reason::TwoFactorRequired,
        Reason::NotRegistered,
    ][..];
    let refused = select(refused).prop_map(|reason| Box::new(LoginRefused::new(reason)));
    (
        known(principal(), select(errors)),
        known(session, select(errors)),
        known(refresh, select(&[Reason::SignedOut, Reason::Revoked][..])),
        known(basic, refused),
    )
}

fn login() -> impl Strategy<Value = Known<CompletedLogin, LoginRefused>> {
    let login = (principal(), any::<bool>()).prop_map(|(principal, remember)| CompletedLogin {
        tokens: tokens("issued", remember),
        principal,
        device: None,
    });
    let refused =
        (select(REFUSALS), proptest::option::of(1_u32..99)).prop_map(|(reason, retry_after)| {
            let mut refused = LoginRefused::new(reason);
            refused.retry_after = retry_after;
            refused
        });
    known(login, refused)
}

/// The address at the provider that a login by redirect begins at.
pub const PROVIDER: &str = "https://id.example/auth?state=s";
/// The id of the login that begins.
pub const BEGUN: &str = "NNNNNNNNNNNN";

fn begun() -> impl Strategy<Value = Known<Arc<BegunRedirect>, Box<LoginRefused>>> {
    let begun = any::<bool>().prop_map(|gives_up| {
        Arc::new(BegunRedirect {
            address: url::Url::parse(PROVIDER).unwrap().into(),
            cookie: SealedRedirectLogin {
                id: BEGUN.into(),
                value: "begun".into(),
            },
            given_up: gives_up
                .then(|| LOGIN_IDS[1].to_owned())
                .into_iter()
                .collect(),
        })
    });
    let refused = (1_u32..99).prop_map(|retry_after| {
        let mut refused = LoginRefused::new(Reason::Throttled);
        refused.retry_after = Some(retry_after);
        Box::new(refused)
    });
    known(begun, refused)
}

/// What comes of the provider's response. The proxy answers this question in any case.
fn redirect_result() -> impl Strategy<Value = Arc<RedirectResult>> {
    let return_to = || "/[!-~]{0,12}".prop_map(|text| ReturnPath::parse(&text));
    let preserved_post = prop_oneof![Just(None), Just(Some(Arc::from("sealed")))];
    let finished = (principal(), return_to(), preserved_post).prop_map(
        |(principal, return_to, preserved_post)| {
            RedirectResult::Finished(FinishedRedirect {
                login: CompletedLogin {
                    tokens: tokens("issued", false),
                    principal,
                    device: None,
                },
                return_to,
                preserved_post,
            })
        },
    );
    let causes = [
        RedirectRefusal::Unknown,
        RedirectRefusal::Used,
        RedirectRefusal::Refused,
    ];
    let refused = (select(causes.to_vec()), return_to()).prop_map(|(cause, return_to)| {
        RedirectResult::Refused(RefusedRedirect { cause, return_to })
    });
    let failed = (select(FAILURES), return_to()).prop_map(|(reason, return_to)| {
        let retry_after = None;
        RedirectResult::Failed(FailedRedirect {
            reason,
            retry_after,
            return_to,
        })
    });
    prop_oneof![2 => finished, 3 => refused, 1 => failed].prop_map(Arc::new)
}

fn restored_post() -> impl Strategy<Value = RestoredPost> {
    let target = select(vec!["/posts?x=1", "//evil.example/"]);
    (target, any::<bool>(), any::<bool>()).prop_map(|(target, by_same_person, first_time)| {
        let form = PostedForm {
            encoding: FormEncoding::UrlEncoded,
            fields: vec![("text".into(), "hello".into())],
        };
        let preserved_post = PreservedPost {
            id: "i".into(),
            author: None,
            target: target.into(),
            form,
            until: u64::MAX,
        };
        RestoredPost {
            post: preserved_post,
            by_author: by_same_person,
            first_time,
        }
    })
}

fn step_form() -> impl Strategy<Value = Box<StepForm>> {
    let typed =
        || prop_oneof![4 => Just("123 456"), 1 => Just(" "), 1 => Just("")].prop_map(Secret::new);
    let preserved_post = prop_oneof![Just(None), Just(Some(Arc::from("sealed")))];
    (typed(), typed(), csrf(), any::<bool>(), preserved_post).prop_map(
        |(code, password, csrf, trust, preserved_post)| {
            Box::new(StepForm {
                challenge: Secret::new("posted-challenge"),
                code,
                trust_device: trust,
                choice: Secret::new("posted-choice"),
                password,
                csrf,
                preserved_post,
            })
        },
    )
}

/// An opened challenge. Some have expired, and some are of bearer clients.
fn challenge() -> impl Strategy<Value = Known<Arc<OpenedChallenge>, Reason>> {
    let tokens = select(
        &[
            TokenDelivery::Cookie,
            TokenDelivery::Cookie,
            TokenDelivery::Body,
        ][..],
    );
    let left = prop_oneof![4 => 1_u64..300, 1 => Just(0)];
    let return_to = "/[!-~]{0,12}".prop_map(|text| ReturnPath::parse(&text));
    let opened = (tokens, left, return_to, any::<bool>()).prop_map(
        |(tokens, left, return_to, two_factor)| {
            let id = Secret::new("theirs");
            let (awaited, step) = if two_factor {
                (
                    PendingStep::SecondFactor {
                        id,
                        methods: Vec::new(),
                    },
                    LoginStep::TwoFactor,
                )
            } else {
                (PendingStep::NewPassword { id }, LoginStep::NewPassword)
            };
            let chosen = LoginOptions {
                browser: None,
                login_id: "ann@example.com".into(),
                remember: two_factor,
                token_delivery: tokens,
                return_to,
            };
            let ends = NOW.plus(Duration::from_secs(left));
            let shown = NextStep {
                step,
                challenge: Secret::new("posted-challenge"),
                methods: Vec::new(),
                change_reason: None,
            };
            Arc::new(OpenedChallenge {
                challenge: Challenge {
                    id: "c".into(),
                    pending_step: awaited,
                    expires: ends,
                    options: chosen,
                    change_reason: None,
                },
                next_step: shown,
            })
        },
    );
    // Keys are local, so opening never fails.
    prop_oneof![4 => opened.prop_map(Known::Found), 1 => Just(Known::Absent(Reason::ChallengeExpired))]
}

fn refused_code() -> impl Strategy<Value = Box<LoginRefused>> {
    let reasons = select(
        &[
            Reason::ChallengeExpired,
            Reason::RejectedInput,
            Reason::Throttled,
        ][..],
    );
    reasons.prop_map(|reason| Box::new(LoginRefused::new(reason)))
}

/// What the provider or the throttle may answer to a password or a step.
pub const REFUSALS: &[Reason] = &[
    Reason::NotRegistered,
    Reason::PasswordChangeRequired,
    Reason::EmailUnverified,
    Reason::RegistrationUnverified,
    Reason::TwoFactorRequired,
    Reason::InvalidCredentials,
    Reason::LoginPrevented,
    Reason::AccountExpired,
    Reason::AccountLocked,
    Reason::RejectedInput,
    Reason::Throttled,
    Reason::WrongCode,
    Reason::ChallengeExpired,
];

const FAILURES: &[Reason] = &[
    Reason::ProviderUnavailable,
    Reason::ProviderMisconfigured,
    Reason::StoreUnavailable,
    Reason::TokensTooLarge,
];

fn known<T, No>(
    found: impl Strategy<Value = T>,
    absent: impl Strategy<Value = No>,
) -> impl Strategy<Value = Known<T, No>>
where
    T: Clone + std::fmt::Debug,
    No: Clone + std::fmt::Debug,
{
    prop_oneof![
        2 => found.prop_map(Known::Found),
        2 => absent.prop_map(Known::Absent),
        1 => select(FAILURES).prop_map(Known::Failed),
    ]
}

fn body() -> impl Strategy<Value = ApiRequestBody> {
    let bodies = [
        r#"{"loginId":"ann@example.com","password":"correct horse"}"#,
        r#"{"loginId":"ann@example.com","password":"correct horse","tokens":"body"}"#,
        r#"{"loginId":" ","password":"correct horse"}"#,
        r#"{"challenge":"posted-challenge","code":"123 456"}"#,
        r#"{"challenge":"posted-challenge","code":"123456","trust":true}"#,
        r#"{"challenge":"posted-challenge","code":" "}"#,
        r#"{"challenge":"posted-challenge","choice":"posted-choice"}"#,
        r#"{"challenge":"posted-challenge","password":"a new one"}"#,
        r#"{"refreshToken":"posted-token"}"#,
        r#"{"refreshToken":"refresh-token"}"#,
        r#"{"else":1}"#,
        "{}",
        "",
    ];
    select(bodies.to_vec()).prop_map(|text| ApiRequestBody::parse(text.as_bytes()).unwrap())
}

fn login_form() -> impl Strategy<Value = LoginForm> {
    let name = prop_oneof![4 => Just("ann@example.com"), 1 => Just(" ")];
    let password = prop_oneof![4 => Just("correct horse"), 1 => Just("")];
    let return_to = "/[!-~]{0,12}".prop_map(|text| ReturnPath::parse(&text));
    let preserved_post = prop_oneof![Just(None), Just(Some(Arc::from("sealed")))];
    (
        name,
        password,
        csrf(),
        return_to,
        any::<bool>(),
        preserved_post,
    )
        .prop_map(
            |(login_id, password, csrf, return_to, remember, preserved_post)| LoginForm {
                login_id: login_id.into(),
                password: Secret::new(password),
                return_to,
                remember,
                csrf,
                preserved_post,
            },
        )
}

fn csrf() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => Just(csrf_token("store", FORM_COOKIE)),
        1 => Just(csrf_token("forum", FORM_COOKIE)),
        1 => Just(String::new()),
    ]
}
