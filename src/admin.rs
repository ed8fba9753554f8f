//! The admin listener: metrics and health checks for operators, on an address of its own, never on a
//! site.

use std::net::TcpListener;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use tokio::sync::watch;

use crate::runtime::RuntimeHandle;

/// Answers `/metrics`, `/healthz` and `/readyz` until the process ends, also while it drains. While
/// `paused` is true, another process answers.
pub async fn serve(
    listener: TcpListener,
    runtime_handle: Arc<RuntimeHandle>,
    mut paused: watch::Receiver<bool>,
) {
    let routes = Router::new()
        .route("/metrics", get(metrics))
        .route("/healthz", get(|| async { "alive\n" }))
        .route("/readyz", get(ready))
        .with_state(runtime_handle);
    loop {
        let mut resumed = paused.clone();
        let until_paused = async move {
            if paused.wait_for(|paused| *paused).await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        let served = match listener
            .set_nonblocking(true)
            .and_then(|()| listener.try_clone())
            .and_then(tokio::net::TcpListener::from_std)
        {
            Ok(listener) => {
                let served = axum::serve(listener, routes.clone());
                served.with_graceful_shutdown(until_paused).await
            }
            Err(error) => Err(error),
        };
        if let Err(error) = served {
            tracing::error!(%error, "the admin listener ended");
            return;
        }
        // A dropped sender does not pause.
        let _ = resumed.wait_for(|paused| !*paused).await;
        paused = resumed;
    }
}

async fn metrics(State(runtime_handle): State<Arc<RuntimeHandle>>) -> impl IntoResponse {
    let kind = [(
        header::CONTENT_TYPE,
        "text/plain; version=0.0.4; charset=utf-8",
    )];
    (kind, runtime_handle.current().status.render_metrics())
}

async fn ready(State(runtime_handle): State<Arc<RuntimeHandle>>) -> impl IntoResponse {
    let runtime = runtime_handle.current();
    if runtime.is_stopping() {
        return (StatusCode::SERVICE_UNAVAILABLE, "stopping\n".to_owned());
    }
    match runtime.status.ready().await {
        Ok(()) => (StatusCode::OK, "ready\n".to_owned()),
        Err(missing) => (StatusCode::SERVICE_UNAVAILABLE, format!("{missing}\n")),
    }
}
