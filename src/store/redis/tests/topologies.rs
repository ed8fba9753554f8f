//! Sentinels and clusters, passwords, the near cache and the TTL of keys.

use super::super::super::ThrottleKeys;
use super::*;
use crate::model::secret::Secret;

#[test]
fn all_stores_keep_the_contract_in_a_cluster() {
    let Some(server) = TestServer::start("save ''\ncluster-enabled yes") else {
        return;
    };
    server.command(&["CLUSTER", "ADDSLOTSRANGE", "0", "16383"]);
    block_on(async {
        let info = || server.command(&["CLUSTER", "INFO"]);
        assert!(eventually(async || info().contains("cluster_state:ok")).await);
        contract::check_all(&Replicas::of(server, RedisTopology::Cluster)).await;
    });
}

#[test]
fn a_master_is_found_behind_a_sentinel_and_found_again() {
    let Some(mut master) = TestServer::start(CONFIG) else {
        return;
    };
    let watched = format!("sentinel monitor main 127.0.0.1 {} 1", master.port);
    let Some(sentinel) = TestServer::start_program("redis-sentinel", &watched) else {
        return;
    };
    block_on(async {
        let settings = sentinel.settings(RedisTopology::Sentinel("main".to_owned()));
        let (here, there) = (
            ready_replica(&settings).await,
            ready_replica(&settings).await,
        );
        let session = RevocationKey("a".to_owned());
        here.revocations
            .revoke("main", &session, NOW.plus(MINUTE), NOW)
            .await
            .unwrap();
        let is_revoked = async || there.revocations.is_revoked("main", &session, NOW);
        assert!(eventually(is_revoked).await);
        assert!(
            master
                .command(&["ZCARD", "vestibule:revoked"])
                .contains('1'),
            "the master has it"
        );
        master.kill();
        assert!(eventually(async || !is_ready(&here).await).await);
        assert!(master.run());
        assert!(
            becomes_ready(&here).await,
            "{:?}",
            here.connection.ready().await
        );
        let unknown = replica(&sentinel.settings(RedisTopology::Sentinel("another".to_owned())));
        let error = async || unknown.connection.ready().await.unwrap_err();
        assert!(eventually(async || error().await.0.contains("master name")).await);
    });
}

#[test]
fn a_password_is_used_and_never_shown() {
    let Some(server) =
        TestServer::start("save ''\nrequirepass hush-hush\nuser gate on >hush-gate ~* &* +@all")
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
            let stores = replica(&wrong);
            let error = stores.connection.ready().await.unwrap_err();
            assert!(
                !error.to_string().contains("hush")
                    && !format!("{stores:?} {error:?}").contains("hush"),
                "{error}"
            );
            assert!(
                error.0.contains("WRONGPASS") || error.0.contains("NOAUTH"),
                "{error}"
            );
        }
    });
}

/// How often the server has run a script by its hash.
fn scripts_run(server: &TestServer) -> usize {
    let stats = server.command(&["INFO", "commandstats"]);
    let calls = stats
        .split("cmdstat_evalsha:calls=")
        .nth(1)
        .map_or("0", |rest| rest.split(',').next().unwrap());
    calls.parse().unwrap()
}

#[test]
fn a_session_is_read_from_the_server_once_a_second() {
    let Some(server) = TestServer::start(CONFIG) else {
        return;
    };
    block_on(async {
        let sessions = ready_replica(&server.settings(RedisTopology::One))
            .await
            .sessions;
        let (id, idle) = (SessionHash([7; 32]), Duration::from_secs(60));
        let session = StoredSession {
            sealed: b"sealed".as_slice().into(),
            expires_at: NOW.plus(idle * 10),
        };
        sessions.put(id, session.clone(), idle, NOW).await.unwrap();
        let later = |millis: u64| NOW.plus(Duration::from_millis(millis));
        // The first invocation of a script is not by its hash.
        assert_eq!(
            sessions.get(id, idle, later(2_000)).await,
            Ok(Some(session.clone()))
        );
        let before = scripts_run(&server);
        for (at, runs) in [(2_500, 0), (2_999, 0), (3_000, 1), (3_999, 1), (4_000, 2)] {
            assert_eq!(
                sessions.get(id, idle, later(at)).await,
                Ok(Some(session.clone()))
            );
            assert_eq!(scripts_run(&server) - before, runs, "at {at}");
        }
    });
}

#[test]
fn every_key_has_a_ttl() {
    let Some(server) = TestServer::start(CONFIG) else {
        return;
    };
    block_on(async {
        let stores = ready_replica(&server.settings(RedisTopology::One)).await;
        let (key, span) = (LeaseKey([7; 32]), Duration::from_secs(10));
        let session = StoredSession {
            sealed: b"sealed".as_slice().into(),
            expires_at: NOW.plus(span),
        };
        let id = SessionHash([7; 32]);
        stores.sessions.put(id, session, span, NOW).await.unwrap();
        let later = NOW.plus(Duration::from_secs(5));
        stores.sessions.get(id, span, later).await.unwrap();
        let rate = Rate {
            attempts: 5,
            per: span,
            waits: Backoff::Exponential,
        };
        let account = ThrottleKeys::new([1; 32]).account("a", "b");
        let _ = stores.throttles.reserve(account, rate, NOW).await.unwrap();
        let Acquire::Acquired { fence, .. } = stores.leases.acquire(key, span).await.unwrap()
        else {
            panic!()
        };
        let waiting = LeaseKey([8; 32]);
        let put = stores
            .leases
            .put_checkpoint(waiting, b"x".as_slice().into(), span);
        assert_eq!(put.await, Ok(true));
        let result = LeaseResult {
            sealed: b"sealed".as_slice().into(),
            ttl: span,
            reuse_ttl: Some(span),
        };
        let completed = stores.leases.complete(key, fence, result).await;
        assert_eq!(completed, Ok(true));
        let names = server.command(&["KEYS", "*"]);
        let names: Vec<&str> = names
            .split('"')
            .filter(|word| word.starts_with("vestibule:"))
            // The latest revocations are bounded in number.
            .filter(|word| !word.contains("{vestibule:revoked}"))
            .collect();
        assert_eq!(names.len(), 5, "{names:?}");
        for name in names {
            let ttl: i64 = server
                .command(&["TTL", name])
                .trim_matches(|c: char| !c.is_ascii_digit() && c != '-')
                .parse()
                .unwrap();
            assert!((1..=80).contains(&ttl), "{name} has a TTL of {ttl} s");
        }
    });
}
