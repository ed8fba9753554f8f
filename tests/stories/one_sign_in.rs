//! The demo with `--sso`: Sam signs in at the identity server, once for the store and the forum.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use url::Url;
use vestibule::system::stopwatch;

use super::support::{Browser, PASSWORD, Process, Reply, SHOPPER, field};

/// A browser with one tab, for all hosts of this machine.
#[derive(Clone, Default)]
struct Tab {
    /// By host and port.
    hosts: BTreeMap<String, Browser>,
    /// The address of the page that is shown.
    address: String,
}

impl Tab {
    /// Opens an address, and follows redirects to the page that is shown.
    async fn open(&mut self, address: &str) -> Reply {
        let reply = self.at(address).get(&target(address)).await;
        self.follow(address, reply).await
    }

    /// Submits the form of the page that is shown, and follows redirects.
    async fn submit(&mut self, target: &str, fields: &[(&str, &str)]) -> Reply {
        let address = self.address.clone();
        let reply = self.at(&address).post(target, fields).await;
        self.follow(&address, reply).await
    }

    /// Signs in at the form of the identity server.
    async fn sign_in(&mut self, form: &Reply) -> Reply {
        let csrf = field(&form.body, "csrf");
        let fields = [
            ("csrf", csrf.as_str()),
            ("step", "password"),
            ("loginId", SHOPPER),
            ("password", PASSWORD),
        ];
        let target = target(&self.address);
        self.submit(&target, &fields).await
    }

    async fn follow(&mut self, from: &str, mut reply: Reply) -> Reply {
        let mut here = Url::parse(from).unwrap();
        for _ in 0..8 {
            let Some(location) = reply.header("location") else {
                self.address = here.into();
                return reply;
            };
            here = here.join(location).unwrap();
            let address = here.to_string();
            reply = self.at(&address).get(&target(&address)).await;
        }
        panic!("no page is shown: {here} {reply:?}");
    }

    fn at(&mut self, address: &str) -> &mut Browser {
        let url = Url::parse(address).unwrap();
        let port = url.port().unwrap();
        let host = format!("{}:{port}", url.host_str().unwrap());
        let new = || Browser::new(SocketAddr::from(([127, 0, 0, 1], port)), &host);
        self.hosts.entry(host.clone()).or_insert_with(new)
    }
}

/// The path and the query of an address.
fn target(address: &str) -> String {
    let url = Url::parse(address).unwrap();
    url[url::Position::BeforePath..url::Position::AfterQuery].to_owned()
}

fn is_asked(tab: &Tab) -> bool {
    tab.address.starts_with("http://identity.localhost:")
}

/// The demo's sites.
fn sites(demo: &Process) -> [String; 2] {
    ["store", "forum"].map(|name| format!("http://{name}.localhost:{}", demo.address.port()))
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_signs_in_at_the_store_is_signed_in_at_the_forum() {
    let demo = Process::demo(&["--sso"]).await;
    let [store, forum] = sites(&demo);
    let mut tab = Tab::default();
    let page = tab.open(&format!("{store}/")).await;
    assert_eq!((page.status, tab.address), (200, format!("{store}/")));

    let mut tab = Tab::default();
    let asked = tab.open(&format!("{store}/shopping-cart?x=1")).await;
    assert!(is_asked(&tab), "{}", tab.address);
    let cart = tab.sign_in(&asked).await;
    assert_eq!(tab.address, format!("{store}/shopping-cart?x=1"));
    assert!(cart.body.contains(SHOPPER), "{cart:?}");
    let posts = tab.open(&format!("{forum}/posts")).await;
    assert_eq!(tab.address, format!("{forum}/posts"));
    assert!(posts.body.contains(SHOPPER), "{posts:?}");
    // Another browser is asked.
    let mut other = Tab::default();
    other.open(&format!("{forum}/posts")).await;
    assert!(is_asked(&other), "{}", other.address);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_signs_out_at_one_is_signed_out_at_the_other() {
    let demo = Process::demo(&["--sso"]).await;
    let [store, forum] = sites(&demo);
    let (cart, posts) = (format!("{store}/shopping-cart"), format!("{forum}/posts"));
    for (here, there) in [
        ([&store, &cart], [&forum, &posts]),
        ([&forum, &posts], [&store, &cart]),
    ] {
        let mut tab = Tab::default();
        let asked = tab.open(here[1]).await;
        tab.sign_in(&asked).await;
        tab.open(there[1]).await;
        assert_eq!(&tab.address, there[1]);
        let before = tab.clone();
        tab.open(&format!("{}/logout", here[0])).await;
        tab.submit("/logout", &[]).await;
        assert_eq!(tab.address, format!("{}/", here[0]));
        tab.open(here[1]).await;
        assert!(is_asked(&tab), "{}", tab.address);

        // The cookies of the other site are of no use any more, wherever they were copied.
        let deadline = stopwatch() + Duration::from_secs(20);
        loop {
            let mut copy = before.clone();
            copy.open(there[1]).await;
            if is_asked(&copy) {
                break;
            }
            assert!(stopwatch() < deadline, "no end: {}", demo.printed());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}
