//! "Lantern & Loom": a shop with a cart for each visitor it is told of.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::extract::{Form, Json, Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use serde::{Deserialize, Serialize};

use super::app;
use super::page::{NOBODY, NOTHING, file, page};
use super::request_info::RequestInfo;
use crate::system::Clock;

/// Carts beyond this push out the oldest.
const MAX_CARTS: usize = 1_000;

/// Of each product in one cart.
const MAX_COUNT: u32 = 9;

#[derive(Debug, Serialize)]
struct Product {
    id: &'static str,
    name: &'static str,
    euros: u32,
    price: &'static str,
    stock: u32,
    story: &'static str,
}

static PRODUCTS: [Product; 6] = [
    Product {
        id: "harbour-lantern",
        name: "Harbour Lantern",
        euros: 48,
        price: "€ 48",
        stock: 14,
        story: "Hung from a pier, it would show boats the way home. Hung from a nail in the hall, it does the same \
                for you.",
    },
    Product {
        id: "moss-blanket",
        name: "Moss Blanket",
        euros: 89,
        price: "€ 89",
        stock: 6,
        story: "Woven slowly, in the two greens of a forest floor after rain. Large enough for two people or one \
                long film.",
    },
    Product {
        id: "night-kettle",
        name: "Night Kettle",
        euros: 64,
        price: "€ 64",
        stock: 9,
        story: "It hums before it whistles, so there is time to reach it before the house wakes up.",
    },
    Product {
        id: "three-candles",
        name: "Three Candles",
        euros: 18,
        price: "€ 18",
        stock: 40,
        story: "One for the table, one for the window, one for the evening the lights go out.",
    },
    Product {
        id: "loom-basket",
        name: "Loom Basket",
        euros: 34,
        price: "€ 34",
        stock: 11,
        story: "Willow, and deeper than it looks. Holds six balls of wool or one sleeping cat.",
    },
    Product {
        id: "felt-boots",
        name: "Felt Boots",
        euros: 42,
        price: "€ 42",
        stock: 23,
        story: "Felt outside, fleece inside. The left and the right one agree with each other after a week.",
    },
];

fn product(id: &str) -> Option<&'static Product> {
    PRODUCTS.iter().find(|product| product.id == id)
}

type Cart = BTreeMap<&'static str, u32>;

#[derive(Default)]
struct Carts {
    by_visitor: HashMap<String, Cart>,
    oldest_first: VecDeque<String>,
}

impl Carts {
    fn of(&mut self, visitor: &str) -> &mut Cart {
        if !self.by_visitor.contains_key(visitor) {
            self.oldest_first.push_back(visitor.to_owned());
            if self.oldest_first.len() > MAX_CARTS
                && let Some(oldest) = self.oldest_first.pop_front()
            {
                self.by_visitor.remove(&oldest);
            }
        }
        self.by_visitor.entry(visitor.to_owned()).or_default()
    }
}

#[derive(Clone, Default)]
struct Shop {
    carts: Arc<Mutex<Carts>>,
    clock: Clock,
}

impl Shop {
    fn held_by(&self, visitor: &str) -> Held {
        let cart = self
            .carts
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .of(visitor)
            .clone();
        let lines: Vec<Line> = cart
            .into_iter()
            .filter_map(|(id, count)| product(id).map(|product| Line { product, count }))
            .collect();
        let total: u32 = lines
            .iter()
            .map(|line| line.product.euros * line.count)
            .sum();
        Held {
            lines,
            total: format!("€ {total}"),
        }
    }

    /// Whether there is such a product.
    fn change(&self, visitor: &str, change: &Change) -> bool {
        let Some(product) = product(&change.product) else {
            return false;
        };
        let mut carts = self.carts.lock().unwrap_or_else(PoisonError::into_inner);
        let cart = carts.of(visitor);
        let count = cart.get(product.id).copied().unwrap_or(0);
        let count = match change.change {
            Direction::Add => count.saturating_add(1).min(MAX_COUNT),
            Direction::Remove => count.saturating_sub(1),
        };
        if count == 0 {
            cart.remove(product.id);
        } else {
            cart.insert(product.id, count);
        }
        true
    }
}

/// The store, with empty carts.
pub fn store() -> Router {
    Router::new()
        .route("/", get(home))
        .route("/products/{id}", get(one_product))
        .route("/shopping-cart", get(cart).post(change_cart))
        .route("/admin/", get(stock))
        .route("/app-demo/", get(async || app::file("index.html")))
        .route(
            "/app-demo/{name}",
            get(async |Path(name): Path<String>| app::file(&name)),
        )
        .route("/app-demo/data/cart", get(cart_data).post(change_cart_data))
        .route("/static/{name}", get(file))
        .route("/healthz", get(async || "ok"))
        .fallback(async |told: RequestInfo| {
            (
                StatusCode::NOT_FOUND,
                page("store-notice.html", &told, NOTHING),
            )
        })
        .with_state(Shop::default())
}

#[derive(Serialize)]
struct Shelf {
    products: &'static [Product],
}

async fn home(told: RequestInfo) -> Response {
    page(
        "store-home.html",
        &told,
        Shelf {
            products: &PRODUCTS,
        },
    )
}

async fn stock(told: RequestInfo) -> Response {
    page(
        "store-stock.html",
        &told,
        Shelf {
            products: &PRODUCTS,
        },
    )
}

#[derive(Serialize)]
struct OneProduct {
    product: &'static Product,
}

async fn one_product(Path(id): Path<String>, told: RequestInfo) -> Response {
    match product(&id) {
        Some(product) => page("store-product.html", &told, OneProduct { product }),
        None => (
            StatusCode::NOT_FOUND,
            page("store-notice.html", &told, NOTHING),
        )
            .into_response(),
    }
}

#[derive(Serialize)]
struct CartPage {
    #[serde(flatten)]
    held: Held,
    time: String,
}

/// What somebody has taken, and what that comes to.
#[derive(Serialize)]
struct Held {
    lines: Vec<Line>,
    total: String,
}

#[derive(Serialize)]
struct Line {
    product: &'static Product,
    count: u32,
}

async fn cart(State(shop): State<Shop>, told: RequestInfo) -> Response {
    let Some(visitor) = &told.visitor else {
        return (
            StatusCode::FORBIDDEN,
            page("store-notice.html", &told, NOBODY),
        )
            .into_response();
    };
    let held = shop.held_by(&visitor.id);
    let time = time_of_day(shop.clock.now().secs());
    page("store-cart.html", &told, CartPage { held, time })
}

#[derive(Deserialize)]
struct Change {
    product: String,
    change: Direction,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Direction {
    Add,
    Remove,
}

async fn change_cart(
    State(shop): State<Shop>,
    told: RequestInfo,
    Form(change): Form<Change>,
) -> Response {
    let Some(visitor) = &told.visitor else {
        return (
            StatusCode::FORBIDDEN,
            page("store-notice.html", &told, NOBODY),
        )
            .into_response();
    };
    if !shop.change(&visitor.id, &change) {
        return (
            StatusCode::NOT_FOUND,
            page("store-notice.html", &told, NOTHING),
        )
            .into_response();
    }
    Redirect::to("/shopping-cart").into_response()
}

/// The cart as the one-page shop shows it.
#[derive(Serialize)]
struct CartData {
    name: String,
    #[serde(flatten)]
    held: Held,
    shelf: &'static [Product],
}

async fn cart_data(State(shop): State<Shop>, told: RequestInfo) -> Response {
    let Some(visitor) = told.visitor else {
        return StatusCode::FORBIDDEN.into_response();
    };
    let held = shop.held_by(&visitor.id);
    let data = Json(CartData {
        name: visitor.name,
        held,
        shelf: &PRODUCTS,
    });
    ([(header::CACHE_CONTROL, "no-store")], data).into_response()
}

async fn change_cart_data(
    State(shop): State<Shop>,
    told: RequestInfo,
    Json(change): Json<Change>,
) -> Response {
    let changed = told
        .visitor
        .as_ref()
        .is_none_or(|visitor| shop.change(&visitor.id, &change));
    if changed {
        cart_data(State(shop), told).await
    } else {
        StatusCode::NOT_FOUND.into_response()
    }
}

/// Hours, minutes and seconds, UTC.
fn time_of_day(secs: u64) -> String {
    format!(
        "{:02}:{:02}:{:02}",
        secs / 3_600 % 24,
        secs / 60 % 60,
        secs % 60
    )
}
