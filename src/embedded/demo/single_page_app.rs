//! The store as a single-page application, which signs in through the JSON API of the gateway. Its
//! files are in `static/demo/app/`.

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

macro_rules! files {
    ($($name:literal $content_type:literal)+) => {
        &[$(($name, $content_type, include_str!(concat!("../../../static/demo/app/", $name)))),+]
    };
}

/// Name, content type and text of each file.
const FILES: &[(&str, &str, &str)] = files![
    "index.html" "text/html; charset=utf-8"
    "app.css" "text/css; charset=utf-8"
    "main.js" "text/javascript; charset=utf-8"
    "gate.js" "text/javascript; charset=utf-8"
    "view.js" "text/javascript; charset=utf-8"
];

/// The application runs only its own files and connects only to its own origin.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
     form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// The response with the file `name`, or 404.
pub fn app_file(name: &str) -> Response {
    match FILES.iter().find(|(file, ..)| *file == name) {
        Some((_, content_type, text)) => {
            let fields = [
                (header::CONTENT_TYPE, *content_type),
                (header::CACHE_CONTROL, "no-cache"),
                (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
                (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
            ];
            (fields, *text).into_response()
        }
        None => StatusCode::NOT_FOUND.into_response(),
    }
}
