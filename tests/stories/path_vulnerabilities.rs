//! Published vulnerabilities of other gateways in which the path that the rules are applied to is
//! not the path that the application gets. Each is tried with every setting that has to do with
//! paths, addresses or credentials.

use super::support::{Siege, ask};

/// A request line without method and version, and header fields, that reach `/admin/*` unseen in
/// the gateway that the CVE is about.
struct Attempt {
    cve: &'static str,
    target: &'static str,
    host: &'static str,
    fields: &'static str,
}

const HOST: &str = "store.localhost:8080";

const fn by_target(cve: &'static str, target: &'static str) -> Attempt {
    Attempt {
        cve,
        target,
        host: HOST,
        fields: "",
    }
}

const fn by_field(cve: &'static str, fields: &'static str) -> Attempt {
    Attempt {
        cve,
        target: "/admin/secret",
        host: HOST,
        fields,
    }
}

const fn by_host(cve: &'static str, host: &'static str) -> Attempt {
    Attempt {
        cve,
        target: "/admin/secret",
        host,
        fields: "",
    }
}

/// `/products/*`, `/static/*` and `/` are open, and `/admin/*` is not.
const ATTEMPTS: &[Attempt] = &[
    // oauth2-proxy matched its open routes against the query too.
    by_target("CVE-2025-54576", "/admin/secret?/products/1"),
    by_target("CVE-2025-54576", "/admin/secret?next=/static/a.css"),
    by_target("CVE-2025-54576", "/admin/secret?%2Fproducts%2F1"),
    // oauth2-proxy took the path from a field of the client.
    by_field("CVE-2026-40575", "X-Forwarded-Uri: /products/1\r\n"),
    by_field("CVE-2026-40575", "X_Forwarded_Uri: /products/1\r\n"),
    by_field("CVE-2026-40575", "X-Original-URL: /products/1\r\n"),
    by_field("CVE-2026-40575", "X-Original-URI: /products/1\r\n"),
    by_field("CVE-2026-40575", "X-Rewrite-URL: /products/1\r\n"),
    by_field("CVE-2026-40575", "X-Forwarded-Prefix: /products/..\r\n"),
    // oauth2-proxy matched a path up to its end, the application up to `#`.
    by_target("CVE-2026-41059", "/admin/secret#/products/1"),
    by_target("CVE-2026-41059", "/admin/secret%23/products/1"),
    by_target("CVE-2026-41059", "/products/..#/admin/secret"),
    // Oathkeeper matched the path before dot segments were resolved.
    by_target("CVE-2026-33494", "/products/../admin/secret"),
    by_target("CVE-2026-33494", "/products/..;/admin/secret"),
    by_target("CVE-2026-33494", "/static/./../admin/secret"),
    // Traefik removed a prefix, and resolved dot segments only then.
    by_target("CVE-2026-48020", "/products/%2e%2e/admin/secret"),
    by_target("CVE-2026-48020", "/products/%2E%2e/admin/secret"),
    by_target("CVE-2026-48020", "/products/.%2e/admin/secret"),
    by_target(
        "CVE-2026-48020",
        "/products..%2fadmin/secret/../../admin/secret",
    ),
    by_target("CVE-2026-48020", "/products/%252e%252e/admin/secret"),
    // Istio did not merge slashes, nor decode them.
    by_target("CVE-2021-31920", "//admin/secret"),
    by_target("CVE-2021-31920", "/products/..//admin/secret"),
    by_target("CVE-2021-31920", "/admin//secret"),
    by_target("CVE-2021-31920", "/%5cadmin/secret"),
    by_target("CVE-2021-31920", "/admin%5csecret"),
    by_target("CVE-2021-31920", "/admin%5Csecret"),
    by_target("CVE-2021-31920", "/admin\\secret"),
    by_target("CVE-2021-31920", "/products%2f..%2fadmin%2fsecret"),
    // Istio compared hosts with regard to letter case.
    by_host("CVE-2021-39155", "STORE.localhost:8080"),
    by_host("CVE-2021-39155", "store.LOCALHOST:8080"),
    by_host("CVE-2021-39155", "store.localhost.:8080"),
    // Istio took a fragment for a part of the path.
    by_target("CVE-2021-39156", "/admin/secret#"),
    by_target("CVE-2021-39156", "/admin#/secret"),
    by_target("CVE-2021-39156", "/admin/secret%23x"),
];

/// With an encoded slash in place of a slash. `encoded_slashes = "pass"` says that the application
/// does not take it for one.
const ENCODED_SLASH: &[Attempt] = &[
    by_target("CVE-2021-31920", "/admin%2fsecret"),
    by_target("CVE-2021-31920", "/admin%2Fsecret"),
    by_target("CVE-2021-31920", "/%2fadmin/secret"),
    by_target("CVE-2026-48020", "/products/..%2fadmin/secret"),
];

/// Lines of the table of the site, and of `[server]`.
const SETTINGS: &[(&str, &str)] = &[
    ("", ""),
    ("encoded_slashes = \"pass\"", ""),
    ("bearer = true", ""),
    ("basic = true", ""),
    ("credential = \"session\"", ""),
    ("forget = [\"sid*\"]\nsign_out_paths = [\"/out\"]", ""),
    (
        "paths = { login = \"/in/\", logout = \"/out\", api = false }",
        "",
    ),
    (
        "max_target = \"64KiB\"\nmax_head = \"64KiB\"\nrewrite = false\nvia = false",
        "",
    ),
    ("aliases = [\"shop.localhost:8080\"]", ""),
    ("", "trusted_proxies = [\"127.0.0.1\"]"),
];

async fn meets_the_rule(siege: &Siege, attempt: &Attempt, settings: (&str, &str)) {
    let Attempt {
        cve,
        target,
        host,
        fields,
    } = attempt;
    let request =
        format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n{fields}Connection: close\r\n\r\n");
    let reply = ask(siege.stage.address, request).await.expect("an answer");
    let told = format!("{cve}: {target} {fields:?} at {host} with {settings:?}: {reply:?}");
    assert!([400, 401, 421].contains(&reply.status), "{told}");
    assert_eq!(siege.witness.count(), 0, "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_path_confusion_of_other_gateways_works_with_any_setting() {
    for settings in SETTINGS {
        let (site, server) = *settings;
        let line = format!("default_access = \"public\"\n{site}\nlanding =");
        let siege = Siege::lay_with(
            |config| {
                config.replacen("landing =", &line, 1).replacen(
                    "[server]",
                    &format!("[server]\n{server}"),
                    1,
                )
            },
            |_| {},
        )
        .await;
        let encoded: &[Attempt] = if site.contains("encoded_slashes") {
            &[]
        } else {
            ENCODED_SLASH
        };
        for attempt in ATTEMPTS.iter().chain(encoded) {
            meets_the_rule(&siege, attempt, *settings).await;
        }
    }
}
