//! Whole configurations: the shipped ones load, problems are reported line by line.

use std::path::Path;

use super::*;
use crate::model::algorithm::Algorithm;

fn shipped() -> Vec<PathBuf> {
    let mut paths = ["config/vestibule.toml", "packaging/replicas/vestibule.toml"]
        .map(Path::new)
        .map(Path::to_path_buf)
        .to_vec();
    let examples = std::fs::read_dir("config/examples").unwrap();
    paths.extend(
        examples
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().unwrap() == "toml"),
    );
    assert!(paths.len() > 5, "{paths:?}");
    paths
}

#[test]
fn every_shipped_configuration_loads() {
    for path in shipped() {
        let text = std::fs::read_to_string(&path).unwrap();
        if let Err(problems) = check_text(path.to_str().unwrap(), &text, &environment()) {
            panic!("{problems}");
        }
    }
}

/// What is said about `text`.
fn problems(text: &str) -> String {
    check_text("vestibule.toml", text, &environment())
        .unwrap_err()
        .to_string()
}

#[test]
fn six_mistakes_are_six_problems() {
    let text = r#"
[server]
lisen = ["127.0.0.1:8080"]
drain = "30 sec"

[providers.main]
kind = "fusionauht"
url = "https://id.example.com"
api_key = { env = "FUSIONAUTH_API_KEY" }

[[sites]]
name = "store"
origin = "http://store.example.com"
upstreams = ["http://127.0.0.1:3001"]

[[sites.rules]]
path = "/*"
access = "public"

[[sites.rules]]
path = "/admin/*"
access = "required"
roles = ["admin"]
"#;
    let expected = "\
        vestibule.toml:3:1: unknown key `lisen` in `server`, did you mean `listen`?\n\
        vestibule.toml:4:9: `drain` cannot be \"30 sec\", write it like \"500ms\", \"30s\", \"5m\", \"12h\" or \"30d\"\n\
        vestibule.toml:7:8: `kind` does not know \"fusionauht\", did you mean \"fusionauth\"?\n\
        vestibule.toml:11:1: `application_id` is missing, add it: the audience (`aud`) of its tokens, with FusionAuth \
        the id of the application\n\
        vestibule.toml:13:10: `origin` would send cookies in the clear: \"http://store.example.com\", write https, or \
        insecure = true if nobody can listen on the way\n\
        vestibule.toml:21:8: \"/admin/*\" stays public: the rule \"/*\" before it covers it, put the narrower rule \
        first, or take one away";
    assert_eq!(problems(text), expected);
}

#[test]
fn a_slip_in_the_syntax_does_not_hide_the_rest() {
    let text =
        "state_dir = /var/lib\n[server]\nworkers = -1\n[log]\nlevel = \"loud\"\nlevel = \"info\"\n";
    let expected = "\
        vestibule.toml:1:13: string values must be quoted, expected literal string, text stands in quotes\n\
        vestibule.toml:3:11: `workers` is out of bounds: -1, from 0 to 1024\n\
        vestibule.toml:5:9: `level` does not know \"loud\", write one of \"error\", \"warn\", \"info\", \"debug\", \
        \"trace\"\n\
        vestibule.toml:6:1: duplicate key, keep one of them";
    assert_eq!(problems(text), expected);
}

#[test]
fn what_did_not_fit_is_not_missed_as_well() {
    let text = include_str!("tests/base.toml").replace("bearer = false", "provider = \"other\"");
    let text = format!("{text}provider = \"main\"\n[providers]\nother = 5\n");
    assert_eq!(
        problems(&text),
        "vestibule.toml:41:9: `other` is a whole number, write a table"
    );
    let text = "providers = 5\nsites = \"x\"";
    let expected = "\
        vestibule.toml:1:13: `providers` is a whole number, write a table\n\
        vestibule.toml:2:9: `sites` is a string, write a list";
    assert_eq!(problems(text), expected);
}

#[test]
fn an_empty_file_is_told_what_it_needs() {
    let expected = "\
        vestibule.toml:1:1: `providers` is missing, add it: The identity providers, one `[providers.NAME]` each\n\
        vestibule.toml:1:1: `sites` is missing, add it: The guarded applications, one `[[sites]]` each";
    assert_eq!(problems(""), expected);
}

#[test]
fn a_file_that_is_not_there_is_a_problem() {
    let problems = load(Path::new("config/not-there.toml"))
        .unwrap_err()
        .to_string();
    assert!(
        problems.starts_with("config/not-there.toml:1:1: the file cannot be read: "),
        "{problems}"
    );
}

#[test]
fn no_secret_is_in_settings_or_problems() {
    let text = std::fs::read_to_string("config/examples/behind-a-load-balancer.toml").unwrap();
    let mut there = environment();
    let settings = check_text("x.toml", &text, &there).unwrap();
    let shown = format!("{settings:?} {settings:#?}");
    for value in there
        .files
        .values()
        .chain(there.variables.values())
        .map(|value| value.trim_end())
    {
        assert!(value.is_empty() || !shown.contains(value), "{value}");
    }
    assert!(!shown.contains("1, 2, 3, 4"), "{shown}");
    for value in there.files.values_mut().chain(there.variables.values_mut()) {
        *value = format!("hush \u{7} {value}");
    }
    let problems = check_text("x.toml", &text, &there).unwrap_err();
    assert!(problems.iter().count() >= 3, "{problems}");
    assert!(
        !format!("{problems} {problems:?}").contains("hush"),
        "{problems}"
    );
}

#[test]
fn one_newline_at_the_end_of_a_secret_file_is_cut() {
    let text = include_str!("tests/base.toml").replace("\"the-api-key\"", "{ file = \"key\" }");
    for (written, read) in [("k\n", "k"), ("k\r\n", "k"), ("k", "k")] {
        let mut there = FakeEnvironment::default();
        there
            .files
            .insert("/etc/vestibule/key".into(), written.to_owned());
        let settings = check_text("/etc/vestibule/vestibule.toml", &text, &there).unwrap();
        let settings::ProviderKind::Fusionauth { api_key, .. } = &settings.providers["main"].kind
        else {
            panic!("another kind")
        };
        assert_eq!(api_key.expose(), read);
    }
}

#[test]
fn what_is_left_out_has_its_default() {
    let text = std::fs::read_to_string("config/examples/minimal-store.toml").unwrap();
    let settings = check_text("/etc/vestibule/vestibule.toml", &text, &environment()).unwrap();
    let (server, provider) = (&settings.server, &settings.providers["main"]);
    assert_eq!(settings.state_dir, Path::new("/var/lib/vestibule"));
    assert_eq!(server.listen, ["127.0.0.1:8080".parse().unwrap()]);
    assert_eq!(server.admin, "127.0.0.1:9090".parse().ok());
    assert_eq!(
        (
            server.workers,
            server.drain.as_secs(),
            server.limits.max_login_body
        ),
        (0, 30, 16 * 1024)
    );
    assert_eq!(
        provider.algorithms,
        [Algorithm::Rs256, Algorithm::Es256, Algorithm::EdDsa]
    );
    assert_eq!(
        (provider.timeout.as_secs(), provider.leeway.as_secs()),
        (5, 30)
    );
    assert_eq!(
        (
            settings.login.account_limit.attempts,
            settings.login.address_limit.attempts
        ),
        (5, 30)
    );
    let site = &settings.sites[0];
    assert_eq!(
        (
            site.provider.as_str(),
            site.landing.as_str(),
            site.after_logout.as_str()
        ),
        ("main", "/", "/")
    );
    assert_eq!(site.default_access, crate::model::rule::Access::Required);
    assert_eq!(
        site.cookies,
        crate::model::cookie_names::CookieNames::defaults(crate::model::origin::Scheme::Https)
    );
    assert_eq!(
        (
            site.refresh_ahead.as_secs(),
            settings.reuse_window.as_secs()
        ),
        (60, 60)
    );
}

#[test]
fn the_url_of_a_provider_has_no_slash_at_its_end() {
    let base = include_str!("tests/base.toml");
    for (written, read) in [
        ("https://id.example.com/", "https://id.example.com"),
        ("http://[::1]:9/a/", "http://[::1]:9/a"),
    ] {
        let text = base.replace("\"https://id.example.com\"", &format!("{written:?}"));
        let settings = check_text("x.toml", &text, &environment()).unwrap();
        let settings::ProviderKind::Fusionauth { url, .. } = &settings.providers["main"].kind
        else {
            panic!("another kind")
        };
        assert_eq!(url, read);
    }
}

#[test]
fn a_theme_is_read_with_its_files() {
    let theme = r##"theme = { name = "The Store", logo = "/etc/vestibule/store.svg", accent = "#0b6", language = "de-AT", templates = "good", links = { help = "/help" } }"##;
    let text = include_str!("tests/base.toml").replace("bearer = false", theme);
    let settings =
        check_text("x.toml", &text, &environment()).unwrap_or_else(|problems| panic!("{problems}"));
    let theme = &settings.sites[0].theme;
    assert_eq!(
        (theme.name.as_deref(), theme.language.as_deref()),
        (Some("The Store"), Some("de"))
    );
    assert_eq!(theme.accent.unwrap().to_string(), "#00bb66");
    assert_eq!(
        theme
            .templates
            .iter()
            .map(|template| template.name.as_str())
            .collect::<Vec<_>>(),
        ["sign-out.html"]
    );
    assert_eq!(theme.style.as_deref(), Some("h1 { color: red }"));
    let from = [
        "/etc/vestibule/store.svg",
        "good/sign-out.html",
        "good/style.css",
        "good",
    ]
    .map(PathBuf::from);
    assert!(settings.files.is_superset(&from.into()));
    assert_eq!(settings.sites[1].theme, Box::default());
}

/// The reference configuration shows every key that there is, as a comment where it is not
/// supported yet.
#[test]
fn the_reference_configuration_shows_every_key() {
    fn keys(schema: &serde_json::Value, found: &mut Vec<String>) {
        if schema["x-written"] == "secret" {
            return;
        }
        for (key, entry) in schema["properties"].as_object().into_iter().flatten() {
            found.push(key.clone());
            keys(entry, found);
            keys(&entry["items"], found);
            keys(&entry["additionalProperties"], found);
        }
    }
    let mut all = Vec::new();
    keys(&schema(), &mut all);
    assert!(all.len() > 70, "{all:?}");
    let text = std::fs::read_to_string("config/vestibule.toml").unwrap();
    for key in all {
        let shown = [
            format!("{key} = "),
            format!("[{key}]"),
            format!("[{key}."),
            format!(".{key}]"),
        ];
        assert!(
            shown.iter().any(|form| text.contains(form)),
            "config/vestibule.toml does not show `{key}`"
        );
    }
}

mod guides;
mod machine;
mod refusals;
mod warnings;

use machine::environment;

mod no_text_panics {
    use proptest::prelude::*;

    use super::{check_text, environment};

    const WHOLE: &str = include_str!("tests/base.toml");

    proptest! {
        #[test]
        fn anything(text in "\\PC{0,80}") {
            let _ = check_text("x.toml", &text, &environment());
        }

        #[test]
        fn what_looks_like_toml(text in "([a-z\\[\\]{}=\"'.#, \n0-9-]|sites|server|\\[\\[sites\\]\\]\n|rules|é){0,60}") {
            let _ = check_text("x.toml", &text, &environment());
        }

        #[test]
        fn a_mangled_file(at in 0..WHOLE.len(), gone in 0..40_usize, put in "[\\[\\]{}=\"',.\n0a#é-]{0,6}") {
            let end = (at + gone).min(WHOLE.len());
            let text = format!("{}{put}{}", &WHOLE[..at], &WHOLE[end..]);
            if let Err(problems) = check_text("x.toml", &text, &environment()) {
                let lines = text.lines().count() + 1;
                prop_assert!(problems.iter().all(|problem| problem.line <= lines && problem.column > 0));
            }
        }
    }
}
