//! What happens in one simulation: plain data, so that it can be printed, repeated and shrunk.

/// A simulation.
#[derive(Clone, Debug)]
pub struct Schedule {
    /// How the world is before anything happens.
    pub world: Options,
    /// What happens, in the order of time.
    pub events: Vec<Event>,
}

/// How the world is before anything happens.
#[derive(Clone, Debug)]
pub struct Options {
    /// The gateways' clocks; one for each gateway.
    pub clocks: Vec<WallClockOptions>,
    /// Whether the gateways share a store. Else each has its own in memory.
    pub shared_store: bool,
    /// Which kind of provider signs the visitors in.
    pub product: Product,
    /// Whether the site keeps sessions, instead of tokens in cookies.
    pub sessions: bool,
    /// How many visitors there are. Every third one is a phone, where they sign in by a form.
    pub visitors: usize,
    /// What the provider does with refresh tokens.
    pub rotation: Rotation,
    /// How long access tokens live, in seconds.
    pub token_life: u64,
    /// `cookies.max_age`, in seconds.
    pub max_age: u64,
    /// How long the provider takes to answer, in milliseconds.
    pub provider_latency: u64,
    /// How long the store takes to answer, in milliseconds.
    pub store_latency: u64,
}

/// A kind of provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Product {
    /// FusionAuth: passwords are sent to its API.
    FusionAuth,
    /// An OpenID Connect provider: visitors sign in at its own pages.
    Oidc(OidcOptions),
}

/// What OpenID Connect providers do differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OidcOptions {
    pub access_tokens: AccessTokens,
    /// Whether a renewal brings an ID token.
    pub refreshed_id_token: bool,
    /// Whether the tokens name their sign-in, by `sid`.
    pub names_sign_ins: bool,
    /// Whether the code verifier is looked at.
    pub checks_pkce: bool,
}

/// What the access tokens of an OpenID Connect provider are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccessTokens {
    Jwt,
    /// Readable by the provider alone. Only sites with sessions can use them.
    Opaque,
}

/// How wrong a gateway's clock is.
#[derive(Clone, Copy, Debug, Default)]
pub struct WallClockOptions {
    /// Milliseconds ahead.
    pub offset: i64,
    /// Millionths too fast.
    pub drift: i64,
}

/// What the provider does with a refresh token that was used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rotation {
    /// It may be used again.
    Reusable,
    /// It is exchanged for another. Used again within `grace` seconds it gives the same other one,
    /// after that it ends the sign-in.
    OneTime {
        /// Seconds; 0 for none.
        grace: u64,
    },
}

/// Something that happens.
#[derive(Clone, Debug)]
pub struct Event {
    /// When, in milliseconds since the start.
    pub at: u64,
    /// What.
    pub action: Action,
}

/// Something that happens. Visitors and gateways are counted from 0; numbers beyond the last one
/// start again.
#[derive(Clone, Debug)]
pub enum Action {
    /// A visitor without credentials signs in.
    SignIn { visitor: usize, gateway: usize },
    /// A tab of a visitor begins a sign-in by redirect, and stays at the provider's page.
    BeginLogin { visitor: usize, gateway: usize },
    /// The provider sends a tab back that began a sign-in.
    FinishLogin(FinishLogin),
    /// A visitor's tabs ask for a page at the same time.
    Visit(Visit),
    /// A visitor signs out.
    SignOut {
        visitor: usize,
        gateway: usize,
        /// With the refresh token alone, as `{"refreshToken"}` does.
        only_refresh: bool,
        /// How often at the same time.
        times: usize,
    },
    /// A visitor opens a stream, which stays open.
    Stream { visitor: usize, gateway: usize },
    /// A thief copies all that a visitor has.
    Copy { visitor: usize },
    /// Somebody makes up an access token of a visitor.
    Forge { visitor: usize, gateway: usize },
    /// The thief uses what was copied last.
    Replay { visitor: usize, gateway: usize },
    /// The provider's administrator ends sign-ins, and the provider tells a gateway.
    End {
        visitor: usize,
        gateway: usize,
        what: EndedByAdministrator,
    },
    /// Somebody tells a gateway that a visitor was locked, and repeats the provider's last message.
    MisuseHooks { visitor: usize, gateway: usize },
    /// An endpoint of the provider has trouble.
    Trouble(Trouble),
    /// The provider signs with a new key.
    RotateProviderKey,
    /// For some seconds the provider's tokens cannot be used.
    Unusable { seconds: u64, how: Unusable },
    /// The provider deletes the visitor's registration for the application.
    Unregister { visitor: usize },
    /// The shared store has trouble.
    Store(StoreFault),
    /// A gateway's clock is set.
    StepClock { gateway: usize, millis: i64 },
    /// A gateway reads its configuration again.
    Reload { gateway: usize },
    /// All gateways get a new sealing key.
    RotateSealingKey,
    /// A gateway stops and starts again.
    Restart {
        gateway: usize,
        /// Whether the folder `state_dir` survives.
        keep_state: bool,
    },
    /// A gateway's process dies, and is started again some seconds later.
    Kill { gateway: usize, seconds: u64 },
}

/// The provider sends a tab back that began a sign-in.
#[derive(Clone, Copy, Debug)]
pub struct FinishLogin {
    pub visitor: usize,
    pub gateway: usize,
    /// Which of the tabs, counted around.
    pub tab: usize,
    pub how: Return,
}

/// What happens to the way back from the provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Return {
    /// Nothing.
    Plain,
    /// The browser sends the response to two gateways at once.
    Twice,
    /// The browser sends it again afterwards, with the cookie that it had before.
    Again,
    /// The answer of the gateway is lost, and the tab stays where it is.
    LoseAnswer,
    /// Somebody else's browser opens the address.
    WithoutCookies,
    /// Somebody put a code of another visitor in the place of this one's.
    ForeignCode,
    /// The visitor cancels.
    Denied,
}

/// A visitor's tabs ask for a page at the same time.
#[derive(Clone, Copy, Debug)]
pub struct Visit {
    pub visitor: usize,
    pub what: Page,
    /// The gateway of the first tab.
    pub gateway: usize,
    pub tabs: usize,
    /// Whether each tab has another gateway.
    pub spread: bool,
    /// How long the application takes, in milliseconds.
    pub application: u64,
    /// Whether the answers are lost on their way to the visitor.
    pub lose_answer: bool,
}

/// What an administrator ends at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndedByAdministrator {
    /// The sign-in that the visitor has now.
    SignIn,
    /// All of the visitor's.
    User,
    /// Everybody's.
    Application,
}

/// What a visitor asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Page {
    /// A page that requires a sign-in.
    Required,
    /// `GET /api/user`
    User,
    /// `POST /api/refresh`
    Refresh,
}

/// An endpoint of the provider has trouble.
#[derive(Clone, Copy, Debug)]
pub struct Trouble {
    pub endpoint: Endpoint,
    pub seconds: u64,
    pub how: Failure,
}

/// The endpoints of the provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Endpoint {
    Login,
    Refresh,
    Logout,
    Keys,
    /// The discovery document of OpenID Connect. It fails with the keys.
    Discovery,
}

/// How an endpoint fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// It answers `503` and does nothing.
    Unavailable,
    /// It does not answer and does nothing.
    Hangs,
    /// It does what it is asked, and its answer is lost.
    LosesAnswers,
    /// Something before it answers with this status and a page, and it does nothing.
    Page(u16),
    /// It answers `400` for the tenant, and does nothing.
    WrongTenant,
    /// It answers correctly, after this many milliseconds.
    Slow(u64),
}

/// Why the provider's tokens cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unusable {
    /// The name holds a control character.
    ControlCharacter,
    /// They expired a minute before they were issued.
    ExpiredOnArrival,
    /// They are too large for cookies.
    TooLarge,
    /// They are larger than any token that is verified.
    Huge,
}

/// What befalls the shared store.
#[derive(Clone, Copy, Debug)]
pub enum StoreFault {
    /// It refuses connections.
    Down { seconds: u64 },
    /// It takes this many milliseconds to answer.
    Slow { seconds: u64, millis: u64 },
    /// It starts again without its data.
    RestartEmpty,
    /// A replica without the last writes takes its place.
    FailOver { lost_millis: u64 },
    /// Whoever can write to it copies the session of a visitor over those of all others.
    CopySession { visitor: usize },
    /// Messages to the gateways are lost until they notice that the connection is broken.
    LoseMessages { millis: u64 },
}
