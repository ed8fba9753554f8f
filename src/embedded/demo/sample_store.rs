//! "Lantern & Loom": a store with a cart for each signed-in user.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::extract::{Form, Json, Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use serde::{Deserialize, Serialize};

use super::app_session::with_sessions;
use super::demo_pages::{NOT_FOUND, NOT_SIGNED_IN, html, static_file};
use super::request_info::RequestInfo;
use super::single_page_app::app_file;
use crate::system::Clock;

/// The cookie of the session that the store keeps itself. `config/demo.toml` names it in `forget`.
pub(super) const STORE_SESSION: &str = "lantern_session";

/// The maximum number of carts. Beyond it the oldest cart is deleted.
const MAX_CARTS: usize = 1_000;

/// The maximum number of each product in a cart.
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

/// The number of each product, by product id.
type Cart = BTreeMap<&'static str, u32>;

/// The carts, by the user's id.
#[derive(Default)]
struct Carts {
    by_user: HashMap<String, Cart>,
    oldest_first: VecDeque<String>,
}

impl Carts {
    /// The cart of `user`, created if there is none.
    fn of(&mut self, user: &str) -> &mut Cart {
        if !self.by_user.contains_key(user) {
            self.oldest_first.push_back(user.to_owned());
            if self.oldest_first.len() > MAX_CARTS
                && let Some(oldest) = self.oldest_first.pop_front()
            {
                self.by_user.remove(&oldest);
            }
        }
        self.by_user.entry(user.to_owned()).or_default()
    }
}

#[derive(Clone, Default)]
struct StoreState {
    carts: Arc<Mutex<Carts>>,
    clock: Clock,
}

impl StoreState {
    /// What the cart of `user` contains.
    fn contents(&self, user: &str) -> CartContents {
        let cart = self
            .carts
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .of(user)
            .clone();
        let lines: Vec<CartLine> = cart
            .into_iter()
            .filter_map(|(id, count)| product(id).map(|product| CartLine { product, count }))
            .collect();
        let total: u32 = lines
            .iter()
            .map(|line| line.product.euros * line.count)
            .sum();
        CartContents {
            lines,
            total: format!("€ {total}"),
        }
    }

    /// Changes the cart of `user`. False if there is no such product.
    fn change(&self, user: &str, change: &CartChange) -> bool {
        let Some(product) = product(&change.product) else {
            return false;
        };
        let mut carts = self.carts.lock().unwrap_or_else(PoisonError::into_inner);
        let cart = carts.of(user);
        let count = cart.get(product.id).copied().unwrap_or(0);
        let count = match change.change {
            QuantityChange::Add => count.saturating_add(1).min(MAX_COUNT),
            QuantityChange::Remove => count.saturating_sub(1),
        };
        if count == 0 {
            cart.remove(product.id);
        } else {
            cart.insert(product.id, count);
        }
        true
    }
}

/// The store. Its carts are empty and kept in memory.
pub fn store() -> Router {
    let store = Router::new()
        .route("/", get(home))
        .route("/products/{id}", get(product_page))
        .route("/shopping-cart", get(cart).post(change_cart))
        .route("/admin/", get(stock))
        .route("/app-demo/", get(async || app_file("index.html")))
        .route(
            "/app-demo/{name}",
            get(async |Path(name): Path<String>| app_file(&name)),
        )
        .route("/app-demo/data/cart", get(cart_data).post(change_cart_data))
        .route("/static/{name}", get(static_file))
        .route("/healthz", get(async || "ok"))
        .fallback(async |request: RequestInfo| not_found(&request))
        .with_state(StoreState::default());
    with_sessions(store, STORE_SESSION)
}

#[derive(Serialize)]
struct Shelf {
    products: &'static [Product],
}

async fn home(request: RequestInfo) -> Response {
    let products = &PRODUCTS;
    html("store-home.html", &request, Shelf { products })
}

async fn stock(request: RequestInfo) -> Response {
    let products = &PRODUCTS;
    html("store-stock.html", &request, Shelf { products })
}

#[derive(Serialize)]
struct ProductPage {
    product: &'static Product,
}

async fn product_page(Path(id): Path<String>, request: RequestInfo) -> Response {
    match product(&id) {
        Some(product) => html("store-product.html", &request, ProductPage { product }),
        None => not_found(&request),
    }
}

fn not_found(request: &RequestInfo) -> Response {
    let page = html("store-notice.html", request, NOT_FOUND);
    (StatusCode::NOT_FOUND, page).into_response()
}

fn not_signed_in(request: &RequestInfo) -> Response {
    let page = html("store-notice.html", request, NOT_SIGNED_IN);
    (StatusCode::FORBIDDEN, page).into_response()
}

#[derive(Serialize)]
struct CartPage {
    #[serde(flatten)]
    contents: CartContents,
    time: String,
}

/// The products in a cart and their total price.
#[derive(Serialize)]
struct CartContents {
    lines: Vec<CartLine>,
    total: String,
}

#[derive(Serialize)]
struct CartLine {
    product: &'static Product,
    count: u32,
}

async fn cart(State(store): State<StoreState>, request: RequestInfo) -> Response {
    let Some(visitor) = &request.visitor else {
        return not_signed_in(&request);
    };
    let contents = store.contents(&visitor.id);
    let time = time_of_day(store.clock.now().secs());
    html("store-cart.html", &request, CartPage { contents, time })
}

#[derive(Deserialize)]
struct CartChange {
    product: String,
    change: QuantityChange,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum QuantityChange {
    Add,
    Remove,
}

async fn change_cart(
    State(store): State<StoreState>,
    request: RequestInfo,
    Form(change): Form<CartChange>,
) -> Response {
    let Some(visitor) = &request.visitor else {
        return not_signed_in(&request);
    };
    if !store.change(&visitor.id, &change) {
        return not_found(&request);
    }
    Redirect::to("/shopping-cart").into_response()
}

/// The cart for the single-page application, with the products to choose from.
#[derive(Serialize)]
struct CartData {
    name: String,
    #[serde(flatten)]
    contents: CartContents,
    shelf: &'static [Product],
}

async fn cart_data(State(store): State<StoreState>, request: RequestInfo) -> Response {
    let Some(visitor) = request.visitor else {
        return StatusCode::FORBIDDEN.into_response();
    };
    let contents = store.contents(&visitor.id);
    let data = Json(CartData {
        name: visitor.name,
        contents,
        shelf: &PRODUCTS,
    });
    ([(header::CACHE_CONTROL, "no-store")], data).into_response()
}

async fn change_cart_data(
    State(store): State<StoreState>,
    request: RequestInfo,
    Json(change): Json<CartChange>,
) -> Response {
    let is_known_product = request
        .visitor
        .as_ref()
        .is_none_or(|visitor| store.change(&visitor.id, &change));
    if is_known_product {
        cart_data(State(store), request).await
    } else {
        StatusCode::NOT_FOUND.into_response()
    }
}

/// The time of day in UTC as `HH:MM:SS`.
fn time_of_day(secs: u64) -> String {
    format!(
        "{:02}:{:02}:{:02}",
        secs / 3_600 % 24,
        secs / 60 % 60,
        secs % 60
    )
}
