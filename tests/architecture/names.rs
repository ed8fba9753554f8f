//! How long a file may grow, and what it may be called.

use std::collections::{BTreeMap, BTreeSet};

use crate::plan::{EMPTY_NAMES, MAX_LINES, MAX_LINES_WITH_TESTS, SHARED_NAMES};
use crate::source::{Source, mark_tests};
use crate::{assert_none, sources};

#[test]
fn files_stay_short_and_have_telling_names() {
    let (mut empty, mut long) = (Vec::new(), BTreeSet::new());
    for source in sources() {
        let name = source.name();
        let all = source.text.lines().count();
        let tested = source.text.lines().position(|line| line == "#[cfg(test)]");
        let code = tested.unwrap_or(all);
        if code > MAX_LINES || all > MAX_LINES_WITH_TESTS {
            println!("{name}: {code} lines of code, {all} with tests: which concept is missing?");
            long.insert(name.clone());
        }
        if source
            .module
            .iter()
            .any(|part| EMPTY_NAMES.contains(&part.as_str()))
        {
            empty.push(format!("{name}: a name that says nothing"));
        }
    }
    assert!(empty.is_empty(), "{}", empty.join("\n"));
    assert_none("these files are too long", &long);
}

/// Names of several modules with the modules. A module for tests is named for what it tests, so it
/// does not count.
fn names(sources: &[Source]) -> BTreeMap<&str, Vec<String>> {
    let mut modules: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for source in sources.iter().filter(|source| !source.test) {
        let name = source.module.last().unwrap();
        modules.entry(name).or_default().push(source.name());
    }
    modules.retain(|_, modules| modules.len() > 1);
    modules
}

#[test]
fn a_name_has_one_meaning() {
    let mut names = names(sources());
    let mut alone = Vec::new();
    for shared in SHARED_NAMES {
        let (name, meaning) = shared.split_once(": ").expect("name: sentence");
        assert!(meaning.ends_with('.'), "{name}: its meaning is a sentence");
        if names.remove(name).is_none() {
            alone.push(name);
        }
    }
    assert!(
        alone.is_empty(),
        "not shared, take it from SHARED_NAMES in plan.rs: {alone:?}"
    );
    let line = |(name, modules): (&&str, &Vec<String>)| format!("{name}: {}", modules.join(", "));
    let found = names.iter().map(line).collect();
    assert_none("one name stands for two things", &found);
}

#[test]
fn a_name_of_several_modules_is_found() {
    let found = |modules: &[&str]| {
        let mut sources = vec![Source::new(
            &["store"],
            "#[cfg(test)] mod tests; mod redis;",
        )];
        for module in modules {
            sources.push(Source::new(&module.split("::").collect::<Vec<_>>(), ""));
        }
        mark_tests(&mut sources);
        let names = names(&sources).into_iter();
        names
            .map(|(name, modules)| format!("{name}: {}", modules.join(" ")))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        found(&[
            "store::keys",
            "proxy::tls::keys",
            "proxy::view",
            "cli",
            "cli::store"
        ]),
        [
            "keys: store::keys proxy::tls::keys",
            "store: store cli::store"
        ]
    );
    assert_eq!(
        found(&["keys", "store::tests::keys", "store::tests", "proxy"]),
        [""; 0]
    );
}
