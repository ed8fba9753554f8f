//! Where a session was begun, as the caller tells it: kept for the list that people recognise their
//! devices by.

use serde::{Deserialize, Serialize};

/// In characters, of each text.
const LONGEST: usize = 256;

/// Where a session was begun. What a caller leaves out is not made up.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ClientMetadata {
    /// The address of the person's machine.
    pub ip_address: Option<String>,
    /// FusionAuth's `metaData`.
    pub meta_data: Option<MetaData>,
}

/// What FusionAuth keeps with a refresh token; of its members only the device is kept here.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct MetaData {
    /// The device.
    pub device: Option<Device>,
}

/// A device, for people to recognise.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Device {
    /// Such as "Firefox on Linux".
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// At more length.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// `BROWSER`, `MOBILE` and the like.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
}

impl ClientMetadata {
    /// The same with every text at most 256 characters long and printable.
    #[must_use]
    pub fn bounded(self) -> Self {
        let bound = |text: Option<String>| {
            text.map(|text| {
                text.chars()
                    .filter(|letter| !letter.is_control())
                    .take(LONGEST)
                    .collect()
            })
        };
        let device = self
            .meta_data
            .and_then(|data| data.device)
            .map(|device| Device {
                name: bound(device.name),
                description: bound(device.description),
                kind: bound(device.kind),
            });
        Self {
            ip_address: bound(self.ip_address),
            meta_data: Some(MetaData { device }),
        }
    }

    /// The device, where it is known.
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
    fn what_a_caller_tells_is_bounded() {
        let told = json!({
            "ipAddress": "192.0.2.7\n", "loginId": "passed over",
            "metaData": { "device": { "name": "x".repeat(1000), "type": "BROWSER", "colour": 1 }, "scopes": [] },
        });
        let seen = serde_json::from_value::<ClientMetadata>(told)
            .unwrap()
            .bounded();
        assert_eq!(seen.ip_address.as_deref(), Some("192.0.2.7"));
        let device = seen.device().unwrap();
        assert_eq!(device.name.as_ref().unwrap().len(), LONGEST);
        assert_eq!(
            (device.kind.as_deref(), device.description.as_deref()),
            (Some("BROWSER"), None)
        );
        assert_eq!(
            serde_json::from_value::<ClientMetadata>(json!({}))
                .unwrap()
                .bounded()
                .device(),
            None
        );
    }
}
