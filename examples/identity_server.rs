//! Runs the embedded identity server alone, with the accounts of the demo, so that other programs
//! can be tested against it.
//!
//! `cargo run --example identity_server -- --state DIR [--users FILE] [--grace SECONDS] [--listen
//! ADDRESS]` prints the port and serves until it is stopped. The API key is `demo`. Several
//! gateways can share it, see `packaging/replicas`.
#![expect(
    clippy::print_stdout,
    reason = "the port is the only output of this program"
)]

use std::error::Error;
use std::io::Write;
use std::net::TcpListener;
use std::path::PathBuf;
use std::time::Duration;

use vestibule::embedded::identity_server::{self, Options};
use vestibule::embedded::users::Users;
use vestibule::embedded::users_file;
use vestibule::model::secret::Secret;
use vestibule::system::Clock;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut state_dir = None;
    let mut users = Users::demo()?;
    let mut listen = "127.0.0.1:0".to_owned();
    let mut arguments = std::env::args().skip(1);
    while let (Some(name), Some(value)) = (arguments.next(), arguments.next()) {
        match name.as_str() {
            "--state" => state_dir = Some(PathBuf::from(value)),
            "--users" => users = users_file::load(&PathBuf::from(value))?,
            "--grace" => users.token_policy.grace = Duration::from_secs(value.parse()?),
            "--listen" => listen = value,
            _ => return Err(format!("unknown argument {name}").into()),
        }
    }
    let listener = TcpListener::bind(listen)?;
    let port = listener.local_addr()?.port();
    let server = identity_server::open(Options {
        users,
        state_dir: state_dir.ok_or("--state DIR is missing")?,
        issuer: "identity.localhost".to_owned(),
        api_key: Secret::new("demo"),
        clock: Clock::new(),
    })?;
    println!("{port}");
    std::io::stdout().flush()?;
    server.serve(listener, std::future::pending()).await?;
    Ok(())
}
