//! One order at the ACME server (RFC 8555), from the account to the certificate.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http_body_util::BodyExt as _;
use instant_acme::{
    Account, AccountCredentials, AuthorizationStatus, BodyWrapper, BytesResponse,
    CertificateIdentifier, ChallengeType, Error, Identifier, NewAccount, NewOrder, OrderStatus,
    RetryPolicy,
};
use rustls::pki_types::Der;
use x509_parser::extensions::ParsedExtension;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::config::certificate::Certificate;
use crate::config::settings::Acme as Settings;
use crate::model::timestamp::Timestamp;
use crate::provider::http_client::{HttpClient, Purpose, Request};
use crate::system;

use super::challenges::{Challenge, Challenges};
use super::storage::{SharedStorage, Storage};

/// The time limit of one call.
const CALL_TIMEOUT: Duration = Duration::from_secs(30);
/// How long the server may take to validate a challenge, and to issue a certificate.
const VALIDATION_TIMEOUT: Duration = Duration::from_secs(90);

/// Why there is no certificate: for an operator.
#[derive(Debug)]
pub(super) enum OrderError {
    /// The server refused something, could not be reached, or did not keep to the protocol.
    Server(Error),
    /// The server could not validate the name; with what it said.
    Invalid(String),
    /// The server offers no challenge of the kind that was to be answered.
    NoChallenge,
    /// It took too long.
    Timeout,
    /// What was issued cannot be used, or a client for the server cannot be made.
    Unusable(String),
}

impl OrderError {
    /// Whether the server does not know the account (RFC 8555, section 6.7): a private server may
    /// have lost it.
    pub(super) fn is_unknown_account(&self) -> bool {
        const TYPE: &str = "urn:ietf:params:acme:error:accountDoesNotExist";
        matches!(self, Self::Server(Error::Api(problem)) if problem.r#type.as_deref() == Some(TYPE))
    }
}

impl fmt::Display for OrderError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Server(error) => write!(out, "{error}"),
            Self::Invalid(why) => write!(out, "the ACME server could not validate the name: {why}"),
            Self::NoChallenge => {
                out.write_str("the ACME server does not offer this kind of challenge for the name")
            }
            Self::Timeout => out.write_str("the ACME server took too long"),
            Self::Unusable(why) => out.write_str(why),
        }
    }
}

impl std::error::Error for OrderError {}

impl From<Error> for OrderError {
    fn from(error: Error) -> Self {
        Self::Server(error)
    }
}

/// How the gateway shows that a name is its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ChallengeMethod {
    /// HTTP-01, on the plain listeners.
    Http,
    /// TLS-ALPN-01, on the TLS listeners.
    TlsAlpn,
}

/// The calls of `instant_acme`, within the limits of the gateway's own client.
pub(super) struct LimitedClient(pub(super) Arc<HttpClient>);

impl instant_acme::HttpClient for LimitedClient {
    fn request(
        &self,
        request: http::Request<BodyWrapper<bytes::Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>> {
        let client = Arc::clone(&self.0);
        Box::pin(async move {
            let (parts, body) = request.into_parts();
            let url = parts.uri.to_string().parse();
            let body = match body.collect().await {
                Ok(body) => body.to_bytes().to_vec(),
                Err(never) => match never {},
            };
            let sent = client.send(Request {
                method: parts.method,
                url: url.map_err(|_| Error::Str("an address that is no URL"))?,
                headers: parts.headers,
                body,
                timeout: CALL_TIMEOUT,
                purpose: Purpose::Background,
            });
            let response = sent.await.map_err(|error| Error::Other(Box::new(error)))?;
            let mut answer = http::Response::new(());
            *answer.status_mut() = response.status;
            *answer.headers_mut() = response.headers;
            Ok(BytesResponse {
                parts: answer.into_parts().0,
                body: Box::new(bytes::Bytes::from(response.body)),
            })
        })
    }
}

/// The account at the server: the stored one, else a new one, which is stored.
pub(super) async fn account(
    settings: &Settings,
    client: &Arc<HttpClient>,
    storage: &Storage<'_>,
) -> Result<Account, OrderError> {
    let builder = Account::builder_with_http(Box::new(LimitedClient(Arc::clone(client))));
    let name = account_name(settings);
    let stored = storage.load(&name).await;
    let stored: Option<AccountCredentials> =
        stored.and_then(|json| serde_json::from_slice(&json).ok());
    if let Some(credentials) = stored {
        return Ok(builder.from_credentials(credentials).await?);
    }
    let contact: Vec<&str> = settings.contact.iter().map(String::as_str).collect();
    let new = NewAccount {
        contact: &contact,
        // The configuration is refused without `accept_terms = true`.
        terms_of_service_agreed: true,
        only_return_existing: false,
    };
    let directory = settings.directory.clone();
    let (account, credentials) = builder.create(&new, directory, None).await?;
    let json = serde_json::to_vec(&credentials).map_err(Error::from)?;
    storage.save(&name, &json).await;
    Ok(account)
}

/// Forgets the stored account.
pub(super) async fn forget_account(settings: &Settings, storage: &Storage<'_>) {
    storage.save(&account_name(settings), b"").await;
}

fn account_name(settings: &Settings) -> String {
    format!("account-{}.json", directory_id(&settings.directory))
}

/// What tells the accounts of two servers apart, in file names.
fn directory_id(directory: &str) -> String {
    let mut id = URL_SAFE_NO_PAD.encode(digest(&SHA256, directory.as_bytes()));
    id.truncate(16);
    id
}

/// Orders a certificate for `name`. Gives its key and its chain, one after the other, as PEM.
pub(super) async fn order(
    account: &Account,
    name: &str,
    profile: Option<&str>,
    proof: Proof<'_>,
) -> Result<String, OrderError> {
    let identifiers = [Identifier::Dns(name.to_owned())];
    let mut new = NewOrder::new(&identifiers);
    if let Some(profile) = profile {
        new = new.profile(profile);
    }
    let mut order = account.new_order(&new).await?;
    proof.begin(&mut order, name).await?;
    let patience = RetryPolicy::new().timeout(VALIDATION_TIMEOUT);
    if order.poll_ready(&patience).await? != OrderStatus::Ready {
        return Err(OrderError::Invalid(reason(&mut order).await));
    }
    let key = order.finalize().await?;
    let chain = order.poll_certificate(&patience).await?;
    Ok([key, chain].concat())
}

/// How a name is proved.
pub(super) struct Proof<'a> {
    pub(super) method: ChallengeMethod,
    pub(super) challenges: &'a Challenges,
    pub(super) shared: Option<&'a SharedStorage>,
}

impl Proof<'_> {
    /// Answers the challenges of `order` from now on, and asks the server to look.
    async fn begin(&self, order: &mut instant_acme::Order, name: &str) -> Result<(), OrderError> {
        let mut authorizations = order.authorizations();
        while let Some(authorization) = authorizations.next().await {
            let mut authorization = authorization?;
            if authorization.status == AuthorizationStatus::Valid {
                continue;
            }
            let wanted = match self.method {
                ChallengeMethod::Http => ChallengeType::Http01,
                ChallengeMethod::TlsAlpn => ChallengeType::TlsAlpn01,
            };
            let mut challenge = authorization
                .challenge(wanted)
                .ok_or(OrderError::NoChallenge)?;
            let found_by = match self.method {
                ChallengeMethod::Http => Challenge::Http(&challenge.token),
                ChallengeMethod::TlsAlpn => Challenge::TlsAlpn(name),
            };
            let answer = challenge.key_authorization();
            self.challenges
                .open(found_by, answer.as_str(), self.shared)
                .await;
            challenge.set_ready().await?;
        }
        Ok(())
    }
}

/// What the server said of the challenges that failed.
async fn reason(order: &mut instant_acme::Order) -> String {
    let mut reasons = Vec::new();
    let mut authorizations = order.authorizations();
    while let Some(Ok(mut authorization)) = authorizations.next().await {
        if authorization.refresh().await.is_err() {
            continue;
        }
        let failed = authorization.challenges.iter();
        reasons.extend(failed.filter_map(|challenge| challenge.error.as_ref()?.detail.clone()));
    }
    if reasons.is_empty() {
        "it did not say why".to_owned()
    } else {
        reasons.join("; ")
    }
}

/// When the server wants `certificate` to be renewed (RFC 9773): a random moment of its window, and
/// how long that answer holds.
pub(super) async fn suggested_renewal(
    account: &Account,
    certificate: &Certificate,
) -> Option<(Timestamp, Duration)> {
    let id = identifier(certificate)?;
    let (info, holds) = account.renewal_info(&id).await.ok()?;
    let secs = |time: i64| u64::try_from(time).ok();
    let start = secs(info.suggested_window.start.unix_timestamp())?;
    let end = secs(info.suggested_window.end.unix_timestamp())?.max(start);
    let random = u64::from_ne_bytes(system::random());
    let moment = start + random % (end - start + 1);
    Some((Timestamp::from_secs(moment), holds))
}

/// What the server knows a certificate by (RFC 9773, section 4.1).
fn identifier(certificate: &Certificate) -> Option<CertificateIdentifier<'static>> {
    let der = certificate.certified_key.cert.first()?;
    let (_, parsed) = X509Certificate::from_der(der).ok()?;
    let authority = parsed.iter_extensions().find_map(|extension| {
        let ParsedExtension::AuthorityKeyIdentifier(id) = extension.parsed_extension() else {
            return None;
        };
        id.key_identifier.as_ref()
    })?;
    let serial = parsed.tbs_certificate.raw_serial();
    let id = CertificateIdentifier::new(Der::from_slice(authority.0), Der::from_slice(serial));
    Some(id.into_owned())
}
