//! What a server allows and how fast it is. `vestibule doctor` asks for it; no request of a user
//! does.

use std::time::Duration;

use redis::{Cmd, InfoDict, Value};

use super::super::StoreError;
use super::command_connection::{ConnectOptions, Connection, describe};
use crate::config::settings::Redis;
use crate::system;

/// Every command that the stores send, themselves and in scripts, with harmless arguments: `KEY` is
/// a key of the inspection's own.
const COMMANDS: &[&[&str]] = &[
    &["PING"],
    &["SET", "KEY", "1", "PX", "10000"],
    &["GET", "KEY"],
    &["SETRANGE", "KEY", "0", "2"],
    &["PTTL", "KEY"],
    &["PEXPIRE", "KEY", "10000"],
    &["EXISTS", "KEY"],
    &["DEL", "KEY"],
    &["HSET", "KEY", "a", "1"],
    &["HMGET", "KEY", "a"],
    &["HEXISTS", "KEY", "a"],
    &["HLEN", "KEY"],
    &["HRANDFIELD", "KEY", "1", "WITHVALUES"],
    &["HDEL", "KEY", "a"],
    &["DEL", "KEY"],
    &["ZADD", "KEY", "1", "a"],
    &["ZCARD", "KEY"],
    &["ZRANGE", "KEY", "0", "0"],
    &["ZREVRANGE", "KEY", "0", "0"],
    &["ZREMRANGEBYRANK", "KEY", "0", "0"],
    &["ZREMRANGEBYSCORE", "KEY", "0", "0"],
    &["ZREM", "KEY", "a"],
    &["DEL", "KEY"],
    &["XADD", "KEY", "*", "a", "1"],
    &["XRANGE", "KEY", "-", "+"],
    &["DEL", "KEY"],
    &["EVAL", "return redis.call('TIME')", "1", "KEY"],
    &[
        "EVALSHA",
        "0000000000000000000000000000000000000000",
        "1",
        "KEY",
    ],
    &["TIME"],
    &["PUBLISH", "CHANNEL", ""],
];

/// What is known of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inspection {
    /// The time from a request to its reply: the median of several.
    pub round_trip: Duration,
    /// The commands that the user of the gateway may not send.
    pub refused: Vec<&'static str>,
    /// The error codes of other commands, with the command: `SET: MISCONF`.
    pub errors: Vec<String>,
    /// Why messages of other replicas cannot be received.
    pub subscription: Result<(), String>,
    /// What the server does when its memory is full; `None` where it does not tell.
    pub memory: Option<Memory>,
}

/// What a server does when its memory is full.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Memory {
    /// `maxmemory`, in bytes; 0 is no limit.
    pub limit: u64,
    /// `maxmemory-policy`.
    pub policy: String,
}

/// Connects to the server of `settings` and looks at it. What it writes, it removes.
///
/// # Errors
/// Where there is no connection.
pub async fn inspect(settings: &Redis) -> Result<Inspection, StoreError> {
    let options = ConnectOptions::new(settings)?;
    let mut connected = Err(String::new());
    for attempt in 0..settings.nodes.len().max(1) {
        connected = options.connect(attempt).await;
        if connected.is_ok() {
            break;
        }
    }
    let connection = connected.map_err(StoreError)?;
    let round_trip = round_trip(&connection).await;
    let key = format!("vestibule:doctor:{}", system::unique_id());
    let channel = format!("vestibule:told:{}", settings.database);
    let mut refused = Vec::new();
    let mut errors = Vec::new();
    for words in COMMANDS {
        match connection
            .query::<Value>(&command(words, &key, &channel))
            .await
        {
            Ok(_) => {}
            Err(error) => match error.code() {
                Some("NOPERM") => refused.extend(words.first()),
                // The script is not known, and does not exist.
                Some("NOSCRIPT") => {}
                Some(code) => errors.extend(words.first().map(|name| format!("{name}: {code}"))),
                None => errors.push(describe(&error)),
            },
        }
    }
    refused.dedup();
    errors.dedup();
    Ok(Inspection {
        round_trip,
        refused,
        errors,
        subscription: subscription(&options, &channel).await,
        memory: memory(&connection).await,
    })
}

fn command(words: &[&str], key: &str, channel: &str) -> Cmd {
    let mut command = Cmd::new();
    for word in words {
        command.arg(match *word {
            "KEY" => key,
            "CHANNEL" => channel,
            other => other,
        });
    }
    command
}

async fn round_trip(connection: &Connection) -> Duration {
    let ping = redis::cmd("PING");
    let mut times = Vec::new();
    for _ in 0..5 {
        let before = system::stopwatch();
        // An error is found again with the other commands.
        let _ = connection.query::<Value>(&ping).await;
        times.push(before.elapsed());
    }
    times.sort();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

async fn subscription(options: &ConnectOptions, channel: &str) -> Result<(), String> {
    let subscribed = options.subscribe(0, channel, |_| Ok(())).await;
    subscribed.map(drop)
}

async fn memory(connection: &Connection) -> Option<Memory> {
    let mut info = redis::cmd("INFO");
    info.arg("memory");
    let info: InfoDict = connection.query(&info).await.ok()?;
    Some(Memory {
        limit: info.get("maxmemory")?,
        policy: info.get("maxmemory_policy")?,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;

    /// The words that follow `before` in the files of this folder, up to a quotation mark.
    fn names_after(before: &str, folder: &Path) -> BTreeSet<String> {
        let mut names = BTreeSet::new();
        for entry in std::fs::read_dir(folder).unwrap() {
            let Ok(text) = std::fs::read_to_string(entry.unwrap().path()) else {
                continue;
            };
            for rest in text.split(before).skip(1) {
                let end = rest.find(|c: char| !c.is_ascii_uppercase()).unwrap();
                names.insert(rest[..end].to_owned());
            }
        }
        names.remove("");
        names
    }

    #[test]
    fn every_command_of_the_stores_is_tried() {
        let room = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/store/redis");
        let mut sent = names_after("redis.call('", &room.join("scripts"));
        sent.extend(names_after("redis::cmd(\"", &room));
        sent.remove("INFO");
        assert!(sent.len() > 20, "{sent:?}");
        let tried: BTreeSet<_> = COMMANDS.iter().map(|words| words[0].to_owned()).collect();
        let missing: Vec<_> = sent.difference(&tried).collect();
        assert_eq!(missing, [""; 0]);
    }
}
