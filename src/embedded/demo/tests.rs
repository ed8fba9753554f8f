//! Both applications over TCP, as the gateway reaches them.

use std::net::SocketAddr;

use axum::Router;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::sample_forum::FORUM_SESSION;
use super::sample_store::STORE_SESSION;
use super::*;
use crate::system::detach;

const SHOPPER: &str =
    "X-Auth-User-Id: u1\r\nX-Auth-Email: shopper@example.com\r\nX-Auth-Site: store\r\n";

async fn serve(app: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    detach(async move { axum::serve(listener, app).await });
    address
}

async fn send(to: SocketAddr, head: &str, headers: &str, form: &str) -> String {
    let kind = if form.is_empty() {
        ""
    } else {
        "Content-Type: application/x-www-form-urlencoded\r\n"
    };
    let length = form.len();
    let request = format!(
        "{head} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}{kind}Content-Length: {length}\r\n\r\n{form}"
    );
    exchange(to, &request).await
}

async fn exchange(to: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(to).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).await.unwrap();
    response
}

#[tokio::test]
async fn every_page_and_every_file_it_links_to_is_served() {
    let pages = [
        (
            serve(store()).await,
            vec![
                "/",
                "/products/moss-blanket",
                "/shopping-cart",
                "/admin/",
                "/healthz",
                "/app-demo/",
            ],
        ),
        (
            serve(forum()).await,
            vec!["/", "/posts", "/posts/1", "/healthz"],
        ),
    ];
    for (app, paths) in pages {
        for path in paths {
            let page = send(app, &format!("GET {path}"), SHOPPER, "").await;
            assert!(page.starts_with("HTTP/1.1 200"), "{path}: {page}");
            for file in page
                .split('"')
                .filter(|text| text.starts_with("/static/") || text.starts_with("/app-demo/"))
            {
                let found = send(app, &format!("GET {file}"), "", "").await;
                assert!(found.starts_with("HTTP/1.1 200"), "{file}");
            }
        }
        assert!(
            send(app, "GET /elsewhere", "", "")
                .await
                .starts_with("HTTP/1.1 404")
        );
    }
}

#[tokio::test]
async fn pages_show_the_request_headers_and_escape_them() {
    for (app, path) in [(serve(store()).await, "/"), (serve(forum()).await, "/")] {
        let page = send(
            app,
            &format!("GET {path}"),
            "X-Auth-User-Id: u1\r\nX-Odd: <b>x</b>\r\n",
            "",
        )
        .await;
        assert!(page.contains("x-auth-user-id</th><td>u1"));
        assert!(page.contains("&lt;b&gt;x") && !page.contains("<b>x"));
        assert!(page.contains("/logout"));
        let anonymous = send(app, &format!("GET {path}"), "", "").await;
        assert!(anonymous.contains("/login?return_to=%2F\""));
    }
}

#[tokio::test]
async fn each_user_has_a_cart() {
    let app = serve(store()).await;
    let form = "product=night-kettle&change=add";
    for _ in 0..12 {
        let added = send(app, "POST /shopping-cart", SHOPPER, form).await;
        assert!(added.starts_with("HTTP/1.1 303") && added.contains("location: /shopping-cart"));
    }
    let cart = send(app, "GET /shopping-cart", SHOPPER, "").await;
    assert!(
        cart.contains("<output>9</output>") && cart.contains("€ 576"),
        "nine at most"
    );
    let others = send(app, "GET /shopping-cart", "X-Auth-User-Id: u2\r\n", "").await;
    assert!(!others.contains("Night Kettle"));
    send(
        app,
        "POST /shopping-cart",
        SHOPPER,
        "product=night-kettle&change=remove",
    )
    .await;
    assert!(
        send(app, "GET /shopping-cart", SHOPPER, "")
            .await
            .contains("<output>8</output>")
    );
}

#[tokio::test]
async fn the_single_page_shows_the_same_cart() {
    let app = serve(store()).await;
    send(
        app,
        "POST /shopping-cart",
        SHOPPER,
        "product=night-kettle&change=add",
    )
    .await;
    let cart = send(app, "GET /app-demo/data/cart", SHOPPER, "").await;
    assert!(
        cart.contains("cache-control: no-store")
            && cart.contains("\"count\":1")
            && cart.contains("€ 64"),
        "{cart}"
    );
    let change = async |body: &str| {
        let head = format!(
            "POST /app-demo/data/cart HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{SHOPPER}"
        );
        let kind = format!(
            "Content-Type: application/json\r\nContent-Length: {}",
            body.len()
        );
        let request = format!("{head}{kind}\r\n\r\n{body}");
        exchange(app, &request).await
    };
    let changed = change("{\"product\":\"felt-boots\",\"change\":\"add\"}").await;
    assert!(changed.contains("€ 106"), "{changed}");
    assert!(
        change("{\"product\":\"none\",\"change\":\"add\"}")
            .await
            .starts_with("HTTP/1.1 404")
    );
    assert!(
        send(app, "GET /shopping-cart", SHOPPER, "")
            .await
            .contains("€ 106")
    );
    assert!(
        send(app, "GET /app-demo/data/cart", "", "")
            .await
            .starts_with("HTTP/1.1 403")
    );
    let page = send(app, "GET /app-demo/", "", "").await;
    assert!(page.contains("content-security-policy: default-src 'none'; script-src 'self'"));
    assert!(
        !page.contains("<style")
            && !page.contains(" style=")
            && page.matches("<script").count() == 1,
        "no inline scripts or styles"
    );
}

#[tokio::test]
async fn pages_of_a_user_need_identity_headers() {
    let store = serve(store()).await;
    let forum = serve(forum()).await;
    assert!(
        send(store, "GET /shopping-cart", "", "")
            .await
            .starts_with("HTTP/1.1 403")
    );
    assert!(
        send(
            store,
            "POST /shopping-cart",
            "",
            "product=night-kettle&change=add"
        )
        .await
        .starts_with("HTTP/1.1 403")
    );
    assert!(
        send(forum, "POST /posts/1", "", "text=hello")
            .await
            .starts_with("HTTP/1.1 403")
    );
}

#[tokio::test]
async fn posts_have_the_name_of_the_user_and_are_escaped() {
    let app = serve(forum()).await;
    let named = "X-Auth-User-Id: u3\r\nX-Auth-Username: Zo%C3%AB\r\n";
    let created = send(
        app,
        "POST /posts",
        named,
        "title=Doors&text=%3Cscript%3E1%3C%2Fscript%3E",
    )
    .await;
    assert!(created.contains("location: /posts/4"));
    let replied = send(app, "POST /posts/4", named, "text=Indeed").await;
    assert!(replied.contains("location: /posts/4#post-2"));
    let page = send(app, "GET /posts/4", named, "").await;
    assert!(page.contains("<p class=\"author\">Zoë</p>") && page.contains("&lt;script&gt;1"));
    assert!(!page.contains("<script>"));
    assert!(
        send(app, "POST /posts/4", named, "text=+")
            .await
            .starts_with("HTTP/1.1 400")
    );
}

#[tokio::test]
async fn the_forum_deletes_the_oldest_thread() {
    let app = serve(forum()).await;
    for number in 0..100 {
        send(
            app,
            "POST /posts",
            SHOPPER,
            &format!("title=t{number}&text=x"),
        )
        .await;
    }
    assert!(
        send(app, "GET /posts/1", SHOPPER, "")
            .await
            .starts_with("HTTP/1.1 404")
    );
    assert!(
        send(app, "GET /posts/103", SHOPPER, "")
            .await
            .starts_with("HTTP/1.1 200")
    );
    let long = format!("title=t&text={}", "x".repeat(2_001));
    assert!(
        send(app, "POST /posts", SHOPPER, &long)
            .await
            .starts_with("HTTP/1.1 400")
    );
}

#[tokio::test]
async fn an_application_keeps_a_session_of_its_own() {
    for (app, name) in [
        (serve(store()).await, STORE_SESSION),
        (serve(forum()).await, FORUM_SESSION),
    ] {
        let opened = send(app, "GET /", SHOPPER, "").await;
        let (_, rest) = opened.split_once("set-cookie: ").expect("a cookie");
        let cookie = rest.split(';').next().unwrap().to_owned();
        assert!(cookie.starts_with(&format!("{name}=")), "{cookie}");
        let opened_by_shopper = "It opened it for <strong>shopper@example.com</strong>";
        assert!(opened.contains(opened_by_shopper));
        // Another user brings the cookie, and nobody.
        for headers in [
            "X-Auth-User-Id: u2\r\nX-Auth-Email: other@example.com\r\n",
            "",
        ] {
            let headers = format!("{headers}Cookie: a=b; {cookie}\r\n");
            let page = send(app, "GET /", &headers, "").await;
            assert!(page.contains(opened_by_shopper), "{page}");
            assert!(!page.contains("set-cookie"), "{page}");
        }
        let anonymous = send(app, "GET /", "Cookie: a=b\r\n", "").await;
        assert!(!anonymous.contains("set-cookie") && !anonymous.contains("It opened it for"));
    }
}

#[test]
fn the_demo_configuration_forgets_the_session_cookies_of_its_applications() {
    let text = include_str!("../../../config/demo.toml");
    let text = text.replace("[{listen}]", "[]").replace("{providers}", "");
    let config: toml::Table = text.parse().unwrap();
    let sites = config["sites"].as_array().unwrap();
    let forgotten = |site: &toml::Value| site.get("forget").cloned();
    for (site, cookie) in sites
        .iter()
        .zip([STORE_SESSION, FORUM_SESSION, STORE_SESSION])
    {
        let expected = toml::Value::from(vec![cookie]);
        assert_eq!(forgotten(site), Some(expected), "{}", site["name"]);
    }
}
