//! The description of a device that FusionAuth shows with a session, read from the user agent.

use serde::Serialize;

use crate::provider::Device;

/// The longest description, in characters.
const MAX_DESCRIPTION: usize = 250;
/// The longest name, in characters.
const MAX_NAME: usize = 60;

/// `metaData.device` of FusionAuth's API.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct DeviceInfo {
    /// A name to show, like "Firefox on Linux".
    name: String,
    /// The user agent itself.
    description: String,
    /// One of FusionAuth's types: `BROWSER`, `MOBILE`, `TABLET` or `OTHER`.
    #[serde(rename = "type")]
    kind: &'static str,
}

/// What a user agent contains, and the browser's name. A browser whose user agent contains the name
/// of another comes before that one.
const BROWSERS: [(&str, &str); 9] = [
    ("Edg", "Edge"),
    ("OPR/", "Opera"),
    ("SamsungBrowser/", "Samsung Internet"),
    ("Vivaldi/", "Vivaldi"),
    ("FxiOS/", "Firefox"),
    ("Firefox/", "Firefox"),
    ("CriOS/", "Chrome"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
];

/// What a user agent contains, and the system's name, in the same order: that of an Android phone
/// contains `Linux` too, that of an iPhone `Mac OS X`.
const SYSTEMS: [(&str, &str); 8] = [
    ("Windows", "Windows"),
    ("Android", "Android"),
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("CrOS", "ChromeOS"),
    ("Mac OS X", "macOS"),
    ("Macintosh", "macOS"),
    ("Linux", "Linux"),
];

impl DeviceInfo {
    /// `None` without a user agent.
    pub(super) fn of(device: Device<'_>) -> Option<Self> {
        let agent = printable(device.user_agent?, MAX_DESCRIPTION);
        if agent.is_empty() {
            return None;
        }
        let find = |names: &[(&str, &'static str)]| {
            names
                .iter()
                .find(|(part, _)| agent.contains(part))
                .map(|(_, name)| *name)
        };
        let system = find(&SYSTEMS);
        let browser = find(&BROWSERS).filter(|_| agent.starts_with("Mozilla/"));
        let product = browser.map_or_else(|| product(&agent), ToOwned::to_owned);
        let name = system.map_or_else(
            || product.clone(),
            |system| format!("{product} on {system}"),
        );
        let kind = match system {
            Some("iPad") => "TABLET",
            Some("Android") if browser.is_some() && !agent.contains("Mobile") => "TABLET",
            Some("iPhone" | "Android") => "MOBILE",
            Some(_) | None if browser.is_some() => "BROWSER",
            Some(_) | None => "OTHER",
        };
        Some(Self {
            name,
            description: agent,
            kind,
        })
    }
}

/// The name of a program that is not a browser: the first word, without its version.
fn product(agent: &str) -> String {
    let word = agent
        .split([' ', '/', '('])
        .find(|word| !word.is_empty())
        .unwrap_or("Unknown");
    printable(word, MAX_NAME)
}

fn printable(text: &str, max: usize) -> String {
    let kept: String = text
        .chars()
        .filter(|letter| !letter.is_control())
        .take(max)
        .collect();
    kept.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(agent: &str) -> Option<DeviceInfo> {
        DeviceInfo::of(Device {
            user_agent: Some(agent),
        })
    }

    #[test]
    fn people_know_their_devices_by_the_names() {
        for (agent, name, kind) in [
            (
                "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
                "Firefox on Linux",
                "BROWSER",
            ),
            (
                "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 \
                 Safari/537.36 Edg/126.0.0.0",
                "Edge on Windows",
                "BROWSER",
            ),
            (
                "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) \
                 Version/17.5 Safari/605.1.15",
                "Safari on macOS",
                "BROWSER",
            ),
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) \
                 CriOS/126.0 Mobile/15E148 Safari/604.1",
                "Chrome on iPhone",
                "MOBILE",
            ),
            (
                "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 \
                 Mobile Safari/537.36",
                "Chrome on Android",
                "MOBILE",
            ),
            (
                "Mozilla/5.0 (Linux; Android 14; SM-X710) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 \
                 Safari/537.36",
                "Chrome on Android",
                "TABLET",
            ),
            ("ShopApp/3.2 (Android 14)", "ShopApp on Android", "MOBILE"),
            ("curl/8.5.0", "curl", "OTHER"),
            ("/", "Unknown", "OTHER"),
        ] {
            let device = read(agent).unwrap();
            assert_eq!((device.name.as_str(), device.kind), (name, kind), "{agent}");
            assert_eq!(device.description, agent);
        }
    }

    #[test]
    fn what_a_client_sends_is_bounded_and_printable() {
        let device = read(&format!("ä\u{1b}[2J{}", "ö".repeat(1000))).unwrap();
        assert_eq!(device.description.chars().count(), MAX_DESCRIPTION);
        assert_eq!(device.name.chars().count(), MAX_NAME);
        assert!(!device.description.contains('\u{1b}') && !device.name.contains('\u{1b}'));
        for agent in ["", "  ", "\u{1}\n"] {
            assert_eq!(read(agent), None);
        }
        assert_eq!(DeviceInfo::of(Device::default()), None);
    }
}
