//! A door between the gateway and the identity server: open, shut, or held so that whoever knocks waits.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Open,
    /// Connections are cut, new ones too.
    Shut,
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
        let passing = Arc::clone(&state);
        tokio::spawn(async move {
            loop {
                let Ok((stream, _)) = listener.accept().await else { return };
                count.send_modify(|count| *count += 1);
                tokio::spawn(pass(stream, behind, passing.subscribe()));
            }
        });
        Self { address, state, knocks }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Nobody gets through, and connections that stand are cut.
    pub fn shut(&self) {
        self.state.send_replace(State::Shut);
    }

    /// Connections that stand are cut; who comes now waits until the door is opened.
    pub fn hold(&self) {
        self.state.send_replace(State::Shut);
        self.state.send_replace(State::Held);
    }

    pub fn open(&self) {
        self.state.send_replace(State::Open);
    }

    /// Waits until somebody has knocked after this many knocks.
    pub async fn knocked_after(&self, before: usize) {
        self.knocks.clone().wait_for(|count| *count > before).await.unwrap();
    }

    /// How often somebody has knocked.
    pub fn knocks(&self) -> usize {
        *self.knocks.borrow()
    }
}

async fn pass(mut stream: TcpStream, behind: SocketAddr, mut state: watch::Receiver<State>) {
    if *state.borrow_and_update() == State::Held {
        let _ = state.wait_for(|state| *state != State::Held).await;
    }
    if *state.borrow_and_update() == State::Shut {
        return;
    }
    let Ok(mut onward) = TcpStream::connect(behind).await else { return };
    tokio::select! {
        _ = copy_bidirectional(&mut stream, &mut onward) => {}
        // Held and shut both cut what stands.
        _ = state.wait_for(|state| *state != State::Open) => {}
    }
}
