//! A session of the application's own, as most applications have one beside the headers of a
//! gateway: a cookie that it sets for the user whom it sees first, and believes from then on. It
//! outlives the gateway's sign-out unless the gateway is told to end it (`forget`).

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::middleware::{self, Next};
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::request_info::{AppSession, visitor};
use crate::system;

/// The maximum number of sessions. Beyond it the oldest session is deleted.
const MAX_SESSIONS: usize = 1_000;

/// The sessions of one application.
#[derive(Clone)]
struct AppSessions {
    cookie: &'static str,
    sessions: Arc<Mutex<Sessions>>,
}

/// The names of users, by the id in their cookie.
#[derive(Default)]
struct Sessions {
    by_id: HashMap<String, String>,
    oldest_first: VecDeque<String>,
}

/// Gives the pages of `application` a session in the cookie of this name.
pub fn with_sessions(application: Router, cookie: &'static str) -> Router {
    let sessions = AppSessions {
        cookie,
        sessions: Arc::default(),
    };
    application.layer(middleware::from_fn_with_state(sessions, attach))
}

/// Finds the session of a request, or opens one for the user that the gateway names.
async fn attach(State(sessions): State<AppSessions>, mut request: Request, next: Next) -> Response {
    let mut opened = None;
    let found = sessions.find(request.headers());
    let opened_by = found.or_else(|| {
        let is_page = !request.uri().path().starts_with("/static/");
        let name = visitor(request.headers()).filter(|_| is_page)?.name;
        opened = Some(sessions.open(&name));
        Some(name)
    });
    if let Some(opened_by) = opened_by {
        request.extensions_mut().insert(AppSession {
            cookie: sessions.cookie,
            opened_by,
        });
    }
    let mut response = next.run(request).await;
    if let Some(id) = opened {
        let cookie = format!("{}={id}; HttpOnly; SameSite=Lax; Path=/", sessions.cookie);
        if let Ok(cookie) = HeaderValue::try_from(cookie) {
            response.headers_mut().append(header::SET_COOKIE, cookie);
        }
    }
    response
}

impl AppSessions {
    /// The user for whom the session of this request was opened.
    fn find(&self, headers: &HeaderMap) -> Option<String> {
        let fields = headers.get_all(header::COOKIE).iter();
        let pairs = fields.filter_map(|field| field.to_str().ok());
        let mut pairs = pairs.flat_map(|field| field.split(';'));
        let id = pairs.find_map(|pair| {
            let (name, value) = pair.trim().split_once('=')?;
            (name == self.cookie).then_some(value)
        })?;
        let sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        sessions.by_id.get(id).cloned()
    }

    /// Opens a session for a user, and gives its id.
    fn open(&self, name: &str) -> String {
        let id = URL_SAFE_NO_PAD.encode(system::random::<16>());
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        sessions.oldest_first.push_back(id.clone());
        if sessions.oldest_first.len() > MAX_SESSIONS
            && let Some(oldest) = sessions.oldest_first.pop_front()
        {
            sessions.by_id.remove(&oldest);
        }
        sessions.by_id.insert(id.clone(), name.to_owned());
        id
    }
}
