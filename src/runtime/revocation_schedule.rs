//! When which refresh token is tried to be revoked at its provider: one attempt at a time for each,
//! and pauses after failures.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

use crate::store::{PendingId, PendingRevocation};
use crate::system;

/// The pause after a failed call; each further pause is twice as long.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The longest pause before a provider is called again.
const MAX_PAUSE: Duration = Duration::from_secs(30);
/// How many tokens are remembered: those that were told, and those that failed.
const MAX_REMEMBERED: usize = 20_000;
/// What is known of refresh tokens, and of the providers that did not answer.
#[derive(Default)]
pub(super) struct Schedule {
    /// What has just been added. It is in the store too.
    pub fresh: VecDeque<PendingRevocation>,
    tokens: HashMap<PendingId, Token>,
    /// The oldest first.
    remembered: VecDeque<PendingId>,
    /// By the realm of the provider.
    pauses: HashMap<String, Pause>,
}

/// A refresh token of which something is known.
enum Token {
    /// It waits for its first attempt.
    Fresh,
    /// A call is under way; how long the pause before it was.
    Running(Duration),
    /// The provider could not be told.
    Failed(Pause),
    /// The provider was told.
    Told,
}

#[derive(Clone, Copy)]
struct Pause {
    until: Instant,
    length: Duration,
}

/// Whether an attempt may begin.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Begin {
    /// It is the first. It is made also where the provider has not answered others.
    First,
    /// There were others, perhaps before a restart or on another replica.
    Again,
    /// The provider was told.
    Told,
    /// One is under way, or it is too early.
    NotNow,
}

/// How an attempt ended.
pub(super) enum Attempt {
    /// The provider was told, by this replica or another one.
    Told,
    /// It was not: the provider rests, or another replica is at it.
    Skipped,
    Failed,
}

impl Schedule {
    /// Adds a token. `false` where it is known already.
    pub fn add_fresh(&mut self, pending: PendingRevocation) -> bool {
        if self.tokens.contains_key(&pending.id) {
            return false;
        }
        self.remember(pending.id, Token::Fresh);
        // Whatever does not fit is found in the store.
        if self.fresh.len() < MAX_REMEMBERED {
            self.fresh.push_back(pending);
        }
        true
    }

    /// Whether the provider was told.
    pub fn is_told(&self, id: PendingId) -> bool {
        matches!(self.tokens.get(&id), Some(Token::Told))
    }

    /// Whether an attempt may begin now; it is under way from then on.
    pub fn begin(&mut self, id: PendingId) -> Begin {
        let (begin, pause) = match self.tokens.get(&id) {
            Some(Token::Fresh) => (Begin::First, Duration::ZERO),
            None => (Begin::Again, Duration::ZERO),
            Some(Token::Failed(pause)) if pause.until <= system::stopwatch() => {
                (Begin::Again, pause.length)
            }
            Some(Token::Failed(_) | Token::Running(_)) => return Begin::NotNow,
            Some(Token::Told) => return Begin::Told,
        };
        self.remember(id, Token::Running(pause));
        begin
    }

    /// Records how the attempt ended.
    pub fn end(&mut self, id: PendingId, attempt: &Attempt) {
        let before = match self.tokens.get(&id) {
            Some(Token::Running(pause)) => *pause,
            None | Some(Token::Fresh | Token::Failed(_) | Token::Told) => Duration::ZERO,
        };
        let token = match attempt {
            Attempt::Told => Token::Told,
            Attempt::Skipped => Token::Failed(Pause::new(before.max(FIRST_PAUSE))),
            Attempt::Failed => Token::Failed(Pause::new(longer(before))),
        };
        self.remember(id, token);
    }

    fn remember(&mut self, id: PendingId, token: Token) {
        if self.tokens.insert(id, token).is_none() {
            self.remembered.push_back(id);
        }
        while self.remembered.len() > MAX_REMEMBERED {
            if let Some(oldest) = self.remembered.pop_front() {
                self.tokens.remove(&oldest);
            }
        }
    }

    /// Whether the provider is not called for a while, because it did not answer.
    pub fn rests(&self, realm: &str) -> bool {
        let pause = self.pauses.get(realm);
        pause.is_some_and(|pause| system::stopwatch() < pause.until)
    }

    /// Records how the provider answered.
    pub fn answered(&mut self, realm: &str, attempt: &Attempt) {
        if matches!(attempt, Attempt::Told) {
            self.pauses.remove(realm);
        } else if !self.rests(realm) {
            let before = self.pauses.get(realm);
            let before = before.map_or(Duration::ZERO, |pause| pause.length);
            let pause = Pause::new(longer(before));
            self.pauses.insert(realm.to_owned(), pause);
        }
    }

    /// Lets everything be tried again at once. Returns what has not been told.
    pub fn forget_pauses(&mut self) -> Vec<PendingId> {
        self.pauses.clear();
        let now = system::stopwatch();
        let mut left = Vec::new();
        for (id, token) in &mut self.tokens {
            match token {
                Token::Failed(pause) => {
                    pause.until = now;
                    left.push(*id);
                }
                Token::Fresh => left.push(*id),
                Token::Running(_) | Token::Told => {}
            }
        }
        left
    }
}

impl Pause {
    fn new(length: Duration) -> Self {
        Self {
            until: system::stopwatch() + length,
            length,
        }
    }
}

/// The pause after one that was `before`.
fn longer(before: Duration) -> Duration {
    (before * 2).clamp(FIRST_PAUSE, MAX_PAUSE)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pending(number: u32) -> PendingRevocation {
        PendingRevocation {
            id: id(number),
            sealed: [].into(),
        }
    }

    fn id(number: u32) -> PendingId {
        let mut id = [0; 16];
        id[..4].copy_from_slice(&number.to_le_bytes());
        PendingId(id)
    }

    #[test]
    fn a_token_has_one_attempt_at_a_time_and_none_once_it_is_told() {
        let mut schedule = Schedule::default();
        assert!(schedule.add_fresh(pending(1)));
        assert!(!schedule.add_fresh(pending(1)));
        assert_eq!(schedule.fresh.len(), 1);
        assert!(schedule.begin(id(1)) == Begin::First);
        assert!(schedule.begin(id(1)) == Begin::NotNow, "one is under way");
        schedule.end(id(1), &Attempt::Told);
        assert!(schedule.is_told(id(1)) && schedule.begin(id(1)) == Begin::Told);
        assert!(!schedule.add_fresh(pending(1)));
        assert!(schedule.begin(id(2)) == Begin::Again, "from the store");
    }

    #[test]
    fn after_a_failure_there_is_a_pause_that_a_stop_ends() {
        let mut schedule = Schedule::default();
        schedule.add_fresh(pending(1));
        schedule.begin(id(1));
        schedule.end(id(1), &Attempt::Failed);
        schedule.answered("main", &Attempt::Failed);
        assert!(schedule.begin(id(1)) == Begin::NotNow);
        assert!(schedule.rests("main") && !schedule.rests("other"));
        schedule.add_fresh(pending(2));
        assert_eq!(schedule.forget_pauses().len(), 2);
        assert!(schedule.begin(id(1)) == Begin::Again && !schedule.rests("main"));
        schedule.answered("main", &Attempt::Failed);
        schedule.answered("main", &Attempt::Told);
        assert!(!schedule.rests("main"), "it answers again");
    }

    #[test]
    fn pauses_double_up_to_half_a_minute() {
        let mut pauses = vec![Duration::ZERO];
        for _ in 0..7 {
            pauses.push(longer(*pauses.last().unwrap()));
        }
        let seconds: Vec<u64> = pauses.iter().map(Duration::as_secs).collect();
        assert_eq!(seconds, [0, 1, 2, 4, 8, 16, 30, 30]);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut schedule = Schedule::default();
        for number in 0..30_000 {
            schedule.add_fresh(pending(number));
        }
        assert_eq!(schedule.tokens.len(), MAX_REMEMBERED);
        assert_eq!(schedule.fresh.len(), MAX_REMEMBERED);
    }
}
