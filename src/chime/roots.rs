//! Trusted root certificates.
//!
//! By default these are Mozilla's, compiled in by [`webpki_roots`]. Reading the 140 certificates of the
//! system's file would be a third of a cold start, and Chime's roots are valid until 2037 and later.
//! `AWS_CA_BUNDLE` replaces them, as in every AWS tool.

use std::sync::Arc;

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use thiserror::Error;

/// The root certificates that a connection to Chime trusts.
pub struct RootCertificates(Arc<RootCertStore>);

/// The reason why a file is not a bundle of root certificates.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum BundleError {
    #[error("it is not a PEM file")]
    NotPem,
    #[error("it has no usable certificate")]
    NoCertificate,
}

impl RootCertificates {
    pub fn compiled_in() -> Self {
        let roots = webpki_roots::TLS_SERVER_ROOTS.iter().cloned();
        Self(Arc::new(RootCertStore::from_iter(roots)))
    }

    /// Parses all certificates of a PEM file ([RFC 7468](https://www.rfc-editor.org/rfc/rfc7468)). Ignores
    /// certificates that cannot be a trust anchor, which old bundles contain.
    pub fn parse(pem: &[u8]) -> Result<Self, BundleError> {
        let certificates = CertificateDer::pem_slice_iter(pem)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|_| BundleError::NotPem)?;
        let mut store = RootCertStore::empty();
        store.add_parsable_certificates(certificates);
        if store.is_empty() {
            return Err(BundleError::NoCertificate);
        }
        Ok(Self(Arc::new(store)))
    }

    pub(super) fn store(&self) -> Arc<RootCertStore> {
        Arc::clone(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNUSABLE: &str = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";

    #[test]
    fn a_bundle_without_a_usable_certificate_is_rejected() {
        for pem in ["", "text", UNUSABLE] {
            let error = RootCertificates::parse(pem.as_bytes()).err();
            assert_eq!(error, Some(BundleError::NoCertificate), "{pem:?}");
        }
    }

    #[test]
    fn a_bundle_that_is_cut_off_or_garbled_is_rejected() {
        let cut_off = UNUSABLE.replace("-----END", "");
        let garbled = UNUSABLE.replace("AAAA", "A*A=");
        for pem in [cut_off, garbled] {
            let error = RootCertificates::parse(pem.as_bytes()).err();
            assert_eq!(error, Some(BundleError::NotPem), "{pem:?}");
        }
    }

    #[test]
    fn the_compiled_in_certificates_include_those_of_amazon() {
        let amazon = b"Amazon Root CA 1";
        let store = RootCertificates::compiled_in().store();
        assert!(store.roots.iter().any(|root| {
            root.subject
                .windows(amazon.len())
                .any(|part| part == amazon)
        }));
    }
}
