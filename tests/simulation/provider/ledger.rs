//! What is true of every sign-in: which refresh tokens belong to it, and whether anybody may be
//! told that it has ended.

use std::collections::BTreeMap;
use std::time::Duration;

/// A sign-in.
#[derive(Debug)]
pub struct Grant {
    pub visitor: usize,
    /// The `sid` of its tokens.
    pub sid: String,
    /// Why its visitor may be told that it has ended: somebody with its credentials, or the
    /// provider's operator, ended it.
    pub over: Option<&'static str>,
    /// Whether it was lost to something that no gateway can help.
    pub excused: bool,
    /// Whether the provider honours its tokens no more.
    pub ended: bool,
    /// When its sign-out was answered.
    pub signed_out: Option<Duration>,
    /// The refresh token with which it was signed out, where that was not exchanged before.
    pub signed_out_with: Option<String>,
}

/// A refresh token.
#[derive(Debug)]
pub struct RefreshToken {
    pub grant: usize,
    pub issued: Duration,
    pub spent: Option<Spent>,
    /// Whether it may be presented to the provider once more: its holder died, the store lost its
    /// data, or the answer was lost on its way.
    pub excused: bool,
}

/// A refresh token was exchanged for another.
#[derive(Clone, Debug)]
pub struct Spent {
    pub at: Duration,
    pub successor: String,
    /// The process that exchanged it.
    pub process: u64,
}

/// All sign-ins.
#[derive(Debug, Default)]
pub struct Ledger {
    pub grants: Vec<Grant>,
    pub tokens: BTreeMap<String, RefreshToken>,
}

impl Ledger {
    /// Begins a sign-in of this visitor, and returns its number and its first refresh token.
    pub fn begin(&mut self, visitor: usize, now: Duration) -> (usize, String) {
        let grant = self.grants.len();
        self.grants.push(Grant {
            visitor,
            sid: format!("sid-{grant}"),
            over: None,
            excused: false,
            ended: false,
            signed_out: None,
            signed_out_with: None,
        });
        (grant, self.issue(grant, now))
    }

    /// A new refresh token of this sign-in.
    pub fn issue(&mut self, grant: usize, now: Duration) -> String {
        let token = format!("refresh-{grant}-{}", self.tokens.len());
        let row = RefreshToken {
            grant,
            issued: now,
            spent: None,
            excused: false,
        };
        self.tokens.insert(token.clone(), row);
        token
    }

    /// Excuses all tokens that were spent after `since`, and by this process if one is given.
    pub fn excuse_spent(&mut self, since: Duration, process: Option<u64>) {
        for token in self.tokens.values_mut() {
            let concerned = token.spent.as_ref().is_some_and(|spent| {
                spent.at >= since && process.is_none_or(|process| process == spent.process)
            });
            token.excused |= concerned;
        }
    }

    /// The refresh token of a sign-out that the provider was not told.
    pub fn untold(&self) -> Option<&str> {
        self.grants.iter().find_map(|grant| {
            let token = grant.signed_out_with.as_deref()?;
            let row = self.tokens.get(token)?;
            let is_untold = grant.signed_out.is_some() && !grant.ended && row.spent.is_none();
            is_untold.then_some(token)
        })
    }

    /// The sign-in of a refresh token.
    pub fn grant_of(&mut self, token: &str) -> Option<&mut Grant> {
        let grant = self.tokens.get(token)?.grant;
        self.grants.get_mut(grant)
    }
}
