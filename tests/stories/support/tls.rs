//! Certificates of one's own, and clients that trust them.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// A self-signed certificate and its key, as PEM.
#[derive(Clone)]
pub struct Pair {
    pub cert: String,
    pub key: String,
}

impl Pair {
    pub fn of(names: &[&str]) -> Self {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let key = rcgen::KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::new(names).unwrap();
        Self {
            cert: params.self_signed(&key).unwrap().pem(),
            key: key.serialize_pem(),
        }
    }

    /// Writes both files and gives the entry of `certificates` for them.
    pub fn write(&self, folder: &Path, name: &str) -> String {
        let file = |kind: &str| -> PathBuf { folder.join(format!("{name}.{kind}")) };
        fs::write(file("pem"), &self.cert).unwrap();
        fs::write(file("key"), &self.key).unwrap();
        format!(
            "{{ cert = \"{}\", key = \"{}\" }}",
            file("pem").display(),
            file("key").display()
        )
    }

    /// The certificate as it goes over the wire.
    pub fn der(&self) -> CertificateDer<'static> {
        CertificateDer::from_pem_slice(self.cert.as_bytes()).unwrap()
    }
}

/// A client that trusts certain certificates.
#[derive(Clone, Debug)]
pub struct Trust(Arc<ClientConfig>);

impl Trust {
    pub fn of(pairs: &[&Pair]) -> Self {
        Self::with(pairs, rustls::ALL_VERSIONS, None)
    }

    /// A client with only these versions of TLS, and with a certificate of its own.
    pub fn with(
        pairs: &[&Pair],
        versions: &[&'static SupportedProtocolVersion],
        own: Option<&Pair>,
    ) -> Self {
        let mut roots = RootCertStore::empty();
        for pair in pairs {
            roots.add(pair.der()).unwrap();
        }
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(roots);
        let config = match own {
            None => builder.with_no_client_auth(),
            Some(own) => {
                let key = PrivateKeyDer::from_pem_slice(own.key.as_bytes()).unwrap();
                builder.with_client_auth_cert(vec![own.der()], key).unwrap()
            }
        };
        Self(Arc::new(config))
    }

    /// The same with these protocols offered by ALPN.
    pub fn offering(&self, protocols: &[&[u8]]) -> Self {
        let mut config = ClientConfig::clone(&self.0);
        config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
        Self(Arc::new(config))
    }

    /// A connection that asks for `name`, which an address is not.
    pub async fn connect(
        &self,
        address: SocketAddr,
        name: &str,
    ) -> std::io::Result<TlsStream<TcpStream>> {
        self.connect_over(TcpStream::connect(address).await?, name)
            .await
    }

    /// The same over a connection that is open already.
    pub async fn connect_over(
        &self,
        stream: TcpStream,
        name: &str,
    ) -> std::io::Result<TlsStream<TcpStream>> {
        let name = ServerName::try_from(name.to_owned()).unwrap();
        TlsConnector::from(Arc::clone(&self.0))
            .connect(name, stream)
            .await
    }
}
