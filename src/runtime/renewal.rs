//! Renewal: one provider call per refresh token at a time, whoever asks and whoever hangs up
//! (contract, section 7).
//!
//! Parallel tabs, retries and late requests present the same old refresh token. The first of them starts a flight,
//! detached from its own connection; all others wait for the same flight, and for the length of the reuse window
//! the result is handed to whoever still comes with the old token. Behind the window a token that was rotated away
//! is a replay: whoever presents it has a copy, and the whole sign-in ends.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use tokio::sync::watch;

use crate::model::credential::RefreshTicket;
use crate::model::moment::Moment;
use crate::model::reason::Reason;
use crate::model::secret::Secret;
use crate::model::token::{Renewed, TokenPair};

/// What a renewal came to.
#[derive(Clone, Debug)]
pub enum Renewal {
    /// A new pair, sealed, and the ticket inside the new refresh cookie.
    Renewed(Box<(Renewed, RefreshTicket)>),
    /// The provider's pair could not be checked yet: it is kept, so that no rotated token is lost.
    Unchecked(TokenPair),
    /// A definite no: `signed_out` or `revoked`.
    Refused(Reason),
    /// No answer: the visitor keeps what they have.
    Trouble(Reason),
}

/// How a caller came by the result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Share {
    /// This caller's flight called the provider.
    Own,
    /// Waited for a flight under way.
    Waited,
    /// Was handed a result remembered from a moment ago.
    Remembered,
}

/// What is known about one old refresh token.
enum Slot {
    Flying(watch::Receiver<Option<Arc<Renewal>>>),
    Landed {
        renewal: Arc<Renewal>,
        until: Moment,
        spent: Option<String>,
    },
    /// Rotated away; the text is the session key of its sign-in.
    Spent {
        session: String,
        until: Moment,
    },
}

type Key = [u8; 32];

/// All renewals of this process.
pub struct Renewals {
    slots: Mutex<HashMap<Key, Slot>>,
}

/// How a caller may go on.
pub enum Boarding {
    /// Nobody renews this token yet: make the call and land it.
    Fly(Takeoff),
    /// Somebody does: await the result.
    Wait(watch::Receiver<Option<Arc<Renewal>>>),
    /// It was done a moment ago.
    Remembered(Arc<Renewal>),
    /// A copy of a token that was rotated away: the session key to end.
    Replayed(String),
}

/// The duty to land a flight. Dropped without landing (a panic), the waiters are told and the slot is free again.
pub struct Takeoff {
    renewals: Arc<Renewals>,
    key: Key,
    sender: watch::Sender<Option<Arc<Renewal>>>,
    /// A pair of an earlier flight that could not be checked then.
    pub unchecked: Option<TokenPair>,
}

/// More tokens than this are not remembered at once; the oldest results go first.
const MOST_SLOTS: usize = 200_000;
/// How long a rotated token is known as spent.
const SPENT_FOR: Duration = Duration::from_secs(24 * 60 * 60);

impl Renewals {
    /// No renewal yet.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::new(Self { slots: Mutex::new(HashMap::new()) })
    }

    /// Boards the flight for `refresh` of one provider, starting it if nobody did.
    pub fn board(self: &Arc<Self>, scope: &str, refresh: &Secret, now: Moment) -> Boarding {
        let key = key_of(scope, refresh);
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        if slots.len() >= MOST_SLOTS {
            make_room(&mut slots, now);
        }
        let unchecked = match slots.get(&key) {
            Some(Slot::Flying(receiver)) if receiver.has_changed().is_ok() => return Boarding::Wait(receiver.clone()),
            Some(Slot::Landed { renewal, until, .. }) if now < *until => match &**renewal {
                Renewal::Unchecked(pair) => Some(pair.clone()),
                // A token that the provider reuses is renewed afresh once what it brought has ended.
                Renewal::Renewed(landed) if landed.0.visitor.expires <= now && landed.1.refresh == *refresh => None,
                Renewal::Renewed(_) | Renewal::Refused(_) | Renewal::Trouble(_) => {
                    return Boarding::Remembered(Arc::clone(renewal));
                }
            },
            Some(Slot::Landed { spent: Some(session), .. }) => return Boarding::Replayed(session.clone()),
            Some(Slot::Spent { session, until }) if now < *until => return Boarding::Replayed(session.clone()),
            Some(Slot::Flying(_) | Slot::Landed { .. } | Slot::Spent { .. }) | None => None,
        };
        let (sender, receiver) = watch::channel(None);
        slots.insert(key, Slot::Flying(receiver));
        Boarding::Fly(Takeoff { renewals: Arc::clone(self), key, sender, unchecked })
    }

    /// The ticket that this refresh token was exchanged for a moment ago, where it was rotated.
    pub fn successor(&self, scope: &str, refresh: &Secret) -> Option<RefreshTicket> {
        let slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        match slots.get(&key_of(scope, refresh))? {
            Slot::Landed { renewal, .. } => match &**renewal {
                Renewal::Renewed(landed) => (landed.1.refresh != *refresh).then(|| landed.1.clone()),
                Renewal::Unchecked(_) | Renewal::Refused(_) | Renewal::Trouble(_) => None,
            },
            Slot::Flying(_) | Slot::Spent { .. } => None,
        }
    }

    /// Turns results whose window is over into what must still be known of them, and drops the rest.
    pub fn sweep(&self, now: Moment) {
        sweep(&mut self.slots.lock().unwrap_or_else(PoisonError::into_inner), now);
    }
}

impl Takeoff {
    /// Tells every waiter and remembers the result: a success and a refusal for `window`, trouble not at all.
    pub fn land(self, old: &RefreshTicket, renewal: Renewal, now: Moment, window: Duration) -> Arc<Renewal> {
        let renewal = Arc::new(renewal);
        let spent = match &*renewal {
            Renewal::Renewed(landed) if landed.1.refresh != old.refresh => Some(old.session.clone()),
            Renewal::Renewed(_) | Renewal::Unchecked(_) | Renewal::Refused(_) | Renewal::Trouble(_) => None,
        };
        {
            let mut slots = self.renewals.slots.lock().unwrap_or_else(PoisonError::into_inner);
            if matches!(*renewal, Renewal::Trouble(_)) {
                slots.remove(&self.key);
            } else {
                let landed = Slot::Landed { renewal: Arc::clone(&renewal), until: now.plus(window), spent };
                slots.insert(self.key, landed);
            }
        }
        // Nobody may be waiting any more: the result is remembered all the same.
        let _ = self.sender.send(Some(Arc::clone(&renewal)));
        renewal
    }
}

/// Waits for a flight to land. A flight that fell over is trouble, never a no.
pub async fn wait(mut flight: watch::Receiver<Option<Arc<Renewal>>>) -> Arc<Renewal> {
    match flight.wait_for(Option::is_some).await {
        Ok(landed) => landed.clone().unwrap_or_else(|| Arc::new(Renewal::Trouble(Reason::Internal))),
        Err(_) => Arc::new(Renewal::Trouble(Reason::Internal)),
    }
}

fn key_of(scope: &str, refresh: &Secret) -> Key {
    let text = format!("{scope}\0{}", refresh.expose());
    let mut key = [0; 32];
    key.copy_from_slice(digest(&SHA256, text.as_bytes()).as_ref());
    key
}

fn sweep(slots: &mut HashMap<Key, Slot>, now: Moment) {
    let spent: Vec<(Key, String, Moment)> = slots
        .iter()
        .filter_map(|(key, slot)| match slot {
            Slot::Landed { until, spent: Some(session), .. } if *until <= now => {
                Some((*key, session.clone(), until.plus(SPENT_FOR)))
            }
            Slot::Landed { .. } | Slot::Flying(_) | Slot::Spent { .. } => None,
        })
        .collect();
    for (key, session, until) in spent {
        slots.insert(key, Slot::Spent { session, until });
    }
    slots.retain(|_, slot| match slot {
        Slot::Flying(receiver) => receiver.has_changed().is_ok(),
        Slot::Landed { until, .. } | Slot::Spent { until, .. } => now < *until,
    });
}

/// Room for new flights: what is over goes, then the oldest of what is only kept against replays.
fn make_room(slots: &mut HashMap<Key, Slot>, now: Moment) {
    sweep(slots, now);
    if slots.len() < MOST_SLOTS {
        return;
    }
    let mut ends: Vec<Moment> = slots.values().filter_map(ends_at).collect();
    if ends.is_empty() {
        // All in flight: those end by themselves.
        return;
    }
    let middle = ends.len() / 2;
    let (_, cut, _) = ends.select_nth_unstable(middle);
    let cut = *cut;
    slots.retain(|_, slot| ends_at(slot).is_none_or(|end| end > cut));
}

fn ends_at(slot: &Slot) -> Option<Moment> {
    match slot {
        Slot::Flying(_) => None,
        Slot::Landed { until, .. } | Slot::Spent { until, .. } => Some(*until),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crowd_of_flights_is_let_be() {
        let (senders, receivers): (Vec<_>, Vec<_>) = (0..MOST_SLOTS).map(|_| watch::channel(None)).unzip();
        let numbered = receivers.into_iter().enumerate().map(|(number, receiver)| {
            let mut key = [0; 32];
            key[..8].copy_from_slice(&number.to_le_bytes());
            (key, Slot::Flying(receiver))
        });
        let mut slots: HashMap<Key, Slot> = numbered.collect();
        make_room(&mut slots, Moment::from_secs(1));
        assert_eq!(slots.len(), MOST_SLOTS);
        drop(senders);
        make_room(&mut slots, Moment::from_secs(1));
        assert!(slots.is_empty(), "flights that fell over");
    }
}
