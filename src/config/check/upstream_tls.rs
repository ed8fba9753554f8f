//! TLS to an upstream: the files that its table names are read and tried, so that a mistake is told
//! before the first request.

use std::ops::Range;
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::super::certificate::Certificate;
use super::super::file::upstream::UpstreamTable;
use super::super::problems::quoted;
use super::super::spans::At;
use super::{Reported, Review, warnings};
use crate::model::upstream::{PresentedCertificate, PrivateKey, UpstreamAddress, UpstreamTls};

const CERTIFICATES: &str = "write a PEM file with `-----BEGIN CERTIFICATE-----` in it";

/// What the table says of TLS; `None` where it says nothing.
pub(super) fn tls(
    table: &UpstreamTable,
    address: &UpstreamAddress,
    review: &mut Review<'_>,
) -> Result<Option<Arc<UpstreamTls>>, Reported> {
    let written = [
        ("ca", &table.ca),
        ("cert", &table.cert),
        ("key", &table.key),
        ("server_name", &table.server_name),
    ];
    let mut written = written
        .iter()
        .filter_map(|(key, value)| Some((key, value.as_ref()?)))
        .peekable();
    if written.peek().is_none() {
        return Ok(None);
    }
    if !matches!(address, UpstreamAddress::Https { .. }) {
        for (key, value) in written {
            let what = format!("`{key}` is for https upstreams");
            let hint = "write the `url` with https://, or leave it out";
            review.refuse(&value.span, what, hint);
        }
        return Err(Reported);
    }
    let mut tls = UpstreamTls::default();
    let ca = table.ca.as_ref();
    let ca = ca.map(|path| self::ca(path, review));
    let client = client(table, review);
    let server_name = table.server_name.as_ref();
    let server_name = server_name.map(|name| self::server_name(name, review));
    tls.ca = ca.transpose()?;
    tls.client = client?;
    tls.server_name = server_name.transpose()?;
    Ok(Some(Arc::new(tls)))
}

fn ca(path: &At<String>, review: &mut Review<'_>) -> Result<Vec<Vec<u8>>, Reported> {
    let certificates = certificates(path, review)?;
    let mut roots = RootCertStore::empty();
    for certificate in &certificates {
        if let Err(error) = roots.add(CertificateDer::from_slice(certificate)) {
            let what = format!("a certificate in the file of `ca` cannot be used: {error}");
            review.refuse(&path.span, what, CERTIFICATES);
            return Err(Reported);
        }
    }
    Ok(certificates)
}

fn client(
    table: &UpstreamTable,
    review: &mut Review<'_>,
) -> Result<Option<PresentedCertificate>, Reported> {
    let (cert, key) = match (&table.cert, &table.key) {
        (None, None) => return Ok(None),
        (Some(cert), Some(key)) => (cert, key),
        (Some(alone), None) => return missing(&alone.span, ["cert", "key"], review),
        (None, Some(alone)) => return missing(&alone.span, ["key", "cert"], review),
    };
    let chain = certificates(cert, review);
    let secret = read(key, review);
    warnings::key_file(key, review);
    let (chain, secret) = (chain?, secret?);
    let pem = review.text_file(cert).ok_or(Reported)?;
    if let Err(error) = Certificate::from_pem(&pem, &secret, cert) {
        let (what, hint) = error.explain();
        let what = format!("the file {} {what}", quoted(key));
        review.refuse(&key.span, what, hint);
        return Err(Reported);
    }
    // It was read before.
    let key = PrivateKeyDer::from_pem_slice(secret.as_bytes()).map_err(|_| Reported)?;
    Ok(Some(PresentedCertificate {
        chain,
        key: PrivateKey::new(key.secret_der().to_vec()),
    }))
}

fn missing<T>(
    span: &Range<usize>,
    [there, other]: [&str; 2],
    review: &mut Review<'_>,
) -> Result<T, Reported> {
    let what = format!("`{there}` needs `{other}`");
    review.refuse(span, what, format!("add `{other}`, or leave out `{there}`"));
    Err(Reported)
}

/// The certificates in a PEM file (DER); at least one.
fn certificates(path: &At<String>, review: &mut Review<'_>) -> Result<Vec<Vec<u8>>, Reported> {
    let text = read(path, review)?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text.as_bytes()).collect();
    let certificates = certificates.unwrap_or_default();
    // The parser that will be used for connections.
    let is_readable = |der: &CertificateDer<'_>| X509Certificate::from_der(der.as_ref()).is_ok();
    if certificates.is_empty() || !certificates.iter().all(is_readable) {
        review.refuse_text(path, "this file has no certificates in it", CERTIFICATES);
        return Err(Reported);
    }
    Ok(certificates.iter().map(|der| der.to_vec()).collect())
}

fn read(path: &At<String>, review: &mut Review<'_>) -> Result<String, Reported> {
    review.text_file(path).ok_or(Reported)
}

fn server_name(name: &At<String>, review: &mut Review<'_>) -> Result<String, Reported> {
    if ServerName::try_from(name.as_str()).is_err() {
        review.refuse_text(
            name,
            "`server_name` is no name of a server",
            "write it like \"app.internal\"",
        );
        return Err(Reported);
    }
    Ok((**name).clone())
}
