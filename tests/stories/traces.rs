//! The operator looks at the traces of requests: what was asked for whom, and how long it took.

use std::sync::Arc;
use std::time::{Duration, Instant};

use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use vestibule::config::{SystemEnvironment, check_text};
use vestibule::runtime;
use vestibule::telemetry::labels::SpanDrop;

use super::support::{
    Collected, Collector, PASSWORD, Redis, SHOPPER, Server, Stage, free, traced, with_line,
};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";
const PROXY: &str = "[server]\ntrusted_proxies = [\"127.0.0.0/8\"]";

fn traceparent(flags: &str) -> String {
    format!("00-{TRACE}-{PARENT}-{flags}")
}

/// A stage whose requests are traced: so many of them, to `collector`.
async fn stage(collector: &Collector, sample: &str) -> Stage {
    Stage::set_with(|text| collector.in_place(&text, sample), |_| {}).await
}

/// The spans that are parts of `parent`, by name.
fn parts<'s>(spans: &'s [Collected], parent: &Collected) -> Vec<&'s Collected> {
    let mut parts: Vec<_> = spans.iter().filter(|it| it.is_within(parent)).collect();
    parts.sort_by(|one, other| one.name.cmp(&other.name));
    parts
}

fn names<'s>(spans: &[&'s Collected]) -> Vec<&'s str> {
    spans.iter().map(|span| span.name.as_str()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_with_a_renewal_is_a_tree_and_holds_nothing_secret() {
    let collector = Collector::open().await;
    let mut stage = stage(&collector, "1").await;
    let mut browser = stage.signed_in().await;
    stage.expire_access_tokens();
    let secrets = [
        SHOPPER.to_owned(),
        PASSWORD.to_owned(),
        "stories-api-key".to_owned(),
        browser.cookie("vestibule-access").unwrap().to_owned(),
        browser.cookie("vestibule-refresh").unwrap().to_owned(),
        "hush".to_owned(),
    ];
    let reply = browser.get("/products/7?token=hush").await;
    assert_eq!(reply.status, 200);
    let received = stage.store.last();
    stage.stop_gateway().await;

    let spans = collector.spans();
    let request = collector.one("GET /products/*");
    assert_eq!(
        (request.kind, request.parent.as_str()),
        (SpanKind::Server, "")
    );
    for (name, value) in [
        ("http.request.method", "GET"),
        ("http.route", "/products/*"),
        ("url.scheme", "http"),
        ("url.path", "/products/7"),
        ("server.address", "store.localhost"),
        ("server.port", "8080"),
        ("client.address", "127.0.0.1"),
        ("network.protocol.version", "1.1"),
        ("http.response.status_code", "200"),
        ("vestibule.site", "store"),
        ("vestibule.outcome", "forwarded"),
        ("vestibule.reason", "renewed"),
        (
            "vestibule.request_id",
            received.header("x-request-id").unwrap(),
        ),
    ] {
        assert_eq!(request.get(name), value, "{name}");
    }
    let [decision, upstream] = parts(&spans, &request)[..] else {
        panic!("{spans:#?}");
    };
    assert_eq!(names(&[decision, upstream]), ["decision", "upstream"]);
    let renewal = parts(&spans, decision);
    assert_eq!(names(&renewal), ["provider refresh"]);
    assert_eq!(renewal[0].kind, SpanKind::Client);
    assert_eq!(renewal[0].get("vestibule.provider"), "main");
    assert_eq!(renewal[0].get("vestibule.result"), "ok");
    assert_eq!(upstream.kind, SpanKind::Client);
    assert_eq!(upstream.get("http.response.status_code"), "200");
    let port = stage.store.address().port().to_string();
    assert_eq!(upstream.get("server.port"), port);
    // The application's spans are parts of the call to it.
    let sent = format!("00-{}-{}-01", request.trace, upstream.id);
    assert_eq!(received.header("traceparent"), Some(sent.as_str()));
    // The sign-in is a trace of its own.
    let sign_in = collector.one("provider sign_in");
    assert_ne!(sign_in.trace, request.trace);

    for body in collector.bodies() {
        let text = String::from_utf8_lossy(&body).into_owned();
        for secret in &secrets {
            assert!(!text.contains(secret.as_str()), "{secret} is in {text}");
        }
        assert!(!text.contains(received.header("x-auth-user-id").unwrap()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trace_is_continued_and_a_stranger_does_not_decide_whether_it_is_recorded() {
    for (sample, flags) in [("0", "01"), ("1.0", "00")] {
        let collector = Collector::open().await;
        let mut stage = stage(&collector, sample).await;
        let browser = stage.browser().with("Traceparent", &traceparent(flags));
        let mut browser = browser.with("Tracestate", "a=b");
        assert_eq!(browser.get("/static/logo").await.status, 200);
        let received = stage.store.last();
        stage.stop_gateway().await;
        assert_eq!(received.header("tracestate"), Some("a=b"));
        if sample == "0" {
            assert!(collector.bodies().is_empty(), "{:#?}", collector.spans());
            let sent = traceparent(flags);
            assert_eq!(received.header("traceparent"), Some(sent.as_str()));
            continue;
        }
        let request = collector.one("GET /static/*");
        assert_eq!(
            (request.trace.as_str(), request.parent.as_str()),
            (TRACE, PARENT)
        );
        let upstream = collector.one("upstream");
        assert!(upstream.is_within(&request));
        let sent = format!("00-{TRACE}-{}-01", upstream.id);
        assert_eq!(received.header("traceparent"), Some(sent.as_str()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trusted_proxy_decides_whether_a_trace_is_recorded() {
    for (sample, flags, recorded) in [("0", "01", 1), ("1", "00", 0)] {
        let collector = Collector::open().await;
        let trusting = |text: String| text.replacen("[server]", PROXY, 1);
        let config = |text| collector.in_place(&trusting(text), sample);
        let mut stage = Stage::set_with(config, |_| {}).await;
        let mut browser = stage.browser().with("Traceparent", &traceparent(flags));
        assert_eq!(browser.get("/static/logo").await.status, 200);
        stage.stop_gateway().await;
        let mut spans = collector.spans();
        spans.retain(|span| span.kind == SpanKind::Server);
        assert_eq!(spans.len(), recorded, "{flags}: {spans:#?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_trace_begins_another_one() {
    let collector = Collector::open().await;
    let mut stage = stage(&collector, "1").await;
    let browser = stage.browser().with("Traceparent", "00-hush-hush-01");
    let mut browser = browser.with("Tracestate", "a=b");
    assert_eq!(browser.get("/static/logo").await.status, 200);
    let received = stage.store.last();
    stage.stop_gateway().await;
    let request = collector.one("GET /static/*");
    assert_eq!(request.parent, "");
    let sent = format!("00-{}-{}-01", request.trace, collector.one("upstream").id);
    assert_eq!(received.header("traceparent"), Some(sent.as_str()));
    assert_eq!(received.header("tracestate"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_attempt_at_an_upstream_is_a_span_and_a_failure_is_an_error() {
    let collector = Collector::open().await;
    let (dead, mut live) = (free(), Server::open().await);
    let upstreams = format!(
        "upstreams = [\"http://{dead}\", \"http://{}\"]",
        live.address()
    );
    let config = |text: String| collector.in_place(&with_line(&text, "upstreams", &upstreams), "1");
    let mut stage = Stage::set_with(config, |_| {}).await;
    let mut browser = stage.browser();
    assert_eq!(browser.get("/static/found").await.status, 200);
    live.kill().await;
    assert_eq!(browser.get("/static/lost").await.status, 502);
    stage.stop_gateway().await;
    let spans = collector.spans();
    let request = |path| {
        let mut requests = spans.iter().filter(|span| span.get("url.path") == path);
        requests.next().unwrap()
    };
    let (found, lost) = (request("/static/found"), request("/static/lost"));
    let attempts = |of| {
        let mut attempts = parts(&spans, of);
        attempts.retain(|span| span.name == "upstream");
        attempts.sort_by_key(|span| span.began);
        attempts
    };
    let [first, second] = attempts(found)[..] else {
        panic!("{spans:#?}");
    };
    assert_eq!((first.is_error, first.get("error.type")), (true, "refused"));
    assert_eq!(first.get("server.port"), dead.port().to_string());
    assert_eq!((second.is_error, found.is_error), (false, false));
    assert!(lost.is_error);
    assert_eq!(lost.get("error.type"), "502");
    assert!(
        attempts(lost).iter().all(|span| span.is_error),
        "{spans:#?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_is_away_harms_nothing() {
    let config = |text: String| traced(&text, &free().to_string(), "1");
    let mut stage = Stage::set_with(config, |_| {}).await;
    let mut browser = stage.signed_in().await;
    assert_eq!(browser.get("/orders").await.status, 200);
    let began = Instant::now();
    stage.stop_gateway().await;
    assert!(began.elapsed() < Duration::from_secs(10), "the stop waits");
    let runtime = stage.runtime_handle.current();
    let metrics = runtime.metrics();
    // The sign-in and the request, each with its parts.
    assert!(metrics.dropped_spans(SpanDrop::ExportFailed) > 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_to_the_shared_store_are_spans() {
    let Some(redis) = Redis::start().await else {
        return;
    };
    let collector = Collector::open().await;
    let sessions = "landing = \"/shopping-cart\"\ncredential = \"session\"";
    let config = |text: String| {
        let text = text.replace("landing = \"/shopping-cart\"", sessions);
        redis.in_place(&collector.in_place(&text, "1"))
    };
    let mut stage = Stage::set_with(config, |_| {}).await;
    let mut browser = stage.signed_in().await;
    // Another replica does not know the session yet, and reads it.
    let replica = stage.replica().await;
    let mut browser_there = browser.at(replica.address);
    assert_eq!(browser_there.get("/orders").await.status, 200);
    assert_eq!(browser.get("/orders").await.status, 200);
    drop(replica);
    stage.stop_gateway().await;
    super::support::until("the export", || {
        let spans = collector.spans();
        spans.iter().any(|span| span.name == "store read_session")
    })
    .await;
    let spans = collector.spans();
    let stored = spans.iter().find(|span| span.name == "store SET").unwrap();
    assert_eq!(stored.get("db.system.name"), "redis");
    assert_eq!(stored.get("vestibule.result"), "ok");
    let read = spans.iter().find(|span| span.name == "store read_session");
    for call in [stored, read.unwrap()] {
        let decision = spans.iter().find(|span| span.id == call.parent);
        assert_eq!(decision.unwrap().name, "decision", "{call:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_changes_what_is_recorded() {
    let collector = Collector::open().await;
    let mut stage = Stage::set().await;
    let reload = |text: &str| {
        let settings = check_text("stories.toml", text, &SystemEnvironment).unwrap();
        let current = stage.runtime_handle.current();
        let built = runtime::build(settings, Some(&current), stage.clock.clone()).unwrap();
        stage.runtime_handle.replace(built);
    };
    let mut browser = stage.browser();
    assert_eq!(browser.get("/static/before").await.status, 200);
    reload(&collector.in_place(&stage.config, "1"));
    assert_eq!(browser.get("/static/while").await.status, 200);
    let exporter = Arc::clone(stage.runtime_handle.current().traces.as_ref().unwrap());
    reload(&collector.in_place(&stage.config, "1"));
    let kept = Arc::clone(stage.runtime_handle.current().traces.as_ref().unwrap());
    assert!(Arc::ptr_eq(&exporter, &kept), "what did not change goes on");
    reload(&collector.in_place(&stage.config, "0.0"));
    assert_eq!(browser.get("/static/after").await.status, 200);
    stage.stop_gateway().await;
    let paths: Vec<String> = collector
        .spans()
        .iter()
        .filter(|span| span.kind == SpanKind::Server)
        .map(|span| span.get("url.path").to_owned())
        .collect();
    assert_eq!(paths, ["/static/while"]);
}
