//! Pages with an operator's theme.

use super::super::*;
use super::{form, layout, render_login_in};
use crate::model::colour::Colour;
use crate::model::theme::{Link, Links, Logo, LogoKind, TemplateText, Theme};

fn themed(theme: &Theme) -> PageTheme {
    PageTheme::of(theme).unwrap()
}

const LOGO: &[u8] = b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>";

fn theme_with_everything() -> PageTheme {
    themed(&Theme {
        logo: Some(Logo {
            kind: LogoKind::Svg,
            bytes: LOGO.into(),
        }),
        accent: Colour::parse("#0b6"),
        style: Some("h1{color:red}".to_owned()),
        links: Links {
            privacy: Link::parse("/privacy?x=1&y=2"),
            help: Link::parse("https://help.example.com/"),
            register: Link::parse("/register"),
            forgot_password: Link::parse("/forgot"),
        },
        ..Theme::default()
    })
}

fn render_with(theme: &PageTheme) -> String {
    let layout = Layout {
        theme,
        site_name: Some("The <Store>"),
        ..layout()
    };
    render_login_in(layout, &form(None))
}

#[test]
fn a_theme_changes_name_and_links() {
    let page = render_with(&theme_with_everything());
    assert!(page.contains(">The &lt;Store&gt;<"));
    for href in [
        "/privacy?x=1&amp;y=2",
        "https://help.example.com/",
        "/register",
        "/forgot",
    ] {
        assert!(page.contains(&format!("href=\"{href}\"")), "{href}");
    }
}

#[test]
fn a_theme_changes_logo_and_colour() {
    let theme = theme_with_everything();
    let page = render_with(&theme);
    let names: Vec<_> = page
        .split('"')
        .filter_map(|text| text.strip_prefix(assets::PREFIX))
        .collect();
    let asset = |stem: &str| {
        theme
            .asset(names.iter().find(|name| name.starts_with(stem)).unwrap())
            .unwrap()
    };
    assert_eq!(
        (&asset("logo.").body[..], asset("logo.").content_type),
        (LOGO, "image/svg+xml")
    );
    assert!(
        asset("logo.")
            .policy
            .unwrap()
            .contains("default-src 'none'")
            && asset("logo.").policy.unwrap().ends_with("sandbox")
    );
    let style = std::str::from_utf8(&asset("theme.").body).unwrap();
    assert!(style.starts_with(":root{--accent:#00bb66;") && style.ends_with("h1{color:red}"));
    assert!(asset("style.").policy.is_none());
    for name in names
        .iter()
        .filter(|name| name.starts_with("logo.") || name.starts_with("theme."))
    {
        assert_eq!(
            PageTheme::plain().asset(name),
            None,
            "the file belongs to one site"
        );
    }
}

#[test]
fn without_a_theme_there_are_no_links() {
    for (_, page) in samples::samples(layout()) {
        let page = page.unwrap();
        let links = Catalog::english().text("layout.links");
        assert!(!page.contains(links) && !page.contains("theme."));
    }
}

#[test]
fn templates_of_an_operator_replace_the_built_in_ones() {
    let template = |name: &str, text: &str| TemplateText {
        name: name.to_owned(),
        text: text.to_owned(),
    };
    let theme = themed(&Theme {
        templates: vec![
            template("_hello.html", "Hello {{ site_name }}"),
            template(
                "sign-out.html",
                "{% include \"_hello.html\" %}<h1>{{ words.sign_out.heading }}</h1>",
            ),
        ],
        ..Theme::default()
    });
    let page = logout(&LogoutView {
        layout: Layout {
            theme: &theme,
            ..layout()
        },
        action: "/logout",
        back: "/",
    });
    assert_eq!(page.unwrap(), "Hello Lantern &amp; Loom<h1>Sign out?</h1>");
}

#[test]
fn an_error_in_a_template_has_its_position() {
    let error = |name: &str, text: &str| {
        let theme = Theme {
            templates: vec![TemplateText {
                name: name.to_owned(),
                text: text.to_owned(),
            }],
            ..Theme::default()
        };
        match PageTheme::of(&theme) {
            Err(error) => error,
            Ok(theme) => {
                let pages = samples::samples(Layout {
                    theme: &theme,
                    ..layout()
                });
                pages.into_iter().find_map(|(_, page)| page.err()).unwrap()
            }
        }
        .to_string()
    };
    assert!(error("sign-in.html", "a\n{% if %}").starts_with("sign-in.html:2: syntax error"));
    assert!(
        error("message.html", "a\nb\n{{ page.nothing }}")
            .starts_with("message.html:3: undefined value")
    );
    assert!(
        error(
            "layout.html",
            "{% block body %}{% endblock %}\n{{ words.layout.nothing }}"
        )
        .starts_with("layout.html:2: ")
    );
    assert!(
        error("sign-out.html", "{% include \"_gone.html\" %}")
            .starts_with("sign-out.html:1: template not found")
    );
}

/// A template without a sample would not be checked before a user gets its page.
#[test]
fn every_template_has_a_sample() {
    for name in template_names() {
        let marked = TemplateText {
            name: name.to_owned(),
            text: "<mark>it was here</mark>".to_owned(),
        };
        let theme = themed(&Theme {
            templates: vec![marked],
            ..Theme::default()
        });
        let pages = samples::samples(Layout {
            theme: &theme,
            ..layout()
        });
        assert!(
            pages
                .into_iter()
                .any(|(_, page)| page.is_ok_and(|page| page.contains("<mark>it was here"))),
            "{name} has no sample"
        );
    }
}

#[test]
fn samples_have_unique_names() {
    let mut names: Vec<String> = samples::samples(layout())
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    let all = names.len();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), all);
}
