//! The sign-in form and the page with a preserved form post.

use super::*;

#[test]
fn every_reason_has_an_alert_with_a_message() {
    for reason in Reason::ALL.iter().copied() {
        let page = render_login(&form(Some(reason)));
        assert!(page.contains("role=\"alert\""));
        assert_eq!(page.matches("aria-describedby=\"trouble\"").count(), 2);
        assert!(between(&page, "<p class=\"notice-title\">", "</p>").len() > 8);
        let word = reason.as_str();
        assert!(
            !word.contains('_') || !page.contains(word),
            "{word} is a reason code, not a message"
        );
    }
    assert!(!render_login(&form(None)).contains("role=\"alert\""));
}

#[test]
fn input_is_shown_and_escaped() {
    let mut typed = form(Some(Reason::InvalidCredentials));
    typed.login_id = "\"><script>alert(1)</script>'".to_owned();
    let page = render_login(&typed);
    assert!(page.contains("value=\"&quot;&gt;&lt;script&gt;alert(1)&lt;/script&gt;&#x27;\""));
    assert!(!page.contains("<script>"));
}

#[test]
fn the_form_works_with_password_managers() {
    let page = render_login(&form(None));
    for part in [
        "name=\"loginId\" type=\"text\" value=\"zoe@example.com\"",
        "autocomplete=\"username\" autocapitalize=\"none\" autocorrect=\"off\" spellcheck=\"false\"",
        "name=\"password\" type=\"password\" required autocomplete=\"current-password\" dir=\"ltr\"",
        "name=\"csrf\" value=\"csrf-1\"",
        "name=\"return_to\" value=\"/cart?a=1&amp;b=2#part\"",
        "name=\"remember\" value=\"true\" checked",
        "<label for=\"loginId\">",
        "<label for=\"password\">",
        "action=\"/login\"",
    ] {
        assert!(page.contains(part), "{part}");
    }
    assert!(!between(&page, "<input id=\"password\"", ">").contains("value"));
}

#[test]
fn the_first_empty_field_has_the_focus() {
    let filled = render_login(&form(Some(Reason::InvalidCredentials)));
    assert!(between(&filled, "<input id=\"password\"", ">").contains("autofocus"));
    assert!(!between(&filled, "<input id=\"loginId\"", ">").contains("autofocus"));
    let empty = render_login(&LoginPage {
        login_id: String::new(),
        ..form(None)
    });
    assert!(between(&empty, "<input id=\"loginId\"", ">").contains("autofocus"));
}

#[test]
fn fields_are_marked_only_if_the_input_may_be_wrong() {
    assert!(render_login(&form(Some(Reason::InvalidCredentials))).contains("aria-invalid"));
    let page = render_login(&form(Some(Reason::ProviderUnavailable)));
    assert!(!page.contains("aria-invalid"));
    assert!(
        page.contains("not your fault")
            && page.contains("zoe@example.com")
            && page.contains(REQUEST_ID)
    );
}

#[test]
fn a_wait_is_shown() {
    let throttled = LoginPage {
        retry_after: Some(300),
        ..form(Some(Reason::Throttled))
    };
    assert!(render_login(&throttled).contains("in 5 minutes"));
    let unavailable = Problem {
        retry_after: Some(30),
        ..Problem::new(Reason::ProviderUnavailable).with_status(503)
    };
    let layout = Layout {
        site_name: None,
        ..layout()
    };
    let view = ProblemView {
        layout,
        problem: &unavailable,
        login_path: None,
        switch_action: None,
    };
    assert!(problem(&view).unwrap().contains("in 30 seconds"));
}

/// Fields that the application has filled itself are sent again but not shown.
#[test]
fn user_input_is_shown_and_other_fields_are_only_sent() {
    let offered = render_preserved_post(
        layout(),
        ReturnPath::parse("/1").map(Resubmission::Allowed).unwrap(),
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
    for offer in [Resubmission::AlreadyOffered, Resubmission::OtherAuthor] {
        let copied = render_preserved_post(layout(), offer);
        assert!(
            !copied.contains("<form")
                && !copied.contains("csrf_token")
                && copied.contains("<textarea"),
            "{copied}"
        );
    }
}
