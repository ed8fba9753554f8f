//! "The Porch": a forum whose posts have the name of the signed-in user.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::extract::{DefaultBodyLimit, Form, Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use serde::{Deserialize, Serialize};

use super::app_session::with_sessions;
use super::demo_pages::{NOT_FOUND, NOT_SIGNED_IN, Notice, html, static_file};
use super::request_info::RequestInfo;

/// The cookie of the session that the forum keeps itself. `config/demo.toml` names it in `forget`.
pub(super) const FORUM_SESSION: &str = "porch_session";

/// The maximum number of threads. Beyond it the oldest thread is deleted.
const MAX_THREADS: usize = 100;

/// The maximum number of posts in a thread, including the first.
const MAX_POSTS: usize = 200;

/// The maximum length of a title, in characters.
const MAX_TITLE: usize = 120;

/// The maximum length of a post, in characters.
const MAX_TEXT: usize = 2_000;

/// The maximum size of a form, in bytes: the longest post, percent-encoded.
const MAX_BODY: usize = 32 * 1024;

const THREAD_FULL: Notice = Notice {
    heading: "It is getting late",
    text: "This conversation has become too long. Begin another one.",
};
const INVALID_POST: Notice = Notice {
    heading: "Nothing was said",
    text: "A post needs a few words, and not more than a page of them.",
};

#[derive(Clone, Serialize)]
struct Thread {
    id: u64,
    title: String,
    posts: Vec<Post>,
}

#[derive(Clone, Serialize)]
struct Post {
    author: String,
    text: String,
}

struct Threads {
    threads: Vec<Thread>,
    next_id: u64,
}

#[derive(Clone)]
struct ForumState(Arc<Mutex<Threads>>);

impl ForumState {
    fn lock(&self) -> MutexGuard<'_, Threads> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Threads {
    /// Adds a thread with its first post and returns its id.
    fn add(&mut self, title: String, post: Post) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        if self.threads.len() >= MAX_THREADS {
            self.threads.remove(0);
        }
        self.threads.push(Thread {
            id,
            title,
            posts: vec![post],
        });
        id
    }

    /// The threads that the demo starts with.
    fn samples() -> Self {
        let mut threads = Self {
            threads: Vec::new(),
            next_id: 1,
        };
        let post = |author: &str, text: &str| Post {
            author: author.to_owned(),
            text: text.to_owned(),
        };
        threads.add(
            "What do you keep by the front door?".to_owned(),
            post("Odile", "A bowl for keys, an umbrella nobody admits to owning, and a stone from every holiday."),
        );
        threads.add(
            "The kettle or the pan?".to_owned(),
            post(
                "Bram",
                "My neighbour boils water in a pan and says it tastes rounder. I have no words.",
            ),
        );
        threads.add(
            "Swifts are back".to_owned(),
            post(
                "Ines",
                "Counted eleven over the square at half past eight. Summer may begin.",
            ),
        );
        let replies = [
            post("Bram", "A lantern. Even in June."),
            post(
                "Ines",
                "Shoes. Far too many shoes.\nAnd the letter I have meant to post since March.",
            ),
        ];
        if let Some(first) = threads.threads.first_mut() {
            first.posts.extend(replies);
        }
        threads
    }
}

/// The forum with its sample threads. Posts are kept in memory.
pub fn forum() -> Router {
    let forum = Router::new()
        .route("/", get(home))
        .route("/posts", get(list_threads).post(create_thread))
        .route("/posts/{id}", get(show_thread).post(reply))
        .route("/static/{name}", get(static_file))
        .route("/healthz", get(async || "ok"))
        .fallback(async |request: RequestInfo| notice(StatusCode::NOT_FOUND, &request, NOT_FOUND))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .with_state(ForumState(Arc::new(Mutex::new(Threads::samples()))));
    with_sessions(forum, FORUM_SESSION)
}

fn notice(status: StatusCode, request: &RequestInfo, notice: Notice) -> Response {
    (status, html("forum-notice.html", request, notice)).into_response()
}

#[derive(Serialize)]
struct HomePage {
    threads: usize,
    posts: usize,
}

async fn home(State(forum): State<ForumState>, request: RequestInfo) -> Response {
    let page = {
        let forum = forum.lock();
        HomePage {
            threads: forum.threads.len(),
            posts: forum.threads.iter().map(|thread| thread.posts.len()).sum(),
        }
    };
    html("forum-home.html", &request, page)
}

#[derive(Serialize)]
struct ThreadList {
    threads: Vec<ThreadSummary>,
}

#[derive(Serialize)]
struct ThreadSummary {
    id: u64,
    title: String,
    author: String,
    replies: usize,
}

async fn list_threads(State(forum): State<ForumState>, request: RequestInfo) -> Response {
    let summary = |thread: &Thread| ThreadSummary {
        id: thread.id,
        title: thread.title.clone(),
        author: thread
            .posts
            .first()
            .map(|post| post.author.clone())
            .unwrap_or_default(),
        replies: thread.posts.len().saturating_sub(1),
    };
    let threads = forum.lock().threads.iter().rev().map(summary).collect();
    html("forum-posts.html", &request, ThreadList { threads })
}

async fn show_thread(
    State(forum): State<ForumState>,
    Path(id): Path<u64>,
    request: RequestInfo,
) -> Response {
    let found = forum
        .lock()
        .threads
        .iter()
        .find(|thread| thread.id == id)
        .cloned();
    match found {
        Some(thread) => html("forum-thread.html", &request, thread),
        None => notice(StatusCode::NOT_FOUND, &request, NOT_FOUND),
    }
}

#[derive(Deserialize)]
struct NewThread {
    title: String,
    text: String,
}

async fn create_thread(
    State(forum): State<ForumState>,
    request: RequestInfo,
    Form(thread): Form<NewThread>,
) -> Response {
    let Some(visitor) = &request.visitor else {
        return notice(StatusCode::FORBIDDEN, &request, NOT_SIGNED_IN);
    };
    let title = trim_text(&thread.title, MAX_TITLE);
    let text = trim_text(&thread.text, MAX_TEXT);
    let (Some(title), Some(text)) = (title, text) else {
        return notice(StatusCode::BAD_REQUEST, &request, INVALID_POST);
    };
    let author = visitor.name.clone();
    let id = forum.lock().add(title, Post { author, text });
    Redirect::to(&format!("/posts/{id}")).into_response()
}

#[derive(Deserialize)]
struct Reply {
    text: String,
}

async fn reply(
    State(forum): State<ForumState>,
    Path(id): Path<u64>,
    request: RequestInfo,
    Form(reply): Form<Reply>,
) -> Response {
    let Some(visitor) = &request.visitor else {
        return notice(StatusCode::FORBIDDEN, &request, NOT_SIGNED_IN);
    };
    let Some(text) = trim_text(&reply.text, MAX_TEXT) else {
        return notice(StatusCode::BAD_REQUEST, &request, INVALID_POST);
    };
    let mut forum = forum.lock();
    let Some(thread) = forum.threads.iter_mut().find(|thread| thread.id == id) else {
        return notice(StatusCode::NOT_FOUND, &request, NOT_FOUND);
    };
    if thread.posts.len() >= MAX_POSTS {
        return notice(StatusCode::CONFLICT, &request, THREAD_FULL);
    }
    thread.posts.push(Post {
        author: visitor.name.clone(),
        text,
    });
    Redirect::to(&format!("/posts/{id}#post-{}", thread.posts.len())).into_response()
}

/// The text without surrounding white space. `None` if it is empty or has more than `max`
/// characters.
fn trim_text(text: &str, max: usize) -> Option<String> {
    let text = text.trim();
    (!text.is_empty() && text.chars().count() <= max).then(|| text.to_owned())
}
