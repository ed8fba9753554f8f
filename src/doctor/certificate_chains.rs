//! Whether the certificates of TLS listeners are for the sites, in force, and lead to an authority
//! that clients know.

use std::sync::Arc;
use std::time::Duration;

use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{ServerName, UnixTime};
use rustls_platform_verifier::Verifier;

use super::finding::{Finding, Topic};
use crate::config::certificate::Certificate;
use crate::config::settings::{Settings, Tls};
use crate::model::timestamp::Timestamp;
use crate::runtime::acme::stored_certificates;

const CHECK: &str = "certificate";
/// How long before its end a certificate should have been renewed.
const SOON: Duration = Duration::from_secs(14 * 24 * 60 * 60);

pub(super) fn examine(settings: &Settings, now: Timestamp) -> Vec<Finding> {
    let verifier = Verifier::new(Arc::new(aws_lc_rs::default_provider())).ok();
    let chains = Chains { verifier, now };
    let mut findings = Vec::new();
    for tls in &settings.server.tls {
        for files in &tls.certificates {
            let topic = Topic::new(CHECK, files.cert.display());
            findings.push(chains.examine(&topic, &files.certificate));
        }
        if !tls.acme {
            findings.extend(uncovered(settings, tls));
        }
    }
    for stored in stored_certificates(settings) {
        let topic = Topic::new(CHECK, &stored.name);
        findings.push(match stored.certificate {
            Some(certificate) => chains.examine(&topic, &certificate),
            None => topic.warn(
                "none was ordered yet: visitors get one that no browser trusts",
                "start the gateway, and see its log where the order fails",
            ),
        });
    }
    findings
}

/// The hosts of sites that a listener has no certificate for.
fn uncovered(settings: &Settings, tls: &Tls) -> Vec<Finding> {
    let sites = settings.sites.iter().filter(|site| site.origin.is_https());
    let hosts = sites.flat_map(|site| {
        let aliases = site.aliases.iter().map(|alias| alias.name.as_str());
        aliases.chain([site.origin.name.as_str()])
    });
    let has = |host: &str| {
        let mut certificates = tls.certificates.iter();
        certificates.any(|files| files.certificate.is_for(host))
    };
    let topic = Topic::new(CHECK, tls.listen);
    let missing = hosts.filter(|host| !has(host));
    let finding = |host| {
        topic.fail(
            format!("no certificate is for {host}: browsers refuse the first one"),
            "add one to `certificates`, or write acme = true",
        )
    };
    missing.map(finding).collect()
}

/// The examination of certificates at one time.
struct Chains {
    /// What the clients of this machine trust; `None` where that cannot be read.
    verifier: Option<Verifier>,
    now: Timestamp,
}

impl Chains {
    fn examine(&self, topic: &Topic, certificate: &Certificate) -> Finding {
        let renew = "renew it; the gateway takes the new file by itself";
        let until = certificate.expires.date();
        if certificate.expires <= self.now {
            return topic.fail(format!("it ended on {until}"), renew);
        }
        if certificate.valid_from > self.now {
            let message = format!("it begins on {}", certificate.valid_from.date());
            return topic.fail(
                message,
                "correct the clock of this machine, or use another one",
            );
        }
        let Some(name) = certificate.names.first() else {
            let hint = "use one with the hosts of the sites as subject alternative names";
            return topic.fail("it is for no host: browsers look at no other field", hint);
        };
        if self.now.until(certificate.expires) < SOON {
            return topic.warn(format!("it ends on {until}"), renew);
        }
        match self.chain_error(certificate, name) {
            None => topic.ok(format!(
                "for {}, until {until}",
                certificate.names.join(", ")
            )),
            Some(cause) => topic.warn(
                format!("its chain leads to no authority that this machine trusts: {cause}"),
                "append the intermediate certificates to the file, the server's first; clients of \
                 a private authority must have its root",
            ),
        }
    }

    /// Why a client of this machine would not trust it.
    fn chain_error(&self, certificate: &Certificate, name: &str) -> Option<String> {
        let Some(verifier) = &self.verifier else {
            return Some("the authorities of this machine cannot be read".to_owned());
        };
        let (first, rest) = certificate.certified_key.cert.split_first()?;
        // Any label stands for a wildcard.
        let name = name.replacen('*', "www", 1);
        let name = match ServerName::try_from(name) {
            Ok(name) => name,
            Err(error) => return Some(error.to_string()),
        };
        let now = UnixTime::since_unix_epoch(Duration::from_secs(self.now.secs()));
        let result = verifier.verify_server_cert(first, rest, &name, &[], now);
        result.err().map(|error| error.to_string())
    }
}
