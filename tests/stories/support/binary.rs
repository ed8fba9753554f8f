//! The built program as an operator runs it: a file, a process, signals, and everything it prints.

use std::fs::{self, File};
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use vestibule::system::stopwatch;

use super::{Application, Browser};

/// Nothing that is waited for takes this long, not even a hash of the demo's password in a debug build
/// on a busy machine.
const LONG: Duration = Duration::from_secs(60);

/// The built program.
pub fn vestibule() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vestibule"));
    command.env_remove("VESTIBULE_CONFIG").stdin(Stdio::null());
    command
}

/// Runs one command to its end.
pub fn run(arguments: &[&str]) -> Output {
    vestibule()
        .args(arguments)
        .output()
        .expect("the program runs")
}

/// A gateway in a process of its own. Dropped, it is killed.
pub struct Process {
    child: Child,
    folder: Arc<tempfile::TempDir>,
    /// The file in the folder that has everything on stdout and stderr.
    output: String,
    pub address: SocketAddr,
    pub admin: SocketAddr,
}

impl Process {
    /// `{admin}` and `{state}` in the configuration are filled in; `listen` should be
    /// `127.0.0.1:0`. Backoff until it is ready.
    pub async fn serve(config: &str) -> Self {
        Self::start(vestibule(), config).await
    }

    /// As [`Self::serve`], with a command that becomes `vestibule` and takes its arguments.
    pub async fn start(mut command: Command, config: &str) -> Self {
        let folder = Arc::new(tempfile::tempdir().unwrap());
        let admin = free();
        let text = config.replace("{admin}", &admin.to_string()).replace(
            "{state}",
            &folder.path().join("state").display().to_string(),
        );
        let path = folder.path().join("vestibule.toml");
        fs::write(&path, text).unwrap();
        command.args(["serve", "--config"]).arg(&path);
        let mut process = Self::spawn(command, folder, admin);
        process.address = process.until(Self::serving).await;
        let mut watcher = Browser::new(admin, "admin");
        let deadline = stopwatch() + LONG;
        while watcher.get("/readyz").await.status != 200 {
            assert!(stopwatch() < deadline, "not ready: {}", process.printed());
        }
        process
    }

    /// A process that a story has started in its own way.
    pub fn of(child: Child, admin: SocketAddr) -> Self {
        Self {
            child,
            folder: Arc::new(tempfile::tempdir().unwrap()),
            output: String::new(),
            address: admin,
            admin,
        }
    }

    /// `vestibule demo` with ports of its own and these arguments.
    pub async fn demo(arguments: &[&str]) -> Self {
        let mut command = vestibule();
        command.args(["demo", "--port", "0"]).args(arguments);
        let folder = Arc::new(tempfile::tempdir().unwrap());
        // Where it keeps what it forgets at its end.
        command.env("TMPDIR", folder.path());
        let mut process = Self::spawn(command, folder, free());
        process.address = process.until(|process| process.told("store")).await;
        process.admin = process.until(|process| process.told("metrics")).await;
        process
    }

    /// The address that the demo prints beside `word`.
    fn told(&self, word: &str) -> Option<SocketAddr> {
        let printed = self.printed();
        let line = printed.lines().find(|line| line.contains(word))?;
        let port = line.split("http://").nth(1)?.split([':', '/']).nth(1)?;
        Some(SocketAddr::from(([127, 0, 0, 1], port.parse().ok()?)))
    }

    /// Starts another process with the same file, which takes the place of this one.
    pub fn successor(&self) -> Self {
        let mut command = vestibule();
        command
            .args(["serve", "--upgrade", "--config"])
            .arg(self.config());
        let mut process = Self::spawn(command, Arc::clone(&self.folder), self.admin);
        process.address = self.address;
        process
    }

    /// The same, waited for until it serves.
    pub async fn upgraded(&self) -> Self {
        let process = self.successor();
        assert_eq!(process.until(Self::serving).await, self.address);
        process
    }

    fn spawn(mut command: Command, folder: Arc<tempfile::TempDir>, admin: SocketAddr) -> Self {
        static PROCESSES: AtomicUsize = AtomicUsize::new(0);
        let output = format!("output-{}", PROCESSES.fetch_add(1, Ordering::Relaxed));
        let file = File::create(folder.path().join(&output)).unwrap();
        let child = command
            .stdout(Stdio::from(file.try_clone().unwrap()))
            .stderr(Stdio::from(file))
            .spawn()
            .unwrap();
        Self {
            child,
            folder,
            output,
            address: admin,
            admin,
        }
    }

    /// The first address of the line that tells of the listeners.
    fn serving(&self) -> Option<SocketAddr> {
        self.addresses().first().copied()
    }

    /// What the line that tells of the listeners says: the plain ones, then those with TLS. Empty
    /// before there is that line.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        let log = self.printed();
        let line = log.lines().find(|line| line.contains("\"serving\""));
        let line: Option<serde_json::Value> = line.and_then(|line| serde_json::from_str(line).ok());
        let listen = line.as_ref().and_then(|line| line["listen"].as_str());
        listen
            .into_iter()
            .flat_map(|listen| listen.split(' '))
            .filter_map(|address| address.parse().ok())
            .collect()
    }

    /// Looks until there is something to be seen.
    pub async fn until<T>(&self, look: impl Fn(&Self) -> Option<T>) -> T {
        let deadline = stopwatch() + LONG;
        loop {
            if let Some(seen) = look(self) {
                return seen;
            }
            assert!(stopwatch() < deadline, "in vain: {}", self.printed());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Backoff until these words were printed so many times.
    pub async fn until_printed(&self, words: &str, times: usize) {
        self.until(|process| (process.printed().matches(words).count() >= times).then_some(()))
            .await;
    }

    /// Everything on stdout and stderr so far.
    pub fn printed(&self) -> String {
        fs::read_to_string(self.folder.path().join(&self.output)).unwrap_or_default()
    }

    pub fn config(&self) -> PathBuf {
        self.folder.path().join("vestibule.toml")
    }

    /// Changes the configuration file.
    pub fn rewrite(&self, change: impl FnOnce(String) -> String) {
        let text = change(fs::read_to_string(self.config()).unwrap());
        // Whole or not at all, as editors do it.
        let aside = self.folder.path().join("aside.toml");
        fs::write(&aside, text).unwrap();
        fs::rename(aside, self.config()).unwrap();
    }

    pub fn signal(&self, name: &str) {
        let status = Command::new("kill")
            .args([&format!("-{name}"), &self.child.id().to_string()])
            .status()
            .unwrap();
        assert!(status.success());
    }

    /// How it ended.
    pub async fn ended(&mut self) -> ExitStatus {
        let deadline = stopwatch() + LONG;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(
                stopwatch() < deadline,
                "it does not end: {}",
                self.printed()
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// One number of `/metrics`.
    pub async fn metric(&self, sample: &str) -> f64 {
        let text = Browser::new(self.admin, "admin").get("/metrics").await.body;
        let line = text.lines().find(|line| {
            line.strip_prefix(sample)
                .is_some_and(|rest| rest.starts_with(' '))
        });
        line.and_then(|line| line.rsplit(' ').next()?.parse().ok())
            .unwrap_or(0.0)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A port that nobody has at the moment.
pub fn free() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
}

/// The people of the shipped users file.
pub const USERS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/config/users.toml");

/// A configuration for [`Process::serve`]: one store before `application`, an identity server of
/// its own with the people of the file `users`, and `further` tables. It ends in the site, for more
/// of it.
pub fn store_alone(application: &Application, users: &str, further: &str) -> String {
    format!(
        r#"
state_dir = "{{state}}"

[server]
listen = ["127.0.0.1:0"]
admin = "{{admin}}"

[providers.main]
kind = "embedded"
users = "{users}"
{further}
[[sites]]
name = "store"
origin = "http://store.localhost:8080"
application_id = "store"
upstreams = ["http://{}"]
"#,
        application.address()
    )
}
