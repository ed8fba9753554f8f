//! The `health` command: asks the admin listener of the running gateway, so that a container image
//! needs no curl.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use crate::config;

use super::{BAD_CONFIG, print, print_error};

/// How long to wait for a connection, and for the answer.
const TIMEOUT: Duration = Duration::from_secs(3);

pub(super) fn command(path: &Path) -> ExitCode {
    // Not whether the file is good: the gateway runs on, and would be killed for it.
    let admin = match config::admin_address(path) {
        Ok(admin) => admin,
        Err(error) => {
            let file = path.display();
            print_error(&format!("health: {file} cannot be read: {error}"));
            return ExitCode::from(BAD_CONFIG);
        }
    };
    match ask(admin) {
        Ok(true) => {
            print("alive");
            ExitCode::SUCCESS
        }
        Ok(false) => {
            print_error("health: the gateway answers, but not that it is alive");
            ExitCode::FAILURE
        }
        Err(error) => {
            print_error(&format!("health: {admin}: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn ask(mut admin: SocketAddr) -> std::io::Result<bool> {
    if admin.ip().is_unspecified() {
        admin.set_ip(if admin.is_ipv4() {
            std::net::Ipv4Addr::LOCALHOST.into()
        } else {
            std::net::Ipv6Addr::LOCALHOST.into()
        });
    }
    let mut stream = TcpStream::connect_timeout(&admin, TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.write_all(
        format!("GET /healthz HTTP/1.1\r\nHost: {admin}\r\nConnection: close\r\n\r\n").as_bytes(),
    )?;
    let mut answer = String::new();
    stream.take(1024).read_to_string(&mut answer)?;
    Ok(answer.starts_with("HTTP/1.1 200"))
}
