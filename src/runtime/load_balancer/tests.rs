//! The order in which upstreams and their addresses are tried.

use std::time::Duration;

use super::*;
use crate::telemetry::Metrics;

const KEY: StickyKey<'_> = StickyKey {
    user: None,
    address: std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST),
};

fn http(host: &str, port: u16) -> Upstream {
    UpstreamAddress::Http {
        host: host.into(),
        port,
    }
    .into()
}

fn socket() -> Upstream {
    UpstreamAddress::Unix {
        path: "/run/app".into(),
    }
    .into()
}

fn upstreams(
    upstreams: &[Upstream],
    balance: Balance,
    previous: Option<&LoadBalancer>,
) -> LoadBalancer {
    let health = HealthCheck {
        path: "/healthz".into(),
        interval: Duration::from_secs(5),
    };
    let configured = Configured {
        site: "store",
        upstreams,
        balance,
        health: Some(&health),
    };
    LoadBalancer::configured(configured, &Metrics::new().site("store"), previous)
}

fn three() -> LoadBalancer {
    let all = [1, 2, 3].map(|port| http("127.0.0.1", port));
    upstreams(&all, Balance::RoundRobin, None)
}

fn available(upstreams: &LoadBalancer) -> Vec<bool> {
    upstreams.all().iter().map(Backend::is_available).collect()
}

fn down() -> Result<(), String> {
    Err("nobody answers".into())
}

#[tokio::test]
async fn what_is_known_outlives_a_reload() {
    let before = three();
    before.backends[1].checked(down());
    for _ in 0..5 {
        before.failed(2, UpstreamError::Reset);
    }
    assert_eq!(available(&before), [true, false, false]);
    let others = [
        http("127.0.0.1", 3),
        Upstream {
            weight: 4,
            ..http("127.0.0.1", 2)
        },
        http("127.0.0.1", 4),
    ];
    let after = upstreams(&others, Balance::RoundRobin, Some(&before));
    assert_eq!(available(&after), [false, false, true]);
    // Without checks, nothing would find out that it is up again.
    let unchecked = Configured {
        site: "store",
        upstreams: &others,
        balance: Balance::RoundRobin,
        health: None,
    };
    let after = LoadBalancer::configured(unchecked, &Metrics::new().site("store"), Some(&after));
    assert_eq!(available(&after), [false, true, true]);
}

#[tokio::test(start_paused = true)]
async fn an_ejected_upstream_is_tried_again_after_ten_seconds_and_the_last_one_never_ejected() {
    let upstreams = three();
    let fail = |index| {
        for _ in 0..5 {
            upstreams.failed(index, UpstreamError::Refused);
        }
    };
    fail(0);
    fail(1);
    fail(2);
    assert_eq!(available(&upstreams), [false, false, true]);
    tokio::time::advance(Duration::from_secs(10)).await;
    assert_eq!(available(&upstreams), [true; 3]);
    upstreams.backends[0].responded(Duration::ZERO);
    upstreams.failed(0, UpstreamError::Refused);
    upstreams.failed(1, UpstreamError::Refused);
    assert_eq!(available(&upstreams), [true, false, true]);
}

#[tokio::test]
async fn better_upstreams_are_tried_first_and_each_once() {
    let upstreams = three();
    upstreams.backends[0].checked(down());
    for _ in 0..5 {
        upstreams.failed(1, UpstreamError::Timeout);
    }
    assert_eq!(upstreams.pick(&[], KEY), Some(2));
    assert_eq!(upstreams.pick(&[2], KEY), Some(1));
    assert_eq!(upstreams.pick(&[2, 1], KEY), Some(0));
    assert_eq!(upstreams.pick(&[2, 1, 0], KEY), None);
}

#[tokio::test]
async fn requests_under_way_count_until_they_end() {
    let all = [1, 2].map(|port| http("127.0.0.1", port));
    let upstreams = upstreams(&all, Balance::LeastRequests, None);
    let active = || {
        upstreams
            .backends
            .iter()
            .map(|backend| backend.state.active())
    };
    let mut requests = Vec::new();
    for _ in 0..4 {
        let mut attempts = Attempts::default();
        upstreams.next(&mut attempts, KEY).await.unwrap();
        requests.push(attempts);
    }
    assert_eq!(active().collect::<Vec<_>>(), [2, 2]);
    // The next try of a request counts at the next upstream.
    upstreams.next(&mut requests[0], KEY).await.unwrap();
    assert_eq!(active().sum::<usize>(), 4);
    requests.clear();
    assert_eq!(active().sum::<usize>(), 0);
}

/// Two upstreams: a name with the addresses `found`, and a Unix socket.
fn name_and_socket(found: &[&str]) -> LoadBalancer {
    let all = [http("app.internal", 80), socket()];
    let upstreams = upstreams(&all, Balance::RoundRobin, None);
    let found = found.iter().map(|text| text.parse().unwrap()).collect();
    upstreams.backends[0].state.addresses.take(found);
    upstreams
}

#[tokio::test]
async fn every_address_of_a_name_is_tried_before_the_next_upstream() {
    let upstreams = name_and_socket(&["[::1]:80", "127.0.0.1:80"]);
    let mut attempts = Attempts::default();
    assert_eq!(attempts.last(), None);
    for (backend, address) in [(0, Some("[::1]:80")), (0, Some("127.0.0.1:80")), (1, None)] {
        let expected = Destination {
            backend,
            address: address.map(|text| text.parse().unwrap()),
        };
        assert!(upstreams.has_next(&attempts));
        assert!(upstreams.next(&mut attempts, KEY).await.is_some());
        assert_eq!(attempts.last(), Some(expected));
    }
    assert!(!upstreams.has_next(&attempts));
    assert!(upstreams.next(&mut attempts, KEY).await.is_none());
}

#[tokio::test]
async fn a_kept_connection_that_broke_is_replaced_once_while_there_are_others() {
    let upstreams = name_and_socket(&["127.0.0.1:80"]);
    let mut attempts = Attempts::default();
    let mut tried = Vec::new();
    for _ in 0..5 {
        upstreams.next(&mut attempts, KEY).await.unwrap();
        tried.push(attempts.last().unwrap().backend);
        upstreams.repeat_last(&mut attempts);
    }
    assert_eq!(tried, [0, 0, 1, 1, 1]);
}

#[tokio::test]
async fn a_name_without_addresses_leaves_the_other_upstreams() {
    let all = [http("does-not-exist.invalid", 80), socket()];
    let upstreams = upstreams(&all, Balance::RoundRobin, None);
    let mut attempts = Attempts::default();
    upstreams.next(&mut attempts, KEY).await.unwrap();
    assert_eq!(attempts.last().map(|last| last.backend), Some(1));
}
