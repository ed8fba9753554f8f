//! The keys of `[[sites]]` about upstreams: addresses, tables for what an address does not say,
//! protocol, balance and health checks.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::super::spans::At;
use super::super::units::Time;

/// One server of an application.
pub(in crate::config) enum Upstream {
    /// Its address.
    Address(String),
    /// Its address and more.
    Table(Box<UpstreamTable>),
}

/// A server of an application.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct UpstreamTable {
    /// The address, as in a list of strings.
    #[schemars(required)]
    pub url: Option<At<String>>,
    /// Its share of the requests, in proportion to the weights of the others.
    #[schemars(range(min = 1, max = 256), extend("default" = 1))]
    pub weight: At<u32>,
    /// For `https`: the PEM file with the certificates that its chain must lead to. Left out, the
    /// system's roots.
    #[serde(default)]
    pub ca: Option<At<String>>,
    /// For `https`: the PEM file with the certificate that the gateway presents, and its
    /// intermediates. Needs `key`.
    #[serde(default)]
    pub cert: Option<At<String>>,
    /// The PEM file with the key of `cert`.
    #[serde(default)]
    pub key: Option<At<String>>,
    /// For `https`: the name that is sent as SNI and that its certificate must have. Left out, the
    /// host of `url`.
    #[serde(default)]
    pub server_name: Option<At<String>>,
}

/// A protocol for upstreams.
#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(in crate::config) enum Protocol {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2 in the clear, with prior knowledge: for gRPC. WebSockets go over HTTP/1.1 all the
    /// same.
    H2,
}

/// How requests are distributed over upstreams.
#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(in crate::config) enum Balance {
    /// In turn.
    RoundRobin,
    /// To the upstream with the fewest requests under way.
    LeastRequests,
    /// All requests of a user to the same upstream; those of a visitor who is not signed in, by the
    /// client's address.
    Sticky,
}

/// Health checks of upstreams.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct Health {
    /// The path to request. A 2xx or 3xx response is healthy.
    #[schemars(required)]
    pub path: Option<At<String>>,
    /// The time between two checks.
    #[schemars(extend("default" = "5s", "x-from" = "10ms", "x-to" = "1h"))]
    pub interval: At<Time>,
}

impl<'de> Deserialize<'de> for Upstream {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(UpstreamVisitor)
    }
}

struct UpstreamVisitor;

impl<'de> Visitor<'de> for UpstreamVisitor {
    type Value = Upstream;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("an address or a table")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Upstream, E> {
        Ok(Upstream::Address(text.to_owned()))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Upstream, A::Error> {
        let table = UpstreamTable::deserialize(MapAccessDeserializer::new(map))?;
        Ok(Upstream::Table(Box::new(table)))
    }
}

impl JsonSchema for Upstream {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Upstream".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let table = generator.subschema_for::<UpstreamTable>();
        json_schema!({ "oneOf": [{ "type": "string" }, table] })
    }
}
