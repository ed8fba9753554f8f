//! Servers that die, hang, lose their data and close connections.

use std::process::Command;

use super::super::super::{
    LeaseStore as _, Revocation, RevocationId, ThrottleKey, ThrottleKeys, TokenGroup,
};
use super::*;

const ONE_A_MINUTE: Rate = Rate {
    attempts: 1,
    per: MINUTE,
    waits: Backoff::Exponential,
};

fn session(name: &str) -> RevocationKey {
    RevocationKey(name.to_owned())
}

/// Revokes a sign-in, and what was issued to a user.
async fn revoke(stores: &Stores, name: &str) -> Result<(), StoreError> {
    let until = NOW.plus(MINUTE);
    let of_user = Revocation {
        id: RevocationId::of_group("main", TokenGroup::User(name)),
        issued_by: NOW,
        until,
    };
    let of_sign_in = Revocation::of_sign_in(RevocationId::of("main", &session(name)), until);
    let revocations = [of_sign_in, of_user];
    stores.revocations.revoke_all(&revocations, NOW).await
}

fn is_revoked(stores: &Stores, name: &str) -> bool {
    let user = RevocationId::of_group("main", TokenGroup::User(name));
    stores.revocations.is_revoked("main", &session(name), NOW)
        && stores.revocations.issued_by(user, NOW) == Some(NOW)
}

/// Marks a message as used.
async fn mark_message(stores: &Stores) -> Result<bool, StoreError> {
    let message = RevocationId::of_message("main", "m");
    let until = NOW.plus(MINUTE);
    stores.revocations.mark_used(message, until, NOW).await
}

async fn becomes_revoked(stores: &Stores, name: &str) -> bool {
    eventually(async || is_revoked(stores, name)).await
}

/// Everything but revocations, which are known in this process.
async fn every_store_fails(stores: &Stores, lease: LeaseKey, account: ThrottleKey) {
    let id = SessionHash([1; 32]);
    assert!(stores.sessions.get(id, MINUTE, NOW).await.is_err());
    assert!(stores.leases.acquire(lease, MINUTE).await.is_err());
    let reserved = stores.throttles.reserve(account, ONE_A_MINUTE, NOW).await;
    assert!(matches!(reserved, Err(ReserveError::Store(_))));
}

fn result() -> LeaseResult {
    LeaseResult {
        sealed: Arc::from([]),
        ttl: MINUTE,
        reuse_ttl: None,
    }
}

#[test]
fn a_server_that_lost_its_data_gets_the_revocations_back() {
    let Some(mut server) = TestServer::start(CONFIG) else {
        return;
    };
    block_on(async {
        let settings = server.settings(RedisTopology::One);
        let (here, there) = (
            ready_replica(&settings).await,
            ready_replica(&settings).await,
        );
        let lease = LeaseKey([7; 32]);
        let account = ThrottleKeys::new([1; 32]).account("main", "ann");
        revoke(&here, "a").await.unwrap();
        assert!(becomes_revoked(&there, "a").await);
        let acquired = here.leases.acquire(lease, MINUTE).await.unwrap();
        let Acquire::Acquired { fence: lost, .. } = acquired else {
            panic!()
        };
        let _ = here
            .throttles
            .reserve(account, ONE_A_MINUTE, NOW)
            .await
            .unwrap();
        assert!(
            there
                .throttles
                .reserve(account, ONE_A_MINUTE, NOW)
                .await
                .is_err()
        );

        server.kill();
        assert!(eventually(async || !is_ready(&here).await && !is_ready(&there).await).await);
        assert!(revoke(&here, "b").await.is_err());
        assert!(is_revoked(&here, "b"), "in this replica");
        assert!(mark_message(&here).await.is_err());
        every_store_fails(&here, lease, account).await;

        assert!(server.run());
        assert!(becomes_ready(&here).await && becomes_ready(&there).await);
        assert!(
            becomes_revoked(&there, "b").await,
            "published as soon as possible"
        );
        let marked = mark_message(&here).await;
        assert_eq!(marked, Ok(true), "what was not stored is not used");
        let newcomer = ready_replica(&settings).await;
        for name in ["a", "b"] {
            assert!(is_revoked(&newcomer, name), "{name} was revoked");
        }
        let acquired = there.leases.acquire(lease, MINUTE).await.unwrap();
        let Acquire::Acquired { fence, .. } = acquired else {
            panic!("the lease is free")
        };
        assert!(fence > lost, "fences still grow");
        let completed = here.leases.complete(lease, lost, result()).await;
        assert_eq!(completed, Ok(false));
        let _ = here
            .throttles
            .reserve(account, ONE_A_MINUTE, NOW)
            .await
            .unwrap();
    });
}

/// What a later holder would be given.
async fn checkpoint(stores: &Stores, lease: LeaseKey) -> Option<Arc<[u8]>> {
    stores.leases.checkpoint(lease).await.ok().flatten()
}

#[test]
fn a_server_that_lost_its_data_gets_the_checkpoints_back() {
    let Some(mut server) = TestServer::start(CONFIG) else {
        return;
    };
    block_on(async {
        let settings = server.settings(RedisTopology::One);
        let (here, there) = (
            ready_replica(&settings).await,
            ready_replica(&settings).await,
        );
        let [kept, missed, replaced, done] = [1, 2, 3, 4].map(|number| LeaseKey([number; 32]));
        let sealed: Arc<[u8]> = b"first".as_slice().into();
        let put = async |stores: &Stores, lease| {
            let here = stores
                .local_leases
                .put_checkpoint(lease, sealed.clone(), MINUTE);
            here.await.unwrap();
            stores
                .leases
                .put_checkpoint(lease, sealed.clone(), MINUTE)
                .await
        };
        assert_eq!(put(&here, kept).await, Ok(true));
        assert_eq!(there.connection.down_since(), None);
        server.kill();
        assert!(eventually(async || !is_ready(&here).await && !is_ready(&there).await).await);
        assert!(here.connection.down_since().is_some());
        for lease in [missed, replaced, done] {
            assert!(put(&here, lease).await.is_err());
        }
        here.local_leases.remove_checkpoint(replaced);
        here.local_leases.remove_checkpoint(done);
        assert!(server.run());
        assert!(becomes_ready(&here).await && becomes_ready(&there).await);
        for lease in [kept, missed] {
            let given = async || checkpoint(&there, lease).await == Some(sealed.clone());
            assert!(eventually(given).await, "published");
        }

        // Another replica has gone on meanwhile.
        let second: Arc<[u8]> = b"second".as_slice().into();
        let put = there
            .leases
            .put_checkpoint(replaced, second.clone(), MINUTE);
        assert_eq!(put.await, Ok(true));
        let acquired = there.leases.acquire(done, MINUTE).await.unwrap();
        let Acquire::Acquired { fence, .. } = acquired else {
            panic!("the lease is free")
        };
        assert_eq!(there.leases.complete(done, fence, result()).await, Ok(true));
        for lease in [replaced, done] {
            let local = here
                .local_leases
                .put_checkpoint(lease, sealed.clone(), MINUTE);
            local.await.unwrap();
        }
        server.command(&["CLIENT", "KILL", "TYPE", "normal"]);
        let forgotten = async || here.local_leases.checkpoint(done).await == Ok(None);
        assert!(eventually(forgotten).await, "its lease was completed");
        // The connection of the other replica was closed too.
        let stays = async || checkpoint(&there, replaced).await == Some(second.clone());
        assert!(eventually(stays).await);
        assert_eq!(there.leases.checkpoint(done).await, Ok(None));
    });
}

#[test]
fn a_replica_that_missed_a_message_catches_up() {
    let Some(server) = TestServer::start(CONFIG) else {
        return;
    };
    block_on(async {
        let settings = server.settings(RedisTopology::One);
        let (here, there) = (
            ready_replica(&settings).await,
            ready_replica(&settings).await,
        );
        for round in 0..5 {
            server.command(&["CLIENT", "KILL", "TYPE", "pubsub"]);
            let name = round.to_string();
            // Its connection for commands works, unless it is reconnecting already.
            assert!(eventually(async || revoke(&here, &name).await.is_ok()).await);
            assert!(becomes_revoked(&there, &name).await, "round {round}");
            assert!(becomes_ready(&here).await && becomes_ready(&there).await);
        }
    });
}

/// Its connections stay open, so nothing tells the replica that it missed a message.
#[test]
fn a_message_that_is_lost_without_a_trace_is_made_up_for() {
    let Some(server) = TestServer::start(CONFIG) else {
        return;
    };
    block_on(async {
        let settings = server.settings(RedisTopology::One);
        let there = ready_replica(&settings).await;
        // It publishes where nobody listens.
        let here = connected(open_on_channel(&settings, &Clock::new(), "elsewhere").unwrap());
        assert!(becomes_ready(&here).await);
        for name in ["a", "b"] {
            revoke(&here, name).await.unwrap();
            let known = becomes_revoked(&there, name);
            let known = tokio::time::timeout(Duration::from_secs(4), known).await;
            assert_eq!(known, Ok(true), "{name}");
        }
        // More than the stream holds: the position is lost, and all are read.
        server.command(&["DEL", "vestibule:recent:{vestibule:revoked}"]);
        revoke(&here, "c").await.unwrap();
        assert!(becomes_revoked(&there, "c").await);
    });
}

/// A replica whose clock is ten minutes ahead sees the same sessions and windows as the others.
#[test]
fn windows_run_on_the_clock_of_the_server() {
    let Some(server) = TestServer::start(CONFIG) else {
        return;
    };
    block_on(async {
        let settings = server.settings(RedisTopology::One);
        let here = ready_replica(&settings).await;
        let off = Duration::from_secs(600);
        let (ahead, there_now) = (Clock::new(), NOW.plus(off));
        ahead.set_forward(600_000);
        let there = connected(super::super::open(&settings, &ahead).unwrap());
        assert!(becomes_ready(&there).await);

        let id = SessionHash([7; 32]);
        let session = StoredSession {
            sealed: b"sealed".as_slice().into(),
            expires_at: NOW.plus(MINUTE * 60),
        };
        here.sessions
            .put(id, session.clone(), MINUTE, NOW)
            .await
            .unwrap();
        let read = there.sessions.get(id, MINUTE, there_now).await.unwrap();
        let read = read.expect("a session that was used a moment ago");
        assert_eq!(read.sealed, session.sealed);
        let end = read.expires_at.millis();
        assert!(end.abs_diff(session.expires_at.plus(off).millis()) < 1_000);

        let account = ThrottleKeys::new([1; 32]).account("main", "ann");
        let reserved = here.throttles.reserve(account, ONE_A_MINUTE, NOW).await;
        assert!(reserved.is_ok());
        let reserved = there
            .throttles
            .reserve(account, ONE_A_MINUTE, there_now)
            .await;
        let Err(ReserveError::Throttled(wait)) = reserved else {
            panic!("the attempt a moment ago counts")
        };
        assert!(wait.0 <= 61, "{wait:?}");
    });
}

#[test]
fn more_than_one_page_is_read_and_published() {
    let Some(mut server) = TestServer::start(CONFIG) else {
        return;
    };
    block_on(async {
        let settings = server.settings(RedisTopology::One);
        let here = ready_replica(&settings).await;
        server.kill();
        assert!(eventually(async || !is_ready(&here).await).await);
        for number in 0..4_500_u64 {
            let until = NOW.plus(MINUTE + Duration::from_millis(number % 100));
            assert!(
                here.revocations
                    .revoke("main", &session(&number.to_string()), until, NOW)
                    .await
                    .is_err()
            );
        }
        assert!(server.run());
        assert!(becomes_ready(&here).await);
        let newcomer = ready_replica(&settings).await;
        let revocations = &newcomer.revocations;
        let is_revoked =
            |number: u64| revocations.is_revoked("main", &session(&number.to_string()), NOW);
        assert!((0..4_500).all(is_revoked));
    });
}

#[test]
fn a_server_that_hangs_blocks_nobody_for_long() {
    let Some(server) = TestServer::start(CONFIG) else {
        return;
    };
    block_on(async {
        let store = ready_replica(&server.settings(RedisTopology::One)).await;
        let signal = |name: &str| {
            assert!(
                Command::new("kill")
                    .args([name, &server.id().to_string()])
                    .status()
                    .unwrap()
                    .success()
            );
        };
        signal("-STOP");
        let asked = tokio::time::timeout(
            Duration::from_secs(5),
            store.sessions.get(SessionHash([1; 32]), MINUTE, NOW),
        )
        .await;
        assert!(asked.expect("an answer").is_err());
        assert!(eventually(async || !is_ready(&store).await).await);
        signal("-CONT");
        assert!(becomes_ready(&store).await);
    });
}

/// A server that refuses writes is no master any more.
#[test]
fn a_master_that_became_a_replica_is_left() {
    let Some(server) = TestServer::start(CONFIG) else {
        return;
    };
    block_on(async {
        let store = ready_replica(&server.settings(RedisTopology::One)).await;
        server.command(&["REPLICAOF", "127.0.0.1", "1"]);
        assert!(revoke(&store, "a").await.is_err());
        assert!(is_revoked(&store, "a"));
        server.command(&["REPLICAOF", "NO", "ONE"]);
        assert!(becomes_ready(&store).await);
        assert!(
            eventually(async || server
                .command(&["ZCARD", "vestibule:revoked"])
                .contains('2'))
            .await,
            "published in the end"
        );
    });
}

#[test]
fn before_the_connection_supervisor_runs_stores_do_not_answer() {
    let settings = Redis {
        form: RedisTopology::One,
        nodes: vec![("127.0.0.1".to_owned(), 1)],
        tls: false,
        user: None,
        password: None,
        database: 0,
    };
    block_on(async {
        assert!(!is_ready(&open(&settings).unwrap()).await);
        let store = replica(&settings);
        let error = store.connection.ready().await.unwrap_err();
        assert!(error.0.contains("refused"), "{error}");
        let with_tls = Redis {
            tls: true,
            ..settings
        };
        assert!(open(&with_tls).is_ok());
    });
}
