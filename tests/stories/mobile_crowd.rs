//! Two hundred phones on a bad network, with refresh tokens that work once: nobody is signed out,
//! and the provider is asked once for each renewal.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::support::{LOGIN, Phone, REFRESH, Received, Scripted, Stage, claims};

const PHONES: usize = 200;
const RENEWALS: usize = 60;
const CART: &str = "/api/load-shopping-cart";

/// Whose refresh token it is, and those that were used.
#[derive(Default)]
struct Tokens {
    good: HashMap<String, String>,
    used: HashSet<String>,
    replays: usize,
}

impl Tokens {
    fn next(&mut self, sub: &str) -> String {
        let token = format!("{sub}-{}", self.used.len() + self.good.len());
        self.good.insert(token.clone(), sub.to_owned());
        token
    }

    /// One-time use without any grace.
    fn using(&mut self, token: &str) -> Option<String> {
        let Some(sub) = self.good.remove(token) else {
            self.replays += usize::from(self.used.contains(token));
            return None;
        };
        self.used.insert(token.to_owned());
        Some(sub)
    }
}

fn said(received: &Received) -> Value {
    serde_json::from_slice(&received.body).unwrap()
}

/// The provider and what it handed out.
fn rotating(provider: &Arc<Scripted>, stage: &Stage) -> Arc<Mutex<Tokens>> {
    let tokens: Arc<Mutex<Tokens>> = Arc::default();
    let clock = stage.clock.clone();
    let give = {
        let (provider, tokens) = (Arc::downgrade(provider), Arc::clone(&tokens));
        move |sub: &str| {
            let mut claims = claims(&clock);
            (claims["sub"], claims["sid"]) = (json!(sub), json!(format!("{sub}-session")));
            let token = provider.upgrade().unwrap().token(&claims);
            (
                200,
                json!({ "token": token, "refreshToken": tokens.lock().unwrap().next(sub) }),
            )
        }
    };
    let first = give.clone();
    provider.answers(LOGIN, move |received| {
        first(said(received)["loginId"].as_str().unwrap())
    });
    let book = Arc::clone(&tokens);
    provider.answers(REFRESH, move |received| {
        let sub = book
            .lock()
            .unwrap()
            .using(said(received)["refreshToken"].as_str().unwrap());
        sub.map_or((400, json!({})), |sub| give(&sub))
    });
    tokens
}

/// One renewal; one answer in twenty is lost, on the way back or with the connection.
async fn renew(mut phone: Phone, number: usize) -> Phone {
    let before = phone.clone();
    let mut lost = None;
    match number % 40 {
        0 => {
            let mut unlucky = phone.clone();
            assert_eq!(unlucky.get(CART).await.status, 200);
            lost = Some(unlucky);
        }
        20 => phone.send_in_vain(CART).await,
        _ => {}
    }
    let reply = match number % 4 {
        0 => phone.get(CART).await,
        _ => phone.post("/api/refresh", &json!({})).await,
    };
    assert_eq!(reply.status, 200, "signed out: {}", reply.body);
    assert!(
        phone.access != before.access && phone.refresh != before.refresh,
        "not renewed"
    );
    if let Some(lost) = lost {
        assert_eq!(
            phone.tokens(),
            lost.tokens(),
            "the same pair, byte for byte"
        );
    }
    phone
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crowd_on_a_bad_network_stays_signed_in() {
    let provider = Arc::new(Scripted::open().await);
    let config = |config: String| {
        let config = provider
            .in_place(&config)
            .replace("landing = ", "bearer = true\nlanding = ");
        format!("{config}\n[login]\naddress_limit = {{ attempts = 1000, per = \"1m\" }}\n")
    };
    let stage = Stage::set_with(config, |_| {}).await;
    let tokens = rotating(&provider, &stage);
    let mut phones = Vec::new();
    for number in 0..PHONES {
        let mut phone = Phone::new(stage.address);
        assert_eq!(phone.sign_in(&format!("user-{number}")).await.status, 200);
        phones.push(phone);
    }
    // The system lets 128 connections wait to be accepted; one more is tried again only after a
    // second.
    let at_once = Arc::new(Semaphore::new(64));
    for round in 0..RENEWALS {
        stage.expire_access_tokens();
        let mut crowd = JoinSet::new();
        for (number, phone) in phones.drain(..).enumerate() {
            let at_once = Arc::clone(&at_once);
            crowd.spawn(async move {
                let _turn = at_once.acquire().await;
                renew(phone, number * 7 + round * 13).await
            });
        }
        phones = crowd.join_all().await;
    }
    assert_eq!(phones.len(), PHONES);
    assert_eq!(
        provider.asked(REFRESH),
        PHONES * RENEWALS,
        "one call for each renewal"
    );
    assert_eq!(tokens.lock().unwrap().replays, 0);
}
