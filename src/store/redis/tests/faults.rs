//! Servers that die, hang, forget and hang up.

use std::process::Command;

use super::super::super::ThrottleKeys;
use super::*;

const MINUTE: Duration = Duration::from_secs(60);

fn session(name: &str) -> RevocationKey {
    RevocationKey(name.to_owned())
}

async fn revoke(store: &RedisStore, name: &str) -> Result<(), StoreError> {
    store
        .revoke("main", &session(name), NOW.plus(MINUTE), NOW)
        .await
}

async fn knows(store: &RedisStore, name: &str) -> bool {
    within(async || store.is_revoked("main", &session(name), NOW)).await
}

#[test]
fn a_server_that_lost_its_memory_is_told_who_was_signed_out() {
    let Some(mut server) = Server::start(LINES) else {
        return;
    };
    block_on(async {
        let wanted = server.settings(RedisTopology::One);
        let (here, there) = (ready_replica(&wanted).await, ready_replica(&wanted).await);
        let (key, rate) = (
            LeaseKey([7; 32]),
            Rate {
                attempts: 1,
                per: MINUTE,
                waits: Backoff::Exponential,
            },
        );
        let name = ThrottleKeys::new([1; 32]).account("main", "ann");
        revoke(&here, "a").await.unwrap();
        assert!(knows(&there, "a").await);
        let Acquire::Acquired(lost) = here.lease(key, MINUTE, NOW).await.unwrap() else {
            panic!()
        };
        let _ = here.reserve(name, rate, NOW).await.unwrap();
        assert!(there.reserve(name, rate, NOW).await.is_err());

        server.kill();
        assert!(within(async || here.ready().await.is_err() && there.ready().await.is_err()).await);
        assert!(revoke(&here, "b").await.is_err(), "the others do not know");
        assert!(
            here.is_revoked("main", &session("b"), NOW),
            "but here it stands"
        );
        assert!(
            here.session(SessionHash([1; 32]), MINUTE, NOW)
                .await
                .is_err()
        );
        assert!(here.lease(key, MINUTE, NOW).await.is_err());
        assert!(matches!(
            here.reserve(name, rate, NOW).await,
            Err(ReserveError::Store(_))
        ));

        assert!(server.run());
        assert!(becomes_ready(&here).await && becomes_ready(&there).await);
        assert!(knows(&there, "b").await, "told as soon as it could be");
        let newcomer = ready_replica(&wanted).await;
        for name in ["a", "b"] {
            assert!(
                newcomer.is_revoked("main", &session(name), NOW),
                "{name} was signed out"
            );
        }
        let Acquire::Acquired(fence) = there.lease(key, MINUTE, NOW).await.unwrap() else {
            panic!("leases start anew")
        };
        assert!(fence > lost, "and their numbers go on");
        let landing = LeaseResult {
            sealed: Arc::from([]),
            until: NOW.plus(MINUTE),
            spent_until: None,
        };
        assert_eq!(here.land(key, lost, landing, NOW).await, Ok(false));
        let _ = here.reserve(name, rate, NOW).await.unwrap();
    });
}

#[test]
fn whoever_missed_a_word_catches_up() {
    let Some(server) = Server::start(LINES) else {
        return;
    };
    block_on(async {
        let wanted = server.settings(RedisTopology::One);
        let (here, there) = (ready_replica(&wanted).await, ready_replica(&wanted).await);
        for round in 0..5 {
            server.tell(&["CLIENT", "KILL", "TYPE", "pubsub"]);
            let name = round.to_string();
            // Its own line to the server is whole, unless it has noticed already.
            assert!(within(async || revoke(&here, &name).await.is_ok()).await);
            assert!(knows(&there, &name).await, "round {round}");
            assert!(becomes_ready(&here).await && becomes_ready(&there).await);
        }
    });
}

#[test]
fn more_than_one_page_is_read_and_told() {
    let Some(mut server) = Server::start(LINES) else {
        return;
    };
    block_on(async {
        let wanted = server.settings(RedisTopology::One);
        let here = ready_replica(&wanted).await;
        server.kill();
        assert!(within(async || here.ready().await.is_err()).await);
        for number in 0..4_500_u64 {
            let until = NOW.plus(MINUTE + Duration::from_millis(number % 100));
            assert!(
                here.revoke("main", &session(&number.to_string()), until, NOW)
                    .await
                    .is_err()
            );
        }
        assert!(server.run());
        assert!(becomes_ready(&here).await);
        let newcomer = ready_replica(&wanted).await;
        assert!((0..4_500).all(|number| newcomer.is_revoked(
            "main",
            &session(&number.to_string()),
            NOW
        )));
    });
}

#[test]
fn a_server_that_hangs_holds_nobody_up_for_long() {
    let Some(server) = Server::start(LINES) else {
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
            store.session(SessionHash([1; 32]), MINUTE, NOW),
        )
        .await;
        assert!(asked.expect("an answer").is_err());
        assert!(within(async || store.ready().await.is_err()).await);
        signal("-CONT");
        assert!(becomes_ready(&store).await);
    });
}

/// A server that refuses to be written to is no master any more.
#[test]
fn a_master_that_became_a_replica_is_left() {
    let Some(server) = Server::start(LINES) else {
        return;
    };
    block_on(async {
        let store = ready_replica(&server.settings(RedisTopology::One)).await;
        server.tell(&["REPLICAOF", "127.0.0.1", "1"]);
        assert!(revoke(&store, "a").await.is_err());
        assert!(store.is_revoked("main", &session("a"), NOW));
        server.tell(&["REPLICAOF", "NO", "ONE"]);
        assert!(becomes_ready(&store).await);
        assert!(
            within(async || server.tell(&["ZCARD", "vestibule:revoked"]).contains('1')).await,
            "told in the end"
        );
    });
}

#[test]
fn before_it_is_kept_a_store_does_not_answer() {
    let wanted = Redis {
        form: RedisTopology::One,
        nodes: vec![("127.0.0.1".to_owned(), 1)],
        tls: false,
        user: None,
        password: None,
        database: 0,
    };
    block_on(async {
        assert!(RedisStore::new(&wanted).unwrap().ready().await.is_err());
        let store = replica(&wanted);
        let answer = store.ready().await.unwrap_err();
        assert!(answer.0.contains("refused"), "{answer}");
        assert!(
            RedisStore::new(&Redis {
                tls: true,
                ..wanted
            })
            .is_ok()
        );
    });
}
