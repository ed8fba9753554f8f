//! What each event does.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::Method;
use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::{sleep, sleep_until};

use super::configuration::HOST;
use super::judge::Presented;
use super::provider::REUSE_WINDOW;
use super::rules;
use super::schedule::{Action, Page, StoreFault, Visit};
use super::visitor::Credentials;
use super::world::{Stream, World};

/// How long a gateway may need to notice that the store is back.
const NOTICED: Duration = Duration::from_secs(5);
/// How long it takes to save a sign-out that the shared store did not take.
const ON_THE_WAY: Duration = Duration::from_secs(3);
/// How long a stream may outlive its sign-in, and the time that a check takes.
const STREAM_ENDS: Duration = Duration::from_millis(5_200);
/// How often a visitor who is not served tries again when all trouble is over.
const TRIES: usize = 5;

impl World {
    /// Lets something happen.
    #[expect(clippy::too_many_lines, reason = "one arm for each action")]
    pub async fn act(self: &Arc<Self>, action: Action) {
        match action {
            Action::SignIn { visitor, gateway } => self.sign_in(visitor, gateway).await,
            Action::BeginLogin { visitor, gateway } => self.begin_login(visitor, gateway).await,
            Action::FinishLogin(finish) => self.finish_login(finish).await,
            Action::Visit(visit) => self.visit(visit).await,
            Action::SignOut {
                visitor,
                gateway,
                only_refresh,
                times,
            } => {
                let number = visitor % self.visitors.len();
                let held = self.held(number);
                let mut all = JoinSet::new();
                for _ in 0..times.max(1) {
                    let (world, held) = (Arc::clone(self), held.clone());
                    all.spawn(async move {
                        let presented = if only_refresh {
                            held.only_refresh()
                        } else {
                            held.clone()
                        };
                        world.sign_out(number, gateway, held, presented).await;
                    });
                }
                while all.join_next().await.is_some() {}
            }
            Action::Stream { visitor, gateway } => self.stream(visitor, gateway).await,
            Action::Copy { visitor } => {
                let held = self.held(visitor % self.visitors.len());
                self.visitor(visitor).copy = Some(held);
            }
            Action::Replay { visitor, gateway } => self.replay(visitor, gateway).await,
            Action::Forge { visitor, gateway } => self.forge(visitor, gateway).await,
            Action::End {
                visitor,
                gateway,
                what,
            } => self.end_at_provider(visitor, gateway, what).await,
            Action::MisuseHooks { visitor, gateway } => self.misuse_hooks(visitor, gateway).await,
            Action::Trouble(trouble) => {
                self.trace.note(|| format!("{trouble:?}"));
                let span = Duration::from_secs(trouble.seconds);
                self.provider.fail(trouble.endpoint, trouble.how, span);
            }
            Action::RotateProviderKey => {
                self.trace
                    .note(|| "the provider signs with a new key".into());
                self.provider.rotate_key();
            }
            Action::Unusable { seconds, how } => {
                self.trace
                    .note(|| format!("the provider's tokens: {how:?} for {seconds} s"));
                self.provider
                    .issue_unusable(how, Duration::from_secs(seconds));
            }
            Action::Unregister { visitor } => {
                self.trace
                    .note(|| format!("visitor {visitor} is unregistered"));
                self.provider.unregister(visitor % self.visitors.len());
            }
            Action::Store(fault) => self.break_store(fault),
            Action::StepClock { gateway, millis } => {
                let gateway = self.gateway(gateway);
                self.trace
                    .note(|| format!("the clock of gateway {} steps {millis} ms", gateway.number));
                gateway.wall.step(millis);
            }
            Action::Reload { gateway } => self.gateway(gateway).reload(&self.settings()),
            Action::RotateSealingKey => self.rotate_sealing_key(),
            Action::Restart {
                gateway,
                keep_state,
            } => self.restart(gateway, keep_state).await,
            Action::Kill { gateway, seconds } => self.kill(gateway, seconds).await,
        }
    }

    async fn sign_in(self: &Arc<Self>, number: usize, gateway: usize) {
        let number = number % self.visitors.len();
        let held = self.held(number);
        if !held.is_empty() {
            return;
        }
        if self.provider.oidc().is_some() {
            self.sign_in_by_redirect(number, gateway).await;
            return;
        }
        let delivery = if held.phone { "body" } else { "cookie" };
        let mut request = held.request(Method::POST, "/api/login");
        let body = json!({ "loginId": format!("visitor{number}"), "password": "secret", "tokens": delivery });
        request.body = Some(body.to_string());
        let Some(response) = self
            .ask(Presented::nothing(number), gateway, &request)
            .await
        else {
            return;
        };
        let mut visitor = self.visitor(number);
        visitor.held.take(&response, self.time.elapsed());
        visitor.held.grant = self.grant_of(&visitor.held);
    }

    /// A visitor's tabs ask for a page at the same time.
    async fn visit(self: &Arc<Self>, visit: Visit) {
        let number = visit.visitor % self.visitors.len();
        let held = self.held(number);
        if held.is_empty() {
            return;
        }
        let mut tabs = JoinSet::new();
        for tab in 0..visit.tabs.max(1) {
            let world = Arc::clone(self);
            let held = held.clone();
            let gateway = visit.gateway + if visit.spread { tab } else { 0 };
            tabs.spawn(async move {
                let mut request = match visit.what {
                    Page::Required => held.request(Method::GET, "/page"),
                    Page::User => held.request(Method::GET, "/api/user"),
                    Page::Refresh => held.request(Method::POST, "/api/refresh"),
                };
                request.application = Duration::from_millis(visit.application);
                let presented = world.presented(number, &held);
                let Some(response) = world.ask(presented, gateway, &request).await else {
                    return;
                };
                if visit.lose_answer {
                    world
                        .trace
                        .note(|| "the answer is lost on its way to the visitor".into());
                } else {
                    let now = world.time.elapsed();
                    world.visitor(number).held.take(&response, now);
                }
            });
        }
        while tabs.join_next().await.is_some() {}
    }

    /// A visitor who holds `held` signs out with the part of it that is `presented`.
    async fn sign_out(
        self: &Arc<Self>,
        number: usize,
        gateway: usize,
        held: Credentials,
        presented: Credentials,
    ) {
        // Whoever presents nothing ends nothing.
        let Some(grant) = held.grant.filter(|_| !presented.is_empty()) else {
            return;
        };
        if self.gateway(gateway).process().is_none() {
            return;
        }
        let was_over = self.provider.with_ledger(|ledger| {
            let grant = &mut ledger.grants[grant];
            let was_over = grant.over.is_some();
            grant.over = grant.over.or(Some("it was signed out"));
            was_over
        });
        let mut request = presented.request(Method::POST, "/api/logout");
        if presented.access.is_none() {
            request.body = request
                .refresh
                .take()
                .map(|token| json!({ "refreshToken": token }).to_string());
        }
        let mut who = self.presented(number, &presented);
        who.is_sign_out = true;
        let Some(response) = self.ask(who, gateway, &request).await else {
            return;
        };
        if response.status != 204 {
            return;
        }
        let now = self.time.elapsed();
        let with = self.token(&presented);
        // A session that ended because the provider refused the refresh does not tell whose it was.
        let is_unknown = was_over && with.is_none();
        self.provider.with_ledger(|ledger| {
            let is_current = |token: &String| {
                let row = ledger.tokens.get(token);
                row.is_some_and(|row| row.spent.is_none())
            };
            let with = with.filter(is_current);
            let grant = &mut ledger.grants[grant];
            grant.signed_out = grant.signed_out.or(Some(now));
            grant.signed_out_with = grant.signed_out_with.take().or(with);
        });
        {
            let mut visitor = self.visitor(number);
            visitor.copy = visitor.copy.take().or(Some(held));
            visitor.held.forget();
        }
        if !is_unknown {
            self.check_streams(&[grant]).await;
        }
    }

    /// A thief presents what was copied.
    async fn replay(self: &Arc<Self>, number: usize, gateway: usize) {
        let number = number % self.visitors.len();
        let Some(copy) = self.visitor(number).copy.clone() else {
            return;
        };
        let request = copy.request(Method::GET, "/page");
        let presented = self.presented(number, &copy);
        let Some(response) = self.ask(presented, gateway, &request).await else {
            return;
        };
        if let Some(copy) = &mut self.visitor(number).copy {
            copy.take(&response, self.time.elapsed());
        }
    }

    /// Somebody presents an access token that the provider did not sign.
    async fn forge(self: &Arc<Self>, number: usize, gateway: usize) {
        let number = number % self.visitors.len();
        let mut forged = Credentials::new(true);
        forged.access = Some(self.provider.forge(number));
        let request = forged.request(Method::GET, "/page");
        let answer = self.ask(Presented::nothing(number), gateway, &request);
        if answer.await.is_some_and(|response| response.forwarded) {
            let what = format!("a forged token is taken for one of visitor {number}");
            self.trace.violate(rules::OWN_IDENTITY, what);
        }
    }

    async fn stream(self: &Arc<Self>, number: usize, gateway: usize) {
        let number = number % self.visitors.len();
        let held = self.held(number);
        let Some(process) = self.gateway(gateway).process().filter(|_| !held.is_empty()) else {
            return;
        };
        let request = held.request(Method::GET, "/events");
        let presented = self.presented(number, &held);
        let grant = presented.grant;
        let Some(response) = self.ask(presented, gateway, &request).await else {
            return;
        };
        self.visitor(number)
            .held
            .take(&response, self.time.elapsed());
        let (Some(grant), Some(principal)) = (grant, response.principal) else {
            return;
        };
        let runtime = process.runtime_handle.current();
        let Some(site_runtime) = runtime.site_called(HOST) else {
            return;
        };
        let (revoking, at) = (Arc::clone(&runtime), Arc::clone(site_runtime));
        let of = Arc::clone(&principal);
        let is_revoked = move || revoking.revocation.is_revoked_by_now(&at, &of);
        let ended = site_runtime.streams.opened(&principal, is_revoked);
        let is_open = Arc::new(AtomicBool::new(true));
        let stream = Stream {
            grant,
            life: Arc::clone(&process.life),
            is_open: Arc::clone(&is_open),
        };
        self.streams().push(stream);
        // The stream outlives this event.
        tokio::runtime::Handle::current().spawn(async move {
            ended.await;
            is_open.store(false, Ordering::Relaxed);
        });
    }

    /// Checks that the streams of sign-ins that were ended end.
    pub async fn check_streams(&self, grants: &[usize]) {
        // One that is opened later was let in, which is another rule's.
        let opened = self.streams().len();
        sleep(STREAM_ENDS).await;
        let mut trouble = Duration::ZERO;
        // Further trouble may begin meanwhile.
        while trouble != self.provider.store_trouble() {
            trouble = self.provider.store_trouble();
            sleep_until(self.time.at(trouble + STREAM_ENDS)).await;
        }
        let streams = self.streams();
        let is_open = |stream: &&Stream| {
            grants.contains(&stream.grant)
                && stream.life.is_alive()
                && stream.is_open.load(Ordering::Relaxed)
        };
        if let Some(stream) = streams.iter().take(opened).find(is_open) {
            let what = format!("a stream at gateway {} is still open", stream.life.gateway);
            self.trace.violate(rules::STREAMS_END, what);
        }
    }

    fn break_store(&self, fault: StoreFault) {
        let Some(server) = &self.server else { return };
        self.trace.note(|| format!("the store: {fault:?}"));
        let trouble = match fault {
            StoreFault::Down { seconds } => {
                server.go_down(Duration::from_secs(seconds));
                if self.gateways.iter().all(|gateway| gateway.wall.is_right()) {
                    self.provider.store_is_lost(Duration::from_secs(seconds));
                }
                Duration::from_secs(seconds)
            }
            StoreFault::Slow { seconds, millis } => {
                server.be_slow(Duration::from_millis(millis), Duration::from_secs(seconds));
                if millis < 1_000 {
                    return;
                }
                Duration::from_secs(seconds)
            }
            StoreFault::RestartEmpty => {
                server.restart_empty();
                if self
                    .gateways
                    .iter()
                    .all(|gateway| gateway.process().is_none())
                {
                    // Nobody is left who knows.
                    self.provider.store_fails(NOTICED);
                    self.forget_sign_outs(Duration::MAX);
                    self.provider.forget_webhook();
                }
                Duration::ZERO
            }
            StoreFault::FailOver { lost_millis } => {
                server.fail_over(Duration::from_millis(lost_millis));
                Duration::ZERO
            }
            StoreFault::CopySession { visitor } => {
                let session = self.visitor(visitor).held.session_hash();
                if let Some(session) = session {
                    server.copy_session(session);
                }
                return;
            }
            StoreFault::LoseMessages { millis } => {
                server.lose_messages(Duration::from_millis(millis));
                Duration::from_millis(millis)
            }
        };
        self.provider.store_fails(trouble + NOTICED);
    }

    async fn restart(self: &Arc<Self>, gateway: usize, keep_state: bool) {
        let gateway = self.gateway(gateway);
        self.trace.note(|| {
            format!(
                "gateway {} stops, keeps state: {keep_state}",
                gateway.number
            )
        });
        let Some(life) = gateway.stop().await else {
            return;
        };
        self.provider.holder_died(&life, self.forgets());
        if !keep_state {
            self.forget_sign_outs(Duration::MAX);
            self.provider.forget_webhook();
        }
        self.note_saved_sign_outs();
        if !keep_state {
            // It may never have been made.
            let _ = fs::remove_dir_all(&gateway.state_dir);
        }
        self.start(gateway);
    }

    async fn kill(self: &Arc<Self>, gateway: usize, seconds: u64) {
        let gateway = self.gateway(gateway);
        self.trace
            .note(|| format!("gateway {} is killed", gateway.number));
        let Some(life) = gateway.kill() else { return };
        self.provider.holder_died(&life, self.forgets());
        if self.server.is_some() {
            self.forget_sign_outs(ON_THE_WAY);
        }
        sleep(Duration::from_secs(seconds)).await;
        if gateway.process().is_none() {
            self.start(gateway);
            self.note_saved_sign_outs();
        }
    }

    /// How long ago a process may have done what is lost with it.
    fn forgets(&self) -> Duration {
        if self.server.is_some() {
            Duration::ZERO
        } else {
            REUSE_WINDOW + Duration::from_secs(15)
        }
    }

    /// Sign-outs within `recent` that only the process that has just ended knew are lost: its
    /// folder is gone, or it was killed before it could save them.
    fn forget_sign_outs(&self, recent: Duration) {
        let now = self.time.elapsed();
        if self.server.is_some() && self.provider.store_trouble() <= now {
            return;
        }
        let since = now.saturating_sub(recent);
        self.provider.with_ledger(|ledger| {
            for grant in &mut ledger.grants {
                grant.signed_out = grant.signed_out.filter(|at| *at < since);
            }
        });
    }

    /// A process that has just started publishes the sign-outs that were saved while the shared
    /// store did not answer.
    fn note_saved_sign_outs(&self) {
        if self.server.is_some() && self.provider.had_store_trouble() {
            self.provider.store_fails(NOTICED);
        }
    }

    /// Checks that a visitor who is signed in is served, now that all trouble is over.
    pub async fn check_recovery(self: &Arc<Self>, number: usize) {
        for at in 0..TRIES {
            let held = self.held(number);
            let presented = self.presented(number, &held);
            if !self.must_be_served(&presented) {
                return;
            }
            let request = held.request(Method::GET, "/page");
            let Some(response) = self.ask(presented, number + at, &request).await else {
                return;
            };
            self.visitor(number)
                .held
                .take(&response, self.time.elapsed());
            if response.principal.is_some() {
                return;
            }
            sleep(Duration::from_secs(20)).await;
        }
        let what = format!("visitor {number} is not served though all trouble is over");
        self.trace.violate(rules::RECOVERS, what);
    }

    /// What a visitor holds now.
    pub(super) fn held(&self, number: usize) -> Credentials {
        let mut visitor = self.visitor(number);
        visitor.held.drop_old(self.time.elapsed());
        // Two sign-ins at once leave the tokens of one of them.
        if let Some(grant) = self.grant_of(&visitor.held) {
            visitor.held.grant = Some(grant);
        }
        visitor.held.clone()
    }

    /// The sign-in of the refresh token in these credentials.
    pub(super) fn grant_of(&self, held: &Credentials) -> Option<usize> {
        let token = self.token(held)?;
        let row = |ledger: &mut super::provider::Ledger| Some(ledger.tokens.get(&token)?.grant);
        self.provider.with_ledger(row)
    }

    /// The provider's refresh token in these credentials.
    pub fn token(&self, held: &Credentials) -> Option<String> {
        held.refresh_token(&self.opener(), self.options.sessions)
    }

    fn streams(&self) -> std::sync::MutexGuard<'_, Vec<Stream>> {
        self.streams
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
