//! The store once more, as a single page that drives the sign-in by itself: its files, from
//! `static/demo/app/`.

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

macro_rules! from_folder {
    ($($name:literal $kind:literal)+) => {
        &[$(($name, $kind, include_str!(concat!("../../../static/demo/app/", $name)))),+]
    };
}

const FILES: &[(&str, &str, &str)] = from_folder![
    "index.html" "text/html; charset=utf-8"
    "app.css" "text/css; charset=utf-8"
    "main.js" "text/javascript; charset=utf-8"
    "gate.js" "text/javascript; charset=utf-8"
    "view.js" "text/javascript; charset=utf-8"
];

/// Nothing but the page's own files runs in it, and it talks to nobody else.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
     form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// A file by its name.
pub fn file(name: &str) -> Response {
    match FILES.iter().find(|(have, ..)| *have == name) {
        Some((_, kind, text)) => {
            let fields = [
                (header::CONTENT_TYPE, *kind),
                (header::CACHE_CONTROL, "no-cache"),
                (header::CONTENT_SECURITY_POLICY, POLICY),
                (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
            ];
            (fields, *text).into_response()
        }
        None => StatusCode::NOT_FOUND.into_response(),
    }
}
