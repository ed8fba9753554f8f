//! A Redis of a story's own.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// A server on a port of its own that keeps nothing on disk; it ends with this value.
pub struct Redis {
    port: u16,
    child: Child,
    directory: tempfile::TempDir,
}

impl Redis {
    /// `None` where no server is installed. In CI it has to be.
    pub async fn start() -> Option<Self> {
        // Another process may take the free port before the server does.
        for _ in 0..20 {
            let free = TcpListener::bind("127.0.0.1:0").unwrap();
            let port = free.local_addr().unwrap().port();
            drop(free);
            let directory = tempfile::tempdir().unwrap();
            let started = Self::spawn(port, directory.path());
            let Ok(child) = started else {
                println!("skipped: redis-server is not installed");
                assert!(option_env!("CI") != Some("true"), "no redis-server");
                return None;
            };
            let mut server = Self {
                port,
                child,
                directory,
            };
            if server.answers().await {
                return Some(server);
            }
        }
        panic!("redis-server does not start");
    }

    async fn answers(&mut self) -> bool {
        while matches!(self.child.try_wait(), Ok(None)) {
            if self.connection().is_some() {
                return true;
            }
            tokio::task::yield_now().await;
        }
        false
    }

    /// Ends the server. What it held is lost, but for what `SAVE` has saved.
    pub fn stop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Starts it again on the same port, with what was saved.
    pub async fn start_again(&mut self) {
        self.child = Self::spawn(self.port, self.directory.path()).unwrap();
        assert!(self.answers().await, "redis-server does not start again");
    }

    fn spawn(port: u16, directory: &Path) -> std::io::Result<Child> {
        Command::new("redis-server")
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1"])
            .args(["--save", "", "--appendonly", "no", "--dir"])
            .arg(directory)
            .stdout(Stdio::null())
            .spawn()
    }

    fn connection(&self) -> Option<redis::Connection> {
        let client = redis::Client::open(format!("redis://127.0.0.1:{}", self.port)).unwrap();
        client.get_connection().ok()
    }

    /// One command; the first word is its name.
    pub fn ask<T: redis::FromRedisValue>(&self, words: &[&[u8]]) -> T {
        let mut command = redis::Cmd::new();
        for word in words {
            command.arg(*word);
        }
        command.query(&mut self.connection().unwrap()).unwrap()
    }

    /// The keys of this form.
    pub fn keys(&self, pattern: &str) -> Vec<String> {
        self.ask(&[b"KEYS", pattern.as_bytes()])
    }

    /// A configuration that stores its state here, with keys that all its replicas have.
    pub fn in_place(&self, config: &str) -> String {
        format!(
            "{config}\n[store]\nbackend = \"redis\"\nurl = \"redis://127.0.0.1:{}\"\n\n\
             [cookies]\nkeys = [\"q83vEjRWeJC6vN7wEjRWeJCrze8SNFZ4kKvN7xI0Vng=\"]\n",
            self.port
        )
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
