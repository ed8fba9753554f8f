//! Compares the documentation with the code, and the code with the documentation it cites.
#![cfg(test)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use vestibule::model::cookie_names::{CookieKind, CookieNames, MAX_CHUNK, MAX_CHUNKED_TOTAL};
use vestibule::model::identity_headers::IdentityHeaders;
use vestibule::model::origin::Scheme;
use vestibule::model::site::OwnPaths;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The file with each run of white space as one space, so that a wrapped line hides nothing.
fn read_unwrapped(path: &str) -> String {
    read(path).split_whitespace().collect::<Vec<_>>().join(" ")
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
fn the_endpoints_page_knows_our_paths() {
    let text = read("docs/reference/endpoints.md");
    let paths = OwnPaths::default();
    for path in paths.iter() {
        assert!(
            text.contains(&format!("`{path}`")),
            "endpoints.md does not name {path}"
        );
    }
}

#[test]
fn the_cookies_page_knows_our_cookies() {
    let text = read_unwrapped("docs/reference/cookies.md");
    for kind in CookieKind::ALL {
        for scheme in [Scheme::Https, Scheme::Http] {
            let names = CookieNames::defaults(scheme);
            let name = names.name(kind);
            assert!(
                text.contains(&format!("`{name}`")),
                "cookies.md does not name {name}"
            );
        }
    }
    for limit in [MAX_CHUNK, MAX_CHUNKED_TOTAL] {
        assert!(
            text.contains(&format!("{limit} bytes")),
            "cookies.md does not name the limit of {limit} bytes"
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
        "themes.md lists other languages"
    );
    assert!(languages.iter().all(|language| text.contains(language)));
}

/// The files beneath `directory` whose extension is one of `extensions`, in a stable order.
fn files(directory: &str, extensions: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut left = vec![root().join(directory)];
    while let Some(path) = left.pop() {
        if path.is_dir() {
            // Installed packages bring documents of their own.
            let is_ours = |path: &PathBuf| !path.ends_with("node_modules");
            left.extend(
                fs::read_dir(path)
                    .unwrap()
                    .map(|entry| entry.unwrap().path())
                    .filter(is_ours),
            );
        } else if extensions.iter().any(|known| {
            path.extension()
                .is_some_and(|extension| extension == *known)
        }) {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn shown(path: &Path) -> String {
    path.strip_prefix(root()).unwrap().display().to_string()
}

fn documents() -> Vec<PathBuf> {
    let mut files = files("docs", &["md"]);
    files.extend(["README.md", "SECURITY.md", "CHANGELOG.md"].map(|name| root().join(name)));
    files
}

/// A document without its code blocks, in which `[text](target)` and `#` mean something else.
fn without_code(text: &str) -> String {
    text.split("```").step_by(2).collect()
}

/// The target of every `[text](target)` outside of code blocks.
fn links(text: &str) -> Vec<String> {
    without_code(text)
        .split("](")
        .skip(1)
        .filter_map(|rest| Some(rest.split_once(')')?.0.to_owned()))
        .collect()
}

/// The anchors of a document's headings, by GitHub's rule: lower case, spaces as hyphens, without
/// punctuation, and a number behind one that was there before.
fn anchors(text: &str) -> BTreeSet<String> {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let mut anchors = BTreeSet::new();
    for line in without_code(text).lines() {
        let Some((level, heading)) = line.split_once(' ') else {
            continue;
        };
        if level.is_empty() || !level.chars().all(|c| c == '#') {
            continue;
        }
        let slug: String = heading
            .trim()
            .to_lowercase()
            .chars()
            .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'))
            .map(|c| if c == ' ' { '-' } else { c })
            .collect();
        let before = seen.entry(slug.clone()).or_default();
        anchors.insert(match *before {
            0 => slug,
            count => format!("{slug}-{count}"),
        });
        *before += 1;
    }
    anchors
}

#[test]
fn anchors_follow_githubs_rule() {
    let text = "# Sign-in: two steps\n## `[[sites]]`\n```sh\n# no heading\n```\n## Sign-in two steps\n#tag\n";
    let expected = ["sign-in-two-steps", "sites", "sign-in-two-steps-1"];
    assert_eq!(anchors(text), expected.map(str::to_owned).into());
}

/// Why `path#anchor` leads nowhere; `None` if it leads to a file and, if it has an anchor, to a
/// heading.
fn dead_end(path: &Path, anchor: Option<&str>) -> Option<String> {
    if !path.exists() {
        return Some("no such file".to_owned());
    }
    let anchor = anchor?;
    let known = anchors(&fs::read_to_string(path).unwrap());
    (!known.contains(anchor)).then(|| format!("no heading #{anchor}"))
}

#[test]
fn every_link_in_the_documents_leads_somewhere() {
    let (mut followed, mut broken) = (0, Vec::new());
    for file in documents() {
        for link in links(&fs::read_to_string(&file).unwrap()) {
            if link.contains("://") {
                continue;
            }
            followed += 1;
            let (path, anchor) = match link.split_once('#') {
                Some((path, anchor)) => (path, Some(anchor)),
                None => (link.as_str(), None),
            };
            let target = if path.is_empty() {
                file.clone()
            } else {
                file.parent().unwrap().join(path)
            };
            if let Some(why) = dead_end(&target, anchor) {
                broken.push(format!("{}: {link}: {why}", shown(&file)));
            }
        }
    }
    assert!(followed > 10, "the links were not found");
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

/// Paths in backquotes, such as the test of a requirement.
#[test]
fn every_path_that_the_documents_name_is_there() {
    const TOP: [&str; 7] = [
        "benches/",
        "examples/",
        "packaging/",
        "scripts/",
        "src/",
        "static/",
        "tests/",
    ];
    let (mut named, mut missing) = (0, Vec::new());
    for file in documents() {
        let text = without_code(&fs::read_to_string(&file).unwrap());
        for word in text.split('`').skip(1).step_by(2) {
            if !TOP.iter().any(|top| word.starts_with(top)) || word.contains([' ', '*', '…']) {
                continue;
            }
            named += 1;
            if !root().join(word).exists() {
                missing.push(format!("{}: {word}", shown(&file)));
            }
        }
    }
    assert!(named > 10, "the paths were not found");
    assert!(missing.is_empty(), "{}", missing.join("\n"));
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

/// The comments of a Rust source, each with its first line; lines that follow one another are one
/// comment, so that a wrapped citation is found.
fn comments(source: &str) -> Vec<(usize, String)> {
    let mut comments: Vec<(usize, String)> = Vec::new();
    let mut goes_on = false;
    for (number, line) in source.lines().enumerate() {
        let (code, comment) = match line.trim_start().strip_prefix("//") {
            Some(comment) => ("", Some(comment)),
            None => match line.split_once(" // ") {
                Some((code, comment)) => (code, Some(comment)),
                None => (line, None),
            },
        };
        if let Some(comment) = comment {
            let text = comment.trim_start_matches(['/', '!']).trim();
            match comments.last_mut() {
                Some((_, before)) if goes_on => {
                    before.push(' ');
                    before.push_str(text);
                }
                _ => comments.push((number + 1, text.to_owned())),
            }
        }
        goes_on = comment.is_some() && code.is_empty();
    }
    comments
}

/// The ids of requirements in a text, such as those of the threat model.
fn requirements(text: &str) -> Vec<String> {
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '-')
        .filter(|word| {
            word.strip_prefix("R-").is_some_and(|number| {
                !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit())
            })
        })
        .map(str::to_owned)
        .collect()
}

/// The `docs/….md` and `docs/….md#anchor` in a text.
fn citations(text: &str) -> Vec<String> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '/' | '.' | '#');
    text.match_indices("docs/")
        .map(|(at, _)| {
            let rest = &text[at..];
            let end = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
            rest[..end].trim_end_matches('.').to_owned()
        })
        .filter(|citation| citation.contains(".md"))
        .collect()
}

const CODE: [&str; 4] = ["src", "tests", "benches", "examples"];

#[test]
fn every_citation_in_the_code_leads_somewhere() {
    let known: BTreeSet<String> = first_column(&read("docs/security/threat-model.md"));
    let (mut followed, mut broken) = (0, Vec::new());
    let cites = ["rs", "py", "sh", "toml", "yaml", "html", "js", "css", "lua"];
    for directory in CODE
        .iter()
        .chain(&["scripts", "config", "packaging", "static"])
    {
        for file in files(directory, &cites) {
            let text = fs::read_to_string(&file).unwrap();
            for citation in citations(&text) {
                followed += 1;
                let (path, anchor) = match citation.split_once('#') {
                    Some((path, anchor)) => (path, Some(anchor)),
                    None => (citation.as_str(), None),
                };
                if let Some(why) = dead_end(&root().join(path), anchor) {
                    broken.push(format!("{}: {citation}: {why}", shown(&file)));
                }
            }
            if file.extension().is_some_and(|extension| extension == "rs") {
                for (line, comment) in comments(&text) {
                    for id in requirements(&comment) {
                        followed += 1;
                        if !known.contains(&id) {
                            broken.push(format!(
                                "{}:{line}: the threat model has no {id}",
                                shown(&file)
                            ));
                        }
                    }
                }
            }
        }
    }
    assert!(followed > 30, "the citations were not found");
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

/// What a comment cites is in this repository or a public standard. A contract suite is neither,
/// but tests.
#[test]
fn no_comment_cites_a_document_from_outside() {
    const OUTSIDE: [&str; 6] = [
        "contract, section",
        "contract's",
        "security requirement",
        "architecture.md",
        "contract.md",
        "names.md",
    ];
    let mut found = Vec::new();
    for directory in CODE {
        for file in files(directory, &["rs"]) {
            for (line, comment) in comments(&fs::read_to_string(&file).unwrap()) {
                let text = comment.to_lowercase();
                let of_a_suite =
                    |rest: &str| rest.starts_with(" suite") || rest.starts_with(" test");
                let the_contract = text
                    .match_indices("the contract")
                    .any(|(at, words)| !of_a_suite(&text[at + words.len()..]));
                if the_contract || OUTSIDE.iter().any(|words| text.contains(words)) {
                    found.push(format!("{}:{line}: {comment}", shown(&file)));
                }
            }
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// Whoever is woken by an alert finds what it means.
#[test]
fn the_runbook_has_a_section_for_each_alert_and_for_no_other() {
    let rules = read("packaging/observability/alerts.yaml");
    let alerts: BTreeSet<&str> = rules
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- alert: "))
        .collect();
    let runbook = read("docs/guide/runbook.md");
    let sections: BTreeSet<&str> = runbook
        .lines()
        .filter_map(|line| line.strip_prefix("## "))
        .collect();
    assert!(alerts.len() > 10, "the alerts were not found");
    assert_eq!(alerts, sections);
    // Each rule has its test.
    let tests = read("packaging/observability/alerts_test.yaml");
    for alert in alerts {
        assert!(
            tests.contains(&format!("alertname=\"{alert}\"")),
            "alerts_test.yaml has no test of {alert}"
        );
    }
}

/// A shell block of a guide is run by a test, or says why not, in the line before it.
#[test]
fn every_shell_block_of_the_guides_says_who_runs_it() {
    let (mut found, mut silent) = (0, Vec::new());
    for file in documents() {
        let name = shown(&file);
        if !(name.starts_with("docs/guide/") || name == "README.md" || name.contains("quick-start"))
        {
            continue;
        }
        let text = fs::read_to_string(&file).unwrap();
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        for (at, _) in lines
            .iter()
            .enumerate()
            .filter(|(_, line)| **line == "```sh")
        {
            found += 1;
            let before = at.checked_sub(1).map_or("", |before| lines[before]);
            let told = before.strip_suffix(" -->").unwrap_or_default();
            let is_told = match told.strip_prefix("<!-- run: ") {
                Some(runner) => runner.split_once(' ').is_some_and(|(script, block)| {
                    root().join(script).exists() && read(script).contains(block)
                }),
                None => told.starts_with("<!-- not run: "),
            };
            if !is_told {
                silent.push(format!("{name}:{}", at + 1));
            }
        }
    }
    assert!(found > 10, "the blocks were not found");
    assert!(silent.is_empty(), "{}", silent.join("\n"));
}
