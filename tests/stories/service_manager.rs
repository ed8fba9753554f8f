//! systemd: it passes sockets to the gateway, and is told of the state of the process.

use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::support::{Application, Browser, Process, USERS, store_alone, vestibule};

/// A shell that becomes `vestibule`, and passes `listener` to it as systemd does.
fn passing(listener: &TcpListener) -> Command {
    let mut shell = Command::new("sh");
    shell
        .args(["-c", "exec 3<&0 0</dev/null; exec \"$0\" \"$@\""])
        .arg(vestibule().get_program())
        .env("LISTEN_FDS", "1")
        .env_remove("VESTIBULE_CONFIG")
        .stdin(Stdio::from(OwnedFd::from(listener.try_clone().unwrap())));
    shell
}

/// What was sent to systemd, message after message.
struct Manager {
    socket: UnixDatagram,
    _folder: tempfile::TempDir,
}

impl Manager {
    fn of(command: &mut Command) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket
            .set_read_timeout(Some(Duration::from_secs(20)))
            .unwrap();
        command.env("NOTIFY_SOCKET", path);
        Self {
            socket,
            _folder: folder,
        }
    }

    fn told(&self) -> String {
        let mut message = [0; 1024];
        let length = self.socket.recv(&mut message).expect("a message");
        String::from_utf8_lossy(&message[..length]).into_owned()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_that_was_passed_is_the_listener_of_its_address() {
    let application = Application::open().await;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let config = store_alone(&application, USERS, "").replace("127.0.0.1:0", &address.to_string());
    let mut gateway = Process::start(passing(&listener), &config).await;
    assert_eq!(gateway.address, address);
    let mut browser = Browser::new(address, "store.localhost:8080");
    assert_eq!(browser.get("/login").await.status, 200);
    gateway.signal("TERM");
    assert_eq!(gateway.ended().await.code(), Some(0));
    // The next process takes over what waits meanwhile.
    let mut waiting = browser.clone();
    let waiting = vestibule::system::detach(async move { waiting.get("/login").await });
    let _next = Process::start(passing(&listener), &config).await;
    assert_eq!(waiting.await.unwrap().status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_that_no_listener_has_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let text = store_alone(&Application::open().await, USERS, "")
        .replace(
            "{state}",
            &folder.path().join("state").display().to_string(),
        )
        .replace("{admin}", "127.0.0.1:0");
    let path = folder.path().join("vestibule.toml");
    std::fs::write(&path, text).unwrap();
    let output = passing(&listener)
        .args(["serve", "--config"])
        .arg(&path)
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{told}");
    let address = listener.local_addr().unwrap().to_string();
    assert!(
        told.contains("no listener of the configuration has") && told.contains(&address),
        "{told}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn systemd_is_told_of_start_reload_and_stop() {
    let application = Application::open().await;
    let mut command = vestibule();
    let manager = Manager::of(&mut command);
    let mut gateway = Process::start(command, &store_alone(&application, USERS, "")).await;
    let ready = manager.told();
    assert!(
        ready.contains("READY=1\n") && ready.contains("MAINPID="),
        "{ready}"
    );
    assert!(
        ready.contains(&format!("STATUS=Serving on {}.\n", gateway.address)),
        "{ready}"
    );
    for (change, status) in [
        ("# edited\n", "STATUS=Serving"),
        ("mistake = 1\n", "STATUS=The last reload was refused"),
    ] {
        gateway.rewrite(|text| format!("{change}{text}"));
        gateway.signal("HUP");
        let reloading = manager.told();
        assert!(
            reloading.starts_with("RELOADING=1\nMONOTONIC_USEC="),
            "{reloading}"
        );
        let ready = manager.told();
        assert!(
            ready.contains("READY=1\n") && ready.contains(status),
            "{ready}"
        );
    }
    gateway.signal("TERM");
    let stopping = manager.told();
    assert!(stopping.contains("STOPPING=1\n"), "{stopping}");
    assert_eq!(gateway.ended().await.code(), Some(0));
}

#[test]
fn systemd_takes_the_units_that_are_shipped() {
    let Ok(version) = Command::new("systemd-analyze").arg("--version").output() else {
        // Only a machine with systemd can tell.
        return;
    };
    let version = String::from_utf8_lossy(&version.stdout).into_owned();
    let version: u32 = version
        .split_whitespace()
        .nth(1)
        .and_then(|version| version.parse().ok())
        .expect("a version");
    let folder = tempfile::tempdir().unwrap();
    let mut verify = Command::new("systemd-analyze");
    // The man page is installed by the package.
    verify.args(["verify", "--man=no"]);
    for name in ["vestibule.service", "vestibule.socket"] {
        let packaging = concat!(env!("CARGO_MANIFEST_DIR"), "/packaging");
        let mut unit = std::fs::read_to_string(format!("{packaging}/{name}")).unwrap();
        unit = unit.replace("/usr/bin/vestibule", env!("CARGO_BIN_EXE_vestibule"));
        unit = unit.replace("/usr/lib/vestibule", packaging);
        if version < 253 {
            unit = unit.replace("Type=notify-reload", "Type=notify");
        }
        let path = folder.path().join(name);
        std::fs::write(&path, unit).unwrap();
        verify.arg(path);
    }
    let output = verify.output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    // Units of the machine itself are none of ours.
    let ours: Vec<&str> = told
        .lines()
        .filter(|line| line.contains("vestibule"))
        .collect();
    assert!(ours.is_empty(), "{told}");
}
