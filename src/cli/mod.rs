//! The commands of the program. Each reads its arguments, calls one module, and reports success or
//! failure by its exit status.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::OnceLock;

use clap::{Args, CommandFactory as _, Parser, Subcommand};

use crate::config::settings::Settings;

mod check_config;
mod config_reload;
mod demo;
mod diagnose;
mod embedded_servers;
mod explain;
mod hash_password;
mod health;
mod make_token;
mod manage_users;
pub mod openapi;
mod pass_sockets;
mod passed_servers;
mod predecessor;
mod rotate_keys;
pub mod serve;
mod service_manager;
mod show_config;
pub mod stop;
mod successor;
mod upgrade_socket;

/// The exit status for a configuration with problems: `EX_CONFIG` of sysexits.h.
const BAD_CONFIG: u8 = 78;

/// A signing-in reverse proxy for web applications that were never changed for it.
#[derive(Parser)]
#[command(version = env!("VESTIBULE_VERSION"), about, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the gateway
    Serve(serve::Arguments),
    /// Check a configuration and report every problem in it, and what is probably not meant
    Check(check_config::Arguments),
    /// Show what signed-out and signed-in visitors get at an address
    Explain(explain::Arguments),
    /// Examine what the configuration names: applications, providers, certificates, the store, files
    Doctor(diagnose::Arguments),
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
    /// Print the configuration with the default of every key, without secrets
    Config(WithConfig),
    /// Manage the users of an embedded identity server
    #[command(subcommand)]
    Users(manage_users::Command),
    /// Hash a password for the users file of the embedded identity server
    HashPassword,
    /// Print the completions of a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page, or write the pages of all commands
    Man {
        /// Where to write the pages
        directory: Option<PathBuf>,
    },
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

/// Runs the command that the process's arguments name. Output that could not be written is a
/// failure: a script must not take an empty file for a result.
#[must_use]
pub fn run() -> ExitCode {
    let status = match Arguments::try_parse() {
        Ok(arguments) => dispatch(arguments.command),
        // Also `--help` and `--version`.
        Err(message) => {
            note_failure(message.print());
            u8::try_from(message.exit_code()).map_or(ExitCode::FAILURE, ExitCode::from)
        }
    };
    match OUTPUT_ERROR.get() {
        Some(error) => {
            print_error(&format!("vestibule: cannot write the output: {error}"));
            ExitCode::FAILURE
        }
        None => status,
    }
}

fn dispatch(command: Command) -> ExitCode {
    match command {
        Command::Serve(arguments) => serve::command(&arguments),
        Command::Check(arguments) => check_config::command(&arguments),
        Command::Explain(arguments) => explain::command(&arguments),
        Command::Doctor(arguments) => diagnose::command(&arguments),
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
        Command::Config(with) => show_config::command(&with.config),
        Command::Users(command) => manage_users::command(&command),
        Command::HashPassword => hash_password::command(),
        Command::Completions { shell } => {
            let mut text = Vec::new();
            clap_complete::generate(shell, &mut Arguments::command(), "vestibule", &mut text);
            print(String::from_utf8_lossy(&text).trim_end());
            ExitCode::SUCCESS
        }
        Command::Man { directory } => man(directory.as_deref()),
        Command::Health(with) => health::command(&with.config),
    }
}

/// Prints the manual page of the program, or writes one for each command.
fn man(directory: Option<&Path>) -> ExitCode {
    let mut page = Vec::new();
    let written = match directory {
        Some(directory) => clap_mangen::generate_to(Arguments::command(), directory),
        None => clap_mangen::Man::new(Arguments::command()).render(&mut page),
    };
    match written {
        Ok(()) => {
            if directory.is_none() {
                print(String::from_utf8_lossy(&page).trim_end());
            }
            ExitCode::SUCCESS
        }
        Err(error) => {
            print_error(&format!("man: {error}"));
            ExitCode::FAILURE
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

/// The first error of writing to standard output.
static OUTPUT_ERROR: OnceLock<io::Error> = OnceLock::new();

/// Writes to standard output. [`run`] reports an error. A reader that closed the pipe (`vestibule
/// schema | head`) is none.
fn print(text: &str) {
    let mut stdout = io::stdout();
    note_failure(writeln!(stdout, "{text}").and_then(|()| stdout.flush()));
}

fn note_failure(written: io::Result<()>) {
    if let Err(error) = written
        && error.kind() != io::ErrorKind::BrokenPipe
    {
        // Later errors have the same cause.
        let _ = OUTPUT_ERROR.set(error);
    }
}

/// Writes to standard error.
fn print_error(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}
