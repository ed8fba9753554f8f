//! Reads a file's code into a [`Source`].
//!
//! `syn` does not look into macro calls and attributes; their tokens are searched for paths here.
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "the enums of `syn` may grow, and few of their variants matter here"
)]

use syn::buffer::{Cursor, TokenBuffer};
use syn::visit::{self, Visit};
use syn::{
    Attribute, FnArg, ImplItemFn, Item, ItemFn, ItemImpl, ItemTrait, Macro, MetaList, Pat,
    PatIdent, PatType, Signature, Type, TypeParamBound, UseTree,
};

use crate::source::{Kind, Module, Parameter, Reference, Source};

/// Whether `#[cfg(test)]` is among the attributes.
pub fn is_test(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg")
            && attribute
                .parse_args::<syn::Path>()
                .is_ok_and(|condition| condition.is_ident("test"))
    })
}

/// Walks through the code of one file.
pub struct Reader<'a> {
    /// The file's module, or one inside the file.
    scope: Module,
    /// The type or trait whose methods are being read.
    owner: Option<String>,
    /// Inside `impl Trait for …`: the trait says which parameters a method has.
    foreign_signature: bool,
    /// Inside code that is for tests only.
    test: bool,
    source: &'a mut Source,
}

impl<'a> Reader<'a> {
    pub fn new(source: &'a mut Source) -> Self {
        Self {
            scope: source.module.clone(),
            owner: None,
            foreign_signature: false,
            test: false,
            source,
        }
    }

    fn refer(&mut self, path: Vec<String>, import: Option<String>) {
        if path.len() > 1 || import.is_some() {
            self.source.references.push(Reference {
                module: self.scope.clone(),
                path,
                import,
                test: self.test,
            });
        }
    }

    fn import(&mut self, mut path: Vec<String>, tree: &UseTree) {
        match tree {
            UseTree::Path(tree) => {
                path.push(tree.ident.to_string());
                self.import(path, &tree.tree);
            }
            UseTree::Group(group) => {
                for tree in &group.items {
                    self.import(path.clone(), tree);
                }
            }
            UseTree::Name(name) => {
                if name.ident != "self" {
                    path.push(name.ident.to_string());
                }
                let name = path.last().cloned();
                self.refer(path, name);
            }
            UseTree::Rename(rename) => {
                if rename.ident != "self" {
                    path.push(rename.ident.to_string());
                }
                self.refer(path, Some(rename.rename.to_string()));
            }
            UseTree::Glob(_) => {
                path.push("*".to_owned());
                self.refer(path, Some("*".to_owned()));
            }
        }
    }

    /// Finds paths among the tokens of a macro call or an attribute. `base` stands before each of
    /// them: inside the braces of a use-tree it is what stands before the braces.
    fn search(&mut self, mut cursor: Cursor, base: &[String]) {
        while let Some((_, next)) = cursor.token_tree() {
            if let Some((word, behind)) = cursor.ident() {
                cursor = if word == "as" && !base.is_empty() {
                    behind.ident().map_or(behind, |(_, behind)| behind)
                } else {
                    self.search_path([base, &[word.to_string()]].concat(), behind)
                };
                continue;
            }
            if let Some((inner, ..)) = cursor.any_group() {
                self.search(inner, &[]);
            }
            cursor = next;
        }
    }

    /// Follows one path whose first word is read; returns where it ends.
    fn search_path<'t>(&mut self, mut path: Vec<String>, mut cursor: Cursor<'t>) -> Cursor<'t> {
        let defines = ["enum", "struct", "trait", "type", "union"];
        if let (true, Some((name, _))) = (defines.contains(&path[0].as_str()), cursor.ident()) {
            self.source.types.insert(name.to_string());
        }
        while let Some(behind) = after_colons(cursor) {
            cursor = behind;
            if let Some((word, behind)) = cursor.ident() {
                path.push(word.to_string());
                cursor = behind;
            } else if let Some((inner, _, _, behind)) = cursor.any_group() {
                self.search(inner, &path);
                return behind;
            } else {
                break;
            }
        }
        self.refer(path, None);
        cursor
    }

    /// Reads an item that may be for tests only.
    fn under(&mut self, attributes: &[Attribute], read: impl FnOnce(&mut Self)) {
        let outside = self.test;
        self.test |= is_test(attributes);
        read(self);
        self.test = outside;
    }

    /// Reads the methods of a type or a trait.
    fn owned_by(&mut self, owner: Option<String>, foreign: bool, read: impl FnOnce(&mut Self)) {
        let outside = (
            std::mem::replace(&mut self.owner, owner),
            std::mem::replace(&mut self.foreign_signature, foreign),
        );
        read(self);
        (self.owner, self.foreign_signature) = outside;
    }
}

impl<'ast> Visit<'ast> for Reader<'_> {
    fn visit_path(&mut self, path: &'ast syn::Path) {
        let segments = path.segments.iter();
        self.refer(segments.map(|part| part.ident.to_string()).collect(), None);
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, call: &'ast Macro) {
        self.search(TokenBuffer::new2(call.tokens.clone()).begin(), &[]);
        visit::visit_macro(self, call);
    }

    fn visit_meta_list(&mut self, attribute: &'ast MetaList) {
        self.search(TokenBuffer::new2(attribute.tokens.clone()).begin(), &[]);
        visit::visit_meta_list(self, attribute);
    }

    fn visit_item(&mut self, item: &'ast Item) {
        let (attributes, defines): (&[Attribute], _) = match item {
            Item::Const(item) => (&item.attrs, None),
            Item::Enum(item) => (&item.attrs, Some(&item.ident)),
            Item::Fn(item) => (&item.attrs, None),
            Item::Impl(item) => (&item.attrs, None),
            Item::Macro(item) => (&item.attrs, None),
            Item::Mod(item) => (&item.attrs, None),
            Item::Static(item) => (&item.attrs, None),
            Item::Struct(item) => (&item.attrs, Some(&item.ident)),
            Item::Trait(item) => (&item.attrs, Some(&item.ident)),
            Item::Type(item) => (&item.attrs, Some(&item.ident)),
            Item::Union(item) => (&item.attrs, Some(&item.ident)),
            Item::Use(item) => (&item.attrs, None),
            _ => (&[], None),
        };
        self.source.types.extend(defines.map(ToString::to_string));
        self.under(attributes, |reader| match item {
            Item::Use(item) => reader.import(Vec::new(), &item.tree),
            Item::ExternCrate(item) => {
                let name = item.ident.to_string();
                reader.refer(vec![name.clone()], Some(name));
            }
            Item::Mod(item) => {
                reader.scope.push(item.ident.to_string());
                let (scope, test) = (reader.scope.clone(), reader.test);
                reader.source.modules.push((scope, test));
                visit::visit_item_mod(reader, item);
                reader.scope.pop();
            }
            _ => visit::visit_item(reader, item),
        });
    }

    fn visit_item_impl(&mut self, item: &'ast ItemImpl) {
        let of = type_name(&item.self_ty);
        if let (None, false, Some(name)) = (&item.trait_, self.test, &of) {
            self.source.inherent_impls.insert(name.clone());
        }
        self.owned_by(of, item.trait_.is_some(), |reader| {
            visit::visit_item_impl(reader, item);
        });
    }

    fn visit_item_trait(&mut self, item: &'ast ItemTrait) {
        self.owned_by(Some(item.ident.to_string()), false, |reader| {
            visit::visit_item_trait(reader, item);
        });
    }

    fn visit_item_fn(&mut self, item: &'ast ItemFn) {
        self.owned_by(None, false, |reader| visit::visit_item_fn(reader, item));
    }

    fn visit_impl_item_fn(&mut self, item: &'ast ImplItemFn) {
        self.under(&item.attrs, |reader| {
            visit::visit_impl_item_fn(reader, item);
        });
    }

    fn visit_signature(&mut self, signature: &'ast Signature) {
        let mut function = self.scope.clone();
        function.extend(self.owner.clone());
        function.push(signature.ident.to_string());
        for parameter in &signature.inputs {
            let FnArg::Typed(parameter) = parameter else {
                continue;
            };
            if let (Some(kind), false, false) = (kind(parameter), self.foreign_signature, self.test)
            {
                let name = format!("{}: {}", function.join("::"), names_in(&parameter.pat));
                self.source.parameters.push(Parameter { name, kind });
            }
        }
        visit::visit_signature(self, signature);
    }
}

/// What stands behind `::`.
fn after_colons(cursor: Cursor) -> Option<Cursor> {
    let (first, cursor) = cursor.punct()?;
    let (second, cursor) = cursor.punct()?;
    (first.as_char() == ':' && second.as_char() == ':').then_some(cursor)
}

fn type_name(of: &Type) -> Option<String> {
    let path = match of {
        Type::Path(of) => &of.path,
        Type::TraitObject(of) => of.bounds.iter().find_map(|bound| match bound {
            TypeParamBound::Trait(bound) => Some(&bound.path),
            _ => None,
        })?,
        Type::Reference(of) => return type_name(&of.elem),
        _ => return None,
    };
    path.segments.last().map(|last| last.ident.to_string())
}

fn kind(parameter: &PatType) -> Option<Kind> {
    fn of_type(of: &Type) -> Option<Kind> {
        match of {
            Type::Reference(of) => of_type(&of.elem),
            Type::Paren(of) => of_type(&of.elem),
            Type::Tuple(of) => (!of.elems.is_empty()).then_some(Kind::Tuple),
            Type::Path(of) => of.path.is_ident("bool").then_some(Kind::Boolean),
            _ => None,
        }
    }
    match &*parameter.pat {
        Pat::Tuple(_) => Some(Kind::Tuple),
        _ => of_type(&parameter.ty),
    }
}

/// The names that a pattern binds: `kind, ticket` of `(kind, ticket)`.
fn names_in(pattern: &Pat) -> String {
    struct Names(Vec<String>);
    impl<'ast> Visit<'ast> for Names {
        fn visit_pat_ident(&mut self, pattern: &'ast PatIdent) {
            self.0.push(pattern.ident.to_string());
        }
    }
    let mut names = Names(Vec::new());
    names.visit_pat(pattern);
    names.0.join(", ")
}
