//! The closed lists of values for metric labels, so that no client can create a time series.

macro_rules! labels {
    ($(#[$doc:meta])* $name:ident { $($(#[$word_doc:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name { $($(#[$word_doc])* $variant,)+ }

        impl $name {
            /// Every value, in the order of `docs/reference/metrics.md`.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The value in metrics and logs.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }
        }
    };
}

labels! {
    /// The result of a token refresh.
    RenewalResult {
        /// The provider issued new tokens.
        Renewed = "renewed",
        /// Another request was refreshing with the same refresh token; this one shared its result.
        Shared = "shared",
        /// A recent result for the same refresh token was returned again.
        Replayed = "replayed",
        /// The provider refused the refresh token.
        Refused = "refused",
        /// The provider did not respond.
        Unavailable = "unavailable",
    }
}

labels! {
    /// The result of checking an access token.
    TokenCheck {
        /// Verified before and still valid, as the token cache tells.
        Remembered = "remembered",
        /// Verified now, with its signature.
        Valid = "valid",
        /// Authentic, but past its `exp`.
        Expired = "expired",
        /// Not a token that this provider issued for this application.
        Invalid = "invalid",
        /// Revoked before its `exp`.
        Revoked = "revoked",
    }
}

labels! {
    /// An operation of a provider.
    ProviderOperation {
        /// A step of signing in.
        SignIn = "sign_in",
        /// Exchange of a refresh token for new tokens.
        Refresh = "refresh",
        /// Revocation of a refresh token.
        Revoke = "revoke",
        /// Retrieval of the public keys.
        Keys = "keys",
    }
}

labels! {
    /// The result of a call to a provider.
    CallResult {
        /// The provider did what was requested.
        Ok = "ok",
        /// The provider refused the user's request.
        Refused = "refused",
        /// The provider did not respond, or reported a failure of its own.
        Unavailable = "unavailable",
        /// The provider refused the gateway itself, or its response cannot be used.
        Misconfigured = "misconfigured",
    }
}

labels! {
    /// The event of a message of a provider.
    HookEvent {
        /// FusionAuth: refresh tokens were revoked.
        RefreshTokenRevoke = "jwt.refresh-token.revoke",
        /// FusionAuth: a user was locked.
        UserDeactivate = "user.deactivate",
        /// FusionAuth: a user was deleted.
        UserDelete = "user.delete",
        /// FusionAuth: a password was changed.
        UserPasswordUpdate = "user.password.update",
        /// FusionAuth: a user is not registered for an application any more.
        UserRegistrationDelete = "user.registration.delete",
        /// FusionAuth: every other event, and messages that nobody is known to have sent.
        Other = "other",
        /// A logout token (OIDC Back-Channel Logout 1.0).
        BackchannelLogout = "backchannel_logout",
    }
}

labels! {
    /// What came of a message of a provider.
    HookResult {
        /// What it ends has ended.
        Ok = "ok",
        /// It ends nothing here.
        Ignored = "ignored",
        /// It is not signed, was received before, or is not as its kind demands.
        Refused = "refused",
        /// Too many messages of its address were refused.
        Throttled = "throttled",
        /// It could not be checked, or not be stored.
        Unavailable = "unavailable",
    }
}

labels! {
    /// The rate limit that refused a sign-in attempt.
    Limit {
        /// The limit for one account.
        Account = "account",
        /// The limit for one client address.
        Address = "address",
    }
}

labels! {
    /// A store that evicts entries when it is full.
    Store {
        /// Server-side sessions.
        Sessions = "sessions",
        /// Results of refreshes, and refresh tokens that were replaced.
        Refreshes = "refreshes",
        /// Sign-ins that were revoked.
        Revocations = "revocations",
        /// Refresh tokens that a provider has not been told to revoke yet.
        PendingRevocations = "pending_revocations",
    }
}

labels! {
    /// Why a span was dropped.
    SpanDrop {
        /// The exporter was behind, and its queue was full.
        QueueFull = "queue_full",
        /// No collector took it.
        ExportFailed = "export_failed",
    }
}

labels! {
    /// The result of a configuration reload.
    ReloadResult {
        /// The new configuration is active.
        Ok = "ok",
        /// The new configuration has problems; the old one stays active.
        Refused = "refused",
    }
}

labels! {
    /// The class of a response's status.
    StatusClass {
        /// A `101`: the connection speaks another protocol.
        Informational = "1xx",
        /// Success.
        Success = "2xx",
        /// A redirect, or nothing that the client does not have.
        Redirection = "3xx",
        /// A refusal.
        ClientError = "4xx",
        /// A failure.
        ServerError = "5xx",
    }
}

/// The class of a status code. `None` for 0, which stands for no response.
#[must_use]
pub const fn status_class(status: u16) -> Option<StatusClass> {
    match status / 100 {
        1 => Some(StatusClass::Informational),
        2 => Some(StatusClass::Success),
        3 => Some(StatusClass::Redirection),
        4 => Some(StatusClass::ClientError),
        5 => Some(StatusClass::ServerError),
        _ => None,
    }
}

labels! {
    /// Why somebody was signed out who did not ask for it.
    SignOutCause {
        /// A refresh token was presented again after its successor had been used: somebody has a
        /// copy.
        Replayed = "replayed",
        /// The provider refused the refresh token.
        ProviderRefused = "provider_refused",
        /// The refresh cookie cannot be opened: it was changed, or its key is gone.
        UnreadableCookie = "unreadable_cookie",
        /// The store does not know the session, and there was no refresh token to start another
        /// one.
        StoreLost = "store_lost",
    }
}

labels! {
    /// Why an attempt to get a response from an upstream failed.
    UpstreamError {
        /// No connection came about: nobody listens there, or there is no way there.
        Refused = "refused",
        /// The name has no address.
        Dns = "dns",
        /// The TLS handshake failed: its certificate was refused, or ours.
        Tls = "tls",
        /// The connection broke.
        Reset = "reset",
        /// It did not connect or respond in time.
        Timeout = "timeout",
        /// It sent what is no valid HTTP.
        Protocol = "protocol",
    }
}

/// Whether an upstream gets requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpstreamHealth {
    /// It passes its health checks, where there are any, and is not ejected.
    Up,
    /// It fails its health checks, or too many requests to it failed.
    Down,
}

labels! {
    /// The protocol of a client's connection.
    ClientProtocol {
        /// HTTP/1.0 or HTTP/1.1.
        Http1 = "http1",
        /// HTTP/2.
        Http2 = "h2",
    }
}

labels! {
    /// The result of a TLS handshake.
    HandshakeResult {
        /// It was completed.
        Ok = "ok",
        /// The client sent what is not TLS, could not agree, or went away.
        Failed = "failed",
        /// The client took too long.
        Timeout = "timeout",
    }
}

labels! {
    /// The result of an order at the ACME server.
    OrderResult {
        /// It issued a certificate.
        Ok = "ok",
        /// It did not.
        Failed = "failed",
    }
}
