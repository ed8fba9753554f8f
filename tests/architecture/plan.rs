//! The plan: the rooms with their doors, names that are shared, names that say nothing, lengths.

/// What one room may reach.
pub struct Room {
    pub name: &'static str,
    /// Rooms it may import; `room::module` for one module of it, `room::Item` for what stands in
    /// its `mod.rs`.
    pub imports: &'static [&'static str],
    /// Crates it must not name, each with its family: `tokio` is `tokio_util` too.
    pub shuns: &'static [&'static str],
}

const PURE: &[&str] = &[
    "hyper",
    "pingora",
    "prometheus",
    "redis",
    "tokio",
    "toml",
    "tracing",
];

pub const ROOMS: &[Room] = &[
    Room {
        name: "model",
        imports: &[],
        shuns: PURE,
    },
    Room {
        name: "decide",
        imports: &["model"],
        shuns: PURE,
    },
    Room {
        name: "pages",
        imports: &["model"],
        shuns: PURE,
    },
    Room {
        name: "system",
        imports: &["model"],
        shuns: &["hyper", "pingora"],
    },
    Room {
        name: "config",
        imports: &["model", "pages"],
        shuns: &["hyper", "pingora", "tokio"],
    },
    Room {
        name: "provider",
        imports: &["config::settings", "model", "system"],
        shuns: &["pingora"],
    },
    Room {
        name: "store",
        imports: &[
            "config::settings",
            "model",
            "system",
            "telemetry::span",
            "telemetry::trace",
        ],
        shuns: &["pingora"],
    },
    Room {
        name: "telemetry",
        imports: &["model"],
        shuns: &["pingora"],
    },
    Room {
        name: "runtime",
        imports: &[
            "config",
            "model",
            "pages",
            "provider",
            "store",
            "system",
            "telemetry",
        ],
        shuns: &["pingora"],
    },
    Room {
        name: "proxy",
        imports: &[
            "decide",
            "model",
            "pages",
            "provider::Item",
            "runtime",
            "system",
            "telemetry",
        ],
        shuns: &["hyper", "redis", "toml"],
    },
    Room {
        name: "admin",
        imports: &["runtime", "system"],
        shuns: &["hyper", "pingora", "redis", "toml"],
    },
    Room {
        name: "embedded",
        imports: &[
            "config::settings",
            "model",
            "provider::http_client",
            "store",
            "system",
        ],
        shuns: &["pingora"],
    },
    Room {
        name: "doctor",
        imports: &[
            "config",
            "model",
            "provider",
            "proxy",
            "runtime",
            "store",
            "system",
            "telemetry",
        ],
        shuns: &["hyper", "pingora", "redis", "toml"],
    },
    Room {
        name: "cli",
        imports: &[
            "admin",
            "config",
            "decide",
            "doctor",
            "embedded",
            "model",
            "proxy",
            "runtime",
            "system",
            "telemetry",
        ],
        shuns: &["pingora"],
    },
    Room {
        name: "main",
        imports: &["cli"],
        shuns: &["pingora"],
    },
];

/// Names that several modules have, each with the one meaning that it has in all of them.
pub const SHARED_NAMES: &[&str] = &[
    "cache: what was verified or opened before, kept in memory.",
    "challenge: the step that a sign-in waits for, sealed for the client.",
    "cors: what pages of other origins may read and send.",
    "demo: the demonstration: its sites, and the command that starts them.",
    "explain: why a request is answered as it is: the reasons, and the command that prints them.",
    "forward_auth: what a proxy asks about requests that it forwards itself, and is told.",
    "fusionauth_hosted_backend: the hosted backend of FusionAuth's single-page SDKs.",
    "inspection: what a server says of itself, for `vestibule doctor`.",
    "leases: who may do something that must happen once, and its result.",
    "login: signing in with a password, and what may be asked for after it.",
    "logout: ending a session.",
    "pending_revocations: refresh tokens that a provider has not been told to revoke yet.",
    "preserved_post: a form that was posted when its session had ended.",
    "provider: who signs people in and issues their tokens.",
    "proxy_protocol: the header by which a proxy names the client of a connection.",
    "redirect_loop: a sign-in that leads back to itself.",
    "request: a request of a visitor, and what the proxy does with it.",
    "revocations: which tokens and sessions are no longer accepted.",
    "service: what the rest of the program calls of a concept.",
    "sessions: server-side sessions.",
    "site: one guarded application.",
    "store: the store of sessions, leases, revocations and throttles: its settings, and the code.",
    "templates: the HTML templates of the pages.",
    "theme: the look of a site's pages.",
    "throttles: how many attempts are allowed in a span of time.",
    "tls: TLS listeners: their settings, what they need, and the handshake.",
    "two_factor: the code that is asked for after the password.",
    "upstream: a server of an application, and what the proxy does to reach it.",
    "verify: whether an access token is good.",
];

/// Names that say nothing about what stands in a file.
pub const EMPTY_NAMES: &[&str] = &[
    "common", "helper", "helpers", "manager", "misc", "types", "util", "utils",
];

pub const MAX_LINES: usize = 400;
pub const MAX_LINES_WITH_TESTS: usize = 450;
