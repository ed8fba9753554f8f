//! Checks `[store]` (the address of Redis) and `[session]` (how long sessions live).

use percent_encoding::percent_decode_str;

use super::super::file::{Backend, Session as WrittenSession, Store as Written};
use super::super::settings::{Redis, RedisTopology, Store};
use super::super::spans::At;
use super::{Cleartext, Review};
use crate::model::origin::Host;
use crate::model::secret::Secret;
use crate::model::site::SessionLifetime;

const FORM: &str = "write it like \"redis://:PASSWORD@127.0.0.1:6379/0\", \"rediss://HOST\", \
                    \"redis+sentinel://HOST,HOST/MASTER\" or \"redis+cluster://HOST,HOST\"";
const REDIS_PORT: u16 = 6379;
const SENTINEL_PORT: u16 = 26379;

pub(super) fn store(written: &At<Written>, review: &mut Review<'_>) -> Option<Store> {
    match (written.backend, &written.url) {
        (Backend::Memory, None) => Some(Store::Memory),
        (Backend::Memory, Some(url)) => {
            let hint = "take it away, or write backend = \"redis\"";
            if !review.diagnostics.was_removed(&written.span, "backend") {
                review.refuse(&url.span, "`url` has no use with a store in memory", hint);
            }
            None
        }
        (Backend::Redis, None) => {
            review.diagnostics.missing(
                &written.span,
                "url",
                "add it: where Redis answers, like \"redis://127.0.0.1:6379\"",
            );
            None
        }
        (Backend::Redis, Some(url)) => {
            let secret = review.secret(url)?;
            // Never quoted: a password may be in it.
            let Some(redis) = parse(secret.expose()) else {
                review.refuse(&url.span, "`url` is no address of Redis", FORM);
                return None;
            };
            let cleartext = review.cleartext(&written.span, (*written.insecure).into());
            if redis.password.is_some()
                && !redis.tls
                && cleartext == Cleartext::Refused
                && !redis.nodes.iter().all(|(name, _)| is_loopback(name))
            {
                let hint = "write rediss, or insecure = true if nobody can listen on the way";
                review.refuse(
                    &url.span,
                    "`url` would send its password in the clear",
                    hint,
                );
                return None;
            }
            Some(Store::Redis(redis))
        }
    }
}

pub(super) fn session(
    written: &WrittenSession,
    review: &mut Review<'_>,
) -> Option<SessionLifetime> {
    let (idle, absolute) = (written.idle.0, written.absolute.0);
    if idle > absolute && written.idle.is_written() {
        let hint = "no session lives longer than `absolute`";
        review.refuse(&written.idle.span, "`idle` is longer than `absolute`", hint);
        return None;
    }
    Some(SessionLifetime {
        idle: idle.min(absolute),
        absolute,
    })
}

fn is_loopback(name: &str) -> bool {
    Host {
        name: name.to_owned(),
        port: None,
    }
    .is_loopback()
}

/// Reads `SCHEME://[[USER]:PASSWORD@]HOST[:PORT][,…][/MASTER][/DATABASE]`.
fn parse(url: &str) -> Option<Redis> {
    let (scheme, rest) = url.split_once("://")?;
    let (tls, form) = match scheme.strip_prefix("redis")? {
        rest if rest.starts_with('s') => (true, rest.get(1..)?),
        rest => (false, rest),
    };
    if rest.contains(['?', '#']) || !rest.bytes().all(|b| b.is_ascii_graphic()) {
        return None;
    }
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    // The last: a password may have one in it that was not encoded.
    let (credentials, hosts) = match authority.rsplit_once('@') {
        Some((credentials, hosts)) => (Some(credentials), hosts),
        None => (None, authority),
    };
    let (user, password) = credentials.map_or(Some((None, None)), credentials_of)?;
    let (form, port, database) = match form {
        "" => (RedisTopology::One, REDIS_PORT, path),
        "+cluster" if path.is_empty() => (RedisTopology::Cluster, REDIS_PORT, ""),
        "+sentinel" => {
            let (master, database) = path.split_once('/').unwrap_or((path, ""));
            let master = decoded(master).filter(|master| !master.is_empty())?;
            (RedisTopology::Sentinel(master), SENTINEL_PORT, database)
        }
        _ => return None,
    };
    let nodes: Vec<(String, u16)> = hosts
        .split(',')
        .map(|host| node(host, port))
        .collect::<Option<_>>()?;
    if form == RedisTopology::One && nodes.len() > 1 {
        return None;
    }
    let database = match database {
        "" => 0,
        digits if digits.bytes().all(|b| b.is_ascii_digit()) => {
            digits.parse().ok().filter(|number| *number < 1 << 16)?
        }
        _ => return None,
    };
    Some(Redis {
        form,
        nodes,
        tls,
        user,
        password,
        database,
    })
}

/// User and password before the `@`.
fn credentials_of(text: &str) -> Option<(Option<String>, Option<Secret>)> {
    let (user, password) = text.split_once(':')?;
    let some = |text: String| (!text.is_empty()).then_some(text);
    let (user, password) = (some(decoded(user)?), some(decoded(password)?));
    // A name alone proves nothing.
    (password.is_some() || user.is_none()).then_some((user, password.map(Secret::new)))
}

fn decoded(text: &str) -> Option<String> {
    percent_decode_str(text).decode_utf8().ok().map(Into::into)
}

fn node(text: &str, default_port: u16) -> Option<(String, u16)> {
    let host = Host::parse(text)?;
    let port = host.port.unwrap_or(default_port);
    (port != 0).then(|| (host.name.trim_matches(['[', ']']).to_owned(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nodes(redis: &Redis) -> String {
        redis
            .nodes
            .iter()
            .map(|(host, port)| format!("{host} {port}"))
            .collect::<Vec<_>>()
            .join(", ")
    }

    #[test]
    fn every_form_is_read() {
        let one = parse("redis://localhost").unwrap();
        assert_eq!(
            (nodes(&one).as_str(), one.tls, one.database, &one.form),
            ("localhost 6379", false, 0, &RedisTopology::One)
        );
        assert_eq!((one.user, one.password), (None, None));
        let tls = parse("rediss://gate:p%40ss:w@[::1]:7000/3").unwrap();
        assert_eq!(
            (nodes(&tls).as_str(), tls.tls, tls.database),
            ("::1 7000", true, 3)
        );
        assert_eq!(
            (tls.user.as_deref(), tls.password),
            (Some("gate"), Some(Secret::new("p@ss:w")))
        );
        let sentinel = parse("redis+sentinel://:hush@a,b:1/my%20master/2").unwrap();
        assert_eq!(
            (nodes(&sentinel).as_str(), sentinel.database),
            ("a 26379, b 1", 2)
        );
        assert_eq!(
            (sentinel.form, sentinel.user),
            (RedisTopology::Sentinel("my master".into()), None)
        );
        let cluster = parse("rediss+cluster://a:1,b,10.0.0.1:3").unwrap();
        assert_eq!(
            (nodes(&cluster).as_str(), cluster.form),
            ("a 1, b 6379, 10.0.0.1 3", RedisTopology::Cluster)
        );
        assert!(parse("redis://a/").is_some());
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for wrong in [
            "",
            "localhost",
            "redis://",
            "http://a",
            "redis:///0",
            "redis://a,b",
            "redis://a:0",
            "redis://a:x",
            "redis://a/x",
            "redis://a/-1",
            "redis://a/99999",
            "redis://a?db=1",
            "redis://a#insecure",
            "redis://user@a",
            "redis://user:@a",
            "redis+cluster://a/0",
            "redis+sentinel://a",
            "redis+sentinel://a//1",
            "redis+x://a",
            "redis://a b",
            "redisss://a",
            "redis+cluster://a,",
            "redis://:%ff@a",
        ] {
            assert!(parse(wrong).is_none(), "{wrong}");
        }
    }

    #[test]
    fn no_password_is_shown() {
        let redis = parse("redis://gate:hush@127.0.0.1").unwrap();
        assert!(!format!("{redis:?}").contains("hush"));
    }
}
