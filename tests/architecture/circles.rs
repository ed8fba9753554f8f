//! Which files of a room import each other in a circle.

use std::collections::{BTreeMap, BTreeSet};

use crate::source::{Source, absolute, mark_tests};
use crate::{assert_none, sources};

/// Files of one room each of which reaches every other.
pub struct Circle {
    pub room: String,
    /// Modules of the files, in order.
    pub files: Vec<String>,
    /// Imports that close it: importing file, imported file.
    pub imports: Vec<(String, String)>,
}

impl Circle {
    /// `room: file, file`
    pub fn name(&self) -> String {
        let below = |file: &String| match file.split_once("::") {
            Some((_, below)) => below.to_owned(),
            None => "mod".to_owned(),
        };
        let files: Vec<String> = self.files.iter().map(below).collect();
        format!("{}: {}", self.room, files.join(", "))
    }
}

/// Every circle there is. A file that imports from its own parent, or a parent's parent, is no part
/// of one by that: a child may use its parent's types. Code for tests does not count.
pub fn circles(sources: &[Source]) -> Vec<Circle> {
    let imports = Scopes::of(sources).imports(sources);
    let reached: Vec<BTreeSet<usize>> = (0..sources.len())
        .map(|from| reached(&imports, from))
        .collect();
    let mut circles = Vec::new();
    for first in 0..sources.len() {
        let files: Vec<usize> = reached[first]
            .iter()
            .copied()
            .filter(|&other| reached[other].contains(&first))
            .collect();
        if files.first() != Some(&first) {
            continue;
        }
        circles.push(Circle {
            room: sources[first].module[0].clone(),
            files: files.iter().map(|&file| sources[file].name()).collect(),
            imports: imports
                .iter()
                .filter(|(from, to)| files.contains(from) && files.contains(to))
                .map(|&(from, to)| (sources[from].name(), sources[to].name()))
                .collect(),
        });
    }
    circles
}

/// What can be reached from a file; itself, where it is part of a circle.
fn reached(imports: &BTreeSet<(usize, usize)>, from: usize) -> BTreeSet<usize> {
    let mut reached = BTreeSet::new();
    let mut open = vec![from];
    while let Some(file) = open.pop() {
        for &(_, to) in imports.range((file, 0)..=(file, usize::MAX)) {
            if reached.insert(to) {
                open.push(to);
            }
        }
    }
    reached
}

/// What the names in a module stand for.
struct Scope<'a> {
    file: usize,
    imports: BTreeMap<&'a str, &'a [String]>,
}

impl Scope<'_> {
    fn of(file: usize) -> Self {
        Self {
            file,
            imports: BTreeMap::new(),
        }
    }
}

struct Scopes<'a>(BTreeMap<&'a [String], Scope<'a>>);

impl<'a> Scopes<'a> {
    fn of(sources: &'a [Source]) -> Self {
        let mut scopes: BTreeMap<&[String], Scope> = BTreeMap::new();
        for (file, source) in sources.iter().enumerate() {
            // Modules with a file of their own are declared in another: theirs wins, below.
            for (module, _) in &source.modules {
                scopes.insert(module, Scope::of(file));
            }
        }
        for (file, source) in sources.iter().enumerate() {
            scopes.insert(&source.module, Scope::of(file));
        }
        for reference in sources.iter().flat_map(|source| &source.references) {
            if let (Some(name), false) = (&reference.import, reference.test)
                && let Some(scope) = scopes.get_mut(&reference.module[..])
            {
                scope.imports.insert(name.as_str(), &reference.path[..]);
            }
        }
        Self(scopes)
    }

    /// Pairs of files of one room, the first of which imports the second.
    fn imports(&self, sources: &[Source]) -> BTreeSet<(usize, usize)> {
        let mut imports = BTreeSet::new();
        for (from, source) in sources.iter().enumerate() {
            let counts = |to: usize| {
                to != from
                    && sources[to].module[0] == source.module[0]
                    && !sources[to].test
                    && !source.module.starts_with(&sources[to].module)
            };
            for reference in &source.references {
                if !source.test && !reference.test {
                    let files = self.follow(&reference.module, &reference.path, 0);
                    let files = files.into_iter().filter(|&to| counts(to));
                    imports.extend(files.map(|to| (from, to)));
                }
            }
        }
        imports
    }

    /// The file that a path names, and those to which re-exports lead from there.
    fn follow(&self, module: &[String], path: &[String], depth: usize) -> Vec<usize> {
        // A `use` of a crate that has its own name would otherwise lead to itself without end.
        if depth > 16 {
            return Vec::new();
        }
        let Some(path) = absolute(module, path) else {
            let child = [module, &path[..1]].concat();
            return if self.0.contains_key(&child[..]) {
                self.walk(&[module, path].concat(), depth)
            } else {
                self.follow_import(module, &path[0], &path[1..], depth)
            };
        };
        self.walk(&path, depth)
    }

    fn walk(&self, path: &[String], depth: usize) -> Vec<usize> {
        let longest = (1..=path.len())
            .rev()
            .find(|&length| self.0.contains_key(&path[..length]));
        let Some(length) = longest else {
            return Vec::new();
        };
        let (module, rest) = path.split_at(length);
        let mut files = vec![self.0[module].file];
        if let Some((name, rest)) = rest.split_first() {
            files.extend(self.follow_import(module, name, rest, depth));
        }
        files
    }

    fn follow_import(
        &self,
        module: &[String],
        name: &str,
        rest: &[String],
        depth: usize,
    ) -> Vec<usize> {
        let import = self.0.get(module).and_then(|scope| scope.imports.get(name));
        import.map_or_else(Vec::new, |path| {
            self.follow(module, &[path, rest].concat(), depth + 1)
        })
    }
}

#[test]
fn files_of_a_room_import_each_other_in_one_direction() {
    let circles = circles(sources());
    for circle in &circles {
        println!("{}:", circle.name());
        for (from, to) in &circle.imports {
            println!("    {from} imports {to}");
        }
    }
    let names = circles.iter().map(Circle::name).collect();
    assert_none("files of a room import each other in a circle", &names);
}

#[test]
#[expect(clippy::too_many_lines, reason = "one table")]
fn a_circle_is_found_in_every_spelling() {
    let found = |files: &[(&str, &str)]| -> Vec<String> {
        let source =
            |(name, text): &(&str, &str)| Source::new(&name.split("::").collect::<Vec<_>>(), text);
        let mut sources: Vec<Source> = files.iter().map(source).collect();
        mark_tests(&mut sources);
        circles(&sources).iter().map(Circle::name).collect()
    };
    // `room::a` imports `room::b`, and there:
    for wrong in [
        "use super::a;",
        "use super::a::A;",
        "use crate::room::{self, a::A as B};",
        "use crate::{model, room::{a::{A, B}, d}};",
        "fn f(x: crate::room::a::A) {}",
        "fn f() { super::a::f() }",
        "use super::super::room; fn f() { room::a::f() }",
        "mod inner { use super::super::a::A; }",
        "mod inner { pub use crate::room; } fn f() { inner::room::a::f() }",
        "impl super::a::A for B {}",
        "pub(in super::a) struct S;",
        "fn f() { tracing::info!(\"{}\", super::a::f()) }",
        "#[derive(super::a::Derive)] struct S;",
        "use super::A;",
        "fn f(x: super::A) {}",
    ] {
        let room = [
            ("room", "mod a; mod b; mod c; pub use a::A;"),
            ("room::a", "use super::b::B; pub struct A;"),
            ("room::b", wrong),
            ("room::c", "pub use super::a::A;"),
        ];
        assert_eq!(found(&room), ["room: a, b"], "{wrong}");
    }
    for right in [
        "use super::c::C;",
        "use super::*;",
        "use crate::room;",
        "use crate::model::a;",
        "use a::A;",
        "/// [`super::a::A`]\nstruct S;",
        "fn f() { self.a::<A>(\"super::a::A\") }",
        "#[cfg(test)] use super::a::A;",
        "#[cfg(test)] mod tests { use super::super::a; }",
        "#[cfg(test)] fn f() { super::a::f() }",
        "impl S { #[cfg(test)] fn f() { super::a::f() } }",
    ] {
        let room = [
            ("room", "mod a; mod b; mod c; use a::A;"),
            ("room::a", "use super::b::B; pub struct A;"),
            ("room::b", right),
            ("room::c", ""),
        ];
        assert_eq!(found(&room), [""; 0], "{right}");
    }
    let children = [
        ("room", "mod a;"),
        (
            "room::a",
            "mod b; #[cfg(test)] mod tests; use b::B; struct A; fn f(x: super::c::C) {}",
        ),
        ("room::a::b", "use super::{A, super::c};"),
        ("room::a::tests", "use super::super::d;"),
        ("room::c", "struct C;"),
        ("room::d", "use super::a;"),
    ];
    assert_eq!(found(&children), [""; 0], "a child may use its parent");
    let mut through_a_child = children;
    through_a_child[4].1 = "use super::a::A;";
    assert_eq!(found(&through_a_child), ["room: a, a::b, c"]);
    let through_a_sibling = [
        ("room::a", "use super::b::B; pub struct A;"),
        ("room::b", "use super::c::A;"),
        ("room::c", "pub use super::a::A;"),
    ];
    assert_eq!(found(&through_a_sibling), ["room: a, b, c"]);
    let two = [
        ("room::a", "use super::b::B;"),
        ("room::b", "use super::a::A; use super::c::C;"),
        ("room::c", "use super::d::D;"),
        ("room::d", "use crate::other::a; use super::c::C;"),
        ("other::a", "use crate::room::a::A;"),
    ];
    assert_eq!(found(&two), ["room: a, b", "room: c, d"]);
}
