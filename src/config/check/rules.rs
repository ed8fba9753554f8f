//! The rules of a site: patterns, methods, and rules that never get their turn.

use std::collections::BTreeSet;

use http::{HeaderName, Method};
use ipnet::IpNet;

use super::super::file::site::{
    Access as WrittenAccess, Rule as Written, SignedOut as WrittenSignedOut,
};
use super::super::problems::quoted;
use super::super::spans::At;
use super::Review;
use super::networks::network;
use crate::model::rule::{Access, Pattern, PatternError, Rule, UnauthenticatedAction};

pub(super) fn rules(written: &[At<Written>], review: &mut Review<'_>) -> Option<Vec<Rule>> {
    let parsed: Vec<Option<Rule>> = written.iter().map(|rule| parse(rule, review)).collect();
    for (at, (rule, place)) in parsed.iter().zip(written).enumerate() {
        let (Some(rule), Some(path)) = (rule, &place.path) else {
            continue;
        };
        let before = parsed
            .iter()
            .take(at)
            .flatten()
            .find(|before| before.covers(rule));
        if let Some(before) = before {
            let earlier = before.pattern.text();
            let what = match (before.access, rule.access) {
                (Access::Public, Access::Optional | Access::Required) => {
                    format!(
                        "{} stays public: the rule {earlier:?} before it covers it",
                        quoted(path)
                    )
                }
                (Access::Public, Access::Public) | (Access::Optional | Access::Required, _) => {
                    format!(
                        "{} never matches: the rule {earlier:?} before it covers it",
                        quoted(path)
                    )
                }
            };
            review.refuse(
                &path.span,
                what,
                "put the narrower rule first, or take one away",
            );
        }
    }
    parsed.into_iter().collect()
}

fn parse(rule: &At<Written>, review: &mut Review<'_>) -> Option<Rule> {
    let pattern = rule.path.as_ref().and_then(|path| pattern(path, review));
    let methods = match &rule.methods {
        Some(methods) => self::methods(methods, review),
        None => (!review.diagnostics.was_removed(&rule.span, "methods")).then(Vec::new),
    };
    let from = match &rule.from {
        Some(from) => networks(from, review),
        None => (!review.diagnostics.was_removed(&rule.span, "from")).then(Vec::new),
    };
    let header = match &rule.header {
        Some(name) => header(name, review).map(Some),
        None => (!review.diagnostics.was_removed(&rule.span, "header")).then_some(None),
    };
    let access = rule.access.map(access);
    let roles = roles(rule, access, review);
    if let (Some(signed_out), Some(Access::Public | Access::Optional)) = (&rule.signed_out, access)
    {
        let hint = "take it away, or write access = \"required\"";
        review.refuse(
            &signed_out.span,
            "`signed_out` says nothing on a rule that lets everybody pass",
            hint,
        );
        return None;
    }
    let signed_out = match rule.signed_out.as_deref() {
        None | Some(WrittenSignedOut::Auto) => UnauthenticatedAction::Auto,
        Some(WrittenSignedOut::Redirect) => UnauthenticatedAction::Redirect,
        Some(WrittenSignedOut::Status) => UnauthenticatedAction::Status,
    };
    if let (Some(basic), Some(Access::Public)) = (&rule.basic, access)
        && **basic
    {
        review.refuse(
            &basic.span,
            "`basic` says nothing on a rule that looks at no credentials",
            "take it away, or write access = \"required\" or \"optional\"",
        );
        return None;
    }
    Some(Rule {
        pattern: pattern?,
        methods: methods?,
        from: from?,
        header: header?,
        access: access?,
        roles: roles?,
        unauthenticated: signed_out,
        basic: rule.basic.as_deref().copied(),
    })
}

fn roles(
    rule: &At<Written>,
    access: Option<Access>,
    review: &mut Review<'_>,
) -> Option<Vec<String>> {
    let Some(roles) = &rule.roles else {
        return Some(Vec::new());
    };
    if let Some(Access::Public | Access::Optional) = access {
        let hint = "take it away, or write access = \"required\"";
        review.refuse(
            &roles.span,
            "`roles` says nothing on a rule that lets everybody pass",
            hint,
        );
        return None;
    }
    if roles.is_empty() && !review.diagnostics.was_removed(&rule.span, "roles") {
        review.refuse(
            &roles.span,
            "`roles` is empty",
            "name at least one role, or leave it out for everybody signed in",
        );
        return None;
    }
    if let Some(empty) = roles.iter().find(|role| role.trim().is_empty()) {
        review.refuse(
            &empty.span,
            "a role has no name",
            "write it as the provider does",
        );
        return None;
    }
    Some(roles.iter().map(|role| (**role).clone()).collect())
}

fn networks(written: &At<Vec<At<String>>>, review: &mut Review<'_>) -> Option<Vec<IpNet>> {
    if written.is_empty() {
        let hint = "leave it out: the rule then matches every client";
        review.refuse(&written.span, "`from` is empty", hint);
        return None;
    }
    let mut nets = Vec::new();
    for text in written.iter() {
        match network(text) {
            Some(net) => nets.push(net),
            None => review.refuse_text(
                text,
                "`from` has no such network",
                "write it like \"10.0.0.0/24\"",
            ),
        }
    }
    (nets.len() == written.len()).then_some(nets)
}

fn header(name: &At<String>, review: &mut Review<'_>) -> Option<HeaderName> {
    let parsed = HeaderName::from_bytes(name.as_bytes()).ok();
    if parsed.is_none() {
        review.refuse_text(
            name,
            "this is no name of a header",
            "write it like \"X-Api-Key\"",
        );
    }
    parsed
}

pub(super) fn access(written: WrittenAccess) -> Access {
    match written {
        WrittenAccess::Public => Access::Public,
        WrittenAccess::Optional => Access::Optional,
        WrittenAccess::Required => Access::Required,
    }
}

fn pattern(path: &At<String>, review: &mut Review<'_>) -> Option<Pattern> {
    let (what, hint) = match Pattern::parse(path) {
        Ok(pattern) => return Some(pattern),
        Err(PatternError::NotAbsolute) => (
            "a path does not begin with `/`",
            format!("write \"/{}\"", path.escape_debug()),
        ),
        Err(PatternError::DoubleStar) => (
            "a path has `**` in it",
            "write \"/a/*\" for /a and all beneath; elsewhere `*` is a part of one segment"
                .to_owned(),
        ),
        Err(PatternError::NeverMatches) => (
            "no request can have this path",
            "leave out `//`, dot segments, `?`, `#`, `\\`".to_owned(),
        ),
    };
    review.refuse_text(path, what, hint);
    None
}

fn methods(written: &At<Vec<At<String>>>, review: &mut Review<'_>) -> Option<Vec<Method>> {
    if written.is_empty() {
        review.refuse(
            &written.span,
            "`methods` is empty",
            "leave it out: the rule then speaks of all methods",
        );
        return None;
    }
    let mut seen = BTreeSet::new();
    let mut methods = Vec::new();
    for text in written.iter() {
        let upper = text.to_ascii_uppercase();
        if upper == "TRACE" || upper == "CONNECT" {
            review.refuse_text(text, "this method is never let through", "take it away");
        } else if text.is_empty() || !text.bytes().all(|b| b.is_ascii_alphabetic() || b == b'-') {
            review.refuse_text(text, "this is no method", "write it like \"GET\"");
        } else if upper != **text {
            review.refuse_text(text, "methods are in capitals", format!("write {upper:?}"));
        } else if !seen.insert(upper) {
            review.refuse_text(text, "this method is there twice", "keep one of them");
        } else if let Ok(method) = Method::from_bytes(text.as_bytes()) {
            methods.push(method);
        }
    }
    if methods.len() != written.len() {
        return None;
    }
    // HEAD is GET without the content (RFC 9110, section 9.3.2): a guarded page is not open to who
    // asks for its head.
    if methods.contains(&Method::GET) && !methods.contains(&Method::HEAD) {
        methods.push(Method::HEAD);
    }
    Some(methods)
}
