//! What a source file says: the paths it names, the types, functions and `impl` blocks it has.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use syn::buffer::{Cursor, TokenBuffer};
use syn::visit::Visit;

use crate::reader::{Reader, is_test};

/// A module as its segments, for instance `["proxy", "view"]`. The crate itself has none.
pub type Module = Vec<String>;

/// A file of `src/`, or of a test's imagination.
pub struct Source {
    pub module: Module,
    pub text: String,
    /// The whole file is compiled for tests only.
    pub test: bool,
    pub references: Vec<Reference>,
    /// Modules that the file declares or holds, and whether they are for tests only.
    pub modules: Vec<(Module, bool)>,
    /// Types and traits that are defined in the file.
    pub types: BTreeSet<String>,
    /// Types and traits with an inherent `impl` block in code that is not for tests only.
    pub inherent_impls: BTreeSet<String>,
    pub parameters: Vec<Parameter>,
}

/// A path of two segments or more, or one that is imported.
pub struct Reference {
    /// The module in which the path stands.
    pub module: Module,
    pub path: Vec<String>,
    /// The name by which a `use` makes it known, `*` for all names.
    pub import: Option<String>,
    pub test: bool,
}

/// A parameter that a function should not have. Methods of `impl Trait for …` are not searched:
/// their parameters are the trait's, and the project's own traits are searched.
pub struct Parameter {
    /// `module::Type::function: parameter`
    pub name: String,
    pub kind: Kind,
}

#[derive(Clone, Copy, PartialEq)]
pub enum Kind {
    Boolean,
    Tuple,
}

impl Source {
    pub fn new(module: &[&str], text: &str) -> Self {
        let module: Module = module.iter().map(ToString::to_string).collect();
        let file = syn::parse_file(text)
            .unwrap_or_else(|error| panic!("{} is no Rust: {error}", module.join("::")));
        let mut source = Self {
            module,
            text: text.to_owned(),
            test: is_test(&file.attrs),
            references: Vec::new(),
            modules: Vec::new(),
            types: BTreeSet::new(),
            inherent_impls: BTreeSet::new(),
            parameters: Vec::new(),
        };
        Reader::new(&mut source).visit_file(&file);
        source
    }

    pub fn name(&self) -> String {
        self.module.join("::")
    }

    /// Whether a path or a use-tree has these two segments, one behind the other.
    pub fn names_pair(&self, first: &str, second: &str) -> bool {
        let is_pair = |pair: &[String]| pair[0] == first && pair[1] == second;
        self.references
            .iter()
            .any(|reference| reference.path.windows(2).any(is_pair))
    }

    /// Whether `word` stands anywhere in the code, macros included.
    pub fn has_word(&self, word: &str) -> bool {
        fn search(mut cursor: Cursor, word: &str) -> bool {
            while let Some((_, next)) = cursor.token_tree() {
                if cursor.ident().is_some_and(|(ident, _)| ident == word)
                    || cursor
                        .any_group()
                        .is_some_and(|(inner, ..)| search(inner, word))
                {
                    return true;
                }
                cursor = next;
            }
            false
        }
        search(
            TokenBuffer::new2(syn::parse_str(&self.text).unwrap()).begin(),
            word,
        )
    }
}

/// The files of the library and the program. `lib.rs` only lists the rooms.
pub fn read_all(src: &Path) -> Vec<Source> {
    let mut sources = Vec::new();
    for file in rust_files(src) {
        let below = file.strip_prefix(src).unwrap().with_extension("");
        let mut module: Vec<&str> = below.iter().map(|part| part.to_str().unwrap()).collect();
        if module.last() == Some(&"mod") {
            module.pop();
        }
        if module != ["lib"] {
            sources.push(Source::new(&module, &fs::read_to_string(&file).unwrap()));
        }
    }
    mark_tests(&mut sources);
    sources
}

/// A file whose module is declared with `#[cfg(test)]` is for tests only, and so is what is below.
pub fn mark_tests(sources: &mut [Source]) {
    let tests: Vec<Module> = sources
        .iter()
        .flat_map(|source| &source.modules)
        .filter(|(_, test)| *test)
        .map(|(module, _)| module.clone())
        .collect();
    for source in sources {
        source.test |= tests.iter().any(|test| source.module.starts_with(test));
    }
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

/// Where a path leads that starts at the crate or at `module`; none, where it starts with a name.
pub fn absolute(module: &[String], path: &[String]) -> Option<Vec<String>> {
    let mut absolute = module.to_vec();
    let mut rest = path;
    while let Some((first, behind)) = rest.split_first() {
        match first.as_str() {
            "crate" | "vestibule" => absolute.clear(),
            "super" => drop(absolute.pop()),
            "self" => {}
            _ if rest.len() == path.len() => return None,
            _ => break,
        }
        rest = behind;
    }
    absolute.extend_from_slice(rest);
    Some(absolute)
}
