//! An application that writes down every request it is sent and answers what a story wants.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::HeaderValue;
use axum::response::Response;
use tokio::task::JoinHandle;

/// A request as the application got it.
#[derive(Clone, Debug)]
pub struct Received {
    pub method: String,
    /// Path and query, byte for byte.
    pub target: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Received {
    /// The values of a header; its name in lower case.
    pub fn all(&self, name: &str) -> Vec<&str> {
        self.headers
            .iter()
            .filter(|(have, _)| have == name)
            .map(|(_, value)| value.as_str())
            .collect()
    }

    /// The one value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        match self.all(name)[..] {
            [] => None,
            [value] => Some(value),
            _ => panic!("{name} came more than once: {:?}", self.headers),
        }
    }
}

type Answer = Arc<dyn Fn(&Received) -> Response + Send + Sync>;

#[derive(Clone)]
struct Shared {
    received: Arc<Mutex<Vec<Received>>>,
    answer: Arc<Mutex<Answer>>,
}

/// The application; killed when dropped.
pub struct Application {
    address: SocketAddr,
    shared: Shared,
    task: JoinHandle<()>,
}

impl Application {
    pub async fn open() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let answer: Answer = Arc::new(|_| Response::new(Body::from("hello from the application")));
        let shared = Shared {
            received: Arc::default(),
            answer: Arc::new(Mutex::new(answer)),
        };
        let app = Router::new().fallback(record).with_state(shared.clone());
        let task = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self {
            address,
            shared,
            task,
        }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What has arrived so far, in order.
    pub fn received(&self) -> Vec<Received> {
        self.shared.received.lock().unwrap().clone()
    }

    /// The last request that arrived.
    pub fn last(&self) -> Received {
        self.received()
            .pop()
            .expect("the application got a request")
    }

    /// From now on every request is answered so.
    pub fn answers(&self, answer: impl Fn(&Received) -> Response + Send + Sync + 'static) {
        *self.shared.answer.lock().unwrap() = Arc::new(answer);
    }

    /// Stops listening; connections are cut.
    pub fn kill(&self) {
        self.task.abort();
    }
}

impl Drop for Application {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn record(State(shared): State<Shared>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let received = Received {
        method: head.method.to_string(),
        target: head.uri.to_string(),
        headers: head
            .headers
            .iter()
            .map(|(name, value)| (name.to_string(), text(value)))
            .collect(),
        body: axum::body::to_bytes(body, 64 * 1024 * 1024)
            .await
            .unwrap_or_default()
            .to_vec(),
    };
    let answer = Arc::clone(&shared.answer.lock().unwrap());
    let response = answer(&received);
    shared.received.lock().unwrap().push(received);
    response
}
