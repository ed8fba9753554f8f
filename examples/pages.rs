//! Writes every state of every page in every language to `target/pages/`, to be looked at.

use std::fs;
use std::path::Path;

use vestibule::model::answer::{Offer, Problem, ProviderAsks, SignInForm, UnsentPage};
use vestibule::model::reason::Reason;
use vestibule::model::return_path::ReturnPath;
use vestibule::model::unsent::{FormEncoding, PostedForm, UnsentForm};
use vestibule::pages::{
    Frame, ProblemView, ProviderAsksView, SignInView, SignOutView, UnsentView, Words, assets, problem, provider_asks,
    sign_in, sign_out,
};

const SITE: &str = "Lantern & Loom";
const REQUEST_ID: &str = "01JD3K8Q5W9X2Y7Z";

fn main() -> std::io::Result<()> {
    let folder = Path::new("target/pages");
    fs::create_dir_all(folder.join("_vestibule"))?;
    for (name, html) in Words::all().iter().flat_map(pages) {
        // Addresses are escaped in the pages; the files are found by reading them as a browser does.
        for address in html.replace("&#x2f;", "/").split('"').filter_map(|text| text.strip_prefix(assets::PREFIX)) {
            if let Some(asset) = assets::asset(address) {
                fs::write(folder.join("_vestibule").join(address), asset.body)?;
            }
        }
        fs::write(folder.join(format!("{name}.html")), html)?;
    }
    Ok(())
}

fn pages(words: &'static Words) -> Vec<(String, String)> {
    let frame = Frame { site_name: Some(SITE), words, request_id: REQUEST_ID };
    let sign_out_view = SignOutView { frame, action: "/logout", back: "/shopping-cart" };
    let mut pages = vec![("sign-out".to_owned(), sign_out(&sign_out_view))];
    pages.extend(sign_in_pages(frame));
    pages.extend(asks_pages(frame));
    pages.extend(problem_pages(frame));
    pages.extend(unsent_pages(frame));
    pages.into_iter().map(|(name, html)| (format!("{name}.{}", words.tag), html)).collect()
}

fn sign_in_pages(frame: Frame<'_>) -> Vec<(String, String)> {
    let form = |status, trouble, login_id: &str, retry_after| SignInForm {
        status,
        trouble,
        login_id: login_id.to_owned(),
        return_to: ReturnPath::parse("/shopping-cart"),
        remember: false,
        unsent: None,
        retry_after,
    };
    let mut pages = Vec::new();
    let forms = [
        ("fresh", form(200, None, "", None)),
        ("wrong", form(401, Some(Reason::InvalidCredentials), "zoe@example.com", None)),
        ("unavailable", form(503, Some(Reason::ProviderUnavailable), "zoe@example.com", Some(5))),
        ("throttled", form(429, Some(Reason::Throttled), "zoe@example.com", Some(300))),
        ("stale", form(403, Some(Reason::CsrfFailed), "zoe@example.com", None)),
        ("rejected", form(400, Some(Reason::RejectedInput), "", None)),
        ("prevented", form(403, Some(Reason::LoginPrevented), "zoe@example.com", None)),
        ("locked", form(403, Some(Reason::AccountLocked), "zoe@example.com", None)),
        ("expired", form(403, Some(Reason::AccountExpired), "zoe@example.com", None)),
        ("large", form(500, Some(Reason::TokensTooLarge), "zoe@example.com", None)),
        ("misconfigured", form(500, Some(Reason::ProviderMisconfigured), "zoe@example.com", None)),
    ];
    for (name, form) in &forms {
        let view = SignInView { frame, action: "/login", form, csrf: "c" };
        pages.push((format!("sign-in-{name}"), sign_in(&view)));
    }
    pages
}

fn asks_pages(frame: Frame<'_>) -> Vec<(String, String)> {
    let mut pages = Vec::new();
    for reason in [
        Reason::TwoFactorRequired,
        Reason::PasswordChangeRequired,
        Reason::EmailUnverified,
        Reason::RegistrationUnverified,
        Reason::NotRegistered,
    ] {
        let asks = ProviderAsks { status: 403, reason, change_reason: Some("Breached".to_owned()) };
        let view = ProviderAsksView { frame, login_path: "/login", asks: &asks };
        pages.push((format!("asks-{}", reason.as_str()), provider_asks(&view)));
    }
    pages
}

fn unsent_pages(frame: Frame<'_>) -> Vec<(String, String)> {
    let text = "Dear all,\n\nI have two lanterns to give away, and a basket that nobody wants.\n\nZoe";
    let fields = [("title", "Two lanterns"), ("text", text)].map(|(name, value)| (name.to_owned(), value.to_owned()));
    let form = PostedForm { encoding: FormEncoding::UrlEncoded, fields: fields.to_vec() };
    let unsent = UnsentForm { id: "i".into(), author: None, target: "/posts".into(), form, until: 0 };
    let sign_in_form = SignInForm {
        status: 401,
        trouble: None,
        login_id: String::new(),
        return_to: None,
        remember: false,
        unsent: Some("sealed".into()),
        retry_after: None,
    };
    let view = SignInView { frame, action: "/login?unsent", form: &sign_in_form, csrf: "c" };
    let mut pages = vec![("sign-in-unsent".to_owned(), sign_in(&view))];
    let send = ReturnPath::parse("/posts").map_or(Offer::CopyAgain, Offer::Send);
    for (name, offer) in [("offer", send), ("again", Offer::CopyAgain), ("another", Offer::CopyOfAnother)] {
        let page = UnsentPage { unsent: unsent.clone(), offer, onward: "/posts".into() };
        pages.push((format!("unsent-{name}"), vestibule::pages::unsent(&UnsentView { frame, page: &page })));
    }
    pages
}

fn problem_pages(frame: Frame<'_>) -> Vec<(String, String)> {
    let mut pages = Vec::new();
    for (status, reason, site_name) in [
        (400, Reason::MalformedRequest, Some(SITE)),
        (401, Reason::SignedOut, Some(SITE)),
        (403, Reason::RoleMissing, Some(SITE)),
        (404, Reason::OwnEndpoint, Some(SITE)),
        (405, Reason::MethodNotAllowed, Some(SITE)),
        (413, Reason::RequestTooLarge, Some(SITE)),
        (421, Reason::UnknownSite, None),
        (500, Reason::Internal, Some(SITE)),
        (502, Reason::UpstreamUnavailable, Some(SITE)),
        (503, Reason::ProviderUnavailable, Some(SITE)),
        (504, Reason::UpstreamTimeout, Some(SITE)),
    ] {
        let retry_after = (status == 503).then_some(5);
        let view = ProblemView {
            frame: Frame { site_name, ..frame },
            problem: &Problem { retry_after, ..Problem::new(reason).under(status) },
            login_path: Some("/login?return_to=/orders"),
        };
        pages.push((format!("problem-{status}"), problem(&view)));
    }
    pages
}
