//! What is allowed and probably not meant. `vestibule check` tells it, and every command goes on.

use std::ops::Range;
use std::path::Path;
use std::time::Duration;

use http::Method;
use ipnet::IpNet;
use percent_encoding::percent_decode_str;

use super::super::file::File;
use super::super::file::site::{Rule as WrittenRule, Site as Written};
use super::super::file::site_theme::Links;
use super::super::problems::quoted;
use super::super::secret_source::SecretSource;
use super::super::spans::At;
use super::super::units::Time;
use super::{Review, known_applications};
use crate::model::rule::{Access, Rule, RuleClient};
use crate::model::site::Site;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The JSON endpoints, beneath their prefix.
const JSON_ENDPOINTS: [&str; 4] = ["/login", "/user", "/refresh", "/logout"];

/// The first or last segments of paths whose files look the same to everybody.
const STATIC_SEGMENTS: &[&str] = &[
    "_next",
    "assets",
    "build",
    "css",
    "dist",
    "fonts",
    "health",
    "healthz",
    "icons",
    "images",
    "img",
    "js",
    "media",
    "public",
    "static",
    "staticfiles",
    "wp-content",
    "wp-includes",
    ".well-known",
];

pub(super) fn site(written: &At<Written>, site: &Site, review: &mut Review<'_>) {
    own_paths(written, site, review);
    for (rule, at) in site.rules.iter().zip(&written.rules) {
        own_endpoint_rule(rule, at, site, review);
        public_rule(rule, at, site, review);
        encoded_rule(at, review);
    }
    if let Some(links) = written.theme.as_ref().and_then(|it| it.links.as_ref()) {
        guarded_links(links, site, review);
    }
}

/// Paths of the gateway that an application has too. The defaults are told only where the
/// configuration tells which application it is: `/login` is a good path before any other.
fn own_paths(written: &At<Written>, site: &Site, review: &mut Review<'_>) {
    let name = written.name.as_ref().map_or(&written.span, |at| &at.span);
    let paths = &written.paths;
    let pages = [&paths.login, &paths.logout].map(|at| (at.is_written().then_some(&at.span), at));
    let mut own: Vec<_> = pages
        .iter()
        .map(|(span, path)| (*span, path.as_str().to_owned()))
        .collect();
    let api = paths.api.is_written().then_some(&paths.api.span);
    if let Some(prefix) = &site.paths.api {
        own.extend(JSON_ENDPOINTS.map(|endpoint| (api, format!("{prefix}{endpoint}"))));
    }
    let defaults = ["/login", "/logout", "/api/user", "/api/login"];
    for (span, path) in own {
        let is_chosen = !defaults.contains(&path.as_str());
        let mut found: Vec<&str> = known_applications::behind(written, site)
            .filter(|application| application.uses(&path))
            .map(|application| application.name)
            .collect();
        if is_chosen && found.is_empty() {
            found.extend(known_applications::with_path(&path).map(|application| application.name));
        }
        if found.is_empty() {
            continue;
        }
        let what = format!(
            "{} has a page of its own at {path:?}, and the gateway answers there",
            found.join(" or ")
        );
        let hint = if path.starts_with("/api/") {
            "write another prefix or false for `api` in [sites.paths]"
        } else {
            "name another path in [sites.paths], like \"/sign-in\" or \"/sign-out\", unless that is \
             meant"
        };
        review.warn(span.unwrap_or(name), what, hint);
    }
}

/// A rule for one of the gateway's own endpoints.
fn own_endpoint_rule(rule: &Rule, at: &WrittenRule, site: &Site, review: &mut Review<'_>) {
    let pattern = &**rule.pattern.text();
    let is_json = site.paths.api.as_ref().is_some_and(|prefix| {
        let endpoint = pattern.strip_prefix(prefix.as_str());
        endpoint.is_some_and(|endpoint| JSON_ENDPOINTS.contains(&endpoint))
    });
    if let Some(path) = &at.path
        && (is_json || pattern == site.paths.login || pattern == site.paths.logout)
    {
        let what = format!("the gateway answers at {pattern:?} itself: this rule never matches");
        let hint = "take it away, or change [sites.paths] where the application has this page";
        review.warn(&path.span, what, hint);
    }
}

/// A rule that is written as it stands in a URL.
fn encoded_rule(at: &WrittenRule, review: &mut Review<'_>) {
    let Some(path) = &at.path else { return };
    let decoded: Vec<u8> = percent_decode_str(path).collect();
    if decoded != path.as_bytes() {
        let what = "rules are matched with the decoded path: this one meets no such address";
        let decoded = String::from_utf8_lossy(&decoded);
        let hint = format!("write {}", quoted(&decoded));
        review.warn(&path.span, what, hint);
    }
}

/// A public page of an application that takes its user from a header for each request: without the
/// header it ends its own session.
fn public_rule(rule: &Rule, at: &WrittenRule, site: &Site, review: &mut Review<'_>) {
    let is_for_some = rule.header.is_some() || !rule.from.is_empty() || !rule.methods.is_empty();
    let mut headers = site.identity_headers.names();
    let has_remote_user = headers.any(|name| name.as_str().contains("remote-user"));
    if let Some(path) = &at.path
        && rule.access == Access::Public
        && has_remote_user
        && !is_for_some
        && !is_static(rule.pattern.text())
    {
        let what = "the application gets no user on this page, and may end its own session";
        let hint = "write access = \"optional\", unless the page is the same for everybody";
        review.warn(&path.span, what, hint);
    }
}

/// Whether the paths of a pattern look like files that are the same for everybody.
fn is_static(pattern: &str) -> bool {
    let mut segments = pattern.split('/').filter(|it| !it.is_empty() && *it != "*");
    let is_file = pattern
        .rsplit('/')
        .next()
        .is_some_and(|last| last.contains('.'));
    is_file || segments.any(|segment| STATIC_SEGMENTS.contains(&segment))
}

/// Links on the sign-in page that lead behind it.
fn guarded_links(links: &Links, site: &Site, review: &mut Review<'_>) {
    let all = [
        &links.privacy,
        &links.help,
        &links.register,
        &links.forgot_password,
    ];
    for link in all.into_iter().flatten().filter(|it| it.starts_with('/')) {
        let path = link.split(['?', '#']).next().unwrap_or_default();
        let decoded: Vec<u8> = percent_decode_str(path).collect();
        let rule = site.match_rule(&Method::GET, &decoded, RuleClient::default());
        if rule.access == Access::Required && !site.paths.iter().any(|own| own == path) {
            let what = format!("this link of the sign-in page leads behind it: {path:?}");
            let hint = "add a rule for it with access = \"public\" or \"optional\"";
            review.warn(&link.span, what, hint);
        }
    }
}

/// `insecure = true`.
pub(super) fn cleartext(file: &File, review: &mut Review<'_>) {
    let hint = "take it away as soon as there is TLS";
    for provider in file.providers.iter().flat_map(|all| all.values()) {
        if *provider.insecure {
            let what = "passwords and tokens may cross the network in the clear";
            review.warn(&provider.insecure.span, what, hint);
        }
    }
    for site in file.sites.iter().flat_map(|all| all.iter()) {
        if *site.insecure {
            let what = "passwords and cookies may cross the network in the clear";
            review.warn(&site.insecure.span, what, hint);
        }
    }
    if *file.store.insecure {
        let what = "the store's password may cross the network in the clear";
        review.warn(&file.store.insecure.span, what, hint);
    }
}

/// Forward-auth that nobody may use.
pub(super) fn forward_auth(file: &File, review: &mut Review<'_>) {
    for site in file.sites.iter().flat_map(|all| all.iter()) {
        if *site.forward_auth && file.server.trusted_proxies.is_empty() {
            let what = "`forward_auth` answers nobody without `server.trusted_proxies`";
            let hint = "name the proxy that asks in `trusted_proxies`, like \"10.0.0.7/32\"";
            review.warn(&site.forward_auth.span, what, hint);
        }
    }
}

/// Lifetimes that are longer than a stolen cookie should live.
pub(super) fn lifetimes(file: &File, review: &mut Review<'_>) {
    let mut longest = |key: &str, written: &At<Time>, days: u32| {
        if written.0 > DAY * days {
            let what = format!("`{key}` is longer than {days} days");
            let hint = "whoever gets hold of a visitor's cookies may use them for as long";
            review.warn(&written.span, what, hint);
        }
    };
    longest("session.idle", &file.session.idle, 7);
    longest("session.absolute", &file.session.absolute, 30);
    longest("cookies.max_age", &file.cookies.max_age, 90);
}

/// A network of proxies that is large enough to hold clients.
pub(super) fn wide_network(text: &At<String>, net: &IpNet, review: &mut Review<'_>) {
    let is_wide = match net {
        IpNet::V4(net) => net.prefix_len() < 8,
        IpNet::V6(net) => net.prefix_len() < 7,
    };
    if is_wide {
        let what = "`trusted_proxies` believes a large part of the internet";
        let hint = "name the networks of your proxies only, like \"10.0.0.0/24\"";
        review.warn(&text.span, what, hint);
    }
}

/// The file of a secret.
pub(super) fn secret_file(source: &At<SecretSource>, review: &mut Review<'_>) {
    if let Some(path) = source.file(review.folder) {
        private_file(&source.span, &path, review);
    }
}

/// The file of a private key.
pub(super) fn key_file(written: &At<String>, review: &mut Review<'_>) {
    private_file(&written.span, &review.path(written), review);
}

/// A file that everybody on the machine has access to.
fn private_file(span: &Range<usize>, path: &Path, review: &mut Review<'_>) {
    let mode = review.environment.mode(path).unwrap_or_default();
    if mode & 0o007 != 0 {
        let what = format!(
            "every user of this machine has access to the secret in \"{}\"",
            path.display()
        );
        let hint = format!("its mode is {mode:o}: `chmod o= {}`", path.display());
        review.warn(span, what, hint);
    }
}

/// A users file that others can read: it holds password hashes.
pub(super) fn users_file(written: &At<String>, path: &Path, review: &mut Review<'_>) {
    let mode = review.environment.mode(path).unwrap_or_default();
    if mode & 0o077 != 0 {
        let what = format!(
            "other users of this machine have access to the password hashes in \"{}\"",
            path.display()
        );
        let hint = format!("its mode is {mode:o}: `chmod 600 {}`", path.display());
        review.warn(&written.span, what, hint);
    }
}
