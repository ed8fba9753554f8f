//! A real server that a test starts and stops.

use std::fs::File;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use crate::config::settings::{Redis, RedisTopology};
use crate::model::secret::Secret;

/// Moves the times of a lease back, and what is left of its life.
const AGE: &str = "
local left = redis.call('PTTL', KEYS[1]) - tonumber(ARGV[1])
if left <= 0 then
  return redis.call('DEL', KEYS[1])
end
redis.call('PEXPIRE', KEYS[1], string.format('%.0f', left))
if redis.call('TYPE', KEYS[1]).ok == 'hash' then
  for _, name in ipairs({ 'held', 'landed', 'spent' }) do
    if redis.call('HEXISTS', KEYS[1], name) == 1 then
      redis.call('HINCRBY', KEYS[1], name, '-' .. ARGV[1])
    end
  end
end
return 1";

/// A server process on a port of its own; it ends with this value.
pub(super) struct TestServer {
    program: &'static str,
    /// Lines of its configuration, beside port and directory.
    config: String,
    pub(super) port: u16,
    directory: TempDir,
    child: Option<Child>,
}

/// Whether the program is installed. In CI it has to be.
fn is_installed(program: &str) -> bool {
    let is_installed = Command::new(program)
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok();
    if !is_installed {
        println!("skipped: redis store: {program} is not installed");
        assert!(
            option_env!("CI") != Some("true"),
            "{program} is not installed"
        );
    }
    is_installed
}

impl TestServer {
    pub(super) fn start(config: &str) -> Option<Self> {
        Self::start_program("redis-server", config)
    }

    pub(super) fn start_program(program: &'static str, config: &str) -> Option<Self> {
        if !is_installed(program) {
            return None;
        }
        // Another process may take the free port before the server does.
        for _ in 0..20 {
            let port = TcpListener::bind("127.0.0.1:0")
                .unwrap()
                .local_addr()
                .unwrap()
                .port();
            let directory = TempDir::new().unwrap();
            let mut server = Self {
                program,
                config: config.to_owned(),
                port,
                directory,
                child: None,
            };
            if server.run() {
                return Some(server);
            }
        }
        panic!("{program} does not start");
    }

    /// Starts the server without data, on the port it had before; `false` when it does not start.
    pub(super) fn run(&mut self) -> bool {
        let file = self.directory.path().join("redis.conf");
        let lines = format!(
            "port {}\nbind 127.0.0.1\nprotected-mode no\ndir {}\nlogfile log\n{}\n",
            self.port,
            self.directory.path().display(),
            self.config
        );
        std::fs::write(&file, lines).unwrap();
        let errors = File::create(self.directory.path().join("errors")).unwrap();
        let mut child = Command::new(self.program)
            .arg(file)
            .stdout(Stdio::null())
            .stderr(errors)
            .spawn()
            .unwrap();
        // The server logs when it listens.
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

    /// Lets the leases of a database age by `span`, as if its clock had moved on.
    pub(super) fn age_leases(&self, database: u32, span: Duration) {
        let address = format!("redis://127.0.0.1:{}/{database}", self.port);
        let client = redis::Client::open(address).unwrap();
        let mut connection = client.get_connection().unwrap();
        let mut names = redis::cmd("KEYS");
        names.arg("vestibule:renewal:*");
        let names: Vec<String> = names.query(&mut connection).unwrap();
        for name in names {
            let () = redis::Script::new(AGE)
                .key(name)
                .arg(u64::try_from(span.as_millis()).unwrap())
                .invoke(&mut connection)
                .unwrap();
        }
    }

    pub(super) fn log(&self) -> String {
        std::fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Kills the server, as a power failure would.
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

    /// Sends a command, as an operator would, and returns the reply for a test to search.
    pub(super) fn command(&self, parts: &[&str]) -> String {
        let mut command = redis::cmd(parts[0]);
        command.arg(&parts[1..]);
        let client = redis::Client::open(format!("redis://127.0.0.1:{}", self.port)).unwrap();
        let reply: redis::Value = command
            .query(&mut client.get_connection().unwrap())
            .unwrap();
        format!("{reply:?}")
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        self.kill();
    }
}
