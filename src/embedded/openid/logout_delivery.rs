//! Tells clients that sessions of theirs have ended: logout tokens (OpenID Connect Back-Channel
//! Logout
//! 1.0), which are sent again until the client confirms one.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, HeaderValue, Method};
use tokio::task::JoinSet;
use url::Url;

use super::openid_tokens::logout_token;
use crate::embedded::logout_queue::PendingLogout;
use crate::embedded::server_state::ServerState;
use crate::provider::http_client::{HttpClient, Purpose, Request};

/// The time limit for one attempt.
const TIMEOUT: Duration = Duration::from_secs(5);
/// The wait after the first attempt. It doubles with each further one.
const FIRST_WAIT: Duration = Duration::from_secs(1);
/// The longest wait between two attempts.
const LONGEST_WAIT: Duration = Duration::from_secs(300);

/// Sends logout tokens, without end.
pub async fn deliver_logouts(state: &Arc<ServerState>) {
    let mut http: Option<Arc<HttpClient>> = None;
    let mut under_way = HashSet::new();
    let mut deliveries = JoinSet::new();
    loop {
        for logout in pending(state).await {
            // The client needs the system's certificates, so it is made when it is needed.
            let client = match &http {
                Some(client) => Arc::clone(client),
                None => match HttpClient::new() {
                    Ok(client) => Arc::clone(http.insert(Arc::new(client))),
                    Err(error) => {
                        tracing::error!(%error, "clients cannot be told of logouts");
                        break;
                    }
                },
            };
            if under_way.insert(logout.session.clone()) {
                deliveries.spawn(deliver(Arc::clone(state), client, logout));
            }
        }
        tokio::select! {
            () = state.logouts.added() => {}
            Some(done) = deliveries.join_next() => {
                if let Ok(session) = done {
                    under_way.remove(&session);
                }
            }
        }
    }
}

async fn pending(state: &Arc<ServerState>) -> Vec<PendingLogout> {
    let state = Arc::clone(state);
    let all = tokio::task::spawn_blocking(move || state.logouts.all()).await;
    match all {
        Ok(Ok(all)) => all,
        Ok(Err(error)) => {
            tracing::error!(%error, "the logouts that clients have not confirmed cannot be read");
            Vec::new()
        }
        Err(_) => Vec::new(),
    }
}

/// Tells one client of one logout, however often it takes. Returns the session.
async fn deliver(state: Arc<ServerState>, http: Arc<HttpClient>, logout: PendingLogout) -> String {
    let mut wait = FIRST_WAIT;
    loop {
        match attempt(&state, &http, &logout).await {
            Ok(()) => break,
            Err(error) => {
                let client = &logout.client;
                tracing::warn!(client, error, "a client could not be told of a logout");
            }
        }
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(LONGEST_WAIT);
    }
    let session = logout.session.clone();
    let removed = tokio::task::spawn_blocking(move || state.logouts.remove(&session)).await;
    if let Ok(Err(error)) = removed {
        tracing::error!(%error, "a confirmed logout could not be removed");
    }
    logout.session
}

/// Sends one logout token. A logout that is out of date, or whose client is gone, needs none.
async fn attempt(
    state: &ServerState,
    http: &HttpClient,
    logout: &PendingLogout,
) -> Result<(), String> {
    let now = state.clock.now();
    let settings = state
        .openid_settings()
        .ok_or("sign-in by redirect is not set up")?;
    let client = settings.client(&logout.client);
    let uri = client.and_then(|client| client.backchannel_logout_uri.as_deref());
    let Some(uri) = uri.filter(|_| logout.until > now.millis()) else {
        return Ok(());
    };
    let url = Url::parse(uri).map_err(|_| "its address is not valid")?;
    let token = logout_token(&state.issuer(), logout, now).map_err(|error| error.to_string())?;
    let mut headers = HeaderMap::new();
    let form = HeaderValue::from_static("application/x-www-form-urlencoded");
    headers.insert(CONTENT_TYPE, form);
    let request = Request {
        method: Method::POST,
        url,
        headers,
        // The alphabet of a JWT needs no escapes.
        body: format!("logout_token={token}").into_bytes(),
        timeout: TIMEOUT,
        purpose: Purpose::Background,
    };
    let response = http
        .send(request)
        .await
        .map_err(|error| error.to_string())?;
    if response.status.is_success() {
        Ok(())
    } else {
        Err(format!("it answered {}", response.status))
    }
}
