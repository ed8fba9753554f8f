//! The limits of the client.

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;

fn request(url: &str) -> Request {
    Request {
        method: Method::GET,
        url: url.parse().unwrap(),
        headers: HeaderMap::new(),
        body: Vec::new(),
        timeout: Duration::from_millis(100),
        purpose: Purpose::Background,
    }
}

#[tokio::test]
async fn a_client_without_roots_still_speaks_plain_http() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serve = axum::serve(listener, axum::Router::new().fallback(|| async { "hello" }));
    let client = client(trusting_nobody().unwrap());
    let without_roots = HttpClient::with_transport(Network(client));
    let ask = without_roots.send(Request {
        timeout: Duration::from_secs(10),
        ..request(&format!("http://{address}/"))
    });
    let response = tokio::select! { response = ask => response.unwrap(), _ = serve.into_future() => unreachable!() };
    assert_eq!(
        (response.status, response.body),
        (StatusCode::OK, b"hello".to_vec())
    );
}

#[tokio::test]
async fn names_below_localhost_are_this_machine() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let serve = axum::serve(listener, axum::Router::new().fallback(|| async { "hello" }));
    let http = HttpClient::new().unwrap();
    let ask = http.send(Request {
        timeout: Duration::from_secs(10),
        ..request(&format!("http://no.such.name.localhost:{port}/"))
    });
    let response = tokio::select! { response = ask => response.unwrap(), _ = serve.into_future() => unreachable!() };
    assert_eq!(response.body, b"hello");
}

#[tokio::test]
async fn an_error_names_no_address() {
    let http = HttpClient::new().unwrap();
    for url in [
        "ftp://leaky:leaky@127.0.0.1/leaky",
        "http://leaky:leaky@127.0.0.1:1/leaky",
    ] {
        let error = http.send(request(url)).await.err().unwrap();
        assert!(!error.to_string().contains("leaky"), "{error}");
    }
}

/// A provider that answers its first call with `start`, and then `more` for as long as it is heard.
/// `said` counts the bytes.
async fn talk(listener: tokio::net::TcpListener, start: &str, more: &str, said: &AtomicUsize) {
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut call = Vec::new();
    while !call.ends_with(b"\r\n\r\n") {
        call.push(stream.read_u8().await.unwrap());
    }
    stream.write_all(start.as_bytes()).await.unwrap();
    while stream.write_all(more.as_bytes()).await.is_ok() {
        said.fetch_add(more.len(), Ordering::Relaxed);
    }
    std::future::pending::<()>().await;
}

#[tokio::test]
async fn an_answer_without_an_end_is_given_up_soon() {
    let ok = "HTTP/1.1 200 OK\r\n";
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    let last = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n";
    for (start, more) in [
        ("", "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"),
        ("", "HTTP/1.1 100 Continue\r\n\r\n"),
        (ok, "X: y\r\n"),
        (ok, "xxxxxxxx"),
        (chunked, "1;extension\r\nx\r\n"),
        (chunked, "00000000"),
        (chunked, "8\r\nxxxxxxxx\r\n"),
        (last, "X: y\r\n"),
        ("HTTP/1.1 200 OK\r\n\r\n", "xxxxxxxx"),
    ] {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}/", listener.local_addr().unwrap());
        let said = AtomicUsize::new(0);
        let http = HttpClient::new().unwrap();
        let answer = http.send(Request {
            timeout: Duration::from_secs(60),
            ..request(&address)
        });
        let answer = tokio::select! {
            answer = answer => answer,
            () = talk(listener, start, more, &said) => unreachable!(),
        };
        let error = answer.err().expect("an error");
        assert!(!error.0.contains("no answer within"), "{more:?}: {error}");
        // What was not read stands in the buffers of the system.
        let said = said.load(Ordering::Relaxed);
        assert!(said < 16 * MAX_RESPONSE * 4, "{more:?}: {said}");
    }
}

#[tokio::test]
async fn revocations_leave_room_for_the_rest() {
    let http = HttpClient::new().unwrap();
    let mut held = Vec::new();
    for _ in 0..MAX_REVOCATIONS {
        held.push(http.permits(Purpose::Revocation).await.unwrap());
    }
    let waiting = http
        .send(Request {
            purpose: Purpose::Revocation,
            ..request("http://127.0.0.1:1/")
        })
        .await;
    let late = HttpError("no answer within 100ms".into());
    assert_eq!(waiting.err(), Some(late));
    for _ in MAX_REVOCATIONS..MAX_REQUESTS {
        held.push(http.permits(Purpose::Background).await.unwrap());
    }
    held.clear();
    assert!(http.permits(Purpose::Revocation).await.is_ok());
}

#[tokio::test]
async fn logins_leave_room_for_the_rest() {
    let http = HttpClient::new().unwrap();
    let mut held = Vec::new();
    for _ in 0..MAX_LOGINS {
        held.push(http.permits(Purpose::Login).await.unwrap());
    }
    let waiting = http
        .send(Request {
            purpose: Purpose::Login,
            ..request("http://127.0.0.1:1/")
        })
        .await;
    assert_eq!(
        waiting.err(),
        Some(HttpError("no answer within 100ms".into()))
    );
    let patient = Request {
        timeout: LOGIN_PERMIT_TIMEOUT * 10,
        purpose: Purpose::Login,
        ..request("http://127.0.0.1:1/")
    };
    let waiting = http.send(patient).await;
    assert_eq!(
        waiting.err(),
        Some(HttpError("32 sign-ins are under way".into()))
    );
    for _ in MAX_LOGINS..MAX_REQUESTS {
        held.push(http.permits(Purpose::Background).await.unwrap());
    }
    let waiting = http.send(request("http://127.0.0.1:1/")).await;
    assert_eq!(
        waiting.err(),
        Some(HttpError("no answer within 100ms".into()))
    );
    held.clear();
    assert!(http.permits(Purpose::Login).await.is_ok());
}
