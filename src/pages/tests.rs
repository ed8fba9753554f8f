//! What holds for every page at once.

use super::preserved_post as preserved_post_page;
use super::*;
use crate::model::local_response::{
    ActionRequired, LoginPage, PreservedPostPage, Problem, Resubmission,
};
use crate::model::preserved_post::{FormEncoding, PostedForm, PreservedPost};
use crate::model::reason::Reason;
use crate::model::return_path::ReturnPath;

mod steps;

const SITE: &str = "Lantern & Loom";
const REQUEST_ID: &str = "req-4711";

fn form(trouble: Option<Reason>) -> LoginPage {
    LoginPage {
        cookieless: false,
        status: 200,
        trouble,
        login_id: "zoe@example.com".to_owned(),
        return_to: ReturnPath::parse("/cart?a=1&b=2#part"),
        remember: true,
        preserved_post: None,
        retry_after: None,
    }
}

fn frame_in(words: &'static Catalog) -> Layout<'static> {
    Layout {
        look: PageTheme::plain(),
        site_name: Some(SITE),
        words,
        request_id: REQUEST_ID,
    }
}

fn frame() -> Layout<'static> {
    frame_in(Catalog::english())
}

fn shown(form: &LoginPage) -> String {
    shown_in(frame(), form)
}

fn shown_in(frame: Layout<'_>, form: &LoginPage) -> String {
    login(&LoginView {
        frame,
        action: "/login",
        form,
        csrf: "csrf-1",
    })
    .unwrap()
}

fn shown_problem(status: u16, reason: Reason) -> String {
    shown_problem_in(frame(), status, reason)
}

fn shown_problem_in(frame: Layout<'_>, status: u16, reason: Reason) -> String {
    problem(&ProblemView {
        frame,
        problem: &Problem::new(reason).with_status(status),
        login_path: Some("/login"),
    })
    .unwrap()
}

fn shown_asks_in(frame: Layout<'_>, reason: Reason) -> String {
    let asks = ActionRequired {
        status: 401,
        reason,
    };
    action_required(&ActionRequiredView {
        frame,
        login_path: "/login",
        asks: &asks,
    })
    .unwrap()
}

fn shown_unsent(frame: Layout<'_>, offer: Resubmission) -> String {
    let fields = [
        ("1", "\n2\r\n3 4"),
        ("csrf_token", "5"),
        ("Password", "6"),
        ("7", " "),
    ];
    let fields = fields
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec();
    let form = PostedForm {
        encoding: FormEncoding::UrlEncoded,
        fields,
    };
    let unsent = PreservedPost {
        id: "8".into(),
        author: None,
        target: "/1".into(),
        form,
        until: 0,
    };
    preserved_post_page(&PreservedPostView {
        frame,
        page: &PreservedPostPage {
            preserved_post: unsent,
            offer,
            onward: "/9".into(),
        },
    })
    .unwrap()
}

/// What the application put into its form for itself is sent again, and shown to nobody.
#[test]
fn what_was_written_is_shown_and_the_rest_only_sent() {
    let offered = shown_unsent(
        frame(),
        ReturnPath::parse("/1").map(Resubmission::Send).unwrap(),
    );
    let (shown, sent) = offered.split_once("<form").unwrap();
    // The parser drops the first line end of a `textarea`.
    assert!(
        shown.contains("readonly>\n\n2\r\n3 4</textarea>"),
        "{shown}"
    );
    assert_eq!(shown.matches("<textarea").count(), 1);
    for field in [
        "value=\"\n2\r\n3 4\"",
        "value=\"5\"",
        "value=\"6\"",
        "value=\" \"",
    ] {
        assert!(sent.contains(field), "{field} in {sent}");
    }
    for offer in [Resubmission::CopyAgain, Resubmission::CopyOfAnother] {
        let copied = shown_unsent(frame(), offer);
        assert!(
            !copied.contains("<form")
                && !copied.contains("csrf_token")
                && copied.contains("<textarea"),
            "{copied}"
        );
    }
}

fn every_page(words: &'static Catalog) -> Vec<String> {
    let frame = frame_in(words);
    let fresh = LoginPage {
        login_id: String::new(),
        ..form(None)
    };
    let mut pages = vec![shown_in(frame, &form(None)), shown_in(frame, &fresh)];
    pages.push(shown_in(
        frame,
        &LoginPage {
            preserved_post: Some("1".into()),
            ..form(None)
        },
    ));
    for offer in [
        ReturnPath::parse("/1").map_or(Resubmission::CopyAgain, Resubmission::Send),
        Resubmission::CopyAgain,
        Resubmission::CopyOfAnother,
    ] {
        pages.push(shown_unsent(frame, offer));
    }
    pages.push(
        logout(&LogoutView {
            frame,
            action: "/logout",
            back: "/cart",
        })
        .unwrap(),
    );
    for reason in Reason::ALL.iter().copied() {
        pages.push(shown_in(frame, &form(Some(reason))));
        pages.push(shown_asks_in(frame, reason));
        for status in [
            400, 401, 403, 404, 405, 413, 414, 421, 429, 431, 500, 502, 503, 504,
        ] {
            pages.push(shown_problem_in(frame, status, reason));
        }
    }
    pages.extend(steps::every_step(frame));
    pages
}

/// What a person reads, without what the visitor typed and what the site is called.
fn visible_text(page: &str) -> String {
    let mut text = String::new();
    for part in page.split('<').skip(1) {
        text.push_str(part.split_once('>').map_or("", |(_, shown)| shown));
    }
    text.replace("Lantern &amp; Loom", "")
        .replace(REQUEST_ID, "")
        .replace("z***@example.com", "")
}

/// The text between the first `open` and the next `close`.
fn between<'a>(page: &'a str, open: &str, close: &str) -> &'a str {
    page.split_once(open)
        .and_then(|(_, rest)| rest.split_once(close))
        .map_or("", |(text, _)| text)
}

#[test]
fn every_page_is_whole_and_says_something() {
    for words in Catalog::all() {
        let direction = if words.tag == "ar" { "rtl" } else { "ltr" };
        let root = format!("<html lang=\"{}\" dir=\"{direction}\">", words.tag);
        for page in every_page(words) {
            assert!(page.contains(&root));
            assert!(!between(&page, "<title>", "</title>").trim().is_empty());
            assert!(!between(&page, "<h1>", "</h1>").trim().is_empty());
            assert_eq!(page.matches("<h1>").count(), 1);
            for nothing in [
                "undefined",
                "none",
                "None",
                "<p></p>",
                "<p class=\"notice-title\"></p>",
                "{",
                "}",
            ] {
                let visible = page.replace("autocapitalize=\"none\"", "");
                assert!(!visible.contains(nothing), "{nothing} in {page}");
            }
        }
    }
}

/// A key that no catalogue has is shown itself; an English sentence among Arabic ones is one that
/// nobody translated.
#[test]
fn every_page_speaks_one_language() {
    let words = Catalog::of("ar").unwrap();
    for page in every_page(words) {
        let text = visible_text(&page).replace("Caps Lock", "");
        assert!(!text.contains(|c: char| c.is_ascii_alphabetic()), "{text}");
    }
}

#[test]
fn templates_and_scripts_hold_no_text() {
    for (name, text) in templates::SOURCES {
        let mut bare = String::new();
        for part in text.split("{%").flat_map(|part| {
            part.split_once("%}")
                .map_or([part, ""], |(_, rest)| [rest, ""])
        }) {
            bare.push_str(part);
        }
        let bare: String = bare
            .split("{{")
            .map(|part| part.split_once("}}").map_or(part, |(_, rest)| rest))
            .collect();
        let text = visible_text(&bare);
        assert!(!text.contains(char::is_alphabetic), "{text} in {name}");
        for attribute in [
            "aria-label=\"",
            "title=\"",
            "placeholder=\"",
            "data-busy=\"",
            "alt=\"",
        ] {
            for value in bare.split(attribute).skip(1) {
                let value = value.split_once('"').map_or("", |(value, _)| value);
                assert!(value.is_empty(), "{attribute}{value} in {name}");
            }
        }
    }
    let script = include_str!("../../static/sign-in.js");
    assert!(!script.contains("Content = \"") && !script.contains("aria-label\", \""));
}

#[test]
fn every_trouble_has_words_and_is_announced() {
    for reason in Reason::ALL.iter().copied() {
        let page = shown(&form(Some(reason)));
        assert!(page.contains("role=\"alert\""));
        assert_eq!(page.matches("aria-describedby=\"trouble\"").count(), 2);
        assert!(between(&page, "<p class=\"notice-title\">", "</p>").len() > 8);
        let word = reason.as_str();
        assert!(
            !word.contains('_') || !page.contains(word),
            "{word} is a word for programs"
        );
    }
    assert!(!shown(&form(None)).contains("role=\"alert\""));
}

#[test]
fn what_was_typed_is_shown_and_never_run() {
    let mut typed = form(Some(Reason::InvalidCredentials));
    typed.login_id = "\"><script>alert(1)</script>'".to_owned();
    let page = shown(&typed);
    assert!(page.contains("value=\"&quot;&gt;&lt;script&gt;alert(1)&lt;&#x2f;script&gt;&#x27;\""));
    assert!(!page.contains("<script>"));
}

#[test]
fn templates_hold_no_inline_style_or_script_and_escape_always() {
    for (name, text) in templates::SOURCES {
        assert_eq!(
            name.rsplit('.').next(),
            Some("html"),
            "{name} would not be escaped"
        );
        for forbidden in [
            "style=",
            "<style",
            "<script>",
            "|safe",
            "| safe",
            "javascript:",
            "http://",
            "https://",
        ] {
            assert!(!text.contains(forbidden), "{forbidden} in {name}");
        }
        assert!(
            !text
                .split_ascii_whitespace()
                .any(|word| word.starts_with("on") && word.contains('=')),
            "{name}"
        );
        for script in text.split("<script").skip(1) {
            assert!(
                script
                    .split_once('>')
                    .is_some_and(|(_, body)| body.starts_with("</script>")),
                "{name}"
            );
        }
    }
}

#[test]
fn the_policy_has_no_exceptions() {
    assert!(!CONTENT_SECURITY_POLICY.contains("unsafe"));
    for rule in [
        "default-src 'none'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
        "object-src 'none'",
    ] {
        assert!(
            CONTENT_SECURITY_POLICY
                .split("; ")
                .any(|directive| directive == rule),
            "{rule}"
        );
    }
    for (name, value) in HEADERS {
        assert!(
            http::HeaderName::from_lowercase(name.as_bytes()).is_ok()
                && http::HeaderValue::from_str(value).is_ok()
        );
    }
    assert!(HEADERS.contains(&("referrer-policy", "same-origin")));
}

#[test]
fn the_form_is_one_a_password_manager_knows() {
    let page = shown(&form(None));
    for part in [
        "name=\"loginId\" type=\"text\" value=\"zoe@example.com\"",
        "autocomplete=\"username\" autocapitalize=\"none\" autocorrect=\"off\" spellcheck=\"false\"",
        "name=\"password\" type=\"password\" required autocomplete=\"current-password\" dir=\"ltr\"",
        "name=\"csrf\" value=\"csrf-1\"",
        "name=\"return_to\" value=\"&#x2f;cart?a=1&amp;b=2#part\"",
        "name=\"remember\" value=\"true\" checked",
        "<label for=\"loginId\">",
        "<label for=\"password\">",
        "action=\"&#x2f;login\"",
    ] {
        assert!(page.contains(part), "{part}");
    }
    assert!(!between(&page, "<input id=\"password\"", ">").contains("value"));
}

#[test]
fn the_first_field_to_fill_has_the_focus() {
    let begun = shown(&form(Some(Reason::InvalidCredentials)));
    assert!(between(&begun, "<input id=\"password\"", ">").contains("autofocus"));
    assert!(!between(&begun, "<input id=\"loginId\"", ">").contains("autofocus"));
    let fresh = shown(&LoginPage {
        login_id: String::new(),
        ..form(None)
    });
    assert!(between(&fresh, "<input id=\"loginId\"", ">").contains("autofocus"));
}

#[test]
fn fields_are_marked_only_when_they_may_be_wrong() {
    assert!(shown(&form(Some(Reason::InvalidCredentials))).contains("aria-invalid"));
    let page = shown(&form(Some(Reason::ProviderUnavailable)));
    assert!(!page.contains("aria-invalid"));
    assert!(
        page.contains("not your fault")
            && page.contains("zoe@example.com")
            && page.contains(REQUEST_ID)
    );
}

#[test]
fn a_wait_is_told() {
    let throttled = LoginPage {
        retry_after: Some(300),
        ..form(Some(Reason::Throttled))
    };
    assert!(shown(&throttled).contains("in 5 minutes"));
    let told = Problem {
        retry_after: Some(30),
        ..Problem::new(Reason::ProviderUnavailable).with_status(503)
    };
    let nowhere = Layout {
        site_name: None,
        ..frame()
    };
    let view = ProblemView {
        frame: nowhere,
        problem: &told,
        login_path: None,
    };
    assert!(problem(&view).unwrap().contains("in 30 seconds"));
}

#[test]
fn a_revoked_token_reads_like_none() {
    assert_eq!(
        shown_problem(401, Reason::Revoked),
        shown_problem(401, Reason::SignedOut)
    );
}

#[test]
fn problems_offer_a_way_on() {
    assert!(shown_problem(503, Reason::ProviderUnavailable).contains("href=\"\">Try again"));
    assert!(shown_problem(401, Reason::SignedOut).contains("href=\"&#x2f;login\">Sign in"));
    assert!(!shown_problem(421, Reason::UnknownSite).contains("<a "));
    assert!(
        !shown_problem(503, Reason::ProviderUnavailable).contains("http-equiv"),
        "nothing reloads by itself"
    );
    assert!(shown_problem(500, Reason::Internal).contains(REQUEST_ID));
}

#[test]
fn files_are_found_by_the_names_pages_use() {
    let page = shown(&form(None)).replace("&#x2f;", "/");
    let names: Vec<_> = page
        .split('"')
        .filter_map(|text| text.strip_prefix(assets::PREFIX))
        .collect();
    assert_eq!(names.len(), 4, "style, icon, mark, script");
    for name in names {
        assert!(
            PageTheme::plain()
                .asset(name)
                .is_some_and(|asset| !asset.body.is_empty()),
            "{name}"
        );
    }
    for other in [
        "style.css",
        "",
        "style.0000000000000000.css",
        "../style.css",
    ] {
        assert_eq!(PageTheme::plain().asset(other), None);
    }
}

mod themes;
