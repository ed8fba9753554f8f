//! The commands of the program. Each reads its arguments, calls one module, and reports success or
//! failure by its exit status.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::config::settings::Settings;
use crate::system::Clock;

mod config_reload;
mod demo;
mod embedded_servers;
mod explain;
mod hash_password;
mod health;
mod make_token;
pub mod openapi;
mod pass_sockets;
mod passed_servers;
mod predecessor;
mod rotate_keys;
pub mod serve;
mod service_manager;
pub mod stop;
mod successor;
mod upgrade_socket;

/// The exit status for a configuration with problems: `EX_CONFIG` of sysexits.h.
const BAD_CONFIG: u8 = 78;

/// A signing-in reverse proxy for web applications that were never changed for it.
#[derive(Parser)]
#[command(version, about, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the gateway
    Serve(serve::Arguments),
    /// Check a configuration and report every problem in it
    Check(WithConfig),
    /// Show what signed-out and signed-in visitors get at an address
    Explain(explain::Arguments),
    /// Run the demo: a store, a forum and an identity server on this machine, behind the gateway
    Demo(demo::Arguments),
    /// Print the JSON Schema of the configuration
    Schema {
        /// Print the reference of all keys instead, as Markdown
        #[arg(long)]
        markdown: bool,
        /// Print the description of the JSON endpoints instead (OpenAPI 3.1)
        #[arg(long, conflicts_with = "markdown")]
        openapi: bool,
    },
    /// Manage the keys that seal cookies
    #[command(subcommand)]
    Keys(Keys),
    /// Manage service tokens
    #[command(subcommand)]
    Tokens(Tokens),
    /// Hash a password for the users file of the embedded identity server
    HashPassword,
    /// Check whether a running gateway is alive (for container health checks)
    Health(WithConfig),
}

#[derive(Subcommand)]
enum Keys {
    /// Add a new first key to those in `state_dir`: it seals, all of them open; nobody is signed
    /// out
    Rotate(WithConfig),
}

#[derive(Subcommand)]
enum Tokens {
    /// Make a service token, and print it with the configuration that accepts it
    New(make_token::Arguments),
}

/// The option that names the configuration.
#[derive(Args)]
struct WithConfig {
    /// The configuration file
    #[arg(
        long,
        value_name = "FILE",
        env = "VESTIBULE_CONFIG",
        default_value = "config/vestibule.toml"
    )]
    config: PathBuf,
}

/// Runs the command that the process's arguments name.
#[must_use]
pub fn run() -> ExitCode {
    match Arguments::parse().command {
        Command::Serve(arguments) => serve::command(&arguments),
        Command::Check(with) => check(&with.config),
        Command::Explain(arguments) => explain::command(&arguments),
        Command::Demo(arguments) => demo::command(&arguments),
        Command::Schema { markdown, openapi } => {
            let schema = || {
                if openapi {
                    openapi::document()
                } else {
                    crate::config::schema()
                }
            };
            print(&if markdown {
                crate::config::reference().trim_end().to_owned()
            } else {
                serde_json::to_string_pretty(&schema()).unwrap_or_default()
            });
            ExitCode::SUCCESS
        }
        Command::Keys(Keys::Rotate(with)) => rotate_keys::command(&with.config),
        Command::Tokens(Tokens::New(arguments)) => make_token::command(&arguments),
        Command::HashPassword => hash_password::command(),
        Command::Health(with) => health::command(&with.config),
    }
}

fn check(path: &Path) -> ExitCode {
    match checked(path) {
        Ok(settings) => {
            let names: Vec<&str> = settings
                .sites
                .iter()
                .map(|site| site.name.as_str())
                .collect();
            print(&format!(
                "{}: no problem found; sites: {}",
                path.display(),
                names.join(", ")
            ));
            warn_of_expired_tokens(&settings);
            ExitCode::SUCCESS
        }
        Err(status) => status,
    }
}

/// Names the service tokens that have expired: clients that still use them get `401`.
fn warn_of_expired_tokens(settings: &Settings) {
    let now = Clock::new().now();
    for site in &settings.sites {
        for name in site.service_tokens.expired(now) {
            print_error(&format!(
                "warning: site {}: the service token {name} has expired",
                site.name
            ));
        }
    }
}

/// The checked configuration, or the exit status after every problem was printed.
fn loaded(path: &Path) -> Result<Settings, ExitCode> {
    crate::config::load(path).map_err(|problems| {
        print_error(&problems.to_string());
        ExitCode::from(BAD_CONFIG)
    })
}

/// As [`loaded`], with the users files of embedded providers checked too.
fn checked(path: &Path) -> Result<Settings, ExitCode> {
    let settings = loaded(path)?;
    match embedded_servers::check_users_files(&settings) {
        Ok(()) => Ok(settings),
        Err(errors) => {
            for error in errors {
                print_error(&error.to_string());
            }
            Err(ExitCode::from(BAD_CONFIG))
        }
    }
}

/// Writes to standard output. A reader that closed the pipe (`vestibule schema | head`) is not an
/// error.
fn print(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// Writes to standard error.
fn print_error(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}
