//! The certificate that answers a TLS-ALPN-01 challenge (RFC 8737).

use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use rcgen::{CertificateParams, CustomExtension, KeyPair};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::PrivateKeyDer;
use rustls::sign::{CertifiedKey, SingleCertAndKey};

/// The protocol by which the ACME server asks for it (RFC 8737, section 6.2).
pub const PROTOCOL: &[u8] = b"acme-tls/1";

/// What a handshake needs that answers the challenge for `name`.
///
/// # Errors
/// What is wrong, where no certificate can be made.
pub(super) fn server_config(
    name: &str,
    key_authorization: &str,
) -> Result<Arc<ServerConfig>, String> {
    let made = |error: rcgen::Error| error.to_string();
    let key = KeyPair::generate().map_err(made)?;
    let mut params = CertificateParams::new([name.to_owned()]).map_err(made)?;
    let proof = digest(&SHA256, key_authorization.as_bytes());
    params.custom_extensions = vec![CustomExtension::new_acme_identifier(proof.as_ref())];
    let certificate = params.self_signed(&key).map_err(made)?;
    let der = PrivateKeyDer::try_from(key.serialize_der()).map_err(str::to_owned)?;
    let provider = Arc::new(default_provider());
    let signing = provider
        .key_provider
        .load_private_key(der)
        .map_err(|error| error.to_string())?;
    // `with_single_cert` would refuse the extension, which is critical and which it does not know.
    let certified = CertifiedKey::new(vec![certificate.der().clone()], signing);
    let builder = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(rustls::ALL_VERSIONS)
        .map_err(|error| error.to_string())?;
    let resolver = Arc::new(SingleCertAndKey::from(certified));
    let mut config = builder.with_no_client_auth().with_cert_resolver(resolver);
    config.alpn_protocols = vec![PROTOCOL.to_vec()];
    Ok(Arc::new(config))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_offers_one_protocol() {
        // rustls refuses the certificate where it looks at its extensions.
        let config = server_config("a.example", "token.thumbprint").unwrap();
        assert_eq!(config.alpn_protocols, [PROTOCOL]);
    }
}
