//! The admin listener: metrics, health checks and the messages of identity providers, on an address
//! of its own, never on a site.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{ConnectInfo, Path, Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use tokio::sync::watch;

use crate::runtime::RuntimeHandle;
use crate::runtime::hooks::{HookAnswer, HookKind, HookRequest};
use crate::system;

/// How long a provider may take to send the body of a message.
const BODY_TIMEOUT: Duration = Duration::from_secs(20);

/// Answers `/metrics`, `/healthz`, `/readyz` and `/hooks/…` until the process ends, also while it
/// drains. While `paused` is true, another process answers.
pub async fn serve(
    listener: TcpListener,
    runtime_handle: Arc<RuntimeHandle>,
    mut paused: watch::Receiver<bool>,
) {
    let routes = Router::new()
        .route("/metrics", get(metrics))
        .route("/healthz", get(|| async { "alive\n" }))
        .route("/readyz", get(ready))
        .route("/hooks/fusionauth", post(fusionauth_hook))
        .route("/hooks/backchannel-logout/{provider}", post(logout_hook))
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
                let routes = routes.clone();
                let service = routes.into_make_service_with_connect_info::<SocketAddr>();
                let served = axum::serve(listener, service);
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

async fn fusionauth_hook(
    State(runtime_handle): State<Arc<RuntimeHandle>>,
    ConnectInfo(client): ConnectInfo<SocketAddr>,
    request: Request,
) -> Response {
    hook(&runtime_handle, client, HookKind::Fusionauth, None, request).await
}

async fn logout_hook(
    State(runtime_handle): State<Arc<RuntimeHandle>>,
    ConnectInfo(client): ConnectInfo<SocketAddr>,
    Path(provider): Path<String>,
    request: Request,
) -> Response {
    let (kind, provider) = (HookKind::BackchannelLogout, Some(&*provider));
    hook(&runtime_handle, client, kind, provider, request).await
}

async fn hook(
    runtime_handle: &RuntimeHandle,
    client: SocketAddr,
    kind: HookKind,
    provider: Option<&str>,
    request: Request,
) -> Response {
    let (head, body) = request.into_parts();
    let read = tokio::time::timeout(BODY_TIMEOUT, to_bytes(body, kind.max_body())).await;
    let Ok(body) = read else {
        return StatusCode::REQUEST_TIMEOUT.into_response();
    };
    let runtime = runtime_handle.current();
    let request = HookRequest {
        kind,
        provider,
        headers: &head.headers,
        body: body.as_deref().ok(),
        client: client.ip(),
    };
    response(&runtime.hooks.receive(request).await)
}

/// An answer to a message. It concerns nobody else.
fn response(answer: &HookAnswer) -> Response {
    let mut response = Response::builder()
        .status(answer.status)
        .header(header::CACHE_CONTROL, "no-store");
    if let Some(seconds) = answer.retry_after() {
        response = response.header(header::RETRY_AFTER, seconds);
    }
    if let Some(challenge) = answer.challenge() {
        response = response.header(header::WWW_AUTHENTICATE, challenge);
    }
    let response = match answer.body(&system::unique_id()) {
        Some((media_type, body)) => response
            .header(header::CONTENT_TYPE, media_type)
            .body(Body::from(body)),
        None => response.body(Body::empty()),
    };
    response.unwrap_or_else(|_| StatusCode::INTERNAL_SERVER_ERROR.into_response())
}
