//! The `demo` command: the gateway in front of a sample store and forum, with an identity server,
//! all in this process. It needs no file, no network and no other program.
//!
//! With `--sso` the store and the forum are clients of the identity server, which browsers reach at
//! an address of its own (`openid_clients`).

use std::fs::DirBuilder;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clap::Args;
use tokio::sync::watch;

use crate::config::FakeEnvironment;
use crate::config::settings::Settings;
use crate::embedded::demo as apps;
use crate::embedded::identity_server as identity;
use crate::embedded::users::{DEMO_PASSWORD, Users};
use crate::model::fusionauth_hosted_backend::RedirectUri;
use crate::model::secret::Secret;
use crate::system::{self, Clock};

use super::serve::{BoundServer, log, run_until_signal};
use super::stop::{self, StopRequest};
use super::{print, print_error};

mod openid_clients;
use openid_clients::openid_settings;

/// The configuration of the demo, with placeholders for addresses and providers.
const CONFIG: &str = include_str!("../../config/demo.toml");
/// The provider where users sign in at the form of each site.
const FORM: &str = include_str!("../../config/demo-form.toml");
/// The providers where users sign in at the identity server.
const SSO: &str = include_str!("../../config/demo-sso.toml");

/// Where the demo listens, and where a page with FusionAuth's SDK is served.
#[derive(Args)]
pub(super) struct Arguments {
    /// The port of both sites; 0 takes any free one
    #[arg(long, default_value_t = 8080)]
    port: u16,
    /// The port of metrics and health; 0 takes any free one
    #[arg(long, default_value_t = 0)]
    admin_port: u16,
    /// The page that uses FusionAuth's SDK: where your development server shows it
    #[arg(long, default_value = "http://localhost:5173", value_parser = on_loopback)]
    sdk_page: RedirectUri,
    /// Sign in once for both sites, at the identity server's own page (OpenID Connect)
    #[arg(long)]
    sso: bool,
}

/// Takes addresses on `localhost` only: the demo has no certificate, and its cookies reach no other
/// host.
fn on_loopback(text: &str) -> Result<RedirectUri, String> {
    RedirectUri::parse(text)
        .filter(|page| page.origin().name == "localhost")
        .ok_or_else(|| "an address on localhost, such as http://localhost:5173".to_owned())
}

pub(super) fn command(arguments: &Arguments) -> ExitCode {
    let state = std::env::temp_dir().join(format!(
        "vestibule-demo-{}",
        URL_SAFE_NO_PAD.encode(system::random::<9>())
    ));
    let outcome = match prepare(arguments, &state) {
        Ok(demo) => {
            print(&demo.welcome);
            run_until_signal(0, |stop| demo.run(stop))
        }
        Err(error) => {
            print_error(&format!("demo: {error}"));
            ExitCode::FAILURE
        }
    };
    // The keys and sessions of a demo are of no use afterwards.
    let _ = std::fs::remove_dir_all(&state);
    outcome
}

/// The demo with every socket open.
struct Demo {
    server: BoundServer,
    identity: (identity::IdentityServer, TcpListener),
    store: TcpListener,
    forum: TcpListener,
    welcome: String,
}

/// The sockets of what the gateway reaches, and the ports of the gateway.
struct Sockets {
    store: TcpListener,
    forum: TcpListener,
    identity: TcpListener,
    port: u16,
    admin: u16,
}

impl Sockets {
    fn open(arguments: &Arguments) -> Result<Self, String> {
        let anywhere =
            || TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(|error| error.to_string());
        Ok(Self {
            store: anywhere()?,
            forum: anywhere()?,
            identity: anywhere()?,
            port: free_port(arguments.port)?,
            admin: free_port(arguments.admin_port)?,
        })
    }
}

fn prepare(arguments: &Arguments, state: &PathBuf) -> Result<Demo, String> {
    DirBuilder::new()
        .mode(0o700)
        .create(state)
        .map_err(|error| format!("{}: {error}", state.display()))?;
    let sockets = Sockets::open(arguments)?;
    let api_key = random_secret();
    let text = config(arguments, state, &sockets)?.replace("{api_key}", &api_key);
    let settings = crate::config::check_text("demo.toml", &text, &logos())
        .map_err(|problems| problems.to_string())?;
    log(&settings)?;
    let clock = Clock::new();
    let outbox = state.join("outbox");
    let issuer = issuer(&settings);
    let welcome = welcome(arguments, &sockets, &issuer, &outbox);
    let openid = openid_settings(&settings, &issuer);
    let server = identity::open(identity::Options {
        users: demo_users(&outbox)?,
        state_dir: state.clone(),
        issuer,
        api_key: Secret::new(api_key),
        clock: clock.clone(),
    })
    .map_err(|error| error.to_string())?;
    server.set_openid(arguments.sso.then_some(openid));
    Ok(Demo {
        server: BoundServer::open(settings, clock)?,
        identity: (server, sockets.identity),
        store: sockets.store,
        forum: sockets.forum,
        welcome,
    })
}

/// The configuration; only the API key is missing.
fn config(arguments: &Arguments, state: &Path, sockets: &Sockets) -> Result<String, String> {
    let at = |listener: &TcpListener| listener.local_addr().map_err(|error| error.to_string());
    let identity = at(&sockets.identity)?;
    let (providers, [store_provider, forum_provider]) = if arguments.sso {
        (SSO, ["store", "forum"])
    } else {
        (FORM, ["main", "main"])
    };
    let admin = SocketAddr::from((Ipv4Addr::LOCALHOST, sockets.admin));
    let issuer = format!("http://identity.localhost:{}", identity.port());
    Ok(CONFIG
        .replace("{providers}", providers)
        .replace("{store_provider}", store_provider)
        .replace("{forum_provider}", forum_provider)
        .replace("{store_secret}", &random_secret())
        .replace("{forum_secret}", &random_secret())
        .replace("{issuer}", &issuer)
        .replace("{state_dir}", &state.display().to_string())
        .replace("{listen}", &listen(sockets.port))
        .replace("{admin}", &admin.to_string())
        .replace("{identity}", &identity.to_string())
        .replace("{port}", &sockets.port.to_string())
        .replace("{sdk_page}", arguments.sdk_page.as_str())
        .replace("{store}", &at(&sockets.store)?.to_string())
        .replace("{forum}", &at(&sockets.forum)?.to_string()))
}

/// The issuer that all providers share.
fn issuer(settings: &Settings) -> String {
    let provider = settings.providers.values().next();
    provider.map_or_else(String::new, |provider| provider.issuer.clone())
}

fn random_secret() -> String {
    URL_SAFE_NO_PAD.encode(system::random::<32>())
}

/// The logos of the demo's themes, compiled into the program.
fn logos() -> FakeEnvironment {
    let mut environment = FakeEnvironment::default();
    for (name, text) in [
        (
            "lantern.svg",
            include_str!("../../static/demo/art/lantern.svg"),
        ),
        ("porch.svg", include_str!("../../static/demo/art/porch.svg")),
    ] {
        environment.files.insert(name.into(), text.to_owned());
    }
    environment
}

/// `port`, or any free one for 0.
fn free_port(port: u16) -> Result<u16, String> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).map_err(|error| {
        format!("cannot listen on port {port}: {error}; choose another with --port")
    })?;
    listener
        .local_addr()
        .map(|address| address.port())
        .map_err(|error| error.to_string())
}

/// Both loopback addresses: `*.localhost` may mean either. IPv6 only where this machine has it.
fn listen(port: u16) -> String {
    let addresses = [
        IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(Ipv6Addr::LOCALHOST),
    ];
    let usable = addresses
        .into_iter()
        .filter(|address| TcpListener::bind((*address, 0)).is_ok());
    let quoted: Vec<String> = usable
        .map(|address| format!("\"{}\"", SocketAddr::from((address, port))))
        .collect();
    quoted.join(", ")
}

/// The demo's accounts. Codes for them are written to the directory `outbox`, which is created now
/// so that a user can watch it.
fn demo_users(outbox: &Path) -> Result<Users, String> {
    DirBuilder::new()
        .mode(0o700)
        .create(outbox)
        .map_err(|error| format!("{}: {error}", outbox.display()))?;
    let mut users = Users::demo().map_err(|error| error.to_string())?;
    users.outbox = Some(outbox.to_owned());
    Ok(users)
}

fn welcome(arguments: &Arguments, sockets: &Sockets, issuer: &str, outbox: &Path) -> String {
    let Sockets { port, admin, .. } = sockets;
    let (sdk_page, outbox) = (arguments.sdk_page.as_str(), outbox.display());
    let (page, how) = if arguments.sso {
        (
            format!("\n    sign-in    {issuer}"),
            "Sign in once: the store and the forum share it, and a sign-out at one ends the other.\n  ",
        )
    } else {
        (String::new(), "")
    };
    format!(
        "
  Vestibule, the demo

    a store    http://store.localhost:{port}
    a forum    http://forum.localhost:{port}
    an SDK     http://localhost:{port}, for a page at {sdk_page}{page}
    metrics    http://127.0.0.1:{admin}/metrics

  {how}Sign in as one of these; the password is always: {DEMO_PASSWORD}

    shopper@example.com       buys and writes
    admin@example.com         has the role admin: open /admin/
    twofactor@example.com     is asked for a second factor
    newpassword@example.com   must choose a new password first

  Codes that are sent by e-mail lie in {outbox}/

  An access token lives 60 seconds here: stay on a page and watch it being renewed.
  Ctrl-C ends the demo and forgets everything.
"
    )
}

impl Demo {
    async fn run(self, stop: watch::Receiver<StopRequest>) -> Result<(), String> {
        let Self {
            server: gateway,
            identity: (server, listener),
            store,
            forum,
            ..
        } = self;
        let mut stopped = stop.clone();
        let ended = async move {
            stop::requested(&mut stopped).await;
        };
        drop(system::detach(server.serve(listener, ended)));
        drop(system::detach(serve(store, apps::store())));
        drop(system::detach(serve(forum, apps::forum())));
        gateway.run(None, stop).await
    }
}

async fn serve(listener: TcpListener, app: axum::Router) {
    let served = match listener
        .set_nonblocking(true)
        .and_then(|()| tokio::net::TcpListener::from_std(listener))
    {
        Ok(listener) => axum::serve(listener, app).await,
        Err(error) => Err(error),
    };
    if let Err(error) = served {
        tracing::error!(%error, "one of the demo's applications ended");
    }
}
