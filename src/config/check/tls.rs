//! `[[server.tls]]`: addresses, certificates with their keys, and the authorities of clients.

use std::net::SocketAddr;
use std::sync::Arc;

use super::super::certificate::{
    Certificate, CertificateFiles, ClientAuthorities, ClientCertificate,
};
use super::super::file::{self, Server};
use super::super::problems::quoted;
use super::super::settings::{Tls, TlsVersion};
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

fn certificates(written: &file::Tls, review: &mut Review<'_>) -> Option<Vec<CertificateFiles>> {
    let pairs = written.certificates.as_ref()?;
    if pairs.is_empty() {
        let hint = "add one, like { cert = \"/etc/vestibule/store.pem\", \
                    key = \"/etc/vestibule/store.key\" }";
        review.refuse(&pairs.span, "`certificates` is empty", hint);
        return None;
    }
    let read: Vec<Option<CertificateFiles>> =
        pairs.iter().map(|pair| certificate(pair, review)).collect();
    read.into_iter().collect()
}

fn certificate(pair: &file::Certificate, review: &mut Review<'_>) -> Option<CertificateFiles> {
    let (cert, key) = (pair.cert.as_ref()?, pair.key.as_ref()?);
    let (chain, secret) = (review.text_file(cert), review.text_file(key));
    warnings::key_file(key, review);
    match Certificate::from_pem(&chain?, &secret?, cert) {
        Ok(certificate) => Some(CertificateFiles {
            cert: review.path(cert),
            key: review.path(key),
            certificate: Arc::new(certificate),
        }),
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
    let pem = review.text_file(file).ok_or(super::Reported)?;
    match ClientAuthorities::from_pem(&pem, presence) {
        Some(authorities) => Ok(Some(authorities)),
        None => {
            review.refuse_text(
                file,
                "the file holds no certificates of authorities",
                "write them as PEM, one after the other",
            );
            Err(super::Reported)
        }
    }
}
