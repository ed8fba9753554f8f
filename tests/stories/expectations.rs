//! `Expect`: which expectations are met, and who is told to go on.

use super::support::{Siege, ask};

const JSON: &str = "Content-Type: application/json\r\n";
const FORM: &str = "Content-Type: application/x-www-form-urlencoded\r\n";

#[tokio::test(flavor = "multi_thread")]
async fn an_expectation_that_nobody_meets_is_refused() {
    let siege = Siege::lay().await;
    for (method, target) in [
        ("GET", "/"),
        ("POST", "/"),
        ("POST", "/login"),
        ("GET", "/login"),
    ] {
        for expect in [
            "wonders",
            "100-continue, wonders",
            "100-continue=1",
            "200-ok",
        ] {
            let request = Siege::request(method, target, &format!("Expect: {expect}\r\n"));
            let mut client = siege.line().await;
            client.send(request).await;
            let first = client.head().await.expect("an answer");
            assert_eq!(first.status, 417, "{method} {target} {expect}");
        }
    }
    assert_eq!(siege.witness.count(), 0);
    for expect in [
        "100-continue",
        "100-Continue",
        "100-continue, 100-continue",
        "",
    ] {
        let request = Siege::request("GET", "/", &format!("Expect: {expect}\r\n"));
        let reply = ask(siege.stage.address, request).await.unwrap();
        assert_eq!(reply.status, 200, "{expect:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_is_told_to_continue_only_where_its_body_is_read() {
    let siege = Siege::lay().await;
    let own = "Origin: http://store.localhost:8080\r\n";
    let expects = "Expect: 100-continue\r\nContent-Length: 9\r\n";
    for (target, fields, first) in [
        ("/api/login", JSON, 100),
        ("/login", FORM, 100),
        ("/api/login", FORM, 415),
        ("/_vestibule/nothing", JSON, 404),
        ("/orders", JSON, 401),
    ] {
        let request = Siege::request("POST", target, &format!("{own}{fields}{expects}"));
        let mut client = siege.line().await;
        client.send(request).await;
        let head = client.head().await.expect("an answer");
        assert_eq!(head.status, first, "{target} {fields}");
    }
    // No client of HTTP/1.0 gets an informational answer (RFC 9110, section 15.2), and none is
    // needed where the body is there, or where there is none.
    for (version, length) in [("HTTP/1.0", 2), ("HTTP/1.1", 0)] {
        let fields = format!("{own}{JSON}Expect: 100-continue\r\nContent-Length: {length}\r\n");
        let request = Siege::request("POST", "/api/login", &fields)
            .replacen("HTTP/1.1", version, 1)
            + &"{}"[..length];
        let mut client = siege.line().await;
        client.send(request).await;
        assert_eq!(
            client.head().await.expect("an answer").status,
            400,
            "{version}"
        );
    }
}
