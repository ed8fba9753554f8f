//! The end: at the request of a client, of the user, or of an administrator.

use tokio::sync::mpsc;

use super::*;

/// A client that takes logout tokens, and answers each request with the next of `statuses`, then
/// 200.
async fn receiver(
    statuses: &'static [u16],
) -> (SocketAddr, mpsc::UnboundedReceiver<(String, String)>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (sender, received) = mpsc::unbounded_channel();
    drop(detach(async move {
        let mut statuses = statuses.iter();
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = Vec::new();
            let mut buffer = [0; 4096];
            while !is_complete(&request) {
                let count = stream.read(&mut buffer).await.unwrap();
                request.extend_from_slice(&buffer[..count]);
            }
            let request = String::from_utf8(request).unwrap();
            let path = request.split(' ').nth(1).unwrap().to_owned();
            let (_, body) = request.split_once("\r\n\r\n").unwrap();
            let token = body.strip_prefix("logout_token=").unwrap().to_owned();
            let status = statuses.next().unwrap_or(&200);
            let answer =
                format!("HTTP/1.1 {status} X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            stream.write_all(answer.as_bytes()).await.unwrap();
            sender.send((path, token)).unwrap();
        }
    }));
    (address, received)
}

fn is_complete(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request).to_lowercase();
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        return false;
    };
    let length = head.split("content-length: ").nth(1);
    let length: usize = length.unwrap().lines().next().unwrap().parse().unwrap();
    body.len() >= length
}

#[tokio::test]
async fn a_sign_out_at_one_client_ends_the_others() {
    let (address, mut received) = receiver(&[503]).await;
    let provider = TestProvider::with_logouts_at(Some(address));
    let mut browser = TestBrowser::new(&provider);
    let store = browser.sign_in(STORE).await;
    let forum = browser.follow(FORUM).await;
    let hint = store["id_token"].as_str().unwrap();
    let back = "http%3A%2F%2Fstore.localhost%3A8080%2F";
    let path =
        format!("/oauth2/logout?id_token_hint={hint}&post_logout_redirect_uri={back}&state=a+b");
    let answer = browser.get(&path).await;
    assert_eq!(answer.location(), "http://store.localhost:8080/?state=a+b");
    assert!(!browser.cookies.contains_key("vestibule-identity"));
    assert_eq!(browser.get(&request_of(FORUM, "")).await.status, 200);
    for (client, tokens) in [(STORE, &store), (FORUM, &forum)] {
        let refused = provider.refresh(client, &tokens["refresh_token"]).await;
        assert_eq!(refused.json()["error"], "invalid_grant", "{client}");
    }

    // The first one was refused, so it comes again.
    let mut told = BTreeMap::new();
    let mut identifiers = std::collections::BTreeSet::new();
    for _ in 0..3 {
        let (path, token) = received.recv().await.unwrap();
        let header = jsonwebtoken::decode_header(&token).unwrap();
        assert_eq!(header.typ.as_deref(), Some("logout+jwt"));
        let claims = claims(&token.into());
        assert!(identifiers.insert(claims["jti"].to_string()));
        told.insert(path, claims);
    }
    for (path, tokens, client) in [("/store", &store, STORE), ("/forum", &forum, FORUM)] {
        let (told, id) = (&told[path], claims(&tokens["id_token"]));
        assert_eq!(
            (&told["iss"], &told["aud"]),
            (&ISSUER.into(), &client.into())
        );
        assert_eq!((&told["sid"], &told["sub"]), (&id["sid"], &id["sub"]));
        assert!(told["nonce"].is_null());
        assert!(told["exp"].as_u64() > told["iat"].as_u64());
        let event = "http://schemas.openid.net/event/backchannel-logout";
        assert!(told["events"][event].is_object());
    }
}

#[tokio::test]
async fn only_a_registered_address_is_followed() {
    let provider = TestProvider::start();
    let mut browser = TestBrowser::new(&provider);
    let tokens = browser.sign_in(STORE).await;
    let hint = tokens["id_token"].as_str().unwrap();
    let forum = "http%3A%2F%2Fforum.localhost%3A8080%2F";
    let store = "http%3A%2F%2Fstore.localhost%3A8080%2F";
    for query in [
        format!("id_token_hint={hint}&post_logout_redirect_uri={forum}"),
        format!("id_token_hint={hint}&post_logout_redirect_uri={store}x"),
        format!("id_token_hint={hint}&post_logout_redirect_uri={store}&client_id={FORUM}"),
        format!("post_logout_redirect_uri={store}"),
        format!("id_token_hint={hint}x&post_logout_redirect_uri={store}"),
        format!("client_id={STORE}&post_logout_redirect_uri=https%3A%2F%2Fevil.example%2F"),
    ] {
        let answer = browser.get(&format!("/oauth2/logout?{query}")).await;
        assert_eq!(answer.status, 400, "{query}");
        assert!(answer.header("location").is_none());
    }
    let still = browser.get(&request_of(STORE, "")).await;
    assert_eq!(still.status, 303, "nothing has ended");
}

#[tokio::test]
async fn without_an_id_token_the_user_is_asked() {
    let provider = TestProvider::start();
    let mut browser = TestBrowser::new(&provider);
    let tokens = browser.sign_in(STORE).await;
    let back = "http://store.localhost:8080/";
    let form = [("client_id", STORE), ("post_logout_redirect_uri", back)];
    let path = format!("/oauth2/logout?{}", encoded(&form));
    let page = browser.get(&path).await;
    assert_eq!(page.status, 200);
    let refreshed = provider.refresh(STORE, &tokens["refresh_token"]).await;
    assert_eq!(refreshed.status, 200, "nothing has ended");
    let csrf = page.field("csrf");
    let mut form = form.to_vec();
    form.push(("csrf", "wrong"));
    assert_eq!(browser.submit("/oauth2/logout", &form).await.status, 200);
    form.pop();
    form.push(("csrf", &csrf));
    let answer = browser.submit("/oauth2/logout", &form).await;
    assert_eq!(answer.location(), back);
    let refused = provider
        .refresh(STORE, &refreshed.json()["refresh_token"])
        .await;
    assert_eq!(refused.json()["error"], "invalid_grant");
    let nobody = browser.get("/oauth2/logout").await;
    assert_eq!(nobody.status, 200);
    assert!(nobody.body.contains("You are signed out"));
}

#[tokio::test]
async fn an_administrator_signs_a_user_out_everywhere() {
    let (address, mut received) = receiver(&[]).await;
    let provider = TestProvider::with_logouts_at(Some(address));
    let mut browser = TestBrowser::new(&provider);
    let tokens = browser.sign_in(STORE).await;
    let id = claims(&tokens["id_token"]);
    let line = format!(
        "DELETE /api/jwt/refresh?userId={}",
        id["sub"].as_str().unwrap()
    );
    let headers = [
        ("Host", provider.address.to_string()),
        ("Authorization", "the key".to_owned()),
    ];
    assert_eq!(provider.exchange(&line, &headers, "").await.status, 200);
    let (path, token) = received.recv().await.unwrap();
    assert_eq!(path, "/store");
    assert_eq!(claims(&token.into())["sid"], id["sid"]);
    assert_eq!(browser.get(&request_of(STORE, "")).await.status, 200);
}

#[tokio::test]
async fn a_client_that_revokes_its_own_session_is_not_told() {
    let (address, mut received) = receiver(&[]).await;
    let provider = TestProvider::with_logouts_at(Some(address));
    let mut browser = TestBrowser::new(&provider);
    let store = browser.sign_in(STORE).await;
    let forum = browser.follow(FORUM).await;
    let fields = [("token", store["refresh_token"].as_str().unwrap())];
    provider.call_as(STORE, "/oauth2/revoke", &fields).await;
    let hint = store["id_token"].as_str().unwrap();
    let answer = browser
        .get(&format!("/oauth2/logout?id_token_hint={hint}"))
        .await;
    assert!(answer.body.contains("You are signed out"));
    let (path, token) = received.recv().await.unwrap();
    assert_eq!(path, "/forum");
    assert_eq!(
        claims(&token.into())["sid"],
        claims(&forum["id_token"])["sid"]
    );
    assert!(received.try_recv().is_err());
}
