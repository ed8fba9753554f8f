//! The closed lists behind metric labels: a client cannot make a time series by what it sends.

macro_rules! labels {
    ($(#[$doc:meta])* $name:ident { $($(#[$word_doc:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name { $($(#[$word_doc])* $variant,)+ }

        impl $name {
            /// Every value, in the order of the reference.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The word metrics and logs see.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }
        }
    };
}

labels! {
    /// How the wish for a renewal ended.
    RenewalResult {
        /// The provider gave new tokens.
        Renewed = "renewed",
        /// Another request with the same refresh token was renewing; this one took its result.
        Shared = "shared",
        /// A result from a moment ago was given again.
        Replayed = "replayed",
        /// The provider refused the refresh token.
        Refused = "refused",
        /// The provider did not answer.
        Unavailable = "unavailable",
    }
}

labels! {
    /// What a look at an access token found.
    TokenCheck {
        /// Verified before and still good.
        Remembered = "remembered",
        /// Verified now.
        Valid = "valid",
        /// Good until its `exp`.
        Expired = "expired",
        /// Not a token of this provider for this application.
        Invalid = "invalid",
        /// Ended before its `exp`.
        Revoked = "revoked",
    }
}

labels! {
    /// What the provider was asked to do.
    ProviderOperation {
        /// Any step of signing in.
        SignIn = "sign_in",
        /// New tokens for a refresh token.
        Refresh = "refresh",
        /// The end of a refresh token.
        Revoke = "revoke",
        /// The public keys.
        Keys = "keys",
    }
}

labels! {
    /// How a call to the provider ended.
    CallResult {
        /// With what was asked for.
        Ok = "ok",
        /// With a no to the visitor.
        Refused = "refused",
        /// Not at all, or with a sign of trouble at the provider.
        Unavailable = "unavailable",
        /// With a no to the gateway itself, or with something that cannot be used.
        Misconfigured = "misconfigured",
    }
}

labels! {
    /// Which limit on attempts to sign in was met.
    Limit {
        /// Of one account.
        Account = "account",
        /// Of one client address.
        Address = "address",
    }
}

labels! {
    /// How a reload ended.
    ReloadResult {
        /// The new configuration is in force.
        Ok = "ok",
        /// The old one stays.
        Refused = "refused",
    }
}

/// Whether an upstream answers its health check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpstreamHealth {
    /// It does.
    Up,
    /// It does not.
    Down,
}
