//! A door between the gateway and the identity server: open, shut, or held so that whoever knocks
//! waits.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Open,
    /// Connections are cut, new ones too.
    ChallengeError,
    /// What arrives waits until the door opens.
    Held,
}

/// Passes connections on to one address.
pub struct Door {
    address: SocketAddr,
    state: Arc<watch::Sender<State>>,
    knocks: watch::Receiver<usize>,
}

impl Door {
    /// An open door before `behind`.
    pub async fn before(behind: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (state, _) = watch::channel(State::Open);
        let state = Arc::new(state);
        let (count, knocks) = watch::channel(0);
        let door = Knocking {
            state: Arc::clone(&state),
            count: Arc::new(count),
        };
        tokio::spawn(async move {
            loop {
                let Ok((stream, _)) = listener.accept().await else {
                    return;
                };
                door.count.send_modify(|count| *count += 1);
                tokio::spawn(pass(stream, behind, door.clone()));
            }
        });
        Self {
            address,
            state,
            knocks,
        }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Nobody gets through, and connections that stand are cut.
    pub fn shut(&self) {
        self.state.send_replace(State::ChallengeError);
    }

    /// What arrives from now on waits until the door is opened.
    pub fn hold(&self) {
        self.state.send_replace(State::Held);
    }

    pub fn open(&self) {
        self.state.send_replace(State::Open);
    }

    /// Backoff until somebody has knocked after this many knocks.
    pub async fn knocked_after(&self, before: usize) {
        self.knocks
            .clone()
            .wait_for(|count| *count > before)
            .await
            .unwrap();
    }

    /// How often somebody has knocked: came anew, or said something while it was not open.
    pub fn knocks(&self) -> usize {
        *self.knocks.borrow()
    }
}

/// Passes on what arrives while the door is open. The state is asked for each piece, so that from
/// the moment the door is shut or held nothing gets through on a connection that stood before.
async fn pass(stream: TcpStream, behind: SocketAddr, door: Knocking) {
    let mut state = door.state.subscribe();
    if door.admits(&mut state).await {
        let Ok(onward) = TcpStream::connect(behind).await else {
            return;
        };
        let (mut from, mut back) = stream.into_split();
        let (mut answers, mut onward) = onward.into_split();
        let mut piece = vec![0; 64 * 1024];
        let forth = async {
            while let Ok(length @ 1..) = from.read(&mut piece).await {
                if *state.borrow() != State::Open {
                    door.count.send_modify(|count| *count += 1);
                }
                if !door.admits(&mut state).await
                    || onward.write_all(&piece[..length]).await.is_err()
                {
                    return;
                }
            }
        };
        let mut cut = door.state.subscribe();
        tokio::select! {
            () = forth => {}
            _ = tokio::io::copy(&mut answers, &mut back) => {}
            _ = cut.wait_for(|state| *state == State::ChallengeError) => {}
        }
    }
}

#[derive(Clone)]
struct Knocking {
    state: Arc<watch::Sender<State>>,
    count: Arc<watch::Sender<usize>>,
}

impl Knocking {
    /// Backoff while the door is held; whether it is open then.
    async fn admits(&self, state: &mut watch::Receiver<State>) -> bool {
        matches!(
            state
                .wait_for(|state| *state != State::Held)
                .await
                .as_deref(),
            Ok(State::Open)
        )
    }
}
