//! Real servers, started for one test and gone with it.

use std::fs::File;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use crate::config::settings::{Redis, RedisTopology};
use crate::model::secret::Secret;

/// A program that listens on a port of its own.
pub(super) struct Server {
    program: &'static str,
    /// Lines for its configuration.
    extra: String,
    pub(super) port: u16,
    folder: TempDir,
    child: Option<Child>,
}

/// Whether the program is here. In CI it has to be.
pub(super) fn is_here(program: &str) -> bool {
    let here = Command::new(program)
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok();
    if !here {
        println!("skipped: redis store: {program} is not installed");
        assert!(
            option_env!("CI") != Some("true"),
            "{program} is not installed"
        );
    }
    here
}

impl Server {
    pub(super) fn start(extra: &str) -> Option<Self> {
        Self::start_program("redis-server", extra)
    }

    pub(super) fn start_program(program: &'static str, extra: &str) -> Option<Self> {
        if !is_here(program) {
            return None;
        }
        // Somebody may take a free port before the server does.
        for _ in 0..20 {
            let port = TcpListener::bind("127.0.0.1:0")
                .unwrap()
                .local_addr()
                .unwrap()
                .port();
            let folder = TempDir::new().unwrap();
            let mut server = Self {
                program,
                extra: extra.to_owned(),
                port,
                folder,
                child: None,
            };
            if server.run() {
                return Some(server);
            }
        }
        panic!("{program} does not start");
    }

    /// Starts it, with nothing in it, at the port it had before; `false` when it does not come up.
    pub(super) fn run(&mut self) -> bool {
        let file = self.folder.path().join("redis.conf");
        let lines = format!(
            "port {}\nbind 127.0.0.1\nprotected-mode no\ndir {}\nlogfile log\n{}\n",
            self.port,
            self.folder.path().display(),
            self.extra
        );
        std::fs::write(&file, lines).unwrap();
        let errors = File::create(self.folder.path().join("errors")).unwrap();
        let mut child = Command::new(self.program)
            .arg(file)
            .stdout(Stdio::null())
            .stderr(errors)
            .spawn()
            .unwrap();
        // Says so in its log when it listens.
        for _ in 0..500 {
            if child.try_wait().unwrap().is_some() {
                return false;
            }
            if self.log().contains("eady to accept connections")
                || self.log().contains("Sentinel ID is")
            {
                self.child = Some(child);
                return true;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = child.kill();
        false
    }

    pub(super) fn log(&self) -> String {
        std::fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// As when the machine dies.
    pub(super) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
        let _ = std::fs::remove_file(self.path("log"));
    }

    pub(super) fn id(&self) -> u32 {
        self.child.as_ref().unwrap().id()
    }

    pub(super) fn settings(&self, form: RedisTopology) -> Redis {
        Redis {
            form,
            nodes: vec![("127.0.0.1".to_owned(), self.port)],
            tls: false,
            user: None,
            password: None::<Secret>,
            database: 0,
        }
    }

    /// What the server is told from outside.
    pub(super) fn tell(&self, words: &[&str]) -> String {
        let mut command = redis::cmd(words[0]);
        command.arg(&words[1..]);
        let client = redis::Client::open(format!("redis://127.0.0.1:{}", self.port)).unwrap();
        let answer: redis::Value = command
            .query(&mut client.get_connection().unwrap())
            .unwrap();
        format!("{answer:?}")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}
