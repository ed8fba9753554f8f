//! The address of the admin listener, for whoever asks the running gateway, whatever has become of
//! the file since it started.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;

use toml::de::DeTable;

use super::environment::{Environment as _, SystemEnvironment};

/// The address where the configuration says none, as the schema says.
const DEFAULT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9090);

/// `server.admin` as the configuration in `path` says it, whatever else is wrong in there, or its
/// default.
///
/// # Errors
/// When the file cannot be read.
pub fn admin_address(path: &Path) -> std::io::Result<SocketAddr> {
    let text = SystemEnvironment.file(path)?;
    let (root, _) = DeTable::parse_recoverable(&text);
    let server = root.get_ref().get("server");
    let server = server.and_then(|server| server.get_ref().as_table());
    let admin = server.and_then(|server| server.get("admin"));
    let written = admin.and_then(|admin| admin.get_ref().as_str()?.parse().ok());
    Ok(written.unwrap_or(DEFAULT))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_that_of_the_configuration() {
        let text = include_str!("tests/base.toml");
        let text = text.replace("admin = \"127.0.0.1:9090\"\n", "");
        let settings = super::super::check_text("f", &text, &SystemEnvironment).unwrap();
        assert_eq!(settings.server.admin, Some(DEFAULT));
    }

    #[test]
    fn the_address_is_found_in_a_mistaken_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("vestibule.toml");
        let found = |text: &str| {
            std::fs::write(&path, text).unwrap();
            admin_address(&path).unwrap().to_string()
        };
        let good = "[server]\nadmin = \"127.0.0.1:9191\"\n";
        for mistaken in [
            good.to_owned(),
            format!("nname = 1\n{good}"),
            format!("{good}[broken\n"),
            format!("{good}workers = \"many\"\n[[sites]]\nname = 7\n"),
        ] {
            assert_eq!(found(&mistaken), "127.0.0.1:9191", "{mistaken}");
        }
        for none in ["", "[server]\n", "[server]\nadmin = 9191\n", "server = 1\n"] {
            assert_eq!(found(none), "127.0.0.1:9090", "{none}");
        }
    }
}
