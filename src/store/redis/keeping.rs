//! The one task behind the store: connects, listens, catches up, notices silence, and begins again.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::Notify;

use super::RedisStore;

/// Between two attempts to connect, at first and at most.
const PAUSE: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));
/// A connection nobody uses is tried this often.
const LOOK_EVERY: Duration = Duration::from_secs(1);

impl RedisStore {
    /// Never ends by itself.
    pub(super) async fn keep_in_touch(&self) {
        let mut pause = PAUSE.0;
        for turn in 0.. {
            let (came_up, words) = self.stay_connected(turn).await;
            self.in_step.store(false, Ordering::Release);
            if self.link.down(&words) {
                tracing::warn!(error = words, "the store does not answer");
            }
            pause = if came_up {
                PAUSE.0
            } else {
                (pause * 2).min(PAUSE.1)
            };
            tokio::time::sleep(self.about(pause)).await;
        }
    }

    /// One connection from its beginning to its end: whether it came about, and why it ended.
    async fn stay_connected(&self, turn: usize) -> (bool, String) {
        let silence = Arc::new(Notify::new());
        let (heard, hung_up) = (Arc::clone(&self.heard), Arc::clone(&silence));
        let hear = move |push| {
            if !heard.hear(&push) {
                hung_up.notify_one();
            }
            Ok(())
        };
        // Listens before it reads anything: what is said in between is heard.
        let listening = match self.plan.listen(turn, &self.channel, hear).await {
            Ok(connection) => connection,
            Err(words) => return (false, words),
        };
        let asking = match self.plan.connect(turn).await {
            Ok(connection) => connection,
            Err(words) => return (false, words),
        };
        let number = self.link.up(asking.clone());
        tracing::info!("the store answers");
        let watch = async {
            let ping = redis::cmd("PING");
            loop {
                tokio::time::sleep(LOOK_EVERY).await;
                for connection in [&listening, &asking] {
                    if let Err(error) = connection.ask::<redis::Value>(&ping).await {
                        return super::link::words(&error);
                    }
                }
            }
        };
        let why = tokio::select! {
            why = watch => why,
            () = silence.notified() => "the connection was closed".to_owned(),
            () = self.link.lost(number) => "the connection was lost".to_owned(),
            () = self.stay_in_step() => String::new(),
        };
        (true, why)
    }

    /// Catches up, and again whenever something could not be told. Never ends by itself.
    async fn stay_in_step(&self) {
        loop {
            match self.catch_up().await {
                Ok(()) => {
                    self.in_step.store(true, Ordering::Release);
                    self.untold.notified().await;
                }
                Err(error) => tracing::warn!(%error, "revocations could not be exchanged"),
            }
            tokio::time::sleep(self.about(LOOK_EVERY)).await;
        }
    }
}
