//! The gateway's own client of FusionAuth's API against the embedded identity server: every step
//! after the password, and every answer of `docs/reference/endpoints.md#fusionauth-responses`.

use std::net::{Ipv4Addr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use vestibule::config::settings;
use vestibule::embedded::identity_server as identity;
use vestibule::embedded::password_policy::PasswordPolicy;
use vestibule::embedded::totp::totp_code;
use vestibule::embedded::two_factor::TwoFactor;
use vestibule::embedded::users::{AccountState, ChangeReason, DEMO_TOTP, User, Users};
use vestibule::model::algorithm::Algorithm;
use vestibule::model::identity::ClaimNames;
use vestibule::model::login::LoginRefused;
use vestibule::model::login_step::{FactorKind, OfferedMethod, PendingStep};
use vestibule::model::password_violation::PasswordViolation;
use vestibule::model::reason::Reason;
use vestibule::model::secret::Secret;
use vestibule::provider::fusionauth::{Endpoint, Fusionauth};
use vestibule::provider::http_client::HttpClient;
use vestibule::provider::{
    Device, LoginAttempt, LoginSuccess, NewPasswordAttempt, Provider, ProviderError,
    SecondFactorAttempt, Trust,
};
use vestibule::system::Clock;

use super::support::PASSWORD;

const API_KEY: &str = "stories-api-key";
const APPLICATION: &str = "store-application";
const FIREFOX: Device<'_> = Device {
    user_agent: Some("Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"),
};

/// An identity server and the gateway's client of it.
struct Counterparts {
    client: Fusionauth,
    clock: Clock,
    url: String,
    folder: tempfile::TempDir,
}

impl Counterparts {
    fn open(people: impl FnOnce(&mut Users)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Clock::new();
        let mut users = Users::demo().unwrap();
        users.outbox = Some(folder.path().join("outbox"));
        people(&mut users);
        let server = identity::open(identity::Options {
            users,
            state_dir: folder.path().join("state"),
            issuer: "stories".into(),
            api_key: Secret::new(API_KEY),
            clock: clock.clone(),
        })
        .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(server.serve(listener, std::future::pending()));
        let client = client(&url, false);
        Self {
            client,
            clock,
            url,
            folder,
        }
    }

    async fn sign_in(
        &self,
        name: &str,
        trust: Option<&Secret>,
    ) -> Result<LoginSuccess, ProviderError> {
        sign_in(&self.client, name, trust).await
    }

    async fn complete(
        &self,
        id: &Secret,
        code: &str,
        trust_device: Trust,
    ) -> Result<LoginSuccess, ProviderError> {
        let attempt = SecondFactorAttempt {
            id,
            code: &Secret::new(code),
            application_id: APPLICATION,
            client_address: Ipv4Addr::LOCALHOST.into(),
            device: FIREFOX,
            trust_device,
        };
        self.client.second_factor(attempt).await
    }

    async fn change(&self, id: &Secret, password: &str) -> Result<LoginSuccess, ProviderError> {
        let attempt = NewPasswordAttempt {
            id,
            password: &Secret::new(password),
            application_id: APPLICATION,
            client_address: Ipv4Addr::LOCALHOST.into(),
            device: FIREFOX,
            trust: None,
        };
        self.client.change_password(attempt).await
    }

    /// The code in the message that was sent last, and to whom.
    fn received(&self) -> (String, String) {
        let mut files: Vec<_> = std::fs::read_dir(self.folder.path().join("outbox"))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        files.sort();
        let message = std::fs::read_to_string(files.last().expect("a message")).unwrap();
        let to = message
            .lines()
            .next()
            .unwrap()
            .strip_prefix("To: ")
            .unwrap();
        let code = message
            .split("Your code is ")
            .nth(1)
            .unwrap()
            .get(..6)
            .unwrap();
        (code.to_owned(), to.to_owned())
    }
}

fn client(url: &str, reveal_account_state: bool) -> Fusionauth {
    let endpoint = Endpoint {
        url: url.to_owned(),
        api_key: Some(Secret::new(API_KEY)),
        tenant_id: None,
    };
    let kind = settings::ProviderKind::Fusionauth {
        url: url.to_owned(),
        api_key: Secret::new(API_KEY),
        tenant_id: None,
    };
    let settings = settings::Provider {
        kind,
        issuer: "stories".into(),
        algorithms: vec![Algorithm::Es256],
        hmac_secret: None,
        timeout: Duration::from_secs(30),
        leeway: Duration::ZERO,
        reveal_account_state,
        claims: ClaimNames::default(),
        client: None,
        webhook_secret: None,
        public_hooks: false,
    };
    Fusionauth::new(
        &endpoint,
        &settings,
        Arc::new(HttpClient::new().unwrap()),
        &Clock::new(),
    )
    .unwrap()
}

async fn sign_in(
    client: &Fusionauth,
    name: &str,
    trust: Option<&Secret>,
) -> Result<LoginSuccess, ProviderError> {
    let attempt = LoginAttempt {
        login_id: &format!("{name}@example.com"),
        password: &Secret::new(PASSWORD),
        application_id: APPLICATION,
        client_address: Ipv4Addr::LOCALHOST.into(),
        device: FIREFOX,
        trust,
    };
    client.login(attempt).await
}

fn refused(answer: Result<LoginSuccess, ProviderError>) -> LoginRefused {
    match answer {
        Err(ProviderError::Refused(refused)) => refused,
        other => panic!("{other:?}"),
    }
}

fn code_wanted(answer: Result<LoginSuccess, ProviderError>) -> (Secret, Vec<OfferedMethod>) {
    let refused = refused(answer);
    assert_eq!(refused.reason, Reason::TwoFactorRequired);
    match refused.pending_step.map(|step| *step) {
        Some(PendingStep::SecondFactor { id, methods }) => (id, methods),
        other => panic!("{other:?}"),
    }
}

fn password_wanted(answer: Result<LoginSuccess, ProviderError>, why: &str) -> Secret {
    let refused = refused(answer);
    assert_eq!(
        (refused.reason, refused.change_reason.as_deref()),
        (Reason::PasswordChangeRequired, Some(why))
    );
    match refused.pending_step.map(|step| *step) {
        Some(PendingStep::NewPassword { id }) => id,
        other => panic!("{other:?}"),
    }
}

/// An account like the shopper's, changed.
fn add(users: &mut Users, name: &str, change: impl FnOnce(&mut User)) {
    let mut user = User::clone(users.by_login("shopper").unwrap());
    user.email = format!("{name}@example.com");
    user.id = vestibule::embedded::ids::uuid_of_email(&user.email);
    user.username = None;
    change(&mut user);
    users.add(user).unwrap();
}

fn by_message(user: &mut User) {
    let (email, sms) = (Some(user.email.clone()), Some("+1 555 555 5512".to_owned()));
    user.two_factor = Some(TwoFactor {
        totp: Some(Secret::new(DEMO_TOTP)),
        email,
        sms,
        ..TwoFactor::default()
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn every_row_of_the_table_can_be_driven() {
    let stage = Counterparts::open(|users| {
        add(users, "guest", |user| {
            user.applications = Some(vec!["forum-application".into()]);
        });
        add(users, "unconfirmed", |user| user.email_verified = false);
        add(users, "unregistered", |user| {
            user.unverified_applications = vec![APPLICATION.into()];
        });
        add(users, "prevented", |user| {
            user.state = AccountState::LoginPrevented;
        });
        add(users, "locked", |user| user.state = AccountState::Locked);
        add(users, "expired", |user| user.state = AccountState::Expired);
        for (name, reason) in [
            ("Administrative", ChangeReason::Administrative),
            ("Breached", ChangeReason::Breached),
            ("Expired", ChangeReason::Expired),
            ("Validation", ChangeReason::Validation),
        ] {
            add(users, &format!("change-{name}"), |user| {
                user.must_change_password = Some(reason);
            });
        }
    });
    let open = client(&stage.url, true);
    for (name, quiet, revealed) in [
        (
            "nobody",
            Reason::InvalidCredentials,
            Reason::InvalidCredentials,
        ),
        ("guest", Reason::NotRegistered, Reason::NotRegistered),
        (
            "unconfirmed",
            Reason::EmailUnverified,
            Reason::EmailUnverified,
        ),
        (
            "unregistered",
            Reason::RegistrationUnverified,
            Reason::RegistrationUnverified,
        ),
        ("prevented", Reason::LoginPrevented, Reason::LoginPrevented),
        ("locked", Reason::InvalidCredentials, Reason::AccountLocked),
        (
            "expired",
            Reason::InvalidCredentials,
            Reason::AccountExpired,
        ),
    ] {
        assert_eq!(
            refused(stage.sign_in(name, None).await),
            LoginRefused::new(quiet),
            "{name}"
        );
        assert_eq!(
            refused(sign_in(&open, name, None).await),
            LoginRefused::new(revealed),
            "{name}"
        );
    }
    for why in ["Administrative", "Breached", "Expired", "Validation"] {
        password_wanted(stage.sign_in(&format!("change-{why}"), None).await, why);
    }
    assert!(
        stage
            .sign_in("shopper", None)
            .await
            .unwrap()
            .tokens
            .refresh
            .is_some()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_by_message_lets_in_and_the_device_is_trusted() {
    let stage = Counterparts::open(|users| add(users, "messenger", by_message));
    let (id, methods) = code_wanted(stage.sign_in("messenger", None).await);
    let shown: Vec<_> = methods
        .iter()
        .map(|method| (method.kind, method.label.as_deref()))
        .collect();
    assert_eq!(
        shown,
        [
            (FactorKind::Authenticator, None),
            (FactorKind::Email, Some("m***@example.com")),
            (FactorKind::Sms, Some("***12")),
        ]
    );
    let expected = ["", "messenger@example.com", "+1 555 555 5512"];
    for (method, address) in methods.iter().zip(expected).skip(1) {
        stage.client.send_code(&id, &method.id).await.unwrap();
        assert_eq!(stage.received().1, address);
    }
    let by_app = stage.client.send_code(&id, &methods[0].id).await;
    assert_eq!(
        by_app,
        Err(ProviderError::Refused(LoginRefused::new(
            Reason::RejectedInput
        )))
    );
    let wrong = refused(stage.complete(&id, "no code", Trust::Yes).await);
    assert_eq!(wrong, LoginRefused::new(Reason::WrongCode));
    let admitted = stage
        .complete(&id, &stage.received().0, Trust::Yes)
        .await
        .unwrap();
    let trust = admitted.trust.expect("trust");
    let used = refused(stage.complete(&id, &stage.received().0, Trust::Yes).await);
    assert_eq!(used, LoginRefused::new(Reason::ChallengeExpired));

    assert!(stage.sign_in("messenger", Some(&trust)).await.is_ok());
    code_wanted(stage.sign_in("twofactor", Some(&trust)).await);
    stage.clock.advance(Duration::from_secs(30 * 24 * 60 * 60));
    let (id, _) = code_wanted(stage.sign_in("messenger", Some(&trust)).await);
    let code = totp_code(DEMO_TOTP, stage.clock.now()).unwrap();
    assert_eq!(
        stage.complete(&id, &code, Trust::No).await.unwrap().trust,
        None
    );
    let (id, methods) = code_wanted(stage.sign_in("messenger", None).await);
    stage.clock.advance(Duration::from_secs(301));
    let late = stage.client.send_code(&id, &methods[1].id).await;
    assert_eq!(
        late,
        Err(ProviderError::Refused(LoginRefused::new(
            Reason::ChallengeExpired
        )))
    );
}

/// The code first, then the password, and nothing typed twice.
#[tokio::test(flavor = "multi_thread")]
async fn a_code_and_a_new_password_in_one_go() {
    let stage = Counterparts::open(|users| {
        users.password_policy = PasswordPolicy {
            min_length: 12,
            require_number: true,
            ..PasswordPolicy::default()
        };
        add(users, "both", |user| {
            by_message(user);
            user.must_change_password = Some(ChangeReason::Expired);
        });
    });
    let (id, methods) = code_wanted(stage.sign_in("both", None).await);
    stage.client.send_code(&id, &methods[1].id).await.unwrap();
    let id = password_wanted(
        stage.complete(&id, &stage.received().0, Trust::Yes).await,
        "Expired",
    );
    let poor = refused(stage.change(&id, "too poor").await);
    assert_eq!(poor.reason, Reason::RejectedInput);
    assert_eq!(
        poor.violations,
        [
            PasswordViolation::TooShort(Some(12)),
            PasswordViolation::RequireNumber
        ]
    );
    let long = refused(stage.change(&id, &"1".repeat(257)).await);
    assert_eq!(long.violations, [PasswordViolation::TooLong(Some(256))]);
    let admitted = stage.change(&id, "a better passw0rd").await.unwrap();
    assert!(admitted.tokens.refresh.is_some());
    let again = refused(stage.change(&id, "yet another passw0rd").await);
    assert_eq!(again, LoginRefused::new(Reason::ChallengeExpired));
    assert_eq!(
        refused(stage.sign_in("both", None).await).reason,
        Reason::InvalidCredentials,
        "the old one is over"
    );
}
