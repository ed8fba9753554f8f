//! Samples of every page in every state, with realistic values. They check the templates of an
//! operator before a user gets a page, and they are what the accessibility tests and people review.

use super::render::Rendered;
use super::{
    Layout, LoginView, LogoutView, NewPasswordView, PreservedPostView, ProblemView, SignedOutView,
    TwoFactorView, login, logout, new_password, preserved_post, problem, signed_out, two_factor,
};
use crate::model::challenge::{MethodChoice, NextStep};
use crate::model::local_path::LocalPath;
use crate::model::local_response::{
    LoginPage, LostPost, PreservedPostPage, Problem, Resubmission, StepPage, SwitchUser,
};
use crate::model::login_step::{FactorKind, LoginStep};
use crate::model::password_violation::PasswordViolation;
use crate::model::preserved_post::{FormEncoding, PostedForm, PreservedPost};
use crate::model::reason::Reason;
use crate::model::redirect_loop::{LoopCause, RedirectLoop};
use crate::model::return_path::ReturnPath;
use crate::model::secret::Secret;
use crate::model::site::SignIn;

/// The sign-in name in the samples.
const LOGIN_ID: &str = "zoe@example.com";

/// The name of a state of a page, and the page.
pub type Sample = (String, Rendered);

/// Every page in every state. New pages and states must be added here.
#[must_use]
pub fn samples(layout: Layout<'_>) -> Vec<Sample> {
    let logout_address = LocalPath::endpoint("/logout");
    let logout_view = LogoutView {
        layout: layout.at(&logout_address),
        action: "/logout",
        back: "/shopping-cart",
    };
    let mut pages = login_pages(layout);
    pages.push(("sign-out".to_owned(), logout(&logout_view)));
    let signed_out_view = SignedOutView {
        layout,
        login_path: "/login",
    };
    pages.push(("signed-out".to_owned(), signed_out(&signed_out_view)));
    pages.extend(two_factor_pages(layout));
    pages.extend(new_password_pages(layout));
    pages.extend(problem_pages(layout));
    pages.extend(redirect_loop_pages(layout));
    pages.extend(preserved_post_pages(layout));
    pages
}

fn login_pages(layout: Layout<'_>) -> Vec<Sample> {
    [
        ("fresh", 200, None, ""),
        (
            "wrong-password",
            401,
            Some(Reason::InvalidCredentials),
            LOGIN_ID,
        ),
        (
            "unavailable",
            503,
            Some(Reason::ProviderUnavailable),
            LOGIN_ID,
        ),
        ("throttled", 429, Some(Reason::Throttled), LOGIN_ID),
        ("stale", 403, Some(Reason::CsrfFailed), LOGIN_ID),
        ("rejected", 400, Some(Reason::RejectedInput), ""),
        ("prevented", 403, Some(Reason::LoginPrevented), LOGIN_ID),
        ("locked", 403, Some(Reason::AccountLocked), LOGIN_ID),
        ("expired", 403, Some(Reason::AccountExpired), LOGIN_ID),
        ("unconfirmed", 403, Some(Reason::EmailUnverified), LOGIN_ID),
        (
            "registration-unconfirmed",
            403,
            Some(Reason::RegistrationUnverified),
            LOGIN_ID,
        ),
        ("not-registered", 403, Some(Reason::NotRegistered), LOGIN_ID),
        ("cookieless", 403, Some(Reason::CsrfFailed), LOGIN_ID),
        ("too-large", 500, Some(Reason::TokensTooLarge), LOGIN_ID),
    ]
    .into_iter()
    .map(|(name, status, reason, login_id)| {
        let form = LoginPage {
            status,
            error: reason,
            cookie_missing: name == "cookieless",
            login_id: login_id.to_owned(),
            return_to: ReturnPath::parse("/shopping-cart"),
            remember: reason.is_some(),
            preserved_post: None,
            lost_post: None,
            retry_after: (status == 429).then_some(290),
        };
        let address = LocalPath::endpoint("/login").with_parameter("return_to", "/shopping-cart");
        let view = LoginView {
            layout: layout.at(&address),
            action: "/login",
            form: &form,
            csrf: "sample",
            sign_in: SignIn::Form,
        };
        (format!("sign-in-{name}"), login(&view))
    })
    .collect()
}

fn step(step: LoginStep, reason: Option<Reason>) -> StepPage {
    let method = |kind, label: Option<&str>| MethodChoice {
        kind,
        label: label.map(str::to_owned),
        choice: Secret::new("sample"),
    };
    let (email, sms) = (
        method(FactorKind::Email, Some("z***@example.com")),
        method(FactorKind::Sms, Some("***55")),
    );
    StepPage {
        status: reason.map_or(401, Reason::status),
        next_step: NextStep {
            step,
            challenge: Secret::new("sample"),
            methods: vec![method(FactorKind::Authenticator, None), email, sms],
            change_reason: Some("Breached".to_owned()),
        },
        error: reason,
        violations: Vec::new(),
        code_sent_by: None,
        retry_after: (reason == Some(Reason::Throttled)).then_some(30),
        trust_device: false,
        login_id: LOGIN_ID.to_owned(),
        return_to: ReturnPath::parse("/shopping-cart"),
        preserved_post: None,
    }
}

fn two_factor_pages(layout: Layout<'_>) -> Vec<Sample> {
    let form = |reason| step(LoginStep::TwoFactor, reason);
    let without_app = |mut form: StepPage| {
        form.next_step.methods.remove(0);
        form
    };
    let without_methods = |mut form: StepPage| {
        form.next_step.methods.clear();
        form
    };
    let forms = [
        ("fresh", form(None)),
        ("send", without_app(form(None))),
        (
            "sent",
            StepPage {
                status: 200,
                code_sent_by: Some(1),
                ..form(None)
            },
        ),
        ("bare", without_methods(form(None))),
        (
            "wrong",
            StepPage {
                trust_device: true,
                ..form(Some(Reason::WrongCode))
            },
        ),
        ("throttled", without_app(form(Some(Reason::Throttled)))),
        ("rejected", form(Some(Reason::RejectedInput))),
        ("stale", form(Some(Reason::CsrfFailed))),
        ("unavailable", form(Some(Reason::ProviderUnavailable))),
    ];
    let page = |form: &StepPage| {
        let (action, send) = ("/login/two-factor", "/login/two-factor/send");
        two_factor(&TwoFactorView {
            layout,
            action,
            send,
            back: "/login",
            form,
            csrf: "sample",
        })
    };
    forms
        .iter()
        .map(|(name, form)| (format!("two-factor-{name}"), page(form)))
        .collect()
}

fn new_password_pages(layout: Layout<'_>) -> Vec<Sample> {
    let form = |reason| step(LoginStep::NewPassword, reason);
    let violations = vec![
        PasswordViolation::TooShort(Some(8)),
        PasswordViolation::TooLong(Some(256)),
        PasswordViolation::RequireNumber,
        PasswordViolation::RequireMixedCase,
        PasswordViolation::RequireNonAlpha,
        PasswordViolation::PreviouslyUsed,
        PasswordViolation::TooYoung,
        PasswordViolation::Breached,
        PasswordViolation::MatchesLoginId,
        PasswordViolation::Other,
    ];
    let forms = [
        ("fresh", form(None)),
        (
            "rejected",
            StepPage {
                violations,
                ..form(Some(Reason::RejectedInput))
            },
        ),
        ("throttled", form(Some(Reason::Throttled))),
    ];
    let page = |form: &StepPage| {
        new_password(&NewPasswordView {
            layout,
            action: "/login/password",
            back: "/login",
            form,
            csrf: "sample",
        })
    };
    forms
        .iter()
        .map(|(name, form)| (format!("new-password-{name}"), page(form)))
        .collect()
}

fn redirect_loop_pages(layout: Layout<'_>) -> Vec<Sample> {
    let duplicates = vec![
        "__Host-vestibule-access".to_owned(),
        "__Host-vestibule-refresh".to_owned(),
    ];
    [
        ("no-cookie", LoopCause::NoCookie),
        ("unencrypted", LoopCause::Unencrypted),
        ("duplicates", LoopCause::Duplicates(duplicates)),
        ("clock", LoopCause::Clock),
        ("application", LoopCause::Application),
        ("refused", LoopCause::Refused),
    ]
    .into_iter()
    .map(|(name, cause)| {
        let redirect_loop = RedirectLoop {
            cause,
            site_address: "https://store.example.com".into(),
            continue_to: "/login?return_to=/orders".into(),
        };
        let sample = Problem {
            redirect_loop: Some(Box::new(redirect_loop)),
            ..Problem::new(Reason::RedirectLoop)
        };
        let view = ProblemView {
            layout,
            problem: &sample,
            login_path: Some("/login"),
            switch_action: None,
        };
        (format!("circle-{name}"), problem(&view))
    })
    .collect()
}

fn problem_pages(layout: Layout<'_>) -> Vec<Sample> {
    [
        (400, Reason::MalformedRequest),
        (401, Reason::SignedOut),
        (403, Reason::RoleMissing),
        (404, Reason::OwnEndpoint),
        (405, Reason::MethodNotAllowed),
        (413, Reason::RequestTooLarge),
        (414, Reason::RequestTooLarge),
        (421, Reason::UnknownSite),
        (429, Reason::Throttled),
        (500, Reason::Internal),
        (502, Reason::UpstreamUnavailable),
        (503, Reason::ProviderUnavailable),
        (504, Reason::UpstreamTimeout),
    ]
    .into_iter()
    .map(|(status, reason)| {
        let switch_user = (reason == Reason::RoleMissing).then(|| SwitchUser {
            signed_in_as: LOGIN_ID.to_owned(),
            return_to: None,
        });
        let sample = Problem {
            retry_after: matches!(status, 429 | 503).then_some(30),
            switch_user,
            ..Problem::new(reason).with_status(status)
        };
        let site_name = layout.site_name.filter(|_| reason != Reason::UnknownSite);
        let layout = Layout {
            site_name,
            ..layout
        };
        let view = ProblemView {
            layout,
            problem: &sample,
            login_path: Some("/login?return_to=/orders"),
            switch_action: (reason == Reason::RoleMissing).then_some("/logout?return_to=/orders"),
        };
        (format!("problem-{status}"), problem(&view))
    })
    .collect()
}

/// The sign-in form after a form was posted without a session.
fn sign_in_after_post(
    layout: Layout<'_>,
    sign_in: SignIn,
    preserved: Option<&str>,
    lost_post: Option<LostPost>,
) -> Rendered {
    let form = LoginPage {
        status: 401,
        preserved_post: preserved.map(Into::into),
        lost_post,
        ..LoginPage::new()
    };
    login(&LoginView {
        layout,
        action: "/login?unsent",
        form: &form,
        csrf: "sample",
        sign_in,
    })
}

fn preserved_post_pages(layout: Layout<'_>) -> Vec<Sample> {
    let text =
        "Dear all,\n\nI have two lanterns to give away, and a basket that nobody wants.\n\nZoe";
    let fields = [("title", "Two lanterns"), ("text", text)]
        .map(|(name, value)| (name.to_owned(), value.to_owned()));
    let form = PostedForm {
        encoding: FormEncoding::UrlEncoded,
        fields: fields.to_vec(),
    };
    let posted = PreservedPost {
        id: "sample".into(),
        author: None,
        target: "/posts".into(),
        form,
        until: 0,
    };
    let sign_ins = [
        ("unsent", SignIn::Form, Some("sample"), None),
        ("unsent-elsewhere", SignIn::Redirect, Some("sample"), None),
        ("lost", SignIn::Form, None, Some(LostPost::TooLarge)),
        ("lost-files", SignIn::Form, None, Some(LostPost::HasFiles)),
        ("lost-other", SignIn::Form, None, Some(LostPost::OtherForm)),
    ]
    .map(|(name, sign_in, preserved, lost)| {
        let page = sign_in_after_post(layout, sign_in, preserved, lost);
        (format!("sign-in-{name}"), page)
    });
    let mut pages = Vec::from(sign_ins);
    let send =
        ReturnPath::parse("/posts").map_or(Resubmission::AlreadyOffered, Resubmission::Allowed);
    for (name, offer) in [
        ("offer", send),
        ("again", Resubmission::AlreadyOffered),
        ("another", Resubmission::OtherAuthor),
    ] {
        let page = PreservedPostPage {
            preserved_post: posted.clone(),
            resubmission: offer,
            continue_to: "/posts".into(),
        };
        pages.push((
            format!("unsent-{name}"),
            preserved_post(&PreservedPostView {
                layout,
                page: &page,
            }),
        ));
    }
    pages
}
