//! Where methods stand, and which parameters functions may have.

use crate::source::{Kind, Source};
use crate::{assert_none, sources};

/// `module: impl Type` for each inherent `impl` block in a file that does not define the type.
fn impls_elsewhere(source: &Source) -> Vec<String> {
    let elsewhere = source.inherent_impls.difference(&source.types);
    elsewhere
        .filter(|_| !source.test)
        .map(|of| format!("{}: impl {of}", source.name()))
        .collect()
}

#[test]
fn methods_stand_in_the_file_of_their_type() {
    let found = sources().iter().flat_map(impls_elsewhere).collect();
    assert_none("an inherent impl stands in the file of its type", &found);
}

#[test]
fn an_impl_outside_the_file_of_its_type_is_found() {
    let found = |source: &str| impls_elsewhere(&Source::new(&["room", "a"], source)).join("; ");
    for wrong in [
        "use super::S; impl S { fn f() {} }",
        "impl super::S {}",
        "impl<T: Copy> crate::room::S<T> where T: Clone {}",
        "impl dyn S + Send {}",
        "struct T; impl S {} impl T {}",
        "mod inner { impl super::super::S {} }",
        "enum E { S } fn f() { impl super::S {} }",
    ] {
        assert_eq!(found(wrong), "room::a: impl S", "{wrong}");
    }
    for right in [
        "struct S; impl S {}",
        "enum S {} impl S {}",
        "union S { a: u8 } impl S {}",
        "trait S {} impl dyn S {}",
        "struct S<T>(T); impl<T> S<T> {} mod inner { impl super::S<u8> {} }",
        "impl Drop for super::S {}",
        "labels! { /// Text.\n pub enum S { A } } impl S {}",
        "#[cfg(test)] impl super::S {}",
        "#[cfg(test)] mod tests { impl super::S {} }",
        "#![cfg(test)] impl super::S {}",
    ] {
        assert_eq!(found(right), "", "{right}");
    }
}

/// Parameters of a kind, those of one function together.
fn parameters(source: &Source, kind: Kind) -> Vec<String> {
    let found = source.parameters.iter();
    found
        .filter(|parameter| parameter.kind == kind && !source.test)
        .map(|parameter| parameter.name.clone())
        .collect()
}

#[test]
fn no_parameter_is_a_tuple() {
    let found = sources()
        .iter()
        .flat_map(|source| parameters(source, Kind::Tuple))
        .collect();
    assert_none("a tuple parameter hides several parameters", &found);
}

#[test]
fn no_parameter_is_boolean() {
    let found = sources()
        .iter()
        .flat_map(|source| parameters(source, Kind::Boolean))
        .collect();
    assert_none(
        "a boolean parameter says nothing where it is passed",
        &found,
    );
}

#[test]
fn tuple_and_boolean_parameters_are_found() {
    let found =
        |source: &str, kind| parameters(&Source::new(&["room", "a"], source), kind).join("; ");
    for (wrong, name) in [
        ("fn f((a, b): (A, &B)) {}", "f: a, b"),
        ("fn f(x: u8, (a, _): Pair) {}", "f: a"),
        ("fn f(pair: (A, B)) {}", "f: pair"),
        ("fn f(pair: &mut (A, B)) {}", "f: pair"),
        (
            "impl S { async fn f(&self, pair: (A, B)) {} }",
            "S::f: pair",
        ),
        ("trait T { fn f(pair: (A, B)); }", "T::f: pair"),
        (
            "impl T for S { fn g() { fn f(pair: (A, B)) {} } }",
            "f: pair",
        ),
        ("mod inner { fn f(pair: (A, B)) {} }", "inner::f: pair"),
    ] {
        assert_eq!(
            found(wrong, Kind::Tuple),
            format!("room::a::{name}"),
            "{wrong}"
        );
        assert_eq!(found(wrong, Kind::Boolean), "", "{wrong}");
    }
    for (wrong, name) in [
        ("fn f(on: bool) {}", "f: on"),
        ("fn f(mut on: bool) {}", "f: on"),
        ("const fn f(on: &bool) {}", "f: on"),
        (
            "impl<'a> S<'a> { fn f(&self, x: u8, on: bool) {} }",
            "S::f: on",
        ),
        ("trait T { fn f(self, on: bool) {} }", "T::f: on"),
    ] {
        assert_eq!(
            found(wrong, Kind::Boolean),
            format!("room::a::{name}"),
            "{wrong}"
        );
        assert_eq!(found(wrong, Kind::Tuple), "", "{wrong}");
    }
    for right in [
        "fn f(on: Switch, nothing: ()) -> (bool, bool) { |(a, b): (A, B), on: bool| a }",
        "fn f(pairs: &[(A, bool)], each: impl Fn((A, B), bool) -> bool) {}",
        "struct S { on: bool, pair: (A, B) }",
        "impl T for S { fn f(&self, on: bool, (a, b): (A, B)) {} }",
        "fn f(State(on): State<bool>, [a, b]: [u8; 2]) {}",
        "#[cfg(test)] fn f(on: bool, (a, b): (A, B)) {}",
        "#[cfg(test)] mod tests { fn f(on: bool, (a, b): (A, B)) {} }",
        "impl S { #[cfg(test)] fn f(on: bool, (a, b): (A, B)) {} }",
        "#![cfg(test)] fn f(on: bool, (a, b): (A, B)) {}",
    ] {
        assert_eq!(found(right, Kind::Tuple), "", "{right}");
        assert_eq!(found(right, Kind::Boolean), "", "{right}");
    }
}
