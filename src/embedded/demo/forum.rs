//! "The Porch": a forum whose posts carry the names it is told.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::extract::{DefaultBodyLimit, Form, Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use serde::{Deserialize, Serialize};

use super::page::{NOBODY, NOTHING, Notice, file, page};
use super::request_info::RequestInfo;

/// Conversations beyond this push out the oldest.
const MAX_THREADS: usize = 100;

/// Posts in one conversation, its first included.
const MAX_POSTS: usize = 200;

/// Of a title, in characters.
const MAX_TITLE: usize = 120;

/// Of a post, in characters.
const MAX_TEXT: usize = 2_000;

/// Of a form, in bytes: the longest post, percent-encoded.
const MAX_BODY: usize = 32 * 1024;

const FULL: Notice = Notice {
    heading: "It is getting late",
    text: "This conversation has become too long. Begin another one.",
};
const UNREADABLE: Notice = Notice {
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

struct Talk {
    threads: Vec<Thread>,
    next_id: u64,
}

#[derive(Clone)]
struct Porch(Arc<Mutex<Talk>>);

impl Porch {
    fn talk(&self) -> MutexGuard<'_, Talk> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Talk {
    fn begin(&mut self, title: String, post: Post) -> u64 {
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

    fn so_far() -> Self {
        let mut talk = Self {
            threads: Vec::new(),
            next_id: 1,
        };
        let said = |author: &str, text: &str| Post {
            author: author.to_owned(),
            text: text.to_owned(),
        };
        talk.begin(
            "What do you keep by the front door?".to_owned(),
            said("Odile", "A bowl for keys, an umbrella nobody admits to owning, and a stone from every holiday."),
        );
        talk.begin(
            "The kettle or the pan?".to_owned(),
            said(
                "Bram",
                "My neighbour boils water in a pan and says it tastes rounder. I have no words.",
            ),
        );
        talk.begin(
            "Swifts are back".to_owned(),
            said(
                "Ines",
                "Counted eleven over the square at half past eight. Summer may begin.",
            ),
        );
        let answers = [
            said("Bram", "A lantern. Even in June."),
            said(
                "Ines",
                "Shoes. Far too many shoes.\nAnd the letter I have meant to post since March.",
            ),
        ];
        if let Some(first) = talk.threads.first_mut() {
            first.posts.extend(answers);
        }
        talk
    }
}

/// The forum, with what was said before.
pub fn forum() -> Router {
    Router::new()
        .route("/", get(home))
        .route("/posts", get(posts).post(begin))
        .route("/posts/{id}", get(thread).post(reply))
        .route("/static/{name}", get(file))
        .route("/healthz", get(async || "ok"))
        .fallback(async |told: RequestInfo| notice(StatusCode::NOT_FOUND, &told, NOTHING))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .with_state(Porch(Arc::new(Mutex::new(Talk::so_far()))))
}

fn notice(status: StatusCode, told: &RequestInfo, notice: Notice) -> Response {
    (status, page("forum-notice.html", told, notice)).into_response()
}

#[derive(Serialize)]
struct Home {
    threads: usize,
    voices: usize,
}

async fn home(State(porch): State<Porch>, told: RequestInfo) -> Response {
    let counted = {
        let talk = porch.talk();
        Home {
            threads: talk.threads.len(),
            voices: talk.threads.iter().map(|thread| thread.posts.len()).sum(),
        }
    };
    page("forum-home.html", &told, counted)
}

#[derive(Serialize)]
struct Posts {
    threads: Vec<Line>,
}

#[derive(Serialize)]
struct Line {
    id: u64,
    title: String,
    author: String,
    replies: usize,
}

async fn posts(State(porch): State<Porch>, told: RequestInfo) -> Response {
    let line = |thread: &Thread| Line {
        id: thread.id,
        title: thread.title.clone(),
        author: thread
            .posts
            .first()
            .map(|post| post.author.clone())
            .unwrap_or_default(),
        replies: thread.posts.len().saturating_sub(1),
    };
    let threads = porch.talk().threads.iter().rev().map(line).collect();
    page("forum-posts.html", &told, Posts { threads })
}

async fn thread(State(porch): State<Porch>, Path(id): Path<u64>, told: RequestInfo) -> Response {
    let found = porch
        .talk()
        .threads
        .iter()
        .find(|thread| thread.id == id)
        .cloned();
    match found {
        Some(thread) => page("forum-thread.html", &told, thread),
        None => notice(StatusCode::NOT_FOUND, &told, NOTHING),
    }
}

#[derive(Deserialize)]
struct Beginning {
    title: String,
    text: String,
}

async fn begin(
    State(porch): State<Porch>,
    told: RequestInfo,
    Form(form): Form<Beginning>,
) -> Response {
    let Some(visitor) = &told.visitor else {
        return notice(StatusCode::FORBIDDEN, &told, NOBODY);
    };
    let (Some(title), Some(text)) = (worded(&form.title, MAX_TITLE), worded(&form.text, MAX_TEXT))
    else {
        return notice(StatusCode::BAD_REQUEST, &told, UNREADABLE);
    };
    let id = porch.talk().begin(
        title,
        Post {
            author: visitor.name.clone(),
            text,
        },
    );
    Redirect::to(&format!("/posts/{id}")).into_response()
}

#[derive(Deserialize)]
struct Reply {
    text: String,
}

async fn reply(
    State(porch): State<Porch>,
    Path(id): Path<u64>,
    told: RequestInfo,
    Form(form): Form<Reply>,
) -> Response {
    let Some(visitor) = &told.visitor else {
        return notice(StatusCode::FORBIDDEN, &told, NOBODY);
    };
    let Some(text) = worded(&form.text, MAX_TEXT) else {
        return notice(StatusCode::BAD_REQUEST, &told, UNREADABLE);
    };
    let mut talk = porch.talk();
    let Some(thread) = talk.threads.iter_mut().find(|thread| thread.id == id) else {
        return notice(StatusCode::NOT_FOUND, &told, NOTHING);
    };
    if thread.posts.len() >= MAX_POSTS {
        return notice(StatusCode::CONFLICT, &told, FULL);
    }
    thread.posts.push(Post {
        author: visitor.name.clone(),
        text,
    });
    Redirect::to(&format!("/posts/{id}#post-{}", thread.posts.len())).into_response()
}

/// The text without white space around it; `None` when nothing is left or it is too long.
fn worded(text: &str, most: usize) -> Option<String> {
    let text = text.trim();
    (!text.is_empty() && text.chars().count() <= most).then(|| text.to_owned())
}
