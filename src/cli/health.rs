//! The `health` command: asks the running gateway, so that a container image needs no curl.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use crate::config::settings::{ProxyProtocol, Server};
use crate::decide::endpoint;

use super::{BAD_CONFIG, loaded, print, print_error};

/// How long to wait for a connection, and for the answer.
const TIMEOUT: Duration = Duration::from_secs(3);

/// Where the gateway says that it is alive.
struct Question {
    address: SocketAddr,
    path: &'static str,
}

pub(super) fn command(path: &Path) -> ExitCode {
    let settings = match loaded(path) {
        Ok(settings) => settings,
        Err(status) => return status,
    };
    let Some(question) = Question::of(&settings.server) else {
        print_error(
            "health: the gateway has no listener that can be asked: set `server.admin`, such as \
             \"127.0.0.1:9090\"",
        );
        return ExitCode::from(BAD_CONFIG);
    };
    match question.ask() {
        Ok(true) => {
            print("alive");
            ExitCode::SUCCESS
        }
        Ok(false) => {
            print_error("health: the gateway answers, but not that it is alive");
            ExitCode::FAILURE
        }
        Err(error) => {
            print_error(&format!("health: {}: {error}", question.address));
            ExitCode::FAILURE
        }
    }
}

impl Question {
    /// For the admin listener, else for a plain listener that takes requests from anybody.
    fn of(server: &Server) -> Option<Self> {
        if let Some(address) = server.admin {
            return Some(Self {
                address,
                path: "/healthz",
            });
        }
        if server.proxy_protocol == ProxyProtocol::Expected {
            return None;
        }
        server.listen.first().map(|&address| Self {
            address,
            path: endpoint::HEALTH,
        })
    }

    /// A gateway that stops is alive: it finishes its requests.
    fn ask(&self) -> std::io::Result<bool> {
        let mut address = self.address;
        if address.ip().is_unspecified() {
            address.set_ip(if address.is_ipv4() {
                Ipv4Addr::LOCALHOST.into()
            } else {
                Ipv6Addr::LOCALHOST.into()
            });
        }
        let path = self.path;
        let mut stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        stream.write_all(
            format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")
                .as_bytes(),
        )?;
        let mut answer = String::new();
        stream.take(1024).read_to_string(&mut answer)?;
        Ok(answer.starts_with("HTTP/1.1 200") || answer.ends_with("stopping"))
    }
}
