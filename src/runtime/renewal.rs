//! Renewal: one provider call per refresh token at a time, whoever asks and whoever hangs up
//! (`docs/reference/refresh.md`).
//!
//! Parallel tabs, retries and late requests present the same old refresh token. The first of them
//! starts a flight, detached from its own connection; all others of this process wait for the same
//! flight. Over processes the store decides who makes the call, and for the length of the reuse
//! window it hands the result to whoever still comes with the old token. Behind the window a token
//! that was rotated away is a replay: whoever presents it has a copy, and the whole sign-in ends.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::model::credential::RefreshTicket;
use crate::model::reason::Reason;
use crate::model::token::Renewed;
use crate::store::LeaseKey;

/// What a renewal came to.
#[derive(Clone, Debug)]
pub enum Renewal {
    /// New tokens, and the ticket inside the refresh token that goes with them.
    Renewed(Box<(Renewed, RefreshTicket)>),
    /// What it brought a moment ago has ended by now: the refresh token that came with it is
    /// renewed in turn.
    Ended(Box<RefreshTicket>),
    /// A definite no: `signed_out` or `revoked`.
    Refused(Reason),
    /// A copy of a token that was rotated away long ago.
    Replayed,
    /// No answer: the visitor keeps what they have.
    Trouble(Reason),
}

/// How a caller came by the result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Share {
    /// This caller's flight called the provider.
    Own,
    /// Waited for a flight under way, here or elsewhere.
    Waited,
    /// Was handed a result remembered from a moment ago.
    Remembered,
}

/// A result and how its flight came by it.
pub type Landed = Arc<(Renewal, Share)>;

/// Where a flight's result will be.
pub type Arrival = watch::Receiver<Option<Landed>>;

/// The flights of this process.
#[derive(Default)]
pub struct Flights {
    under_way: Mutex<HashMap<LeaseKey, Arrival>>,
}

/// How a caller may go on.
pub enum Boarding {
    /// Nobody here renews this token yet: do it and land it.
    Fly(Takeoff),
    /// Somebody does: await the result.
    Wait(Arrival),
}

/// The duty to land a flight. Dropped without landing (a panic), the waiters are told and the way
/// is free again.
pub struct Takeoff {
    flights: Arc<Flights>,
    key: LeaseKey,
    sender: watch::Sender<Option<Landed>>,
}

impl Flights {
    /// Boards the flight for `key`, starting it if nobody did.
    pub fn board(self: &Arc<Self>, key: LeaseKey) -> Boarding {
        let mut under_way = self.under_way();
        if let Some(arrival) = under_way.get(&key) {
            return Boarding::Wait(arrival.clone());
        }
        let (sender, arrival) = watch::channel(None);
        under_way.insert(key, arrival);
        Boarding::Fly(Takeoff {
            flights: Arc::clone(self),
            key,
            sender,
        })
    }

    fn under_way(&self) -> MutexGuard<'_, HashMap<LeaseKey, Arrival>> {
        self.under_way
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Takeoff {
    /// Tells every waiter.
    pub fn land(self, renewal: Renewal, share: Share) -> Landed {
        let landed = Arc::new((renewal, share));
        // Nobody may be waiting any more.
        let _ = self.sender.send(Some(Arc::clone(&landed)));
        landed
    }
}

impl Drop for Takeoff {
    fn drop(&mut self) {
        self.flights.under_way().remove(&self.key);
    }
}

/// Backoff for a flight to land. A flight that fell over is trouble, never a no.
pub async fn wait(mut arrival: Arrival) -> Landed {
    let landed = arrival
        .wait_for(Option::is_some)
        .await
        .ok()
        .and_then(|landed| landed.clone());
    landed.unwrap_or_else(|| Arc::new((Renewal::Trouble(Reason::Internal), Share::Waited)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: LeaseKey = LeaseKey([7; 32]);

    fn waiting(boarding: Boarding) -> Arrival {
        match boarding {
            Boarding::Wait(arrival) => arrival,
            Boarding::Fly(_) => panic!("a second flight"),
        }
    }

    #[tokio::test]
    async fn all_wait_for_the_one_that_flies() {
        let flights = Arc::new(Flights::default());
        let Boarding::Fly(takeoff) = flights.board(KEY) else {
            panic!("nobody flew yet")
        };
        let waiters = [waiting(flights.board(KEY)), waiting(flights.board(KEY))];
        takeoff.land(Renewal::Refused(Reason::SignedOut), Share::Own);
        for waiter in waiters {
            assert!(matches!(
                wait(waiter).await.0,
                Renewal::Refused(Reason::SignedOut)
            ));
        }
        assert!(matches!(flights.board(KEY), Boarding::Fly(_)));
    }

    #[tokio::test]
    async fn a_flight_that_falls_over_is_trouble_and_frees_the_way() {
        let flights = Arc::new(Flights::default());
        let Boarding::Fly(takeoff) = flights.board(KEY) else {
            panic!("nobody flew yet")
        };
        let waiter = waiting(flights.board(KEY));
        drop(takeoff);
        assert!(matches!(
            wait(waiter).await.0,
            Renewal::Trouble(Reason::Internal)
        ));
        assert!(matches!(flights.board(KEY), Boarding::Fly(_)));
    }
}
