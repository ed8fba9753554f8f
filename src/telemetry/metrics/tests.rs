//! What is exported, and that the reference documents all of it.

use super::super::labels::{
    CallResult, ClientProtocol, HandshakeResult, HookEvent, HookResult, Limit, OrderResult,
    ProviderOperation, RenewalResult, SignOutCause, SpanDrop, StatusClass, UpstreamError,
    UpstreamHealth,
};
use super::*;
use crate::model::outcome_label::OutcomeLabel;
use crate::model::reason::Reason;

const REFERENCE: &str = include_str!("../../../docs/reference/metrics.md");

/// Metrics with at least one sample of every family.
fn one_of_each() -> Metrics {
    let metrics = Metrics::new();
    let site = metrics.site("store");
    site.request(
        OutcomeLabel::Forwarded,
        Reason::SignedIn,
        Duration::from_millis(3),
    );
    site.response(204);
    site.unexpected_sign_out(SignOutCause::Replayed);
    std::mem::forget(site.begin_request());
    site.decided(Duration::from_micros(9));
    site.signed_in();
    site.sign_in_refused(Reason::InvalidCredentials);
    site.renewal(RenewalResult::Shared);
    site.throttled(Limit::Address);
    let upstream = site.upstream("http://127.0.0.1:80");
    upstream.health(UpstreamHealth::Down);
    upstream.failed(UpstreamError::Reset);
    upstream.responded(Duration::from_millis(20));
    std::mem::forget(site.stream_opened());
    metrics.provider("main").call(
        ProviderOperation::Keys,
        CallResult::Ok,
        Duration::from_millis(20),
    );
    metrics.token_checked(TokenCheck::Revoked);
    metrics.reloaded(ReloadResult::Refused, Timestamp::from_secs(1_700_000_000));
    let listener = metrics.listener("0.0.0.0:443");
    listener.handshake(HandshakeResult::Timeout);
    std::mem::forget(listener.connection_opened(ClientProtocol::Http1));
    let certificates = [("a.example", 9), ("a.example", 7)];
    let certificates =
        certificates.map(|(name, secs): (&str, u64)| (name.to_owned(), Timestamp::from_secs(secs)));
    metrics.certificates(certificates.into_iter());
    metrics.cookie_key_age(Duration::from_secs(7));
    metrics.store_evictions(Store::Refreshes, 3);
    metrics.store_evictions(Store::Refreshes, 5);
    metrics
}

fn words<T: Copy>(all: &[T], word: impl Fn(T) -> &'static str) -> Vec<&'static str> {
    all.iter().map(|value| word(*value)).collect()
}

#[test]
fn the_configuration_in_force_has_a_time() {
    let metrics = Metrics::new();
    let (first, later) = (Timestamp::from_secs(100), Timestamp::from_secs(200));
    metrics.configured(first);
    metrics.reloaded(ReloadResult::Refused, later);
    let exported = |line: &str| metrics.render().contains(&format!("\n{line}\n"));
    assert!(exported("vestibule_config_last_reload_successful 0"));
    assert!(exported(
        "vestibule_config_last_reload_successful_timestamp_seconds 100"
    ));
    metrics.reloaded(ReloadResult::Ok, later);
    assert!(exported("vestibule_config_last_reload_successful 1"));
    assert!(exported(
        "vestibule_config_last_reload_successful_timestamp_seconds 200"
    ));
}

#[test]
fn what_was_counted_is_exported() {
    let metrics = one_of_each();
    let text = metrics.render();
    for line in [
        r#"vestibule_requests_total{outcome="forwarded",reason="signed_in",site="store"} 1"#,
        r#"vestibule_request_duration_seconds_count{site="store"} 1"#,
        r#"vestibule_decision_duration_seconds_bucket{site="store",le="0.00001"} 1"#,
        r#"vestibule_logins_total{result="success",site="store"} 1"#,
        r#"vestibule_logins_total{result="invalid_credentials",site="store"} 1"#,
        r#"vestibule_renewals_total{result="shared",site="store"} 1"#,
        r#"vestibule_throttled_total{limit="address",site="store"} 1"#,
        r#"vestibule_upstream_healthy{site="store",upstream="http://127.0.0.1:80"} 0"#,
        r#"vestibule_upstream_errors_total{error="reset",site="store",upstream="http://127.0.0.1:80"} 1"#,
        r#"vestibule_upstream_errors_total{error="dns",site="store",upstream="http://127.0.0.1:80"} 0"#,
        r#"vestibule_upstream_request_duration_seconds_count{site="store",upstream="http://127.0.0.1:80"} 1"#,
        r#"vestibule_open_streams{site="store"} 1"#,
        r#"vestibule_provider_requests_total{operation="keys",provider="main",result="ok"} 1"#,
        r#"vestibule_token_checks_total{result="revoked"} 1"#,
        r#"vestibule_config_reloads_total{result="refused"} 1"#,
        r#"vestibule_tls_handshakes_total{listener="0.0.0.0:443",result="timeout"} 1"#,
        r#"vestibule_tls_handshakes_total{listener="0.0.0.0:443",result="ok"} 0"#,
        r#"vestibule_connections{listener="0.0.0.0:443",protocol="http1"} 1"#,
        r#"vestibule_connections{listener="0.0.0.0:443",protocol="h2"} 0"#,
        r#"vestibule_certificate_expiry_timestamp_seconds{name="a.example"} 7"#,
        r#"vestibule_store_evictions_total{store="refreshes"} 5"#,
        r#"vestibule_store_evictions_total{store="sessions"} 0"#,
    ] {
        assert!(text.contains(line), "{line} is missing in\n{text}");
    }
}

/// The metrics of a site and a provider to which nothing has happened.
fn of_nothing() -> String {
    let metrics = Metrics::new();
    drop(metrics.site("store"));
    drop(metrics.provider("main"));
    metrics.render()
}

#[test]
fn usual_series_exist_from_the_start() {
    let text = of_nothing();
    for line in [
        r#"vestibule_requests_total{outcome="redirected",reason="signed_out",site="store"} 0"#,
        r#"vestibule_requests_total{outcome="failed",reason="upstream_timeout",site="store"} 0"#,
        r#"vestibule_requests_in_flight{site="store"} 0"#,
        r#"vestibule_request_duration_seconds_count{site="store"} 0"#,
        r#"vestibule_decision_duration_seconds_count{site="store"} 0"#,
        r#"vestibule_logins_total{result="throttled",site="store"} 0"#,
        r#"vestibule_open_streams{site="store"} 0"#,
        r#"vestibule_provider_requests_total{operation="revoke",provider="main",result="refused"} 0"#,
    ] {
        assert!(text.contains(line), "{line} is missing in\n{text}");
    }
}

#[test]
fn every_series_of_a_closed_list_exists_from_the_start() {
    let text = of_nothing();
    for (family, label, values) in [
        (
            "responses_total",
            "class",
            words(StatusClass::ALL, StatusClass::as_str),
        ),
        (
            "renewals_total",
            "result",
            words(RenewalResult::ALL, RenewalResult::as_str),
        ),
        ("throttled_total", "limit", words(Limit::ALL, Limit::as_str)),
        (
            "unexpected_sign_outs_total",
            "cause",
            words(SignOutCause::ALL, SignOutCause::as_str),
        ),
        (
            "token_checks_total",
            "result",
            words(TokenCheck::ALL, TokenCheck::as_str),
        ),
        (
            "config_reloads_total",
            "result",
            words(ReloadResult::ALL, ReloadResult::as_str),
        ),
    ] {
        let lines: Vec<&str> = text
            .lines()
            .filter(|line| line.starts_with(&format!("vestibule_{family}{{")))
            .collect();
        for value in &values {
            let labelled = format!("{label}=\"{value}\"");
            let line = lines.iter().find(|line| line.contains(&labelled));
            assert!(
                line.is_some_and(|line| line.ends_with(" 0")),
                "{family} {value}"
            );
        }
        assert_eq!(lines.len(), values.len(), "{family}");
    }
}

#[test]
fn every_combination_has_its_own_counter() {
    let metrics = Metrics::new();
    let site = metrics.site("");
    for outcome in OutcomeLabel::ALL {
        for reason in Reason::ALL {
            site.request(*outcome, *reason, Duration::ZERO);
        }
    }
    let text = metrics.render();
    for outcome in OutcomeLabel::ALL {
        for reason in Reason::ALL {
            let (outcome, reason) = (outcome.as_str(), reason.as_str());
            let line = format!(
                "vestibule_requests_total{{outcome=\"{outcome}\",reason=\"{reason}\",site=\"\"}} 1\n"
            );
            assert!(text.contains(&line), "{line}");
        }
    }
}

#[test]
fn every_lookup_of_a_site_returns_the_same_counters() {
    let metrics = Metrics::new();
    metrics.site("store").signed_in();
    metrics.site("store").signed_in();
    assert!(
        metrics
            .render()
            .contains(r#"vestibule_logins_total{result="success",site="store"} 2"#)
    );
}

#[test]
fn a_closed_stream_and_a_removed_upstream_are_gone() {
    let metrics = Metrics::new();
    let site = metrics.site("store");
    let stream = site.stream_opened();
    assert!(
        metrics
            .render()
            .contains(r#"vestibule_open_streams{site="store"} 1"#)
    );
    drop(stream);
    assert!(
        metrics
            .render()
            .contains(r#"vestibule_open_streams{site="store"} 0"#)
    );
    site.upstream("a:1").health(UpstreamHealth::Up);
    assert!(metrics.render().contains(r#"upstream="a:1"} 1"#));
    site.forget_upstream("a:1");
    assert!(!metrics.render().contains("a:1"));
}

#[test]
fn the_reference_lists_every_metric_and_no_other() {
    let families = one_of_each().registry.gather();
    let rows: Vec<String> = families
        .iter()
        .map(|family| {
            let sample = &family.get_metric()[0];
            let mut labels: Vec<_> = sample
                .get_label()
                .iter()
                .map(|label| format!("`{}`", label.name()))
                .collect();
            labels.sort();
            let kind = format!("{:?}", family.get_field_type()).to_lowercase();
            format!(
                "| `{}` | {kind} | {} | {} |",
                family.name(),
                labels.join(", "),
                family.help()
            )
        })
        .collect();
    let unwrapped = REFERENCE.replace("\n  ", " ");
    let listed: Vec<&str> = unwrapped
        .lines()
        .filter(|line| line.starts_with("| `vestibule_") || line.starts_with("| `process_"))
        .collect();
    assert_eq!(listed, rows);
}

#[test]
#[expect(clippy::too_many_lines, reason = "one table")]
fn the_reference_lists_every_value_of_the_closed_labels() {
    fn row(metric: &str, label: &str, values: impl Iterator<Item = &'static str>) -> String {
        let values: Vec<_> = values.map(|value| format!("`{value}`")).collect();
        format!("* `{metric}`, `{label}`: {}", values.join(", "))
    }
    let operations = ProviderOperation::ALL.iter().map(|value| value.as_str());
    let rows = [
        row(
            "requests_total",
            "outcome",
            OutcomeLabel::ALL.iter().map(|value| value.as_str()),
        ),
        row(
            "renewals_total",
            "result",
            RenewalResult::ALL.iter().map(|value| value.as_str()),
        ),
        row(
            "token_checks_total",
            "result",
            TokenCheck::ALL.iter().map(|value| value.as_str()),
        ),
        row("provider_requests_total", "operation", operations),
        row(
            "provider_requests_total",
            "result",
            CallResult::ALL.iter().map(|value| value.as_str()),
        ),
        row(
            "hooks_total",
            "event",
            HookEvent::ALL.iter().map(|value| value.as_str()),
        ),
        row(
            "hooks_total",
            "result",
            HookResult::ALL.iter().map(|value| value.as_str()),
        ),
        row(
            "throttled_total",
            "limit",
            Limit::ALL.iter().map(|value| value.as_str()),
        ),
        row(
            "responses_total",
            "class",
            StatusClass::ALL.iter().map(|value| value.as_str()),
        ),
        row(
            "unexpected_sign_outs_total",
            "cause",
            SignOutCause::ALL.iter().map(|value| value.as_str()),
        ),
        row(
            "store_evictions_total",
            "store",
            Store::ALL.iter().map(|value| value.as_str()),
        ),
        row(
            "spans_dropped_total",
            "reason",
            SpanDrop::ALL.iter().map(|value| value.as_str()),
        ),
        row(
            "upstream_errors_total",
            "error",
            UpstreamError::ALL.iter().map(|value| value.as_str()),
        ),
        row(
            "config_reloads_total",
            "result",
            ReloadResult::ALL.iter().map(|value| value.as_str()),
        ),
        row(
            "connections",
            "protocol",
            ClientProtocol::ALL.iter().map(|value| value.as_str()),
        ),
        row(
            "acme_orders_total",
            "result",
            OrderResult::ALL.iter().map(|value| value.as_str()),
        ),
        row(
            "tls_handshakes_total",
            "result",
            HandshakeResult::ALL.iter().map(|value| value.as_str()),
        ),
    ];
    let unwrapped = REFERENCE.replace("\n  ", " ");
    let listed: Vec<&str> = unwrapped
        .lines()
        .filter(|line| line.starts_with("* `"))
        .collect();
    assert_eq!(listed, rows);
}

#[test]
fn the_reference_of_reasons_lists_every_one_with_its_title() {
    let reference = include_str!("../../../docs/reference/reasons.md");
    let listed: Vec<String> = reference
        .lines()
        .filter(|line| line.starts_with("| `"))
        .map(|line| line.split('|').take(3).collect::<Vec<_>>().join("|"))
        .collect();
    let rows: Vec<String> = Reason::ALL
        .iter()
        .map(|reason| format!("| `{}` | {} ", reason.as_str(), reason.title()))
        .collect();
    assert_eq!(listed, rows);
}
