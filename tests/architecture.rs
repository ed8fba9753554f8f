//! The plan of the house, held by a test: who may import whom, which crates a room must not name,
//! how long a file may grow. `docs/development/structure.md` tells the same table to people and is
//! compared with it here.
#![cfg(test)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// What one room may reach.
struct Room {
    name: &'static str,
    /// Rooms it may import; `room::module` for one module of it, `room::Item` for what stands in
    /// its `mod.rs`.
    imports: &'static [&'static str],
    /// Crates it must not name, each with its family: `tokio` is `tokio_util` too.
    shuns: &'static [&'static str],
}

const PURE: &[&str] = &[
    "pingora",
    "prometheus",
    "redis",
    "reqwest",
    "tokio",
    "toml",
    "tracing",
];

const ROOMS: &[Room] = &[
    Room {
        name: "model",
        imports: &[],
        shuns: PURE,
    },
    Room {
        name: "decide",
        imports: &["model"],
        shuns: PURE,
    },
    Room {
        name: "pages",
        imports: &["model"],
        shuns: PURE,
    },
    Room {
        name: "system",
        imports: &["model"],
        shuns: &["pingora", "reqwest"],
    },
    Room {
        name: "config",
        imports: &["model", "pages", "system"],
        shuns: &["pingora", "reqwest", "tokio"],
    },
    Room {
        name: "provider",
        imports: &["config::settings", "model"],
        shuns: &["pingora"],
    },
    Room {
        name: "store",
        imports: &["config::settings", "model"],
        shuns: &["pingora"],
    },
    Room {
        name: "telemetry",
        imports: &["model", "system"],
        shuns: &["pingora"],
    },
    Room {
        name: "runtime",
        imports: &[
            "config",
            "model",
            "pages",
            "provider",
            "store",
            "system",
            "telemetry",
        ],
        shuns: &["pingora"],
    },
    Room {
        name: "proxy",
        imports: &[
            "decide",
            "model",
            "pages",
            "provider::Item",
            "runtime",
            "store::Item",
            "system",
            "telemetry",
        ],
        shuns: &["redis", "reqwest", "toml"],
    },
    Room {
        name: "admin",
        imports: &["runtime"],
        shuns: &["pingora", "redis", "reqwest", "toml"],
    },
    Room {
        name: "embedded",
        imports: &["config", "model", "system"],
        shuns: &["pingora"],
    },
    Room {
        name: "cli",
        imports: &[
            "admin",
            "config",
            "decide",
            "embedded",
            "model",
            "proxy",
            "runtime",
            "system",
            "telemetry",
        ],
        shuns: &["pingora"],
    },
    Room {
        name: "main",
        imports: &[
            "cli",
            "config",
            "decide",
            "embedded",
            "model",
            "proxy",
            "runtime",
            "system",
            "telemetry",
        ],
        shuns: &["pingora"],
    },
];

/// Names that say nothing about what stands in a file.
const EMPTY_NAMES: &[&str] = &[
    "common", "helper", "helpers", "manager", "misc", "types", "util", "utils",
];

const MAX_LINES: usize = 550;
const MAX_LINES_WITH_TESTS: usize = 600;

/// Catalog and signs of a source without comments, strings and character literals. `::` is one
/// sign.
fn tokens(source: &str) -> Vec<String> {
    let chars: Vec<char> = source.chars().collect();
    let at = |index: usize| chars.get(index).copied().unwrap_or('\0');
    let mut found = Vec::new();
    let mut i = 0;
    while i < chars.len() {
        let c = at(i);
        if c == '/' && at(i + 1) == '/' {
            while i < chars.len() && at(i) != '\n' {
                i += 1;
            }
        } else if c == '/' && at(i + 1) == '*' {
            i = after_block_comment(&chars, i);
        } else if c == '"' {
            i = after_string(&chars, i);
        } else if c == '\'' {
            i = after_quote(&chars, i);
        } else if c.is_alphabetic() || c == '_' {
            let start = i;
            while at(i).is_alphanumeric() || at(i) == '_' {
                i += 1;
            }
            let word: String = chars[start..i].iter().collect();
            match (word.as_str(), at(i)) {
                ("r" | "br" | "cr", '"' | '#') if raw_string_hashes(&chars, i).is_some() => {
                    i = after_raw_string(&chars, i);
                }
                _ => found.push(word),
            }
        } else if c == ':' && at(i + 1) == ':' {
            found.push("::".to_owned());
            i += 2;
        } else {
            if !c.is_whitespace() {
                found.push(c.to_string());
            }
            i += 1;
        }
    }
    found
}

fn after_block_comment(chars: &[char], mut i: usize) -> usize {
    let mut depth = 0;
    while i < chars.len() {
        match (chars[i], chars.get(i + 1)) {
            ('/', Some('*')) => (depth, i) = (depth + 1, i + 2),
            ('*', Some('/')) => {
                (depth, i) = (depth - 1, i + 2);
                if depth == 0 {
                    return i;
                }
            }
            _ => i += 1,
        }
    }
    i
}

fn after_string(chars: &[char], mut i: usize) -> usize {
    i += 1;
    while i < chars.len() && chars[i] != '"' {
        i += if chars[i] == '\\' { 2 } else { 1 };
    }
    i + 1
}

fn raw_string_hashes(chars: &[char], i: usize) -> Option<usize> {
    let hashes = chars[i..].iter().take_while(|c| **c == '#').count();
    (chars.get(i + hashes) == Some(&'"')).then_some(hashes)
}

fn after_raw_string(chars: &[char], i: usize) -> usize {
    let hashes = raw_string_hashes(chars, i).unwrap();
    let mut end = i + hashes + 1;
    while end < chars.len() {
        if chars[end] == '"' && chars[end + 1..].iter().take_while(|c| **c == '#').count() >= hashes
        {
            return end + 1 + hashes;
        }
        end += 1;
    }
    end
}

/// Behind a character literal, or behind the `'` of a lifetime.
fn after_quote(chars: &[char], i: usize) -> usize {
    if chars.get(i + 1) == Some(&'\\') {
        let close = chars[i + 3..].iter().position(|c| *c == '\'').unwrap();
        return i + 3 + close + 1;
    }
    if chars.get(i + 2) == Some(&'\'') {
        i + 3
    } else {
        i + 1
    }
}

fn is_word(token: &str) -> bool {
    token.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

/// Every path into another room that `source` names, as `room` or `room::next`. `home` is the
/// module of the file, for instance `["proxy", "view"]`.
fn room_paths(source: &str, home: &[&str]) -> BTreeSet<String> {
    let tokens = tokens(source);
    let token = |i: usize| tokens.get(i).map_or("", String::as_str);
    let mut module: Vec<String> = home.iter().map(ToString::to_string).collect();
    let mut braces: Vec<bool> = Vec::new();
    let mut found = BTreeSet::new();
    for i in 0..tokens.len() {
        match token(i) {
            "{" => {
                let opens_module = i >= 2 && token(i - 2) == "mod";
                if opens_module {
                    module.push(token(i - 1).to_owned());
                }
                braces.push(opens_module);
            }
            "}" if braces.pop() == Some(true) => {
                module.pop();
            }
            "crate" | "vestibule" | "super" | "self"
                if i == 0 || token(i - 1) != "::" && token(i + 1) == "::" =>
            {
                expand(&tokens, i, &module, &module, &mut found);
            }
            _ => {}
        }
    }
    found
}

/// Follows one path or use-tree from token `i`, standing in `base`; returns the token behind it.
fn expand(
    tokens: &[String],
    mut i: usize,
    module: &[String],
    base: &[String],
    found: &mut BTreeSet<String>,
) -> usize {
    let token = |i: usize| tokens.get(i).map_or("", String::as_str);
    let mut path = base.to_vec();
    loop {
        match token(i) {
            "crate" | "vestibule" => path.clear(),
            "super" => {
                path.pop();
            }
            "self" => {}
            "*" => {
                path.push("*".to_owned());
                break;
            }
            "{" => {
                i += 1;
                while token(i) != "}" && i < tokens.len() {
                    i = if is_word(token(i)) || token(i) == "*" {
                        expand(tokens, i, module, &path, found)
                    } else {
                        i + 1
                    };
                }
                return i + 1;
            }
            word if is_word(word) => path.push(word.to_owned()),
            _ => break,
        }
        i += 1;
        if token(i) != "::" {
            break;
        }
        i += 1;
    }
    if path.first() != module.first() || module.is_empty() {
        found.insert(
            path.iter()
                .take(2)
                .map(String::as_str)
                .collect::<Vec<_>>()
                .join("::"),
        );
    }
    i.max(1)
}

/// What may stand before a path that starts with `::`.
const KEYWORDS: &[&str] = &[
    "as", "dyn", "else", "for", "if", "impl", "in", "match", "mut", "return", "use", "while",
];

/// The crates at the start of a path in `source`.
fn crates(source: &str) -> BTreeSet<String> {
    let tokens = tokens(source);
    let token = |i: usize| tokens.get(i).map_or("", String::as_str);
    let continues_path = |i: usize| {
        let before = if i < 2 { "" } else { token(i - 2) };
        i > 0
            && token(i - 1) == "::"
            && (before == ">" || is_word(before) && !KEYWORDS.contains(&before))
    };
    (0..tokens.len())
        .filter(|&i| is_word(token(i)) && !continues_path(i))
        .filter(|&i| token(i + 1) == "::" || i > 0 && matches!(token(i - 1), "use" | "crate"))
        .map(|i| token(i).to_owned())
        .collect()
}

/// What is wrong with the source of a file of `room`.
fn faults(room: &Room, home: &[&str], source: &str) -> Vec<String> {
    let mut faults = Vec::new();
    for path in room_paths(source, home) {
        if path.is_empty() || !room.imports.iter().any(|allowed| permits(allowed, &path)) {
            faults.push(format!("{} imports crate::{path}", home.join("::")));
        }
    }
    for name in crates(source) {
        let shunned =
            |shunned: &&str| name == **shunned || name.starts_with(&format!("{shunned}_"));
        if room.shuns.iter().any(shunned) {
            faults.push(format!("{} names the crate {name}", home.join("::")));
        }
    }
    if room.name == "decide" && tokens(source).iter().any(|token| token == "async") {
        faults.push(format!("{} is async", home.join("::")));
    }
    faults
}

fn permits(allowed: &str, path: &str) -> bool {
    let (room, next) = path.split_once("::").unwrap_or((path, ""));
    match allowed.split_once("::") {
        None => room == allowed,
        // What stands in the room's own `mod.rs` are traits and types; its modules are lower-case.
        Some((of, "Item")) => room == of && next.starts_with(char::is_uppercase),
        Some((of, module)) => room == of && next == module,
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every Rust file beneath `directory`, in order.
fn rust_files(directory: &Path) -> Vec<PathBuf> {
    let mut entries: Vec<PathBuf> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    entries.sort();
    let mut files = Vec::new();
    for path in entries {
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}

/// The files of the library and the program: module path and source. `lib.rs` only lists the rooms.
fn sources() -> Vec<(Vec<String>, String)> {
    let src = root().join("src");
    let mut sources = Vec::new();
    for file in rust_files(&src) {
        let below = file.strip_prefix(&src).unwrap().with_extension("");
        let mut module: Vec<String> = below
            .iter()
            .map(|part| part.to_str().unwrap().to_owned())
            .collect();
        if module.last().is_some_and(|last| last == "mod") {
            module.pop();
        }
        if module != ["lib"] {
            sources.push((module, fs::read_to_string(&file).unwrap()));
        }
    }
    assert!(sources.len() > 20, "the sources were not found");
    sources
}

#[test]
fn rooms_import_only_what_the_plan_allows() {
    let mut all = Vec::new();
    for (module, source) in sources() {
        let home: Vec<&str> = module.iter().map(String::as_str).collect();
        match ROOMS.iter().find(|room| room.name == home[0]) {
            Some(room) => all.extend(faults(room, &home, &source)),
            None => all.push(format!("{} is no room of the plan", home.join("::"))),
        }
    }
    assert!(all.is_empty(), "{}", all.join("\n"));
}

#[test]
fn a_wrong_import_is_found_in_every_spelling() {
    let of = |name: &str| ROOMS.iter().find(|room| room.name == name).unwrap();
    let found = |room: &str, module: &str, source: &str| {
        !faults(of(room), &[room, module], source).is_empty()
    };
    for wrong in [
        "use crate::proxy::server;",
        "use crate::{model::site::Site, proxy::server};",
        "use crate::{\n    model::{site, rule},\n    config,\n};",
        "fn f() { crate::store::memory::new() }",
        "use super::super::runtime::Runtime;",
        "use super::{super::runtime, visitor};",
        "mod tests { use super::super::super::runtime; }",
        "mod tests { use super::super::super::{model, runtime}; }",
        "use crate::*;",
        "pub(in crate::proxy) fn f() {}",
        "use tokio::sync::Mutex;",
        "use ::tokio::sync::Mutex;",
        "use {std::fmt, tokio_util::codec};",
        "use tokio;",
        "extern crate redis;",
        "fn f() { tracing::info!(\"x\") }",
        "async fn f() {}",
        "/* a /* nested */ comment */ use crate::proxy;",
        "const C: char = '\"'; use crate::proxy; const D: char = '\"';",
    ] {
        assert!(found("decide", "visitor", wrong), "not found: {wrong}");
    }
    for right in [
        "use crate::model::{site::Site, rule};",
        "use super::visitor::Visitor; use self::inner::Y;",
        "mod tests { use super::*; use super::super::visitor; }",
        "// use crate::proxy;\n/// See [`crate::proxy`].\nfn f() {}",
        "const S: &str = \"use crate::proxy; \\\" tokio::spawn\"; const R: &str = r#\"use crate::proxy\"#;",
        "fn f<'a>(x: &'a str) -> char { '\\'' }",
        "fn f() { model::tokio::spawn() }",
    ] {
        assert!(!found("decide", "visitor", right), "wrongly found: {right}");
    }
    assert!(!found(
        "provider",
        "keys",
        "use crate::config::settings::Provider;"
    ));
    assert!(found(
        "provider",
        "keys",
        "use crate::config::file::Provider;"
    ));
    assert!(!found(
        "proxy",
        "fetch",
        "use crate::provider::{Provider, ProviderError};"
    ));
    assert!(found(
        "proxy",
        "fetch",
        "use crate::provider::{Provider, fusionauth::Client};"
    ));
}

#[test]
fn files_stay_short_and_have_telling_names() {
    let mut faults = Vec::new();
    for (module, source) in sources() {
        let name = module.join("::");
        let tested = source.lines().position(|line| line == "#[cfg(test)]");
        let (all, code) = (
            source.lines().count(),
            tested.unwrap_or(source.lines().count()),
        );
        if code > MAX_LINES || all > MAX_LINES_WITH_TESTS {
            faults.push(format!(
                "{name}: {code} lines of code, {all} with tests: which concept is missing?"
            ));
        }
        if module
            .iter()
            .any(|part| EMPTY_NAMES.contains(&part.as_str()))
        {
            faults.push(format!("{name}: a name that says nothing"));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// `clippy.toml` bans a method and names its home, as in "one clock: system".
#[test]
fn a_banned_method_is_called_only_in_its_home() {
    let clippy = fs::read_to_string(root().join("clippy.toml")).unwrap();
    let bans: Vec<(&str, &str)> = clippy
        .lines()
        .filter_map(|line| {
            let (_, rest) = line.split_once("{ path = \"")?;
            let (path, rest) = rest.split_once('"')?;
            Some((path, rest.split_once(": ")?.1.split_once('"')?.0))
        })
        .collect();
    assert_eq!(
        bans.len(),
        clippy.matches("{ path =").count(),
        "every ban names its home"
    );
    let homes: BTreeSet<&str> = bans.iter().map(|(_, home)| *home).collect();
    let mut faults = Vec::new();
    for (module, source) in sources() {
        let (name, words) = (module.join("::"), tokens(&source).join(" "));
        if words.contains("clippy :: disallowed_methods") && !homes.contains(name.as_str()) {
            faults.push(format!("{name} lifts a ban and is no home of one"));
        }
        for (path, home) in &bans {
            let calls = path.rsplit("::").take(2).collect::<Vec<_>>();
            if name != *home
                && format!(" {words} ").contains(&format!(" {} :: {} ", calls[1], calls[0]))
            {
                faults.push(format!("{name} names {path}, whose home is {home}"));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn the_table_people_read_is_the_table_that_is_held() {
    let text = fs::read_to_string(root().join("docs/development/structure.md")).unwrap();
    let quoted = |cell: &str| -> Vec<String> {
        cell.split('`')
            .skip(1)
            .step_by(2)
            .map(str::to_owned)
            .collect()
    };
    let rows: Vec<Vec<&str>> = text
        .lines()
        .filter(|line| line.starts_with("| `"))
        .map(|line| line.split('|').skip(1).map(str::trim).collect())
        .collect();
    for room in ROOMS {
        let row = rows.iter().find(|row| quoted(row[0]) == [room.name]);
        let row = row.unwrap_or_else(|| panic!("structure.md does not tell of {}", room.name));
        assert_eq!(quoted(row[2]), room.imports, "imports of {}", room.name);
        assert_eq!(
            quoted(row[3]),
            room.shuns,
            "crates shunned by {}",
            room.name
        );
    }
    assert_eq!(
        rows.len(),
        ROOMS.len(),
        "structure.md tells of rooms that are not there"
    );
}
