//! Trusted root certificates.
//!
//! By default these are Mozilla's, compiled in by [`webpki_roots`]. Reading the 140 certificates of the
//! system's file would be a third of a cold start, and Chime's roots are valid until 2037 and later.
//! `AWS_CA_BUNDLE` replaces them, as in every AWS tool.

use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use crate::config::{ConfigError, Variables};

/// The root certificates that a connection to Chime trusts.
pub struct RootCertificates(Arc<RootCertStore>);

impl RootCertificates {
    /// Loads the PEM file that `AWS_CA_BUNDLE` names, or the compiled-in certificates.
    ///
    /// # Errors
    /// [`ConfigError`] if the file cannot be read, is not PEM, or has no usable certificate.
    pub fn from_lookup(
        variable: impl Fn(&str) -> Option<OsString>,
        file: impl Fn(&Path) -> io::Result<Vec<u8>>,
    ) -> Result<Self, ConfigError> {
        let mut variables = Variables::new(variable);
        let bundle = variables.optional("AWS_CA_BUNDLE", |path| {
            let pem =
                file(Path::new(path)).map_err(|error| format!("it cannot be read: {error}"))?;
            parse(&pem)
        });
        variables.finish(Some(()))?;
        Ok(Self(Arc::new(bundle.unwrap_or_else(compiled_in))))
    }

    pub(super) fn store(&self) -> Arc<RootCertStore> {
        Arc::clone(&self.0)
    }
}

fn compiled_in() -> RootCertStore {
    RootCertStore::from_iter(webpki_roots::TLS_SERVER_ROOTS.iter().cloned())
}

/// Reads all certificates of a PEM file ([RFC 7468](https://www.rfc-editor.org/rfc/rfc7468)). Ignores
/// certificates that cannot be a trust anchor, which old bundles contain.
fn parse(pem: &[u8]) -> Result<RootCertStore, String> {
    let certificates = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|_| "it is not a PEM file".to_owned())?;
    let mut store = RootCertStore::empty();
    store.add_parsable_certificates(certificates);
    if store.is_empty() {
        return Err("it has no usable certificate".to_owned());
    }
    Ok(store)
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNUSABLE: &str = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";

    #[test]
    fn a_bundle_without_a_usable_certificate_is_rejected() {
        for pem in ["", "text", UNUSABLE] {
            let error = parse(pem.as_bytes()).err();
            assert_eq!(
                error.as_deref(),
                Some("it has no usable certificate"),
                "{pem:?}"
            );
        }
    }

    #[test]
    fn a_bundle_that_is_cut_off_or_garbled_is_rejected() {
        let cut_off = UNUSABLE.replace("-----END", "");
        let garbled = UNUSABLE.replace("AAAA", "A*A=");
        for pem in [cut_off, garbled] {
            let error = parse(pem.as_bytes()).err();
            assert_eq!(error.as_deref(), Some("it is not a PEM file"), "{pem:?}");
        }
    }

    #[test]
    fn the_compiled_in_certificates_include_those_of_amazon() {
        let amazon = b"Amazon Root CA 1";
        let store = compiled_in();
        assert!(store.roots.iter().any(|root| {
            root.subject
                .windows(amazon.len())
                .any(|part| part == amazon)
        }));
    }
}
