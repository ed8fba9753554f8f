//! Sentinels and clusters, passwords, and how often a server is asked.

use super::*;
use crate::model::secret::Secret;

#[test]
fn keeps_the_contract_in_a_cluster() {
    let Some(server) = Server::start("save ''\ncluster-enabled yes") else {
        return;
    };
    server.tell(&["CLUSTER", "ADDSLOTSRANGE", "0", "16383"]);
    block_on(async {
        assert!(
            within(async || server
                .tell(&["CLUSTER", "INFO"])
                .contains("cluster_state:ok"))
            .await
        );
        contract::holds(&At::new(&server, RedisTopology::Cluster)).await;
    });
}

#[test]
fn a_master_is_found_behind_a_sentinel_and_found_again() {
    let Some(mut master) = Server::start(LINES) else {
        return;
    };
    let watched = format!("sentinel monitor main 127.0.0.1 {} 1", master.port);
    let Some(sentinel) = Server::start_program("redis-sentinel", &watched) else {
        return;
    };
    block_on(async {
        let wanted = sentinel.settings(RedisTopology::Sentinel("main".to_owned()));
        let (here, there) = (ready_replica(&wanted).await, ready_replica(&wanted).await);
        let session = RevocationKey("a".to_owned());
        here.revoke("main", &session, NOW.plus(Duration::from_secs(60)), NOW)
            .await
            .unwrap();
        assert!(within(async || there.is_revoked("main", &session, NOW)).await);
        assert!(
            master.tell(&["ZCARD", "vestibule:revoked"]).contains('1'),
            "it is at the master"
        );
        master.kill();
        assert!(within(async || here.ready().await.is_err()).await);
        assert!(master.run());
        assert!(becomes_ready(&here).await, "{:?}", here.ready().await);
        let unknown = replica(&sentinel.settings(RedisTopology::Sentinel("another".to_owned())));
        assert!(
            within(async || unknown.ready().await.unwrap_err().0.contains("master name")).await
        );
    });
}

#[test]
fn a_password_is_used_and_never_told() {
    let Some(server) =
        Server::start("save ''\nrequirepass hush-hush\nuser gate on >hush-gate ~* &* +@all")
    else {
        return;
    };
    block_on(async {
        let with = |user: Option<&str>, password: Option<&str>| Redis {
            user: user.map(str::to_owned),
            password: password.map(Secret::new),
            database: 3,
            ..server.settings(RedisTopology::One)
        };
        for right in [
            with(None, Some("hush-hush")),
            with(Some("gate"), Some("hush-gate")),
        ] {
            ready_replica(&right).await;
        }
        for wrong in [
            with(None, None),
            with(None, Some("hush-not")),
            with(Some("gate"), Some("hush-hush")),
        ] {
            let store = replica(&wrong);
            let answer = store.ready().await.unwrap_err();
            assert!(
                !answer.to_string().contains("hush")
                    && !format!("{store:?} {answer:?}").contains("hush"),
                "{answer}"
            );
            assert!(
                answer.0.contains("WRONGPASS") || answer.0.contains("NOAUTH"),
                "{answer}"
            );
        }
    });
}

/// How often the server has run a script by its hash.
fn scripts_run(server: &Server) -> usize {
    let told = server.tell(&["INFO", "commandstats"]);
    let calls = told
        .split("cmdstat_evalsha:calls=")
        .nth(1)
        .map_or("0", |rest| rest.split(',').next().unwrap());
    calls.parse().unwrap()
}

#[test]
fn what_was_read_less_than_a_second_ago_is_not_asked_for() {
    let Some(server) = Server::start(LINES) else {
        return;
    };
    block_on(async {
        let store = ready_replica(&server.settings(RedisTopology::One)).await;
        let (id, idle) = (SessionHash([7; 32]), Duration::from_secs(60));
        let session = StoredSession {
            sealed: b"sealed".as_slice().into(),
            ends: NOW.plus(idle * 10),
        };
        store
            .put_session(id, session.clone(), idle, NOW)
            .await
            .unwrap();
        let later = |millis: u64| NOW.plus(Duration::from_millis(millis));
        // The first run of a script is one that the server does not know.
        assert_eq!(
            store.session(id, idle, later(2_000)).await,
            Ok(Some(session.clone()))
        );
        let before = scripts_run(&server);
        for (at, runs) in [(2_500, 0), (2_999, 0), (3_000, 1), (3_999, 1), (4_000, 2)] {
            assert_eq!(
                store.session(id, idle, later(at)).await,
                Ok(Some(session.clone()))
            );
            assert_eq!(scripts_run(&server) - before, runs, "at {at}");
        }
    });
}

#[test]
fn nothing_stays_for_ever() {
    let Some(server) = Server::start(LINES) else {
        return;
    };
    block_on(async {
        let store = ready_replica(&server.settings(RedisTopology::One)).await;
        let (key, span) = (LeaseKey([7; 32]), Duration::from_secs(10));
        let session = StoredSession {
            sealed: b"sealed".as_slice().into(),
            ends: NOW.plus(span),
        };
        store
            .put_session(SessionHash([7; 32]), session, span, NOW)
            .await
            .unwrap();
        store
            .session(SessionHash([7; 32]), span, NOW.plus(Duration::from_secs(5)))
            .await
            .unwrap();
        let rate = Rate {
            attempts: 5,
            per: span,
            waits: Backoff::Exponential,
        };
        let _ = store
            .reserve(
                super::super::super::ThrottleKeys::new([1; 32]).account("a", "b"),
                rate,
                NOW,
            )
            .await
            .unwrap();
        let Acquire::Acquired(fence) = store.lease(key, span, NOW).await.unwrap() else {
            panic!()
        };
        let (until, spent_until) = (NOW.plus(span), Some(NOW.plus(span * 2)));
        let landing = LeaseResult {
            sealed: b"sealed".as_slice().into(),
            until,
            spent_until,
        };
        assert_eq!(store.land(key, fence, landing, NOW).await, Ok(true));
        let names = server.tell(&["KEYS", "*"]);
        let names: Vec<&str> = names
            .split('"')
            .filter(|word| word.starts_with("vestibule:"))
            .collect();
        assert_eq!(names.len(), 4, "{names:?}");
        for name in names {
            let lives: i64 = server
                .tell(&["TTL", name])
                .trim_matches(|c: char| !c.is_ascii_digit() && c != '-')
                .parse()
                .unwrap();
            assert!((1..=80).contains(&lives), "{name} lives {lives} s");
        }
    });
}
