//! Whether the server of the store answers quickly, allows what the gateway needs, and keeps what it
//! is given.

use std::time::Duration;

use super::finding::{Finding, Topic};
use crate::config::settings::{Redis, Store};
use crate::store::{Inspection, Memory, inspect};

/// A round trip above this is felt: requests wait for one, and signing in for several.
const SLOW: Duration = Duration::from_millis(20);

pub(super) async fn examine(store: &Store) -> Vec<Finding> {
    let redis = match store {
        Store::Memory => {
            let message = "in the memory of the gateway: for one replica";
            return vec![Topic::new("store", "memory").ok(message)];
        }
        Store::Redis(redis) => redis,
    };
    let topic = Topic::new("store", format_args!("redis {}", nodes(redis)));
    match inspect(redis).await {
        Ok(inspection) => judge(&topic, redis, &inspection),
        Err(error) => {
            let hint = "start it, or correct `store.url`, its user and its password";
            vec![topic.fail(error.to_string(), hint)]
        }
    }
}

fn nodes(redis: &Redis) -> String {
    let nodes = redis.nodes.iter();
    let nodes: Vec<String> = nodes.map(|(host, port)| format!("{host}:{port}")).collect();
    nodes.join(",")
}

fn judge(topic: &Topic, redis: &Redis, inspection: &Inspection) -> Vec<Finding> {
    let micros = inspection.round_trip.as_micros();
    let millis = format!("answers in {}.{} ms", micros / 1000, micros % 1000 / 100);
    let latency = if inspection.round_trip > SLOW {
        topic.warn(millis, "let it run in the same data centre as the gateway")
    } else {
        topic.ok(millis)
    };
    let mut findings = vec![latency];
    findings.extend(permissions(topic, redis, inspection));
    findings.push(eviction(topic, inspection.memory.as_ref()));
    findings
}

fn permissions(topic: &Topic, redis: &Redis, inspection: &Inspection) -> Vec<Finding> {
    let user = redis.user.as_deref().unwrap_or("default");
    let mut findings = Vec::new();
    if !inspection.refused.is_empty() {
        let commands = inspection.refused.iter().map(|name| name.to_lowercase());
        let allow: Vec<String> = commands.map(|name| format!("+{name}")).collect();
        findings.push(topic.fail(
            format!(
                "its ACL does not let the user {user:?} send {} on vestibule:*",
                inspection.refused.join(", ")
            ),
            format!(
                "`ACL SETUSER {user} ~vestibule:* &vestibule:* {}`",
                allow.join(" ")
            ),
        ));
    }
    if let Err(cause) = &inspection.subscription {
        findings.push(topic.fail(
            format!("no messages of other replicas can be received: {cause}"),
            format!("`ACL SETUSER {user} &vestibule:* +subscribe`, and use Redis 6 or later"),
        ));
    }
    if !inspection.errors.is_empty() {
        let message = format!("it refuses commands: {}", inspection.errors.join(", "));
        let hint = "MISCONF: mend its disk; OOM: give it more memory; READONLY: name the master";
        findings.push(topic.fail(message, hint));
    }
    if findings.is_empty() {
        findings.push(topic.ok("its ACL allows what the gateway needs"));
    }
    findings
}

fn eviction(topic: &Topic, memory: Option<&Memory>) -> Finding {
    let Some(Memory { limit, policy }) = memory else {
        let hint = "allow INFO, or check yourself that `maxmemory-policy` is noeviction";
        return topic.warn("it does not tell its eviction policy", hint);
    };
    if policy == "noeviction" {
        topic.ok("it evicts nothing")
    } else if *limit == 0 {
        topic.warn(
            format!("its eviction policy is {policy}, without a limit of memory so far"),
            "`CONFIG SET maxmemory-policy noeviction`",
        )
    } else {
        topic.fail(
            format!(
                "its eviction policy is {policy}: with its memory full it forgets who has signed \
                 out, and sessions"
            ),
            "`CONFIG SET maxmemory-policy noeviction`, and write it into its configuration",
        )
    }
}
