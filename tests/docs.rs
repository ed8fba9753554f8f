//! What the documents say, held to what stands in the code.
#![cfg(test)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use vestibule::model::cookie::{CookieKind, CookieNames, MAX_CHUNK, MAX_CHUNKED_TOTAL};
use vestibule::model::identity_headers::IdentityHeaders;
use vestibule::model::site::OwnPaths;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The words in backquotes in the first column of every table.
fn first_column(text: &str) -> BTreeSet<String> {
    text.lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once('`'))
        .map(|(word, _)| word.to_owned())
        .collect()
}

#[test]
fn every_dependency_is_explained_and_none_that_is_gone() {
    let manifest: toml::Table = read("Cargo.toml").parse().unwrap();
    let mut direct = BTreeSet::new();
    for table in ["dependencies", "dev-dependencies", "build-dependencies"] {
        if let Some(table) = manifest.get(table).and_then(toml::Value::as_table) {
            direct.extend(table.keys().cloned());
        }
    }
    assert!(direct.contains("pingora"));
    assert_eq!(
        first_column(&read("docs/development/dependencies.md")),
        direct
    );
}

#[test]
fn the_endpoints_page_knows_our_paths_and_cookies() {
    let text = read("docs/reference/endpoints.md");
    let paths = OwnPaths::default();
    for path in [&paths.login, &paths.logout, &paths.api] {
        assert!(
            text.contains(&format!("`{path}`")),
            "endpoints.md does not name {path}"
        );
    }
    for kind in CookieKind::ALL {
        for secure in [true, false] {
            let names = CookieNames::defaults(secure);
            let name = names.of(kind);
            assert!(
                text.contains(&format!("`{name}`")),
                "endpoints.md does not name {name}"
            );
        }
    }
    for limit in [MAX_CHUNK, MAX_CHUNKED_TOTAL] {
        assert!(
            text.contains(&format!("{limit} bytes")),
            "endpoints.md does not tell of {limit} bytes"
        );
    }
}

#[test]
fn the_headers_page_knows_every_identity_header() {
    let text = read("docs/reference/headers.md").to_lowercase();
    let sets = [
        Some(IdentityHeaders::x_auth()),
        IdentityHeaders::preset("remote-user"),
    ];
    for set in sets
        .into_iter()
        .chain([IdentityHeaders::preset("x-forwarded-user")])
    {
        for name in set.unwrap().names() {
            assert!(
                text.contains(&format!("`{name}`")),
                "headers.md does not name {name}"
            );
        }
    }
}

/// What the gateway manages always is one list in the code; the page must name all of it.
#[test]
fn the_headers_page_knows_every_managed_header() {
    let text = read("docs/reference/headers.md").to_lowercase();
    let code = read("src/model/site.rs");
    let list = code
        .split_once("ALWAYS_MANAGED: &[&str] = &[")
        .unwrap()
        .1
        .split_once(']')
        .unwrap()
        .0;
    let names: Vec<&str> = list.split('"').skip(1).step_by(2).collect();
    assert!(names.len() > 10);
    for name in names {
        assert!(
            text.contains(&format!("`{name}`")),
            "headers.md does not name {name}"
        );
    }
}

#[test]
fn the_guide_to_themes_knows_every_template_and_language() {
    let text = read("docs/guide/themes.md");
    for name in vestibule::pages::template_names() {
        assert!(
            text.contains(&format!("| `{name}` |")),
            "themes.md does not name {name}"
        );
    }
    let languages = [
        "Arabic",
        "English",
        "French",
        "German",
        "Japanese",
        "Portuguese",
        "Spanish",
    ];
    assert_eq!(
        vestibule::pages::Catalog::all().len(),
        languages.len(),
        "themes.md tells of other languages"
    );
    assert!(languages.iter().all(|language| text.contains(language)));
}

fn documents(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(documents(&path));
        } else if path.extension().is_some_and(|extension| extension == "md") {
            found.push(path);
        }
    }
    found
}

/// The target of every `[text](target)` outside of code.
fn links(text: &str) -> Vec<String> {
    let outside: String = text.split("```").step_by(2).collect();
    outside
        .split("](")
        .skip(1)
        .filter_map(|rest| Some(rest.split_once(')')?.0.to_owned()))
        .collect()
}

#[test]
fn every_link_in_the_documents_leads_somewhere() {
    let mut files = documents(&root().join("docs"));
    files.extend(["README.md", "SECURITY.md", "CHANGELOG.md"].map(|name| root().join(name)));
    let (mut followed, mut broken) = (0, Vec::new());
    for file in files {
        for link in links(&fs::read_to_string(&file).unwrap()) {
            let path = link.split('#').next().unwrap_or_default();
            if path.is_empty() || path.contains("://") {
                continue;
            }
            followed += 1;
            if !file.parent().unwrap().join(path).exists() {
                broken.push(format!(
                    "{}: {link}",
                    file.strip_prefix(root()).unwrap().display()
                ));
            }
        }
    }
    assert!(followed > 10, "the links were not found");
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

/// Scripts and CI call each other by path.
#[test]
fn every_script_that_is_called_is_there() {
    for caller in [
        "Makefile",
        ".ci/run",
        "scripts/test.sh",
        "scripts/check.sh",
        "scripts/bench.sh",
        "scripts/real.sh",
    ] {
        for word in read(caller).split_whitespace() {
            if word.starts_with("scripts/") {
                assert!(root().join(word).exists(), "{caller} calls {word}");
            }
        }
    }
}
