//! The client that started a session, as the caller of the API describes it. It is shown in the
//! list of sessions, so that users can recognize their devices.

use serde::{Deserialize, Serialize};

/// The maximum length of each text, in characters.
const MAX_LENGTH: usize = 256;

/// The client that started a session. Members that the caller leaves out stay empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ClientMetadata {
    /// The IP address of the client.
    pub ip_address: Option<String>,
    /// FusionAuth's `metaData` of a refresh token.
    pub meta_data: Option<MetaData>,
}

/// FusionAuth's `metaData` of a refresh token. Only its member `device` is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct MetaData {
    /// The device of the user.
    pub device: Option<Device>,
}

/// A device as its user recognizes it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Device {
    /// A short name such as "Firefox on Linux".
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// A longer description, such as the `User-Agent`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The type of device: `BROWSER`, `MOBILE` and so on.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
}

impl ClientMetadata {
    /// The same with every text cut to 256 characters and without control characters.
    #[must_use]
    pub fn sanitized(self) -> Self {
        let sanitize = |text: Option<String>| {
            text.map(|text| {
                text.chars()
                    .filter(|character| !character.is_control())
                    .take(MAX_LENGTH)
                    .collect()
            })
        };
        let device = self
            .meta_data
            .and_then(|data| data.device)
            .map(|device| Device {
                name: sanitize(device.name),
                description: sanitize(device.description),
                kind: sanitize(device.kind),
            });
        Self {
            ip_address: sanitize(self.ip_address),
            meta_data: Some(MetaData { device }),
        }
    }

    /// The device, if the caller described one.
    #[must_use]
    pub fn device(&self) -> Option<&Device> {
        self.meta_data.as_ref()?.device.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn texts_are_shortened_and_control_characters_removed() {
        let request = json!({
            "ipAddress": "192.0.2.7\n", "loginId": "ignored",
            "metaData": { "device": { "name": "x".repeat(1000), "type": "BROWSER", "colour": 1 }, "scopes": [] },
        });
        let client = serde_json::from_value::<ClientMetadata>(request)
            .unwrap()
            .sanitized();
        assert_eq!(client.ip_address.as_deref(), Some("192.0.2.7"));
        let device = client.device().unwrap();
        assert_eq!(device.name.as_ref().unwrap().len(), MAX_LENGTH);
        assert_eq!(
            (device.kind.as_deref(), device.description.as_deref()),
            (Some("BROWSER"), None)
        );
        assert_eq!(
            serde_json::from_value::<ClientMetadata>(json!({}))
                .unwrap()
                .sanitized()
                .device(),
            None
        );
    }
}
