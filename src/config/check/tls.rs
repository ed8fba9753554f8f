//! `[[server.tls]]`: addresses, certificates with their keys, and the authorities of clients.

use std::net::SocketAddr;
use std::sync::Arc;

use rustls::RootCertStore;
use url::Url;

use super::super::certificate::{
    Certificate, CertificateFiles, ClientAuthorities, ClientCertificate, read_roots,
};
use super::super::file::{self, Server};
use super::super::problems::quoted;
use super::super::settings::{Acme, Tls, TlsVersion};
use super::super::spans::At;
use super::addresses::{address, overlap};
use super::{Review, warnings};

/// The addresses that a TLS listener cannot have.
struct Taken<'a> {
    /// By listeners without TLS.
    others: &'a [SocketAddr],
    /// By TLS listeners before.
    tls: Vec<SocketAddr>,
}

impl Taken<'_> {
    fn has(&self, address: SocketAddr) -> bool {
        let mut all = self.others.iter().chain(&self.tls);
        // The settings of a TLS listener are found by its address, so port 0 may come only once.
        all.any(|other| overlap(*other, address)) || self.tls.contains(&address)
    }
}

/// The TLS listeners. `others` are the addresses of the other listeners.
pub(super) fn listeners(
    server: &Server,
    others: &[SocketAddr],
    review: &mut Review<'_>,
) -> Option<Vec<Tls>> {
    let mut taken = Taken {
        others,
        tls: Vec::new(),
    };
    let mut listeners = Vec::new();
    for written in &server.tls {
        listeners.push(listener(written, &mut taken, review));
    }
    listeners.into_iter().collect()
}

fn listener(
    written: &At<file::Tls>,
    taken: &mut Taken<'_>,
    review: &mut Review<'_>,
) -> Option<Tls> {
    let listen = listen(written, taken, review);
    let certificates = certificates(written, review);
    let client_authorities = client_authorities(written, review);
    let client_ca = written.client_ca.as_ref();
    Some(Tls {
        listen: listen?,
        certificates: certificates?,
        acme: *written.acme,
        minimum: match written.minimum {
            file::TlsVersion::V1_2 => TlsVersion::V1_2,
            file::TlsVersion::V1_3 => TlsVersion::V1_3,
        },
        client_authorities: client_authorities.ok()?,
        client_ca_file: client_ca.map(|file| review.path(file)),
        proxy_protocol: (*written.proxy_protocol).into(),
    })
}

fn listen(
    written: &file::Tls,
    taken: &mut Taken<'_>,
    review: &mut Review<'_>,
) -> Option<SocketAddr> {
    let text = written.listen.as_ref()?;
    let address = address(text, "listen", review)?;
    if taken.has(address) {
        review.refuse_text(
            text,
            "another listener has this address",
            "give each listener an address of its own",
        );
        return None;
    }
    taken.tls.push(address);
    Some(address)
}

fn certificates(written: &At<file::Tls>, review: &mut Review<'_>) -> Option<Vec<CertificateFiles>> {
    let pairs = &written.certificates;
    if pairs.is_empty()
        && !*written.acme
        && !review
            .diagnostics
            .was_removed(&written.span, "certificates")
    {
        let hint = "write acme = true, or add one, like { cert = \"/etc/vestibule/store.pem\", \
                    key = \"/etc/vestibule/store.key\" }";
        let span = if pairs.is_written() {
            &pairs.span
        } else {
            &written.span
        };
        review.refuse(span, "the listener has no certificate", hint);
        return None;
    }
    let read: Vec<Option<CertificateFiles>> =
        pairs.iter().map(|pair| certificate(pair, review)).collect();
    read.into_iter().collect()
}

fn certificate(pair: &file::Certificate, review: &mut Review<'_>) -> Option<CertificateFiles> {
    let (cert, key) = (pair.cert.as_ref()?, pair.key.as_ref()?);
    warnings::key_file(key, review);
    let (chain, secret) = (review.text_file(cert), review.text_file(key));
    warnings::key_file(key, review);
    match Certificate::from_pem(&chain?, &secret?, cert) {
        Ok(certificate) => {
            if certificate.expires <= review.now {
                let what = format!(
                    "the certificate in {} has expired on {}",
                    quoted(cert),
                    certificate.expires.date()
                );
                review.warn(&cert.span, what, "renew it: clients refuse it");
            }
            Some(CertificateFiles {
                cert: review.path(cert),
                key: review.path(key),
                certificate: Arc::new(certificate),
            })
        }
        Err(error) => {
            let (what, hint) = error.explain();
            let written = if error.is_about_key() { key } else { cert };
            let what = format!("the file {} {what}", quoted(written));
            review.refuse(&written.span, what, hint);
            None
        }
    }
}

/// `Err` where a problem was noted.
fn client_authorities(
    written: &file::Tls,
    review: &mut Review<'_>,
) -> Result<Option<ClientAuthorities>, super::Reported> {
    let Some(file) = &written.client_ca else {
        if let Some(required) = &written.required {
            review.refuse(
                &required.span,
                "`required` is of no use without `client_ca`",
                "name the authorities in `client_ca`, or leave it out",
            );
            return Err(super::Reported);
        }
        return Ok(None);
    };
    let presence = match written.required.as_deref() {
        Some(false) => ClientCertificate::Optional,
        Some(true) | None => ClientCertificate::Required,
    };
    let roots = roots(file, review)?;
    Ok(Some(ClientAuthorities { roots, presence }))
}

/// The ACME server; `Err` where a problem was noted.
pub(super) fn acme(
    server: &Server,
    review: &mut Review<'_>,
) -> Result<Option<Acme>, super::Reported> {
    let Some(written) = &server.acme else {
        let Some(tls) = server.tls.iter().find(|tls| *tls.acme) else {
            return Ok(None);
        };
        review.refuse(
            &tls.acme.span,
            "`acme` needs to know the ACME server",
            "add [server.acme] with accept_terms = true",
        );
        return Err(super::Reported);
    };
    if !written.accept_terms {
        review.refuse(
            &written.span,
            "the terms of service of the ACME server are not accepted",
            "read them, and write accept_terms = true",
        );
    }
    let is_https = Url::parse(&written.directory).is_ok_and(|url| url.scheme() == "https");
    if !is_https {
        review.refuse_text(
            &written.directory,
            "`directory` is no https URL",
            "write it like \"https://acme-v02.api.letsencrypt.org/directory\"",
        );
    }
    if let Some(contact) = &written.contact
        && !contact.starts_with("mailto:")
    {
        review.refuse_text(
            contact,
            "`contact` is no URL of a mailbox",
            "begin it with mailto:",
        );
    }
    let roots = written
        .ca
        .as_ref()
        .map(|ca| roots(ca, review))
        .transpose()?;
    Ok(Some(Acme {
        directory: (*written.directory).clone(),
        contact: written.contact.as_deref().cloned(),
        roots,
        ca_file: written.ca.as_ref().map(|ca| review.path(ca)),
        profile: written.profile.as_deref().cloned(),
    }))
}

/// The authorities in a PEM file.
fn roots(
    file: &At<String>,
    review: &mut Review<'_>,
) -> Result<Arc<RootCertStore>, super::Reported> {
    let pem = review.text_file(file).ok_or(super::Reported)?;
    read_roots(&pem).map(Arc::new).ok_or_else(|| {
        review.refuse_text(
            file,
            "the file holds no certificates of authorities",
            "write them as PEM, one after the other",
        );
        super::Reported
    })
}
