//! Passwords by the thousand: what they learn, and whom they keep waiting.

use std::cmp::Ordering;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use vestibule::cli::stop::StopRequest;

use super::support::{Browser, PASSWORD, Reply, SHOPPER, Stage, with_line};

/// As good as no limits.
const UNLIMITED: &str = "[login]\naccount_limit = { attempts = 100000, per = \"1m\" }\n\
                         address_limit = { attempts = 100000, per = \"1m\" }\n\n[providers.main]";

/// Passes on whatever comes, except passwords: those wait until it is dropped.
struct Sieve {
    held: watch::Receiver<usize>,
    _listening: tokio::task::JoinHandle<()>,
}

impl Sieve {
    /// A sieve before `behind` and its address.
    fn before(behind: String) -> (SocketAddr, Self) {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let listener = TcpListener::from_std(listener).unwrap();
        let (count, held) = watch::channel(0);
        let count = Arc::new(count);
        let listening = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(sift(stream, behind.clone(), Arc::clone(&count)));
            }
        });
        (
            address,
            Self {
                held,
                _listening: listening,
            },
        )
    }
}

async fn sift(mut stream: TcpStream, behind: String, held: Arc<watch::Sender<usize>>) {
    let Ok(mut onward) = TcpStream::connect(behind).await else {
        return;
    };
    let (mut asks, mut answers) = (vec![0; 64 * 1024], vec![0; 64 * 1024]);
    loop {
        tokio::select! {
            read = stream.read(&mut asks) => {
                let Ok(length @ 1..) = read else { return };
                if asks.starts_with(b"POST /api/login ") {
                    held.send_modify(|count| *count += 1);
                    std::future::pending::<()>().await;
                }
                if onward.write_all(&asks[..length]).await.is_err() { return }
            }
            read = onward.read(&mut answers) => {
                let Ok(length @ 1..) = read else { return };
                if stream.write_all(&answers[..length]).await.is_err() { return }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewal_is_served_while_sign_ins_queue() {
    let mut sieve = None;
    let config = |text: String| {
        let url = text
            .lines()
            .find(|line| line.starts_with("url = "))
            .unwrap();
        let (address, before) =
            Sieve::before(url.split("//").nth(1).unwrap().trim_matches('"').to_owned());
        sieve = Some(before);
        let text = with_line(&text, "url", &format!("url = \"http://{address}\""));
        with_line(&text, "timeout", "timeout = \"60s\"").replacen("[providers.main]", UNLIMITED, 1)
    };
    let stage = Stage::set_with(config, |_| {}).await;
    // Past the sieve: what is issued at the identity server's own door is what a browser would
    // carry.
    let mut visitor = signed_in_elsewhere(&stage).await;
    for number in 0..32 {
        let mut browser = stage.browser().fetching();
        tokio::spawn(async move {
            browser
                .sign_in_by_script(&format!("{number}@example.com"), "guess")
                .await
        });
    }
    sieve
        .as_ref()
        .unwrap()
        .held
        .clone()
        .wait_for(|held| *held == 32)
        .await
        .unwrap();
    let late = tokio::spawn({
        let mut browser = stage.browser().fetching();
        async move { browser.sign_in_by_script(SHOPPER, PASSWORD).await }
    });
    // An invalid access token and a good refresh token: renewed on the way.
    let page = visitor.get("/orders").await;
    assert_eq!(
        (page.status, stage.asked.refreshes.count()),
        (200, 1),
        "{}",
        page.body
    );
    let late: Reply = late.await.unwrap();
    assert_eq!(
        (late.status, late.code().as_str()),
        (503, "provider_unavailable")
    );
    assert!(late.header("retry-after").is_some());
    assert_eq!(
        *sieve.as_ref().unwrap().held.borrow(),
        32,
        "it was not shown to the provider"
    );
}

/// A browser of the store whose access token has ended, signed in through a second gateway with the
/// same keys.
async fn signed_in_elsewhere(stage: &Stage) -> Browser {
    let text = with_line(
        &stage.config,
        "url",
        &format!("url = \"http://{}\"", stage.provider.address()),
    );
    let settings = vestibule::config::check_text(
        "s.toml",
        &text,
        &vestibule::config::FakeEnvironment::default(),
    )
    .unwrap();
    let opened = vestibule::cli::serve::BoundServer::open(settings, stage.clock.clone()).unwrap();
    let address = opened.addresses()[0];
    let runtime_handle = opened.runtime_handle();
    let (stop, stopped) = watch::channel(StopRequest::None);
    let running = tokio::spawn(opened.run(None, stopped));
    while runtime_handle.current().status.ready().await.is_err() {
        tokio::task::yield_now().await;
    }
    let mut browser = Browser::new(address, "store.localhost:8080");
    let reply = browser.sign_in(SHOPPER, PASSWORD).await;
    assert_eq!(reply.status, 303, "{}", reply.body);
    stop.send_replace(StopRequest::AtOnce);
    running.await.unwrap().unwrap();
    stage.expire_access_tokens();
    let mut here = stage.browser();
    here.cookies = browser.cookies;
    here
}

/// How often a value of `left` is larger than one of `right`, as a share of all pairs: the
/// statistic of Mann and Whitney. One half where the two cannot be told apart.
fn larger(left: &[Duration], right: &[Duration]) -> f64 {
    let pairs = left
        .iter()
        .flat_map(|one| right.iter().map(move |other| one.cmp(other)));
    let (mut twice, mut all) = (0_u32, 0_u32);
    for order in pairs {
        all += 1;
        twice += match order {
            Ordering::Greater => 2,
            Ordering::Equal => 1,
            Ordering::Less => 0,
        };
    }
    f64::from(twice) / f64::from(2 * all)
}

/// Pairs of attempts, one for each name, in turn first and second: whatever else the machine does
/// hits both alike.
async fn race(stage: &Stage, names: [&str; 2], pairs: usize, status: u16) -> f64 {
    let mut took = [Vec::new(), Vec::new()];
    for pair in 0..pairs {
        for at in if pair % 2 == 0 { [0, 1] } else { [1, 0] } {
            let mut browser = stage.browser().fetching();
            let begun = Instant::now();
            let reply = browser
                .call(
                    "/api/login",
                    &json!({ "loginId": names[at], "password": "wrong" }),
                )
                .await;
            took[at].push(begun.elapsed());
            assert_eq!(reply.status, status, "{}", reply.body);
        }
    }
    larger(&took[0], &took[1])
}

/// With 300 of each, chance alone moves the share by 0.024; these bounds are five times that. A
/// password that is not hashed puts it at 1.
const ALIKE: std::ops::Range<f64> = 0.38..0.62;

#[tokio::test(flavor = "multi_thread")]
async fn the_time_tells_nothing_of_whether_there_is_such_an_account() {
    let stage = Stage::set_with(
        |text| text.replacen("[providers.main]", UNLIMITED, 1),
        |_| {},
    )
    .await;
    let names = [SHOPPER, "nobody.at.all@example.com"];
    let share = race(&stage, names, 300, 401).await;
    assert!(
        ALIKE.contains(&share),
        "the known account takes longer in {share:.2} of all pairs"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_account_looks_like_one_that_never_was() {
    let stage = Stage::set().await;
    let names = [SHOPPER, "nobody.at.all@example.com"];
    let mut told = Vec::new();
    for name in names {
        for _ in 0..5 {
            assert_eq!(stage.browser().sign_in(name, "wrong").await.status, 401);
        }
        let reply = stage
            .browser()
            .fetching()
            .sign_in_by_script(name, "wrong")
            .await;
        let problem = reply.json();
        told.push((
            reply.status,
            problem["code"].clone(),
            problem["title"].clone(),
            reply.header("retry-after").is_some(),
        ));
    }
    assert_eq!(told[0], told[1]);
    let unlimited = stage.asked.logins.count();
    // The address has taken twenty of its thirty places; a few pairs are left before it is paused
    // itself.
    let share = race(&stage, names, 9, 429).await;
    assert_eq!(
        stage.asked.logins.count(),
        unlimited,
        "the provider is asked for neither"
    );
    assert!((0.02..0.98).contains(&share), "{share:.2}");
}
