//! Who may import whom, and which crates a room must not name.

use std::collections::BTreeSet;

use crate::plan::{ROOMS, Room};
use crate::source::{Source, absolute};
use crate::sources;

/// Every path into another room that a file names, as `room` or `room::next`.
fn room_paths(source: &Source) -> BTreeSet<String> {
    let paths = source.references.iter().filter_map(|reference| {
        let path = absolute(&reference.module, &reference.path)?;
        let is_home = path.first() == Some(&source.module[0]);
        (!is_home).then(|| path[..path.len().min(2)].join("::"))
    });
    paths.collect()
}

/// The crates, or names that stand for them, at the start of a file's paths.
fn crates(source: &Source) -> BTreeSet<&str> {
    let paths = source.references.iter();
    paths.map(|reference| reference.path[0].as_str()).collect()
}

/// What is wrong with a file of `room`.
fn faults(room: &Room, source: &Source) -> Vec<String> {
    let (name, mut faults) = (source.name(), Vec::new());
    for path in room_paths(source) {
        if path.is_empty() || !room.imports.iter().any(|allowed| permits(allowed, &path)) {
            faults.push(format!("{name} imports crate::{path}"));
        }
    }
    for used in crates(source) {
        let shunned = |shunned: &&str| used == *shunned || used.starts_with(&format!("{shunned}_"));
        if room.shuns.iter().any(shunned) {
            faults.push(format!("{name} names the crate {used}"));
        }
    }
    if room.name == "decide" && source.has_word("async") {
        faults.push(format!("{name} is async"));
    }
    faults
}

/// The doors of `room` that none of its files uses.
fn unused_doors<'a>(room: &'a Room, sources: &[Source]) -> Vec<&'a str> {
    let home = sources
        .iter()
        .filter(|source| source.module[0] == room.name);
    let paths: BTreeSet<String> = home.flat_map(room_paths).collect();
    let is_used = |door: &str| paths.iter().any(|path| permits(door, path));
    room.imports
        .iter()
        .copied()
        .filter(|door| !is_used(door))
        .collect()
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

#[test]
fn rooms_import_only_what_the_plan_allows() {
    let mut all = Vec::new();
    for source in sources() {
        match ROOMS.iter().find(|room| room.name == source.module[0]) {
            Some(room) => all.extend(faults(room, source)),
            None => all.push(format!("{} is no room of the plan", source.name())),
        }
    }
    assert!(all.is_empty(), "{}", all.join("\n"));
}

#[test]
#[expect(clippy::too_many_lines, reason = "one table")]
fn a_wrong_import_is_found_in_every_spelling() {
    let of = |name: &str| ROOMS.iter().find(|room| room.name == name).unwrap();
    let found = |room: &str, module: &str, source: &str| {
        !faults(of(room), &Source::new(&[room, module], source)).is_empty()
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
        "fn f() { assert!(matches!(x, crate::proxy::X | Y)); }",
        "fn f() { println!(\"{}\", 1 as crate::proxy::Number); }",
        "macro_rules! imports { () => { use crate::{model::{rule as r, site}, proxy}; } }",
        "macro_rules! imports { () => { $crate::proxy::f() } }",
        "#[derive(serde::Serialize, crate::proxy::Derive)] struct S;",
        "fn f() { vec![async { 1 }]; }",
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
        "fn f() { println!(\"{}\", model::tokio::spawn()) }",
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
fn every_door_is_used() {
    let mut all = Vec::new();
    for room in ROOMS {
        let unused = unused_doors(room, sources()).join(", ");
        if !unused.is_empty() {
            all.push(format!("{} does not need: {unused}", room.name));
        }
    }
    assert!(all.is_empty(), "{}", all.join("\n"));
}

#[test]
fn a_door_that_nobody_uses_is_found() {
    let room = Room {
        name: "proxy",
        imports: &["config::settings", "decide", "model", "store::Item"],
        shuns: &[],
    };
    let unused = |source: &str| {
        let elsewhere = Source::new(&["cli", "serve"], "use crate::model::Host;");
        unused_doors(&room, &[elsewhere, Source::new(&["proxy", "view"], source)]).join(" ")
    };
    assert_eq!(unused(""), "config::settings decide model store::Item");
    assert_eq!(
        unused("use crate::{config::settings, config::file, store::memory};"),
        "decide model store::Item"
    );
    assert_eq!(
        unused("use crate::{config::settings::S, decide, store::S};"),
        "model"
    );
    assert_eq!(
        unused("use crate::{config::settings, decide, model::M, store::S};"),
        ""
    );
}
