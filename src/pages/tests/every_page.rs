//! Properties of all pages, templates and static files.

use super::*;

/// The text of a page without the user's input, the name of the site and the names of languages.
fn visible_text(page: &str) -> String {
    let mut text = String::new();
    let page = match page.split_once("<nav class=\"languages\"") {
        Some((before, rest)) => {
            &[before, rest.split_once("</nav>").map_or("", |(_, it)| it)].concat()
        }
        None => page,
    };
    for part in page.split('<').skip(1) {
        text.push_str(part.split_once('>').map_or("", |(_, shown)| shown));
    }
    text.replace("Lantern &amp; Loom", "")
        .replace(REQUEST_ID, "")
        .replace("z***@example.com", "")
        .replace("zoe@example.com", "")
}

#[test]
fn every_page_has_a_title_a_heading_and_no_empty_parts() {
    for catalog in Catalog::all() {
        let direction = if catalog.tag == "ar" { "rtl" } else { "ltr" };
        let root = format!("<html lang=\"{}\" dir=\"{direction}\">", catalog.tag);
        for page in every_page(catalog) {
            assert!(page.contains(&root));
            assert!(!between(&page, "<title>", "</title>").trim().is_empty());
            assert!(!between(&page, "<h1>", "</h1>").trim().is_empty());
            assert_eq!(page.matches("<h1>").count(), 1);
            for unwanted in [
                "undefined",
                "none",
                "None",
                "<p></p>",
                "<p class=\"notice-title\"></p>",
                "{",
                "}",
            ] {
                let visible = page.replace("autocapitalize=\"none\"", "");
                assert!(!visible.contains(unwanted), "{unwanted} in {page}");
            }
        }
    }
}

#[test]
fn a_page_with_an_address_links_to_itself_in_every_language() {
    let address = LocalPath::endpoint("/logout");
    let page = |page_address| {
        let view = LogoutView {
            layout: Layout {
                page_address,
                ..layout()
            },
            action: "/logout",
            back: "/",
        };
        logout(&view).unwrap()
    };
    let with_address = page(Some(&address));
    for catalog in Catalog::all() {
        let link = format!(
            "logout?lang={}\" lang=\"{0}\" hreflang=\"{0}\" dir=",
            catalog.tag
        );
        assert!(with_address.contains(&link), "{link} in {with_address}");
    }
    assert_eq!(with_address.matches("aria-current").count(), 1);
    assert!(!page(None).contains("class=\"languages\""));
}

/// A message that does not exist is shown as its key, and one that is not translated in English.
/// Both have Latin letters, which Arabic pages must not have.
#[test]
fn every_page_is_in_one_language() {
    let catalog = Catalog::of("ar").unwrap();
    for page in every_page(catalog) {
        let text = visible_text(&page).replace("Caps Lock", "");
        assert!(!text.contains(|c: char| c.is_ascii_alphabetic()), "{text}");
    }
}

#[test]
fn templates_and_scripts_contain_no_text() {
    for (name, text) in templates::BUILT_IN {
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
    let script = include_str!("../../../static/sign-in.js");
    assert!(!script.contains("Content = \"") && !script.contains("aria-label\", \""));
}

#[test]
fn templates_have_no_inline_style_or_script_and_always_escape() {
    for (name, text) in templates::BUILT_IN {
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
    assert!(
        !CONTENT_SECURITY_POLICY.contains("form-action"),
        "it would stop redirects that lead on to another origin after a posted form"
    );
    for (name, value) in HEADERS {
        assert!(
            http::HeaderName::from_lowercase(name.as_bytes()).is_ok()
                && http::HeaderValue::from_str(value).is_ok()
        );
    }
    assert!(HEADERS.contains(&("referrer-policy", "same-origin")));
}

#[test]
fn files_are_found_by_the_paths_that_pages_use() {
    let page = render_login(&form(None));
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
