//! A throw-away certificate authority, and a certificate for loopback that it has signed.
//!
//! Created for each server and kept in memory only: no key file can leak or expire.

use std::io;
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose,
};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::PrivateKeyDer;

/// A certificate authority that no client trusts by default, and a server identity signed by it.
#[derive(Clone, Debug)]
pub struct Authority {
    ca_pem: String,
    server_config: Arc<ServerConfig>,
}

impl Authority {
    /// Makes the authority and a certificate for `localhost`, `127.0.0.1` and `::1`.
    ///
    /// # Errors
    /// When the key or a certificate cannot be made; of kind `Other`.
    pub fn new() -> io::Result<Authority> {
        let mut ca = CertificateParams::default();
        ca.distinguished_name
            .push(DnType::CommonName, "fake Chime throw-away CA");
        ca.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        ca.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let ca_key = KeyPair::generate().map_err(io::Error::other)?;
        let ca = CertifiedIssuer::self_signed(ca, ca_key).map_err(io::Error::other)?;

        let names = ["localhost", "127.0.0.1", "::1"].map(String::from);
        let mut leaf = CertificateParams::new(names).map_err(io::Error::other)?;
        leaf.distinguished_name
            .push(DnType::CommonName, "localhost");
        leaf.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        // Python refuses a chain without it since 3.13.
        leaf.use_authority_key_identifier_extension = true;
        let leaf_key = KeyPair::generate().map_err(io::Error::other)?;
        let leaf = leaf.signed_by(&leaf_key, &ca).map_err(io::Error::other)?;

        let key = PrivateKeyDer::try_from(leaf_key.serialize_der()).map_err(io::Error::other)?;
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?
            .with_no_client_auth()
            .with_single_cert(vec![leaf.der().clone()], key)
            .map_err(io::Error::other)?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Authority {
            ca_pem: ca.pem(),
            server_config: Arc::new(config),
        })
    }

    /// The authority's own certificate in PEM, for the file in `AWS_CA_BUNDLE`.
    pub fn ca_pem(&self) -> &str {
        &self.ca_pem
    }

    /// What a TLS server needs: TLS 1.2 and 1.3, the ring provider, ALPN `http/1.1`.
    pub fn server_config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.server_config)
    }
}
